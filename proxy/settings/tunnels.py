"""Settings of the ways out: `[[tunnels]]`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from proxy.settings.base import Name, Seconds, Settings
from proxy.settings.whoami import Whoami
from proxy.values import Address, Network, Secret


class Tunnel(Settings, frozen=True, kw_only=True):
    """`[[tunnels]]`: a way out. See docs/tunnels.md."""

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
    through: Annotated[
        Name | None, Meta(description="the name of another tunnel, through which the far end of this one is reached")
    ] = None
    udp: Annotated[
        bool, Meta(description="false where the far end carries no datagrams (ssh -D, microsocks): queries go over TCP")
    ] = True
    source: Annotated[
        Address | tuple[Address, ...],
        Meta(max_length=2, description="the address that connections leave from; at most one of each family"),
    ] = ()
    interface: Annotated[
        str | None,
        Meta(min_length=1, max_length=15, description="the network interface that connections leave by; CAP_NET_RAW"),
    ] = None
    fwmark: Annotated[
        int | None,
        Meta(ge=1, le=0xFFFF_FFFF, description="the mark of its packets, for policy routing; CAP_NET_ADMIN"),
    ] = None
    keepalive: Annotated[
        int, Meta(ge=1, le=7200, description="seconds; a far end that is silent for twice this is given up (TCP)")
    ] = 15
    fast_open: Annotated[
        bool, Meta(description="TCP fast open: the first query rides in the SYN where the far end lets it")
    ] = False
