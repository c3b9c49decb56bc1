"""What one user of the exit has used up, and may still use. It outlives streams and reloads, for as long as the user
is configured.

Streams and datagrams have a bucket each: else the SOA checks of a user would be dropped while its transfers wait.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.egress.bucket import Bucket
from proxy.egress.counters import ExitUserCounters
from proxy.egress.exit_plan import UserPlan
from proxy.errors import TunnelError


class Account:
    """Of one user. `clock` is the loop's."""

    def __init__(self, plan: UserPlan, clock: Callable[[], float]) -> None:
        self.plan = plan
        self.counters = ExitUserCounters(plan.name)
        self._clock = clock
        self._bytes: Bucket | None = None
        self._datagrams: Bucket | None = None
        self._streams: Bucket | None = None
        self.follow(plan)

    def follow(self, plan: UserPlan) -> None:
        """Take the limits of another plan. What is used up stays used up where a limit is as before."""
        self.plan = plan
        limits = plan.settings
        now = self._clock()
        if limits is None:
            return
        rate, streams = limits.bytes_per_second, limits.streams_per_second
        burst = limits.bytes_burst or rate or 0
        self._bytes = self._bucket(self._bytes, rate, burst, now)
        self._datagrams = self._bucket(self._datagrams, rate, burst, now)
        self._streams = self._bucket(self._streams, streams, limits.streams_burst or max(1.0, streams or 0.0), now)

    def open_stream(self, patience: float) -> float:
        """One more stream; the seconds that it has to wait for its turn.

        Raises:
            TunnelError: "user-connections": too many are open. "user-streams": its turn is later than `patience`.
        """
        limits = self.plan.settings
        if limits is not None and limits.connections is not None and self.counters.streams_open >= limits.connections:
            raise TunnelError(f"more than {limits.connections} streams of user {self.plan.name}", "user-connections")
        wait = self._streams.take(1, self._clock()) if self._streams is not None else 0.0
        if wait > patience and self._streams is not None:
            self._streams.give_back(1)
            raise TunnelError(
                f"user {self.plan.name} opens more than {self._streams.rate:g} streams a second", "user-streams"
            )
        self.counters.streams_open += 1
        self.counters.streams_total += 1
        return wait

    def close_stream(self) -> None:
        """One less."""
        self.counters.streams_open -= 1

    def open_association(self) -> None:
        """One more UDP session.

        Raises:
            TunnelError: "user-associations": too many are open.
        """
        limits, counters = self.plan.settings, self.counters
        if limits is not None and limits.associations is not None and counters.associations_open >= limits.associations:
            raise TunnelError(f"more than {limits.associations} UDP sessions of this user", "user-associations")
        counters.associations_open += 1
        counters.associations_total += 1

    def pass_bytes(self, count: int) -> float:
        """So much payload passed in a stream; the seconds for which it should rest now."""
        wait = self._bytes.take(count, self._clock()) if self._bytes is not None else 0.0
        if wait > 0:
            self.counters.throttled += 1
        return wait

    def may_pass(self, count: int) -> bool:
        """Whether a datagram of this size may pass; it can't wait."""
        return self._datagrams is None or self._datagrams.take_now(count, self._clock())

    def check_share(self, own: int, total: int, room: int, users: int) -> None:
        """Once half of the room that all users share is taken, nobody gets more than an equal share of it.

        Raises:
            TunnelError: "user-share".
        """
        if total >= room / 2 and own >= max(1, room // users):
            raise TunnelError(
                f"user {self.plan.name} has {own} of the {room} places that {users} users share", "user-share"
            )

    @staticmethod
    def _bucket(known: Bucket | None, rate: float | None, burst: float, now: float) -> Bucket | None:
        if rate is None:
            return None
        same = known is not None and (known.rate, known.burst) == (rate, burst)
        return known if same else Bucket(rate, burst, now)
