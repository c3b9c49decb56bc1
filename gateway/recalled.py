"""The ways out as a command of its own sees them: with the servers of server lists as they were last fetched."""

from __future__ import annotations

from pathlib import Path

from gateway.config.directory import LISTS, state_directory
from gateway.settings import GatewaySettings
from proxy.egress.listed import Listed, expand
from proxy.protocol.tunnel_urls import ShadowsocksAddress
from proxy.settings import EgressSettings


def recall_egress(settings: GatewaySettings, file: Path) -> tuple[EgressSettings, dict[str, ShadowsocksAddress]]:
    """Tunnels, primaries and doors of the configuration `file`, and the addresses of tunnels from lists."""
    egress = EgressSettings(
        tunnels=settings.tunnels,
        tunnel_lists=settings.tunnel_lists,
        tsig_keys=settings.tsig_keys,
        primaries=settings.primaries,
        forwarders=settings.forwarders,
        socks_doors=settings.socks_doors,
        transparent_doors=settings.transparent_doors,
    )
    if not egress.tunnel_lists:
        return egress, {}
    # Imported here, because most gateways have none.
    from proxy.egress.fetch.servers import last_good

    folder = state_directory(settings.state, file) / LISTS / "tunnels"
    lists: dict[str, Listed] = {}
    for each in egress.tunnel_lists:
        found = last_good(each, folder, file.parent)
        if found is not None:
            lists[each.name] = Listed()
            lists[each.name].take(found)
    return expand(egress, lists)
