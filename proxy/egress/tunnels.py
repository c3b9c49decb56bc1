"""From the settings of tunnels to the tunnels. One that goes through another is made behind that one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from proxy.egress.counters import TunnelCounters
from proxy.egress.dial_options import DialOptions
from proxy.egress.dialing import ChainDialer, Dialer, NetworkDialer
from proxy.egress.direct import DirectTunnel
from proxy.egress.shadowsocks import ShadowsocksTunnel
from proxy.egress.socks5 import Socks5Tunnel
from proxy.egress.tunnel import Tunnel
from proxy.protocol.tunnel_urls import DirectAddress, ShadowsocksAddress, Socks5Address, parse_tunnel_url
from proxy.settings import Tunnel as TunnelSettings

_KINDS = {ShadowsocksAddress: "shadowsocks", Socks5Address: "socks5", DirectAddress: "direct"}


@dataclass(frozen=True, slots=True)
class Made:
    """A tunnel, with what it was made from; `below` is the one that it goes through."""

    settings: TunnelSettings
    below: Tunnel | None
    tunnel: Tunnel
    address: ShadowsocksAddress | None = None  # of one that comes from a list


def make_tunnels(
    settings: Sequence[TunnelSettings],
    before: Mapping[str, Made],
    counters: Callable[[str], TunnelCounters],
    addresses: Mapping[str, ShadowsocksAddress] = MappingProxyType({}),
) -> dict[str, Made]:
    """All tunnels by name, in their order. One of `before` whose settings and whose way are the same stays.

    `addresses` are those of tunnels that come from a list, whose URL is not read.

    Raises:
        ValueError: a URL is wrong, or `through` leads nowhere or round in a circle.
    """
    wanted = {each.name: each for each in settings}
    made: dict[str, Made] = {}

    def make(name: str, above: tuple[str, ...]) -> Made:
        if name in made:
            return made[name]
        if name in above:
            raise ValueError(f"tunnel {name} goes through itself: {' through '.join((*above, name))}")
        if name not in wanted:
            raise ValueError(f"tunnel {above[-1]}: there is no tunnel {name!r} to go through")
        own = wanted[name]
        below = make(own.through, (*above, name)).tunnel if own.through is not None else None
        known = before.get(name)
        address = addresses.get(name)
        if known is not None and (known.settings, known.address) == (own, address) and known.below is below:
            made[name] = known
        else:
            try:
                made[name] = Made(own, below, make_tunnel(own, counters(name), below, address), address)
            except ValueError as error:
                raise ValueError(f"tunnel {name}: {error}") from None
        return made[name]

    return {each.name: make(each.name, ()) for each in settings}


def make_tunnel(
    settings: TunnelSettings,
    counters: TunnelCounters | None = None,
    below: Tunnel | None = None,
    address: ShadowsocksAddress | None = None,
) -> Tunnel:
    """Make a tunnel; nothing is opened yet. `counters` are those of the tunnel of that name before a reload.

    Raises:
        ValueError: the URL is wrong, or there is no `below` for its `through`; the text does not show the URL.
    """
    if settings.through is not None and below is None:  # else it would leave directly
        raise ValueError(f"it goes through {settings.through}, which is not there")
    where = address or parse_tunnel_url(settings.url.reveal())
    counters = counters or TunnelCounters(settings.name)
    counters.kind = _KINDS[type(where)]
    limit, options = settings.connect_timeout, _options(settings)
    dialer: Dialer = ChainDialer(below) if below is not None else NetworkDialer(options, limit)
    match where:
        case ShadowsocksAddress():
            return ShadowsocksTunnel(where, counters, dialer, udp=settings.udp)
        case Socks5Address():
            return Socks5Tunnel(where, counters, dialer, limit, udp=settings.udp)
        case DirectAddress():
            if below is not None:
                raise ValueError("direct:// goes through no other tunnel")
            return DirectTunnel(counters, limit, options=options, udp=settings.udp)


def _options(settings: TunnelSettings) -> DialOptions:
    source = settings.source if isinstance(settings.source, tuple) else (settings.source,)
    return DialOptions(
        source=tuple(each.ip for each in source),
        interface=settings.interface,
        fwmark=settings.fwmark,
        keepalive=settings.keepalive,
        fast_open=settings.fast_open,
    )
