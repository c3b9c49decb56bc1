"""One TCP connection of a node to a forwarder.

    node ──▶ queries, whole ──▶ gate ──▶ exchanges, side by side
    node ◀── whole messages, in the order in which they come ◀── exchanges

The node may pipeline; answers come in any order and are never mixed inside of a DNS message (RFC 7766 §6.2.1.1). A
query whose ID still waits for its answer on this connection has its turn behind it. A node that closes its side wants
nothing more (RFC 7766 §6.2.4), so half-closed connections are not kept.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from dns.rcode import Rcode

from proxy.egress.counters import ForwarderCounters
from proxy.egress.exchanges.exchange import Exchange, Outcome
from proxy.egress.exchanges.query import Query
from proxy.egress.forwarder_plan import ForwarderPlan
from proxy.egress.idle import IdleTimer
from proxy.egress.stream import HIGH_WATER
from proxy.egress.usable import usable
from proxy.errors import ProtocolError
from proxy.protocol.dns_frames import FrameReader, frame
from proxy.protocol.transfer_queries import Question, error_reply, read_query
from proxy.values import Endpoint, IPAddress

EXCHANGES = 128  # of one connection at the same time; more are not read


class Host(Protocol):
    """Who keeps the connections."""

    def admit(self, node: NodeStream, address: IPAddress) -> bool:
        """Whether this connection is taken in; where not, it is closed at once."""

    def closed(self, node: NodeStream) -> None:
        """It is over."""


class NodeStream(asyncio.Protocol):
    """The connection. `plan` gives the plan in force for a new query."""

    def __init__(self, plan: Callable[[], ForwarderPlan], counters: ForwarderCounters, host: Host) -> None:
        self.full = False  # the node takes no more answers for now
        self._plan = plan
        self._counters = counters
        self._host = host
        self._transport: asyncio.Transport | None = None
        self._address: IPAddress | None = None
        self._idle = IdleTimer(plan().settings.idle_timeout, self._expire)
        self._frames = FrameReader()
        self._queries: deque[bytes] = deque()  # that have not begun
        self._exchanges: dict[int, tuple[Exchange, asyncio.Task[None]]] = {}  # by ID
        self._last = False  # to be closed behind the last answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        name = transport.get_extra_info("peername")
        self._transport = cast("asyncio.Transport", transport)
        if name is not None:
            self._address = Endpoint.of(name).address
        if self._address is None or not self._host.admit(self, self._address):
            self._transport.abort()
        else:
            self._transport.set_write_buffer_limits(HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        if self._last:  # who asks on here while we wait for the end asks again elsewhere
            return
        self._idle.touch()
        self._queries.extend(self._frames.feed(data))
        self._begin()

    def eof_received(self) -> None:
        """Nothing is kept half open; the transport closes itself."""

    def pause_writing(self) -> None:
        # Queries are not read either: what is refused is answered from here, and would pile up.
        self._set_full(True)

    def resume_writing(self) -> None:
        self._idle.touch()
        self._set_full(False)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._idle.stop()
        self._queries.clear()
        for _, task in self._exchanges.values():
            task.cancel()
        self._host.closed(self)

    def finish(self) -> None:
        """Answer what was asked, then close. What is asked from now on is not read; the node asks it elsewhere."""
        self._last = True
        self._begin()

    def abort(self) -> None:
        """Close without waiting for anything."""
        if self._transport is not None:
            self._transport.abort()

    def _set_full(self, full: bool) -> None:
        self.full = full
        for exchange, _ in self._exchanges.values():
            exchange.hold(full)
        self._regulate()

    def _regulate(self) -> None:
        if not usable(self._transport):
            return
        if self.full or self._queries:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # Queries.

    def _begin(self) -> None:
        """Begin what may begin now."""
        while self._queries and not self.full and len(self._exchanges) < EXCHANGES and usable(self._transport):
            message = self._queries[0]
            try:
                question = read_query(message)
            except ProtocolError as error:
                self._give_up(error.reason)
                return
            if question.id in self._exchanges:
                break
            self._queries.popleft()
            self._query(message, question)
        self._regulate()
        if self._last and not self._exchanges and not self._queries and usable(self._transport):
            self._transport.close()

    def _query(self, message: bytes, question: Question) -> None:
        plan = self._plan()
        refusal = plan.refusal(message, question, time.time())
        if refusal is not None:
            plan.refusals.count(self._counters, refusal, self._address, question)
            self._reply(message, question, Rcode.REFUSED)
            return
        self._counters.queries_tcp += 1
        assert self._address is not None
        exchange = Exchange(Query(message, question, self._address), plan, self._counters, self)
        self._exchanges[question.id] = exchange, asyncio.create_task(self._carry(exchange))

    async def _carry(self, exchange: Exchange) -> None:
        query = exchange.query
        outcome = Outcome.CUT  # should it fail in a way that nobody has thought of
        try:
            outcome = await exchange.run()
        except ValueError:
            self._counters.refused["malformed"] += 1
            self._reply(query.message, query.question, Rcode.FORMERR)
            outcome = Outcome.ANSWERED
        finally:
            del self._exchanges[query.id]
            if outcome is Outcome.CUT:
                self.abort()
        if outcome is Outcome.FAILED:
            self._reply(query.message, query.question, Rcode.SERVFAIL)
        self._begin()

    # Answers.

    def passed(self, data: bytes) -> None:
        """See `exchange.Asker`."""
        self._idle.touch()
        self._counters.bytes_in += len(data)
        self._write(data)

    def _reply(self, message: bytes, question: Question, rcode: Rcode) -> None:
        self._write(frame(error_reply(message, question, rcode)))

    def _write(self, data: bytes) -> None:
        if usable(self._transport):
            self._transport.write(data)

    def _give_up(self, reason: str) -> None:
        self._counters.refused[reason] += 1
        self.abort()

    def _expire(self) -> None:
        if self._exchanges and not self.full:
            self._idle.restart()  # exchanges have limits of their own
        else:
            self._give_up("idle")
