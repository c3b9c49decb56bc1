"""A steady stream of clients: queries over UDP at a fixed rate, and one over TCP now and then."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode

from gateway.lab.queries import Sent
from proxy.values import Endpoint

RATE = 50  # queries a second
PATIENCE = 3.0  # seconds until a query counts as lost
EVERY_TCP = 10  # every so many queries one more goes over TCP
HEADER = 12


@dataclass(slots=True)
class Tally:
    """What became of the queries."""

    sent: int = 0
    answered: int = 0
    silent: int = 0  # silence was right
    lost: int = 0  # silence was wrong
    rcodes: Counter[str] = field(default_factory=Counter)
    truncated: int = 0
    over_tcp: int = 0


class Stream(asyncio.DatagramProtocol):
    """The stream. `run` it; `tally` tells how it goes."""

    def __init__(self, endpoint: Endpoint, query: Callable[[], Sent]) -> None:
        self.tally = Tally()
        self._endpoint = endpoint
        self._query = query
        self._waiting: dict[bytes, float] = {}  # ID -> when it is lost

    async def run(self) -> None:
        """Ask, until cancelled.

        Raises:
            OSError: no socket.
        """
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=self._endpoint.sockaddr)
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    sent = self._query()
                    if sent.wire[:2] not in self._waiting:
                        self._ask(transport, sent, loop.time())
                    if self.tally.sent % EVERY_TCP == 0 and not sent.silence:
                        tasks.create_task(self._ask_over_tcp(sent.wire))
                    self._forget(loop.time())
                    await asyncio.sleep(1 / RATE)
        finally:
            transport.close()

    def _ask(self, transport: asyncio.DatagramTransport, sent: Sent, now: float) -> None:
        self.tally.sent += 1
        if sent.silence:
            self.tally.silent += 1
        else:
            self._waiting[sent.wire[:2]] = now + PATIENCE
        transport.sendto(sent.wire)

    def datagram_received(self, data: bytes, addr: object) -> None:
        """An answer; one that nobody waits for is not counted."""
        if len(data) >= HEADER and self._waiting.pop(data[:2], None) is not None:
            self._count(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens at the moment; the query will count as lost."""

    def _forget(self, now: float) -> None:
        late = [key for key, until in self._waiting.items() if until <= now]
        for key in late:
            del self._waiting[key]
        self.tally.lost += len(late)

    def _count(self, wire: bytes) -> None:
        self.tally.answered += 1
        self.tally.rcodes[dns.rcode.to_text(dns.rcode.Rcode(wire[3] & 15))] += 1
        self.tally.truncated += wire[2] >> 1 & 1

    async def _ask_over_tcp(self, wire: bytes) -> None:
        self.tally.sent += 1
        self.tally.over_tcp += 1
        address, port = self._endpoint.sockaddr
        try:
            answer = await dns.asyncquery.tcp(dns.message.from_wire(wire), address, timeout=PATIENCE, port=port)
        except (OSError, EOFError, dns.exception.DNSException):
            self.tally.lost += 1
            return
        self._count(answer.to_wire(max_size=65535))
