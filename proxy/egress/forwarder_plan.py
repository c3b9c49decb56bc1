"""What a forwarder does, compiled from the settings.

Immutable but for the route's memory. A reload makes a new one; what is open keeps the one that it began with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from proxy.egress.primary import PrimaryServer
from proxy.egress.route import Route
from proxy.egress.tunnel import Tunnel
from proxy.protocol.transfer_queries import TransferGate
from proxy.settings import EgressSettings, Forwarder
from proxy.values import Emit, IPAddress


@dataclass(frozen=True, slots=True)
class ForwarderPlan:
    """One forwarder."""

    settings: Forwarder
    gate: TransferGate
    primary: PrimaryServer
    route: Route

    def allows(self, address: IPAddress) -> bool:
        """Whether this node may use the forwarder."""
        return any(address in network for network in self.settings.allow)


def compile_forwarder(
    forwarder: Forwarder,
    settings: EgressSettings,
    tunnels: Mapping[str, Tunnel],
    emit: Emit,
    clock: Callable[[], float],
) -> ForwarderPlan:
    """Find the forwarder's primary and that one's tunnels.

    Raises:
        ValueError: it names a primary or a tunnel that is not there, or a zone that is no name.
    """
    primary = next((primary for primary in settings.primaries if primary.name == forwarder.primary), None)
    if primary is None:
        raise ValueError(f"forwarder {forwarder.listen}: there is no primary {forwarder.primary!r}")
    missing = [name for name in primary.tunnels if name not in tunnels]
    if missing:
        raise ValueError(f"primary {primary.name}: there is no tunnel {missing[0]!r}")
    way = [tunnels[name] for name in primary.tunnels]
    return ForwarderPlan(
        forwarder,
        TransferGate(forwarder.zones),
        PrimaryServer(primary.name, primary.address),
        Route(primary.name, primary.address, way, emit, clock),
    )
