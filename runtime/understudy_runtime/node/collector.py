"""Python's garbage collector, kept from stopping the node: for processes that are a node and nothing else.

A full collection looks at every object there is, and no thread goes on meanwhile: with the code of a node, of gRPC and
of user modules loaded that was 30 to 50 ms, each second or two under load, and a tenth of the processor. Nothing
that was loaded at the start ever becomes garbage, so it is put out of the collector's sight. What runs leave behind
holds no circles, so that the collector finds next to nothing, and need not look as often as it would.
"""

from __future__ import annotations

import gc
from typing import Final

THRESHOLDS: Final = (5_000, 10, 10)
"""Python's own are 700 (2,000 in 3.13) objects made and not freed; every tenth collection is a larger one."""


def settle() -> None:
    """Called once what stays for good is loaded. It takes some 50 ms, in which nothing else goes on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
