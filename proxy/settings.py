"""Settings of the traffic: `[ingress]`, `[[tunnels]]`, `[[primaries]]`, `[[forwarders]]`, `[exit]`.

The classes are the schema: `gateway.config` reads the TOML by their fields, bounds and descriptions. Times are in
seconds.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from proxy.values import Destination, Endpoint, Network, Secret

Name = Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Seconds = Annotated[float, Meta(gt=0, le=86400)]
Grant = Literal["transfer", "notify", "update"]


class Settings(Struct, frozen=True, kw_only=True):
    """Base of every table of the configuration."""


class Listener(Settings, frozen=True, kw_only=True):
    """`[[ingress.listeners]]`: an open door for clients."""

    address: Annotated[
        Endpoint, Meta(description="where clients reach us; a wildcard answers from the address that was asked")
    ]
    transports: Annotated[
        tuple[Literal["udp", "tcp"], ...], Meta(min_length=1, description="what is spoken at this address")
    ] = ("udp", "tcp")
    allow: Annotated[
        tuple[Grant, ...],
        Meta(description="AXFR and IXFR (transfer), NOTIFY (notify), UPDATE (update); refused unless named"),
    ] = ()


class TcpSettings(Settings, frozen=True, kw_only=True):
    """`[ingress.tcp]`: bounds on TCP clients, and the connections to the backends."""

    idle_timeout: Annotated[
        Seconds, Meta(description="close a connection with nothing asked and nothing owed after this")
    ] = 10.0
    read_timeout: Annotated[
        Seconds, Meta(description="a message that has begun must be complete within this (slow-read limit)")
    ] = 2.0
    write_timeout: Annotated[
        Seconds, Meta(description="a client that takes none of its answers for this long is closed")
    ] = 10.0
    connections: Annotated[int, Meta(ge=1, le=1_000_000, description="open client connections of one worker")] = 10_000
    connections_per_client: Annotated[
        int, Meta(ge=1, le=1_000_000, description="open connections of one address, per worker")
    ] = 100
    in_flight: Annotated[
        int, Meta(ge=1, le=65_000, description="unanswered queries of one connection; more are read later")
    ] = 100
    backend_connections: Annotated[int, Meta(ge=1, le=64, description="connections a worker keeps to each backend")] = 2


class UdpSettings(Settings, frozen=True, kw_only=True):
    """`[ingress.udp]`: bounds of the UDP relay."""

    flows: Annotated[
        int, Meta(ge=64, le=1_048_576, description="queries of one worker that wait for a backend's answer")
    ] = 65_536
    receive_buffer: Annotated[
        int,
        Meta(
            ge=4096,
            le=1 << 30,
            description="bytes the kernel may queue per socket; what it grants is verified at start",
        ),
    ] = 4 << 20
    backend_sockets: Annotated[
        int, Meta(ge=1, le=64, description="sockets with random ports a worker keeps towards the backends")
    ] = 8
    segmentation: Annotated[
        bool, Meta(description="send queries of equal length to a backend in one call (UDP_SEGMENT)")
    ] = True


class Health(Settings, frozen=True, kw_only=True):
    """`[ingress.health]`: how backends are judged, by a real SOA query for a served zone."""

    interval: Annotated[Seconds, Meta(description="between two checks of a backend; spread by a fifth either way")] = (
        1.0
    )
    timeout: Annotated[Seconds, Meta(description="a check without an answer in this time has failed")] = 1.0
    rise: Annotated[int, Meta(ge=1, le=100, description="good checks in a row that make a backend healthy")] = 2
    fall: Annotated[int, Meta(ge=1, le=100, description="failed checks in a row that make a backend unhealthy")] = 3
    zone: Annotated[
        str | None, Meta(description="the zone to ask for; without it the first of filters.zones, else the root")
    ] = None


class Backend(Settings, frozen=True, kw_only=True):
    """`[[ingress.backends]]`: a secondary DNS node behind us."""

    name: Annotated[Name, Meta(description="its name in logs and metrics")]
    address: Annotated[Endpoint, Meta(description="where it answers DNS over UDP and TCP")]
    weight: Annotated[int, Meta(ge=1, le=1000, description="share of the queries; 2 gets twice as many as 1")] = 1
    timeout: Annotated[
        Seconds, Meta(description="an answer later than this is dropped, and counts against the backend")
    ] = 2.0


class IngressSettings(Settings, frozen=True, kw_only=True):
    """`[ingress]`: from the listeners to the backends."""

    workers: Annotated[int, Meta(ge=0, le=256, description="worker processes; 0 is one per CPU")] = 0
    scheduling: Annotated[
        Literal["batch", "normal"],
        Meta(description="batch (SCHED_BATCH): a worker that wakes up does not interrupt who runs; batches get larger"),
    ] = "batch"
    listeners: Annotated[tuple[Listener, ...], Meta(min_length=1)]
    backends: Annotated[tuple[Backend, ...], Meta(min_length=1, max_length=64)]
    udp: UdpSettings = UdpSettings()
    tcp: TcpSettings = TcpSettings()
    health: Health = Health()


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
