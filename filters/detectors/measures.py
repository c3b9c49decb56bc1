"""What each rule measures of the counts of a subject, and how it is said in words.

The number of a rule is a sum over the window, divided by its seconds. A ratio is that number as a part of all queries,
or of all answers where answers are measured.

What a block stops is no longer seen for what it is: a dropped message is not read, a truncated query gets no answer.
While one is in force, what it stopped is presumed to be of the mix that it was stopped for; so it is released when the
flood ends, and not because it works.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

import dns.exception
import dns.rcode
import dns.rdatatype
from msgspec import Struct

from dataplane import SampleTally, distinct_names
from filters.detectors.subjects import Kind
from filters.errors import FilterError
from filters.settings.blocks import DynamicBlock

ONE = SampleTally.ONE
_NXDOMAIN = f"rcode:{int(dns.rcode.NXDOMAIN)}"


class Measure(Struct, frozen=True, kw_only=True):
    """Which counters a rule adds up, and whether what a block stopped is presumed to be the same."""

    counter: str
    all: str
    words: str
    hidden: bool
    distinct: bool = False


class Finding(Struct, frozen=True, kw_only=True):
    """A subject that a rule found, or still finds.

    `over`: it is above the thresholds; else above the lower ones, at which a block is held and none begins. `times` is
    how many times the threshold was measured. `mix` is what one query of it counts for.
    """

    rule: str
    kind: Kind
    subject: str
    over: bool
    times: float
    mix: float
    reason: str


@functools.lru_cache(256)
def measure_of(rule: DynamicBlock) -> Measure:
    """The measure of a rule.

    Raises:
        FilterError: its keys don't go together; with what would be right.
    """
    if (rule.of is not None) != (rule.what in {"rcode", "qtype"}):
        wanted = "needs `of`" if rule.of is None else "takes no `of`; rcode and qtype do"
        raise FilterError(f"what = {rule.what!r} {wanted}")
    match rule.what:
        case "rcode":
            return Measure(counter=f"rcode:{_rcode(rule)}", all="answers", words=f"answers {rule.of}", hidden=True)
        case "qtype":
            return Measure(
                counter=f"qtype:{_qtype(rule)}", all="queries", words=f"queries of type {rule.of}", hidden=False
            )
        case "malformed":
            return Measure(counter="malformed", all="queries", words="malformed messages", hidden=True)
        case "random-subdomains":
            if rule.by != "suffix":
                raise FilterError('what = "random-subdomains" is measured by = "suffix"')
            words = "different names that don't exist"
            return Measure(counter=_NXDOMAIN, all="answers", words=words, hidden=False, distinct=True)
        case "queries" | "response-bytes" if rule.ratio is not None:
            raise FilterError(f"what = {rule.what!r} has no ratio: it is all there is")
        case "queries":
            return Measure(counter="queries", all="queries", words="queries", hidden=False)
        case "response-bytes":
            return Measure(counter="answer-bytes", all="answer-bytes", words="bytes of answers", hidden=True)


def _rcode(rule: DynamicBlock) -> int:
    try:
        code = int(dns.rcode.from_text(str(rule.of)))
    except (dns.exception.DNSException, ValueError):
        raise FilterError(f"of = {rule.of!r} is no RCODE, such as NXDOMAIN, SERVFAIL or REFUSED") from None
    if code > 15:
        raise FilterError(f"of = {rule.of!r} stands in OPT, which is not read; write an RCODE below 16")
    return code


def _qtype(rule: DynamicBlock) -> int:
    try:
        return int(dns.rdatatype.from_text(str(rule.of)))
    except (dns.exception.DNSException, ValueError):
        raise FilterError(f"of = {rule.of!r} is no type, such as ANY, TXT or TYPE65") from None


def judge(
    rule: DynamicBlock,
    subject: str,
    counts: Mapping[str, int],
    samples: int,
    hashes: Iterable[int],
    presumed: float | None,
) -> Finding | None:
    """What a rule finds in the counts of a subject over its window; None: nothing, not even at the lower thresholds.

    `hashes` are those of the different names; `presumed` is the mix of a block in force by this rule.
    """
    measure = measure_of(rule)
    blocked = counts.get("blocked", 0) / ONE
    number = counts.get(measure.counter, 0) / ONE
    whole = counts.get(measure.all, 0) / ONE
    if measure.distinct:
        number, whole = number + blocked, whole + blocked
    elif measure.hidden and presumed is not None:
        number += blocked * presumed
        whole += blocked if measure.all == "answers" else 0
    messages = (counts.get("queries", 0) + counts.get("answers", 0)) / ONE
    behind = min(number, messages) * samples / messages if messages else 0.0
    if number / rule.window < rule.rate * rule.release or behind < rule.samples:
        return None
    if measure.distinct:
        number *= min(1.0, distinct_names(list(hashes)) / behind)
    rate = number / rule.window
    ratio = min(1.0, number / whole) if whole else 0.0
    floor = rule.ratio or 0.0
    if rate < rule.rate * rule.release or ratio < floor * rule.release:
        return None
    queries = counts.get("queries", 0) / ONE
    return Finding(
        rule=rule.name,
        kind=rule.by,
        subject=subject,
        over=rate > rule.rate and ratio >= floor,
        times=rate / rule.rate,
        mix=presumed if presumed is not None else number / queries if queries else 1.0,
        reason=_words(rule, measure, subject, rate, whole / rule.window),
    )


def _words(rule: DynamicBlock, measure: Measure, subject: str, rate: float, whole: float) -> str:
    share = f" of {whole:,.0f} {measure.all}" if rule.ratio is not None else ""
    where = f"from {subject}" if rule.by == "prefix" else f"below {subject}"
    return f'{rate:,.0f} {measure.words}{share} a second {where} during {rule.window} s; rule "{rule.name}"'
