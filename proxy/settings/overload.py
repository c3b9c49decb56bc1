"""Settings of admission under overload, `[ingress.overload]`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from proxy.settings.base import Seconds, Settings
from proxy.values import Network


class OverloadSettings(Settings, frozen=True, kw_only=True):
    """`[ingress.overload]`: who goes without when the backends can't answer everybody.

    Each worker lets each backend have a window of unanswered queries: as many as it answers within its quiet delay and
    `target`. Below half of the window everybody is let in. Above, new clients go
    without; above 75 % those that were seen before, above 90 % those that are known for a while and were answered
    often. The whole window is for verified clients: with a valid cookie, over TCP, or listed in `verified`.
    """

    enabled: Annotated[bool, Meta(description="bound what a backend may have unanswered")] = True
    target: Annotated[
        Seconds,
        Meta(description="how much longer than in quiet times an answer may take; up to half a second"),
    ] = 0.05
    window_min: Annotated[
        int, Meta(ge=1, le=65_536, description="the smallest window, of one worker for one backend and transport")
    ] = 8
    window_max: Annotated[int, Meta(ge=64, le=1_048_576, description="the largest window")] = 65_536
    verified: Annotated[
        tuple[Network, ...],
        Meta(description="prefixes whose clients count as verified, such as known resolvers"),
    ] = ()
    reply: Annotated[
        Literal["truncate", "servfail", "drop"],
        Meta(description="what verified clients get over UDP when even they go without; others get nothing"),
    ] = "truncate"
