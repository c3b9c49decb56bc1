"""What each role goes by, made from the settings: the plans that travel to the processes."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from filters.limits import limit_names
from filters.lists import LIST_CELLS
from gateway import ipc
from gateway.config.plain import to_plain
from gateway.settings import GatewaySettings
from proxy.ingress.slots import LIMIT_SLOTS, RULE_SLOTS, Slots
from proxy.settings import EgressSettings


class Planner:
    """Makes the plans of the settings in use. Each backend, limit, rule and list keeps its slot over all reloads."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._slots = Slots()
        self._limit_slots = Slots(LIMIT_SLOTS)
        self._rule_slots = Slots(RULE_SLOTS)
        self._list_cells = Slots(LIST_CELLS)
        self._files: dict[str, str] = {}
        self._places = ("", "")
        self._transfer: ipc.TransferPlan | None = None
        self.take(settings)

    def take(self, settings: GatewaySettings) -> None:
        """Plan by these settings from now on."""
        self.slots = dict(self._slots.assign(settings.ingress.backends)) if settings.ingress is not None else {}
        self.limits = dict(self._limit_slots.assign_names(limit_names(settings.filters.rate_limits)))
        self.rules = dict(self._rule_slots.assign_names([rule.name for rule in settings.filters.rules]))
        self.lists = dict(self._list_cells.assign_names([each.name for each in settings.filters.lists]))
        self._ingress = _ingress(settings, self.slots, self.limits, self.rules)
        # A transfer process that has nothing to do any more stays, and is told so.
        egress = settings.egress or (EgressSettings() if self._transfer is not None else None)
        self._transfer = ipc.TransferPlan(settings=_tree(egress)) if egress is not None else None

    def place(self, folder: str, base: str) -> None:
        """Say where fetched lists go, and where the configuration file is."""
        self._places = folder, base

    @property
    def transfer(self) -> ipc.TransferPlan | None:
        """What the transfer process goes by."""
        if self._transfer is None:
            return None
        folder, base = self._places
        return msgspec.structs.replace(self._transfer, folder=folder, base=base)

    def take_lists(self, files: dict[str, str]) -> None:
        """Name these files of lists from now on."""
        self._files = files

    @property
    def ingress(self) -> ipc.IngressPlan | None:
        """What the ingress workers go by."""
        if self._ingress is None:
            return None
        return msgspec.structs.replace(self._ingress, lists=self._files, list_cells=self.lists)


def _ingress(
    settings: GatewaySettings, slots: dict[str, int], limits: dict[str, int], rules: dict[str, int]
) -> ipc.IngressPlan | None:
    if settings.ingress is None:
        return None
    return ipc.IngressPlan(
        settings=_tree(settings.ingress),
        filters=_tree(settings.filters),
        slots=slots,
        limits=limits,
        rules=rules,
        health_zone=health_zone(settings),
        notify=_tree(settings.notify),
    )


def health_zone(settings: GatewaySettings) -> str | None:
    """The zone that backends are asked for: the one configured, else the first served one, else None for the root."""
    if settings.ingress is not None and settings.ingress.health.zone is not None:
        return settings.ingress.health.zone
    return next((zone for zone in settings.filters.zones if zone != "*"), None)


def _tree(settings: object) -> dict[str, Any]:
    return cast("dict[str, Any]", to_plain(settings))
