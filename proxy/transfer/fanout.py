"""NOTIFY to every backend of a zone: the zones, their rounds, and what is told of them when they end.

A zone has one round: a NOTIFY that comes while backends still follow an earlier one replaces it, so a storm costs no
more than the back-off lets through. Whoever hands them in keeps each until `ended` was called with its number, and may
hand it in again after a crash: a round that all backends have followed ends at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import dns.name

from proxy.protocol.notify import Notice, is_reached
from proxy.protocol.tsig import KeyRing
from proxy.settings import Backend, EgressSettings, Zone
from proxy.transfer.course import AT_ONCE, Course, Node
from proxy.transfer.primaries import Reach, primary_serial
from proxy.transfer.rounds import DELAYS, Round
from proxy.transfer.status import FanoutStatus, Follower
from proxy.values import Emit


@dataclass(slots=True)
class _ZoneState:
    """A zone with its courses, each of which remembers what its backend had."""

    name: dns.name.Name
    settings: Zone
    courses: dict[str, Course]
    round: Round | None = None
    running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    asking: asyncio.Task[None] | None = None


class Fanout:
    """The fan-out of one process."""

    def __init__(self, *, emit: Emit, ended: Callable[[int], object], reach: Reach) -> None:
        """`reach` gives a primary and the route to it, for questions to it."""
        self._emit = emit
        self._ended = ended
        self._reach = reach
        self._settings = EgressSettings()
        self._keys = KeyRing(())
        self._zones: dict[str, _ZoneState] = {}
        self._nodes: dict[str, Node] = {}
        self._followers: dict[str, Follower] = {}
        self.accepted = self.coalesced = self.unknown = self.primary_asked = 0

    def configure(self, settings: EgressSettings) -> None:
        """Go by these settings from now on. What runs for a zone and backends that stay goes on.

        Raises:
            ValueError: a key that is none; nothing has changed then.
        """
        self._keys = KeyRing(settings.tsig_keys)
        self._settings = settings
        self._nodes = {each.name: self._node(each) for each in settings.backends}
        before, self._zones = self._zones, {}
        for zone in settings.zones:
            name = dns.name.from_text(zone.name).canonicalize()
            known = before.pop(name.to_text(), None)
            self._zones[name.to_text()] = self._zone(name, zone, known)
        for state in before.values():
            self._abandon(state)

    def take(self, number: int, notice: Notice) -> None:
        """Follow a NOTIFY; `ended` is called with its number when that is over."""
        self.accepted += 1
        state = self._zones.get(notice.zone)
        if state is None or not state.courses:  # a reload has taken it away meanwhile
            self.unknown += 1
            self._ended(number)
            return
        fields = {
            "zone": notice.zone.removesuffix(".") or ".",
            "source": notice.client[0],
            "transport": notice.transport,
        }
        self._emit("notify.accepted", {**fields, "serial": notice.serial, "key": notice.key})
        target, before = notice.serial, state.round
        if before is not None:
            self.coalesced += 1
            self._ended(before.number)
            before.number = number
            if target is not None and target == before.notice.serial and notice.at - before.notice.at < DELAYS[0]:
                return  # a repetition
            # What it says is a hint. An older one must not end what has to be reached, but the backends hear of it.
            if target is not None and before.target is not None and is_reached(before.target, target):
                target = before.target
        state.round = Round(notice, number, target)
        for name, course in state.courses.items():
            course.begin(state.round)
            if name not in state.running:
                task = asyncio.create_task(course.follow(), name=f"NOTIFY of {notice.zone} to {name}")
                state.running[name] = task
                task.add_done_callback(lambda done, name=name, state=state: self._over(state, name, done))  # type: ignore[misc]  # mypy can't see the defaults
        if target is None:
            self._ask_primary(state)

    def status(self) -> FanoutStatus:
        """The numbers now."""
        return FanoutStatus(
            accepted=self.accepted,
            coalesced=self.coalesced,
            unknown=self.unknown,
            primary_asked=self.primary_asked,
            backends=tuple(node.follower.status() for node in self._nodes.values()),
        )

    def stop(self) -> None:
        """Tell nobody any more. What has not ended is handed in again by whoever keeps it."""
        for state in self._zones.values():
            for task in (*state.running.values(), *([] if state.asking is None else [state.asking])):
                task.cancel()

    def _node(self, settings: Backend) -> Node:
        follower = self._followers.setdefault(settings.name, Follower(settings.name))
        known = self._nodes.get(settings.name)
        if known is None:
            return Node(settings, follower, asyncio.Semaphore(AT_ONCE))
        known.settings = settings
        return known

    def _zone(self, name: dns.name.Name, zone: Zone, known: _ZoneState | None) -> _ZoneState:
        told = [each.name for each in zone.told(self._settings.backends)]
        if known is None:
            known = _ZoneState(name, zone, {})
        for gone in known.courses.keys() - set(told):
            del known.courses[gone]
            if gone in known.running:
                known.running[gone].cancel()
        known.settings = zone
        known.courses = {each: known.courses.get(each) or self._course(known, each) for each in told}
        return known

    def _course(self, state: _ZoneState, backend: str) -> Course:
        return Course(
            state.name,
            self._nodes[backend],
            self._emit,
            keys=lambda: self._keys,
            doubts=lambda: self._ask_primary(state),
            give_up_after=lambda: state.settings.notify.give_up_after,
        )

    def _abandon(self, state: _ZoneState) -> None:
        for task in state.running.values():
            task.cancel()

    def _over(self, state: _ZoneState, backend: str, done: asyncio.Task[None]) -> None:
        state.running.pop(backend, None)
        if not done.cancelled() and done.exception() is not None:
            # A fault of our own. The others go on, and the zone's next NOTIFY begins anew.
            fields = {
                "zone": state.name.to_text(omit_final_dot=True),
                "backend": backend,
                "error": str(done.exception()),
            }
            self._emit("notify.failed", fields)
        if state.running or state.round is None:
            return
        if done.cancelled() and self._zones.get(state.name.to_text()) is state and backend in state.courses:
            return  # we stop, and it has not ended
        self._ended(state.round.number)
        state.round = None

    def _ask_primary(self, state: _ZoneState) -> None:
        """Once a round: what the primary says is the target from then on."""
        current = state.round
        if current is None or current.asked or not state.settings.primaries:
            return
        if state.asking is not None and not state.asking.done():
            return
        current.asked = True
        self.primary_asked += 1

        async def look() -> None:
            serial = await primary_serial(state.name, state.settings.primaries, self._reach)
            if serial is not None and state.round is current:
                current.target = serial
                for course in state.courses.values():
                    course.look()

        state.asking = asyncio.create_task(look(), name=f"serial of {state.name} at its primaries")
