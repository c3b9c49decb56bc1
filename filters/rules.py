"""The rules as the data plane takes them: a condition is a pair of its word and its value, an action likewise."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from filters.codes import Code, DomainName, Range
from filters.errors import FilterError
from filters.limits import limit_rows, prefix_rows
from filters.settings.rules import DAYS, Flags, Rule, Tlv, When, Window

T = TypeVar("T")

Condition = tuple[str, object]

# Rules that the data plane has counters for, and tags that a policy may have.
MOST_RULES = 1024
MOST_TAGS = 64

# Bits of the second 16 bits of the header (RFC 1035 section 4.1.1, RFC 4035 section 3.1.6).
_FLAGS = {"aa": 0x0400, "tc": 0x0200, "rd": 0x0100, "ra": 0x0080, "z": 0x0040, "ad": 0x0020, "cd": 0x0010}
_ECS = 8


class Names:
    """The numbers that the data plane has for what rules name. `slots` gives the counters of the rules by name."""

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        listeners: Sequence[str] = (),
        lists: Sequence[str] = (),
        pools: Sequence[str] = (),
        slots: Mapping[str, int] | None = None,
    ) -> None:
        self.listeners = {address: number for number, address in enumerate(listeners)}
        self.lists = {name: number for number, name in enumerate(lists)}
        self.pools = {"default": 0} | {name: number for number, name in enumerate(pools, 1)}
        self.tags = {name: number for number, name in enumerate(dict.fromkeys(r.tag for r in rules if r.tag))}
        self.mirrors = list(dict.fromkeys(rule.mirror for rule in rules if rule.mirror))
        self.slots = slots or {}


def several(value: T | tuple[T, ...]) -> tuple[T, ...]:
    """What may be written alone or as a list, as a list."""
    return value if isinstance(value, tuple) else (value,)


def rule_rows(rules: Sequence[Rule], names: Names) -> list[dict[str, object]]:
    """A row for each rule.

    Raises:
        FilterError: it names what there is not.
    """
    return [
        {
            "name": rule.name,
            "slot": names.slots.get(rule.name, place),
            "when": condition(rule.when, names),
            "action": _action(rule, names),
        }
        for place, rule in enumerate(rules)
    ]


def mirror_rows(names: Names) -> list[tuple[str, int]]:
    """Address and port of each mirror.

    Raises:
        FilterError: one is no address with a port.
    """
    return [parse_endpoint(text) for text in names.mirrors]


def parse_endpoint(text: str) -> tuple[str, int]:
    """Address and port from `192.0.2.1:53` or `[2001:db8::1]:53`.

    Raises:
        FilterError: it is none.
    """
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        if not (port.isascii() and port.isdigit() and 0 < int(port) <= 65_535):
            raise ValueError
    except ValueError:
        raise FilterError(f'{text!r} is no address with a port, such as "192.0.2.1:53" or "[2001:db8::1]:53"') from None
    return str(address), int(port)


def _action(rule: Rule, names: Names) -> tuple[str, object]:
    match rule.action:
        case "refuse" | "rcode":
            rcode = rule.rcode.number if rule.rcode is not None else 5
            return "reply", (rcode, (rule.ede.code, rule.ede.text) if rule.ede is not None else None)
        case "limit" if rule.limit is not None:
            return "limit", limit_rows([rule.limit], {})[0]
        case "tag":
            return "tag", _find(names.tags, rule.tag, "tag")
        case "route":
            return "route", _find(names.pools, rule.pool, "pool")
        case "mirror":
            return "mirror", names.mirrors.index(rule.mirror or "")
        case "delay":
            return "delay", rule.delay
    return rule.action, None


def _find(known: Mapping[str, int], name: str | None, what: str) -> int:
    number = known.get(name or "")
    if number is None:
        raise FilterError(f"there is no {what} {name!r}")
    return number


def condition(when: When, names: Names) -> Condition:
    """The condition that `when` describes.

    Raises:
        FilterError: it names what there is not.
    """
    parts = [*_who(when, names), *_what(when), *_how(when, names)]
    parts += [condition(part, names) for part in when.all]
    if when.any is not None:
        parts.append(("any", [condition(part, names) for part in when.any]))
    if when.not_ is not None:
        parts.append(("not", condition(when.not_, names)))
    return parts[0] if len(parts) == 1 else ("all", parts)


def _listed(word: str, value: T | tuple[T, ...], of: Callable[[T], object]) -> Iterator[Condition]:
    if value != ():
        yield word, [of(item) for item in several(value)]


def _who(when: When, names: Names) -> Iterator[Condition]:
    if when.client != ():
        yield "client", prefix_rows(several(when.client))
    yield from _listed("client_list", when.client_list, lambda name: _find(names.lists, name, "list"))
    yield from _listed("qname_list", when.qname_list, lambda name: _find(names.lists, name, "list"))
    yield from _listed("listener", when.listener, lambda address: _find(names.listeners, address, "listener"))
    yield from _listed("transport", when.transport, str)
    yield from _listed("server_name", when.server_name, _wire)
    yield from _listed("server_name_suffix", when.server_name_suffix, _wire)
    if when.tlv:
        yield "tlv", [_tlv(tlv) for tlv in when.tlv]


def _what(when: When) -> Iterator[Condition]:
    """What the question and the header say."""
    yield from _listed("qname", when.qname, _wire)
    yield from _listed("qname_suffix", when.qname_suffix, _wire)
    yield from _listed("qname_regex", when.qname_regex, str)
    yield from _listed("zone", when.zone, _wire)
    yield from _listed("qtype", when.qtype, _number)
    yield from _listed("qclass", when.qclass, _number)
    yield from _listed("opcode", when.opcode, _number)
    yield from _listed("edns_option", when.edns_options, _number)
    if when.flags is not None:
        yield "flags", (_bits(when.flags, "set"), _bits(when.flags, "unset"))
    if when.ecs is not None:
        has: Condition = ("edns_option", [_ECS])
        yield has if when.ecs else ("not", has)


def _how(when: When, names: Names) -> Iterator[Condition]:
    for word, most in {"labels": 255, "edns_version": 255}.items():
        yield from _range(word, getattr(when, word), most)
    for word in ("edns_size", "qdcount", "ancount", "nscount", "arcount", "size"):
        yield from _range(word, getattr(when, word), 65_535)
    for word, wanted in {
        "edns": when.edns,
        "dnssec_ok": when.do,
        "trailing": when.trailing,
        "signed": when.signed,
    }.items():
        if wanted is not None:
            yield word, wanted
    yield from _listed("cookie", when.cookie, str)
    yield from _listed("tag", when.tag, lambda tag: _find(names.tags, tag, "tag"))
    if when.probability is not None:
        yield "probability", round(when.probability * 2**32)
    if when.time is not None:
        yield "time", _window(when.time)


def _range(word: str, value: Range | None, most: int) -> Iterator[Condition]:
    if value is not None:
        yield word, (min(value.low, most), min(value.high, most))


def _wire(name: DomainName) -> bytes:
    return name.wire


def _number(code: Code) -> int:
    return code.number


def _bits(flags: Flags, which: str) -> int:
    return sum(_FLAGS[flag] for flag in set(several(getattr(flags, which))))


def _window(window: Window) -> tuple[int, int, int]:
    days = sum(1 << DAYS.index(day) for day in set(several(window.days)))
    return days, window.from_.minutes % (24 * 60), window.to.minutes


def _tlv(tlv: Tlv) -> tuple[int, str, bytes]:
    if tlv.value is not None:
        return tlv.type, "equal", tlv_bytes(tlv.value)
    return (tlv.type, "any", b"") if tlv.prefix is None else (tlv.type, "begins", tlv_bytes(tlv.prefix))


def tlv_bytes(text: str) -> bytes:
    """The bytes that a TLV's value is written for: text, or `0x` and hexadecimal digits.

    Raises:
        FilterError: digits that are none.
    """
    if not text.startswith("0x"):
        return text.encode()
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise FilterError(f"{text!r} is not 0x and pairs of hexadecimal digits") from None


def tags_of(when: When) -> Iterator[str]:
    """Every tag that a condition asks for, however deep."""
    for part in walk(when):
        yield from several(part.tag)


def walk(when: When) -> Iterator[When]:
    """A condition and all within it."""
    todo: list[Any] = [when]
    while todo:
        part = todo.pop()
        yield part
        todo += [*part.all, *(part.any or ()), *((part.not_,) if part.not_ is not None else ())]
