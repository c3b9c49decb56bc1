"""Settings of the doors for software that speaks SOCKS: `[[socks_doors]]`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from proxy.settings.base import Name, Seconds, Settings
from proxy.values import Endpoint, Network, Secret


class SocksUser(Settings, frozen=True, kw_only=True):
    """`[[socks_doors.users]]`: who may come in."""

    name: Annotated[Name, Meta(description="as the client sends it")]
    password: Annotated[Secret, Meta(description="1 to 255 bytes")]


class SocksDoor(Settings, frozen=True, kw_only=True):
    """`[[socks_doors]]`: a local SOCKS5 server that leads through tunnels to primaries and nowhere else.

    What passes is DNS, gated as at a forwarder. See docs/socks-door.md.
    """

    listen: Annotated[Endpoint, Meta(description="where it is found; TCP, and for UDP a port for each association")]
    primaries: Annotated[
        tuple[Name, ...], Meta(min_length=1, description="the primaries that may be asked for, by their addresses")
    ]
    allow: Annotated[tuple[Network, ...], Meta(description="who may use it; loopback only unless named")] = (
        Network.parse("127.0.0.0/8"),
        Network.parse("::1/128"),
    )
    users: Annotated[
        tuple[SocksUser, ...], Meta(description="with users, nobody comes in without a name and a password")
    ] = ()
    zones: Annotated[tuple[str, ...], Meta(description="zones that may be asked for; none named: all")] = ()
    handshake_timeout: Annotated[Seconds, Meta(description="the request must have come within this")] = 10.0
    idle_timeout: Annotated[
        Seconds, Meta(description="a connection or an association on which nothing moves for this long is closed")
    ] = 60.0
    connections: Annotated[
        int, Meta(ge=1, le=100_000, description="open TCP connections, those of associations too")
    ] = 1000
    queries: Annotated[int, Meta(ge=1, le=65_536, description="UDP queries of one association that wait")] = 256
    udp_timeout: Annotated[Seconds, Meta(description="a UDP query is forgotten when no answer came within this")] = 5.0
    answer_timeout: Annotated[
        Seconds, Meta(description="without the first byte of an answer over TCP in this time the next tunnel is tried")
    ] = 3.0
