"""Settings of the filters, `[filters]`. The classes are the schema: `gateway.config` reads the TOML by their fields."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Choice = Literal["pass", "formerr", "drop"]


class Settings(Struct, frozen=True, kw_only=True):
    """Base of every table of the filters."""


class RateLimit(Settings, frozen=True, kw_only=True):
    """`[[filters.rate_limits]]`: a token bucket for each value of the key, exact over all workers.

    The limits are charged in their order, and the first that a query is over decides; those before it stay charged.
    `truncate` applies to UDP alone, because it sends the client to TCP, where it must not meet the same limit again.
    `drop`, `refuse` and `observe` apply to UDP, TCP and TLS. The replies of `refuse` stay within the error budget, and
    `observe` only counts. Faulty messages take nothing from the limits: what they get, the error budget bounds.
    For the key `zone`, names that only "*" lets in share one bucket.
    """

    key: Annotated[
        Literal["client-prefix", "zone", "qname", "qtype", "global"], Meta(description="what shares one bucket")
    ]
    rate: Annotated[int, Meta(ge=1, le=100_000_000, description="queries a second that it refills")]
    burst: Annotated[
        int | None, Meta(ge=1, le=100_000_000, description="queries it holds when full; twice the rate unless set")
    ] = None
    prefix_v4: Annotated[int, Meta(ge=0, le=32, description="bits of an IPv4 address that make the prefix")] = 32
    prefix_v6: Annotated[int, Meta(ge=0, le=128, description="bits of an IPv6 address that make the prefix")] = 56
    action: Annotated[
        Literal["drop", "truncate", "refuse", "observe"],
        Meta(description="what happens to a query over the limit; truncate makes an honest client come back over TCP"),
    ] = "truncate"


class Checks(Settings, frozen=True, kw_only=True):
    """`[filters.checks]`: rows of the wire check that leave a choice."""

    tc_bit: Annotated[Literal["pass", "drop"], Meta(description="a query with the TC bit set")] = "pass"
    trailing_bytes: Annotated[Choice, Meta(description="bytes behind the last record")] = "formerr"
    any_over_udp: Annotated[
        Literal["pass", "truncate", "refuse"], Meta(description="QTYPE ANY over UDP (RFC 8482)")
    ] = "truncate"
    chaos: Annotated[bool, Meta(description="pass class CH: version.bind, id.server and the like")] = False


class ErrorBudget(Settings, frozen=True, kw_only=True):
    """`[filters.error_budget]`: how many error replies are given before faulty messages are dropped instead.

    One second's worth may be given at once. UDP and streams (TCP, TLS) have a budget each, so that forged datagrams
    can't use up that of real connections. 0 gives no error reply at all.
    """

    rate: Annotated[int, Meta(ge=0, le=1_000_000, description="error replies a second in total")] = 1000
    prefix_rate: Annotated[
        int, Meta(ge=0, le=1_000_000, description="error replies a second to one prefix (/24, /56)")
    ] = 10


class FilterSettings(Settings, frozen=True, kw_only=True):
    """`[filters]`: what is let in."""

    zones: Annotated[
        tuple[str, ...],
        Meta(min_length=1, description='served zones; other names are REFUSED within the error budget; "*" passes all'),
    ] = ("*",)
    rate_limits: tuple[RateLimit, ...] = ()
    table_size: Annotated[
        int, Meta(ge=1024, le=1 << 26, description="buckets kept in shared memory, 18 bytes each; taken at start")
    ] = 1 << 18
    checks: Checks = Checks()
    error_budget: ErrorBudget = ErrorBudget()
