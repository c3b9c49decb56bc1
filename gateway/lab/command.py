"""`zonegate lab`: the whole ring on loopback, explained in words, until Ctrl-C or for a number of seconds."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import click
import uvloop
from rich.console import Console

from gateway.lab.changes import change
from gateway.lab.meter import read
from gateway.lab.queries import next_query
from gateway.lab.ring import Ring
from gateway.lab.servers.builtin import Builtin
from gateway.lab.servers.ports import free_port, is_free
from gateway.lab.servers.process import ChildError
from gateway.lab.stream import Stream
from gateway.lab.telling import introduce, say, tell_account, tell_change
from gateway.lab.zones import LabZone, new_signing_key

DNS_PORT = 5300
ADMIN_PORT = 8053
CHANGE_EVERY = 4.0  # seconds between two changes
ACCOUNT_EVERY = 10.0  # seconds between two accounts
CHECK_EVERY = 1.0  # seconds between two looks at the processes


_EPILOG = """\
\b
Examples:
  zonegate lab
  zonegate lab --seconds 60 --port 5353
  zonegate lab --builtin --keep
"""


@click.command(epilog=_EPILOG, short_help="Run a whole ring on loopback, to look at.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after this; else at Ctrl-C.")
@click.option("--port", type=click.IntRange(1, 65535), help=f"Where clients ask; {DNS_PORT} if free, else another.")
@click.option("--admin-port", type=click.IntRange(1, 65535), help=f"For metrics; {ADMIN_PORT} if free, else another.")
@click.option("--keep", is_flag=True, help="Keep the directory with configurations and logs.")
@click.option("--builtin", is_flag=True, help="Use the small built-in name servers, even where others are installed.")
def lab(seconds: float | None, port: int | None, admin_port: int | None, keep: bool, builtin: bool) -> None:
    """Run a whole ring on loopback: primary, exit, gateway, two nodes, and a stream of queries and changes.

    Nothing needs root, and nothing is left behind. NSD, BIND, Knot and PowerDNS are used where they are installed.
    """
    console = Console(soft_wrap=True)
    with _directory(console, keep) as directory:
        ring = Ring(
            directory,
            lab_zones(),
            software=(Builtin,) if builtin else (),
            dns_port=port or _preferred(DNS_PORT),
            admin_port=admin_port or _preferred(ADMIN_PORT),
        )
        try:
            uvloop.run(_until_stopped(console, ring, seconds))
        except ChildError as error:
            raise click.ClickException(str(error)) from None


def lab_zones() -> list[LabZone]:
    """The zones of the lab: a small one, a larger one, a signed one."""
    return [
        LabZone("lab-a.example"),
        LabZone("lab-b.example", hosts=1000),
        LabZone("lab-c.example", hosts=20, key=new_signing_key()),
    ]


async def _until_stopped(console: Console, ring: Ring, seconds: float | None) -> None:
    """Run the lab until the time is up, or SIGINT or SIGTERM came; then end everything.

    Raises:
        ChildError: something did not start, or ended by itself.
    """
    running = asyncio.create_task(_run(console, ring, seconds))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    with suppress(asyncio.CancelledError):  # that is how Ctrl-C ends it
        await running
    console.print("\nAll processes have ended.")


async def _run(console: Console, ring: Ring, seconds: float | None) -> None:
    with console.status("starting") as status:
        await ring.start(lambda what: status.update(f"starting: {what}"))
    try:
        introduce(console, ring)
        stream = Stream(ring.at.gateway, partial(next_query, list(ring.zones.values())))
        work = asyncio.create_task(_work(console, ring, stream))
        try:
            await asyncio.wait({work}, timeout=seconds)
            if work.done():
                work.result()
            say(console, f"{seconds:g} seconds are over")
        finally:
            work.cancel()
            await asyncio.wait({work})
        await _tell_account(console, ring, stream)
    finally:
        await ring.stop()


async def _work(console: Console, ring: Ring, stream: Stream) -> None:
    """Ask, change, tell and watch, until cancelled or until something ends that should not.

    Raises:
        ChildError: what ended.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stream.run())
            tasks.create_task(_change_zones(console, ring))
            tasks.create_task(_give_account(console, ring, stream))
            tasks.create_task(_watch(ring))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _change_zones(console: Console, ring: Ring) -> None:
    for zone in itertools.cycle(ring.zones):
        tell_change(console, await change(ring, zone, f"{datetime.now():%Y-%m-%d %H:%M:%S}"))
        await asyncio.sleep(CHANGE_EVERY)


async def _give_account(console: Console, ring: Ring, stream: Stream) -> None:
    while True:
        await asyncio.sleep(ACCOUNT_EVERY)
        await _tell_account(console, ring, stream)


async def _tell_account(console: Console, ring: Ring, stream: Stream) -> None:
    try:
        tell_account(console, stream.tally, await read(ring.at.admin))
    except OSError as error:
        say(console, f"[red]the metrics of the gateway don't answer: {error}[/]")


async def _watch(ring: Ring) -> None:
    while True:
        ring.check()
        await asyncio.sleep(CHECK_EVERY)


def _preferred(port: int) -> int:
    return port if is_free(port) else free_port()


@contextmanager
def _directory(console: Console, keep: bool) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="zonegate-lab-"))
    try:
        yield directory
    finally:
        if keep:
            console.print(f"Kept: {directory}", highlight=False)
        else:
            shutil.rmtree(directory, ignore_errors=True)
