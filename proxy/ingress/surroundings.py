"""What of the way in the filters may name."""

from __future__ import annotations

from collections.abc import Mapping

from filters.policy import Surroundings
from proxy.ingress.notifies import notify_rows
from proxy.ingress.pools import pool_names
from proxy.settings import IngressSettings, NotifySettings


def surroundings(
    settings: IngressSettings,
    limits: Mapping[str, int] | None = None,
    rules: Mapping[str, int] | None = None,
    notify: NotifySettings | None = None,
) -> Surroundings:
    """Pools and listeners, under the numbers that the data plane has for them, and the counters of rate limits
    and rules, and whose NOTIFY is taken."""
    return Surroundings(
        pools=pool_names(settings.backends),
        listeners=tuple(str(listener.address) for listener in settings.listeners),
        limits=limits or {},
        rules=rules or {},
        notifies=tuple(notify_rows(notify)) if notify is not None else (),
    )
