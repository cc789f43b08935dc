"""A certificate authority for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class Authority:
    """Writes `ca.pem`, and NAME.pem and NAME.key of what it issues, in the folder `at`."""

    def __init__(self, at: Path) -> None:
        self._at = at
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("test authority")
        made = self._certificate(self._name, self._key.public_key())
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._pem = made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        (at / "ca.pem").write_bytes(self._pem)

    def issue(self, name: str, host: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._certificate(_named(host), key.public_key())
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        pem = made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        (self._at / f"{name}.pem").write_bytes(pem)
        (self._at / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def trusted(self, name: str = "") -> grpc.ChannelCredentials:
        """Credentials of a client that trusts this authority, with the certificate of that name if one is given."""
        if not name:
            return grpc.ssl_channel_credentials(self._pem)
        key, pem = (self._at / f"{name}.key").read_bytes(), (self._at / f"{name}.pem").read_bytes()
        return grpc.ssl_channel_credentials(self._pem, key, pem)

    def _certificate(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - DAY,
            not_valid_after=now + DAY,
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
