"""What a forwarder does, compiled from the settings.

Immutable but for the route's memory. A reload makes a new one; what is open keeps the one that it began with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.egress.primary import PrimaryServer
from proxy.egress.route import Route
from proxy.protocol.transfer_queries import TransferGate
from proxy.settings import EgressSettings, Forwarder
from proxy.values import IPAddress


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
    routes: Mapping[str, Route],
    servers: Mapping[str, PrimaryServer],
) -> ForwarderPlan:
    """Find the forwarder's primary and the route to it.

    Raises:
        ValueError: it names a primary that is not there, or a zone that is no name.
    """
    primary = next((primary for primary in settings.primaries if primary.name == forwarder.primary), None)
    if primary is None:
        raise ValueError(f"forwarder {forwarder.listen}: there is no primary {forwarder.primary!r}")
    return ForwarderPlan(
        forwarder,
        TransferGate(forwarder.zones),
        servers[primary.name],
        routes[primary.name],
    )
