"""Shadowsocks datagrams, AEAD edition of 2017. Every packet stands alone: no sessions, no replay protection.

    salt | seal(SOCKS address | payload), nonce of zeros

The address is the target on the way out, and the one who answered on the way back.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag

from proxy.errors import ProtocolError
from proxy.protocol.address import Target, encode_address, take_address
from proxy.protocol.methods import NONCE_SIZE, TAG_SIZE, Buffer, Method
from proxy.protocol.sealing import authentication_error
from proxy.protocol.shadowsocks import ClientPacket, ServerPacket

_NONCE = bytes(NONCE_SIZE)


def _seal(method: Method, key: bytes, address: Target, payload: Buffer) -> bytes:
    salt = os.urandom(method.salt_size)
    return salt + method.session_cipher(key, salt).encrypt(_NONCE, encode_address(address) + bytes(payload), None)


def _open(method: Method, key: bytes, packet: bytes) -> tuple[Target, bytes]:
    if len(packet) < method.salt_size + TAG_SIZE:
        raise ProtocolError(f"a packet of {len(packet)} bytes is too short", "too-short")
    salt, sealed = packet[: method.salt_size], packet[method.salt_size :]
    try:
        plain = method.session_cipher(key, salt).decrypt(_NONCE, sealed, None)
    except InvalidTag:
        raise authentication_error() from None
    address, end = take_address(plain)
    return address, plain[end:]


class ClientDatagrams2017:
    """The client's end; see `proxy.protocol.shadowsocks.ClientDatagrams`."""

    def __init__(self, method: Method, key: bytes) -> None:
        self._method = method
        self._key = key

    def seal(self, target: Target, payload: Buffer, now: float) -> bytes:
        """The packet that carries one payload to a target."""
        return _seal(self._method, self._key, target, payload)

    def open(self, packet: bytes, now: float) -> ServerPacket:
        """Read a packet of the exit.

        Raises:
            ProtocolError: "too-short", "authentication", "bad-address".
        """
        return ServerPacket(*_open(self._method, self._key, packet))


class ServerDatagrams2017:
    """The exit's end; see `proxy.protocol.shadowsocks.ServerDatagrams`."""

    def __init__(self, method: Method, key: bytes) -> None:
        self._method = method
        self._key = key

    def open(self, packet: bytes, now: float) -> ClientPacket:
        """Read a packet of any client.

        Raises:
            ProtocolError: "too-short", "authentication", "bad-address".
        """
        return ClientPacket(b"", *_open(self._method, self._key, packet))

    def seal(self, session: bytes, source: Target, payload: Buffer, now: float) -> bytes:
        """The packet that carries an answer back."""
        return _seal(self._method, self._key, source, payload)

    def forget(self, session: bytes) -> None:
        """Nothing is remembered."""
