"""What a node is told when it starts: frozen values, from the command line, the environment and a TOML file.

The first of these that says something counts, field by field: the option (`--grace-s 10`), the variable
(`UNDERSTUDY_GRACE_S=10`), the file (`grace_s = 10`), the default. Everything is checked once, here, and nothing else
reads the environment. No field is a secret: the tokens file holds hashes, and keys are named by their files.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from understudy.errors import BadRequest
from understudy.options import seconds
from understudy_runtime.node.addresses import DEFAULT_ADDRESS, DEFAULT_PORT, Address, parse_address
from understudy_runtime.node.retention import LEAST_S
from understudy_runtime.storage.urls import is_database

ENV_PREFIX: Final = "UNDERSTUDY_"
_FILES: Final = (
    "tls_cert", "tls_key", "tls_client_ca", "tokens", "etcd_ca", "etcd_cert", "etcd_key", "peer_ca", "peer_token",
)  # fmt: skip


class BadConfig(BadRequest):
    """A value that cannot be. The message names the field and where its value came from."""


class NodeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Each field with its meaning and unit, and what more of it costs."""

    store: str = ".understudy/state.db"
    """URL or path of the store. A file that two nodes name is had by the first only."""
    namespace: str = "default"
    """Where the runs of callers that name no namespace are."""
    listen: str = DEFAULT_ADDRESS
    """host:port of the gRPC door; port 0 is any free one. Other than loopback it needs TLS and tokens."""
    advertise: str = ""
    """host:port at which clients and other nodes reach the door. Empty: as `listen` says."""
    http: str = ""
    """host:port of /metrics, /livez and /readyz, in plain HTTP. Empty: not served."""
    etcd: str = ""
    """URLs of etcd, separated by commas: this node is one of a cluster, which shares a database as its `store`.
    Empty: it has the store for itself."""
    cluster: str = "understudy"
    """The name of the cluster, of which there may be several in one etcd."""
    etcd_ca: str = ""
    """PEM file with the authorities of etcd's certificate."""
    etcd_cert: str = ""
    """PEM file with the certificate that this node shows to etcd. Needs `etcd_key`."""
    etcd_key: str = ""
    """PEM file with the key of `etcd_cert`."""
    session_s: float = 10.0
    """Seconds without a sign of life after which the other nodes of the cluster take over. On a busy machine, less than
    5 costs false alarms."""
    peer_ca: str = ""
    """PEM file with the authorities of the other nodes' certificates. To them, this node shows `tls_cert`."""
    peer_token: str = ""
    """File with the token, of the role admin, that this node shows to the others."""
    name: str = ""
    """The node's name in logs and lists, unique among nodes that live. Empty: host name and process id."""
    grace_s: float = 30.0
    """Seconds that running tasks get to end in when the node is asked to leave. As long lasts a deploy, at most."""
    memory_mb: int = 32
    """MiB (reckoned) of actors kept in memory. Less means more reading from the store; it is no hard limit."""
    retention: str = ""
    """How long a run is kept after it has closed, such as "30d"; 10 minutes at least. Then it is deleted with its
    history and its values, and its id is free. Empty: for ever, because what is deleted cannot be had back; then the
    store grows with every run."""
    coroutines: int = 1_000
    """`async def` tasks that run at once. Each costs some 10 kB, and what its code opens."""
    threads: int = 32
    """`def` tasks that run at once, each in a thread (some 100 kB)."""
    processes: int = 0
    """`isolate="process"` tasks that run at once, each in a process (20 MB and up). 0: as many as there are cores."""
    run_tasks: bool = True
    """Whether this node is a worker, too. If not, all tasks are left to `understudy worker`s."""
    log_format: Literal["auto", "pretty", "json"] = "auto"
    """auto: pretty where standard error is a terminal, else JSON, one object a line."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""
    tls_cert: str = ""
    """PEM file with the door's certificate chain. Needs `tls_key`."""
    tls_key: str = ""
    """PEM file with the key of `tls_cert`."""
    tls_client_ca: str = ""
    """PEM file with the authorities whose client certificates are asked for: mTLS. Empty: clients need none."""
    tokens: str = ""
    """TOML file that says who may do what (see `understudy tokens new`). Empty: everybody may do everything."""
    insecure: bool = False
    """Listen on other than loopback without TLS and tokens. Costs all the safety there is: whoever can connect may run
    the tasks."""

    @property
    def etcd_urls(self) -> tuple[str, ...]:
        return tuple(url.strip().rstrip("/") for url in self.etcd.split(",") if url.strip())

    @property
    def address(self) -> Address:
        return parse_address(self.listen)

    @property
    def retention_s(self) -> float | None:
        """None: for ever. BadRequest if it is no duration."""
        return seconds(self.retention) if self.retention else None


