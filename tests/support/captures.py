"""Writes captures of packets, for tests that read them."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable

ETHERNET, RAW, NULL, LOOP, COOKED, COOKED_2, IPV4, IPV6 = 1, 101, 0, 108, 113, 276, 228, 229


def udp(payload: bytes, source: str = "192.0.2.1", port: int = 40000, local: str = "192.0.2.53", to: int = 53) -> bytes:
    """An IP packet with a datagram."""
    return ip(17, struct.pack("!HHHH", port, to, 8 + len(payload), 0) + payload, source, local)


def tcp(
    payload: bytes,
    sequence: int,
    flags: int = 0x18,
    source: str = "192.0.2.1",
    port: int = 40000,
    local: str = "192.0.2.53",
    to: int = 53,
) -> bytes:
    """An IP packet with a segment; flags: 1 FIN, 2 SYN, 4 RST, 8 PSH, 16 ACK."""
    head = struct.pack("!HHIIBBHHH", port, to, sequence & 0xFFFFFFFF, 0, 0x50, flags, 65535, 0, 0)
    return ip(6, head + payload, source, local)


def ip(protocol: int, body: bytes, source: str, local: str, *, fragment: int = 0, extensions: bytes = b"") -> bytes:
    """An IP packet. `extensions` are IPv6 headers whose last names `protocol`; the first is hop-by-hop options."""
    here, there = ipaddress.ip_address(source), ipaddress.ip_address(local)
    if here.version == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, fragment, 64, protocol, 0)
        return head + here.packed + there.packed + body
    first = 0 if extensions else protocol
    head = struct.pack("!IHBB", 6 << 28, len(extensions) + len(body), first, 64)
    return head + here.packed + there.packed + extensions + body


def framed(link: int, packet: bytes, *, tags: int = 0) -> bytes:
    """The packet behind the header of its link type."""
    kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
    vlan = b"".join(struct.pack("!HH", 0x8100, 7) for _ in range(tags))
    if link == ETHERNET:
        return b"\x02" * 12 + vlan + struct.pack("!H", kind) + packet
    if link == COOKED:
        return struct.pack("!HHH8sH", 0, 1, 6, b"\x02" * 8, kind) + packet
    if link == COOKED_2:
        return struct.pack("!HHIHBB8s", kind, 0, 1, 1, 0, 6, b"\x02" * 8) + packet
    if link == NULL:
        return struct.pack("=I", 2 if kind == 0x0800 else 10) + packet
    if link == LOOP:
        return struct.pack("!I", 2 if kind == 0x0800 else 24) + packet
    return packet


def pcap(link: int, frames: Iterable[tuple[int, bytes]], *, order: str = "<", nanoseconds: bool = False) -> bytes:
    """A classic pcap file; times in nanoseconds since 1970."""
    magic, unit = (0xA1B23C4D, 1) if nanoseconds else (0xA1B2C3D4, 1000)
    parts = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 262144, link)]
    for time, data in frames:
        seconds, rest = divmod(time, 10**9)
        parts += [struct.pack(f"{order}IIII", seconds, rest // unit, len(data), len(data)), data]
    return b"".join(parts)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """A block of pcapng."""
    body += b"\0" * (-len(body) % 4)
    length = struct.pack(f"{order}I", 12 + len(body))
    return struct.pack(f"{order}I", kind) + length + body + length


def section(order: str = "<") -> bytes:
    """The block that a section of pcapng begins with."""
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link: int, order: str = "<", options: bytes = b"") -> bytes:
    """The block that describes an interface."""
    return block(1, struct.pack(f"{order}HHI", link, 0, 0) + options, order)


def packet(number: int, ticks: int, data: bytes, order: str = "<") -> bytes:
    """The block of a packet."""
    head = struct.pack(f"{order}IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
    return block(6, head + data, order)
