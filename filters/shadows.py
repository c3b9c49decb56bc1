"""Rules that can never match, as far as that can be proved from the settings alone.

Each condition is taken apart into demands that must all hold: a selector and the values that it allows. A rule is dead
if two of its demands exclude each other, or if an earlier final rule demands no more than it does. What stands below
`any` and `not` is not looked into, except to find it equal; so no rule is called dead that is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from filters.codes import Code, DomainName, Range
from filters.rules import several
from filters.settings.rules import Rule, When
from filters.values import Network

Demand = tuple[str, Any]

_FINAL = {"allow", "drop", "refuse", "rcode", "route"}
_EXCLUSIVE = ("transport", "qname", "qtype", "qclass", "opcode", "listener", "zone", "cookie", "server_name")
"""Selectors of which a message has one value."""


def dead_rules(rules: Sequence[Rule]) -> Iterator[tuple[int, str]]:
    """The place of each rule that can never match, and why."""
    demands = [list(_demands(rule.when)) for rule in rules]
    set_so_far: set[str] = set()
    for place, rule in enumerate(rules):
        reason = _contradiction(demands[place], set_so_far)
        if reason is None:
            reason = next(
                (
                    f'the earlier rule "{earlier.name}" takes all that it could match'
                    for earlier, wider in zip(rules[:place], demands, strict=False)
                    if _takes(earlier, wider, demands[place])
                ),
                None,
            )
        if reason is not None:
            yield place, reason
        if rule.tag is not None:
            set_so_far.add(rule.tag)


def _demands(when: When) -> Iterator[Demand]:
    for name in when.__struct_fields__:
        value = getattr(when, name)
        if name == "all":
            for part in value:
                yield from _demands(part)
        elif value is not None and (value != () or name == "any"):
            yield name, value


def _contradiction(demands: Sequence[Demand], tags: set[str]) -> str | None:
    if ("any", ()) in demands:
        return "an empty any never holds"
    for place, (name, value) in enumerate(demands):
        if name == "tag" and not tags.intersection(several(value)):
            return f"no rule before it sets the tag {several(value)[0]}"
        if name == "probability" and value == 0:
            return "its probability is 0"
        for other, more in demands[:place]:
            if name == other and name in _EXCLUSIVE and not _values(value) & _values(more):
                return f"its demands on {name} exclude each other"
            if name == other and isinstance(value, bool) and value != more:
                return f"its demands on {name} exclude each other"
            if name == other and isinstance(value, Range) and (value.high < more.low or more.high < value.low):
                return f"its demands on {name} exclude each other"
    return _impossible(dict(demands))


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
    udp_only = ("transport", {"udp"})
    final = earlier.action in _FINAL or (
        earlier.action == "truncate" and any((name, _values(value)) == udp_only for name, value in narrower)
    )
    return final and all(any(_implies(demand, other) for demand in narrower) for other in wider)


def _implies(narrower: Demand, wider: Demand) -> bool:
    (name, few), (other, many) = narrower, wider
    if {name, other} == {"qname", "qname_suffix"} or name == other in {"qname_suffix", "server_name_suffix"}:
        return other.endswith("suffix") and all(
            any(_below(one, suffix) for suffix in several(many)) for one in several(few)
        )
    if name != other:
        return False
    if name == "client":
        return all(any(_inside(one, prefix) for prefix in several(many)) for one in several(few))
    if isinstance(few, Range):
        return bool(many.low <= few.low and few.high <= many.high)
    if isinstance(few, bool | float | msgspec.Struct) or name in {"any", "tlv"}:
        return bool(few == many) and name != "probability"
    return _values(few) <= _values(many)


def _values(value: Any) -> set[object]:
    return {
        item.number if isinstance(item, Code) else item.wire if isinstance(item, DomainName) else item
        for item in several(value)
    }


def _below(name: DomainName, suffix: DomainName) -> bool:
    """Names in wire form end alike also by chance within a label, so whole labels are compared."""
    rest, wanted = name.wire, suffix.wire
    while len(rest) > len(wanted):
        rest = rest[1 + rest[0] :]
    return rest == wanted


def _inside(one: Network, prefix: Network) -> bool:
    if one.prefix.version != prefix.prefix.version:
        return False
    return one.prefix.subnet_of(prefix.prefix)  # type: ignore[arg-type]  # one version
