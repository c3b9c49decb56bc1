"""How the backends follow NOTIFY: plain counters of each, and what is reported of them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

from msgspec import Struct

BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3600.0)
"""Upper bounds of the lag, in seconds."""


class FollowerStatus(Struct, frozen=True, kw_only=True):
    """One backend. `lags` counts by `BUCKETS`, the last is what was longer; `lag_seconds` is the sum."""

    backend: str
    pending: int  # zones
    sent: int
    retries: int
    gave_up: int
    refused: dict[str, int]  # by RCODE
    lags: list[int]
    lag_seconds: float


class FanoutStatus(Struct, frozen=True, kw_only=True):
    """All of it."""

    accepted: int
    coalesced: int  # came while backends still followed an earlier one
    unknown: int  # for zones that are not configured any more
    primary_asked: int
    backends: tuple[FollowerStatus, ...]


@dataclass(slots=True)
class Follower:
    """What is counted of one backend. It outlives a reload."""

    backend: str
    pending: int = 0
    sent: int = 0
    retries: int = 0
    gave_up: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    lags: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    lag_seconds: float = 0.0

    def followed(self, lag: float) -> None:
        """It serves the new zone, so many seconds after the NOTIFY came."""
        self.lags[bisect_left(BUCKETS, lag)] += 1
        self.lag_seconds += lag

    def status(self) -> FollowerStatus:
        """The numbers now."""
        return FollowerStatus(
            backend=self.backend,
            pending=self.pending,
            sent=self.sent,
            retries=self.retries,
            gave_up=self.gave_up,
            refused=dict(self.refused),
            lags=list(self.lags),
            lag_seconds=self.lag_seconds,
        )
