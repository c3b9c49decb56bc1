"""`python -m bench.failover`: the scenarios, one row each and balancer. Takes a few seconds and no network."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from bench.failover.balancers import Ours, ShadowsocksRust
from bench.failover.world import Balancer, Scenario, play, scenarios

COLUMNS = ("queries lost", "answered elsewhere", "exit changed", "slowest answer", "answered again after")


def main() -> None:
    """Print the table."""
    table = Table("scenario", "balancer", *COLUMNS, box=None)
    for ours, theirs in zip(scenarios(), scenarios(), strict=True):  # each with dice of its own
        count = len(ours.delays)
        table.add_row(ours.name, "zonegate", *_row(ours, Ours(count)))
        table.add_row("", "shadowsocks-rust (model)", *_row(theirs, ShadowsocksRust(count)))
    Console(width=140).print(table)


def _row(scenario: Scenario, balancer: Balancer) -> tuple[str, ...]:
    outcome = play(scenario, balancer)
    noticed = "" if outcome.noticed is None else f"{outcome.noticed:.1f} s"
    counts = (f"{outcome.lost}", f"{outcome.elsewhere}", f"{outcome.changes}")
    return (*counts, f"{outcome.slowest:.2f} s", noticed)


if __name__ == "__main__":
    main()
