"""Who may do what: tokens and certificates, over real TLS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest

from tests.node.authority import Authority
from tests.node.nodes import Client, NodeProcess, Yard
from understudy.errors import BadRequest
from understudy_proto.v1 import actors_pb2, nodes_pb2, runs_pb2, sessions_pb2, workers_pb2
from understudy_runtime.rpc.access import AccessFile, Role, needed, new_token, read_access

ROLES: tuple[Role, ...] = ("read", "operate", "work", "admin")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def tokens(tmp_path: Path) -> dict[str, str]:
    """A token for each role, named after it."""
    return {role: new_token(tmp_path / "tokens.toml", role, [role]) for role in ROLES}


def guarded(yard: Yard, *options: str) -> NodeProcess:
    tls = ("--tls-cert", "node.pem", "--tls-key", "node.key", "--tokens", "tokens.toml")
    return yard.node("--listen", "0.0.0.0:0", "--advertise", "localhost:1", *tls, *options)


def client(node: NodeProcess, credentials: grpc.ChannelCredentials, token: str = "") -> Client:
    return Client(f"localhost:{node.address.rpartition(':')[2]}", token, credentials)


def code_of(calls: Client, *, list_only: bool = False) -> grpc.StatusCode:
    try:
        if list_only:
            calls.call("RunService/ListRuns", runs_pb2.ListRunsRequest(), runs_pb2.ListRunsResponse)
        else:
            calls.start("total", "[[1]]")
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_each_role_may_do_what_it_is_for_and_nobody_else_anything(
    yard: Yard, authority: Authority, tokens: dict[str, str]
) -> None:
    authority.issue("node", "localhost")
    node, trusted = guarded(yard), authority.trusted()
    ok, denied = grpc.StatusCode.OK, grpc.StatusCode.PERMISSION_DENIED
    may = {
        role: (code_of(client(node, trusted, token), list_only=True), code_of(client(node, trusted, token)))
        for role, token in tokens.items()
    }
    assert may == {"read": (ok, denied), "operate": (ok, ok), "work": (denied, denied), "admin": (ok, ok)}
    assert code_of(client(node, trusted)) == grpc.StatusCode.UNAUTHENTICATED
    assert code_of(client(node, trusted, tokens["admin"] + "x")) == grpc.StatusCode.UNAUTHENTICATED


def test_a_token_that_is_taken_out_of_the_file_is_void_at_once(
    yard: Yard, authority: Authority, tokens: dict[str, str]
) -> None:
    authority.issue("node", "localhost")
    calls = client(guarded(yard), authority.trusted(), tokens["operate"])
    assert code_of(calls) == grpc.StatusCode.OK
    (yard.at / "tokens.toml").write_text("")
    assert code_of(calls) == grpc.StatusCode.UNAUTHENTICATED


def test_with_mtls_the_name_in_a_certificate_gives_the_role(yard: Yard, authority: Authority) -> None:
    authority.issue("node", "localhost")
    authority.issue("operator", "operator.example.org")
    authority.issue("stranger", "stranger.example.org")
    (yard.at / "tokens.toml").write_text('[[certificate]]\nname = "operator.example.org"\nroles = ["operate"]\n')
    node = guarded(yard, "--tls-client-ca", "ca.pem")
    assert code_of(client(node, authority.trusted("operator"))) == grpc.StatusCode.OK
    assert code_of(client(node, authority.trusted("stranger"))) == grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(grpc.FutureTimeoutError):
        grpc.channel_ready_future(client(node, authority.trusted()).channel).result(timeout=1)


def test_a_renewed_certificate_is_used_without_a_restart(
    yard: Yard, authority: Authority, tokens: dict[str, str]
) -> None:
    authority.issue("node", "localhost")
    node = guarded(yard)
    assert code_of(client(node, authority.trusted(), tokens["operate"])) == grpc.StatusCode.OK
    renewed = Authority(yard.at)
    renewed.issue("node", "localhost")
    assert code_of(client(node, renewed.trusted(), tokens["operate"])) == grpc.StatusCode.OK


def test_tokens_guard_a_node_on_loopback_too(yard: Yard, tokens: dict[str, str]) -> None:
    node = yard.node("--tokens", "tokens.toml")
    assert code_of(node.client(tokens["operate"])) == grpc.StatusCode.OK
    assert code_of(node.client()) == grpc.StatusCode.UNAUTHENTICATED


def test_an_address_for_others_is_refused_without_them(yard: Yard) -> None:
    node = yard.node("--listen", "0.0.0.0:0")
    assert node.ended() == 2
    assert node.lines[0].startswith("understudy: --listen: '0.0.0.0:0' will not do: others could connect")


def test_the_command_prints_a_token_once_and_keeps_its_hash(yard: Yard) -> None:
    made = yard.command("tokens", "new", "ci", "--role", "operate")
    assert made.ended() == 0
    token = made.output.strip()
    path = yard.at / "tokens.toml"
    assert token not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    caller = read_access(path).by_token(token)
    assert caller is not None
    assert (caller.name, sorted(caller.roles)) == ("ci", ["operate", "read"])
    again = yard.command("tokens", "new", "ci", "--role", "read")
    assert again.ended() == 2
    assert "has a token named ci" in again.lines[0]


def test_a_file_that_breaks_leaves_what_it_said_before(tmp_path: Path, tokens: dict[str, str]) -> None:
    path = tmp_path / "tokens.toml"
    access = AccessFile(path)
    path.write_text("[[token")
    assert access().by_token(tokens["read"]) is not None


@pytest.mark.parametrize(
    "text",
    ['[[token]]\nname = "x"', '[[token]]\nname="x"\nroles=["king"]\nsha256="' + "0" * 64 + '"', "tokens = 1", "x"],
)
def test_a_file_that_cannot_be_understood_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(text)
    with pytest.raises(BadRequest, match=r"tokens\.toml is no tokens file"):
        read_access(path)


def methods() -> Sequence[str]:
    files = [f.DESCRIPTOR for f in (runs_pb2, actors_pb2, nodes_pb2, sessions_pb2, workers_pb2)]
    services = [service for file in files for service in file.services_by_name.values()]
    return [f"/{service.full_name}/{method.name}" for service in services for method in service.methods]


def test_only_draining_needs_the_highest_role() -> None:
    """A method that nobody gave a role needs admin: this says which do so on purpose."""
    assert [method for method in methods() if needed(method) == "admin"] == ["/understudy.v1.NodeService/DrainNode"]
