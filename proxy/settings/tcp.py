"""Settings of the TCP door, `[ingress.tcp]`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from proxy.settings.base import Seconds, Settings


class TcpOverload(Settings, frozen=True, kw_only=True):
    """`[ingress.tcp.overload]`: what holds while the door is nearly full, and until ten points below that.

    A client prefix that holds a quarter of its connections gets no more of them then, so that the places that are left
    go to others.
    """

    threshold: Annotated[
        int, Meta(ge=0, le=100, description="percent of ingress.tcp.connections from which on it holds; 0: never")
    ] = 90
    idle_timeout: Annotated[Seconds, Meta(description="the idle time-out then, if it is shorter")] = 0.5
    lifetime: Annotated[Seconds, Meta(description="a connection that has lasted this long is asked no more")] = 5.0
    in_flight: Annotated[int, Meta(ge=1, le=65_000, description="unanswered queries of one connection then")] = 1


class TcpSettings(Settings, frozen=True, kw_only=True):
    """`[ingress.tcp]`: bounds on TCP clients, and the connections to the backends.

    Connections are counted over all workers. When all places are taken, the connection that has been idle longest is
    closed for a new one; if none is idle, the new one is reset.
    """

    idle_timeout: Annotated[
        Seconds, Meta(description="close a connection with nothing asked and nothing owed after this")
    ] = 10.0
    read_timeout: Annotated[
        Seconds, Meta(description="a message that has begun must be complete within this (slow-read limit)")
    ] = 2.0
    write_timeout: Annotated[
        Seconds, Meta(description="a client that takes none of its answers for this long is closed")
    ] = 10.0
    reads_per_message: Annotated[
        int,
        Meta(ge=0, le=65_535, description="reads that a message may take; each more must bring 512 bytes; 0: any"),
    ] = 50
    connections: Annotated[int, Meta(ge=1, le=1_000_000, description="open client connections, of all workers")] = (
        10_000
    )
    connections_per_client: Annotated[
        int, Meta(ge=1, le=1_000_000, description="open connections of one client prefix, in all workers")
    ] = 100
    prefix_v4: Annotated[int, Meta(ge=0, le=32, description="bits of an IPv4 address that make a client prefix")] = 32
    prefix_v6: Annotated[int, Meta(ge=0, le=128, description="bits of an IPv6 address that make a client prefix")] = 64
    connection_rate: Annotated[
        int | None, Meta(ge=1, le=1_000_000, description="new connections a second of one client prefix; unset: any")
    ] = None
    connection_burst: Annotated[
        int | None, Meta(ge=1, le=1_000_000, description="of them at once; twice the rate unless set")
    ] = None
    queries_per_connection: Annotated[
        int | None,
        Meta(ge=1, le=1 << 31, description="then a connection is answered what is in flight, and closed; unset: any"),
    ] = None
    lifetime: Annotated[
        Seconds | None, Meta(description="a connection that has lasted this long is asked no more; unset: any")
    ] = None
    time_limit: Annotated[
        int | None,
        Meta(ge=1, le=1_000_000, description="microseconds of CPU a second that a client prefix may cost; unset: any"),
    ] = None
    time_burst: Annotated[
        int | None,
        Meta(ge=1, le=1_000_000, description="microseconds of them at once; twice the limit unless set"),
    ] = None
    time_action: Annotated[
        Literal["wait", "close", "observe"],
        Meta(description="what happens to a prefix over time_limit: not read until it is below, closed, or counted"),
    ] = "wait"
    in_flight: Annotated[
        int, Meta(ge=1, le=65_000, description="unanswered queries of one connection; more are read later")
    ] = 100
    backend_connections: Annotated[int, Meta(ge=1, le=64, description="connections a worker keeps to each backend")] = 2
    proxied_connections: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="connections of a worker to a backend with a PROXY header, which serve one client each; at the "
            "bound clients take turns. All workers together must stay below what the backend takes",
        ),
    ] = 100
    overload: TcpOverload = TcpOverload()
