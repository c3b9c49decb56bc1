"""The Shadowsocks methods: sizes, ciphers, and how keys come about.

    2017 (SIP004, SIP007)  key = EVP_BytesToKey(MD5) of a password      subkey = HKDF-SHA1(key, salt, "ss-subkey")
    2022 (SIP022 §2)       key = base64 of exactly key-size bytes       subkey = BLAKE3 derive-key of key || salt

Key and salt have the same size in every method: 16 bytes for AES-128, 32 for the others. Nonces have 12, tags 16.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TAG_SIZE = 16
NONCE_SIZE = 12
SUBKEY_CONTEXT = "shadowsocks 2022 session subkey"

Buffer = bytes | bytearray | memoryview


class Aead(Protocol):
    """An AEAD cipher with its key, as `cryptography` offers them."""

    def encrypt(self, nonce: bytes, data: Buffer, associated_data: bytes | None) -> bytes: ...

    def decrypt(self, nonce: bytes, data: Buffer, associated_data: bytes | None) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Method:
    """One Shadowsocks method."""

    name: str
    edition: Literal[2017, 2022]
    key_size: int
    cipher: Callable[[bytes], Aead]

    @property
    def salt_size(self) -> int:
        """Bytes of salt at the head of a stream: as many as the key has."""
        return self.key_size

    def session_cipher(self, key: bytes, salt: bytes) -> Aead:
        """The cipher of one session; `salt` is the stream's salt, or the session ID of 2022 datagrams."""
        if self.edition == 2022:
            return self.cipher(blake3(key + salt, derive_key_context=SUBKEY_CONTEXT).digest(self.key_size))
        return self.cipher(HKDF(SHA1(), self.key_size, salt, b"ss-subkey").derive(key))  # noqa: S303 - SIP004 says SHA-1

    def key_from_text(self, text: str) -> bytes:
        """The key that an operator wrote: a password (2017), or the base64 of the key itself (2022).

        Raises:
            ValueError: not a key of this method. The text itself is not shown.
        """
        if self.edition == 2017:
            return _key_from_password(text.encode(), self.key_size)
        try:
            key = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"the key of {self.name} must be base64; make one with: {self._hint}") from None
        if len(key) != self.key_size:
            raise ValueError(
                f"the key of {self.name} must have {self.key_size} bytes, this one has {len(key)}; "
                f"make one with: {self._hint}"
            )
        return key

    @property
    def _hint(self) -> str:
        return f"openssl rand -base64 {self.key_size}"


def _key_from_password(password: bytes, size: int) -> bytes:
    if not password:
        raise ValueError("the password is empty")
    key = block = b""
    while len(key) < size:
        block = hashlib.md5(block + password, usedforsecurity=False).digest()
        key += block
    return key[:size]


METHODS = {
    method.name: method
    for method in (
        Method("aes-128-gcm", 2017, 16, AESGCM),
        Method("aes-256-gcm", 2017, 32, AESGCM),
        Method("chacha20-ietf-poly1305", 2017, 32, ChaCha20Poly1305),
        Method("2022-blake3-aes-128-gcm", 2022, 16, AESGCM),
        Method("2022-blake3-aes-256-gcm", 2022, 32, AESGCM),
        Method("2022-blake3-chacha20-poly1305", 2022, 32, ChaCha20Poly1305),
    )
}


def find_method(name: str) -> Method:
    """The method of that name.

    Raises:
        ValueError: unknown here; says which are known.
    """
    try:
        return METHODS[name]
    except KeyError:
        raise ValueError(f"{name!r} is not a method known here; known are {', '.join(METHODS)}") from None
