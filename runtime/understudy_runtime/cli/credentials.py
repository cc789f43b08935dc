"""What is shown to a node: a token and certificates, from the files that options name."""

from __future__ import annotations

from pathlib import Path

import grpc

from understudy.errors import BadRequest


def token(file: Path | str | None) -> str:
    """The token in the file; empty if there is none."""
    return _read("--token-file", file).decode().strip() if file else ""


def channel_credentials(
    tls_ca: Path | str | None, tls_cert: Path | str | None, tls_key: Path | str | None
) -> grpc.ChannelCredentials | None:
    """None is plain text."""
    if not (tls_ca or tls_cert or tls_key):
        return None
    if bool(tls_cert) != bool(tls_key):
        raise BadRequest("--tls-cert and --tls-key need one another")
    return grpc.ssl_channel_credentials(
        _read("--tls-ca", tls_ca) if tls_ca else None,
        _read("--tls-key", tls_key) if tls_key else None,
        _read("--tls-cert", tls_cert) if tls_cert else None,
    )


def _read(option: str, file: Path | str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise BadRequest(f"{option} {file}: {error.strerror}") from None
