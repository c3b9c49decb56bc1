"""A flood from one source: the same query at a steady rate, for a bounded time. `python -m bench.flood --help`.

64 copies leave in one call (UDP_SEGMENT, udp(7)): the kernel cuts the buffer into datagrams, so a small program on one
core outdoes a proxy on another. A timer of the kernel ticks (setitimer(2)), and at each tick what is due is sent.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import dns.message

from gateway.lab.servers.process import ChildProcess
from proxy.values import Endpoint

UDP_SEGMENT = 103  # linux/udp.h; a socket option of level SOL_UDP
COPIES = 64  # UDP_MAX_SEGMENTS of older kernels
MOST_DUE = 8 * COPIES  # what a stalled machine owes beyond this is forgotten: a late burst would be another flood


@dataclass(frozen=True, slots=True)
class Flood:
    """What is sent where. It stops by itself after `seconds`."""

    target: Endpoint
    name: str
    rate: int  # datagrams a second; all that one core can send if 0
    seconds: float
    source: str = "127.0.0.1"

    def argv(self) -> list[str]:
        """The command that runs it in a process of its own."""
        words = ["--target", str(self.target), "--name", self.name, "--rate", str(self.rate)]
        return [sys.executable, "-m", "bench.flood", *words, "--seconds", f"{self.seconds:g}", "--source", self.source]

    def run(self) -> int:
        """Send, in a process of its own; returns how many datagrams were sent."""
        done = subprocess.run(
            self.argv(), cwd=Path(__file__).parents[1], capture_output=True, timeout=self.seconds + 30, check=True
        )
        return int(json.loads(done.stdout)["sent"])

    @contextmanager
    def meanwhile(self, log: Path) -> Iterator[ChildProcess]:
        """Send while the body runs; yields the process that sends."""
        with ChildProcess(self.argv(), log, cwd=Path(__file__).parents[1], name="flood") as child:
            yield child


def send(flood: Flood) -> int:
    """Send in this process; returns how many datagrams the kernel took."""
    wire = dns.message.make_query(flood.name, "A", use_edns=0).to_wire()
    buffer = wire * COPIES
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((flood.source, 0))
        client.connect(flood.target.sockaddr)
        client.setsockopt(socket.SOL_UDP, UDP_SEGMENT, len(wire))
        for due in _due(flood):
            for _ in range(due):
                try:
                    client.send(buffer)
                except ConnectionRefusedError:  # the ICMP answer to an earlier one; this one was not sent
                    continue
                sent += COPIES
    return sent


def _due(flood: Flood) -> Iterator[int]:
    """How many buffers are to be sent now; again and again until the time is over."""
    begin = last = time.monotonic()
    if flood.rate == 0:
        while time.monotonic() - begin < flood.seconds:
            yield 1
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    tick = COPIES / flood.rate
    signal.setitimer(signal.ITIMER_REAL, tick, tick)
    owed = 0.0
    while (now := time.monotonic()) - begin < flood.seconds:
        owed = min(owed + (now - last) * flood.rate, MOST_DUE)
        last = now
        yield int(owed // COPIES)
        owed %= COPIES
        signal.sigwait({signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, 0)


@click.command()
@click.option("--target", required=True, help="address and port, such as 127.0.0.1:5353; loopback only")
@click.option("--name", default="www.bench.example", show_default=True, help="what is asked for, type A")
@click.option("--rate", default=350_000, show_default=True, type=click.IntRange(0, 10_000_000), help="a second; 0: all")
@click.option("--seconds", default=3.0, show_default=True, type=click.FloatRange(0, 60), help="then it stops")
@click.option("--source", default="127.0.0.1", show_default=True, help="own address")
def main(target: str, name: str, rate: int, seconds: float, source: str) -> None:
    """Flood a server on loopback with one query, for a bounded time. Prints how many were sent."""
    endpoint = Endpoint.parse(target)
    if not endpoint.address.is_loopback:
        raise click.BadParameter("only addresses of the loopback may be flooded", param_hint="--target")
    click.echo(json.dumps({"sent": send(Flood(endpoint, name, rate, seconds, source))}))


if __name__ == "__main__":
    main()
