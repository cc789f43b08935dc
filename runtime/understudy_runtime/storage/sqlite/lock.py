"""The lock that keeps a second process from writing the same file.

The kernel is authoritative: an exclusive `flock` on `<file>.lock`, which ends with its process, `kill -9` included.
The pid in the file only tells people whom to ask. The file itself stays: removing it would let two
processes lock two different files of the same name.

A forked child shares the parent's lock, so it closes its copy at once; an exec'ed one never sees it.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path

from understudy.errors import StoreError


class FileLock:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self) -> None:
        """StoreError if another process, or another store of this one, holds it."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"cannot make the lock file {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            os.close(fd)
            raise StoreError(_taken(self.path, holder)) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd
        _held.add(self)

    def release(self) -> None:
        if self._fd is not None:
            # A child that was forked a moment ago may have its copy open still: closing ours would not unlock the file.
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        self.forget()

    def forget(self) -> None:
        """Close this process's copy of the lock, which is kept if another has one."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        _held.discard(self)

    @property
    def held(self) -> bool:
        return self._fd is not None


def _taken(lock: Path, holder: str) -> str:
    store = lock.with_suffix("")
    if holder == str(os.getpid()):
        return f"store {store} is already open for writing in this process: share that node, or close it first"
    who = f"process {holder}" if holder else "another process"
    return (
        f"store {store} is open for writing in {who}: end it first, or use another --store (reading is always allowed)"
    )


_held: weakref.WeakSet[FileLock] = weakref.WeakSet()
"""Module state, because the kernel's fork hook knows no objects."""


def _release_in_child() -> None:
    for lock in list(_held):
        lock.forget()


os.register_at_fork(after_in_child=_release_in_child)
