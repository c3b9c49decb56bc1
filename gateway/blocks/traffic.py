"""The traffic of the last minute, as far as it was sampled: what `zonegate top` shows.

A ring of seconds, each with the clients, prefixes, names and suffixes that had the most messages, and the total. All
is bounded: `_KEPT` subjects of a view and second, whatever comes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Literal

import dns.rcode
import dns.rdatatype

from dataplane import SampleTally
from filters.detectors import show_name
from filters.names import zone_wire
from filters.settings import FilterSettings
from gateway.blocks.values import BackendRate, Row, Sampled, Share

ONE = SampleTally.ONE
SECONDS = 60
_KEPT = 64

View = Literal["clients", "prefixes", "names", "suffixes", "total"]
Counts = Mapping[str, int]


class Traffic:
    """The ring."""

    def __init__(self) -> None:
        self._tallies: dict[View, SampleTally] = {}
        self._ring: deque[dict[View, list[tuple[str, int, Counts]]]] = deque(maxlen=SECONDS)
        self.seen = 0
        """Samples since the start."""

    def configure(self, settings: FilterSettings) -> None:
        """Group names by the zones of new settings."""
        zones = [zone_wire(zone) for zone in settings.zones if zone != "*"]
        self._tallies = {
            "clients": SampleTally(prefix=(32, 128)),
            "prefixes": SampleTally(prefix=(24, 56)),
            "names": SampleTally(labels=127),
            "suffixes": SampleTally(labels=0, zones=zones),
            "total": SampleTally(),
        }

    def add(self, batches: Sequence[bytes]) -> None:
        """One second of samples."""
        second: dict[View, list[tuple[str, int, Counts]]] = {}
        for view, tally in self._tallies.items():
            for batch in batches:
                tally.add(batch)
            second[view] = [
                (_subject(view, prefix, name), samples, counts)
                for prefix, name, samples, counts, _ in tally.take(_KEPT)
            ]
        self.seen += sum(samples for _, samples, _ in second["total"])
        self._ring.append(second)

    def last(self, seconds: int, most: int, backends: Mapping[int, str]) -> Sampled:
        """What was seen in the last seconds; `most` subjects of each view and values of each kind.

        `backends` are the names of the backends by their slots.
        """
        past = list(self._ring)[-seconds:]
        length = max(1, len(past))
        total, samples = _sum(past, "total").get("", ({}, 0))
        queries, answers = total.get("queries", 0) / ONE, total.get("answers", 0) / ONE
        views: tuple[View, ...] = ("clients", "prefixes", "names", "suffixes")
        return Sampled(
            seconds=len(past),
            samples=samples,
            queries=queries / length,
            answers=answers / length,
            query_bytes=total.get("query-bytes", 0) / ONE / length,
            answer_bytes=total.get("answer-bytes", 0) / ONE / length,
            rows={view: _rows(_sum(past, view), length, queries, most) for view in views},
            shares={
                kind: _shares(total, f"{kind}:", length, most) for kind in ("qtype", "rcode", "reason", "transport")
            },
            backends=_backends(total, length, backends),
        )


def _subject(view: View, prefix: str, name: bytes) -> str:
    if view == "clients":
        return prefix.partition("/")[0]
    return prefix or (show_name(name) if view != "total" else "")


def _sum(
    past: Sequence[Mapping[View, list[tuple[str, int, Counts]]]], view: View
) -> dict[str, tuple[dict[str, int], int]]:
    sums: dict[str, tuple[dict[str, int], int]] = {}
    for second in past:
        for subject, samples, counts in second[view]:
            held, before = sums.get(subject, ({}, 0))
            for counter, count in counts.items():
                held[counter] = held.get(counter, 0) + count
            sums[subject] = held, before + samples
    return sums


def _rows(sums: Mapping[str, tuple[Counts, int]], seconds: int, queries: float, most: int) -> tuple[Row, ...]:
    def rate(counts: Counts, counter: str) -> float:
        return counts.get(counter, 0) / ONE / seconds

    rows = [
        Row(
            subject=subject,
            queries=rate(counts, "queries"),
            answers=rate(counts, "answers"),
            share=counts.get("queries", 0) / ONE / queries if queries else 0.0,
            answer_bytes=rate(counts, "answer-bytes"),
            malformed=rate(counts, "malformed"),
            blocked=rate(counts, "blocked"),
            nxdomain=rate(counts, "rcode:3"),
        )
        for subject, (counts, _) in sums.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.queries, -row.answers, row.subject))[:most])


def _shares(total: Counts, kind: str, seconds: int, most: int) -> tuple[Share, ...]:
    values = {counter.removeprefix(kind): count / ONE for counter, count in total.items() if counter.startswith(kind)}
    whole = sum(values.values())
    shares = [
        Share(value=_words(kind, value), rate=n / seconds, share=n / whole) for value, n in values.items() if whole
    ]
    return tuple(sorted(shares, key=lambda share: (-share.rate, share.value))[:most])


def _backends(total: Counts, seconds: int, names: Mapping[int, str]) -> tuple[BackendRate, ...]:
    found = []
    for counter, count in total.items():
        if counter.startswith("backend:") and count:
            slot = int(counter.removeprefix("backend:"))
            latency = total.get(f"latency:{slot}", 0) / count / 1000
            name = names.get(slot, f"slot {slot}")
            found.append(BackendRate(name=name, rate=count / ONE / seconds, milliseconds=latency))
    return tuple(sorted(found, key=lambda backend: -backend.milliseconds))


def _words(kind: str, value: str) -> str:
    """A type or RCODE as the field writes it."""
    if kind == "qtype:":
        return dns.rdatatype.to_text(dns.rdatatype.RdataType.make(int(value)))
    return dns.rcode.to_text(dns.rcode.Rcode(int(value))) if kind == "rcode:" else value
