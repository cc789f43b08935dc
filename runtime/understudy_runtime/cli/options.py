"""Options that many commands have: where the runs are, which is a store's file or a node that listens."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Annotated, Any, Concatenate, Final, NamedTuple, ParamSpec

import typer

DEFAULT_STORE: Final = ".understudy/state.db"
DEFAULT_NAMESPACE: Final = "default"

P = ParamSpec("P")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Input = Annotated[
    str | None,
    typer.Option(
        "--input",
        metavar="JSON|@FILE",
        help="Arguments as JSON: an object names them, an array lists them, anything else is the only one. "
        "@FILE reads a file, @- standard input.",
    ),
]
StoreUrl = Annotated[
    str,
    typer.Option("--store", metavar="URL", envvar="UNDERSTUDY_STORE", help="A file, or sqlite:///path/to/file."),
]
Namespace = Annotated[str, typer.Option("--namespace", help="The namespace of the runs.")]


class Node(NamedTuple):
    """How to reach a node; empty is not given. An empty namespace is the node's own."""

    address: str
    namespace: str = ""
    token_file: str = ""
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""


class At(NamedTuple):
    """Where the runs are: at the node, or where there is none in the store."""

    node: Node | None
    store: str = DEFAULT_STORE
    namespace: str = DEFAULT_NAMESPACE


def connecting(command: Callable[Concatenate[Node, P], None]) -> Callable[..., None]:
    """The command with the options that say how to reach a node, which it cannot do without."""
    return _with(command, [_node_options], lambda given: _required(_node(given)))


def placed(command: Callable[Concatenate[At, P], None]) -> Callable[..., None]:
    """The command with the options that say where the runs are. An option counts before any variable."""
    return _with(command, [_store_options, _node_options], _at)


def _node_options(
    connect: Annotated[
        str,
        typer.Option("--connect", metavar="HOST:PORT", help="The node to ask. [variable: UNDERSTUDY_CONNECT]"),
    ] = "",
    namespace: Annotated[str, typer.Option("--namespace", help="The namespace of the runs.")] = "",
    token_file: Annotated[
        str,
        typer.Option(
            "--token-file", metavar="FILE", envvar="UNDERSTUDY_TOKEN_FILE", help="With the token to show to the node."
        ),
    ] = "",
    tls_ca: Annotated[
        str,
        typer.Option(
            "--tls-ca",
            metavar="FILE",
            envvar="UNDERSTUDY_TLS_CA",
            help="By TLS; PEM of the authority to trust.",
        ),
    ] = "",
    tls_cert: Annotated[str, typer.Option("--tls-cert", metavar="FILE", help="For mTLS: PEM.")] = "",
    tls_key: Annotated[str, typer.Option("--tls-key", metavar="FILE", help="For mTLS: PEM.")] = "",
) -> None: ...


def _store_options(
    store: Annotated[
        str,
        typer.Option("--store", metavar="URL", help="A file, or sqlite:///path/to/file. [variable: UNDERSTUDY_STORE]"),
    ] = "",
) -> None: ...


def _parameters(options: Callable[..., None]) -> list[inspect.Parameter]:
    signature = inspect.signature(options, eval_str=True)
    return [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in signature.parameters.values()]


def _with(
    command: Callable[Concatenate[Any, P], None],
    options: Sequence[Callable[..., None]],
    place: Callable[[dict[str, str]], Any],
) -> Callable[..., None]:
    """`command`, whose first parameter is made by `place` from what was typed for `options`."""
    added = [parameter for each in options for parameter in _parameters(each)]

    @wraps(command)
    def typed(**given: Any) -> None:
        where = {option.name: given.pop(option.name) for option in added}
        command(place(where), **given)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]

    signature = inspect.signature(command, eval_str=True)
    own = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in list(signature.parameters.values())[1:]]
    typed.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    typed.__annotations__ = {each.name: each.annotation for each in (*own, *added)} | {"return": None}
    return typed


def _node(given: dict[str, str]) -> Node | None:
    address = given["connect"] or os.environ.get("UNDERSTUDY_CONNECT", "")
    if not address:
        return None
    return Node(address, given["namespace"], given["token_file"], given["tls_ca"], given["tls_cert"], given["tls_key"])


def _required(node: Node | None) -> Node:
    if node is None:
        raise typer.BadParameter("this needs a node that runs; say where it listens", param_hint="--connect")
    return node


def _at(given: dict[str, str]) -> At:
    if given["store"] and given["connect"]:
        raise typer.BadParameter("the runs are in the one or at the other", param_hint="--store and --connect")
    node = None if given["store"] else _node(given)
    store = given["store"] or os.environ.get("UNDERSTUDY_STORE", "") or DEFAULT_STORE
    return At(node, store, given["namespace"] or DEFAULT_NAMESPACE)
