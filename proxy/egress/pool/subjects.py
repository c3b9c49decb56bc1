"""What the prober asks, from the plans of the forwarders."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.egress.forwarder_plan import ForwarderPlan
from proxy.egress.pool.probe import Subject
from proxy.settings import EgressSettings


def subjects(settings: EgressSettings, plans: Iterable[ForwarderPlan]) -> list[Subject]:
    """One for each primary of which a forwarder names a zone: the first."""
    keys = {key.name: key for key in settings.tsig_keys}
    by_primary = {primary.name: primary for primary in settings.primaries}
    found: dict[str, Subject] = {}
    for plan in plans:
        name = plan.settings.primary
        if plan.settings.zones and name not in found:
            key = keys.get(by_primary[name].tsig_key or "")
            found[name] = Subject(plan.route, plan.primary, plan.settings.zones[0], key)
    return list(found.values())
