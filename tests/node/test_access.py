"""Who may do what: tokens and certificates, over real TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from tests.node.authority import Authority
from tests.node.nodes import PATIENCE_S, Client, NodeProcess, Yard
from understudy.errors import BadRequest
from understudy_proto.v1 import actors_pb2, nodes_pb2, runs_pb2, sessions_pb2, sessions_pb2_grpc, workers_pb2
from understudy_proto.v1.values_pb2 import Arguments
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


class Session:
    """Calls in one session, with a token, for as long as the node lets it be open."""

    def __init__(self, node: NodeProcess, token: str) -> None:
        self._channel = grpc.insecure_channel(node.address)
        stub: Any = sessions_pb2_grpc.SessionServiceStub(self._channel)
        self._requests = SimpleQueue[sessions_pb2.CallsRequest | None]()
        self._stream: Any = stub.Calls(
            iter(self._requests.get, None), metadata=(("authorization", f"Bearer {token}"),), timeout=PATIENCE_S
        )
        next(self._stream)
        self._count = 0

    def reason(self, **call: Message) -> str:
        """Why the call was refused; empty if it was answered. The stream's error if the session is over."""
        self._count += 1
        calls = [sessions_pb2.Call(number=self._count, **call)]  # type: ignore[arg-type]
        self._requests.put(sessions_pb2.CallsRequest(calls=calls))
        [result] = next(self._stream).results
        return str(result.error.reason)

    def close(self) -> None:
        self._requests.put(None)
        self._stream.cancel()
        self._channel.close()


@pytest.fixture
def session(yard: Yard, tokens: dict[str, str]) -> Iterator[Callable[[str], Session]]:
    """Opens one with the token of that role."""
    node, opened = yard.node("--tokens", "tokens.toml"), list[Session]()

    def open_one(role: str) -> Session:
        opened.append(Session(node, tokens[role]))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


START = runs_pb2.StartRunRequest(workflow="total", input=Arguments(json=b"[[1]]"), run_id="a")
GET = runs_pb2.GetRunRequest(run_id="a")


def test_in_a_session_each_call_needs_the_role_of_its_method(session: Callable[[str], Session]) -> None:
    reader, operator = session("read"), session("operate")
    assert reader.reason(start_run=START) == "PERMISSION_DENIED"
    assert reader.reason(get_run=GET) == "UNKNOWN_NAME"
    assert operator.reason(start_run=START) == ""
    assert reader.reason(get_run=GET) == ""
    with pytest.raises(grpc.RpcError) as refused:
        session("work")
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_a_session_is_over_when_its_token_is_taken_out_of_the_file(
    yard: Yard, session: Callable[[str], Session]
) -> None:
    operator = session("operate")
    assert operator.reason(start_run=START) == ""
    (yard.at / "tokens.toml").write_text("")
    with pytest.raises(grpc.RpcError) as refused:
        operator.reason(get_run=GET)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


def test_a_token_that_loses_a_role_loses_it_in_open_sessions_too(yard: Yard, session: Callable[[str], Session]) -> None:
    operator, path = session("operate"), yard.at / "tokens.toml"
    assert operator.reason(start_run=START) == ""
    path.write_text(path.read_text().replace('["operate"]', '["read"]'))
    assert operator.reason(start_run=START) == "PERMISSION_DENIED"
    assert operator.reason(get_run=GET) == ""


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


def worker(yard: Yard, node: NodeProcess, *options: str) -> NodeProcess:
    address = f"localhost:{node.address.rpartition(':')[2]}"
    return yard.command(
        "worker", "shop.py", "--connect", address, "--tls-ca", "ca.pem", "--log-format", "json", *options
    )


def test_a_worker_shows_its_token_over_tls_and_needs_the_role_to_work(
    yard: Yard, authority: Authority, tokens: dict[str, str]
) -> None:
    authority.issue("node", "localhost")
    node = guarded(yard, "--no-run-tasks")
    calls = client(node, authority.trusted(), tokens["operate"])
    run_id = calls.start("total", "[[1, 2]]")
    for role in ("operate", "work"):
        (yard.at / role).write_text(f"{tokens[role]}\n")
    refused = worker(yard, node, "--token-file", "operate")
    assert refused.ended() == 2
    assert "does not take this worker" in refused.said("understudy: ")
    bare = worker(yard, node)
    assert bare.ended() == 2
    worker(yard, node, "--token-file", "work")
    assert calls.result(run_id) == 3


def test_with_mtls_a_worker_is_known_by_its_certificate(yard: Yard, authority: Authority) -> None:
    authority.issue("node", "localhost")
    authority.issue("worker", "worker.example.org")
    authority.issue("operator", "operator.example.org")
    entry = '[[certificate]]\nname = "{0}.example.org"\nroles = ["{1}"]\n'
    (yard.at / "tokens.toml").write_text(entry.format("worker", "work") + entry.format("operator", "operate"))
    node = guarded(yard, "--tls-client-ca", "ca.pem", "--no-run-tasks")
    calls = client(node, authority.trusted("operator"))
    run_id = calls.start("total", "[[1, 2]]")
    refused = worker(yard, node, "--tls-cert", "operator.pem", "--tls-key", "operator.key")
    assert refused.ended() == 2
    worker(yard, node, "--tls-cert", "worker.pem", "--tls-key", "worker.key")
    assert calls.result(run_id) == 3


def test_a_worker_that_does_not_trust_the_node_keeps_trying_and_says_so(yard: Yard, authority: Authority) -> None:
    authority.issue("node", "localhost")
    new_token(yard.at / "tokens.toml", "work", ["work"])
    node = guarded(yard)
    Authority(yard.at)
    assert worker(yard, node).logged("not connected")["level"] == "warning"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--token-file", "missing"), "--token-file missing: No such file"),
        (("--tls-cert", "shop.py"), "--tls-cert and --tls-key need one another"),
        (("--connect", "nowhere"), "write host:port"),
    ],
)
def test_a_worker_that_cannot_even_try_says_why(yard: Yard, options: tuple[str, ...], why: str) -> None:
    refused = yard.command("worker", "shop.py", *options)
    assert refused.ended() == 2
    assert why in refused.lines[0]


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
