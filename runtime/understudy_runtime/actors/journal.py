"""Journal rows: records to bytes and back, with large values kept apart as blobs.

A value over `INLINE_BYTES` is stored once per actor under its digest, and the row holds a reference in its place. The
row lists its references, so that a user's value that merely looks like one is left alone. Above this module
records always hold their values.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
import xxhash
from msgspec import Raw

from understudy_runtime.core.messages import AnyMessage
from understudy_runtime.core.ports import Blob, JournalRow
from understudy_runtime.core.records import AnyRecord, Turn

INLINE_BYTES: Final = 32 * 1024

Fetch = Callable[[Sequence[str]], Awaitable[dict[str, bytes]]]


class _Packed(msgspec.Struct, frozen=True):
    """The form of a row that has blobs; a plain row is just the array of its records."""

    blobs: list[str]
    records: Raw


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[AnyRecord]).decode
_decode_packed = msgspec.json.Decoder(_Packed).decode
_PACKED: Final = b'{"blobs":'


def encode(records: list[AnyRecord]) -> tuple[bytes, Sequence[Blob]]:
    body = _encode(records)
    if len(body) <= INLINE_BYTES:
        return body, ()
    blobs: dict[str, Blob] = {}
    # A row may be long for its many records: only a record that is itself large can hold a large value.
    light = [_without_blobs(record, blobs) if len(_encode(record)) > INLINE_BYTES else record for record in records]
    if not blobs:
        return body, ()
    return _encode(_Packed(list(blobs), Raw(_encode(light)))), tuple(blobs.values())


def decode(row: JournalRow, blobs: dict[str, bytes]) -> Turn:
    """The turn of a row whose blobs (`digests_of`) are at hand."""
    if not row.records.startswith(_PACKED):
        return Turn(row.seq, row.at, _decode(row.records))
    packed = _decode_packed(row.records)
    references = {bytes(_reference(digest)): Raw(blobs[digest]) for digest in packed.blobs}
    return Turn(row.seq, row.at, [_with_blobs(record, references) for record in _decode(packed.records)])


def digests_of(row: JournalRow) -> list[str]:
    return _decode_packed(row.records).blobs if row.records.startswith(_PACKED) else []


def encode_message(message: AnyMessage) -> bytes:
    return _encode(message)


async def decode_all(rows: Sequence[JournalRow], fetch: Fetch) -> list[Turn]:
    digests = sorted({digest for row in rows for digest in digests_of(row)})
    blobs = await fetch(digests) if digests else {}
    return [decode(row, blobs) for row in rows]


def _reference(digest: str) -> Raw:
    return Raw(_encode({"$blob": digest}))


def _without_blobs(value: Any, blobs: dict[str, Blob]) -> Any:
    """`value` with its large Raw fields replaced by references, at any depth of Structs and tuples."""
    if isinstance(value, Raw):
        body = bytes(value)
        if len(body) <= INLINE_BYTES:
            return value
        digest = xxhash.xxh128_hexdigest(body)
        blobs[digest] = Blob(digest, body)
        return _reference(digest)
    return _mapped(value, lambda part: _without_blobs(part, blobs))


def _with_blobs(value: Any, references: dict[bytes, Raw]) -> Any:
    if isinstance(value, Raw):
        return references.get(bytes(value), value)
    return _mapped(value, lambda part: _with_blobs(part, references))


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, msgspec.Struct):
        return type(value)(**{name: change(getattr(value, name)) for name in value.__struct_fields__})
    if isinstance(value, tuple):
        return tuple(map(change, value))  # pyright: ignore[reportUnknownArgumentType] - of what, nobody knows
    return value
