"""What a node allows its clients. Bytes are of messages as they are on the wire."""

from __future__ import annotations

from typing import Final

import msgspec

MAX_REQUEST_BYTES: Final = 4 * 2**20
MAX_RESPONSE_BYTES: Final = 64 * 2**20
PAGE_BYTES: Final = 2**20
"""A page of a history ends when it is larger than this, so that clients with gRPC's own limit of 4 MiB can read it."""
MAX_PAGE: Final = 1_000
DEFAULT_PAGE: Final = 100
MAX_NESTING: Final = 200
"""How deeply values may be nested: below what decoding them anywhere in the node can bear."""
MAX_KEY_CHARS: Final = 256
MAX_NAMESPACE_CHARS: Final = 64
MAX_NAME_CHARS: Final = 200
MAX_TEXT_CHARS: Final = 10_000
"""Of each text of a failure that others report; what is longer is cut."""


class Limits(msgspec.Struct, frozen=True):
    """`max_open_calls`: of one session, and `max_waiting` of the node: calls that await a run's end or a handler.

    `keepalive_s`: how long a connection may be silent before it is pinged, and how long the answer may take.
    """

    max_open_calls: int = 10_000
    max_waiting: int = 50_000
    max_streams: int = 10_000
    keepalive_s: float = 20.0
