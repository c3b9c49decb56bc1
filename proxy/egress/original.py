"""Sockets that take packets with foreign destinations, and answer from them (IP_TRANSPARENT and IP_RECVORIGDSTADDR of
ip(7); Linux, Documentation/networking/tproxy.rst).

TPROXY leaves the packet as it was. The local address of an accepted connection is therefore the destination that the
node wrote. With a datagram the kernel gives a note that says so; the answer needs a socket that is bound to that
address, since the port of an answer is that of its socket.

    sockaddr_in    family, host order | port, network order | address, 4 bytes | 8 zeros
    sockaddr_in6   family, host order | port, network order | flow, 4 bytes | address, 16 | scope, 4
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_address
from typing import Self

from proxy.egress.udp_door import BATCH, MAX_DATAGRAM, Note, Peer, Receive
from proxy.values import Endpoint

# Python names none of them; linux/in.h and linux/in6.h.
IP_TRANSPARENT = 19
IP_RECVORIGDSTADDR = 20
IPV6_RECVORIGDSTADDR = 74
IPV6_TRANSPARENT = 75

NO_RIGHT = (
    "Operation not permitted: a transparent socket takes CAP_NET_RAW or CAP_NET_ADMIN; run as root, or add one of them "
    "to AmbientCapabilities= and CapabilityBoundingSet= of the systemd unit"
)
SOURCE_BUFFER = 1  # bytes to receive, rounded up by the kernel: nothing is ever read from these sockets

_IN4 = struct.Struct("@H2s4s")
_IN6 = struct.Struct("@H2s4s16s")
_NOTES_SIZE = socket.CMSG_SPACE(16) + socket.CMSG_SPACE(28)


def make_transparent(sock: socket.socket) -> None:
    """Let this unbound socket have addresses that are not ours.

    Raises:
        OSError: without the capability; the text names it.
    """
    level, option = socket.IPPROTO_IP, IP_TRANSPARENT
    if sock.family == socket.AF_INET6:
        level, option = socket.IPPROTO_IPV6, IPV6_TRANSPARENT
    try:
        sock.setsockopt(level, option, 1)
    except PermissionError:
        raise OSError(errno.EPERM, NO_RIGHT) from None


def make_source(sock: socket.socket) -> None:
    """Prepare an unbound UDP socket from which answers leave, and nothing else.

    Raises:
        OSError: as above.
    """
    make_transparent(sock)
    # A listener on the same port and a wildcard address is in its way otherwise; it takes none of its packets.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOURCE_BUFFER)


class OriginalDatagrams:
    """Watches one transparent UDP socket on the running loop and owns it. `receive` gets each datagram with its sender
    and the destination that the sender wrote."""

    def __init__(
        self, sock: socket.socket, receive: Callable[[bytes, Peer, Endpoint], None], faults: Counter[str]
    ) -> None:
        """Begin to receive. `faults` counts what the socket refuses, by reason."""
        self._socket = sock
        self._receive = receive
        self._faults = faults
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVORIGDSTADDR, 1)  # on an IPv6 socket for the IPv4 that it takes too
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1)
        self._loop.add_reader(sock.fileno(), self._readable)

    def close(self) -> None:
        """Stop receiving and close the socket."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _readable(self) -> None:
        for _ in range(BATCH):
            try:
                data, ancillary, _, address = self._socket.recvmsg(MAX_DATAGRAM, _NOTES_SIZE)
            except BlockingIOError:
                return
            except OSError:
                self._faults["receive-error"] += 1
                return
            destination = original_destination(ancillary)
            if destination is None:
                self._faults["no-destination"] += 1
                continue
            # The answer leaves from a socket of one family, where IPv4 in the clothes of IPv6 is no address.
            self._receive(data, Peer(Endpoint.of(address).sockaddr), destination)
            if self._socket.fileno() < 0:  # closed by what was received
                return


def original_destination(notes: list[Note]) -> Endpoint | None:
    """What the kernel's note says; None without one."""
    for level, kind, data in notes:
        if (level, kind) == (socket.IPPROTO_IP, IP_RECVORIGDSTADDR) and len(data) >= _IN4.size:
            _, port, address = _IN4.unpack_from(data)
            return Endpoint(ip_address(address), int.from_bytes(port))
        if (level, kind) == (socket.IPPROTO_IPV6, IPV6_RECVORIGDSTADDR) and len(data) >= _IN6.size:
            _, port, _, address = _IN6.unpack_from(data)
            return Endpoint(ip_address(address), int.from_bytes(port))
    return None


class Source:
    """Answers of one primary, from its own address. What nodes ask comes in through the door; see `DatagramDoor`."""

    receive: Receive

    def __init__(self, sock: socket.socket, lost: Callable[[str], None]) -> None:
        """The socket stays its giver's: doors of one primary share it. `lost` is told the reason of what is."""
        self._socket = sock
        self._lost = lost

    def connect(self, receive: Receive) -> Self:
        """Queries go there."""
        self.receive = receive
        return self

    def send(self, data: bytes, peer: Peer) -> bool:
        """Answer a node. What the kernel does not take is lost and counted."""
        try:
            self._socket.sendto(data, peer.address)
        except BlockingIOError:
            self._lost("send-buffer-full")
        except OSError:
            self._lost("send-error")
        else:
            return True
        return False

    def close(self) -> None:
        """Nothing is held here."""
