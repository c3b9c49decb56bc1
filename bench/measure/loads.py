"""Figures of dnsperf's samples, the same for UDP and TCP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.dnsperf import Answers, Sample
from bench.figures import Figure, compared, middle


def cost(name: str, samples: Mapping[str, Sequence[Sample]], target: float | None = None) -> Figure:
    """CPU a query, zonegate's as a multiple of dnsdist's."""
    ours, theirs = ([sample.cpu_us for sample in samples[side]] for side in ("zonegate", "dnsdist"))
    return compared(name, ("zonegate", ours), ("dnsdist", theirs), "µs", target)


def lost(name: str, found: Sequence[Answers], detail: str, target: float | None = None) -> Figure:
    """Queries without an answer, or with an error for an answer, summed over the turns."""
    losses = tuple(answers.unserved for answers in found)
    sent = sum(answers.sent for answers in found)
    return Figure(name, sum(losses), "queries", target, f"of {sent:,}; {detail}", {"lost": losses})


def rates(transport: str, samples: Mapping[str, Sequence[Sample]]) -> list[Figure]:
    """Answers a second of each side."""
    return [
        middle(f"{transport}: rate, {side}", [sample.answers.kqps for sample in found], "kqps")
        for side, found in samples.items()
    ]
