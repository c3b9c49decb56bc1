"""What a measurement returns, and how samples of two sides become one number.

Load generator, gateway and name server share the machine, so its speed drifts while we measure. Therefore the sides
take turns (A B A B ...), each pair of neighbours gives one ratio, and the median of those ratios is the figure: drift
that lasts longer than one turn cancels out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeVar

from bench.errors import BenchError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Run:
    """How long to measure, where to put files, and whom to tell."""

    directory: Path  # for files of the servers; removed afterwards
    pairs: int  # turns of every side
    seconds: float  # length of one turn under load
    say: Callable[[str], None]  # one line of progress


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with its target. All targets are upper bounds."""

    name: str
    reached: float
    unit: str  # as it stands behind the number: "µs", "× dnsdist"
    target: float | None = None  # none: for information
    detail: str = ""  # where the number comes from, in words
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)  # side -> what each of its turns gave

    @property
    def met(self) -> bool | None:
        """Whether the target was reached; None where there is none."""
        return None if self.target is None else self.reached <= self.target


def take_turns(run: Run, sides: Mapping[str, Callable[[], T]], show: Callable[[T], str]) -> dict[str, list[T]]:
    """Let every side measure once, then all of them again, `run.pairs` times; side -> its samples in order."""
    samples: dict[str, list[T]] = {side: [] for side in sides}
    for turn in range(1, run.pairs + 1):
        for side, measure in sides.items():
            sample = measure()
            samples[side].append(sample)
            run.say(f"{turn}/{run.pairs} {side}: {show(sample)}")
    return samples


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of neighbours.

    Raises:
        BenchError: the sides differ in length, are empty, or theirs holds a zero.
    """
    if not ours or len(ours) != len(theirs) or not all(theirs):
        raise BenchError(f"no ratio of {list(ours)} to {list(theirs)}")
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def compared(
    name: str, ours: tuple[str, Sequence[float]], theirs: tuple[str, Sequence[float]], unit: str, target: float | None
) -> Figure:
    """The figure "ours as a multiple of theirs". A side is its name and its samples, in `unit`.

    Raises:
        BenchError: as `ratio`.
    """
    detail = " against ".join(f"{median(samples):.3g} {unit} ({side})" for side, samples in (ours, theirs))
    samples = {ours[0]: tuple(ours[1]), theirs[0]: tuple(theirs[1])}
    return Figure(name, ratio(ours[1], theirs[1]), f"× {theirs[0]}", target, detail, samples)


def middle(name: str, samples: Sequence[float], unit: str, target: float | None = None, detail: str = "") -> Figure:
    """The figure "median of these samples"."""
    return Figure(name, median(samples), unit, target, detail, {"samples": tuple(samples)})
