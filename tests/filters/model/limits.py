"""Rate limits and the error budget of docs/limits.md: a level for each key in a dict."""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass, field
from fractions import Fraction

from filters.settings import ErrorBudget, RateLimit
from filters.values import IPAddress
from tests.filters.model.message import Name, Read, is_stream

SECOND = 10**9
KNOT = {
    4: ((32, 1), (24, 32), (20, 256), (18, 768)),
    6: ((128, 1), (64, 2), (56, 3), (48, 4), (32, 64)),
}
NOTHING = 1 / 16
"""A decaying load below this counts as nothing."""
CLOSE = 0.01
"""So near to its bound a decaying load is not compared: where floats round is nobody's promise."""
FINE = Fraction(1, 10**5)
"""The same for buckets: the engine keeps times in steps."""


class Unsure(Exception):  # noqa: N818  # a finding, and no error
    """The model does not know: too near to a bound."""


@dataclass
class Bucket:
    """What was taken and has not come back."""

    debt: Fraction | float = Fraction(0)
    then: int = 0


@dataclass
class Meter:
    """Debts by key. A debt shrinks by `rate` a second, or by the share rate / burst of itself."""

    rate: int
    burst: int
    decays: bool = False
    buckets: dict[object, Bucket] = field(default_factory=dict)

    def debt(self, key: object, now: int) -> Fraction | float:
        """What has not come back.

        Raises:
            Unsure: too near to nothing to say.
        """
        bucket = self.buckets.setdefault(key, Bucket(then=now))
        passed = Fraction(now - bucket.then, SECOND)
        if self.decays:
            load = float(bucket.debt) * math.exp(-float(passed) * self.rate / self.burst)
            if abs(load - NOTHING) < CLOSE * NOTHING:
                raise Unsure
            return load if load > NOTHING else 0.0
        return max(Fraction(0), bucket.debt - passed * self.rate)

    def has_room(self, key: object, cost: int, now: int) -> bool:
        """Whether `cost` may be taken; what is larger than the burst costs the burst.

        Raises:
            Unsure: too near to say.
        """
        room = self.burst - min(cost, self.burst) - self.debt(key, now)
        near = CLOSE * self.burst if self.decays else FINE * self.burst
        if room != 0 and abs(room) < near:
            raise Unsure
        return room >= 0

    def take(self, key: object, cost: int, now: int) -> None:
        debt = self.debt(key, now) + min(cost, self.burst)
        self.buckets[key] = Bucket(debt, now)


@dataclass
class Asker:
    """What limits look at. `read` is None for a faulty message; `zone` is None where only `*` lets it in."""

    address: IPAddress
    transport: str
    read: Read | None
    zone: Name | None
    verified: bool
    length: int
    now: int


class Limit:
    """One `[[filters.rate_limits]]`, or the limit of a rule."""

    def __init__(self, settings: RateLimit) -> None:
        self.settings = settings
        keys = settings.key if isinstance(settings.key, tuple) else (settings.key,)
        self.keys = list(keys)
        burst = settings.burst if settings.burst is not None else 2 * settings.rate
        self.burst = burst
        self.meters: dict[tuple[int, int], Meter] = {}
        self.overs = 0

    def lengths(self, version: int) -> list[tuple[int, int]]:
        """Prefix lengths of a family, with their factors."""
        if "client-prefix" not in self.keys:
            return [(0, 1)]
        listed = self.settings.prefixes_v4 if version == 4 else self.settings.prefixes_v6
        if listed:
            return [(length.bits, length.factor) for length in listed]
        if self.settings.scale == "knot":
            return list(KNOT[version])
        return [(self.settings.prefix_v4 if version == 4 else self.settings.prefix_v6, 1)]

    def looks_at(self, asker: Asker) -> bool:
        """Whether this limit sees the message."""
        if any(asker.address in network for network in self.settings.exempt):
            return False
        if self.settings.action == "truncate" and (is_stream(asker.transport) or asker.verified):
            return False
        question = asker.read.question if asker.read is not None else None
        if question is None and {"zone", "qname", "qtype"} & set(self.keys):
            return False
        return not (asker.read is None and "opcode" in self.keys)

    def parts(self, asker: Asker) -> tuple[object, ...]:
        """What shares a bucket, but for the client's prefix."""
        read = asker.read
        found: list[object] = []
        for key in sorted(set(self.keys)):
            if key == "transport":
                found.append(asker.transport)
            if read is None:
                continue
            if key == "opcode":
                found.append(read.header.opcode)
            if read.question is not None and key == "zone":
                found.append(asker.zone)
            if read.question is not None and key == "qname":
                found.append(read.question.name)
            if read.question is not None and key == "qtype":
                found.append(read.question.qtype)
        return tuple(found)

    def is_over(self, asker: Asker) -> bool:
        """Charges the message, unless it is over at any length.

        Raises:
            Unsure: too near to say.
        """
        if not self.looks_at(asker):
            return False
        cost = asker.length if self.settings.unit == "bytes" else 1
        parts = self.parts(asker)
        charged: list[tuple[Meter, object]] = []
        for bits, factor in self.lengths(asker.address.version):
            meter = self.meters.setdefault(
                (bits, factor),
                Meter(self.settings.rate * factor, self.burst * factor, self.settings.algorithm == "decay"),
            )
            prefix: object = None
            if "client-prefix" in self.keys:
                prefix = ipaddress.ip_network((asker.address, bits), strict=False)
            charged.append((meter, (prefix, parts)))
        if not all(meter.has_room(key, cost, asker.now) for meter, key in charged):
            self.overs += 1
            return True
        for meter, key in charged:
            meter.take(key, cost, asker.now)
        return False

    @property
    def only_counts(self) -> bool:
        return self.settings.observe or self.settings.action == "observe"

    def action(self) -> str:
        """What is done now that a message was over: truncate replies to every `slip`-th only."""
        if self.settings.action != "truncate":
            return self.settings.action
        slip = self.settings.slip
        return "truncate" if slip and self.overs % slip == 0 else "drop"


class Budget:
    """The error budget: one second's worth in total, and for each prefix; UDP and streams apart."""

    def __init__(self, settings: ErrorBudget) -> None:
        self.settings = settings
        self.meters = {
            (stream, part): Meter(rate, rate)
            for stream in (False, True)
            for part, rate in (("total", settings.rate), ("prefix", settings.prefix_rate))
        }

    def take(self, address: IPAddress, transport: str, now: int) -> bool:
        """Whether an error reply may be given; takes nothing if not."""
        if not (self.settings.rate and self.settings.prefix_rate):
            return False
        stream = is_stream(transport)
        bits = 24 if address.version == 4 else 56
        prefix = ipaddress.ip_network((address, bits), strict=False)
        total, own = self.meters[stream, "total"], self.meters[stream, "prefix"]
        if not (own.has_room(prefix, 1, now) and total.has_room(None, 1, now)):
            return False
        own.take(prefix, 1, now)
        total.take(None, 1, now)
        return True
