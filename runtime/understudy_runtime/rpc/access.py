"""Who may do what: roles, the methods that need them, and the file that gives them.

    read      look at runs, schedules, definitions and nodes
    operate   read; start, tell, ask, cancel, retry ... runs; complete and settle jobs; make and mind schedules;
              hold and mind resources
    work      take tasks and report on them
    admin     everything

The file is TOML. It holds no secrets: of a token only the hash is kept (a token is 32 random bytes, so there is nothing
to guess and no need for salt), of a client certificate the name that its authority vouches for.

    [[token]]
    name = "ci"
    roles = ["operate"]
    sha256 = "..."

    [[certificate]]
    name = "worker-7.example.org"
    roles = ["work"]
"""

from __future__ import annotations

import hashlib
import secrets
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import structlog

from understudy.errors import BadRequest

Role = Literal["read", "operate", "work", "admin"]

TOKEN_PREFIX: Final = "us_"
"""So that scanners for leaked secrets can know one."""
TOKEN_BYTES: Final = 32

_INCLUDED: Final[dict[Role, frozenset[Role]]] = {
    "read": frozenset({"read"}),
    "operate": frozenset({"read", "operate"}),
    "work": frozenset({"work"}),
    "admin": frozenset({"read", "operate", "work", "admin"}),
}

_READ: Final = (
    "RunService/GetRun",
    "RunService/ListRuns",
    "RunService/WaitRun",
    "RunService/ListTurns",
    "RunService/WatchRun",
    "ActorService/GetActor",
    "ActorService/ListActors",
    "JobService/ListJobs",
    "ScheduleService/GetSchedule",
    "ScheduleService/ListSchedules",
    "ResourceService/GetResource",
    "ResourceService/ListResources",
    "ResourceService/ListResourceTurns",
    "NodeService/ListNodes",
    "NodeService/ListShards",
    "NodeService/ListDefinitions",
    "SessionService/Calls",
)
_OPERATE: Final = (
    "RunService/StartRun",
    "RunService/StartAndWait",
    "RunService/CancelRun",
    "RunService/TerminateRun",
    "RunService/RetryRun",
    "RunService/ReleaseRun",
    "ActorService/Tell",
    "ActorService/Ask",
    "JobService/CompleteJob",
    "JobService/SettleJob",
    "ScheduleService/SetSchedule",
    "ScheduleService/PauseSchedule",
    "ScheduleService/ResumeSchedule",
    "ScheduleService/TriggerSchedule",
    "ScheduleService/BackfillSchedule",
    "ScheduleService/DeleteSchedule",
    "ResourceService/Acquire",
    "ResourceService/Renew",
    "ResourceService/Release",
    "ResourceService/OperateResource",
)
OPEN: Final = frozenset({"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"})
"""For anybody who can connect: load balancers have no tokens."""
REFLECTION: Final = "/grpc.reflection."

log = structlog.get_logger("understudy.rpc")


def needed(method: str) -> Role:
    """The role that a method needs, by its full name; one that nobody thought of needs admin.

    What opens a session is not more than it takes to look: each call in it needs the role of its own method.
    """
    return "read" if method.startswith(REFLECTION) else _NEEDED.get(method, "admin")


def _named(methods: Sequence[str], role: Role) -> dict[str, Role]:
    return {f"/understudy.v1.{method}": role for method in methods}


_NEEDED: Final[dict[str, Role]] = (
    _named(_READ, "read") | _named(_OPERATE, "operate") | _named(["WorkerService/Work"], "work")
)


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    roles: tuple[Role, ...]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`name` is the common name, or one of the alternative names, of a client's certificate."""

    name: str
    roles: tuple[Role, ...]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: tuple[Token, ...] = ()
    certificate: tuple[Certificate, ...] = ()


class Caller(msgspec.Struct, frozen=True):
    name: str
    roles: frozenset[Role]

    def may(self, method: str) -> bool:
        return needed(method) in self.roles


class Access:
    """What one reading of the file says."""

    def __init__(self, file: _File) -> None:
        self._tokens = {token.sha256: Caller(token.name, _all(token.roles)) for token in file.token}
        self._certificates = {entry.name: Caller(entry.name, _all(entry.roles)) for entry in file.certificate}

    def by_token(self, token: str) -> Caller | None:
        # The look-up is by the hash of what was sent, so its timing tells nothing about what would have been right.
        return self._tokens.get(digest(token))

    def by_certificate(self, names: Sequence[str]) -> Caller | None:
        return next((caller for name in names if (caller := self._certificates.get(name)) is not None), None)

    @property
    def knows_certificates(self) -> bool:
        return bool(self._certificates)


class AccessFile:
    """The file, read again when it has changed: a token that is taken out of it is void from the next call on."""

    def __init__(self, path: Path) -> None:
        """BadRequest if the file says nothing that can be understood."""
        self._path = path
        self._stamp = _stamp(path)
        self._access = read_access(path)

    def __call__(self) -> Access:
        """What counts now. A file that has become unreadable leaves things as they were, and is logged."""
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._access = read_access(self._path)
            except BadRequest as error:
                log.error("the tokens file cannot be used; what it said before still counts", why=str(error))
        return self._access


def read_access(path: Path) -> Access:
    """BadRequest names what is wrong with the file."""
    return Access(_read(path))


def new_token(path: Path, name: str, roles: Sequence[Role]) -> str:
    """A fresh token, whose hash is added to the file. BadRequest if the name is taken, or is none."""
    if not name or not all(char.isalnum() or char in "-_.@" for char in name):
        raise BadRequest(f"{name!r} is no name for a token: use letters, digits, '-', '_', '.' and '@'")
    known = _read(path) if path.exists() else _File()
    if any(token.name == name for token in known.token):
        raise BadRequest(f"{path} has a token named {name}; choose another name, or take that one out first")
    token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    listed = ", ".join(f'"{role}"' for role in roles)
    entry = f'[[token]]\nname = "{name}"\nroles = [{listed}]\nsha256 = "{digest(token)}"\n'
    _append(path, entry)
    return token


def digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _read(path: Path) -> _File:
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File)
    except OSError as error:
        raise BadRequest(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise BadRequest(f"{path} is no tokens file: {error}") from None


def _append(path: Path, entry: str) -> None:
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        with path.open("a", encoding="utf-8") as file:
            path.chmod(0o600)
            file.write(f"\n{entry}" if before else entry)
    except OSError as error:
        raise BadRequest(f"{path}: {error.strerror}") from None


def _all(roles: Sequence[Role]) -> frozenset[Role]:
    return frozenset[Role]().union(*(_INCLUDED[role] for role in roles))


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0, 0)
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)
