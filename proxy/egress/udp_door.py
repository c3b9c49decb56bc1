"""A listening UDP socket that answers from the address that was asked, also where it is bound to a wildcard.

The kernel says with each datagram to which of our addresses it came (IP_PKTINFO of ip(7); RFC 3542 §6 for IPv6) and
takes the same note back with the answer. The datagram transports of the loop can't carry such a note, so the socket
is read here, a bounded number of datagrams at a time.

    in_pktinfo    interface, int | the address to answer from, 4 bytes | the address that was asked, 4
    in6_pktinfo   the address that was asked, 16 bytes | interface, int
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

BATCH = 64  # datagrams read before others get their turn
MAX_DATAGRAM = 65_535
IP_PKTINFO: int = getattr(socket, "IP_PKTINFO", 8)  # Python names it since 3.12
IPV6_RECVPKTINFO: int = getattr(socket, "IPV6_RECVPKTINFO", 49)

_IN4 = struct.Struct("@i4s4s")
_IN6 = struct.Struct("@16si")
_NOTES_SIZE = socket.CMSG_SPACE(_IN4.size) + socket.CMSG_SPACE(_IN6.size)

Note = tuple[int, int, bytes]


@dataclass(frozen=True, slots=True)
class Peer:
    """Who sent a datagram, and the note with which the answer leaves from the address that it came to."""

    address: tuple[Any, ...]
    notes: tuple[Note, ...] = ()


Receive = Callable[[bytes, Peer], None]


class DatagramDoor(Protocol):
    """Through which nodes' queries come, and their answers leave."""

    def send(self, data: bytes, peer: Peer) -> bool:
        """Answer a peer; False: it is lost, and counted."""

    def close(self) -> None:
        """Stop receiving."""


class UdpDoor:
    """Watches one socket on the running loop and owns it. `receive` must not block."""

    def __init__(self, sock: socket.socket, receive: Receive, faults: Counter[str]) -> None:
        """Begin to receive. `faults` counts what the socket refuses, by reason."""
        self._socket = sock
        self._receive = receive
        self._faults = faults
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
        self._loop.add_reader(sock.fileno(), self._readable)

    def send(self, data: bytes, peer: Peer) -> bool:
        """Answer a peer. Nothing is queued: what the kernel does not take is lost, as datagrams may be, and counted."""
        try:
            self._socket.sendmsg([data], peer.notes, 0, peer.address)
        except BlockingIOError:
            self._faults["send-buffer-full"] += 1
        except OSError:
            self._faults["send-error"] += 1
        else:
            return True
        return False

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
            self._receive(data, Peer(address, tuple(_answer_notes(ancillary))))
            if self._socket.fileno() < 0:  # closed by what was received
                return


def _answer_notes(ancillary: list[tuple[int, int, bytes]]) -> list[Note]:
    """The notes for the answer: the same local address; the interface only where the address needs it."""
    notes: list[Note] = []
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO) and len(data) >= _IN4.size:
            _, local, _ = _IN4.unpack_from(data)
            notes.append((level, kind, _IN4.pack(0, local, bytes(4))))
        elif (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO) and len(data) >= _IN6.size:
            asked, interface = _IN6.unpack_from(data)
            link_local = asked[0] == 0xFE and asked[1] & 0xC0 == 0x80
            notes.append((level, kind, _IN6.pack(asked, interface if link_local else 0)))
    return notes
