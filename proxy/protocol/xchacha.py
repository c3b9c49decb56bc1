"""XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): ChaCha20-Poly1305 with a nonce of 24 bytes, fit to be random.

`cryptography` has ChaCha20 but neither XChaCha20 nor HChaCha20, the function that makes its subkey. HChaCha20
(§2.2) is the ChaCha20 block without the last step, which adds the input words. So its output is a keystream block
minus the input words:

    input    constants (4 words) | key (8) | nonce of 16 bytes (4)
    subkey = keystream[0..4] - constants  |  keystream[12..16] - nonce words        (each modulo 2^32)
"""

from __future__ import annotations

import struct

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from proxy.protocol.methods import Buffer

NONCE_SIZE = 24
_CONSTANTS = struct.unpack("<4I", b"expand 32-byte k")


def hchacha20(key: bytes, nonce: bytes) -> bytes:
    """The 32-byte subkey of a 32-byte key and the first 16 bytes of a nonce (§2.2)."""
    # The 16 bytes that `cryptography` calls a nonce are the words 12 to 15: block counter and nonce.
    block = struct.unpack("<16I", Cipher(ChaCha20(key, nonce), mode=None).encryptor().update(bytes(64)))
    added = _CONSTANTS + struct.unpack("<4I", nonce)
    return struct.pack(
        "<8I", *((out - word) & 0xFFFFFFFF for out, word in zip(block[:4] + block[12:], added, strict=True))
    )


class XChaCha20Poly1305:
    """The AEAD with its key (§2.3); the same shape as the ciphers of `cryptography`, nonces of 24 bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt(self, nonce: bytes, data: Buffer, associated_data: bytes | None) -> bytes:
        """The sealed data, 16 bytes longer."""
        return self._cipher(nonce).encrypt(bytes(4) + nonce[16:], data, associated_data)

    def decrypt(self, nonce: bytes, data: Buffer, associated_data: bytes | None) -> bytes:
        """The plain data.

        Raises:
            cryptography.exceptions.InvalidTag: sealed with another key or nonce, or changed.
        """
        return self._cipher(nonce).decrypt(bytes(4) + nonce[16:], data, associated_data)

    def _cipher(self, nonce: bytes) -> ChaCha20Poly1305:
        return ChaCha20Poly1305(hchacha20(self._key, nonce[:16]))
