"""Settings of where zones come from: `[[primaries]]`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from proxy.settings.base import Name, Settings
from proxy.settings.failover import Failover
from proxy.settings.primary_tls import PrimaryTls
from proxy.values import Endpoint


class Primary(Settings, frozen=True, kw_only=True):
    """`[[primaries]]`: where zones come from."""

    name: Annotated[Name, Meta(description="its name in logs, metrics and `forwarders.primary`")]
    address: Annotated[Endpoint, Meta(description="where it answers DNS, as the exit reaches it")]
    tunnels: Annotated[tuple[Name, ...], Meta(min_length=1, description="the ways to it, in order of preference")]
    choice: Annotated[
        Literal["ordered", "scored"],
        Meta(description="which tunnel is taken: the first that works, or the one with the shortest delay"),
    ] = "ordered"
    tsig_key: Annotated[
        str | None,
        Meta(description="the name of a [[tsig_keys]]; queries of nodes to this primary must be signed by it"),
    ] = None
    failover: Failover = Failover()
    tls: PrimaryTls | None = None
