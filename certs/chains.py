"""A certificate and those that lead from it to an authority, in one PEM file, leaf first (RFC 8446 section 4.4.2)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.errors import CertError
from certs.files import read_pem


@dataclass(frozen=True, slots=True)
class Chain:
    """Certificates, each issued by the next. `spki` is the first one's public key (DER); times: seconds since 1970."""

    path: Path
    certificates: tuple[x509.Certificate, ...]
    spki: bytes
    not_before: float
    not_after: float

    def staleness(self, now: float) -> str | None:
        """What is wrong with its time, in words; None when it holds now. Time passes by itself: a warning, no fault."""
        if now < self.not_before:
            return f"a certificate that is not valid before {_day(self.certificates, 'not_valid_before_utc')}"
        if now >= self.not_after:
            return f"a certificate that expired on {_day(self.certificates, 'not_valid_after_utc')}"
        return None


def load_chain(path: Path) -> Chain:
    """Read a chain, and check that each certificate is issued by the next.

    Raises:
        CertError: it can't be read, holds no certificate, or is out of order.
    """
    certificates = load_certificates(path)
    for place, (one, issuer) in enumerate(itertools.pairwise(certificates), 1):
        try:
            one.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            found = f"certificate {place} that is not issued by the next one in the file"
            remedy = "put the certificate first, then its intermediates, each before its issuer"
            raise CertError(path, found, remedy) from None
    try:
        spki = certificates[0].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        raise CertError(path, "a certificate with an unknown kind of key", "use ECDSA, Ed25519 or RSA") from None
    return Chain(
        path,
        certificates,
        spki,
        max(each.not_valid_before_utc.timestamp() for each in certificates),
        min(each.not_valid_after_utc.timestamp() for each in certificates),
    )


def load_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """All certificates of a PEM file, at least one.

    Raises:
        CertError: it can't be read, or holds none.
    """
    data = read_pem(path)
    try:
        found = tuple(x509.load_pem_x509_certificates(data))
    except ValueError:
        found = ()
    if not found:
        raise CertError(path, "no readable certificate", "name a PEM file with -----BEGIN CERTIFICATE-----")
    return found


def _day(certificates: tuple[x509.Certificate, ...], field: str) -> str:
    times = [getattr(each, field) for each in certificates]
    return f"{(max if field == 'not_valid_before_utc' else min)(times):%Y-%m-%d %H:%M} UTC"
