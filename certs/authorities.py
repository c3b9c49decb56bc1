"""The authorities that may vouch for a peer: a bundle of certificates in one PEM file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.chains import load_certificates


@dataclass(frozen=True, slots=True)
class Authorities:
    """Certificates that are trusted, whether they are roots or issued by one."""

    path: Path
    certificates: tuple[x509.Certificate, ...]

    @property
    def der(self) -> bytes:
        """All of them, as `ssl.SSLContext.load_verify_locations(cadata=…)` takes them."""
        return b"".join(each.public_bytes(Encoding.DER) for each in self.certificates)

    def staleness(self, now: float) -> str | None:
        """What is wrong with their time, in words; None as long as one holds."""
        if any(each.not_valid_after_utc.timestamp() > now for each in self.certificates):
            return None
        return "authorities of which every one has expired"


def load_authorities(path: Path) -> Authorities:
    """Read a bundle.

    Raises:
        CertError: it can't be read, or holds no certificate.
    """
    return Authorities(path, load_certificates(path))
