"""A sealed sequence: every piece of one direction of a stream, sealed under one key with a counting nonce.

The nonce is a 96-bit little-endian counter from 0, one step per piece (SIP004, SIP022 §3.1.1). A piece that was
removed, repeated, moved or changed on the way does not open.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag

from proxy.errors import ProtocolError
from proxy.protocol.methods import NONCE_SIZE, Aead, Buffer


class Sealer:
    """Seals pieces in order."""

    __slots__ = ("_cipher", "_counter")

    def __init__(self, cipher: Aead) -> None:
        self._cipher = cipher
        self._counter = 0

    def seal(self, piece: Buffer) -> bytes:
        """The sealed piece, 16 bytes longer."""
        nonce = self._counter.to_bytes(NONCE_SIZE, "little")
        self._counter += 1
        return self._cipher.encrypt(nonce, piece, None)


class Opener:
    """Opens pieces in order."""

    __slots__ = ("_cipher", "_counter")

    def __init__(self, cipher: Aead) -> None:
        self._cipher = cipher
        self._counter = 0

    def open(self, piece: Buffer) -> bytes:
        """The plain piece.

        Raises:
            ProtocolError: reason "authentication": it was not sealed with our key as the next of this stream.
        """
        nonce = self._counter.to_bytes(NONCE_SIZE, "little")
        self._counter += 1
        try:
            return self._cipher.decrypt(nonce, piece, None)
        except InvalidTag:
            raise authentication_error() from None


def authentication_error() -> ProtocolError:
    """What every codec here raises when bytes do not open. It names the causes that an operator can act on."""
    return ProtocolError(
        "the bytes do not authenticate: another key or method at the other end, or they were changed on the way",
        "authentication",
    )
