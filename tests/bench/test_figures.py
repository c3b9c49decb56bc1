"""Samples become figures: pairs of neighbours, medians, targets."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.figures import Figure, Run, compared, middle, ratio, take_turns


def test_sides_take_turns() -> None:
    count = itertools.count()
    said: list[str] = []
    run = Run(Path(), pairs=3, seconds=1.0, say=said.append)
    samples = take_turns(run, {"a": lambda: next(count), "b": lambda: next(count)}, str)
    assert samples == {"a": [0, 2, 4], "b": [1, 3, 5]}
    assert said[:3] == ["1/3 a: 0", "1/3 b: 1", "2/3 a: 2"]


def test_the_ratio_is_the_median_of_the_ratios_of_neighbours() -> None:
    # The machine became ten times slower: no ratio of medians or means would find the 0.5.
    assert ratio([1, 5, 50], [2, 10, 100]) == 0.5
    assert ratio([1, 3, 2], [2, 2, 2]) == 1.0


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1.0], []), ([1.0], [0.0]), ([1.0, 2.0], [1.0])])
def test_there_is_no_ratio_without_pairs(ours: list[float], theirs: list[float]) -> None:
    with pytest.raises(BenchError, match="no ratio"):
        ratio(ours, theirs)


def test_a_target_is_an_upper_bound() -> None:
    assert Figure("x", 0.6, "×", 0.6).met is True
    assert Figure("x", 0.61, "×", 0.6).met is False
    assert Figure("x", 0.61, "×").met is None


def test_a_comparison_keeps_both_sides() -> None:
    figure = compared("cost", ("ours", [1.0, 2.0, 3.0]), ("theirs", [2.0, 4.0, 4.0]), "µs", 0.6)
    assert (figure.reached, figure.unit, figure.met) == (0.5, "× theirs", True)
    assert figure.detail == "2 µs (ours) against 4 µs (theirs)"
    assert figure.samples == {"ours": (1.0, 2.0, 3.0), "theirs": (2.0, 4.0, 4.0)}
    assert middle("rate", [3.0, 1.0, 2.0], "kqps").reached == 2.0
