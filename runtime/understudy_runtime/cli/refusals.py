"""From errors to one clear line and an exit code: nobody should need a traceback to learn that a name was wrong."""

from __future__ import annotations

import traceback
from collections.abc import Generator
from contextlib import contextmanager

from understudy.errors import BadRequest, NotAllowed, Overloaded, StoreError, Unreachable
from understudy_runtime.cli.output import BAD_USAGE, FAILED, INTERRUPTED, leave, note
from understudy_runtime.core.membership import CoordinatorError


@contextmanager
def refusals() -> Generator[None, None, None]:
    """Whatever the caller, the network or the store's machine has to put right is one line and exit code 2."""
    try:
        yield
    except (BadRequest, NotAllowed, Unreachable, StoreError, Overloaded, CoordinatorError) as error:
        note(f"understudy: {one_line(error)}")
        leave(BAD_USAGE)
    except KeyboardInterrupt:
        note("understudy: interrupted before anything was started")
        leave(INTERRUPTED)
    except Exception:  # a fault of ours; threads of a half-closed node must not keep the process
        traceback.print_exc()
        leave(FAILED)


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
