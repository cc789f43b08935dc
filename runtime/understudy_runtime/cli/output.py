"""Where words go: results to standard output, everything else to standard error.

User code may print, in this process or in its children. So while a command runs, file descriptor 1 *is* standard
error, and the one result is written to the real standard output, which is kept aside.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, NoReturn

SUCCEEDED: Final = 0
FAILED: Final = 1
BAD_USAGE: Final = 2
CANCELLED_OR_HELD: Final = 3
INTERRUPTED: Final = 130


class Output:
    """The real standard output, kept for results."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @property
    def at_terminal(self) -> bool:
        return os.isatty(self._fd)

    def result(self, text: str) -> None:
        """Write one result; a reader that has gone away (`| head`) is no error."""
        data = memoryview(f"{text}\n".encode("utf-8", "surrogateescape"))
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except BrokenPipeError:
            return


@contextmanager
def results_only() -> Generator[Output, None, None]:
    """Keep standard output for results: whatever else is printed meanwhile goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield Output(kept)
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def note(text: str) -> None:
    """Say something to the person at the terminal."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def leave(code: int) -> NoReturn:
    """End the process now, with everything printed.

    User code may have left threads behind that never end, and the interpreter would wait for them; what must be
    durable is durable by now.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
