"""Probes the ways of all routes, each when its time has come.

| a way | is probed |
|---|---|
| that was silent once | at once: was it a lost packet? |
| that was taken out | at the end of its rest: that is its trial |
| that fails otherwise | after a growing pause |
| through a tunnel by which another primary can't be reached | once: is it the tunnel? |
| that other traffic uses | not at all |
| of a primary that nodes ask | `interval` after the last signal |
| of one that nobody asks, or the only one to it | `idle_interval` after the last signal |

Each pause is a fifth shorter or longer at random, so that a fleet of gateways does not ask in step.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter

from proxy.egress.pool.breaker import State
from proxy.egress.pool.probe import Subject, probe
from proxy.egress.pool.way import Transport, Way
from proxy.egress.tunnel import Tunnel
from proxy.errors import ProxyError
from proxy.values import Emit

AT_ONCE = 16  # probes in flight; the others wait for their turn, which comes to what is due longest
WAYS = 100  # of so many ways, one more may be probed at the same time: else some of thousands would not be in a round
LONGEST_PROBE = 5.0  # seconds that a trial may take; a doubt is cleared in the time that a query would wait
FIRST = 3.0  # seconds behind the start: by then the nodes have shown most of it
LOOK = 1.0  # seconds between two looks at what is due, at most
SHORTEST_LOOK = 0.1  # and at least
SPREAD = 0.2  # of a pause, at random


class Prober:
    """Runs from `start` to `stop`."""

    def __init__(self, emit: Emit, clock: Callable[[], float], chance: random.Random | None = None) -> None:
        self._emit = emit
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311 - nothing to guess: it only spreads the load
        self._subjects: tuple[Subject, ...] = ()
        self._by_tunnel: dict[tuple[Tunnel, Transport], list[tuple[Subject, Way]]] = {}
        self._spread: dict[Way, float] = {}
        self._most = AT_ONCE
        self._running: dict[Way, asyncio.Task[None]] = {}
        self._urgent: set[Subject] = set()
        self._unjudged: set[Subject] = set()  # for which probes of others may be proof
        self._next_look = 0.0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def configure(self, subjects: Sequence[Subject]) -> None:
        """Probe these from now on."""
        for subject in self._subjects:
            subject.route.probed, subject.route.doubted = False, _nothing
        self._subjects = tuple(each for each in subjects if each.route.rules.probes)
        for subject in self._subjects:
            subject.route.probed, subject.route.doubted = True, partial(self._hurry, subject)
        self._urgent.clear()
        self._unjudged.clear()
        self._by_tunnel.clear()
        for subject in self._subjects:
            for way in subject.route.ways:
                self._by_tunnel.setdefault((way.tunnel, way.transport), []).append((subject, way))
        ways = {way for subject in self._subjects for way in subject.route.ways}
        self._most = max(AT_ONCE, len(ways) // WAYS)
        self._spread = {way: self._spread.get(way, self._draw()) for way in ways}
        self._next_look = 0.0
        self._wake.set()

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="prober")
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """End, with all probes in flight."""
        tasks = [*self._running.values(), *([] if self._task is None else [self._task])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.configure(())

    def due(self, subject: Subject, way: Way, now: float) -> float:
        """When this way is to be probed, on the clock of `now`; earlier than now: at once."""
        rules, breaker = subject.route.rules, way.breaker
        if breaker.state is not State.CLOSED:
            return breaker.until
        if way.failing:
            doublings = min(breaker.failures - 1, 30)
            return way.heard + (min(rules.rest * 2.0**doublings, rules.longest_rest) if doublings > 0 else 0.0)
        asked = subject.route.asked
        idle = asked is None or now - asked > rules.idle_interval
        alone = len(subject.route.ways) <= 2  # one way over each transport
        pause = rules.idle_interval if idle or alone else rules.interval
        if way.answered is None and way.probes == 0:
            pause = min(pause, FIRST)
        return way.heard + pause * self._spread[way]

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            now = self._clock()
            if now >= self._next_look:
                first = self._look(self._subjects, now)
                # All ways of many primaries are a long list: it is not gone through for each of them.
                self._next_look = min(max(first, now + SHORTEST_LOOK), now + LOOK)
            while self._urgent:
                subject = self._urgent.pop()
                self._look((subject,), now)
                self._seek_proof(subject, now)
            # Not by wait_for: in Python 3.11 that loses a cancellation which comes together with the event.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._next_look - self._clock())):
                    await self._wake.wait()

    def _look(self, subjects: Sequence[Subject], now: float) -> float:
        """Begin the probes of these primaries that are due, of what is due longest first; when the next one is."""
        following, overdue = now + LOOK, []
        for subject in subjects:
            for way in subject.route.ways:
                if way in self._running or (way.transport == "udp" and not subject.primary.carries_udp):
                    continue
                due = self.due(subject, way, now)
                if due <= now:
                    overdue.append((due, subject, way))
                following = min(following, due)
        overdue.sort(key=itemgetter(0))
        for _, subject, way in overdue[: self._free]:
            self._begin(subject, way, now)
        return following

    def _seek_proof(self, subject: Subject, now: float) -> None:
        """Where a primary can't be reached at all, look whether others can be, through the same tunnels.

        Once for each time that a tunnel begins to fail: then it is known whose fault it is.
        """
        for way in subject.route.ways:
            if way.failing_since is None or not self._free or not subject.route.fails(way.transport):
                continue
            other = self._unasked_since(subject, way, way.failing_since)
            if other is not None:
                self._unjudged.add(subject)
                self._begin(*other, now)

    def _unasked_since(self, subject: Subject, way: Way, since: float) -> tuple[Subject, Way] | None:
        """The way of another primary through the same tunnel that was last heard of; None if one was since then."""
        last: tuple[Subject, Way] | None = None
        for each, other in self._by_tunnel[way.tunnel, way.transport]:
            if each is subject or other.failing or other in self._running:
                continue
            if other.heard > since:
                return None
            if last is None or other.heard > last[1].heard:
                last = each, other
        return last

    @property
    def _free(self) -> int:
        """How many more probes may begin."""
        return max(0, self._most - len(self._running))

    def _begin(self, subject: Subject, way: Way, now: float) -> None:
        limit = LONGEST_PROBE
        if way.state is not State.CLOSED:
            way.breaker.try_once(now, LONGEST_PROBE + 1)
        elif way.failing:
            limit = subject.route.patience(way.tunnel, way.transport, LONGEST_PROBE)
        way.probes += 1
        self._spread[way] = self._draw()
        task = self._running[way] = asyncio.create_task(self._probe(subject, way, limit), name="probe")
        task.add_done_callback(lambda _: self._done(subject, way))

    async def _probe(self, subject: Subject, way: Way, limit: float) -> None:
        route = subject.route
        try:
            heard = await probe(subject.primary, way.tunnel, way.transport, subject.zone, subject.key, limit)
        except ProxyError as error:
            route.failed(way.tunnel, way.transport, error)
        else:
            way.rcode = heard.rcode
            route.worked(way.tunnel, way.transport, heard.seconds)

    def _done(self, subject: Subject, way: Way) -> None:
        del self._running[way]
        for each in self._unjudged:
            each.route.review()
        if not self._running:
            self._unjudged.clear()
        self._hurry(subject)

    def _hurry(self, subject: Subject) -> None:
        """Something has changed there: look at once. Of one from before a reload the ways may be another's by now."""
        if subject in self._subjects:
            self._urgent.add(subject)
        else:
            self._next_look = 0.0
        self._wake.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """It ends when it is told to. A fault of ours in it must be seen."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._emit("prober.failed", {"error": f"{type(error).__name__}: {error}"})

    def _draw(self) -> float:
        return 1 + self._chance.uniform(-SPREAD, SPREAD)


def _nothing() -> None:
    """Nobody probes."""
