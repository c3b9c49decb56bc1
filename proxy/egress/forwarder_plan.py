"""What a forwarder does, compiled from the settings.

Immutable but for the route's memory and the connections. A reload makes a new one; what is open keeps the one that it
began with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.egress.exchanges.connections import Connections
from proxy.egress.exchanges.judge import Judge, tsig_keys
from proxy.egress.exchanges.quotas import PrimaryQuota
from proxy.egress.exchanges.shared import Shared
from proxy.egress.primary import PrimaryServer
from proxy.egress.refusals import Refusals
from proxy.egress.route import Route
from proxy.protocol.signed_queries import SignatureGate
from proxy.protocol.transfer_queries import Question, TransferGate
from proxy.settings import EgressSettings, Forwarder, Primary
from proxy.values import IPAddress


@dataclass(frozen=True, slots=True)
class ForwarderPlan:
    """One forwarder."""

    settings: Forwarder
    gate: TransferGate
    signatures: SignatureGate | None
    primary: PrimaryServer
    route: Route
    quota: PrimaryQuota
    judge: Judge
    connections: Connections
    refusals: Refusals

    def allows(self, address: IPAddress) -> bool:
        """Whether this node may use the forwarder."""
        return any(address in network for network in self.settings.allow)

    def refusal(self, message: bytes, question: Question, now: float) -> str | None:
        """Why this query must be refused, as a label; None lets it pass. `now` is Unix time."""
        refusal = self.gate.refusal(question)
        if refusal is None and self.signatures is not None:
            return self.signatures.refusal(message, now)
        return refusal


def compile_forwarder(
    forwarder: Forwarder,
    settings: EgressSettings,
    routes: Mapping[str, Route],
    servers: Mapping[str, PrimaryServer],
    shared: Shared,
) -> ForwarderPlan:
    """Find the forwarder's primary, the route to it, and its key.

    Raises:
        ValueError: it names a primary or a key that is not there, or a zone that is no name.
    """
    primary = next((primary for primary in settings.primaries if primary.name == forwarder.primary), None)
    if primary is None:
        raise ValueError(f"forwarder {forwarder.listen}: there is no primary {forwarder.primary!r}")
    server = servers[primary.name]
    judge = shared.judge(primary, tsig_keys(settings.tsig_keys))
    return ForwarderPlan(
        settings=forwarder,
        gate=TransferGate(forwarder.zones),
        signatures=_signatures(primary, settings),
        primary=server,
        route=routes[primary.name],
        quota=shared.quota(primary),
        judge=judge,
        connections=shared.connections(server, primary, judge),
        refusals=shared.refusals(str(forwarder.listen), primary),
    )


def _signatures(primary: Primary, settings: EgressSettings) -> SignatureGate | None:
    if primary.tsig_key is None:
        return None
    for key in settings.tsig_keys:
        if key.name == primary.tsig_key:
            return SignatureGate(key)
    raise ValueError(f"primary {primary.name}: there is no TSIG key {primary.tsig_key!r}")
