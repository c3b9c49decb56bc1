"""The UDP side of a forwarder: each query of a node is an exchange of its own.

A query that is sent again with the same ID and question is a repetition, and goes the same way. A query that fails
gets SERVFAIL; one whose answer is too large for a datagram gets TC, and the node asks again over TCP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from dns.rcode import Rcode
from dns.rdatatype import RdataType

from proxy.egress.counters import ForwarderCounters
from proxy.egress.crowd import Crowd
from proxy.egress.exchanges.datagram_exchange import DatagramExchange
from proxy.egress.exchanges.exchange import Outcome
from proxy.egress.exchanges.paths import SparePaths
from proxy.egress.exchanges.query import Query
from proxy.egress.forwarder_plan import ForwarderPlan
from proxy.egress.udp_door import DatagramDoor, Peer, Receive
from proxy.errors import ProtocolError
from proxy.protocol.dns_frames import PREFIX
from proxy.protocol.transfer_queries import (
    PLAIN_UDP_SIZE,
    Question,
    error_reply,
    read_query,
    truncated_reply,
    udp_size,
)
from proxy.values import Endpoint

MAX_QUERY = 16 << 10  # bytes, far beyond a signed IXFR query; with a tunnel's header around it, it still is a datagram

Key = tuple[tuple[Any, ...], bytes]


class Waiting:
    """A query that waits for its answer."""

    full = False  # a datagram waits for nothing

    def __init__(self, query: Query, peer: Peer, door: DatagramDoor) -> None:
        self.query = query
        self.peer = peer
        self.exchange: DatagramExchange | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self._door = door

    @property
    def key(self) -> Key:
        """What makes a repetition of it."""
        return self.peer.address, self.query.question.key

    def passed(self, data: bytes) -> None:
        """See `exchange.Asker`."""
        message = data[PREFIX:]
        if len(message) != int.from_bytes(data[:PREFIX]) or len(message) > self._room:
            self.truncate()
        else:
            self._door.send(message, self.peer)

    def datagram(self, message: bytes) -> None:
        """See `datagram_exchange.DatagramAsker`."""
        self._door.send(message, self.peer)

    def truncate(self) -> None:
        """See `datagram_exchange.DatagramAsker`."""
        self._door.send(truncated_reply(self.query.message, self.query.question), self.peer)

    def reply(self, rcode: Rcode) -> None:
        """An answer of ours."""
        self._door.send(error_reply(self.query.message, self.query.question, rcode), self.peer)

    @property
    def _room(self) -> int:
        return udp_size(self.query.message) or PLAIN_UDP_SIZE


class NodeDatagrams:
    """Serves one door, and owns it. `plan` gives the plan in force for a new query."""

    def __init__(
        self,
        connect: Callable[[Receive], DatagramDoor],
        plan: Callable[[], ForwarderPlan],
        counters: ForwarderCounters,
    ) -> None:
        """`connect` gives the door, which hands what it receives to the callable that it is given."""
        self._plan = plan
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[Key, Waiting] = {}
        self._spare = SparePaths(self._loop.time)
        self.open: Crowd[Waiting] = Crowd()
        self._door = connect(self._receive)

    def close(self) -> None:
        """Stop at once."""
        self._door.close()
        for waiting in self.open:
            for task in waiting.tasks:
                task.cancel()
        self._spare.close()

    def plan_changed(self) -> None:
        """Tunnels and primary may be others now: no new query on old paths."""
        self._spare.close()
        self._spare = SparePaths(self._loop.time)

    def _receive(self, message: bytes, peer: Peer) -> None:
        plan, node = self._plan(), Endpoint.of(peer.address).address
        if not plan.allows(node):
            plan.refusals.count(self._counters, "address", node)
            return
        if len(message) > MAX_QUERY:  # the socket would refuse it, and the tunnel would be blamed
            self._counters.refused["too-long"] += 1
            return
        try:
            question = read_query(message)
        except ProtocolError as error:
            self._counters.refused[error.reason] += 1
            return
        repeated = self._waiting.get((peer.address, question.key))
        if repeated is not None:
            self._repeat(repeated)
            return
        refusal = self._refusal(plan, message, question)
        waiting = Waiting(Query(message, question, node), peer, self._door)
        if refusal is not None:
            plan.refusals.count(self._counters, refusal, node, question)
            waiting.reply(Rcode.REFUSED)
        elif len(self._waiting) >= plan.settings.queries:
            plan.refusals.count(self._counters, "too-many-queries", node, question)
        else:
            self._accept(waiting, plan)

    @staticmethod
    def _refusal(plan: ForwarderPlan, message: bytes, question: Question) -> str | None:
        refusal = plan.refusal(message, question, time.time())
        if refusal is None and question.type == RdataType.AXFR:
            return "axfr-over-udp"  # RFC 5936 §4.2: not defined
        return refusal

    def _repeat(self, waiting: Waiting) -> None:
        if waiting.exchange is not None and len(waiting.tasks) == 1:
            self._start(waiting, waiting.exchange.repeat())

    def _accept(self, waiting: Waiting, plan: ForwarderPlan) -> None:
        self._counters.queries_udp += 1
        self._counters.waiting_udp += 1
        self._waiting[waiting.key] = waiting
        self.open.add(waiting)
        waiting.exchange = DatagramExchange(waiting.query, plan, self._counters, waiting, self._spare)
        task = self._start(waiting, self._carry(waiting, waiting.exchange, plan.settings.udp_timeout))
        # As a callback, because a task that is cancelled before its first step runs no `finally`.
        task.add_done_callback(lambda _: self._finished(waiting))

    def _start(self, waiting: Waiting, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        waiting.tasks.add(task)
        task.add_done_callback(waiting.tasks.discard)
        return task

    def _finished(self, waiting: Waiting) -> None:
        del self._waiting[waiting.key]
        self._counters.waiting_udp -= 1
        self.open.discard(waiting)

    async def _carry(self, waiting: Waiting, exchange: DatagramExchange, patience: float) -> None:
        try:
            async with asyncio.timeout(patience):
                outcome = await exchange.run()
            if outcome is not Outcome.ANSWERED:
                waiting.reply(Rcode.SERVFAIL)
        except TimeoutError:
            self._counters.refused["no-answer"] += 1
            exchange.expire()
        except ValueError:
            self._counters.refused["malformed"] += 1
            waiting.reply(Rcode.FORMERR)
