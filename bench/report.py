"""Results for people and machines: a table on the terminal, JSON in `results/`, and the table in README.md.

README.md holds the table between two markers; what stands between them is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import median

import msgspec
from rich.table import Table

from bench.errors import BenchError
from bench.figures import Figure

BEGIN = "<!-- figures: written by `make bench` -->"
END = "<!-- end of figures -->"


class Outcome(msgspec.Struct, frozen=True):
    """What one measurement has given: figures, or the reason why there are none."""

    name: str
    seconds: float
    figures: tuple[Figure, ...] = ()
    error: str = ""


class Results(msgspec.Struct, frozen=True):
    """A whole run."""

    taken: datetime
    machine: str
    peers: dict[str, str]  # name -> version
    pairs: int
    seconds: float
    load: float  # average of the minute before
    outcomes: tuple[Outcome, ...]
    version: int = 1  # of this format


def verdict(figure: Figure) -> str:
    """ "met", "missed", or nothing for a figure without a target."""
    return {None: "", True: "met", False: "missed"}[figure.met]


def amount(value: float, unit: str) -> str:
    """A number with its unit, in three digits; counts are written out."""
    if unit == "queries":
        return f"{value:,.0f}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def terminal(results: Results) -> Table:
    """The table for the terminal."""
    table = Table("figure", "target", "reached", "", "from", title=results.machine, title_justify="left")
    for outcome in results.outcomes:
        for figure in outcome.figures:
            style = {"met": "green", "missed": "red"}.get(verdict(figure), "dim")
            target = "" if figure.target is None else f"≤ {amount(figure.target, figure.unit)}"
            reached = amount(figure.reached, figure.unit)
            table.add_row(figure.name, target, reached, f"[{style}]{verdict(figure)}[/]", figure.detail)
        if outcome.error:
            table.add_row(outcome.name, "", "", "[red]not measured[/]", outcome.error.partition("\n")[0])
        table.add_section()
    return table


def save(results: Results, directory: Path) -> Path:
    """Write all of it, samples too, as JSON into a new file of `directory`; returns its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{results.taken:%Y%m%dT%H%M%SZ}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    return path


def markdown(results: Results) -> str:
    """The figures for README.md: those with a target, then the others."""
    figures = [figure for outcome in results.outcomes for figure in outcome.figures]
    peers = ", ".join(f"{name} {number}" for name, number in sorted(results.peers.items()))
    lines = [
        f"Taken on {results.taken:%-d %B %Y}: {results.machine}; {results.pairs} pairs of {results.seconds:g} s each; "
        f"load average {results.load:.1f} at the beginning.",
        f"Peers: {peers}.",
        "",
        *_rows(
            ("figure", "target", "reached", "", "from"),
            [
                (f.name, f"≤ {amount(f.target, f.unit)}", amount(f.reached, f.unit), f"**{verdict(f)}**", f.detail)
                for f in figures
                if f.target is not None
            ],
        ),
        *(f"\nNot measured: {one.name} ({one.error.partition(chr(10))[0]})." for one in results.outcomes if one.error),
        "",
        "For information:",
        "",
        *_rows(
            ("figure", "reached", "from"),
            [(f.name, amount(f.reached, f.unit), f.detail) for f in figures if f.target is None],
        ),
    ]
    return "\n".join(lines)


def attack_table(results: Results) -> str:
    """How honest clients fared under each flood, ours and theirs side by side: the table of docs/attacks.md."""
    found: dict[tuple[str, str], dict[str, Figure]] = {}
    for figure in (figure for outcome in results.outcomes for figure in outcome.figures):
        if parts := re.fullmatch(r"attack, (.+), (\w+): (.+)", figure.name):
            found.setdefault((parts[1], parts[2]), {})[parts[3]] = figure
    rows = []
    for (name, transport), figures in found.items():
        lost, slower = figures["without an answer"], figures["p99"]
        cells = [
            text
            for side in ("zonegate", "dnsdist")
            for text in (
                f"{100 - median(lost.samples[side]):.2f} %",
                f"{median(slower.samples[side]):.1f} × quiet" if median(lost.samples[side]) < 1 else "–",
            )
        ]
        rows.append([name, transport, *cells])
    head = ["flood", "honest clients over", "zonegate answers", "p99", "dnsdist answers", "p99"]
    return "\n".join([f"Taken on {results.taken:%-d %B %Y}: {results.machine}.", "", *_rows(head, rows)])


def write_readme(path: Path, results: Results) -> None:
    """Put the figures between the markers of the file.

    Raises:
        BenchError: the markers are not there.
    """
    path.write_text(between_markers(path.read_text(), markdown(results)))


def write_attacks(path: Path, results: Results) -> None:
    """Put the table of floods between the markers of the file.

    Raises:
        BenchError: the markers are not there.
    """
    path.write_text(between_markers(path.read_text(), attack_table(results)))


def between_markers(text: str, figures: str) -> str:
    """`text` with `figures` between its markers, in place of what stood there.

    Raises:
        BenchError: the markers are not there, in this order, once each.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise BenchError(f"no place for the figures: the lines {BEGIN!r} and {END!r} must stand there, once each")
    return f"{before}{BEGIN}\n{figures}\n{END}{after}"


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]
