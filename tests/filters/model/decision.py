"""The whole decision about a message, in the order of docs/wire-check.md."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from filters.settings import FilterSettings
from filters.settings.checks import reason
from filters.values import IPAddress
from tests.filters.model import cookies
from tests.filters.model.limits import Asker, Budget, Limit
from tests.filters.model.lists import Blocked, Entries, in_zone
from tests.filters.model.message import (
    AXFR,
    BADCOOKIE,
    BADVERS,
    CH,
    FORMERR,
    IXFR,
    NOERROR,
    NOTIFY,
    NOTIMP,
    NXDOMAIN,
    QUERY,
    REFUSED,
    SERVFAIL,
    UPDATE,
    Fault,
    Name,
    Read,
    is_stream,
)
from tests.filters.model.rules import Facts, Outcome, Rules
from tests.filters.model.wire import Reader, is_cookie

RCODES = {"formerr": FORMERR, "notimp": NOTIMP, "badvers": BADVERS, "refuse": REFUSED}


@dataclass(frozen=True)
class Client:
    """Who asks, and by which door."""

    transport: str
    source: tuple[str, int]
    local: tuple[str, int]
    allow: tuple[str, ...] = ()
    listener: int = 0
    tlvs: tuple[tuple[int, bytes], ...] = ()
    server_name: Name | None = None

    @property
    def address(self) -> IPAddress:
        return ipaddress.ip_address(self.source[0])


@dataclass
class Verdict:
    """What becomes of a message, and what it came past. `slips`: a drop for this reason is as good."""

    verdict: str
    reason: str
    rcode: int = 0
    truncated: bool = False
    ede: tuple[int, str] | None = None
    slips: str | None = None
    rules: Outcome = field(default_factory=Outcome)
    over_limits: list[int] = field(default_factory=list)
    read: Read | None = None
    shown: str = "none"


class Decided(Exception):  # noqa: N818  # the end of a decision
    """A step has decided."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict


def drop(why: str) -> Decided:
    return Decided(Verdict("drop", why))


def reply(why: str, rcode: int = NOERROR, *, truncated: bool = False) -> Decided:
    return Decided(Verdict("reply", why, rcode, truncated))


class Model:
    """The policy with all that it remembers."""

    def __init__(
        self, settings: FilterSettings, lists: dict[str, Entries], blocks: Blocked, listeners: tuple[str, ...]
    ) -> None:
        self.settings = settings
        self.lists = lists
        self.blocks = blocks
        self.listeners = listeners
        self.zones = [zone_labels(zone) for zone in settings.zones if zone != "*"]
        self.limits = [Limit(limit) for limit in settings.rate_limits]
        self.rules = Rules(settings)
        self.budget = Budget(settings.error_budget)

    def decide(self, message: bytes, client: Client, now: int, unix: int) -> Verdict:
        """What becomes of a message."""
        case = Case(self, message, client, now, unix)
        try:
            case.go()
        except Decided as decided:
            verdict = decided.verdict
        else:
            verdict = Verdict("forward", "ok")
        if verdict.verdict == "reply" and case.mute is not None:
            verdict = Verdict("drop", case.mute, slips=verdict.slips)
        verdict.rules, verdict.over_limits, verdict.read = case.outcome, case.over_limits, case.reader.read
        verdict.shown = case.shown
        return verdict


