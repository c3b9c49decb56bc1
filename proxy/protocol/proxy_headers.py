"""What stands before a message of ours to a backend: nothing, or a PROXY header that says who asks.

The gateway's own questions, such as health checks, come as LOCAL of v2 or as from a client that is we ourselves; what
it passes on for a client has that client's address.
"""

from __future__ import annotations

from typing import Literal

from dataplane import proxy_header
from proxy.settings.proxy_protocol import ProxyOut
from proxy.values import Endpoint

Way = Literal["plain", "local", "v2", "v2-crc", "spp"]
"""What stands before the query: nothing, LOCAL of v2, or the header of a client."""


def way_of(header: ProxyOut) -> Way:
    """How a backend with these settings is checked."""
    if header.probe != "proxy":
        return header.probe
    return told(header)


def told(header: ProxyOut) -> Way:
    """How clients' queries go to a backend with these settings, over UDP."""
    if header.udp == "v2":
        return "v2-crc" if header.crc else "v2"
    return "spp" if header.udp == "spp" else "plain"


def datagram_header(way: Way, source: Endpoint, destination: Endpoint) -> bytes:
    """The header before a datagram of `source` to `destination`; empty for the plain way."""
    if way == "plain":
        return b""
    return proxy_header(way.removesuffix("-crc"), source.sockaddr, destination.sockaddr, checksum=way == "v2-crc")


def answer_header(way: Way, header: bytes) -> bytes:
    """What stands before the answer to a datagram that had this header: the same with SPP, else nothing."""
    return header if way == "spp" else b""
