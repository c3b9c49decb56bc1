"""Certificates of a test: an authority, and what it issues. Made when needed, in files of the test's directory."""

from __future__ import annotations

import base64
import datetime
import hashlib
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey
HOUR = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Issued:
    """A certificate with its key, and the files of both."""

    certificate: x509.Certificate
    secret: Key
    file: Path
    key: Path

    @property
    def pin(self) -> str:
        """As an operator would write it."""
        spki = self.secret.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(spki).digest()).decode()


class Authority:
    """Issues certificates into `directory`; `file` is its own."""

    def __init__(self, directory: Path, name: str = "authority", issuer: Authority | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._issuer = issuer
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        signer = issuer if issuer is not None else self
        builder = _builder(self._name, signer._name, self._key, HOUR, -HOUR)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
        )
        self.certificate = builder.sign(signer._key, hashes.SHA256())
        self.file = directory / f"{name}.pem"
        self.file.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def issue(
        self, host: str, *, file: str = "", lasts: datetime.timedelta = HOUR, began: datetime.timedelta = -HOUR
    ) -> Issued:
        """A certificate for a name or an address; with the intermediates behind it."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(x509.Name([]), self._name, key, lasts, began)
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(host)]), critical=True)
        made = builder.sign(self._key, hashes.SHA256())
        stem = file or host.replace(":", "-")
        files = self._directory / f"{stem}.pem", self._directory / f"{stem}.key"
        above = self.certificate.public_bytes(Encoding.PEM) if self._issuer is not None else b""
        files[0].write_bytes(made.public_bytes(Encoding.PEM) + above)
        files[1].touch(mode=0o600)
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return Issued(made, key, *files)


def encrypted(secret: Key) -> bytes:
    """The PEM of a key under a password."""
    return secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, lasts: datetime.timedelta, began: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return x509.CertificateBuilder(
        issuer, subject, key.public_key(), x509.random_serial_number(), now + began, now + lasts
    )


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
