"""The circuit breaker of one tunnel towards one primary over one transport.

    CLOSED ──N failures in a row, or one hard failure──▶ OPEN ──its rest is over, one trial begins──▶ HALF_OPEN
       ▲                                                  ▲                                            │  │
       │                                                  └────────────── the trial fails ─────────────┘  │
       └───────────────────────────────── M answers in a row ─────────────────────────────────────────────┘

The rest doubles with each opening, up to a bound, so that a tunnel that comes and goes is tried less and less. It
begins anew after the breaker was closed for as long as the longest rest. A trial that nobody reports on ends by
itself, so that a caller who never came to it does not block the next one.

What is open is still used when there is nothing else. An answer then counts like that of a trial, and one is enough.
"""

from __future__ import annotations

from enum import Enum

from proxy.settings.failover import Failover


class State(Enum):
    """Of a breaker."""

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"


class Breaker:
    """Times are seconds of any clock that does not go back; each method takes what it is now."""

    def __init__(self, rules: Failover) -> None:
        self.rules = rules
        self.state = State.CLOSED
        self.trips = 0  # openings since the start, for a metric
        self.failures = 0  # in a row
        self.until = 0.0  # open: the end of the rest; half-open: when the trial is given up
        self.closed_since = float("-inf")
        self._doublings = 0
        self._successes = 0

    def due(self, now: float) -> bool:
        """Whether a trial may begin."""
        return self.state is not State.CLOSED and now >= self.until

    def try_once(self, now: float, limit: float) -> None:
        """A trial begins; there is no other for `limit` seconds, unless this one is reported on before."""
        self.state = State.HALF_OPEN
        self.until = now + limit

    def worked(self, now: float, *, alone: bool = False) -> bool:
        """An answer came. Whether that closed the breaker. `alone`: there is nothing else to use."""
        self.failures = 0
        if self.state is State.CLOSED:
            return False
        self._successes += 1
        if self._successes < self.rules.successes and not alone:
            self.state = State.HALF_OPEN
            self.until = now  # the next trial may follow at once
            return False
        self._close(now)
        return True

    def failed(self, now: float, *, hard: bool) -> bool:
        """No answer came. Whether that opened a closed breaker."""
        self.failures += 1
        if self.state is State.CLOSED:
            if hard or self.failures >= self.rules.failures:
                self.open(now)
                return True
        elif self.state is State.HALF_OPEN:
            self.open(now)
        return False

    def open(self, now: float) -> None:
        """Begin a rest."""
        if self.state is State.CLOSED and now - self.closed_since >= self.rules.longest_rest:
            self._doublings = 0
        rest = min(self.rules.rest * 2.0**self._doublings, self.rules.longest_rest)
        if rest < self.rules.longest_rest:
            self._doublings += 1
        self.trips += self.state is State.CLOSED
        self.state = State.OPEN
        self.until = now + rest
        self._successes = 0

    def absolve(self, now: float) -> None:
        """It was not the tunnel: the breaker closes, and no rest grows from this."""
        self.failures = self._doublings = 0
        self._close(now)

    def _close(self, now: float) -> None:
        self.state = State.CLOSED
        self.closed_since = now
        self._successes = 0
