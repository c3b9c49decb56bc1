"""`zonegate top`: the traffic of now, as the running gateway samples it."""

from __future__ import annotations

import time
from pathlib import Path

import click

from gateway.blocks.values import Top
from gateway.cli.common import config_option, json_option
from gateway.cli.control import answer, client

_EPILOG = """\
\b
Examples:
  zonegate top
  zonegate top --seconds 60 --rows 20
  zonegate top --json | jq '.sampled.rows.clients[0]'

Rates are estimated from samples ([filters.blocks] samples); limits and hits of blocks are counted exactly.
"""


@click.command(epilog=_EPILOG)
@click.option("--seconds", type=click.IntRange(1, 60), default=10, show_default=True, help="How far to look back.")
@click.option("--rows", type=click.IntRange(1, 64), default=8, show_default=True, help="Rows of each table.")
@click.option("--once", is_flag=True, help="Print it once, and end.")
@config_option
@json_option
def top(seconds: int, rows: int, once: bool, file: Path, as_json: bool) -> None:
    """Show clients, names, types, reasons, limits and blocks, live; Ctrl-C ends it."""
    asking = client(file)
    path = f"/top?seconds={seconds}&most={rows}"
    if as_json:
        body, _ = answer(asking.get, path, Top)
        click.echo(body)
        return
    from rich.console import Console
    from rich.live import Live

    from gateway.cli.traffic import page

    console = Console(highlight=False)
    if once or not console.is_terminal:
        console.print(page(answer(asking.get, path, Top)[1]))
        return
    with Live(page(answer(asking.get, path, Top)[1]), console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(1.0)
                live.update(page(answer(asking.get, path, Top)[1]), refresh=True)
        except KeyboardInterrupt:
            return
