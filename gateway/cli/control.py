"""`zonegate status` and `zonegate reload`: they ask the running gateway over its admin API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from gateway.cli.client import AdminClient, UnreachableError
from gateway.cli.common import FAILED, UNREACHABLE, config_option, json_option, show_problems, show_warnings
from gateway.config import ConfigError, load_admin
from gateway.state import GatewayState, ReloadReport

T = TypeVar("T")

_STATUS_EPILOG = """\
\b
Examples:
  zonegate status
  zonegate status --json | jq '.readiness.checks[] | select(.ok | not)'

Exit code 0: ready; 1: not ready; 3: can't be reached.
"""

_RELOAD_EPILOG = """\
\b
Examples:
  zonegate check && zonegate reload

The gateway reads its own file, the one that `zonegate run` was given. --config says here only where its admin API is.
Exit code 0: in use; 1: refused, nothing changed; 3: can't be reached.
"""


def client(file: Path) -> AdminClient:
    """A client for the gateway of a configuration file."""
    try:
        return AdminClient(load_admin(file))
    except ConfigError as error:
        show_problems(error.problems)
        raise SystemExit(FAILED) from None


def answer(ask: Callable[[str], bytes], path: str, kind: type[T]) -> tuple[bytes, T]:
    """What the gateway answers, as it came and as what it means. Without an answer the command ends."""
    try:
        body = ask(path)
        return body, msgspec.json.decode(body, type=kind)
    except (UnreachableError, msgspec.DecodeError) as error:
        click.echo(f"can't be reached: {error}", err=True)
        raise SystemExit(UNREACHABLE) from None


@click.command(epilog=_STATUS_EPILOG)
@config_option
@json_option
def status(file: Path, as_json: bool) -> None:
    """Show how the running gateway is."""
    body, state = answer(client(file).get, "/status", GatewayState)
    if as_json:
        click.echo(body)
    else:
        from gateway.cli.show import show_state  # rich is slow to load, and --json needs none of it

        show_state(state)
    if not state.readiness.ready:
        raise SystemExit(FAILED)


@click.command(epilog=_RELOAD_EPILOG)
@config_option
@json_option
def reload(file: Path, as_json: bool) -> None:
    """Make the running gateway read its configuration anew."""
    body, report = answer(client(file).post, "/reload", ReloadReport)
    if as_json:
        click.echo(body)
    else:
        show_report(report)
    if not report.ok:
        raise SystemExit(FAILED)


def show_report(report: ReloadReport) -> None:
    """Print what a reload did, for people."""
    show_warnings(report.warnings)
    if not report.ok:
        show_problems(report.problems)
        click.echo("nothing was changed", err=True)
        return
    click.echo(f"in use: {', '.join(report.changed)}" if report.changed else "nothing has changed")
    if report.restarted:
        click.echo(f"started anew, because they could not take it: {', '.join(report.restarted)}")
    if report.restart:
        click.echo(f"{click.style('takes a restart', fg='yellow')}: {', '.join(report.restart)}")
