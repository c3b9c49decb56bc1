"""Tunnels that come from server lists (SIP008): what they are called, and how they take the place of their list.

A server is `LIST/remarks`; where another one has those remarks already, `LIST/id`. It keeps the name that it first had
here as long as it is in the list, whatever the provider calls it later: counters, health and stickiness belong to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from proxy.protocol.server_lists import ServerList
from proxy.protocol.tunnel_urls import ShadowsocksAddress
from proxy.settings import EgressSettings, Tunnel, TunnelList
from proxy.values import Secret


@dataclass(slots=True)
class Listed:
    """The servers of one list in use, by the names of their tunnels, in the order of the list."""

    servers: dict[str, ShadowsocksAddress] = field(default_factory=dict)
    _labels: dict[UUID, str] = field(default_factory=dict)

    def take(self, found: ServerList) -> None:
        """This is the list from now on."""
        self._labels = {each.id: self._labels[each.id] for each in found.servers if each.id in self._labels}
        taken = set(self._labels.values())
        for each in found.servers:
            if each.id not in self._labels:
                label = each.name if each.name and each.name not in taken else str(each.id)
                self._labels[each.id] = label
                taken.add(label)
        self.servers = {self._labels[each.id]: each.address for each in found.servers}


def expand(
    settings: EgressSettings, lists: Mapping[str, Listed]
) -> tuple[EgressSettings, dict[str, ShadowsocksAddress]]:
    """The settings with a tunnel for each server, in the place of their lists; and the addresses of these tunnels."""
    if not settings.tunnel_lists:
        return settings, {}
    tunnels: list[Tunnel] = []
    addresses: dict[str, ShadowsocksAddress] = {}
    ways: dict[str, tuple[str, ...]] = {}
    for each in settings.tunnel_lists:
        servers = {f"{each.name}/{label}": address for label, address in lists.get(each.name, Listed()).servers.items()}
        tunnels += [_tunnel(each, name) for name in servers]
        addresses.update(servers)
        ways[each.name] = tuple(servers)
    primaries = tuple(
        msgspec.structs.replace(each, tunnels=tuple(way for name in each.tunnels for way in ways.get(name, (name,))))
        for each in settings.primaries
    )
    expanded = msgspec.structs.replace(settings, tunnels=(*settings.tunnels, *tunnels), primaries=primaries)
    return expanded, addresses


def _tunnel(each: TunnelList, name: str) -> Tunnel:
    # Its URL is not read: method, key and host come from the list, where a key may have no form that a URL could have.
    return Tunnel(
        name=name, url=Secret(f"from the list {each.name}"), connect_timeout=each.connect_timeout, udp=each.udp
    )
