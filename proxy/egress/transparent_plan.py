"""What a transparent door does, compiled from the settings: for each primary what a forwarder to it would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.egress.exchanges.shared import Shared
from proxy.egress.forwarder_plan import ForwarderPlan, compile_forwarder
from proxy.egress.primary import PrimaryServer
from proxy.egress.route import Route
from proxy.settings import EgressSettings, TransparentDoor
from proxy.values import Endpoint


@dataclass(frozen=True, slots=True)
class TransparentPlan:
    """One door; its primaries by the destination that nodes write."""

    settings: TransparentDoor
    primaries: Mapping[Endpoint, ForwarderPlan]


def compile_transparent(
    door: TransparentDoor,
    settings: EgressSettings,
    routes: Mapping[str, Route],
    servers: Mapping[str, PrimaryServer],
    shared: Shared,
) -> TransparentPlan:
    """Find the door's primaries, and for each what a forwarder needs.

    Raises:
        ValueError: a key that is not there, a zone that is no name, or two primaries with one address.
    """
    plans: dict[Endpoint, ForwarderPlan] = {}
    for primary in door.chosen(settings.primaries):
        if primary.asked_at in plans:
            raise ValueError(f"transparent door {door.listen}: two primaries at {primary.asked_at}")
        plans[primary.asked_at] = compile_forwarder(door.forwarder(primary.name), settings, routes, servers, shared)
    return TransparentPlan(door, plans)
