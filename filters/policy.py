"""From the settings of the filters to the immutable policy that the data plane applies."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import asdict

from dataplane import List, Policy
from filters.cookies import cookie_row
from filters.errors import FilterError
from filters.limits import limit_rows
from filters.lists import list_rows
from filters.names import zone_wire
from filters.responses import response_row
from filters.rules import Names, mirror_rows, rule_rows
from filters.settings import FilterSettings
from filters.settings.checks import reason

# As a zone of `filters.zones`: names of no listed zone pass as well.
ANY_ZONE = "*"


NotifyRow = tuple[bytes, list[tuple[str, int]], list[bytes]]


class Surroundings(Struct, frozen=True, kw_only=True):
    """What of the gateway the filters may name.

    `pools` are the names of the pools of backends, in the order of their numbers from 1 on; `listeners` the addresses
    of the listeners, by their number from 0 on. `limits`, `rules` and `list_cells` are the counters of rate limits,
    rules and lists by name, `lists` the lists that could be opened. `notifies` are the zones whose NOTIFY is taken,
    with the prefixes and the keys that it may come from, as the data plane takes them.
    """

    pools: tuple[str, ...] = ()
    listeners: tuple[str, ...] = ()
    limits: Mapping[str, int] = {}
    rules: Mapping[str, int] = {}
    lists: Mapping[str, List] = {}
    list_cells: Mapping[str, int] = {}
    notifies: tuple[NotifyRow, ...] = ()


def compile_policy(settings: FilterSettings, around: Surroundings | None = None) -> Policy:
    """The policy that these settings describe. Without `around` nothing else can be named.

    Raises:
        FilterError: a zone is not a domain name, or a number is out of range; the text names the value.
    """
    around = around or Surroundings()
    checks, budget = settings.checks, settings.error_budget
    lists = [item.name for item in settings.lists]
    names = Names(settings.rules, listeners=around.listeners, lists=lists, pools=around.pools, slots=around.rules)
    try:
        return Policy(
            zones=[_zone(zone) for zone in settings.zones if zone != ANY_ZONE],
            pass_all=ANY_ZONE in settings.zones,
            rate_limits=limit_rows(settings.rate_limits, around.limits),
            checks=[(reason(key), word) for key, word in asdict(checks).items()],
            error_budget=(budget.rate, budget.prefix_rate),
            lists=list_rows(settings.lists, around.lists, around.list_cells),
            cookies=cookie_row(settings.cookies),
            responses=response_row(settings.response_limits),
            rules=rule_rows(settings.rules, names),
            mirrors=mirror_rows(names),
            memory=settings.memory,
            notifies=list(around.notifies),
        )
    except ValueError as error:
        raise FilterError(f"filters: {error}", _place(str(error))) from None


def _place(text: str) -> tuple[str | int, ...]:
    """The key that an error of the data plane is about."""
    rule = re.match(r"rule (\d+): ", text)
    if rule is not None:
        return "rules", int(rule[1])
    return ("memory",) if text.startswith("the policy takes") else ()


def _zone(text: str) -> bytes:
    try:
        return zone_wire(text)
    except FilterError as error:
        raise FilterError(f"filters.zones: {text!r} is not a domain name: {error}") from None
