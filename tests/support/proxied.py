"""The other side of PROXY headers (haproxy, proxy-protocol.txt), written apart from the data plane: a client behind a
proxy, and a backend that wants to know the client.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from tests.support.streams import BackendSession, StreamBackend

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL = SIGNATURE + b"\x20\x00\x00\x00"

End = tuple[str, int]


def header(version: Literal["v1", "v2"], source: End, destination: End, tlvs: bytes = b"") -> bytes:
    """The header for a connection from `source` to `destination`, both of one family."""
    ends = [ip_address(end[0]) for end in (source, destination)]
    is_ipv4 = ends[0].version == 4
    if version == "v1":
        words = (
            "PROXY",
            "TCP4" if is_ipv4 else "TCP6",
            *(str(end) for end in ends),
            str(source[1]),
            str(destination[1]),
        )
        return " ".join(words).encode() + b"\r\n"
    block = b"".join(end.packed for end in ends) + struct.pack("!HH", source[1], destination[1]) + tlvs
    return SIGNATURE + struct.pack("!BBH", 0x21, 0x11 if is_ipv4 else 0x21, len(block)) + block


def read_header(data: bytes) -> tuple[End, End, bytes] | None:
    """Source, destination, and what follows the header at the beginning of `data`; None while it is not whole.

    Raises:
        ValueError: it is none.
    """
    if data.startswith(b"PROXY "):
        line, end, rest = data.partition(b"\r\n")
        if not end:
            return None
        _, _, source, destination, source_port, port = line.decode().split(" ")
        return (source, int(source_port)), (destination, int(port)), rest
    if not data.startswith(SIGNATURE[: len(data)]):
        raise ValueError(f"no PROXY header: {data[:20]!r}")
    if len(data) < 16 or len(data) < 16 + (length := int.from_bytes(data[14:16], "big")):
        return None
    family, block, rest = data[13], data[16 : 16 + length], data[16 + length :]
    size, address = (4, IPv4Address) if family == 0x11 else (16, IPv6Address)
    ports = struct.unpack_from("!HH", block, 2 * size)
    ends = [str(address(block[at : at + size])) for at in (0, size)]
    return (ends[0], ports[0]), (ends[1], ports[1]), rest


class ProxiedSession(BackendSession):
    """One connection, whose header says `source` and `destination`."""

    source: End | None = None
    destination: End | None = None
    _begun = b""

    def data_received(self, data: bytes) -> None:
        if self.source is None:
            self._begun += data
            found = read_header(self._begun)
            if found is None:
                return
            self.source, self.destination, data = found
        super().data_received(data)


class ProxiedBackend(StreamBackend):
    """A scripted backend that reads a header from each connection."""

    session = ProxiedSession

    def sources(self) -> list[End | None]:
        """The client of each connection that there was."""
        return [session.source for session in self.sessions if isinstance(session, ProxiedSession)]
