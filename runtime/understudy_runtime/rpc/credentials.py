"""TLS of the door: from PEM files, which are read again when they have changed, so that renewal needs no restart."""

from __future__ import annotations

from pathlib import Path

import grpc
import structlog

from understudy.errors import BadRequest

log = structlog.get_logger("understudy.rpc")


class Certificates:
    """The door's own certificate, and the authorities of its clients (`client_ca` None: they need no certificate)."""

    def __init__(self, cert: Path, key: Path, client_ca: Path | None) -> None:
        self._cert = cert
        self._key = key
        self._client_ca = client_ca
        self._stamps = self._now()

    def credentials(self) -> grpc.ServerCredentials:
        """BadRequest if a file cannot be read, or holds no PEM."""
        return grpc.dynamic_ssl_server_credentials(
            self._read(),
            self._renewed,  # type: ignore[arg-type] # the stubs do not know that None means no change
            require_client_authentication=self._client_ca is not None,
        )

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked at every handshake, on a thread of grpc's. None: use what there is."""
        stamps = self._now()
        if stamps == self._stamps:
            return None
        self._stamps = stamps
        try:
            return self._read()
        except BadRequest as error:
            log.error("the new certificate cannot be used; the one before still is", why=str(error))
            return None

    def _read(self) -> grpc.ServerCertificateConfiguration:
        roots = None if self._client_ca is None else _pem(self._client_ca)
        return grpc.ssl_server_certificate_configuration([(_pem(self._key), _pem(self._cert))], roots)

    def _now(self) -> list[float]:
        files = [self._cert, self._key, *([self._client_ca] if self._client_ca is not None else [])]
        return [file.stat().st_mtime if file.exists() else 0.0 for file in files]


def _pem(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise BadRequest(f"{file}: {error.strerror}") from None
    if b"-----BEGIN " not in data:
        raise BadRequest(f"{file} is not in PEM form")
    return data
