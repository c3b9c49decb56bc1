"""The listening sockets of the egress.

The supervisor opens them and hands them down by descriptor, so that a crash loses nothing that is queued there. A
transparent door has two, and one more for each destination that its UDP answers leave from; as the supervisor opens
them, no other process needs the right to.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from proxy.egress.original import make_source, make_transparent
from proxy.settings import EgressSettings
from proxy.values import Endpoint

BACKLOG = 1024
RECEIVE_BUFFER = 1 << 20  # bytes a UDP socket may queue; the kernel caps it at net.core.rmem_max

FAST_OPENS = 256  # connections that may wait for the end of their handshake with data in the SYN (RFC 7413 §5.1)

Role = Literal["forwarder", "socks", "transparent", "source", "exit"]
Transport = Literal["udp", "tcp"]
Key = tuple[Role, Endpoint, Transport]


@dataclass(frozen=True, slots=True)
class EgressSocket:
    """One listening socket. Role, endpoint and transport name it; `endpoint` is what the settings say."""

    role: Role
    endpoint: Endpoint
    transport: Transport
    socket: socket.socket

    @property
    def key(self) -> Key:
        """Its name."""
        return self.role, self.endpoint, self.transport


_WORDS: dict[Role, str] = {
    "forwarder": "forwarder",
    "socks": "socks",
    "transparent": "transparent door",
    "source": "answers of a transparent door from",
    "exit": "exit",
}


def needed_sockets(settings: EgressSettings) -> Iterator[Key]:
    """The sockets that these settings need: UDP and TCP for each door, UDP where only answers leave."""
    places: list[tuple[Role, Endpoint]] = [("forwarder", forwarder.listen) for forwarder in settings.forwarders]
    places += [("transparent", door.listen) for door in settings.transparent_doors]
    if settings.exit is not None:
        places.append(("exit", settings.exit.listen))
    for door in settings.socks_doors:  # for datagrams each association opens its own socket
        yield "socks", door.listen, "tcp"
    for role, endpoint in places:
        yield role, endpoint, "udp"
        yield role, endpoint, "tcp"
    sources = (each.asked_at for door in settings.transparent_doors for each in door.chosen(settings.primaries))
    for endpoint in dict.fromkeys(sources):
        yield "source", endpoint, "udp"


def open_egress_sockets(settings: EgressSettings) -> list[EgressSocket]:
    """Open all sockets that the settings need; TCP sockets listen already.

    Raises:
        OSError: an address can't be bound; the text names it. Nothing is left open.
    """
    opened: list[EgressSocket] = []
    try:
        for key in needed_sockets(settings):
            opened.append(open_egress_socket(*key))
    except OSError:
        for each in opened:
            each.socket.close()
        raise
    return opened


def open_egress_socket(role: Role, endpoint: Endpoint, transport: Transport) -> EgressSocket:
    """Open one socket.

    Raises:
        OSError: as above.
    """
    family = socket.AF_INET6 if endpoint.address.version == 6 else socket.AF_INET
    kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    new = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if family == socket.AF_INET6:
            # [::] takes IPv4 as well; any other IPv6 address could not.
            new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not endpoint.address.is_unspecified)
        if role == "transparent":
            make_transparent(new)
        if role == "source":
            make_source(new)
        elif transport == "tcp":
            new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            new.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        new.bind(endpoint.sockaddr)
        if transport == "tcp":
            new.listen(BACKLOG)
            if role == "exit":
                # Tunnels that know us may bring their header in the SYN, where net.ipv4.tcp_fastopen has the bit 2.
                new.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, FAST_OPENS)
    except OSError as error:
        new.close()
        code = error.errno or errno.EIO
        raise OSError(code, f"{_WORDS[role]} {endpoint}/{transport}: {error.strerror or error}") from error
    return EgressSocket(role, endpoint, transport, new)
