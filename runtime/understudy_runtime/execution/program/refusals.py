"""What a run's loop refuses: everything that a restart could not repeat.

Sockets, files, processes, signals, threads and other loops give answers that no journal holds. Each
is refused by name with `NotDurable`, a RuntimeError: a NotImplementedError would make asyncio and
anyio fall back to hidden threads, whose results never arrive. Handlers for unretrieved exceptions and
task factories are refused because the garbage collector or foreign classes would decide what runs.
"""

from __future__ import annotations

import asyncio
from typing import Any, Never

from understudy.errors import NotDurable

_IN_A_TASK = "put this in a task (a function decorated with @app.task) and await the task instead"
USE_THE_LOOP = (
    "write asyncio.Future(), asyncio.get_running_loop().create_future() or asyncio.create_task(...), "
    "and import asyncio rather than names from it"
)
USE_EAGER_START = "start each task with create_task(..., eager_start=True) instead"


def not_durable(what: str, remedy: str = _IN_A_TASK) -> NotDurable:
    return NotDurable(f"{what} cannot be used in workflow code, because a restart could not repeat it; {remedy}")


def _refused(name: str, remedy: str = _IN_A_TASK) -> Any:
    def refuse(self: asyncio.AbstractEventLoop, *args: object, **kwargs: object) -> Never:
        raise not_durable(f"loop.{name}()", remedy)

    refuse.__name__ = name
    return refuse


class Refusals(asyncio.AbstractEventLoop):
    """The refused half of the event loop's interface; `WorkflowLoop` is the other half."""

    __slots__ = ()

    run_forever = _refused("run_forever")
    run_until_complete = _refused("run_until_complete")
    stop = _refused("stop")
    close = _refused("close")
    shutdown_asyncgens = _refused("shutdown_asyncgens")
    shutdown_default_executor = _refused("shutdown_default_executor")

    run_in_executor = _refused("run_in_executor")
    set_default_executor = _refused("set_default_executor")
    set_task_factory = _refused("set_task_factory", USE_EAGER_START)
    set_exception_handler = _refused("set_exception_handler")
    default_exception_handler = _refused("default_exception_handler")

    getaddrinfo = _refused("getaddrinfo")
    getnameinfo = _refused("getnameinfo")
    create_connection = _refused("create_connection")
    create_server = _refused("create_server")
    create_unix_connection = _refused("create_unix_connection")
    create_unix_server = _refused("create_unix_server")
    create_datagram_endpoint = _refused("create_datagram_endpoint")
    connect_accepted_socket = _refused("connect_accepted_socket")
    start_tls = _refused("start_tls")
    sendfile = _refused("sendfile")

    sock_recv = _refused("sock_recv")
    sock_recv_into = _refused("sock_recv_into")
    sock_recvfrom = _refused("sock_recvfrom")
    sock_recvfrom_into = _refused("sock_recvfrom_into")
    sock_sendall = _refused("sock_sendall")
    sock_sendto = _refused("sock_sendto")
    sock_sendfile = _refused("sock_sendfile")
    sock_connect = _refused("sock_connect")
    sock_accept = _refused("sock_accept")

    connect_read_pipe = _refused("connect_read_pipe")
    connect_write_pipe = _refused("connect_write_pipe")
    subprocess_shell = _refused("subprocess_shell")
    subprocess_exec = _refused("subprocess_exec")

    add_reader = _refused("add_reader")
    remove_reader = _refused("remove_reader")
    add_writer = _refused("add_writer")
    remove_writer = _refused("remove_writer")
    add_signal_handler = _refused("add_signal_handler")
    remove_signal_handler = _refused("remove_signal_handler")

    # Libraries ask and set these unasked, so they get the answer of a loop that has nothing of the kind.

    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:
        """Ignored."""

    def get_task_factory(self) -> None:
        return None

    def get_exception_handler(self) -> None:
        return None
