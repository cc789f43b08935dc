"""What a resource notes down: its journal is the answer to "who terminated this cluster, and why"."""

from __future__ import annotations

from understudy_runtime.core.kinds import Note


class ResourceMoved(Note, frozen=True):
    """The resource is in another state of its life. `by` is the run, client or person it was done for, if any."""

    state: str
    cause: str
    by: str = ""
    fence: int = 0
    node: str = ""


ResourceRecord = ResourceMoved