class Source(NamedTuple):
    """Where values come from. `names` says what a field is called there."""

    values: Mapping[str, Any]
    where: str

    def name(self, field: str) -> str:
        match self.where:
            case "option":
                return f"--{field.replace('_', '-')}"
            case "environment":
                return f"{ENV_PREFIX}{field.upper()}"
            case file:
                return f"{field} in {file}"


def load_config(options: Mapping[str, Any], environment: Mapping[str, str], file: str = "") -> NodeConfig:
    """The configuration; options that are None say nothing. BadConfig names the field and the source at fault."""
    sources = [
        Source({name: value for name, value in options.items() if value is not None}, "option"),
        Source(_from_environment(environment), "environment"),
    ]
    if file:
        sources.append(Source(_from_file(file), file))
    values: dict[str, Any] = {}
    names: dict[str, str] = {}
    for field in msgspec.structs.fields(NodeConfig):
        for source in sources:
            if field.name in source.values:
                names[field.name] = source.name(field.name)
                values[field.name] = _converted(source.values[field.name], field.type, names[field.name])
                break
    config = NodeConfig(**values)
    _check(config, names)
    return config


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Empty variables say nothing. Others with our prefix (UNDERSTUDY_TEST_...) are somebody else's."""
    fields = msgspec.structs.fields(NodeConfig)
    found = {field.name: environment.get(f"{ENV_PREFIX}{field.name.upper()}", "") for field in fields}
    return {name: value for name, value in found.items() if value}


def _from_file(file: str) -> dict[str, Any]:
    try:
        values = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfig(f"--config {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"--config {file}: not TOML: {error}") from None
    known = [field.name for field in msgspec.structs.fields(NodeConfig)]
    for name in values:
        if name not in known:
            raise BadConfig(f"{name} in {file}: there is no such field; there are: {', '.join(known)}")
    return values


def _converted(value: Any, kind: Any, name: str) -> Any:
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadConfig(f"{name}: {value!r} will not do: {str(error)[:1].lower()}{str(error)[1:]}") from None


def _check(config: NodeConfig, names: Mapping[str, str]) -> None:
    def require(field: str, holds: bool, why: str) -> None:
        if not holds:
            source = names.get(field, f"--{field.replace('_', '-')} (by default)")
            raise BadConfig(f"{source}: {getattr(config, field)!r} will not do: {why}")

    for field in ("listen", "advertise", "http"):
        value = getattr(config, field)
        if value or field == "listen":
            examples = f"{DEFAULT_ADDRESS} or [::1]:{DEFAULT_PORT}"
            require(field, parse_address(value).valid, f"write host:port, such as {examples}")
    require("namespace", 0 < len(config.namespace) <= 64 and "/" not in config.namespace, "1 to 64 characters, no '/'")
    require("name", "/" not in config.name and len(config.name) <= 200, "up to 200 characters, no '/'")
    try:
        kept_long_enough = config.retention_s is None or config.retention_s >= LEAST_S
    except BadRequest:
        kept_long_enough = False
    require("retention", kept_long_enough, 'a duration of 10 minutes at least, such as "30d" or "12h"')
    require("grace_s", 0 <= config.grace_s <= 86_400, "from 0 to 86400 seconds")
    require("memory_mb", config.memory_mb >= 1, "1 MiB is the least")
    require("coroutines", 1 <= config.coroutines <= 100_000, "from 1 to 100000")
    require("threads", 1 <= config.threads <= 10_000, "from 1 to 10000")
    require("processes", 0 <= config.processes <= 1_000, "from 0 to 1000")
    require("tls_key", bool(config.tls_key) == bool(config.tls_cert), "tls_cert and tls_key need one another")
    require("tls_client_ca", not config.tls_client_ca or bool(config.tls_cert), "it needs tls_cert and tls_key")
    require("etcd_key", bool(config.etcd_key) == bool(config.etcd_cert), "etcd_cert and etcd_key need one another")
    require("session_s", 1 <= config.session_s <= 600, "from 1 to 600 seconds")
    require(
        "etcd",
        all(url.startswith(("http://", "https://")) for url in config.etcd_urls),
        "write URLs with commas between them, such as http://10.0.0.1:2379,http://10.0.0.2:2379",
    )
    require(
        "store", not config.etcd or is_database(config.store), "the nodes of a cluster share a postgresql:// database"
    )
    require("cluster", 0 < len(config.cluster) <= 64 and "/" not in config.cluster, "1 to 64 characters, no '/'")
    for field in _FILES:
        value = getattr(config, field)
        require(field, not value or Path(value).is_file(), "there is no such file")
    require(
        "listen",
        config.insecure or config.address.loopback or bool(config.tls_cert and config.tokens),
        "others could connect, so it needs --tls-cert, --tls-key and --tokens (or --insecure, where nobody else can)",
    )
