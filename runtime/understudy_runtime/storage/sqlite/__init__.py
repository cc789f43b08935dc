"""The store of one machine: a SQLite file.

The file is the only truth. Who may write it is decided by the kernel (`lock`: a file lock that dies with its process)
and, should that ever fail, by the fence in the `shard` row, which every commit checks and which a newer term
takes away (`committer`). Anyone may read, at any time, from any process (`understudy_runtime.storage.reading`).
"""

from understudy_runtime.storage.sqlite.reader import Reader
from understudy_runtime.storage.sqlite.store import SqliteStore

__all__ = ["Reader", "SqliteStore"]
