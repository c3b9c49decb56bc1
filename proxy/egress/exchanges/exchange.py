"""One exchange: a query of a node, from its turn in the queue to a verdict on the answer.

    turn ──▶ first tunnel ──▶ connection ──▶ answer, judged as it passes ──▶ accepted
                 │  no answer, rejected: nothing was passed yet                 │ rejected, cut: something was passed
                 ▼                                                              ▼
             next tunnel … none left: FAILED (SERVFAIL)                        CUT (the node's connection closes)

Until something was passed to the node it can't notice any of this. Behind that, nothing is repaired: half an answer
is never completed from another connection, the node keeps its old zone and asks again.
"""

from __future__ import annotations

import asyncio
import enum
from typing import Protocol

from dns.rcode import Rcode

from dataplane import Verdict
from proxy.egress.counters import ForwarderCounters
from proxy.egress.exchanges.connection import Attempt, StaleError
from proxy.egress.exchanges.query import Query
from proxy.egress.exchanges.quotas import Class, QuotaError
from proxy.egress.exchanges.silence import no_answer
from proxy.egress.forwarder_plan import ForwarderPlan
from proxy.egress.tunnel import Tunnel
from proxy.errors import ProxyError

ELSEWHERE = frozenset((Rcode.REFUSED, Rcode.NOTAUTH))  # what primaries say to an address they don't know
PATIENCE_OF_NODES = 1.0  # seconds; a node that leaves earlier had other reasons than a slow answer


class Outcome(enum.Enum):
    """What the node gets at the end."""

    ANSWERED = "answered"
    FAILED = "failed"  # nothing was passed: an answer that says so
    CUT = "cut"  # something was passed: the end of its connection


class Asker(Protocol):
    """Who waits for the answer."""

    full: bool  # takes no more for now

    def passed(self, data: bytes) -> None:
        """Whole messages, each behind its length, to be handed on now and unchanged."""


class Exchange:
    """`run` once; cancel it when nobody waits any more."""

    def __init__(self, query: Query, plan: ForwarderPlan, counters: ForwarderCounters, asker: Asker) -> None:
        self.query = query
        self._plan = plan
        self._counters = counters
        self._asker = asker
        self._loop = asyncio.get_running_loop()
        self._attempt: Attempt | None = None
        self._passed = False  # to the node
        self._refusal: bytes | None = None  # of a primary, for the node if no other way helps

    @property
    def class_(self) -> Class:
        """Under which quota it falls."""
        return "transfer" if self.query.transfers else "soa"

    async def run(self) -> Outcome:
        """Carry the exchange to its end.

        Raises:
            ValueError: the query can't be read far enough to judge its answer.
        """
        class_, began = self.class_, self._loop.time()
        try:
            async with self._plan.quota.place(class_, self.query.node, self.query.zone):
                self._counters.waited(class_, self._loop.time() - began)
                return await self._search()
        except QuotaError as error:
            self._plan.refusals.count(self._counters, error.reason, self.query.node, self.query.question)
            return Outcome.FAILED

    def hold(self, held: bool) -> None:
        """The node takes no more for now, or takes it again."""
        if self._attempt is not None:
            self._attempt.hold(held)

    async def _search(self) -> Outcome:
        """Try one way after the other."""
        route, settings = self._plan.route, self._plan.settings
        ways = route.order("tcp")
        rejected = False
        for number, tunnel in enumerate(ways, 1):
            patience = settings.idle_timeout  # of the last way: there is nothing better to do
            if number < len(ways):
                patience = route.patience(tunnel, "tcp", settings.answer_timeout)
            try:
                verdict = await self._ask(tunnel, patience)
            except ProxyError as error:
                route.failed(tunnel, "tcp", error)
                if self._passed:
                    self._counters.refused["answer-cut"] += 1
                    return Outcome.CUT
                continue
            if self._passed:
                return Outcome.ANSWERED if verdict.accepted else Outcome.CUT
            rejected = rejected or not verdict.accepted
        if self._refusal is not None:
            self._asker.passed(self._refusal)
            return Outcome.ANSWERED
        self._counters.refused["rejected" if rejected else "no-tunnel"] += 1
        return Outcome.FAILED

    async def _ask(self, tunnel: Tunnel, patience: float) -> Verdict:
        """Ask through one tunnel; a pooled connection that was just being closed is replaced at once."""
        try:
            return await self._attempt_on(tunnel, patience, fresh=False)
        except StaleError:
            if self._passed:
                raise
            return await self._attempt_on(tunnel, patience, fresh=True)

    async def _attempt_on(self, tunnel: Tunnel, patience: float, *, fresh: bool) -> Verdict:
        attempt = self._attempt = self._plan.connections.ask(tunnel, self.query, self._pass, fresh=fresh)
        if self._asker.full:
            attempt.hold(True)
        try:
            verdict = await self._verdict(attempt, patience)
        except asyncio.CancelledError:
            self._left(tunnel, attempt)
            raise
        else:
            self._judged(tunnel, attempt, verdict)
            return verdict
        finally:
            self._attempt = None
            attempt.drop()

    def _left(self, tunnel: Tunnel, attempt: Attempt) -> None:
        """The node is gone. It may have what it wanted: many close as soon as they have the last message."""
        waited = self._loop.time() - attempt.asked
        if attempt.verdict.done() and attempt.verdict.exception() is None:
            self._judged(tunnel, attempt, attempt.verdict.result())
        elif attempt.heard is None and waited >= PATIENCE_OF_NODES:  # its next attempt shall go another way
            self._plan.route.failed(tunnel, "tcp", no_answer(waited))

    def _judged(self, tunnel: Tunnel, attempt: Attempt, verdict: Verdict) -> None:
        self._plan.route.worked(tunnel, "tcp", attempt.delay)
        self._plan.judge.record(verdict, self.query.node, tunnel.counters.name, self._counters)

    async def _verdict(self, attempt: Attempt, patience: float) -> Verdict:
        """Wait for it, as long as something comes. What has begun to pass has the guard's limits alone."""
        while True:
            since = (attempt.heard if self.query.transfers else None) or attempt.asked
            if self._asker.full:  # nothing is read then
                since = self._loop.time()
            left = since + patience - self._loop.time()
            done, _ = await asyncio.wait((attempt.verdict,), timeout=None if self._passed else max(left, 0))
            if done:
                return attempt.verdict.result()
            if not self._passed and left <= 0:
                raise no_answer(patience)

    def _pass(self, data: bytes, verdict: Verdict | None) -> None:
        if verdict is not None and verdict.kind == "error" and verdict.rcode in ELSEWHERE and not self._passed:
            self._refusal = data
        else:
            self._passed = True
            self._asker.passed(data)
