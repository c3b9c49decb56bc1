"""What the API and the command line say and hear of blocks and of traffic."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from filters.settings.blocks import Step
from gateway.errors import GatewayError

Kind = Literal["prefix", "suffix"]


class BlockError(GatewayError):
    """A block that can't be set; the text says what would be right."""


class Block(Struct, kw_only=True):
    """A temporary ban of a prefix, or of a name and all below it.

    Times are seconds since 1970; without `until` it stays until it is removed. `rule` is None for an operator's.
    `step` is its place on the ladder of its rule and `stepped` since when; `times` is how many times the threshold was
    measured, `mix` what one query of it counts for (see `filters.detectors.measures`).
    """

    id: int
    kind: Kind
    subject: str
    action: Step
    reason: str
    since: float
    until: float | None
    who: Literal["detector", "operator"]
    rule: str | None = None
    hits: int = 0
    step: int = 0
    stepped: float = 0.0
    times: float = 0.0
    mix: float = 1.0


class BlockRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operator's block. `seconds` is how long it stays; None: until it is removed."""

    subject: str
    action: Literal["truncate", "drop"] = "drop"
    reason: str = ""
    seconds: float | None = None


class BlockList(Struct, frozen=True, kw_only=True):
    """All blocks, and how many found no place since the start because the table was full."""

    blocks: tuple[Block, ...]
    most: int
    overflowed: int


class Row(Struct, frozen=True, kw_only=True):
    """One subject: messages a second, by what became of them. Rates are estimates from samples."""

    subject: str
    queries: float
    answers: float
    share: float
    """Of all queries."""

    answer_bytes: float
    malformed: float
    blocked: float
    nxdomain: float


class Share(Struct, frozen=True, kw_only=True):
    """One value of a kind, a second, and its share of the kind. `value` is a type, an RCODE, verdict and reason, or
    a transport."""

    value: str
    rate: float
    share: float


class BackendRate(Struct, frozen=True, kw_only=True):
    """Answers a second of a backend, and the milliseconds that they took on average."""

    name: str
    rate: float
    milliseconds: float


class Sampled(Struct, frozen=True, kw_only=True):
    """The traffic of the last `seconds`. `samples` is what all of it is estimated from."""

    seconds: int
    samples: int
    queries: float
    answers: float
    query_bytes: float
    answer_bytes: float
    rows: dict[str, tuple[Row, ...]]
    shares: dict[str, tuple[Share, ...]]
    backends: tuple[BackendRate, ...]


class LimitRate(Struct, frozen=True, kw_only=True):
    """Queries a second over a rate limit, counted exactly."""

    name: str
    rate: float


class Top(Struct, frozen=True, kw_only=True):
    """What `GET /top` answers. Names from packets are escaped as in zone files; the rest is our own text."""

    sampled: Sampled
    limits: tuple[LimitRate, ...]
    blocks: tuple[Block, ...]
    blocks_in_all: int
