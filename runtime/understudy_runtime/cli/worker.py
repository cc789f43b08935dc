"""`understudy worker`: run tasks for a node somewhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from understudy_runtime.node.addresses import DEFAULT_ADDRESS


def worker(
    targets: Annotated[
        list[str], typer.Argument(metavar="TARGET...", help="Where the tasks are: path/to/file.py or package.module.")
    ],
    connect: Annotated[
        str, typer.Option("--connect", metavar="HOST:PORT", envvar="UNDERSTUDY_CONNECT", help="The node to work for.")
    ] = DEFAULT_ADDRESS,
    slots: Annotated[int, typer.Option("--slots", min=1, max=100_000, help="Attempts to run at once.")] = 32,
    queue: Annotated[
        list[str] | None, typer.Option("--queue", help="Draw from this queue; may be repeated. Default: default.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME[=VALUE]", help="What tasks may ask for; may be repeated."),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="For people. Default: host and process id.")] = "",
    namespace: Annotated[str, typer.Option("--namespace", help="Only tasks of this namespace.")] = "",
    grace: Annotated[
        float, typer.Option("--grace-s", min=0, help="Seconds that running tasks get to end in after SIGTERM.")
    ] = 30.0,
    tls_ca: Annotated[
        Path | None, typer.Option("--tls-ca", metavar="FILE", help="Connect by TLS; PEM of the authority to trust.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", metavar="FILE", help="For mTLS: PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="For mTLS: PEM.")] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="A file with the token to show to the node.")
    ] = None,
    log_format: Annotated[str, typer.Option("--log-format", help="auto, pretty or json.")] = "auto",
) -> None:
    """Run tasks for a node: no engine, no store. SIGTERM lets what runs end; a second one stops at once."""
    from understudy_runtime.cli.working import Asked, run_worker

    run_worker(
        Asked(
            targets,
            connect,
            slots,
            queue or [],
            label or [],
            name,
            namespace,
            grace,
            tls_ca,
            tls_cert,
            tls_key,
            token_file,
            log_format,
        )
    )
