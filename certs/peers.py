"""What is read of the certificate that the other side showed: the pin of its key, and until when it holds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """`digest` is what a pin of it holds, 32 bytes; `not_after` is in seconds since 1970."""

    digest: bytes
    not_after: float


def read_peer(der: bytes) -> PeerCertificate:
    """Read a certificate.

    Raises:
        ValueError: it can't be read.
    """
    certificate = x509.load_der_x509_certificate(der)
    try:
        key = certificate.public_key()
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from None
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PeerCertificate(hashlib.sha256(spki).digest(), certificate.not_valid_after_utc.timestamp())
