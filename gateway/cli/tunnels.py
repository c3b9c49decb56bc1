"""`zonegate tunnels`: how the ways out are, and fresh probes of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from gateway.cli.common import FAILED, config_option, fail_config, json_option
from gateway.cli.control import answer, client
from gateway.config import ConfigError, load
from gateway.settings import GatewaySettings
from gateway.state import GatewayState

if TYPE_CHECKING:
    from gateway.cli.probing import Report

_SHOWN = ("tunnels", "routes", "exit_addresses")

_EPILOG = """\
\b
Examples:
  zonegate tunnels
  zonegate tunnels --probe
  zonegate tunnels --probe --tunnel fra --zone example.com
  zonegate tunnels --json | jq '.routes[] | select(.fault != null)'

Without --probe the running gateway tells what it knows. With --probe the command itself asks every primary for a SOA
record, through each of its tunnels over UDP and TCP, as the configuration file says; no gateway needs to run.
Exit code 0: shown, or every probe was answered; 1: one was not, or an exit is seen under another address than declared;
3: the gateway can't be reached.
"""


@click.command(epilog=_EPILOG)
@click.option("--probe", is_flag=True, help="Send SOA queries through every tunnel now.")
@click.option("--tunnel", "only", metavar="NAME", help="With --probe: this tunnel only.")
@click.option("--zone", metavar="NAME", help="With --probe: ask for this zone; else for the forwarders' first.")
@click.option(
    "--timeout",
    "limit",
    type=click.FloatRange(0.1, 60),
    default=5.0,
    show_default=True,
    help="With --probe: seconds to wait for an answer.",
)
@config_option
@json_option
def tunnels(probe: bool, only: str | None, zone: str | None, limit: float, file: Path, as_json: bool) -> None:
    """Show each primary's tunnels: state, round trip, exit address, last error."""
    if probe:
        _probe(file, only, zone, limit, as_json)
        return
    if only is not None or zone is not None:
        raise click.UsageError("--tunnel and --zone go with --probe")
    _, state = answer(client(file).get, "/status", GatewayState)
    told: dict[str, list[Any]] = {name: [] for name in _SHOWN}
    for process in state.processes:
        if process.role == "transfer":
            if "routes" not in process.body:
                raise click.ClickException("the transfer process has told nothing yet: try again in a moment")
            for name in _SHOWN:
                told[name] += process.body.get(name, ())
    if as_json:
        click.echo(msgspec.json.encode(told))
        return
    from gateway.cli.tunnel_tables import show_known  # rich is slow to load

    show_known(told)


def _probe(file: Path, only: str | None, zone: str | None, limit: float, as_json: bool) -> None:
    try:
        settings = load(file).settings
    except ConfigError as error:
        fail_config(error)
    try:
        report = asyncio.run(_ask(settings, file.absolute(), only, zone, limit, show=not as_json))
    except ValueError as error:
        click.echo(str(error), err=True)
        raise SystemExit(FAILED) from None
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        from gateway.cli.tunnel_tables import show_probed

        show_probed(report)
    if not report.ok:
        raise SystemExit(FAILED)


async def _ask(
    settings: GatewaySettings, file: Path, only: str | None, zone: str | None, limit: float, *, show: bool
) -> Report:
    # Imported here, because the ciphers are slow to load and other commands need none.
    from rich.console import Console
    from rich.progress import Progress

    from gateway.cli.probing import Report, ask_exits, prepare, run
    from proxy.egress.openings import openings_settled

    job = await prepare(settings, file, only, zone)
    probes = []
    with Progress(console=Console(stderr=True), transient=True, disable=not show) as progress:
        bar = progress.add_task("asking", total=len(job.tasks))
        async for done in run(job.tasks, limit):
            probes.append(done)
            progress.advance(bar)
        exits = await ask_exits(job.tunnels)
    await openings_settled()
    probes.sort(key=lambda each: (each.primary, each.transport, each.tunnel))
    return Report(probes=tuple(probes), exit_addresses=exits)
