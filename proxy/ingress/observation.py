"""What a worker sees for the detectors, and what it blocks for them: the same for UDP and TCP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from dataplane import Blocks
from proxy.ingress.tcp import TcpIngress
from proxy.ingress.udp import UdpIngress


class Observed(Struct, frozen=True, kw_only=True):
    """What a worker saw since the last look: samples of its relays, and the hits of blocks by their numbers.

    `blocks` is the serial of the blocks in use.
    """

    blocks: int
    hits: list[tuple[int, int]]
    batches: list[bytes]


class Observation:
    """Samples and blocks of one worker."""

    def __init__(self, udp: UdpIngress, tcp: TcpIngress) -> None:
        self._udp = udp
        self._tcp = tcp
        self._serial = 0
        self._blocks = Blocks(prefixes=[], names=[])
        # Of blocks that were swapped out since the last look.
        self._hits: Counter[int] = Counter()

    def set_samples(self, most: int) -> None:
        """Sample so many queries and answers a second, over UDP and over TCP."""
        self._udp.relay.set_samples(most)
        self._tcp.relay.set_samples(most)

    def set_blocks(
        self, serial: int, prefixes: Sequence[tuple[str, int, str, int]], names: Sequence[tuple[bytes, str, int]]
    ) -> None:
        """Block this and nothing else.

        Raises:
            ValueError: a prefix, name or action that is none. The blocks before stay.
        """
        blocks = Blocks(prefixes=list(prefixes), names=list(names))
        self._hits.update(dict(self._blocks.take_hits()))
        self._serial, self._blocks = serial, blocks
        self._udp.relay.set_blocks(blocks)
        self._tcp.relay.set_blocks(blocks, self._tcp.clock())
        self._tcp.schedule_flush()

    def take(self) -> Observed:
        """What was seen since the last call."""
        self._hits.update(dict(self._blocks.take_hits()))
        hits, self._hits = self._hits, Counter()
        return Observed(
            blocks=self._serial,
            hits=list(hits.items()),
            batches=[self._udp.relay.take_samples(), self._tcp.relay.take_samples()],
        )
