"""An exchange that a node began over UDP: as datagrams where they lead to the primary, else on a stream.

A path carries one query at a time, so IDs need not be changed, and two nodes that use the same ID do not meet. A
datagram that answers something else may be forged, and the query waits on. One that the guard rejects may be forged
too: then the query is asked over TCP, where nobody who is not on the way can answer.

An IXFR that finds no way for datagrams gets an empty answer with TC at once, and the node comes back over TCP: its
answer would seldom fit, and a whole zone would pass for nothing.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from dataplane import Verdict
from proxy.egress.counters import ForwarderCounters
from proxy.egress.exchanges.exchange import ELSEWHERE, Asker, Exchange, Outcome
from proxy.egress.exchanges.paths import Path, SparePaths
from proxy.egress.exchanges.query import Query
from proxy.egress.exchanges.quotas import Class
from proxy.egress.exchanges.silence import no_answer
from proxy.egress.forwarder_plan import ForwarderPlan
from proxy.egress.tunnel import Tunnel
from proxy.errors import ProxyError
from proxy.protocol.dns_frames import PREFIX


class DatagramAsker(Asker, Protocol):
    """A node that asked over UDP."""

    def datagram(self, message: bytes) -> None:
        """An answer that came as a datagram."""

    def truncate(self) -> None:
        """It shall ask over TCP."""


class DatagramExchange(Exchange):
    """See `Exchange`."""

    def __init__(
        self,
        query: Query,
        plan: ForwarderPlan,
        counters: ForwarderCounters,
        asker: DatagramAsker,
        spare: SparePaths,
    ) -> None:
        super().__init__(query, plan, counters, asker)
        self._node = asker
        self._spare = spare
        self._path: Path | None = None  # on which it waits
        self._trying: tuple[Tunnel, float] | None = None

    @property
    def class_(self) -> Class:
        """One datagram each way, whatever is asked."""
        return "soa"

    async def repeat(self) -> None:
        """The node has sent the query again: so does this, if it waits for a datagram."""
        if self._path is not None:
            try:
                await self._path.datagrams.send(self.query.message)
            except ProxyError:
                return  # whoever waits on the path is told so too

    def expire(self) -> None:
        """Nobody waits any more, and no answer came."""
        if self._trying is not None:
            tunnel, since = self._trying
            self._plan.route.failed(tunnel, "udp", no_answer(self._loop.time() - since))

    async def _search(self) -> Outcome:
        route = self._plan.route
        ways = route.order("udp") if self._plan.primary.carries_udp else []
        ways = [tunnel for tunnel in ways if tunnel.carries_udp]
        for number, tunnel in enumerate(ways, 1):
            patience = None  # of the last way: that of the node
            if number < len(ways) or self._refusal is not None:
                patience = route.patience(tunnel, "udp", self._plan.settings.answer_timeout)
            began = self._loop.time()
            try:
                async with asyncio.timeout(patience):
                    data, verdict = await self._ask_datagram(tunnel)
            except TimeoutError:
                route.failed(tunnel, "udp", no_answer(patience or 0))
                continue
            except ProxyError as error:
                route.failed(tunnel, "udp", error)
                continue
            route.worked(tunnel, "udp", self._loop.time() - began)
            self._plan.judge.record(verdict, self.query.node, tunnel.counters.name, self._counters)
            if verdict.kind == "error" and verdict.rcode in ELSEWHERE and number < len(ways):
                self._refusal = data
                continue
            if verdict.accepted:
                self._counters.answers_udp += 1
                self._node.datagram(data[PREFIX:])
                return Outcome.ANSWERED
            break
        self._trying = None
        if self.query.transfers:
            self._node.truncate()
            return Outcome.ANSWERED
        return await super()._search()

    async def _ask_datagram(self, tunnel: Tunnel) -> tuple[bytes, Verdict]:
        """The answer behind its length, and what the guard says of it.

        Raises:
            ProxyError: the tunnel does not carry it.
            ValueError: the query can't be read far enough to judge its answer.
        """
        self._trying = tunnel, self._loop.time()
        used = self._spare.take(tunnel)
        if used is not None:
            try:
                return await self._ask_on(used)
            except ProxyError:  # it has broken while it was spare; that says nothing about a new one
                self._trying = tunnel, self._loop.time()
        datagrams = await tunnel.open_datagrams(self._plan.route.target)
        return await self._ask_on(Path(tunnel, datagrams, self._loop.time()))

    async def _ask_on(self, path: Path) -> tuple[bytes, Verdict]:
        answers = self._plan.judge.answers()
        self._path, fit = path, False
        try:
            answers.expect(self.query.message, time.time())
            await path.datagrams.send(self.query.message)
            while True:
                message = await path.datagrams.receive()
                for piece in answers.datagram(message, time.time()):
                    if piece.verdict is not None:
                        fit = piece.verdict.accepted
                        return piece.data, piece.verdict
                self._counters.refused["answer-unmatched"] += 1
        finally:
            self._path = None
            if fit:
                self._spare.give(path)
            else:
                path.close()
