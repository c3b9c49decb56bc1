"""What the transfer process runs."""

from __future__ import annotations

from filters.settings import FilterList
from proxy.settings.base import Settings
from proxy.settings.exit import Exit
from proxy.settings.forwarders import Forwarder
from proxy.settings.ingress import Backend
from proxy.settings.keys import TsigKey
from proxy.settings.primaries import Primary
from proxy.settings.socks_doors import SocksDoor
from proxy.settings.transfers import Transfers
from proxy.settings.transparent import TransparentDoor
from proxy.settings.tunnel_lists import TunnelList
from proxy.settings.tunnels import Tunnel
from proxy.settings.zones import Zone


class EgressSettings(Settings, frozen=True, kw_only=True):
    """What the transfer process runs; not a table of its own."""

    tunnels: tuple[Tunnel, ...] = ()
    tunnel_lists: tuple[TunnelList, ...] = ()
    tsig_keys: tuple[TsigKey, ...] = ()
    primaries: tuple[Primary, ...] = ()
    forwarders: tuple[Forwarder, ...] = ()
    transparent_doors: tuple[TransparentDoor, ...] = ()
    transfers: Transfers = Transfers()
    socks_doors: tuple[SocksDoor, ...] = ()
    exit: Exit | None = None
    lists: tuple[FilterList, ...] = ()
    zones: tuple[Zone, ...] = ()
    backends: tuple[Backend, ...] = ()
