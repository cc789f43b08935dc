"""The session: an etcd lease that says the node is alive, renewed by a thread while the node makes progress."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from understudy_runtime.cluster.etcd.endpoints import Endpoints
from understudy_runtime.core.membership import CoordinatorError

RENEWALS: Final = 3
"""In the life of a session that is not renewed."""

log = structlog.get_logger("understudy.cluster")


class Session:
    """`alive` is asked before each renewal. When etcd has ended the session, `again` is to begin it and take all that
    stands under it; it is called (on the session's thread) until it does not raise.

    Whatever goes wrong on the thread is logged, and tried again: at worst the session ends, and others take over.
    """

    def __init__(
        self, endpoints: Endpoints, ttl_s: float, alive: Callable[[], bool], again: Callable[[], None]
    ) -> None:
        self._endpoints = endpoints
        self._ttl_s = ttl_s
        self._alive = alive
        self._again = again
        self._ended = False
        """And what stood under it has not been taken again."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="understudy-session", daemon=True)
        self._deadline = 0.0
        self.id = ""

    @property
    def left_s(self) -> float:
        return 0.0 if self._ended else self._deadline - time.monotonic()

    def begin(self) -> None:
        """Get a lease from etcd. CoordinatorError if that fails."""
        before = time.monotonic()
        granted = self._endpoints.post("/lease/grant", {"TTL": str(max(1, round(self._ttl_s))), "ID": "0"})
        self.id = str(granted["ID"])
        # etcd may grant another time than was asked for, and its clock began at the latest when it answered.
        self._deadline = before + float(granted["TTL"])

    def keep(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Stop renewing and give the lease back, as far as etcd can be reached."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._deadline = 0.0
        try:
            self._endpoints.post("/lease/revoke", {"ID": self.id})
        except CoordinatorError as error:
            log.warning("the session could not be ended; it will end by itself", why=str(error))

    def _renew(self) -> None:
        while not self._stop.wait(self._ttl_s / RENEWALS):
            if not self._alive():
                continue
            try:
                self._begin_again() if self._ended else self._renew_once()
            except CoordinatorError as error:
                log.warning("the session was not renewed", left_s=round(self.left_s, 1), why=str(error))
            except Exception as fault:
                log.error("the session was not renewed", left_s=round(self.left_s, 1), why=repr(fault), exc_info=fault)

    def _renew_once(self) -> None:
        before = time.monotonic()
        answer = self._endpoints.post("/lease/keepalive", {"ID": self.id})
        # Without a result it says nothing of the session; without a time in it, there is none any more.
        ttl_s = float(answer["result"].get("TTL", 0))
        if ttl_s > 0:
            self._deadline = before + ttl_s
        else:
            self._ended = True
            self._begin_again()

    def _begin_again(self) -> None:
        self._again()
        self._ended = False
