"""Settings of the choice among the tunnels of a primary: `[primaries.failover]`.

The defaults: two failures in a row are more than a lost packet; half a minute between looks at an alternative costs a
primary little; after a minute something better is better for good.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from proxy.settings.base import Seconds, Settings


class Failover(Settings, frozen=True, kw_only=True):
    """`[primaries.failover]`: when another tunnel is taken, and when the one before is tried again."""

    probes: Annotated[
        bool, Meta(description="ask SOA through each tunnel; for the first of the zones of the primary's forwarders")
    ] = True
    interval: Annotated[
        Seconds, Meta(description="between probes of a tunnel without other traffic; a fifth more or less at random")
    ] = 30.0
    idle_interval: Annotated[
        Seconds, Meta(description="the same for a primary that no node asks, and where there is only one tunnel")
    ] = 300.0
    failures: Annotated[
        int, Meta(ge=1, le=100, description="silences in a row that take a tunnel out; a refusal does so at once")
    ] = 2
    successes: Annotated[int, Meta(ge=1, le=100, description="answers in a row that take it in again")] = 2
    rest: Annotated[
        Seconds, Meta(description="a tunnel taken out is tried again after this, then after twice as long, and on")
    ] = 5.0
    longest_rest: Annotated[Seconds, Meta(description="but not later than this")] = 300.0
    margin: Annotated[
        float, Meta(ge=0, le=10, description='with choice "scored", another tunnel must be better by this share')
    ] = 0.5
    hold: Annotated[
        Seconds, Meta(description="and for this long; so long also an earlier tunnel must work to be preferred again")
    ] = 60.0
    shortest_wait: Annotated[
        Seconds, Meta(description="silence is never taken for a failure before; else four times the usual delay is")
    ] = 0.5
    first_wait: Annotated[Seconds, Meta(description="the same for a tunnel whose usual delay is not known")] = 1.5
