"""The way of one message through a policy, step by step, in words."""

from __future__ import annotations

from collections.abc import Callable

import dns.name
import dns.opcode
import dns.rdatatype
from msgspec import Struct

from dataplane import Explanation, check_message
from filters.limits import limit_words
from gateway.trial.messages import Message
from gateway.trial.outcome import asked_name, escape
from gateway.trial.trial import Trial

STEPS = ("source", "wire-check", "cookie", "grants", "zone", "lists", "rules", "limits")


class Step(Struct, frozen=True, kw_only=True):
    """A step: `result` is passed, decided, or not reached."""

    name: str
    result: str
    detail: str


def steps(trial: Trial, message: Message, told: Explanation) -> list[Step]:
    """Every step in its order, up to the one that decided; those behind it were not reached."""
    decided = _decided(told)
    rows = []
    for name in STEPS:
        passed = name in told.passed
        result = "decided" if name == decided else ("passed" if passed else "not reached")
        detail = "" if result == "not reached" else _DETAILS[name](trial, message, told)
        if result == "decided" and name not in ("lists", "rules", "limits"):
            detail = f"{told.reason}: see docs/wire-check.md"
        rows.append(Step(name=name, result=result, detail=detail))
    return rows


def _decided(told: Explanation) -> str | None:
    """The step at which the decision fell; None: the message was let in at the end."""
    if told.verdict == "forward":
        return None
    if told.reason in ("cookie-required", "cookie-only"):
        return "cookie"
    # A reply of a rule that is over a rate limit is decided by the limit.
    if told.reason == "rate-limited" and told.over_limits:
        return "limits"
    return next((step for step in STEPS if step not in told.passed), "limits")


def _source(trial: Trial, message: Message, _told: Explanation) -> str:
    asker = message.asker
    number, allow, ours = trial.door(asker)
    door = f"listener {trial.ingress.listeners[number].address}"
    if not ours:
        door = (
            f"no listener has {asker.local} port {asker.local_port} for {asker.transport}: taken as the first, {door}"
        )
    allowed = f", which allows {', '.join(allow)}" if allow else ""
    return f"{asker.source} port {asker.port} over {asker.transport}, {door}{allowed}"


def _wire_check(_trial: Trial, message: Message, told: Explanation) -> str:
    reading, _, _ = check_message(message.wire, message.asker.transport)
    if reading is None or reading.qname is None:
        words = f"{len(message.wire)} bytes"
    else:
        kind, opcode = (
            dns.rdatatype.to_text(dns.rdatatype.RdataType.make(reading.qtype or 0)),
            dns.opcode.to_text(dns.opcode.Opcode(reading.opcode)),
        )
        name = asked_name(message.wire) or "?"
        edns = f", EDNS with {reading.udp_size} bytes" if reading.udp_size is not None else ""
        words = f"{opcode} {name} {kind}, {len(message.wire)} bytes{edns}{', DO' if reading.dnssec_ok else ''}"
    return words + (f"; observed only: {told.observed}" if told.observed else "")


def _cookie(_trial: Trial, _message: Message, told: Explanation) -> str:
    return f"it shows: {told.cookie}" if told.cookie is not None else "filters.cookies are off"


def _grants(_trial: Trial, _message: Message, _told: Explanation) -> str:
    return "the listener allows it"


def _zone(_trial: Trial, _message: Message, told: Explanation) -> str:
    if told.zone is None:
        return 'in no zone of filters.zones, but "*" lets all in, or it asks for none'
    return f"in {escape(dns.name.from_wire(told.zone, 0)[0].to_text())}"


def _lists(trial: Trial, _message: Message, told: Explanation) -> str:
    if told.listed is not None:
        return f"the list {trial.filters.lists[told.listed].name} knows it"
    return f"none of {len(trial.filters.lists)} knows it" if trial.filters.lists else "there are none"


def _rules(trial: Trial, _message: Message, told: Explanation) -> str:
    rules = trial.filters.rules
    if not rules:
        return "there are none"
    did = [f"{name} matched: {what}" for name, what in told.rules]
    matched = {name for name, _ in told.rules}
    missed = [rules[place].name for place in told.looked if rules[place].name not in matched]
    words = did or [f"none of {len(rules)} matched"]
    if missed:
        words.append(f"looked at, did not match: {', '.join(missed)}")
    ended = told.rules[-1][1] if told.rules else ""
    if ended in ("allow", "route"):
        words.append("later rules are not tried")
    return "; ".join(words)


def _limits(trial: Trial, _message: Message, told: Explanation) -> str:
    limits = trial.filters.rate_limits
    if told.over_limits:
        return "; ".join(f"over {trial.limits[place]}: {limit_words(limits[place])}" for place in told.over_limits)
    return f"within all of {len(limits)}" if limits else "there are none"


_DETAILS: dict[str, Callable[[Trial, Message, Explanation], str]] = {
    "source": _source,
    "wire-check": _wire_check,
    "cookie": _cookie,
    "grants": _grants,
    "zone": _zone,
    "lists": _lists,
    "rules": _rules,
    "limits": _limits,
}
