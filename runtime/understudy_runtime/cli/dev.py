"""`understudy dev`: what can be typed."""

from __future__ import annotations

from typing import Annotated

import typer

from understudy_runtime.cli.node import ConfigFile, Http, Listen, Namespace, Store, Targets


def dev(
    targets: Targets,
    config: ConfigFile = "",
    store: Store = None,
    namespace: Namespace = None,
    listen: Listen = None,
    http: Http = None,
    cluster: Annotated[
        int,
        typer.Option(
            "--cluster", metavar="N", min=0, max=9, help="A whole cluster of N nodes, with etcd and PostgreSQL."
        ),
    ] = 0,
    watch: Annotated[
        list[str] | None, typer.Option("--watch", metavar="FOLDER", help="Look for changes there, too.")
    ] = None,
) -> None:
    """Run a node while its code is being written.

    When a Python file beside a TARGET changes the node is started again, and open runs go on with the new code. Every
    finished run is replayed in another process, to find code that is not deterministic. Options are those of `node`.

    --cluster 3 starts etcd, PostgreSQL and three nodes, at --listen and the ports after it. They keep what they have in
    .understudy/cluster. It is for trying things out: stop one of the nodes, and see the others go on.
    """
    options = {"--store": store, "--namespace": namespace, "--listen": listen, "--http": http, "--config": config}
    if cluster:
        from understudy_runtime.cli.trial import serve_cluster

        serve_cluster(targets, cluster, options, watch or [])
    from understudy_runtime.cli.reload import serve_and_reload

    given = [word for name, value in options.items() if value for word in (name, value)]
    serve_and_reload(targets, given, watch or [])
