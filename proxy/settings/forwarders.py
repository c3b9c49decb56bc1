"""Settings of the local addresses that lead to primaries: `[[forwarders]]`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from proxy.settings.base import Name, Seconds, Settings
from proxy.values import Endpoint, Network


class Forwarder(Settings, frozen=True, kw_only=True):
    """`[[forwarders]]`: a local address that leads through tunnels to one primary."""

    listen: Annotated[Endpoint, Meta(description="where the nodes find it; UDP and TCP")]
    primary: Annotated[Name, Meta(description="the name of a primary")]
    allow: Annotated[tuple[Network, ...], Meta(description="who may use it; loopback only unless named")] = (
        Network.parse("127.0.0.0/8"),
        Network.parse("::1/128"),
    )
    zones: Annotated[tuple[str, ...], Meta(description="zones that may be asked for; none named: all")] = ()
    idle_timeout: Annotated[
        Seconds, Meta(description="a connection on which nothing moves either way for this long is closed")
    ] = 60.0
    connections: Annotated[int, Meta(ge=1, le=100_000, description="open TCP connections")] = 1000
    answer_timeout: Annotated[
        Seconds, Meta(description="without the first byte of an answer over TCP in this time the next tunnel is tried")
    ] = 3.0
    queries: Annotated[int, Meta(ge=1, le=65_536, description="UDP queries that wait for an answer")] = 1024
    udp_timeout: Annotated[Seconds, Meta(description="a UDP query is forgotten when no answer came within this")] = 5.0
