"""The envelope of a 2022 datagram: session ID, packet ID and body, sealed in one of two ways (SIP022 §3.2, §4.1).

    AES       AES-ECB(key, header) | AES-GCM(session subkey, nonce = header[4..16], body) + 16
    ChaCha20  nonce 24 | XChaCha20-Poly1305(key, header | body) + 16

The header is session ID, 8 bytes | packet ID, u64 big endian.
"""

from __future__ import annotations

import os
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from proxy.errors import ProtocolError
from proxy.protocol import xchacha
from proxy.protocol.methods import TAG_SIZE, Method
from proxy.protocol.sealing import authentication_error

HEADER_SIZE = 16
SESSION_SIZE = 8


class Packets(Protocol):
    """Puts bodies into packets and takes them out again."""

    def seal(self, session: bytes, packet_id: int, body: bytes) -> bytes:
        """One packet."""

    def open(self, packet: bytes) -> tuple[bytes, int, bytes]:
        """Session ID, packet ID and body.

        Raises:
            ProtocolError: "too-short", "authentication".
        """


def packets_of(method: Method, key: bytes) -> Packets:
    """The envelope that belongs to a method of 2022."""
    return ChaChaPackets(key) if "chacha" in method.name else AesPackets(method, key)


class AesPackets:
    """The envelope of the AES methods."""

    def __init__(self, method: Method, key: bytes) -> None:
        self._method = method
        self._key = key
        # ECB is right for one block of unique content. The contexts are kept: a new one costs ten times a block.
        block = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - SIP022 §3.2.1
        self._encrypt = block.encryptor()
        self._decrypt = block.decryptor()

    def seal(self, session: bytes, packet_id: int, body: bytes) -> bytes:
        """One packet."""
        header = session + packet_id.to_bytes(8)
        cipher = self._method.session_cipher(self._key, session)
        return self._encrypt.update(header) + cipher.encrypt(header[4:], body, None)

    def open(self, packet: bytes) -> tuple[bytes, int, bytes]:
        """Session ID, packet ID and body."""
        if len(packet) < HEADER_SIZE + TAG_SIZE:
            raise too_short(packet)
        header = self._decrypt.update(packet[:HEADER_SIZE])
        session = header[:SESSION_SIZE]
        cipher = self._method.session_cipher(self._key, session)
        try:
            body = cipher.decrypt(header[4:], packet[HEADER_SIZE:], None)
        except InvalidTag:
            raise authentication_error() from None
        return session, int.from_bytes(header[SESSION_SIZE:]), body


class ChaChaPackets:
    """The envelope of the ChaCha20 method."""

    def __init__(self, key: bytes) -> None:
        self._cipher = xchacha.XChaCha20Poly1305(key)

    def seal(self, session: bytes, packet_id: int, body: bytes) -> bytes:
        """One packet."""
        nonce = os.urandom(xchacha.NONCE_SIZE)
        return nonce + self._cipher.encrypt(nonce, session + packet_id.to_bytes(8) + body, None)

    def open(self, packet: bytes) -> tuple[bytes, int, bytes]:
        """Session ID, packet ID and body."""
        if len(packet) < xchacha.NONCE_SIZE + HEADER_SIZE + TAG_SIZE:
            raise too_short(packet)
        try:
            plain = self._cipher.decrypt(packet[: xchacha.NONCE_SIZE], packet[xchacha.NONCE_SIZE :], None)
        except InvalidTag:
            raise authentication_error() from None
        return plain[:SESSION_SIZE], int.from_bytes(plain[SESSION_SIZE:HEADER_SIZE]), plain[HEADER_SIZE:]


def too_short(packet: bytes) -> ProtocolError:
    """For a packet, or a body, that ends before its header does."""
    return ProtocolError(f"a packet of {len(packet)} bytes is too short", "too-short")
