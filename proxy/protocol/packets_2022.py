"""The envelope of a 2022 datagram: session ID, packet ID and body, sealed in one of two ways (SIP022 §3.2, §4.1).

    AES       AES-ECB(key, header) | identity headers | AES-GCM(session subkey, nonce = header[4..16], body) + 16
    ChaCha20  nonce 24 | XChaCha20-Poly1305(key, header | body) + 16

The header is session ID, 8 bytes | packet ID, u64 big endian. With identity headers (`proxy.protocol.identity`), which
only go from client to exit, the key of the header is the first identity key, and the subkey comes from the user's.
"""

from __future__ import annotations

import os
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from proxy.errors import ProtocolError
from proxy.protocol import xchacha
from proxy.protocol.identity import IDENTITY_SIZE, identity_of
from proxy.protocol.methods import TAG_SIZE, Method
from proxy.protocol.sealing import authentication_error

HEADER_SIZE = 16
SESSION_SIZE = 8
BODY_AT = HEADER_SIZE + IDENTITY_SIZE  # where the body begins behind one identity header


class Packets(Protocol):
    """Puts bodies into packets and takes them out again, under one key."""

    def seal(self, session: bytes, packet_id: int, body: bytes) -> bytes:
        """One packet."""

    def open(self, packet: bytes) -> tuple[bytes, int, bytes]:
        """Session ID, packet ID and body.

        Raises:
            ProtocolError: "too-short", "authentication".
        """


def packets_of(method: Method, key: bytes, identity_keys: tuple[bytes, ...] = ()) -> Packets:
    """The envelope that belongs to a method of 2022; with `identity_keys` that of a client with a chain of keys."""
    if "chacha" in method.name:
        return ChaChaPackets(key)
    return ChainedPackets(method, key, identity_keys) if identity_keys else AesPackets(method, key)


class Block:
    """AES on single blocks of unique content, where ECB is right (SIP022 §3.2.1)."""

    __slots__ = ("decrypt", "encrypt")

    def __init__(self, key: bytes) -> None:
        block = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - see above
        # The contexts are kept: a new one costs ten times a block.
        self.encrypt = block.encryptor().update
        self.decrypt = block.decryptor().update


class AesPackets:
    """The envelope of the AES methods."""

    def __init__(self, method: Method, key: bytes) -> None:
        self._method = method
        self._key = key
        self._block = Block(key)

    def seal(self, session: bytes, packet_id: int, body: bytes) -> bytes:
        """One packet."""
        header = session + packet_id.to_bytes(8)
        return self._block.encrypt(header) + self.seal_body(header, body)

    def open(self, packet: bytes) -> tuple[bytes, int, bytes]:
        """Session ID, packet ID and body."""
        if len(packet) < HEADER_SIZE + TAG_SIZE:
            raise too_short(packet)
        header = self._block.decrypt(packet[:HEADER_SIZE])
        body = self.open_body(header, packet[HEADER_SIZE:])
        return header[:SESSION_SIZE], int.from_bytes(header[SESSION_SIZE:]), body

    def seal_body(self, header: bytes, body: bytes) -> bytes:
        """The sealed body that belongs to a header."""
        return self._method.session_cipher(self._key, header[:SESSION_SIZE]).encrypt(header[4:], body, None)

    def open_body(self, header: bytes, sealed: bytes) -> bytes:
        """The plain body."""
        try:
            return self._method.session_cipher(self._key, header[:SESSION_SIZE]).decrypt(header[4:], sealed, None)
        except InvalidTag:
            raise authentication_error() from None


class ChainedPackets(AesPackets):
    """The client's envelope with identity headers. What comes back has none, so it opens as without."""

    def __init__(self, method: Method, key: bytes, identity_keys: tuple[bytes, ...]) -> None:
        super().__init__(method, key)
        blocks = [Block(identity_key) for identity_key in identity_keys]
        self._first = blocks[0]
        self._links = list(zip(blocks, map(identity_of, (*identity_keys[1:], key)), strict=True))

    def seal(self, session: bytes, packet_id: int, body: bytes) -> bytes:
        """One packet."""
        header = session + packet_id.to_bytes(8)
        identities = [block.encrypt(xor(identity, header)) for block, identity in self._links]
        return b"".join((self._first.encrypt(header), *identities, self.seal_body(header, body)))


class IdentityReader:
    """Reads header and first identity header of packets: for whoever holds the identity key, an exit or a relay."""

    def __init__(self, identity_key: bytes) -> None:
        self._block = Block(identity_key)

    def read(self, packet: bytes) -> tuple[bytes, bytes]:
        """The plain header, and the identity of the key that comes next, to be looked up in a `KeyTable`.

        Raises:
            ProtocolError: "too-short".
        """
        if len(packet) < BODY_AT + TAG_SIZE:
            raise too_short(packet)
        header = self._block.decrypt(packet[:HEADER_SIZE])
        return header, xor(self._block.decrypt(packet[HEADER_SIZE:BODY_AT]), header)


def xor(one: bytes, other: bytes) -> bytes:
    """Two blocks of 16 bytes, bit by bit."""
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(IDENTITY_SIZE)


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
