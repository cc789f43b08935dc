"""What a node shows to other nodes when it calls them: its certificate and a token, from files.

They are read again at each call, so that renewal needs no restart.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
import msgspec

from understudy.errors import BadRequest
from understudy_runtime.rpc.limits import MAX_REQUEST_BYTES

_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", MAX_REQUEST_BYTES),
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Each call has a connection of its own, and pauses are the caller's.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)


class PeerAccess(msgspec.Struct, frozen=True):
    """Files. `ca`: PEM, the authorities of other nodes' certificates; `cert` and `key`: this node's own, where others
    ask for one; `token`: the token, of the role admin. None of the first three: plain text."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    token: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials | None:
        """None is plain text. BadRequest if a file cannot be read."""
        if not (self.ca or self.cert or self.key):
            return None
        return grpc.ssl_channel_credentials(_read(self.ca), _read(self.key), _read(self.cert))

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """BadRequest if the token's file cannot be read, or holds none."""
        if self.token is None:
            return ()
        try:
            token = (_read(self.token) or b"").decode("ascii").strip()
        except UnicodeDecodeError:
            token = ""
        if not token.isprintable() or not token:
            raise BadRequest(f"{self.token} holds no token")
        return (("authorization", f"Bearer {token}"),)


def peer_channel(address: str, access: PeerAccess) -> grpc.aio.Channel:
    """To be closed by the caller. BadRequest if a file of `access` cannot be read."""
    credentials = access.credentials()
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=_OPTIONS)
    return grpc.aio.secure_channel(address, credentials, options=_OPTIONS)


def _read(file: Path | None) -> bytes | None:
    try:
        return None if file is None else file.read_bytes()
    except OSError as error:
        raise BadRequest(f"{file}: {error.strerror}") from None
