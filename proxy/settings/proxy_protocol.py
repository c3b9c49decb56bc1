"""Settings of the client's address: taken from the header of a proxy before us, and told to a backend behind us.

PROXY v1 is text at the start of a stream, PROXY v2 is binary and stands before each datagram or at the start of a
stream. Cloudflare Spectrum has two ways of its own over UDP: `spp`, a fixed header before each datagram and each
answer, and `spectrum`, PROXY v2 once at the beginning of what it takes for a stream of datagrams.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from proxy.settings.base import Seconds, Settings
from proxy.values import Network

DatagramsIn = Literal["off", "v2", "spp", "spectrum"]
StreamsIn = Literal["off", "v1", "v2"]
Probe = Literal["local", "plain", "proxy"]


class ProxyIn(Settings, frozen=True, kw_only=True, rename={"from_": "from"}):
    """`[ingress.listeners.proxy_protocol]`: clients that come by way of a proxy, which says who they are."""

    accept: Annotated[
        Literal["off", "v1", "v2", "spp", "spectrum"],
        Meta(
            description="the header that is expected: PROXY v1 (TCP only), PROXY v2, or one of Cloudflare's over UDP: "
            "its Simple Proxy Protocol (spp), PROXY v2 only at the beginning (spectrum)"
        ),
    ] = "off"
    udp: Annotated[DatagramsIn | None, Meta(description="over UDP, where it is another than `accept`")] = None
    tcp: Annotated[StreamsIn | None, Meta(description="over TCP, where it is another than `accept`")] = None
    from_: Annotated[
        tuple[Network, ...],
        Meta(description="the proxies; required with a header, because whoever may send one can be any client"),
    ] = ()
    required: Annotated[
        bool,
        Meta(
            description="drop what comes without a header or from elsewhere; false takes it as a client of its own "
            "(not with spp or spectrum, where that would be a guess)"
        ),
    ] = True
    timeout: Annotated[Seconds, Meta(description="over TCP the header must be complete within this")] = 2.0
    session_ttl: Annotated[
        Seconds, Meta(description="spectrum: a client is forgotten when nothing came from it for this long")
    ] = 30.0
    sessions: Annotated[
        int,
        Meta(ge=64, le=1_048_576, description="spectrum: clients a worker remembers; the longest idle makes room"),
    ] = 16_384

    @property
    def over_udp(self) -> DatagramsIn:
        """What is expected of datagrams."""
        if self.udp is not None:
            return self.udp
        return "off" if self.accept == "v1" else self.accept

    @property
    def over_tcp(self) -> StreamsIn:
        """What is expected of streams."""
        if self.tcp is not None:
            return self.tcp
        return "off" if self.accept in {"spp", "spectrum"} else self.accept  # type: ignore[return-value]  # mypy does not narrow


class ProxyOut(Settings, frozen=True, kw_only=True):
    """`[ingress.backends.proxy_protocol]`: a header that tells the backend who the client is."""

    udp: Annotated[Literal["off", "v2", "spp"], Meta(description="before each datagram")] = "off"
    tcp: Annotated[
        StreamsIn, Meta(description="at the start of each connection, which then serves one client only")
    ] = "off"
    crc: Annotated[bool, Meta(description="v2 with a checksum (CRC32C)")] = False
    health: Annotated[
        Probe | None,
        Meta(
            description="what stands before a health check: LOCAL of v2 (local), nothing (plain), or the header of a "
            "client, which is we ourselves (proxy); without it local with v2, proxy with spp, else plain. Knot DNS "
            "knows no LOCAL: plain"
        ),
    ] = None

    @property
    def probe(self) -> Probe:
        """How a health check comes."""
        if self.health is not None:
            return self.health
        return "local" if self.udp == "v2" else "proxy" if self.udp == "spp" else "plain"
