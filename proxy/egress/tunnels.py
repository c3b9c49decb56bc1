"""From a tunnel's settings to the tunnel."""

from __future__ import annotations

from proxy.egress.counters import TunnelCounters
from proxy.egress.direct import DirectTunnel
from proxy.egress.shadowsocks import ShadowsocksTunnel
from proxy.egress.socks5 import Socks5Tunnel
from proxy.egress.tunnel import Tunnel
from proxy.protocol.tunnel_urls import DirectAddress, ShadowsocksAddress, Socks5Address, parse_tunnel_url
from proxy.settings import Tunnel as TunnelSettings

_KINDS = {ShadowsocksAddress: "shadowsocks", Socks5Address: "socks5", DirectAddress: "direct"}


def make_tunnel(settings: TunnelSettings, counters: TunnelCounters | None = None) -> Tunnel:
    """Make a tunnel; nothing is opened yet. `counters` are those of the tunnel of that name before a reload.

    Raises:
        ValueError: the URL is wrong; the text does not show it.
    """
    address = parse_tunnel_url(settings.url.reveal())
    counters = counters or TunnelCounters(settings.name)
    counters.kind = _KINDS[type(address)]
    match address:
        case ShadowsocksAddress():
            return ShadowsocksTunnel(address, counters, settings.connect_timeout)
        case Socks5Address():
            return Socks5Tunnel(address, counters, settings.connect_timeout)
        case DirectAddress():
            return DirectTunnel(counters, settings.connect_timeout)
