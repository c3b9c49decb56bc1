"""Rules that can never match, as far as that can be proved from the settings alone.

Each condition is taken apart into demands that must all hold: a selector and the values that it allows. A rule is dead
if two of its demands exclude each other, or if an earlier final rule demands no more than it does. What stands below
`any` and `not` is not looked into, except to find it equal; so no rule is called dead that is not.

Every pair of rules is compared, and lists may have 100,000 entries: so each list becomes a set once, in which an entry
of another list is looked up with what covers it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from msgspec import Struct

from filters.codes import Code, DomainName, Range
from filters.rules import several
from filters.settings.rules import Rule, When
from filters.values import Network

_FINAL = {"allow", "drop", "refuse", "rcode", "route"}
_EXCLUSIVE = ("transport", "qname", "qtype", "qclass", "opcode", "listener", "zone", "cookie", "server_name")
"""Selectors of which a message has one value."""


class Demand:
    """A selector and the values that it allows."""

    def __init__(self, name: str, value: Any) -> None:
        self.name = name
        self.value = value
        self.covers = name.endswith("_suffix") or name == "client"
        """Whether a value stands for all that lies below it."""

    @cached_property
    def values(self) -> frozenset[Any]:
        """The values in a form in which equal ones are equal."""
        return frozenset(_plain(item) for item in several(self.value))

    @cached_property
    def lengths(self) -> frozenset[tuple[int, int]]:
        """Of prefixes: the lengths that there are, each with its IP version."""
        return frozenset((version, length) for version, length, _ in self.values)

    def is_below(self, other: Demand) -> bool:
        """Whether each value is one of the other's, or lies below one."""
        if self.values <= other.values:
            return True
        over = (lambda value: _over_prefix(value, other.lengths)) if self.name == "client" else _over_name
        return all(any(above in other.values for above in over(value)) for value in self.values)


def dead_rules(rules: Sequence[Rule]) -> Iterator[tuple[int, str]]:
    """The place of each rule that can never match, and why."""
    demands = [list(_demands(rule.when)) for rule in rules]
    finals: list[tuple[Rule, list[Demand]]] = []
    set_so_far: set[str] = set()
    for place, rule in enumerate(rules):
        reason = _contradiction(demands[place], set_so_far)
        if reason is None:
            reason = next(
                (
                    f'the earlier rule "{earlier.name}" takes all that it could match'
                    for earlier, wider in finals
                    if _takes(earlier, wider, demands[place])
                ),
                None,
            )
        if reason is not None:
            yield place, reason
        if rule.tag is not None:
            set_so_far.add(rule.tag)
        # What is dead takes nothing that an earlier one has not taken, and need not be compared.
        if reason is None and (rule.action in _FINAL or rule.action == "truncate"):
            finals.append((rule, demands[place]))


def _demands(when: When) -> Iterator[Demand]:
    for name in when.__struct_fields__:
        value = getattr(when, name)
        if name == "all":
            for part in value:
                yield from _demands(part)
        elif value is not None and (value != () or name == "any"):
            yield Demand(name, value)


def _contradiction(demands: Sequence[Demand], tags: set[str]) -> str | None:
    for place, demand in enumerate(demands):
        name, value = demand.name, demand.value
        if name == "any" and value == ():
            return "an empty any never holds"
        if name == "tag" and not tags.intersection(several(value)):
            return f"no rule before it sets the tag {several(value)[0]}"
        if name == "probability" and value == 0:
            return "its probability is 0"
        if any(_exclude(demand, other) for other in demands[:place] if other.name == name):
            return f"its demands on {name} exclude each other"
    return _impossible({demand.name: demand.value for demand in demands})


def _exclude(one: Demand, other: Demand) -> bool:
    """Whether no message can meet these two demands on the same selector."""
    value, more = one.value, other.value
    if isinstance(value, Range):
        return bool(value.high < more.low or more.high < value.low)
    if isinstance(value, bool):
        return bool(value != more)
    return one.name in _EXCLUSIVE and one.values.isdisjoint(other.values)


def _impossible(demands: dict[str, Any]) -> str | None:
    transports = several(demands.get("transport", ("tls",)))
    if "tls" not in transports and {"server_name", "server_name_suffix"} & demands.keys():
        return "only clients over TLS send a server name"
    if demands.get("edns") is False:
        for name in ("edns_version", "edns_options", "edns_size"):
            if name in demands:
                return f"{name} needs EDNS"
        if demands.get("do") or demands.get("ecs"):
            return "DO and a client subnet need EDNS"
    return None


def _takes(earlier: Rule, wider: Sequence[Demand], narrower: Sequence[Demand]) -> bool:
    """Whether `earlier` ends the matter for every message that the narrower demands let through."""
    if earlier.action == "truncate" and not any(
        demand.name == "transport" and demand.values == {"udp"} for demand in narrower
    ):
        return False
    return all(any(_implies(demand, other) for demand in narrower) for other in wider)


def _implies(narrower: Demand, wider: Demand) -> bool:
    if narrower.name != wider.name:
        return narrower.name == "qname" and wider.name == "qname_suffix" and narrower.is_below(wider)
    few, many = narrower.value, wider.value
    if narrower.covers:
        return narrower.is_below(wider)
    if isinstance(few, Range):
        return bool(many.low <= few.low and few.high <= many.high)
    if isinstance(few, bool | float | Struct) or narrower.name in {"any", "tlv"}:
        return bool(few == many) and narrower.name != "probability"
    return narrower.values <= wider.values


def _plain(item: Any) -> Any:
    if isinstance(item, Code):
        return item.number
    if isinstance(item, DomainName):
        return item.wire
    if isinstance(item, Network):
        return item.prefix.version, item.prefix.prefixlen, int(item.prefix.network_address)
    return item


def _over_name(wire: bytes) -> Iterator[bytes]:
    """A name and all above it: whole labels, because names in wire form end alike also by chance within one."""
    while wire:
        yield wire
        wire = wire[1 + wire[0] :]


def _over_prefix(prefix: tuple[int, int, int], lengths: frozenset[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """A prefix and those that cover it, of these lengths."""
    version, length, number = prefix
    bits = ipaddress.IPV4LENGTH if version == 4 else ipaddress.IPV6LENGTH
    for of_version, shorter in lengths:
        if of_version == version and shorter <= length:
            yield version, shorter, number >> (bits - shorter) << (bits - shorter)
