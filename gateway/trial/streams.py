"""DNS messages of captured TCP connections (RFC 1035 section 4.2.2: each has its length in front).

Segments are taken in their order; what comes again is left out. A connection whose beginning was not captured, or that
lacks a segment when the next one is there, is given up: where a message begins in it is not known. Connections that are
remembered are bounded; the oldest gives way.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.trial.packets import Packet

MOST = 1024
_FIN, _SYN, _RST = 1, 2, 4
_HALF = 1 << 31
_MASK = (1 << 32) - 1

Key = tuple[str, int, str, int]


class _Connection:
    """The direction from a client: the next sequence number, and the beginning of a message."""

    __slots__ = ("buffer", "following")

    def __init__(self, following: int) -> None:
        self.following = following
        self.buffer = bytearray()


class Streams:
    """Connections from clients. `lost` counts segments with data that could not be read."""

    def __init__(self) -> None:
        self._connections: dict[Key, _Connection] = {}
        self.lost = 0

    def take(self, packet: Packet) -> Iterator[bytes]:
        """The messages that are whole with this segment."""
        key = (packet.source, packet.port, packet.local, packet.local_port)
        sequence, payload = packet.sequence, packet.payload
        if packet.flags & _SYN:
            sequence = (sequence + 1) & _MASK
            self._connections.pop(key, None)
            if len(self._connections) >= MOST:
                del self._connections[next(iter(self._connections))]
            self._connections[key] = _Connection(sequence)
        connection = self._connections.get(key)
        if payload and connection is None:
            self.lost += 1
        elif payload and connection is not None:
            ahead = (sequence - connection.following) & _MASK
            if 0 < ahead < _HALF:
                self.lost += 1
                del self._connections[key]
                return
            fresh = payload[(_MASK + 1 - ahead) & _MASK :]
            connection.following = (connection.following + len(fresh)) & _MASK
            connection.buffer += fresh
            yield from _messages(connection.buffer)
        if packet.flags & (_FIN | _RST):
            self._connections.pop(key, None)


def _messages(buffer: bytearray) -> Iterator[bytes]:
    """Take whole messages off a buffer."""
    place = 0
    while len(buffer) - place >= 2:
        length = int.from_bytes(buffer[place : place + 2])
        if len(buffer) - place - 2 < length:
            break
        yield bytes(buffer[place + 2 : place + 2 + length])
        place += 2 + length
    del buffer[:place]
