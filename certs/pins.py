"""Pins: SHA-256 of a certificate's public key (SubjectPublicKeyInfo, DER), in base64 (RFC 7858 section 4.2, RFC 7469).

A key outlives its certificates, so a pin holds over renewals that keep the key. Two pins, one of a key in reserve, let
the key itself be changed.
"""

from __future__ import annotations

import base64
import binascii

PIN_BYTES = 32


def parse_pin(text: str) -> bytes:
    """The digest that a pin stands for.

    Raises:
        ValueError: it is not the base64 of 32 bytes.
    """
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != PIN_BYTES:
        raise ValueError("write the base64 of 32 bytes: the SHA-256 of the public key, as docs/xot.md makes it")
    return digest


def show_pin(digest: bytes) -> str:
    """The written form of a digest."""
    return base64.b64encode(digest).decode()
