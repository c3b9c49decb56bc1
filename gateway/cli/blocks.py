"""`zonegate blocks`: list, add and remove dynamic blocks of the running gateway, one at a time."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from gateway.blocks.values import Block, BlockList, BlockRequest
from gateway.cli.client import UnreachableError, refusal
from gateway.cli.common import FAILED, UNREACHABLE, config_option, json_option
from gateway.cli.control import answer, client

_EPILOG = """\
\b
Examples:
  zonegate blocks list
  zonegate blocks add 203.0.113.0/24 --for 1h --reason "abuse ticket 4711"
  zonegate blocks add bad.example.com --action truncate
  zonegate blocks remove 17

\b
Exit code 0: done; 1: refused; 3: can't be reached.
"""

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class Seconds(click.ParamType[float]):
    """A time such as 90, 10m, 1h or 2d, in seconds."""

    name = "TIME"

    def convert(self, value: object, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """Read it."""
        match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)([smhd]?)", str(value), re.ASCII)
        if match is None or float(match[1]) == 0:
            self.fail(f"{str(value)[:40]!r} is no time; write 90, 10m, 1h or 2d", parameter, context)
        return float(match[1]) * _UNITS[match[2]]


@click.group(epilog=_EPILOG)
def blocks() -> None:
    """List, add and remove dynamic blocks of the running gateway."""


@blocks.command("list")
@config_option
@json_option
def list_(file: Path, as_json: bool) -> None:
    """Show all blocks: the strongest first, and why each exists."""
    body, found = answer(client(file).get, "/blocks", BlockList)
    if as_json:
        click.echo(body)
        return
    from gateway.cli.traffic import show_blocks  # rich is slow to load

    show_blocks(found)


@blocks.command()
@click.argument("subject")
@click.option("--for", "seconds", type=Seconds(), help="How long it stays, such as 10m or 1h; else until removed.")
@click.option(
    "--action", type=click.Choice(["drop", "truncate"]), default="drop", show_default=True, help="What it does."
)
@click.option("--reason", default="", help="Why; shown with the block.")
@config_option
@json_option
def add(subject: str, seconds: float | None, action: str, reason: str, file: Path, as_json: bool) -> None:
    """Block SUBJECT: an address, a prefix, or a name with all below it."""
    request = {"subject": subject, "action": action, "reason": reason, "seconds": seconds}
    body = msgspec.json.encode(msgspec.convert(request, BlockRequest))
    asking = client(file)
    show(lambda: asking.post_json("/blocks", body), as_json, "blocked")


@blocks.command()
@click.argument("number", type=click.IntRange(min=1))
@config_option
@json_option
def remove(number: int, file: Path, as_json: bool) -> None:
    """Remove the block with this NUMBER."""
    asking = client(file)
    show(lambda: asking.delete(f"/blocks/{number}"), as_json, "removed")


def show(ask: Callable[[], bytes], as_json: bool, done: str) -> None:
    """Ask, and print the block that came of it, or why none did."""
    try:
        body = ask()
        why = refusal(body)
        block = None if why is not None else msgspec.json.decode(body, type=Block)
    except (UnreachableError, msgspec.DecodeError) as error:
        click.echo(f"can't be reached: {error}", err=True)
        raise SystemExit(UNREACHABLE) from None
    if as_json:
        click.echo(body)
    elif block is not None:
        click.echo(f"{done}: {block.subject} ({block.action}), number {block.id}")
    if block is None:
        if not as_json:
            click.echo(f"refused: {why}", err=True)
        raise SystemExit(FAILED)
