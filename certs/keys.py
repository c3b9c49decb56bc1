"""A private key on file: it is checked against its certificate, and not kept. What it holds is in no error."""

from __future__ import annotations

import shlex
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from certs.chains import Chain
from certs.errors import CertError
from certs.files import read_pem


def check_key(path: Path, chain: Chain) -> None:
    """Check that the file holds the key of the chain's first certificate, in the clear, and hidden from other users.

    Raises:
        CertError: with what is wrong.
    """
    data = read_pem(path, private=True)
    if b"ENCRYPTED" in data:
        plain = f"openssl pkey -in {shlex.quote(str(path))} -out PLAIN.key; chmod 600 PLAIN.key"
        raise CertError(path, "an encrypted key", f"nobody is there to type its password; take it away: {plain}")
    try:
        key = load_pem_private_key(data, None)
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        remedy = "name a PEM file with -----BEGIN PRIVATE KEY-----"
        raise CertError(path, "no readable private key", remedy) from None
    if spki != chain.spki:
        raise CertError(path, f"a key that doesn't belong to {chain.path}", "name the key of that certificate")
