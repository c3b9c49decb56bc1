"""What is wrong with rules and no key alone can know: names that there are not, keys that don't fit the action."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence

from filters.errors import FilterError
from filters.rules import MOST_RULES, MOST_TAGS, parse_endpoint, several, tlv_bytes, walk
from filters.settings import FilterSettings
from filters.settings.rules import Rule, When

Key = tuple[str | int, ...]
Finding = tuple[Key, str, str]

_NEEDS = {"rcode": "rcode", "limit": "limit", "tag": "tag", "route": "pool", "delay": "delay", "mirror": "mirror"}
"""The key that an action needs; another action may not have it."""


def check_rules(settings: FilterSettings, *, listeners: Sequence[str], pools: Sequence[str]) -> Iterator[Finding]:
    """What is wrong: the key below `filters`, what was found, and what would be right."""
    rules = settings.rules
    if len(rules) > MOST_RULES:
        yield ("rules",), f"{len(rules)} rules", f"write at most {MOST_RULES}; one rule may have long lists"
    tags = {rule.tag for rule in rules if rule.tag is not None}
    if len(tags) > MOST_TAGS:
        yield ("rules",), f"{len(tags)} tags", f"use at most {MOST_TAGS}"
    first: dict[str, int] = {}
    for place, rule in enumerate(rules):
        key: Key = ("rules", place)
        if rule.name in first:
            yield (
                (*key, "name"),
                f'"{rule.name}"',
                f"names are unique, and filters.rules[{first[rule.name]}] has this one",
            )
        first.setdefault(rule.name, place)
        yield from _action(rule, key, ["default", *pools])
        for part in walk(rule.when):
            yield from _names(part, (*key, "when"), settings, listeners, tags)


def _action(rule: Rule, key: Key, pools: Sequence[str]) -> Iterator[Finding]:
    needed = _NEEDS.get(rule.action)
    if needed is not None and getattr(rule, needed) is None:
        yield (*key, "action"), f'"{rule.action}" without {needed}', f"add the key {needed} to the rule"
    for action, name in _NEEDS.items():
        if rule.action != action and getattr(rule, name) is not None:
            yield (*key, name), f'{name} with the action "{rule.action}"', f'it belongs to action = "{action}"'
    if rule.ede is not None:
        if rule.action not in {"refuse", "rcode"}:
            yield (*key, "ede"), f'ede with the action "{rule.action}"', 'it belongs to "refuse" and "rcode"'
        elif len(rule.ede.text.encode()) > 96:
            yield (*key, "ede", "text"), f"{len(rule.ede.text.encode())} bytes", "write at most 96 bytes"
    if rule.pool is not None:
        yield from _known((*key, "pool"), rule.pool, pools, "pool that a backend has in its pools")
    if rule.mirror is not None:
        try:
            parse_endpoint(rule.mirror)
        except FilterError as error:
            yield (*key, "mirror"), "no address", str(error)


def _names(
    when: When, key: Key, settings: FilterSettings, listeners: Sequence[str], tags: Iterable[str]
) -> Iterator[Finding]:
    for address in several(when.listener):
        yield from _known(key, address, listeners, "address of [[ingress.listeners]]")
    for name in (*several(when.client_list), *several(when.qname_list)):
        yield from _known(key, name, [item.name for item in settings.lists], "list of [[filters.lists]]")
    for tag in several(when.tag):
        yield from _known(key, tag, sorted(tags), "tag that a rule sets")
    served = {zone.lower().rstrip(".") for zone in settings.zones}
    for zone in several(when.zone):
        if zone.text.lower().rstrip(".") not in served:
            yield from _known(key, zone.text, settings.zones, "zone of filters.zones")
    for tlv in when.tlv:
        if tlv.value is not None and tlv.prefix is not None:
            yield key, "a TLV with value and prefix", "write one of them"
        for text in (tlv.value, tlv.prefix):
            try:
                tlv_bytes(text or "")
            except FilterError as error:
                yield key, "the value of a TLV", str(error)
    if when.cookie != () and settings.cookies.secret is None:
        yield key, "cookie while cookies are off", "set filters.cookies.secret, or take it out"


def _known(key: Key, name: str, known: Sequence[str], what: str) -> Iterator[Finding]:
    if name not in known:
        close = difflib.get_close_matches(name[:80], known, n=1)
        right = f'did you mean "{close[0]}"?' if close else f"known: {', '.join(known) or 'none'}"
        yield key, f"{name[:80]!r}, which is no {what}", right
