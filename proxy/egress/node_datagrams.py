"""The UDP side of a forwarder: each query of a node goes out on a path that it has for itself until the answer comes.

So IDs need not be changed (TSIG and all other bytes stay), and two nodes that use the same ID do not meet. A query
that is sent again with the same ID and question is a repetition and goes the same way. A path whose tunnel fails is
replaced by one through the next tunnel; when there is none left, the node gets SERVFAIL.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dns.rcode import Rcode

from proxy.egress.counters import ForwarderCounters
from proxy.egress.crowd import Crowd
from proxy.egress.forwarder_plan import ForwarderPlan
from proxy.egress.leg import no_answer
from proxy.egress.paths import Path, SparePaths
from proxy.egress.tunnel import Tunnel
from proxy.egress.udp_door import Peer, UdpDoor
from proxy.errors import ProtocolError, ProxyError
from proxy.protocol.transfer_queries import Question, answers, error_reply, read_query, truncated_reply
from proxy.values import Endpoint

MAX_QUERY = 16 << 10  # bytes, far beyond a signed IXFR query; with a tunnel's header around it, it still is a datagram

Key = tuple[tuple[Any, ...], bytes]


@dataclass(eq=False, slots=True)
class Waiting:
    """A query that waits for its answer. `ways` are the tunnels that were not tried yet."""

    message: bytes
    question: Question
    peer: Peer
    plan: ForwarderPlan
    ways: list[Tunnel]
    tunnel: Tunnel | None = None  # the one that is tried now
    path: Path[Waiting] | None = None
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None

    @property
    def key(self) -> Key:
        """What makes a repetition of it."""
        return self.peer.address, self.question.key


class NodeDatagrams:
    """Serves one UDP socket, and owns it. `plan` gives the plan in force for a new query."""

    def __init__(self, sock: socket.socket, plan: Callable[[], ForwarderPlan], counters: ForwarderCounters) -> None:
        self._plan = plan
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[Key, Waiting] = {}
        self._spare: SparePaths[Waiting] = SparePaths(self._loop.time)
        self.open: Crowd[Waiting] = Crowd()
        self._door = UdpDoor(sock, self._receive, counters.refused)

    def close(self) -> None:
        """Stop at once."""
        self._door.close()
        for waiting in self.open:
            path = waiting.path
            self._forget(waiting)
            if path is not None:
                path.close()
        self._spare.clear()

    def plan_changed(self) -> None:
        """Tunnels and primary may be others now: no new query on old paths."""
        self._spare.clear()

    def _receive(self, message: bytes, peer: Peer) -> None:
        plan = self._plan()
        if not plan.allows(Endpoint.of(peer.address).address):
            self._counters.refused["address"] += 1
            return
        if len(message) > MAX_QUERY:  # the socket would refuse it, and the tunnel would be blamed
            self._counters.refused["too-long"] += 1
            return
        try:
            question = read_query(message)
        except ProtocolError as error:
            self._counters.refused[error.reason] += 1
            return
        refusal = plan.gate.refusal(question)
        if refusal is not None:
            self._counters.refused[refusal] += 1
            self._door.send(error_reply(message, question, Rcode.REFUSED), peer)
            return
        if not plan.primary.carries_udp:  # over TLS alone: nothing may leave in the clear
            self._door.send(truncated_reply(message, question), peer)
            return
        repeated = self._waiting.get((peer.address, question.key))
        if repeated is not None:
            self._carry(repeated)
        elif len(self._waiting) >= plan.settings.queries:
            self._counters.refused["too-many-queries"] += 1
        else:
            self._accept(Waiting(message, question, peer, plan, plan.route.order("udp")))

    def _accept(self, query: Waiting) -> None:
        self._counters.queries_udp += 1
        self._counters.waiting_udp += 1
        self._waiting[query.key] = query
        self.open.add(query)
        query.timer = self._loop.call_later(query.plan.settings.udp_timeout, self._expire, query)
        self._carry(query)

    def _forget(self, query: Waiting) -> None:
        """It has its answer, or will not get one."""
        if self._waiting.pop(query.key, None) is None:
            return
        self._counters.waiting_udp -= 1
        self.open.discard(query)
        if query.timer is not None:
            query.timer.cancel()
        if query.task is not None and query.task is not asyncio.current_task():
            query.task.cancel()
        query.path = None

    def _expire(self, query: Waiting) -> None:
        self._counters.refused["no-answer"] += 1
        if query.tunnel is not None:
            query.plan.route.failed(query.tunnel, "udp", no_answer(query.plan.settings.udp_timeout))
        if query.path is not None:
            self._spare.discard(query.path)
        self._forget(query)

    def _carry(self, query: Waiting) -> None:
        if query.task is None or query.task.done() or query.task is asyncio.current_task():
            query.task = asyncio.create_task(self._send(query))

    async def _send(self, query: Waiting) -> None:
        """Send the query on its path, or on one through the first tunnel that takes it."""
        if query.path is not None:
            try:
                await query.path.send(query.message)
            except ProxyError as error:
                self._path_failed(query.path, error)
            return
        while query.ways:
            tunnel = query.tunnel = query.ways.pop(0)
            try:
                query.path = await self._find_path(tunnel, query)
                await query.path.send(query.message)
            except ProxyError as error:
                query.plan.route.failed(tunnel, "udp", error)
                if query.path is not None:
                    self._spare.discard(query.path)
                    query.path = None
            else:
                return
        self._counters.refused["no-tunnel"] += 1
        self._door.send(error_reply(query.message, query.question, Rcode.SERVFAIL), query.peer)
        self._forget(query)

    async def _find_path(self, tunnel: Tunnel, query: Waiting) -> Path[Waiting]:
        path = self._spare.take(tunnel)
        if path is None:
            datagrams = await tunnel.open_datagrams(query.plan.route.target)
            path = Path(tunnel, datagrams, self._loop.time())
            path.read(self._read)
        path.serves = query
        return path

    async def _read(self, path: Path[Waiting]) -> None:
        try:
            while True:
                self._answer(path, await path.receive())
        except ProxyError as error:
            self._path_failed(path, error)

    def _answer(self, path: Path[Waiting], message: bytes) -> None:
        query = path.serves
        if query is None or not answers(message, query.question):
            self._counters.refused["answer-unmatched"] += 1
            return
        self._counters.answers_udp += 1
        self._door.send(message, query.peer)
        query.plan.route.worked(path.tunnel, "udp")
        self._forget(query)
        if query.plan is self._plan():
            self._spare.give(path)
        else:
            path.close()

    def _path_failed(self, path: Path[Waiting], error: ProxyError) -> None:
        """The path is gone; its query goes on through the next tunnel."""
        query = path.serves
        self._spare.discard(path)
        if query is not None and query.path is path:
            query.path = None
            query.plan.route.failed(path.tunnel, "udp", error)
            self._carry(query)