class Case:
    """One decision. Every step returns, or raises what it has decided."""

    def __init__(self, model: Model, message: bytes, client: Client, now: int, unix: int) -> None:
        self.model, self.settings = model, model.settings
        self.message, self.client, self.now, self.unix = message, client, now, unix
        self.stream = is_stream(client.transport)
        self.reader = Reader(message, client.transport, model.settings.checks)
        self.outcome = Outcome()
        self.over_limits: list[int] = []
        self.shown = "none"
        self.zone: Name | None = None
        self.mute: str | None = None
        """Why nothing that the gateway says itself may go to this client."""

    def go(self) -> None:
        self.source()
        self.block_of_prefix()
        read = self.wire_check()
        self.grants(read)
        self.served_zone(read)
        self.block_of_name(read)
        self.listed(read)
        self.ruled(read)
        if self.outcome.action != "allow":
            self.rate_limits(self.asker(read), read)
        self.cookie(read)

    def error(self, why: str, rcode: int, ede: tuple[int, str] | None = None) -> Decided:
        """An error reply, if there may be one."""
        port = self.client.source[1]
        if self.mute is not None:
            return drop(self.mute)
        if not self.stream and port == 53 and why == "rcode-set":
            return drop("rcode-set")
        if not self.model.budget.take(self.client.address, self.client.transport, self.now):
            return drop("error-budget")
        decided = reply(why, rcode)
        decided.verdict.ede = ede
        return decided

    def source(self) -> None:
        checks, client, address = self.settings.checks, self.client, self.client.address
        port = client.source[1]
        found = {
            "source_port": port == 0 or (not self.stream and port in {7, 13, 19, 37}),
            "source_address": self.is_no_source(address),
            "own_address": client.source == client.local,
        }
        for key in [key for key, is_odd in found.items() if is_odd]:
            if getattr(checks, key) == "drop":
                raise drop(reason(key))
            self.mute = self.mute or reason(key)
        if not self.stream and port == 464:
            self.mute = self.mute or "source-port"

    def is_no_source(self, address: IPAddress) -> bool:
        """0.0.0.0/8, multicast, broadcast, `::`, IPv4 within IPv6, loopback from outside."""
        local = ipaddress.ip_address(self.client.local[0])
        if address.is_multicast or address.is_unspecified or (address.is_loopback and not local.is_loopback):
            return True
        if isinstance(address, ipaddress.IPv6Address):
            return address.ipv4_mapped is not None
        return address in ipaddress.ip_network("0.0.0.0/8") or str(address) == "255.255.255.255"

    def block_of_prefix(self) -> None:
        action = self.model.blocks.of_address(self.client.address)
        if action == "drop":
            raise drop("blocked")
        if action == "truncate" and not self.stream:
            try:
                read = self.reader.check()
            except Fault:
                raise drop("blocked") from None
            self.see_cookie()
            self.blocked(read)

    def blocked(self, read: Read) -> None:
        """A block that truncates: it asks for a proof of the address, and a valid cookie is one."""
        if self.shown != "valid":
            raise self.stand_in(read, reply("blocked", truncated=True))

    def stand_in(self, read: Read, decided: Decided) -> Decided:
        """A reply that is no error stands for an answer, so the rate limits bound it."""
        verdict = decided.verdict
        if verdict.truncated and read.header.opcode != QUERY:
            return drop(verdict.reason)
        limit = self.first_over(self.asker(read))
        return decided if limit is None else self.over(limit, read)

    def see_cookie(self) -> None:
        read = self.reader.read
        cookie = read.cookie() if read is not None else None
        if cookie is not None and not is_cookie(cookie):
            cookie = None
        self.shown = cookies.shown(self.settings.cookies, cookie, self.client.address, self.unix)

    def wire_check(self) -> Read:
        try:
            read = self.reader.check()
        except Fault as fault:
            self.see_cookie()
            raise self.faulty(fault) from None
        self.see_cookie()
        return read

    def faulty(self, fault: Fault) -> Decided:
        if fault.choice == "drop":
            return drop(fault.reason)
        if fault.choice != "truncate":
            return self.error(fault.reason, RCODES[fault.choice])
        # No error, so the budget does not bound it, but the limits that need no question do.
        limit = self.first_over(self.asker(None))
        if limit is not None and limit.action() == "drop":
            return drop("rate-limited")
        return reply(fault.reason, truncated=True)

    def grants(self, read: Read) -> None:
        opcode, allow = read.header.opcode, self.client.allow
        if opcode == NOTIFY and "notify" not in allow:
            raise self.error("notify-refused", REFUSED)
        if opcode == UPDATE and "update" not in allow:
            raise self.error("update-refused", REFUSED)
        asked = read.question.qtype if read.question is not None else None
        if opcode == QUERY and asked in {IXFR, AXFR} and "transfer" not in allow:
            raise self.error("transfer-refused", REFUSED)

    def served_zone(self, read: Read) -> None:
        if read.question is None:
            return
        name = read.question.name
        around = [zone for zone in self.model.zones if in_zone(name, zone)]
        self.zone = max(around, key=len) if around else None
        if not around and "*" not in self.settings.zones:
            raise self.error("not-served", REFUSED)

    def block_of_name(self, read: Read) -> None:
        action = self.model.blocks.of_name(read.question.name) if read.question is not None else None
        if action == "drop":
            raise drop("blocked")
        if action == "truncate" and not self.stream:
            self.blocked(read)

    def listed(self, read: Read) -> None:
        name = None
        if read.question is not None and read.header.opcode == QUERY and read.question.qclass != CH:
            name = read.question.name
        found = [entries.decide(self.client.address, name) for entries in self.model.lists.values()]
        action = next((action for action in found if action is not None), None)
        if action in {None, "allow"} or (action == "truncate" and self.stream):
            return
        if action == "drop":
            raise drop("listed")
        blocked = (15, "") if read.edns is not None else None
        if action == "refuse" or read.header.opcode != QUERY:
            raise self.error("listed", REFUSED, blocked)
        decided = reply("listed", NXDOMAIN if action == "nxdomain" else NOERROR, truncated=action == "truncate")
        decided.verdict.ede = blocked if action != "truncate" else None
        raise self.stand_in(read, decided)

    def asker(self, read: Read | None) -> Asker:
        client = self.client
        verified = self.shown == "valid" and read is not None
        return Asker(client.address, client.transport, read, self.zone, verified, len(self.message), self.now)

    def ruled(self, read: Read) -> None:
        client = self.client
        facts = Facts(
            address=client.address,
            transport=client.transport,
            listener=self.model.listeners[client.listener],
            server_name=client.server_name,
            tlvs=list(client.tlvs),
            read=read,
            size=len(self.message),
            unix=self.unix,
            shown=self.shown,
            zone=self.zone,
            lists=self.model.lists,
        )
        asker = self.asker(read)
        self.outcome = outcome = self.model.rules.decide(facts, asker)
        match outcome.action:
            case "drop":
                raise drop("rule")
            case "over" if outcome.limit is not None:
                raise self.over(outcome.limit, read)
            case "truncate":
                raise self.stand_in(read, reply("rule", truncated=True))
            case "reply":
                rcode = outcome.rcode if outcome.rcode < 16 or read.edns is not None else SERVFAIL
                ede = outcome.ede if read.edns is not None else None
                if rcode not in {NOERROR, NXDOMAIN}:
                    raise self.error("rule", rcode, ede)
                decided = reply("rule", rcode)
                decided.verdict.ede = ede
                raise self.stand_in(read, decided)

    def first_over(self, asker: Asker) -> Limit | None:
        """Charge the limits in their order, up to the first that does something about it."""
        for place, limit in enumerate(self.model.limits):
            if limit.is_over(asker):
                self.over_limits.append(place)
                if not limit.only_counts:
                    return limit
        return None

    def rate_limits(self, asker: Asker, read: Read) -> None:
        limit = self.first_over(asker)
        if limit is not None:
            raise self.over(limit, read)

    def over(self, limit: Limit, read: Read) -> Decided:
        """What becomes of a message over a limit."""
        match limit.action():
            case "refuse":
                return self.error("rate-limited", REFUSED)
            case "truncate" if read.header.opcode != QUERY:
                return drop("rate-limited")
            case "truncate" if self.shown in {"client", "expired", "bad"} and not read.signed:
                return reply("rate-limited", BADCOOKIE)
            case "truncate":
                return reply("rate-limited", truncated=True)
        return drop("rate-limited")

    def cookie(self, read: Read) -> None:
        settings = self.settings.cookies
        if settings.secret is None:
            return
        if read.question is None and self.shown != "none":
            raise reply("cookie-only", NOERROR if self.shown in {"client", "valid"} else BADCOOKIE)
        if self.stream or self.outcome.action == "allow" or self.shown == "valid" or read.header.opcode != QUERY:
            return
        decided = None
        if settings.unverified == "truncate":
            decided = reply("cookie-required", truncated=True)
        elif settings.unverified == "badcookie" and self.shown != "none" and not read.signed:
            decided = reply("cookie-required", BADCOOKIE)
        if decided is not None:
            decided.verdict.slips = "cookie-required" if settings.slip > 1 else None
            raise decided


def zone_labels(zone: str) -> Name:
    text = zone.lower().rstrip(".")
    return tuple(label.encode() for label in text.split(".")) if text else ()
