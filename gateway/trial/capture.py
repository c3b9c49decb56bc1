"""Captures of packets, read as a stream: classic pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng).

    pcap    magic, version, 8 unused bytes, snap length, link type        then records: s, us or ns, kept, length, bytes
    pcapng  blocks: type, length, body, length again        section 0x0A0D0D0A, interface 1, packets 2, 3 and 6

Own, because it is short and the libraries don't fit: dpkt and pypcapfile have had no release since 2022 and 2017 and
trust the lengths in the file, scapy makes an object tree of each packet and would be most of the time of a test.
Nothing here opens a file: bytes come from `read`, which gives fewer than asked only at the end.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

RECORD_MOST = 1 << 18
"""Bytes of a packet: the longest that libpcap keeps."""
BLOCK_MOST = 1 << 24
INTERFACES_MOST = 1 << 16
LATEST = (1 << 32) * 10**9 - 1
"""Nanoseconds since 1970: what fits the 32 bits that the data plane has for seconds."""

_SECTION = 0x0A0D0D0A
_CLASSIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}


class CaptureError(ValueError):
    """The capture can't be read on; the text says from which byte on, and why."""

    def __init__(self, offset: int, what: str) -> None:
        super().__init__(f"byte {offset}: {what}")
        self.offset = offset


class Frame(NamedTuple):
    """A packet: nanoseconds since 1970, LINKTYPE number, and as many of its bytes as were kept."""

    time: int
    link: int
    data: bytes


class _Interface(NamedTuple):
    link: int
    unit: tuple[int, int]
    """What a tick is in nanoseconds: a numerator and a denominator."""
    offset: int


class Capture:
    """A capture that is read once. `offset` is how far, `cut` where a last packet begins that is not whole."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self.offset = 0
        self.cut: int | None = None

    def frames(self) -> Iterator[Frame]:
        """Its packets, in the order of the file. A last packet that is not whole is left out.

        Raises:
            CaptureError: it is no capture, or damaged.
            OSError: it can't be read.
        """
        magic = self._take(4)
        if magic in _CLASSIC:
            return self._classic(*_CLASSIC[magic])
        if magic == struct.pack("<I", _SECTION):
            return self._blocks(magic)
        found = "an empty file" if not magic else f"it begins with {magic.hex()}"
        raise CaptureError(0, f"{found}, which is neither pcap nor pcapng; write one with tcpdump -w FILE port 53")

    def _take(self, size: int) -> bytes:
        data = self._read(size)
        self.offset += len(data)
        return data

    def _classic(self, order: str, unit: int) -> Iterator[Frame]:
        header = self._take(20)
        if len(header) < 20:
            raise CaptureError(0, "the file ends within its header")
        major, link = struct.unpack_from(f"{order}H", header)[0], struct.unpack_from(f"{order}I", header, 16)[0]
        if major != 2:
            raise CaptureError(4, f"version {major} of pcap is not known; 2 is")
        record = struct.Struct(f"{order}IIII")
        while True:
            begin = self.offset
            head = self._take(16)
            if len(head) < 16:
                self.cut = begin if head else None
                return
            seconds, fraction, kept, _ = record.unpack(head)
            if kept > RECORD_MOST:
                raise CaptureError(begin, f"a packet of {kept} bytes, more than {RECORD_MOST}: the file is damaged")
            data = self._take(kept)
            if len(data) < kept:
                self.cut = begin
                return
            yield Frame(min(seconds * 10**9 + fraction * unit, LATEST), link & 0xFFFF, data)

    def _blocks(self, first: bytes) -> Iterator[Frame]:
        order, head, begin = "<", first + self._take(4), 0
        interfaces: list[_Interface] = []
        while head:
            kind, body = 0, None
            if len(head) == 8:
                if head[:4] == first:
                    order, interfaces = self._order(head, begin), []
                kind, body = self._body(head, order, begin)
            if body is None:
                self.cut = begin
                return
            if kind == 1:
                interfaces.append(_interface(body, order, begin))
                if len(interfaces) > INTERFACES_MOST:
                    raise CaptureError(begin, f"more than {INTERFACES_MOST} interfaces: the file is damaged")
            elif kind in (2, 3, 6):
                yield _packet(kind, body, order, interfaces, begin)
            begin = self.offset
            head = self._take(8)

    def _order(self, head: bytes, begin: int) -> str:
        """The order of bytes of a section, which the first word of its body says; `_body` skips that."""
        magic = self._take(4)
        if len(head) == 8 and magic not in _ORDERS:
            raise CaptureError(begin, "a section without the mark of its byte order: the file is damaged")
        return _ORDERS[magic]

    def _body(self, head: bytes, order: str, begin: int) -> tuple[int, bytes | None]:
        """Kind and body of a block; no body: the file ends within it."""
        kind, length = struct.unpack(f"{order}II", head)
        if length % 4 or not 12 <= length <= BLOCK_MOST:
            raise CaptureError(begin, f"a block of {length} bytes: the file is damaged")
        rest = length - (self.offset - begin)
        if rest < 4:
            raise CaptureError(begin, f"a section of {length} bytes: the file is damaged")
        body = self._take(rest)
        if len(body) < rest:
            return kind, None
        if struct.unpack(f"{order}I", body[-4:])[0] != length:
            raise CaptureError(begin, "a block that ends with another length than it begins with: the file is damaged")
        return kind, body[:-4]


def _interface(body: bytes, order: str, begin: int) -> _Interface:
    if len(body) < 8:
        raise CaptureError(begin, "an interface that is too short: the file is damaged")
    link, offset, unit, place = struct.unpack_from(f"{order}H", body)[0], 0, (1000, 1), 8
    while place + 4 <= len(body):
        code, length = struct.unpack_from(f"{order}HH", body, place)
        value = body[place + 4 : place + 4 + length]
        if code == 9 and len(value) == 1:  # if_tsresol
            power = value[0] & 0x7F
            unit = (10**9, 2**power if value[0] & 0x80 else 10**power)
        elif code == 14 and len(value) == 8:  # if_tsoffset
            offset = struct.unpack(f"{order}q", value)[0] * 10**9
        elif code == 0:
            break
        place += 4 + length + -length % 4
    return _Interface(link, unit, offset)


def _packet(kind: int, body: bytes, order: str, interfaces: list[_Interface], begin: int) -> Frame:
    size = 4 if kind == 3 else 20
    if len(body) < size:
        raise CaptureError(begin, "a packet block that is too short: the file is damaged")
    number, ticks, kept = 0, 0, 0
    if kind == 3:
        kept = min(struct.unpack_from(f"{order}I", body)[0], len(body) - size)
    else:
        # The old block has 16 bits for the interface and 16 for drops where the new one has 32.
        number = struct.unpack_from(f"{order}I" if kind == 6 else f"{order}H", body)[0]
        high, low, kept = struct.unpack_from(f"{order}III", body, 4)
        ticks = high << 32 | low
    if number >= len(interfaces):
        raise CaptureError(begin, f"a packet of interface {number}, which was not described: the file is damaged")
    if kept > len(body) - size:
        raise CaptureError(begin, f"a packet of {kept} bytes in a block of {len(body)}: the file is damaged")
    interface = interfaces[number]
    time = ticks * interface.unit[0] // interface.unit[1] + interface.offset
    return Frame(min(max(time, 0), LATEST), interface.link, body[size : size + kept])
