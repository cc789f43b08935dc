"""etcd3gw with what it lacks: several endpoints, timeouts, and a reader of watches that ends rather than dies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
from etcd3gw import Etcd3Client
from etcd3gw.exceptions import ConnectionFailedError, ConnectionTimeoutError, Etcd3Exception, InternalServerError

from understudy_runtime.core.membership import CoordinatorError

T = TypeVar("T")

TIMEOUT_S: Final = 2.0
"""Of one request to one endpoint. A session must survive an endpoint that does not answer."""
AWAY: Final = (ConnectionFailedError, ConnectionTimeoutError, InternalServerError, requests.RequestException, OSError)
SAFE: Final = ((3, 5, 28), (3, 6, 9))
"""The first release of each line without known faults in leases and consistency."""


class Tls(msgspec.Struct, frozen=True):
    """PEM files: the authority that etcd's certificate is checked by, and this node's own certificate and key."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None


class Endpoints:
    """The members of an etcd cluster; whichever answered last is asked first. For one thread at a time."""

    def __init__(self, urls: list[str], tls: Tls, timeout_s: float = TIMEOUT_S) -> None:
        if not urls:
            raise CoordinatorError("no etcd endpoint is given; give one or more, as in http://127.0.0.1:2379")
        self.urls = urls
        self._clients = [_client(url, tls, timeout_s) for url in urls]

    def call(self, ask: Callable[[Etcd3Client], T]) -> T:
        """What the first endpoint that can be reached says. CoordinatorError if none can, or if it refuses."""
        problems: list[str] = []
        for _ in range(len(self._clients)):
            client = self._clients[0]
            try:
                return ask(client)
            except AWAY as error:
                problems.append(f"{client.base_url}: {_what(error)}")
                self._clients.append(self._clients.pop(0))
            except Etcd3Exception as error:
                raise CoordinatorError(f"etcd at {client.base_url} refuses: {_what(error)}") from error
        raise CoordinatorError("etcd cannot be reached: " + "; ".join(problems))

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self.call(lambda client: client.post(client.get_url(path), json=body))

    def watch(self, body: dict[str, Any], silence_s: float) -> Iterator[dict[str, Any]]:
        """The responses of a watch, until it ends, fails, or says nothing for `silence_s`."""

        def begin(client: Etcd3Client) -> requests.Response:
            url = client.get_url("/watch")
            # The library's own watcher waits for ever, and its thread dies of the first chunk that is not one line.
            return client.session.post(url, json={"create_request": body}, stream=True, timeout=(TIMEOUT_S, silence_s))

        response = self.call(begin)
        try:
            for line in response.iter_lines():
                if line.strip():
                    yield json.loads(line)
        except (*AWAY, ValueError):
            return
        finally:
            response.close()

    @property
    def version(self) -> str:
        status: Any = self.call(lambda client: client.status())
        return str(status["version"])


def is_safe(version: str) -> bool:
    """Whether this release of etcd is free of the faults that are known to break leases."""
    parts = tuple(int(part) for part in version.split("-")[0].split(".") if part.isdigit())
    for first in SAFE:
        if parts[:2] == first[:2]:
            return parts >= first
    return parts > SAFE[-1]


def _client(url: str, tls: Tls, timeout_s: float) -> Etcd3Client:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CoordinatorError(f"{url!r} is no etcd endpoint; write it as http://host:2379")
    return Etcd3Client(
        parts.hostname,
        parts.port or 2379,
        protocol=parts.scheme,
        ca_cert=tls.ca,
        cert_cert=tls.cert,
        cert_key=tls.key,
        timeout=timeout_s,
        api_path="/v3/",
    )


def _what(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
