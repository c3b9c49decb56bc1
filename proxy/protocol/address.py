"""The SOCKS address: how SOCKS5 and every edition of Shadowsocks write a target (RFC 1928 §5).

    ATYP 1 | IPv4, 4 bytes               | port, u16 big endian
    ATYP 3 | length, 1 byte | name       | port
    ATYP 4 | IPv6, 16 bytes              | port

One codec serves all of them; a message that ends inside an address is incomplete, not wrong, until its owner says so.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from proxy.errors import ProtocolError
from proxy.values import Endpoint

IPV4, NAME, IPV6 = 1, 3, 4


@dataclass(frozen=True, slots=True)
class NamedTarget:
    """A target given by name. Shadowsocks and SOCKS5 allow it; this gateway never sends one and never resolves one."""

    name: bytes
    port: int

    def __str__(self) -> str:
        return f"{repr(self.name)[2:-1]}:{self.port}"  # any bytes of a peer, so that a terminal can show them


Target = Endpoint | NamedTarget


def encode_address(target: Target) -> bytes:
    """The wire form of a target, 7 to 259 bytes.

    Raises:
        ValueError: a name that is empty or longer than 255 bytes.
    """
    port = target.port.to_bytes(2)
    if isinstance(target, NamedTarget):
        if not 1 <= len(target.name) <= 255:
            raise ValueError("a name in a SOCKS address has 1 to 255 bytes")
        return bytes((NAME, len(target.name))) + target.name + port
    return bytes((IPV4 if target.address.version == 4 else IPV6,)) + target.address.packed + port


def decode_address(data: bytes | memoryview, at: int = 0) -> tuple[Target, int] | None:
    """Read the address that begins at offset `at`. Returns it with the offset behind it; None if bytes are missing.

    Raises:
        ProtocolError: an unknown ATYP, or an empty name.
    """
    if len(data) <= at:
        return None
    kind = data[at]
    if kind == NAME:
        if len(data) < at + 2:
            return None
        start, size = at + 2, data[at + 1]
        if size == 0:
            raise ProtocolError("a SOCKS address with an empty name", "bad-address")
    elif kind in (IPV4, IPV6):
        start, size = at + 1, 4 if kind == IPV4 else 16
    else:
        raise ProtocolError(f"a SOCKS address of the unknown type {kind}", "bad-address")
    end = start + size + 2
    if len(data) < end:
        return None
    host, port = bytes(data[start : start + size]), int.from_bytes(data[end - 2 : end])
    if kind == NAME:
        return NamedTarget(host, port), end
    return Endpoint(ipaddress.ip_address(host), port), end


def take_address(data: bytes | memoryview, at: int = 0) -> tuple[Target, int]:
    """`decode_address` for a message that is whole.

    Raises:
        ProtocolError: as above, and when the message ends inside the address.
    """
    found = decode_address(data, at)
    if found is None:
        raise ProtocolError("the message ends inside a SOCKS address", "bad-address")
    return found
