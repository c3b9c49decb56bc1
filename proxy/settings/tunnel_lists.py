"""Settings of server lists that tunnels are made from: `[[tunnel_lists]]` (SIP008)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from proxy.settings.base import Name, Seconds, Settings
from proxy.values import Secret


class TunnelList(Settings, frozen=True, kw_only=True):
    """`[[tunnel_lists]]`: a list of Shadowsocks servers as providers publish it (SIP008); each becomes a tunnel.

    The list comes from one of `file` and `url`. A version that can't be used changes nothing, and the last good one
    stays, over a restart too. See docs/tunnels.md.
    """

    name: Annotated[Name, Meta(description="for `primaries.tunnels`, where it stands for all its servers")]
    file: Annotated[str | None, Meta(min_length=1, description="a file, relative to this one; watched for change")] = (
        None
    )
    url: Annotated[
        Secret | None,
        Meta(description="where it is fetched from, https:// only; shown nowhere, since it leads to keys"),
    ] = None
    tunnels: Annotated[tuple[Name, ...], Meta(description="for `url`: the ways to it, in order of preference")] = ()
    address: Annotated[
        str | None, Meta(description="for `url`: the IP address of its host, which is what the tunnel opens")
    ] = None
    ca: Annotated[
        str | None, Meta(min_length=1, description="for `url`: a file of CA certificates instead of the system's")
    ] = None
    refresh: Annotated[
        float, Meta(ge=10, le=604800, description="for `url`: seconds from one look for news to the next")
    ] = 3600.0
    connect_timeout: Annotated[Seconds, Meta(description="for each of its tunnels, as in `tunnels`")] = 5.0
    udp: Annotated[bool, Meta(description="for each of its tunnels, as in `tunnels`")] = True
