"""Settings of the rate limits, `[[filters.rate_limits]]`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from filters.settings.base import Settings
from filters.values import Network, PrefixLength

KeyPart = Literal["client-prefix", "zone", "qname", "qtype", "opcode", "transport", "global"]
Unit = Literal["packets", "bytes"]
Algorithm = Literal["bucket", "decay"]


class RateLimit(Settings, frozen=True, kw_only=True):
    """`[[filters.rate_limits]]`: a bound for each value of the key, exact over all workers.

    The limits are charged in their order, and the first that a query is over decides; those before it stay charged.
    `truncate` applies to UDP alone, because it sends the client to TCP, where it must not meet the same limit again.
    The other actions apply to UDP, TCP and TLS. The replies of `refuse` stay within the error budget. Faulty messages
    take nothing from the limits: what they get, the error budget bounds. For the key `zone`, names that only "*" lets
    in share one bucket.
    """

    name: Annotated[
        str | None,
        Meta(
            pattern=r"^(?![0-9]+$)[A-Za-z0-9][A-Za-z0-9._-]*$",
            max_length=64,
            description="its name in the metrics, not a number, which keeps its counter over reloads; else its place",
        ),
    ] = None
    key: Annotated[
        KeyPart | tuple[KeyPart, ...],
        Meta(min_length=1, description="what shares a bucket; of a list all parts together"),
    ]
    rate: Annotated[int, Meta(ge=1, le=100_000_000, description="queries or bytes a second in the long run")]
    burst: Annotated[
        int | None, Meta(ge=1, le=100_000_000, description="as many may come at once; twice the rate unless set")
    ] = None
    unit: Annotated[Unit, Meta(description="what is counted: queries, or the bytes of their DNS messages")] = "packets"
    algorithm: Annotated[
        Algorithm,
        Meta(description="a bucket refills at a constant rate; decay halves the load again and again, as Knot DNS"),
    ] = "bucket"
    prefix_v4: Annotated[int, Meta(ge=0, le=32, description="bits of an IPv4 address that make the prefix")] = 32
    prefix_v6: Annotated[int, Meta(ge=0, le=128, description="bits of an IPv6 address that make the prefix")] = 56
    prefixes_v4: Annotated[
        tuple[PrefixLength, ...],
        Meta(max_length=8, description='several lengths at once instead, with factors for rate and burst: "/24 x32"'),
    ] = ()
    prefixes_v6: Annotated[tuple[PrefixLength, ...], Meta(max_length=8, description="the same for IPv6")] = ()
    scale: Annotated[
        Literal["none", "knot"],
        Meta(description="knot: the prefix lengths and factors of Knot DNS where none are listed"),
    ] = "none"
    action: Annotated[
        Literal["drop", "truncate", "refuse", "observe"],
        Meta(description="what happens to a query over the limit; truncate makes an honest client come back over TCP"),
    ] = "truncate"
    slip: Annotated[
        int,
        Meta(ge=0, le=100, description="truncate: every how many get a reply, the others are dropped; 0 none, 1 all"),
    ] = 1
    observe: Annotated[bool, Meta(description="only count what is over, whatever the action")] = False
    exempt: Annotated[tuple[Network, ...], Meta(description="clients that it does not look at")] = ()
