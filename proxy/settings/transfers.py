"""Settings of what passes through all forwarders together: `[transfers]`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from proxy.settings.base import Seconds, Settings


class Transfers(Settings, frozen=True, kw_only=True):
    """`[transfers]`: how much may go on at the same time; each primary has numbers of its own beside these."""

    parallel: Annotated[
        int,
        Meta(ge=1, le=10_000, description="transfers that run at the same time through all forwarders; others wait"),
    ] = 64
    queue: Annotated[
        int, Meta(ge=1, le=1_000_000, description="queries of nodes that may wait for their turn; more get SERVFAIL")
    ] = 10_000
    patience: Annotated[
        Seconds,
        Meta(description="a query that has waited for its turn this long gets SERVFAIL, and the node tries again"),
    ] = 30.0
