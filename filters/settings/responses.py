"""Settings of the response limits, `[filters.response_limits]`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from filters.settings.base import Settings
from filters.settings.limits import Algorithm, Unit
from filters.values import Network

Rate = Annotated[int | None, Meta(ge=0, le=100_000_000)]


class ResponseLimits(Settings, frozen=True, kw_only=True):
    """`[filters.response_limits]`: how many answers over UDP one client prefix gets, so that forged sources are no use.

    A bucket is shared by a prefix, a class of answers and the name that such answers share: the name asked for, or the
    zone of what does not exist. TCP, TLS and clients with a valid cookie are never limited. Without this table there
    are no response limits.
    """

    rate: Annotated[
        int, Meta(ge=1, le=100_000_000, description="answers or bytes a second of a class that sets no other")
    ]
    positive: Annotated[Rate, Meta(description="of answers with records; this and the others: 0 sets no limit")] = None
    nodata: Annotated[Rate, Meta(description="of answers that the name has no such type, by zone")] = None
    nxdomain: Annotated[Rate, Meta(description="of answers that there is no such name, by zone")] = None
    referral: Annotated[Rate, Meta(description="of referrals, by delegation")] = None
    wildcard: Annotated[Rate, Meta(description="of answers from a wildcard, by what it stands below; signed ones")] = (
        None
    )
    any: Annotated[Rate, Meta(description="of answers to ANY")] = None
    dnskey: Annotated[Rate, Meta(description="of answers to DNSKEY")] = None
    error: Annotated[Rate, Meta(description="of other codes than NOERROR and NXDOMAIN, all names together")] = None
    all: Annotated[
        int, Meta(ge=0, le=100_000_000, description="of all answers to one prefix together, besides; 0 sets no limit")
    ] = 0
    window: Annotated[int, Meta(ge=1, le=3600, description="seconds' worth of the rate that may come at once")] = 2
    unit: Annotated[Unit, Meta(description="what is counted: answers, or the bytes of their DNS messages")] = "packets"
    algorithm: Annotated[Algorithm, Meta(description="as in a rate limit")] = "bucket"
    prefix_v4: Annotated[int, Meta(ge=0, le=32, description="bits of an IPv4 address that make the prefix")] = 24
    prefix_v6: Annotated[int, Meta(ge=0, le=128, description="bits of an IPv6 address that make the prefix")] = 56
    slip: Annotated[
        int,
        Meta(
            ge=0, le=100, description="every how many answers over it go out truncated, the others not; 0 none, 1 all"
        ),
    ] = 2
    observe: Annotated[bool, Meta(description="only count what is over")] = False
    exempt: Annotated[tuple[Network, ...], Meta(description="clients that are not limited")] = ()
