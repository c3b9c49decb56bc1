"""Settings of the doors for nodes that can't be re-pointed: `[[transparent_doors]]`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from proxy.settings.base import Name, Seconds, Settings
from proxy.settings.forwarders import Forwarder
from proxy.settings.primaries import Primary
from proxy.values import Endpoint, Network


class TransparentDoor(Settings, frozen=True, kw_only=True):
    """`[[transparent_doors]]`: nodes keep the addresses of their primaries, and nftables hands us what they ask there.

    What limits a forwarder limits each primary of the door.
    """

    listen: Annotated[
        Endpoint,
        Meta(description="where nftables hands queries to, UDP and TCP; a wildcard, and no port that nodes ask"),
    ]
    allow: Annotated[tuple[Network, ...], Meta(min_length=1, description="the nodes that may use it")]
    primaries: Annotated[
        tuple[Name, ...], Meta(description="the primaries that nodes reach through it; none named: all")
    ] = ()
    zones: Annotated[tuple[str, ...], Meta(description="zones that may be asked for; none named: all")] = ()
    idle_timeout: Annotated[
        Seconds, Meta(description="a connection on which nothing moves either way for this long is closed")
    ] = 60.0
    connections: Annotated[int, Meta(ge=1, le=100_000, description="open TCP connections to each primary")] = 1000
    answer_timeout: Annotated[
        Seconds, Meta(description="without the first byte of an answer over TCP in this time the next tunnel is tried")
    ] = 3.0
    queries: Annotated[
        int, Meta(ge=1, le=65_536, description="UDP queries to each primary that wait for an answer")
    ] = 1024
    udp_timeout: Annotated[Seconds, Meta(description="a UDP query is forgotten when no answer came within this")] = 5.0

    def chosen(self, primaries: Iterable[Primary]) -> list[Primary]:
        """Those that nodes reach through this door."""
        return [each for each in primaries if not self.primaries or each.name in self.primaries]

    def forwarder(self, primary: str) -> Forwarder:
        """This door as a forwarder to one of its primaries."""
        return Forwarder(
            listen=self.listen,
            primary=primary,
            allow=self.allow,
            zones=self.zones,
            idle_timeout=self.idle_timeout,
            connections=self.connections,
            answer_timeout=self.answer_timeout,
            queries=self.queries,
            udp_timeout=self.udp_timeout,
        )
