"""Carries a transfer out for the command line: progress on standard error, and the result where it is wanted."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import dns.rdatatype
from rich.console import Console
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TransferSpeedColumn

from dataplane import Verdict
from gateway.transfer.job import Job, Outcome
from gateway.transfer.text import KINDS, difference_lines, zone_lines


def run(job: Job, output: Path | None, *, form: str, as_json: bool) -> None:
    """Transfer, and write what came.

    Raises:
        JobError: it did not come, or was not right; nothing was written.
        OSError: it can't be written.
    """
    console = Console(stderr=True, highlight=False)
    with tempfile.TemporaryFile() as wire:
        outcome = _carry(job, wire, console)
        wire.seek(0)
        if output is not None:
            with _meter(console) as progress:
                told = progress.wrap_file(wire, total=outcome.verdict.size, description=f"writing {output}")
                _write(output, told, outcome.verdict, form)
        elif not as_json:
            _print(wire, outcome.verdict, form)
    if as_json:
        print(json.dumps(facts(job, outcome)))
    else:
        console.print(words(job, outcome), soft_wrap=True, markup=False)


def _carry(job: Job, wire: BinaryIO, console: Console) -> Outcome:
    with _meter(console) as progress:
        task = progress.add_task(job.zone, total=None)

        def take(data: bytes) -> None:
            wire.write(data)
            progress.advance(task, len(data))

        def again(tunnel: str, problem: str | None) -> None:
            """Another tunnel is tried; of what came through the one before nothing is used."""
            if problem is not None:
                progress.console.print(problem, style="yellow", markup=False)
            wire.seek(0)
            wire.truncate()
            progress.reset(task, description=f"{job.zone} through {tunnel}")

        return asyncio.run(job.carry(take, again))


def _meter(console: Console) -> Progress:
    words = SpinnerColumn(), TextColumn("{task.description}", markup=False)
    numbers = DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn()
    return Progress(*words, *numbers, console=console, transient=True)


def _lines(wire: BinaryIO, verdict: Verdict) -> Iterator[str]:
    return zone_lines(wire) if verdict.kind in KINDS else difference_lines(wire)


def _print(wire: BinaryIO, verdict: Verdict, form: str) -> None:
    if verdict.kind == "up-to-date":
        return
    if form == "wire":
        sys.stdout.buffer.write(wire.read())
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(wire, verdict))
    sys.stdout.flush()


def _write(output: Path, wire: BinaryIO, verdict: Verdict, form: str) -> None:
    if verdict.kind == "up-to-date":
        return
    with replaced(output) as file:
        if form == "wire":
            while data := wire.read(1 << 20):
                file.write(data)
        else:
            file.writelines(f"{line}\n".encode() for line in _lines(wire, verdict))


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when it is whole."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        with part.open("xb") as file:  # never through a link that somebody has put there
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def facts(job: Job, outcome: Outcome) -> dict[str, object]:
    """What was found out, for programs."""
    verdict = outcome.verdict
    return {
        "zone": job.zone,
        "primary": job.server.name,
        "tunnel": outcome.tunnel,
        "kind": verdict.kind,
        "serial": verdict.serial,
        "from_serial": verdict.from_serial,
        "added": verdict.added,
        "removed": verdict.removed,
        "messages": verdict.messages,
        "bytes": verdict.size,
        "seconds": round(verdict.seconds, 3),
        "types": {
            dns.rdatatype.to_text(dns.rdatatype.RdataType(kind)): n for kind, n in sorted(verdict.counts.items())
        },
        "digest": verdict.digest.hex(),
        "signed_by": job.key.name if job.key is not None else None,
    }


def words(job: Job, outcome: Outcome) -> str:
    """The same for people."""
    verdict = outcome.verdict
    way = f"from {job.server.name} through {outcome.tunnel}"
    if verdict.kind == "up-to-date":
        return f"{job.zone} is up to date at serial {verdict.serial}, {way}"
    change = f"{verdict.added:,} records" if verdict.kind in KINDS else f"{verdict.removed:,} out, {verdict.added:,} in"
    return (
        f"{job.zone} serial {verdict.serial} ({verdict.kind}) {way}: {change}; {verdict.messages:,} message"
        f"{'s' if verdict.messages != 1 else ''}, {verdict.size:,} bytes, {verdict.seconds:.2f} s"
    )
