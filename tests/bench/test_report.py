"""The tables: on the terminal, as JSON, and between the markers of a README."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from bench import report
from bench.errors import BenchError
from bench.figures import Figure

FIGURES = (
    Figure("UDP: CPU a query", 0.512, "× dnsdist", 0.6, "5 µs against 10 µs | both", {"zonegate": (5.0,)}),
    Figure("UDP: lost", 1234, "queries", 0),
    Figure("UDP: rate", 98.76, "kqps"),
)
RESULTS = report.Results(
    datetime(2026, 11, 20, 9, 8, 7, tzinfo=UTC),
    "2 cores",
    {"nsd": "4.6.1", "dnsdist": "1.7.3"},
    5,
    3.0,
    0.25,
    (report.Outcome("udp", 61.5, FIGURES), report.Outcome("tcp", 0.1, error="dnsdist is not installed\nmore")),
)


def test_the_markdown_has_each_figure_with_target_reached_and_verdict() -> None:
    lines = report.markdown(RESULTS).splitlines()
    assert lines[0] == "Taken on 20 November 2026: 2 cores; 5 pairs of 3 s each; load average 0.2 at the beginning."
    assert lines[1] == "Peers: dnsdist 1.7.3, nsd 4.6.1."
    cost = "| UDP: CPU a query | ≤ 0.60 × dnsdist | 0.51 × dnsdist | **met** | 5 µs against 10 µs \\| both |"
    assert lines.index(cost) < lines.index("| UDP: lost | ≤ 0 | 1,234 | **missed** |  |")
    assert "| UDP: rate | 98.8 kqps |  |" in lines[lines.index("For information:") :]
    assert "Not measured: tcp (dnsdist is not installed)." in lines


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    page = f"# Head\n\n{report.BEGIN}\nold\n{report.END}\n\nfoot\n"
    once = report.between_markers(page, "new")
    assert once == f"# Head\n\n{report.BEGIN}\nnew\n{report.END}\n\nfoot\n"
    assert report.between_markers(once, "new") == once


@pytest.mark.parametrize(
    "page",
    [
        "",
        report.BEGIN,
        report.END + report.BEGIN,
        report.BEGIN + report.BEGIN + report.END,
        report.BEGIN + report.END + report.END,
    ],
)
def test_a_page_without_the_markers_is_left_alone(page: str, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(page)
    with pytest.raises(BenchError, match="no place"):
        report.write_readme(path, RESULTS)
    assert path.read_text() == page


def test_the_readme_of_the_house_has_its_markers() -> None:
    page = (Path(report.__file__).parent / "README.md").read_text()
    assert report.markdown(RESULTS) in report.between_markers(page, report.markdown(RESULTS))


def test_json_keeps_the_samples(tmp_path: Path) -> None:
    path = report.save(RESULTS, tmp_path / "results")
    assert path.name == "20261120T090807Z.json"
    saved = json.loads(path.read_text())
    assert saved["version"] == 1
    assert saved["outcomes"][0]["figures"][0]["samples"] == {"zonegate": [5.0]}
    assert saved["outcomes"][1]["error"].startswith("dnsdist is not installed")


def test_the_terminal_shows_what_was_met_missed_and_not_measured() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(report.terminal(RESULTS))
    text = console.export_text()
    for word in ["met", "missed", "not measured", "≤ 0.60 × dnsdist", "dnsdist is not installed"]:
        assert word in text


def test_the_table_of_floods_has_both_sides() -> None:
    figures = (
        Figure(
            "attack, one source, UDP: without an answer", 0.0, "%", 1.0, "", {"zonegate": (0.0,), "dnsdist": (3.5,)}
        ),
        Figure("attack, one source, UDP: p99", 1.2, "× quiet", 3.0, "", {"zonegate": (1.2,), "dnsdist": (500.0,)}),
    )
    outcomes = (report.Outcome("attack", 1.0, figures), *RESULTS.outcomes)
    taken = report.Results(RESULTS.taken, "2 cores", {}, 3, 2.5, 0.1, outcomes)
    table = report.attack_table(taken).splitlines()
    assert table[0] == "Taken on 20 November 2026: 2 cores."
    assert table[-1] == "| one source | UDP | 100.00 % | 1.2 × quiet | 96.50 % | – |"
