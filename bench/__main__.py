"""`python -m bench`: all measurements in one run, or those that are named."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from bench import machine, report
from bench.errors import BenchError
from bench.figures import Figure, Run
from bench.measure import attack, axfr, criterion, drop, lists, notify, policy, reload, rss, tcp, tcp_flood, tunnel, udp
from bench.peers.programs import versions

MEASUREMENTS: dict[str, Callable[[Run], list[Figure]]] = {
    "udp": udp.measure,
    "tcp": tcp.measure,
    "drop": drop.measure,
    "tcp-flood": tcp_flood.measure,
    "wire": criterion.wire,
    "engine": criterion.engine,
    "guard": criterion.guard,
    "axfr": axfr.measure,
    "tunnel": tunnel.measure,
    "notify": notify.measure,
    "rss": rss.measure,
    "policy": policy.measure,
    "lists": lists.measure,
    "reload": reload.measure,
    "attack": attack.measure,
}
FULL = (5, 2.5)  # pairs, and seconds of one turn
QUICK = (1, 1.0)
QUIET = 0.5  # load average above which others are at work
WIDTH = 160  # of the table in a file or a pipe
HERE = Path(__file__).parent

Name = click.Choice(list(MEASUREMENTS))


@click.command()
@click.argument("names", nargs=-1, type=Name)
@click.option("--only", multiple=True, type=Name, help="Measure this alone; may be given more than once.")
@click.option("--quick", is_flag=True, help="One pair of one second: does it work? The numbers mean little.")
@click.option("--pairs", default=FULL[0], show_default=True, type=click.IntRange(1, 20), help="Turns of each side.")
def main(names: tuple[str, ...], only: tuple[str, ...], quick: bool, pairs: int) -> None:
    """Measure zonegate side by side with dnsdist and NSD, on loopback.

    Without NAMES everything is measured, which takes some minutes and wants a quiet machine; the figures are then
    written into bench/README.md. Every run leaves its samples in bench/results/. A figure that misses its target is
    no error; one that could not be measured is.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    chosen = [name for name in MEASUREMENTS if name in {*names, *only}] or list(MEASUREMENTS)
    pairs, seconds = QUICK if quick else (pairs, FULL[1])
    taken = datetime.now(UTC)
    load = os.getloadavg()[0]
    if load > QUIET:
        console.print(f"[yellow]The machine is not idle (load average {load:.1f}): the figures will be rough.[/]")
    with tempfile.TemporaryDirectory(prefix="zonegate-bench-") as directory:
        outcomes = tuple(
            _measure(name, Run(Path(directory), pairs, seconds, _teller(console, name))) for name in chosen
        )
    results = report.Results(taken, machine.describe(), versions(), pairs, seconds, load, outcomes)
    console.print(report.terminal(results))
    console.print(f"samples: {report.save(results, HERE / 'results').relative_to(HERE.parent)}")
    if "attack" in chosen and not quick and not any(outcome.error for outcome in outcomes if outcome.name == "attack"):
        report.write_attacks(HERE.parent / "docs" / "attacks.md", results)
        console.print("the table of floods written to docs/attacks.md")
    if len(chosen) == len(MEASUREMENTS) and not quick:
        report.write_readme(HERE / "README.md", results)
        console.print("figures written to bench/README.md")
    if any(outcome.error for outcome in outcomes):
        raise SystemExit(1)


def _measure(name: str, run: Run) -> report.Outcome:
    begin = time.monotonic()
    figures: list[Figure] = []
    error = ""
    try:
        figures = MEASUREMENTS[name](run)
    except BenchError as failure:
        error = str(failure)
        run.say(f"not measured: {error}")
    return report.Outcome(name, time.monotonic() - begin, tuple(figures), error)


def _teller(console: Console, name: str) -> Callable[[str], None]:
    return lambda text: console.print(f"[bold]{name}[/] {escape(text)}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
