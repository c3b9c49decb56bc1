"""The inputs of a test as one kind of message, whatever they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from typing import NamedTuple

from gateway.trial.capture import LATEST, Capture
from gateway.trial.described import QueryFile
from gateway.trial.packets import UDP, read_packet
from gateway.trial.streams import Streams

ALONE = 100 * 10**9
"""Nanoseconds between queries that are judged one by one: limits are full again before each."""


class Asker(NamedTuple):
    """Who asks, how, and whom. `server_name` is text, for TLS; `tlvs` as in a PROXY header."""

    transport: str
    source: str
    port: int
    local: str
    local_port: int
    server_name: bytes = b""
    tlvs: bytes = b""


class Message(NamedTuple):
    """A message, when it came by the clock of the limits (nanoseconds from any point) and by the calendar (seconds
    since 1970), and who sent it.
    """

    wire: bytes
    clock: int
    unix: int
    asker: Asker


class Captured:
    """The messages to the `ports` in a capture. `left_out` counts the packets that are not judged, by reason."""

    def __init__(self, capture: Capture, ports: Collection[int], *, moving: bool = True) -> None:
        self._capture = capture
        self._ports = frozenset(ports)
        self._moving = moving
        self._streams = Streams()
        self.left_out: Counter[str] = Counter()

    @property
    def offset(self) -> int:
        """How many bytes of the file were read."""
        return self._capture.offset

    @property
    def remarks(self) -> list[str]:
        """What was not read, in words."""
        words = [f"{count:,} packets were not read: {why}" for why, count in self.left_out.most_common(16)]
        if self._streams.lost:
            words.append(
                f"{self._streams.lost:,} TCP segments were not read: their connection begins before the capture, or "
                "lacks a segment"
            )
        if self._capture.cut is not None:
            words.append(f"the file ends within a packet, at byte {self._capture.cut}; all before it was read")
        return words

    def __iter__(self) -> Iterator[Message]:
        """In the order of the file; a time before that of the last packet counts as the same time.

        Raises:
            CaptureError: the capture is damaged.
            OSError: it can't be read.
        """
        clock, last = ALONE, None
        for time, link, data in self._capture.frames():
            if last is not None and self._moving:
                clock += max(0, time - last)
            last = time
            packet = read_packet(link, data)
            if isinstance(packet, str):
                self.left_out[packet if packet in self.left_out or len(self.left_out) < 64 else "other"] += 1
                continue
            if packet.local_port not in self._ports:
                self.left_out["to another port"] += 1
                continue
            ends = packet.source, packet.port, packet.local, packet.local_port
            if packet.protocol == UDP:
                yield Message(packet.payload, clock, time // 10**9, Asker("udp", *ends))
                continue
            for wire in self._streams.take(packet):
                yield Message(wire, clock, time // 10**9, Asker("tcp", *ends))


class Described:
    """The queries of a file, all from one client, `rate` of them a second, or each for itself."""

    def __init__(self, queries: QueryFile, asker: Asker, unix: int, rate: float | None) -> None:
        self._queries = queries
        self._asker = asker
        self._unix = unix
        self._rate = rate

    @property
    def offset(self) -> int:
        """How many bytes of the file were read."""
        return self._queries.offset

    @property
    def remarks(self) -> list[str]:
        """What was not read, in words."""
        words = []
        if self._queries.bad:
            words.append(f"{self._queries.bad:,} lines are no query: {'; '.join(self._queries.first)}")
        if self._rate is None:
            words.append("each query was judged by itself, with full rate limits; --rate N asks N in a second")
        return words

    def __iter__(self) -> Iterator[Message]:
        """In the order of the file.

        Raises:
            OSError: the file can't be read.
        """
        for number, wire in enumerate(self._queries.messages()):
            if self._rate is None:
                yield Message(wire, ALONE + number * ALONE, self._unix, self._asker)
            else:
                passed = round(number * 10**9 / self._rate)
                yield Message(wire, ALONE + passed, min(self._unix + passed // 10**9, LATEST // 10**9), self._asker)
