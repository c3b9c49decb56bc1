"""What no block may hit: our own addresses, backends, primaries and proxies, and what the configuration exempts."""

from __future__ import annotations

import ipaddress

from msgspec import Struct

from filters.names import zone_wire
from filters.values import IPNetwork
from gateway.settings import GatewaySettings
from proxy.values import IPAddress


class Exempt(Struct, frozen=True, kw_only=True):
    """Prefixes and names (in wire form) that lie in no block. `ours` are the prefixes that nobody had to name."""

    ours: tuple[IPNetwork, ...] = ()
    prefixes: tuple[IPNetwork, ...] = ()
    names: tuple[bytes, ...] = ()

    def holds_prefix(self, prefix: IPNetwork) -> bool:
        """Whether all of a prefix is exempt."""
        return any(
            prefix.version == other.version and prefix.subnet_of(other)  # type: ignore[arg-type]  # of one version
            for other in (*self.ours, *self.prefixes)
        )

    def holds_name(self, wire: bytes) -> bool:
        """Whether a name and all below it are exempt."""
        return any(_lies_in(wire, other) for other in self.names)


def exempt_of(settings: GatewaySettings) -> Exempt:
    """What is exempt by these settings."""
    addresses: set[IPAddress] = {primary.address.address for primary in settings.primaries}
    if settings.ingress is not None:
        addresses |= {backend.address.address for backend in settings.ingress.backends}
        addresses |= {listener.address.address for listener in settings.ingress.listeners}
    addresses |= {forwarder.listen.address for forwarder in settings.forwarders}
    addresses |= {door.listen.address for door in settings.transparent_doors}
    # Without the interface that a link-local address may name: clients have none.
    plain = {str(address).partition("%")[0] for address in addresses if not address.is_unspecified}
    ours = [ipaddress.ip_network(address) for address in sorted(plain)]
    ours += [proxy for proxy in _proxies(settings) if proxy not in ours]
    blocks = settings.filters.blocks
    return Exempt(
        ours=tuple(ours),
        prefixes=tuple(network.prefix for network in blocks.exempt),
        names=tuple(zone_wire(name) for name in blocks.exempt_names),
    )


def _proxies(settings: GatewaySettings) -> list[IPNetwork]:
    """The listed proxies: a block on one would cut off all its clients. A list that lets nearly everyone be one is not
    meant: its clients would be exempt with it."""
    listeners = settings.ingress.listeners if settings.ingress is not None else ()
    listed = [network.prefix for listener in listeners for network in listener.proxy_protocol.from_]
    return [prefix for prefix in listed if prefix.prefixlen >= (16 if prefix.version == 4 else 32)]


def _lies_in(name: bytes, suffix: bytes) -> bool:
    while name != suffix:
        if len(name) <= 1:
            return False
        name = name[1 + name[0] :]
    return True
