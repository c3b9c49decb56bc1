"""Settings of the way in, `[ingress]`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from proxy.settings.base import Name, Seconds, Settings
from proxy.settings.overload import OverloadSettings
from proxy.settings.proxy_protocol import ProxyIn, ProxyOut
from proxy.settings.tcp import TcpSettings
from proxy.values import Endpoint

Grant = Literal["transfer", "notify", "update"]


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
    proxy_protocol: ProxyIn = ProxyIn()


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
    pools: Annotated[
        tuple[Name, ...],
        Meta(description='pools it is in, for rules that route; without any, "default", that of all other queries'),
    ] = ()
    weight: Annotated[int, Meta(ge=1, le=1000, description="share of the queries; 2 gets twice as many as 1")] = 1
    timeout: Annotated[
        Seconds, Meta(description="an answer later than this is dropped, and counts against the backend")
    ] = 2.0
    proxy_protocol: ProxyOut = ProxyOut()


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
    overload: OverloadSettings = OverloadSettings()
    health: Health = Health()
