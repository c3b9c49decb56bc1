"""Settings of the rate limits, `[[filters.rate_limits]]`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from filters.settings.base import Settings


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
