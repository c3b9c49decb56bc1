"""The rules of docs/rules.md: one after the other, each selector a plain comparison."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from filters.codes import DomainName, Range
from filters.rules import several
from filters.settings import FilterSettings, Rule, When
from filters.settings.rules import DAYS, Flags, Tlv, Window
from filters.values import IPAddress
from tests.filters.model.limits import Asker, Limit
from tests.filters.model.lists import Entries, in_zone
from tests.filters.model.message import ECS, Name, Read, is_stream

FLAGS = {"aa": 0x0400, "tc": 0x0200, "rd": 0x0100, "ra": 0x0080, "z": 0x0040, "ad": 0x0020, "cd": 0x0010}


@dataclass
class Facts:
    """All that selectors look at."""

    address: IPAddress
    transport: str
    listener: str
    server_name: Name | None
    tlvs: list[tuple[int, bytes]]
    read: Read
    size: int
    unix: int
    shown: str
    zone: Name | None
    lists: dict[str, Entries]
    tags: set[str] = field(default_factory=set)

    @property
    def name(self) -> Name | None:
        return self.read.question.name if self.read.question is not None else None


@dataclass
class Outcome:
    """What the rules came to: `action` is pass, allow, drop, truncate, reply, or over (then `limit` says by which)."""

    action: str = "pass"
    rcode: int = 0
    ede: tuple[int, str] | None = None
    limit: Limit | None = None
    trace: list[tuple[str, str]] = field(default_factory=list)
    pool: str = "default"
    delay: int = 0
    mirror: str | None = None


class Rules:
    """The rules with their limits."""

    def __init__(self, settings: FilterSettings) -> None:
        self.rules = settings.rules
        self.limits = {rule.name: Limit(rule.limit) for rule in settings.rules if rule.limit is not None}

    def decide(self, facts: Facts, asker: Asker) -> Outcome:
        """Try them in their order."""
        outcome = Outcome()
        for rule in self.rules:
            if holds(rule.when, facts) and self.act(rule, facts, asker, outcome):
                break
        return outcome

    def act(self, rule: Rule, facts: Facts, asker: Asker, outcome: Outcome) -> bool:
        """Do what a rule says. True: it ends it."""
        stream = is_stream(facts.transport)
        if (rule.action == "truncate" and stream) or (rule.action == "delay" and not stream):
            return False
        if rule.action == "limit":
            return self.charge(rule, asker, outcome)
        word = "reply" if rule.action in {"refuse", "rcode"} else rule.action
        outcome.trace.append((rule.name, word))
        match rule.action:
            case "allow" | "drop" | "truncate":
                outcome.action = rule.action
                return True
            case "refuse" | "rcode":
                outcome.action = "reply"
                outcome.rcode = rule.rcode.number if rule.rcode is not None else 5
                outcome.ede = (rule.ede.code, rule.ede.text) if rule.ede is not None else None
                return True
            case "route":
                outcome.pool = rule.pool or ""
                return True
            case "tag":
                facts.tags.add(rule.tag or "")
            case "delay":
                outcome.delay = rule.delay or 0
            case "mirror":
                outcome.mirror = rule.mirror
        return False

    def charge(self, rule: Rule, asker: Asker, outcome: Outcome) -> bool:
        limit = self.limits[rule.name]
        over = limit.is_over(asker)
        outcome.trace.append((rule.name, "over-limit" if over else "under-limit"))
        if not over or limit.only_counts:
            return False
        outcome.action, outcome.limit = "over", limit
        return True


def holds(when: When, facts: Facts) -> bool:
    """Whether all that is written holds."""
    return (
        all(who_holds(when, facts))
        and all(question_holds(when, facts))
        and all(header_holds(when, facts))
        and all(edns_holds(when, facts))
        and all(holds(part, facts) for part in when.all)
        and (when.any is None or any(holds(part, facts) for part in when.any))
        and (when.not_ is None or not holds(when.not_, facts))
    )


def who_holds(when: When, facts: Facts) -> Iterable[bool]:
    """Client, door, and the time."""
    if when.client != ():
        yield any(facts.address in network for network in several(when.client))
    if when.client_list != ():
        yield any(facts.lists[name].has_address(facts.address) for name in several(when.client_list))
    if when.listener != ():
        yield facts.listener in several(when.listener)
    if when.transport != ():
        yield facts.transport in several(when.transport)
    if when.server_name != ():
        yield facts.server_name in [labels_of(name) for name in several(when.server_name)]
    if when.server_name_suffix != ():
        yield lies_in(facts.server_name, several(when.server_name_suffix))
    if when.tlv:
        yield any(tlv_holds(tlv, facts.tlvs) for tlv in when.tlv)
    if when.tag != ():
        yield any(tag in facts.tags for tag in several(when.tag))
    if when.probability is not None:
        assert when.probability in {0, 1}, "the draw itself is not modelled"
        yield when.probability == 1
    if when.time is not None:
        yield time_holds(when.time, facts.unix)


def question_holds(when: When, facts: Facts) -> Iterable[bool]:
    """What is asked for. Without a question nothing of this holds."""
    name, question = facts.name, facts.read.question
    if when.qname != ():
        yield name in [labels_of(wanted) for wanted in several(when.qname)]
    if when.qname_suffix != ():
        yield lies_in(name, several(when.qname_suffix))
    if when.qname_regex != ():
        text = as_text(name) if name is not None else None
        yield text is not None and any(
            re.search(pattern, text, re.IGNORECASE | re.ASCII) for pattern in several(when.qname_regex)
        )
    if when.qname_list != ():
        yield name is not None and any(facts.lists[wanted].has_name(name) for wanted in several(when.qname_list))
    if when.zone != ():
        yield facts.zone is not None and facts.zone in [labels_of(zone) for zone in several(when.zone)]
    if when.labels is not None:
        yield name is not None and in_range(len(name), when.labels)
    if when.qtype != ():
        yield question is not None and question.qtype in [code.number for code in several(when.qtype)]
    if when.qclass != ():
        yield question is not None and question.qclass in [code.number for code in several(when.qclass)]


def header_holds(when: When, facts: Facts) -> Iterable[bool]:
    """Header, counts, size."""
    header = facts.read.header
    if when.opcode != ():
        yield header.opcode in [code.number for code in several(when.opcode)]
    if when.flags is not None:
        yield flags_hold(when.flags, header.flags)
    wanted = (when.qdcount, when.ancount, when.nscount, when.arcount)
    for count, bounds in zip(header.counts, wanted, strict=True):
        if bounds is not None:
            yield in_range(count, bounds)
    if when.size is not None:
        yield in_range(facts.size, when.size)
    if when.trailing is not None:
        yield facts.read.trailing == when.trailing
    if when.signed is not None:
        yield facts.read.signed == when.signed
    if when.cookie != ():
        yield facts.shown in several(when.cookie)


def edns_holds(when: When, facts: Facts) -> Iterable[bool]:
    """What OPT says."""
    edns = facts.read.edns
    codes = [code for code, _ in edns.options] if edns is not None else []
    if when.edns is not None:
        yield (edns is not None) == when.edns
    if when.edns_version is not None:
        yield edns is not None and in_range(edns.version, when.edns_version)
    if when.edns_size is not None:
        yield edns is not None and in_range(edns.size, when.edns_size)
    if when.edns_options != ():
        yield any(code.number in codes for code in several(when.edns_options))
    if when.do is not None:
        yield (edns is not None and edns.dnssec_ok) == when.do
    if when.ecs is not None:
        yield (ECS in codes) == when.ecs


def in_range(number: int, bounds: Range) -> bool:
    return bounds.low <= number <= bounds.high


def flags_hold(flags: Flags, bits: int) -> bool:
    return all(bits & FLAGS[flag] for flag in several(flags.set)) and not any(
        bits & FLAGS[flag] for flag in several(flags.unset)
    )


def tlv_holds(tlv: Tlv, tlvs: list[tuple[int, bytes]]) -> bool:
    """Whether any TLV of the type is the value, or begins so."""
    for kind, value in tlvs:
        if kind != tlv.type:
            continue
        if tlv.value is not None and value != tlv_bytes(tlv.value):
            continue
        if tlv.prefix is not None and not value.startswith(tlv_bytes(tlv.prefix)):
            continue
        return True
    return False


def tlv_bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()


def time_holds(window: Window, unix: int) -> bool:
    """Whether a window that began today or yesterday is open."""
    then = datetime.datetime.fromtimestamp(unix, datetime.UTC)
    today, minute = then.weekday(), then.hour * 60 + then.minute
    days = [DAYS.index(day) for day in several(window.days)]
    first, last = window.from_.minutes, window.to.minutes
    if first < last:
        return today in days and first <= minute < last
    return (today in days and minute >= first) or ((today - 1) % 7 in days and minute < last)


def labels_of(name: DomainName) -> Name:
    """Its labels in lower case; only names without escapes are written here."""
    text = name.text.lower().rstrip(".")
    return tuple(label.encode() for label in text.split(".")) if text else ()


def lies_in(name: Name | None, zones: tuple[DomainName, ...]) -> bool:
    return name is not None and any(in_zone(name, labels_of(zone)) for zone in zones)


def as_text(name: Name) -> str:
    """As a regular expression sees it (RFC 1035 section 5.1)."""
    if not name:
        return "."
    return ".".join("".join(character(octet) for octet in label) for label in name)


def character(octet: int) -> str:
    if chr(octet) in ".\\":
        return "\\" + chr(octet)
    return chr(octet) if 0x20 < octet < 0x7F else f"\\{octet:03}"
