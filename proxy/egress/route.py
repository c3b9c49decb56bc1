"""The way to one primary: which of its tunnels is tried first, for how long, and which is left alone for a while.

Everybody who sends something to the primary reports here how it went (`worked`, `failed`): the traffic of the nodes
and the probes alike. UDP and TCP are judged apart: a TCP connect that fails says little about UDP. There is no way
besides the primary's own tunnels, and what failed is still tried when all have.

When all tunnels fail, the primary may be at fault. It is, where each of them says so or gives answers of other
primaries meanwhile; then their breakers stay closed, and the event names the primary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from proxy.egress.pool.board import Board
from proxy.egress.pool.breaker import State
from proxy.egress.pool.choice import Choice, Kind
from proxy.egress.pool.fault import remedy
from proxy.egress.pool.way import Transport, Way
from proxy.egress.sparse import SparseEmitter
from proxy.egress.status import RouteStatus, WayStatus
from proxy.egress.tunnel import Tunnel
from proxy.errors import NO_DESCRIPTORS, ProxyError
from proxy.settings.failover import Failover
from proxy.values import Emit, Endpoint

Culprit = Literal["primary", "tunnels", "unknown"]

TRIAL = 10.0  # seconds in which a node's query that is a trial is reported on, or the trial counts for nothing
_SLOW_FADES = 0.9  # of the slowest answer remembered, with each answer


class Route:
    """Tunnels to `target`, the primary called `primary`."""

    def __init__(
        self,
        primary: str,
        target: Endpoint,
        tunnels: Sequence[Tunnel],
        emit: Emit,
        clock: Callable[[], float],
        *,
        kind: Kind = "ordered",
        rules: Failover | None = None,
        board: Board | None = None,
        before: Route | None = None,
        datagrams: bool = True,
    ) -> None:
        """`before` is an earlier route to the same primary: what it knows of the same tunnels is known here.

        Without `datagrams` the primary takes streams only.
        """
        self.primary = primary
        self.target = target
        self.kind = kind
        self.rules = rules or Failover()
        self.probed = False  # whether a prober tries what rests; else queries of nodes do
        self.asked: float | None = None  # when a node last wanted something
        self.doubted: Callable[[], None] = lambda: None  # called when a probe would be of use now
        self._emit = emit
        self._sparse = SparseEmitter(emit, clock)
        self._clock = clock
        self._board = board or Board()
        self._culprits: dict[Transport, Culprit | None] = {"udp": None, "tcp": None}
        self._slowest: dict[Transport, float] = {"udp": 0.0, "tcp": 0.0}
        carrying = ([tunnel for tunnel in tunnels if tunnel.carries_udp] or tunnels) if datagrams else []
        known = {(id(way.tunnel), way.transport): way for way in (before.ways if before is not None else ())}
        self._ways: dict[Transport, list[Way]] = {"udp": [], "tcp": []}
        for transport, ways in self._ways.items():
            for tunnel in carrying if transport == "udp" else tunnels:
                way = known.get((id(tunnel), transport)) or Way(tunnel, transport, self.rules, clock())
                ways.append(way)
        self._choices = {transport: Choice(kind, self.rules) for transport in self._ways}
        if before is not None:
            self._go_on(before)

    def _go_on(self, before: Route) -> None:
        """Keep the exits that the primary knows."""
        self.asked = before.asked
        for transport, choice in self._choices.items():
            ways = before._ways[transport]
            chosen = ways[before._choices[transport].chosen] if ways else None
            if chosen in self._ways[transport]:
                choice.chosen = self._ways[transport].index(chosen)

    def take_over(self) -> None:
        """In use from now on: what was known before follows our rules."""
        for way in self.ways:
            way.breaker.rules = self.rules

    @property
    def ways(self) -> list[Way]:
        """All, over both transports."""
        return [*self._ways["udp"], *self._ways["tcp"]]

    # Who wants to send something.

    def order(self, transport: Transport) -> list[Tunnel]:
        """All tunnels, in the order in which to try them now; for datagrams those that carry them, if there are any.

        What is asked for here should be reported on.
        """
        now = self.asked = self._clock()
        ways = self._ways[transport]
        self._look(transport, now)
        closed = [ways[place] for place in self._choices[transport].order(ways)]
        rest = sorted((way for way in ways if way.state is not State.CLOSED), key=lambda way: way.breaker.until)
        if closed and rest and not self.probed and rest[0].breaker.due(now):
            rest[0].breaker.try_once(now, TRIAL)
            return [way.tunnel for way in (rest[0], *closed, *rest[1:])]
        return [way.tunnel for way in (*closed, *rest)]

    def patience(self, tunnel: Tunnel, transport: Transport, limit: float) -> float:
        """Seconds to wait for an answer through it before the next is tried, `limit` at most.

        It is the usual delay with four times its deviation, and not less than the primary itself lately needed.
        """
        expected = self._way(tunnel, transport).delay.expected
        usual = self.rules.first_wait if expected is None else max(expected, self.rules.shortest_wait)
        return min(limit, max(usual, self._slowest[transport]))

    # Who has sent something.

    def worked(self, tunnel: Tunnel, transport: Transport, seconds: float | None = None) -> None:
        """An answer came through it, `seconds` after the query where that was measured."""
        now = self._clock()
        way = self._way(tunnel, transport)
        way.note_answer(seconds, now)
        self._slowest[transport] = max(seconds or 0.0, self._slowest[transport] * _SLOW_FADES)
        self._board.worked(way.name, transport, self.primary, now)
        alone = all(other is way or other.state is not State.CLOSED for other in self._ways[transport])
        if way.breaker.worked(now, alone=alone):
            self._emit("tunnel.recovered", self._fields(way))
        if self._culprits[transport] is not None:
            self._culprits[transport] = None
            self._emit("primary.recovered", {"primary": self.primary, "transport": transport, "tunnel": way.name})
            self._hold_to_account(transport, now)
        self._look(transport, now)

    def failed(self, tunnel: Tunnel, transport: Transport, error: ProxyError) -> None:
        """It did not lead to an answer."""
        now = self._clock()
        tunnel.counters.failed(error)
        way = self._way(tunnel, transport)
        if error.reason == NO_DESCRIPTORS:  # it says nothing of the tunnel
            way.heard, way.error = now, error
            self._sparse(
                "tunnel.no-descriptors", "", {**self._fields(way), "error": str(error), "remedy": remedy(error.reason)}
            )
            return
        way.note_failure(error, now)
        if self._culprit(transport) == "primary":
            way.breaker.failures += 1
        elif way.breaker.failed(now, hard=way.fault in {"tunnel", "configuration"}):
            self._tell_failed(way)
        self._tell_primary(transport, now)
        self._look(transport, now)
        if way.state is State.CLOSED:
            self.doubted()

    def _way(self, tunnel: Tunnel, transport: Transport) -> Way:
        return next(way for way in self._ways[transport] if way.tunnel is tunnel)

    def _hold_to_account(self, transport: Transport, now: float) -> None:
        """The primary gives answers again, so those through which none comes are at fault themselves."""
        for way in self._ways[transport]:
            if way.failing and way.state is State.CLOSED and way.breaker.failures >= self.rules.failures:
                way.breaker.open(now)
                self._tell_failed(way)

    # Who is at fault.

    def fails(self, transport: Transport) -> bool:
        """Whether no tunnel leads to an answer at present."""
        return all(way.failing for way in self._ways[transport])

    def review(self) -> None:
        """Look again, because other primaries may have answered."""
        for transport in self._ways:
            if self._culprits[transport] is not None:
                self._tell_primary(transport, self._clock())

    def _culprit(self, transport: Transport) -> Culprit | None:
        """None while a tunnel works, or was not tried."""
        ways = self._ways[transport]
        if not self.fails(transport):
            return None
        if all(way.fault == "primary" or self._works_elsewhere(way) for way in ways):
            return "primary"
        return "tunnels" if all(way.fault in {"tunnel", "configuration"} for way in ways) else "unknown"

    def _works_elsewhere(self, way: Way) -> bool:
        since = way.failing_since if way.failing_since is not None else self._clock()
        return self._board.works_elsewhere(way.name, way.transport, self.primary, since)

    def _tell_primary(self, transport: Transport, now: float) -> None:
        culprit, told = self._culprit(transport), self._culprits[transport]
        ways = self._ways[transport]
        enough = all(way.breaker.failures >= self.rules.failures or way.state is not State.CLOSED for way in ways)
        if culprit is None or not enough or culprit == told or (told is not None and culprit == "unknown"):
            return
        self._culprits[transport] = culprit
        errors = {way.name: str(way.error) for way in ways}
        fields = {"primary": self.primary, "transport": transport, "fault": culprit, "errors": errors}
        self._emit("primary.failed", {**fields, "meaning": _MEANINGS[culprit]})
        if culprit == "primary":
            for way in ways:
                if way.state is not State.CLOSED:
                    way.breaker.absolve(now)
                    self._emit("tunnel.recovered", {**self._fields(way), "because": "the primary is at fault"})

    # What is told.

    def _look(self, transport: Transport, now: float) -> None:
        choice, ways = self._choices[transport], self._ways[transport]
        before = choice.chosen
        if choice.look(ways, now) != before:
            why = "better for a while" if ways[before].state is State.CLOSED else "the other failed"
            fields = {**self._fields(ways[choice.chosen]), "instead_of": ways[before].name, "why": why}
            self._emit("tunnel.chosen", fields)

    def _tell_failed(self, way: Way) -> None:
        error = way.error
        if error is not None:
            fields = {**self._fields(way), "reason": error.reason, "error": str(error), "fault": way.fault}
            self._emit("tunnel.failed", {**fields, "remedy": remedy(error.reason, way.tunnel.counters.kind)})

    def _fields(self, way: Way) -> dict[str, object]:
        return {"tunnel": way.name, "primary": self.primary, "transport": way.transport}

    def status(self) -> tuple[RouteStatus, ...]:
        """How it is now, over each transport."""
        now = self._clock()
        return tuple(
            RouteStatus(
                primary=self.primary,
                transport=transport,
                chosen=ways[self._choices[transport].chosen].name,
                fault=self._culprits[transport],
                ways=tuple(_way_status(way, now) for way in ways),
            )
            for transport, ways in self._ways.items()
            if ways
        )


_MEANINGS = {
    "primary": "its tunnels work, so the primary is at fault: is it running, and does it allow their exits?",
    "tunnels": "none of its tunnels works; each error says why",
    "unknown": "no tunnel leads to an answer; whether primary or tunnels are at fault can't be told from here",
}


def _way_status(way: Way, now: float) -> WayStatus:
    error = way.error
    return WayStatus(
        tunnel=way.name,
        state="failing" if way.failing and way.state is State.CLOSED else way.state.value,
        delay=way.delay.mean,
        failed_share=way.delay.failed_share,
        trips=way.breaker.trips,
        probes=way.probes,
        rcode=way.rcode,
        answered_ago=None if way.answered is None else now - way.answered,
        retry_in=None if way.state is State.CLOSED else max(0.0, way.breaker.until - now),
        fault=way.fault,
        error=None if error is None else str(error),
        remedy="" if error is None or not way.failing else remedy(error.reason, way.tunnel.counters.kind),
    )
