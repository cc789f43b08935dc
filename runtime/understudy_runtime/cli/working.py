"""What `understudy worker` does once it has been understood."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Literal, cast

import msgspec

from understudy.errors import BadRequest
from understudy.options import checked_label, checked_labels
from understudy.target import load_app
from understudy_runtime.cli.credentials import channel_credentials, token
from understudy_runtime.cli.output import SUCCEEDED, leave
from understudy_runtime.cli.refusals import refusals
from understudy_runtime.node import logs
from understudy_runtime.node.addresses import DEFAULT_ADDRESS, parse_address
from understudy_runtime.node.worker import WorkerSettings, work


class Asked(msgspec.Struct, frozen=True):
    """The command's options, as they were typed."""

    targets: list[str]
    connect: str
    slots: int
    queues: list[str]
    labels: list[str]
    name: str
    namespace: str
    grace_s: float
    tls_ca: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    token_file: Path | None
    log_format: str


def run_worker(asked: Asked) -> None:
    with refusals():
        settings = _settings(asked)
        apps = [load_app(target) for target in asked.targets]
        writer = logs.configure(cast("Literal['auto', 'pretty', 'json']", asked.log_format), "info", settings.name)
        settings = msgspec.structs.replace(settings, logs=writer.style)
        # Not asyncio.run: it would wait for threads that user code has left behind.
        asyncio.new_event_loop().run_until_complete(work(apps, settings))
        leave(SUCCEEDED)


def _settings(asked: Asked) -> WorkerSettings:
    if not parse_address(asked.connect).valid:
        raise BadRequest(f"--connect {asked.connect}: write host:port, such as {DEFAULT_ADDRESS}")
    if asked.log_format not in ("auto", "pretty", "json"):
        raise BadRequest(f"--log-format {asked.log_format}: give auto, pretty or json")
    return WorkerSettings(
        asked.connect,
        asked.name or f"{socket.gethostname()}-{os.getpid()}",
        asked.slots,
        asked.namespace,
        tuple(checked_label(queue) for queue in asked.queues),
        checked_labels(asked.labels),
        asked.grace_s,
        token(asked.token_file),
        channel_credentials(asked.tls_ca, asked.tls_cert, asked.tls_key),
    )
