"""The command line of the next release, as far as it can be known: this one, with what a next one may change changed.

`python -m tests.cluster.next_release node ...` is `understudy node ...` of a release that

* has one more migration of the PostgreSQL schema: a table, and a column in each table that there is;
* speaks its own version of the protocols of nodes and of workers, and this release's;
* writes what this one does not know: another field in each record of a journal row, in each message in an inbox and
  in each envelope to another node;
* calls itself 0.2.0.

`next_but_one_release` is the one after it: the same once more, and it speaks this release's protocols no longer.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any, Final

VERSION: Final = "0.2.0"
TABLES: Final = ("journal", "actor", "inbox", "blob", "shard")
MIGRATION: Final = (
    "".join(f"ALTER TABLE {{s}}.{name} ADD COLUMN later text DEFAULT 'later';" for name in TABLES)
    + "CREATE TABLE {s}.added (id integer PRIMARY KEY);"
)
UNKNOWN_FIELD: Final = b"\xfa\x7f\x05later"
"""Field 2047 of any protobuf message: a string."""


def call_itself(version: str) -> None:
    known = importlib.metadata.version

    def found(distribution_name: str) -> str:
        return version if distribution_name == "understudy" else known(distribution_name)

    importlib.metadata.version = found


def change(releases: int = 1) -> None:
    """Before anything of the runtime is at work."""
    from understudy_runtime.actors import journal
    from understudy_runtime.rpc import envelope_wire, peer_wire, work_wire
    from understudy_runtime.storage.postgres import schema

    more = ("SELECT 1;",) * (releases - 1)
    replace(schema, MIGRATIONS=(*schema.MIGRATIONS, MIGRATION, *more), LATEST=schema.LATEST + releases)
    replace(peer_wire, PROTO_MIN=peer_wire.PROTO_MAX + releases - 1, PROTO_MAX=peer_wire.PROTO_MAX + releases)
    replace(
        work_wire,
        PROTOCOL_MIN=work_wire.PROTOCOL_MAX + releases - 1,
        PROTOCOL_MAX=work_wire.PROTOCOL_MAX + releases,
    )
    replace(journal, _encode=saying_more(journal._encode))
    replace(envelope_wire, to_envelope=with_unknown_field(envelope_wire.to_envelope))


def replace(module: Any, **values: Any) -> None:
    for name, value in values.items():
        assert hasattr(module, name), f"{module.__name__} has no {name} any more: see what has become of it"
        setattr(module, name, value)


def saying_more(encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """Records and messages get a field."""
    import msgspec

    def encoded(value: Any) -> bytes:
        if isinstance(value, list):
            return b"[" + b",".join(map(encoded, value)) + b"]"  # pyright: ignore[reportUnknownArgumentType]
        body = encode(value)
        tagged = isinstance(value, msgspec.Struct) and value.__struct_config__.tag is not None
        return body[:-1] + b',"later":["unknown"]}' if tagged else body

    return encoded


def with_unknown_field(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def made(envelope: Any) -> Any:
        message = make(envelope)
        message.MergeFromString(UNKNOWN_FIELD)
        return message

    return made


if __name__ == "__main__":
    call_itself(VERSION)
    change()
    from understudy_runtime.cli import main

    main()
