"""SOA checks over UDP at a steady rate, as the nodes of many zones make them, and how long each one took.

The next is sent when it is due, whether or not those before were answered: a gateway that stands still for a second is
late with all that came in that second, not with one. A process of its own, so that what is measured is not how long
the load beside it keeps this one waiting.
`python -m bench.checks --help`. It stops when its standard input ends.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from bench import bulk
from bench.errors import BenchError
from proxy.values import Endpoint

REPOSITORY = Path(__file__).parents[1]
RATE = 100  # a second: half of what a primary is asked for by default
PATIENCE = 10.0  # seconds for the last answers
WARM = 20  # checks before the measured ones


@contextmanager
def meanwhile(target: Endpoint) -> Iterator[Callable[[], list[float]]]:
    """Check while the body runs; it gets a function that ends the checks and returns their seconds.

    Raises:
        BenchError: the process failed, or a check got no answer.
    """
    argv = [sys.executable, "-m", "bench.checks", "--target", str(target)]
    with subprocess.Popen(argv, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:

        def end() -> list[float]:
            found, _ = child.communicate(timeout=2 * PATIENCE)
            if child.returncode:
                raise BenchError("the checks beside the transfers failed")
            return [float(seconds) for seconds in json.loads(found)]

        try:
            assert child.stdout is not None
            child.stdout.readline()  # it is warm
            yield end
        finally:
            child.kill()


def check(target: Endpoint, stopped: int) -> list[float]:
    """Check until the descriptor `stopped` can be read; the seconds of each.

    Raises:
        BenchError: one got no answer, or another than the serial.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect(target.sockaddr)
        asker.settimeout(PATIENCE)
        for number in range(WARM):
            asker.send(bulk.query(0, bulk.SOA, 0xFFFF - number))
            asker.recv(4096)
        click.echo("warm")
        return _check(asker, stopped)


def _check(asker: socket.socket, stopped: int) -> list[float]:
    due: dict[int, float] = {}
    taken: list[float] = []
    begin = time.monotonic()
    sent, going = 0, True
    while going or due:
        now = time.monotonic()
        at = begin + sent / RATE if going else begin + sent / RATE + PATIENCE
        if now >= at and not going:
            raise BenchError(f"{len(due)} checks got no answer")
        if now >= at:
            asker.send(bulk.query(0, bulk.SOA, sent))
            due[sent] = at
            sent += 1
            continue
        watched = [asker.fileno(), *([stopped] if going else [])]
        ready, _, _ = select.select(watched, [], [], at - now)
        going = going and stopped not in ready
        if asker.fileno() in ready:
            answer = asker.recv(4096)
            if answer[3] & 0xF or answer[6:8] != b"\0\1":
                raise BenchError(f"a check was answered with RCODE {answer[3] & 0xF}")
            taken.append(time.monotonic() - due.pop(int.from_bytes(answer[:2])))
    return taken


@click.command()
@click.option("--target", required=True, help="address and port of a forwarder to `bench.bulk`")
def main(target: str) -> None:
    """Ask for SOA a hundred times a second until standard input ends. Prints the seconds that each answer took."""
    click.echo(json.dumps(check(Endpoint.parse(target), sys.stdin.fileno())))


if __name__ == "__main__":
    main()
