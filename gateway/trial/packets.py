"""From a captured packet to what it carries: link layer, VLAN tags, IPv4 or IPv6, UDP or TCP.

Link types are those of tcpdump.org/linktypes.html. What can't be read has a word for the reason, which is counted;
nothing is guessed: fragments are not put together, and a packet that the capture cut short is not judged.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

UDP, TCP = 17, 6

_ETHERNET, _COOKED, _COOKED_2, _NULL, _LOOP = 1, 113, 276, 0, 108
_RAW = {12, 14, 101, 228, 229}
_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN = {0x8100, 0x88A8, 0x9100}
_TAGS_MOST, _EXTENSIONS_MOST = 4, 8
_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _OPTIONS = 0, 43, 44, 51, 60


class Packet(NamedTuple):
    """A UDP datagram or TCP segment. `sequence` and `flags` are those of TCP."""

    protocol: int
    source: str
    port: int
    local: str
    local_port: int
    payload: bytes
    sequence: int = 0
    flags: int = 0


def read_packet(link: int, data: bytes) -> Packet | str:
    """What the packet carries, or why it is not read."""
    try:
        begin = _network(link, data)
        if isinstance(begin, str):
            return begin
        version = data[begin] >> 4
        if version == 4:
            return _ipv4(data, begin)
        return _ipv6(data, begin) if version == 6 else "not IP"
    except (struct.error, IndexError):
        return "cut short"


def _network(link: int, data: bytes) -> int | str:
    """Where IP begins, or why it does not."""
    if link in _RAW:
        return 0
    if link in (_NULL, _LOOP):
        # The address family, as the capturing system numbers it; the version of IP says the same.
        return 4
    if link == _COOKED_2:
        kind, place = struct.unpack_from("!H", data)[0], 20
    elif link == _COOKED:
        kind, place = struct.unpack_from("!H", data, 14)[0], 16
    elif link == _ETHERNET:
        kind, place = struct.unpack_from("!H", data, 12)[0], 14
    else:
        return f"link type {link}"
    for _ in range(_TAGS_MOST):
        if kind not in _VLAN:
            break
        kind, place = struct.unpack_from("!H", data, place + 2)[0], place + 4
    return place if kind in (_IPV4, _IPV6) else "not IP"


def _ipv4(data: bytes, begin: int) -> Packet | str:
    if len(data) < begin + 20:
        return "cut short"
    head, _, total, _, fragment, _, protocol = struct.unpack_from("!BBHHHBB", data, begin)
    size = (head & 15) * 4
    if size < 20 or (total and total < size):
        return "damaged"
    if fragment & 0x3FFF:  # more fragments, or an offset
        return "fragment"
    # Offload leaves 0 in packets that were captured before the card split them.
    end = begin + total if total else len(data)
    source = socket.inet_ntop(socket.AF_INET, data[begin + 12 : begin + 16])
    local = socket.inet_ntop(socket.AF_INET, data[begin + 16 : begin + 20])
    return _transport(data, protocol, begin + size, end, source, local)


def _ipv6(data: bytes, begin: int) -> Packet | str:
    length, protocol = struct.unpack_from("!HB", data, begin + 4)
    place, end = begin + 40, begin + 40 + length
    if len(data) < place:
        return "cut short"
    source = socket.inet_ntop(socket.AF_INET6, data[begin + 8 : begin + 24])
    local = socket.inet_ntop(socket.AF_INET6, data[begin + 24 : begin + 40])
    for _ in range(_EXTENSIONS_MOST):
        if protocol == _FRAGMENT:
            if struct.unpack_from("!H", data, place + 2)[0] & 0xFFF9:
                return "fragment"
            step = 8
        elif protocol in (_HOP, _ROUTING, _OPTIONS):
            step = 8 * (data[place + 1] + 1)
        elif protocol == _AUTHENTICATION:
            step = 4 * (data[place + 1] + 2)
        else:
            break
        protocol, place = data[place], place + step
    return _transport(data, protocol, place, end, source, local)


def _transport(data: bytes, protocol: int, place: int, end: int, source: str, local: str) -> Packet | str:
    if protocol == UDP:
        port, local_port, length = struct.unpack_from("!HHH", data, place)
        if length < 8 or place + length > end:
            return "damaged"
        if place + length > len(data):
            return "cut short"
        return Packet(UDP, source, port, local, local_port, data[place + 8 : place + length])
    if protocol != TCP:
        return "neither UDP nor TCP"
    port, local_port, sequence, _, offset, flags = struct.unpack_from("!HHIIBB", data, place)
    begin = place + (offset >> 4) * 4
    if begin < place + 20 or begin > end:
        return "damaged"
    if end > len(data):
        return "cut short"
    return Packet(TCP, source, port, local, local_port, data[begin:end], sequence, flags)
