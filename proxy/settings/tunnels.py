"""Settings of the ways out: `[[tunnels]]`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from proxy.settings.base import Name, Seconds, Settings
from proxy.settings.whoami import Whoami
from proxy.values import Network, Secret


class Tunnel(Settings, frozen=True, kw_only=True):
    """`[[tunnels]]`: a way out."""

    name: Annotated[Name, Meta(description="its name in logs, metrics and `primaries.tunnels`")]
    url: Annotated[
        Secret,
        Meta(description="ss://method:key@host:port, socks5://[user:password@]host:port, or direct://"),
    ]
    exit_addresses: Annotated[
        tuple[Network, ...], Meta(description="the source addresses that primaries will see; for their access lists")
    ] = ()
    whoami: Annotated[
        Whoami | None,
        Meta(description="who says from where it was asked; that is compared with exit_addresses"),
    ] = None
    connect_timeout: Annotated[
        Seconds, Meta(description="the connection to the tunnel's far end must stand within this")
    ] = 5.0
