"""The bases of records and messages, and the values that both of them carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import Raw

NULL: Final = Raw(b"null")

if TYPE_CHECKING:
    MaybeRaw = Raw | None
else:
    # msgspec cannot decode `Raw | None` (it accepts only null). A field of plain Raw that defaults to None, in a Struct
    # that omits defaults, does what the union says.
    MaybeRaw = Raw

HeldWhy = Literal["diverged", "stalled", "poisoned", "uncertain"]
FailureKind = Literal["error", "timeout", "cancelled", "lost", "returned"]
"""`lost`: whoever ran it is gone. `returned`: whoever held it has given it back, which never costs an attempt."""


class Record(msgspec.Struct, frozen=True, tag=True, tag_field="t", omit_defaults=True):
    """The base of all records."""


class Input(Record, frozen=True):
    """Resolves something inside user code."""


class Command(Record, frozen=True):
    """Asked for by user code."""


class Note(Record, frozen=True):
    """Bookkeeping of the machine."""


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """How user code failed. `arguments` are the exception's, as a JSON array, where they could be encoded.

    `final` says that no policy may try again, for example because the result could not be encoded.
    """

    type: str
    message: str = ""
    traceback: str = ""
    arguments: MaybeRaw = None
    kind: FailureKind = "error"
    final: bool = False


class Sender(msgspec.Struct, frozen=True, omit_defaults=True):
    """The actor and the call inside it that await an answer."""

    key: str
    execution: int
    call: int


class Message(msgspec.Struct, frozen=True, tag=True, tag_field="t", omit_defaults=True):
    """The base of all messages."""
