"""Where the database is: the URL, taken apart once, and a name for it that never shows a password.

postgresql://user:password@host:5432/database        as every PostgreSQL client takes it, several hosts included
    ?schema=understudy      the schema that holds the tables, made if need be
    &shards=256             how many shards a new store gets; a store that exists keeps its own
    &pooler=1               a pooler in transaction mode is in between: found out by itself where it can be
    &sslmode=verify-full&target_session_attrs=read-write ...      are the driver's

Passwords are better kept out of it: PGPASSWORD and ~/.pgpass are read by the driver.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

import msgspec

from understudy.errors import BadRequest

SCHEMES: Final = ("postgresql://", "postgres://")
SCHEMA: Final = "understudy"
SHARDS: Final = 256
MAX_SHARDS: Final = 4096
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class Address(msgspec.Struct, frozen=True):
    """`dsn` is for the driver alone; `shown` is for people and logs. `shards`: of a store that is yet to be made."""

    dsn: str
    shown: str
    schema: str = SCHEMA
    shards: int = SHARDS
    pooler: bool = False


def parse(url: str) -> Address:
    """BadRequest, without the password, if the URL is none."""
    shown = "postgresql://..."
    try:
        parts = urlsplit(url)
        shown = _shown(parts)
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        _check_hosts(parts.netloc.rpartition("@")[2], given)
        schema = given.pop("schema", SCHEMA)
        if not _NAME.fullmatch(schema):
            raise ValueError("schema must be a lower-case SQL name")
        shards = _shards(given.pop("shards", str(SHARDS)))
        pooler = given.pop("pooler", "0")
        if pooler not in ("0", "1"):
            raise ValueError("pooler must be 0 or 1")
    except ValueError as error:
        raise BadRequest(f"not a store URL: {shown}: {error}; use postgresql://user@host:5432/database") from None
    dsn = urlunsplit(parts._replace(query=urlencode(given, quote_via=quote)))
    return Address(dsn, shown, schema, shards, pooler == "1")


def _check_hosts(hosts: str, given: dict[str, str]) -> None:
    if not hosts and "host" not in given:
        raise ValueError("it names no host")
    for each in hosts.split(",") if hosts else ():
        port = re.sub(r"^\[.*\]", "", each).rpartition(":")[2] if ":" in re.sub(r"^\[.*\]", "", each) else ""
        if port and not (port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError(f"the port of {each!r} is no number from 1 to 65535")


def _shards(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_SHARDS:
        raise ValueError(f"shards must be a number from 1 to {MAX_SHARDS}")
    return int(text)


def _shown(parts: SplitResult) -> str:
    """User, hosts and database; a password is left out, and so is all that follows a question mark."""
    user, at, hosts = parts.netloc.rpartition("@")
    return f"postgresql://{user.partition(':')[0]}{at}{hosts}{parts.path}"
