"""Settings of the way out: `[[tunnels]]`, `[[primaries]]`, `[[forwarders]]`, `[exit]`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from filters.settings import FilterList
from proxy.settings.base import Name, Seconds, Settings
from proxy.values import Destination, Endpoint, Network, Secret


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
    connect_timeout: Annotated[
        Seconds, Meta(description="the connection to the tunnel's far end must stand within this")
    ] = 5.0


class Primary(Settings, frozen=True, kw_only=True):
    """`[[primaries]]`: where zones come from."""

    name: Annotated[Name, Meta(description="its name in logs, metrics and `forwarders.primary`")]
    address: Annotated[Endpoint, Meta(description="where it answers DNS, as the exit reaches it")]
    tunnels: Annotated[tuple[Name, ...], Meta(min_length=1, description="the ways to it, in order of preference")]


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


class Exit(Settings, frozen=True, kw_only=True):
    """`[exit]`: this gateway as the far end of tunnels."""

    listen: Annotated[Endpoint, Meta(description="where the tunnels end; TCP and UDP")]
    method: Annotated[
        Literal[
            "2022-blake3-aes-128-gcm",
            "2022-blake3-aes-256-gcm",
            "2022-blake3-chacha20-poly1305",
            "aes-128-gcm",
            "aes-256-gcm",
            "chacha20-ietf-poly1305",
        ],
        Meta(description="the Shadowsocks method; one of the 2022 edition unless the other side can't"),
    ] = "2022-blake3-aes-256-gcm"
    key: Annotated[Secret, Meta(description="2022: base64 of 16 or 32 random bytes; before: a password")]
    allow: Annotated[
        tuple[Destination, ...], Meta(min_length=1, description="prefix and port that it opens; nothing else")
    ]
    idle_timeout: Annotated[
        Seconds, Meta(description="a connection on which nothing moves either way for this long is closed")
    ] = 300.0
    handshake_timeout: Annotated[Seconds, Meta(description="the first header must have come within this")] = 10.0
    connect_timeout: Annotated[Seconds, Meta(description="the connection to a primary must stand within this")] = 5.0
    connections: Annotated[int, Meta(ge=1, le=1_000_000, description="open TCP connections")] = 10_000
    associations: Annotated[
        int, Meta(ge=1, le=1_000_000, description="UDP sessions kept; one silent for 60 s makes room")
    ] = 4096


class EgressSettings(Settings, frozen=True, kw_only=True):
    """What the transfer process runs; not a table of its own."""

    tunnels: tuple[Tunnel, ...] = ()
    primaries: tuple[Primary, ...] = ()
    forwarders: tuple[Forwarder, ...] = ()
    exit: Exit | None = None
    lists: tuple[FilterList, ...] = ()
