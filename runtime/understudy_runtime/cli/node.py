"""`understudy node` and `understudy tokens`: what can be typed. The rest is in the node's configuration."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from understudy_runtime.node.addresses import DEFAULT_ADDRESS


class Role(StrEnum):
    read = "read"
    operate = "operate"
    work = "work"
    admin = "admin"


class LogFormat(StrEnum):
    auto = "auto"
    pretty = "pretty"
    json = "json"


class LogLevel(StrEnum):
    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


Targets = Annotated[
    list[str],
    typer.Argument(metavar="TARGET...", help="Apps: path/to/file.py, package.module, or either with :NAME."),
]
ConfigFile = Annotated[
    str,
    typer.Option("--config", metavar="FILE", envvar="UNDERSTUDY_CONFIG", help="A TOML file; options count before it."),
]
Store = Annotated[
    str | None, typer.Option("--store", metavar="URL", help="A file, sqlite:///path/to/file, or postgresql://.")
]
Listen = Annotated[
    str | None,
    typer.Option("--listen", metavar="HOST:PORT", help=f"Where the gRPC door is [{DEFAULT_ADDRESS}]; port 0 is any."),
]
Http = Annotated[
    str | None, typer.Option("--http", metavar="HOST:PORT", help="Where /metrics, /livez and /readyz are [nowhere].")
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", help="The namespace of callers that name none [default].")
]
Grace = Annotated[
    float | None,
    typer.Option("--grace-s", metavar="SECONDS", help="How long running tasks may go on when asked to leave [30]."),
]


def node(
    targets: Targets,
    config: ConfigFile = "",
    store: Store = None,
    namespace: Namespace = None,
    listen: Listen = None,
    advertise: Annotated[
        str | None,
        typer.Option("--advertise", metavar="HOST:PORT", help="Where others reach the door [as it listens]."),
    ] = None,
    http: Http = None,
    name: Annotated[str | None, typer.Option("--name", help="The node's name [host name and process id].")] = None,
    grace_s: Grace = None,
    memory_mb: Annotated[
        int | None, typer.Option("--memory-mb", metavar="MIB", help="Actors kept in memory, reckoned [32].")
    ] = None,
    retention: Annotated[
        str | None,
        typer.Option(
            "--retention", metavar="DURATION", help="Delete runs so long after they closed, as in 30d [never]."
        ),
    ] = None,
    coroutines: Annotated[
        int | None, typer.Option("--coroutines", metavar="N", help="Async tasks that run at once [1000].")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", metavar="N", help="Plain tasks at once [32].")] = None,
    processes: Annotated[
        int | None, typer.Option("--processes", metavar="N", help="Isolated tasks at once [number of cores].")
    ] = None,
    run_tasks: Annotated[
        bool | None,
        typer.Option("--run-tasks/--no-run-tasks", help="Whether this node is a worker itself [it is]."),
    ] = None,
    tls_cert: Annotated[str | None, typer.Option("--tls-cert", metavar="PEM", help="The door's certificates.")] = None,
    tls_key: Annotated[str | None, typer.Option("--tls-key", metavar="PEM", help="Their key.")] = None,
    tls_client_ca: Annotated[
        str | None, typer.Option("--tls-client-ca", metavar="PEM", help="Whose client certificates are required.")
    ] = None,
    tokens: Annotated[
        str | None, typer.Option("--tokens", metavar="FILE", help="Who may do what; see `understudy tokens new`.")
    ] = None,
    etcd: Annotated[
        str | None,
        typer.Option("--etcd", metavar="URL,...", help="The etcd of this node's cluster [it is in none]."),
    ] = None,
    cluster: Annotated[
        str | None, typer.Option("--cluster", metavar="NAME", help="The name of the cluster [understudy].")
    ] = None,
    etcd_ca: Annotated[
        str | None, typer.Option("--etcd-ca", metavar="PEM", help="Authorities of etcd's certificate.")
    ] = None,
    etcd_cert: Annotated[
        str | None, typer.Option("--etcd-cert", metavar="PEM", help="What this node shows to etcd.")
    ] = None,
    etcd_key: Annotated[str | None, typer.Option("--etcd-key", metavar="PEM", help="Its key.")] = None,
    session_s: Annotated[
        float | None,
        typer.Option("--session-s", metavar="SECONDS", help="Silence after which others take over [10]."),
    ] = None,
    peer_ca: Annotated[
        str | None, typer.Option("--peer-ca", metavar="PEM", help="Authorities of the other nodes' certificates.")
    ] = None,
    peer_token: Annotated[
        str | None, typer.Option("--peer-token", metavar="FILE", help="The admin token for other nodes.")
    ] = None,
    insecure: Annotated[
        bool | None, typer.Option("--insecure", help="Let anybody who can connect do anything.")
    ] = None,
    log_format: Annotated[
        LogFormat | None, typer.Option("--log-format", help="pretty at a terminal, else json.")
    ] = None,
    log_level: Annotated[LogLevel | None, typer.Option("--log-level", help="The least that is logged [info].")] = None,
    check_replay: Annotated[
        bool, typer.Option("--check-replay", help="Replay every finished run in another process, as `dev` does.")
    ] = False,
    parent: Annotated[int, typer.Option("--parent", hidden=True)] = 0,
) -> None:
    """Run a node with the apps of TARGET, and serve it until it is asked to leave.

    SIGTERM or Ctrl-C: running tasks may end, the rest is handed back. A second one: at once. Each option can also be
    given as UNDERSTUDY_<NAME>, or in the --config file.
    """
    options: dict[str, Any] = {
        "store": store,
        "namespace": namespace,
        "listen": listen,
        "advertise": advertise,
        "http": http,
        "name": name,
        "grace_s": grace_s,
        "memory_mb": memory_mb,
        "retention": retention,
        "coroutines": coroutines,
        "threads": threads,
        "processes": processes,
        "run_tasks": run_tasks,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "tls_client_ca": tls_client_ca,
        "tokens": tokens,
        "etcd": etcd,
        "cluster": cluster,
        "etcd_ca": etcd_ca,
        "etcd_cert": etcd_cert,
        "etcd_key": etcd_key,
        "session_s": session_s,
        "peer_ca": peer_ca,
        "peer_token": peer_token,
        "insecure": insecure,
        "log_format": None if log_format is None else log_format.value,
        "log_level": None if log_level is None else log_level.value,
    }
    from understudy_runtime.cli.serve import serve

    serve(targets, options, config, check_replay=check_replay, parent=parent)


tokens = typer.Typer(help="Who may call a node.", no_args_is_help=True)


@tokens.command("new")
def new_token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whom it is for: shown in refusals, never sent.")],
    role: Annotated[list[Role], typer.Option("--role", help="read, operate (and read), work, or admin (all).")],
    file: Annotated[str, typer.Option("--file", metavar="FILE", help="Where its hash is added.")] = "tokens.toml",
) -> None:
    """Make a token: it is printed once, and only its hash is kept."""
    from pathlib import Path

    from understudy_runtime.cli.refusals import refusals
    from understudy_runtime.rpc.access import new_token

    with refusals():
        typer.echo(new_token(Path(file), name, [one.value for one in role]))
