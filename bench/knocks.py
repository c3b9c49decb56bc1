"""A flood of TCP connections from one source: it holds some, and opens and resets others at a steady rate.

```
held      connect, two bytes ------------------------------- until the end: the source has all that it may have
knock     connect, two bytes, RST at once (SO_LINGER 0)      no TIME_WAIT is left, so ports do not run out
```
The two bytes are the length of a message that never comes: dnsdist lets the kernel hold back a connection that says
nothing (TCP_DEFER_ACCEPT, tcp(7)), and would not see it at all.
`python -m bench.knocks --help`. It stops by itself.
"""

from __future__ import annotations

import json
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import click

from bench.errors import BenchError
from gateway.lab.servers.process import ChildProcess
from proxy.values import Endpoint

REPOSITORY = Path(__file__).parents[1]
SOURCE = "127.0.0.3"
LENGTH = b"\0\x40"
AT_ONCE = struct.pack("ii", 1, 0)  # struct linger, socket(7): close with RST
TICK = 0.002  # seconds
MOST_DUE = 100  # what a stalled machine owes beyond this is forgotten
PATIENCE = 0.1  # seconds within which a door refuses


@dataclass(frozen=True, slots=True)
class Knocks:
    """What comes to whom."""

    target: Endpoint
    rate: int  # connections a second
    seconds: float
    held: int  # connections that stay open meanwhile

    def argv(self) -> list[str]:
        """The command that runs it in a process of its own."""
        words = ["--target", str(self.target), "--rate", str(self.rate), "--held", str(self.held)]
        return [sys.executable, "-m", "bench.knocks", *words, "--seconds", f"{self.seconds:g}"]

    def run(self) -> int:
        """Knock, in a process of its own; returns how many connections came about.

        Raises:
            BenchError: the process failed.
        """
        done = subprocess.run(self.argv(), cwd=REPOSITORY, capture_output=True, timeout=self.seconds + 30, check=False)
        if done.returncode:
            raise BenchError(f"the generator of connections failed:\n{done.stderr.decode()[-2000:]}")
        return int(json.loads(done.stdout)["connected"])

    @contextmanager
    def meanwhile(self, log: Path) -> Iterator[ChildProcess]:
        """Knock while the body runs; yields the process that does."""
        with ChildProcess(self.argv(), log, cwd=REPOSITORY, name="knocks") as child:
            yield child


def knock(knocks: Knocks) -> int:
    """Knock in this process; returns how many connections came about. Those that are held do not count.

    Raises:
        OSError: one that is to be held is refused.
    """
    connected = 0
    with ExitStack() as stack:
        for _ in range(knocks.held):
            held = stack.enter_context(socket.create_connection(knocks.target.sockaddr, 5, (SOURCE, 0)))
            held.sendall(LENGTH)
        for due in _due(knocks):
            for _ in range(due):
                connected += _once(knocks.target)
    return connected


def is_refused(target: Endpoint) -> bool:
    """Whether a connection of the source is closed before it has asked anything."""
    with socket.socket() as client:
        client.settimeout(PATIENCE)
        client.bind((SOURCE, 0))
        try:
            client.connect(target.sockaddr)
            client.sendall(LENGTH)
            return not client.recv(1)
        except (ConnectionResetError, BrokenPipeError):
            return True
        except TimeoutError:
            return False


def _once(target: Endpoint) -> bool:
    with socket.socket() as client:
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        client.bind((SOURCE, 0))
        # On loopback the handshake is done within the call, if there is room in the queue of the listener.
        with suppress(BlockingIOError):
            client.connect(target.sockaddr)
        try:
            client.send(LENGTH)
        except ConnectionError:  # refused so soon
            return True
        except OSError:  # the queue was full: it did not come about
            return False
        return True


def _due(knocks: Knocks) -> Iterator[int]:
    """How many are to come now; again and again until the time is over."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, TICK, TICK)
    begin = last = time.monotonic()
    owed = 0.0
    while (now := time.monotonic()) - begin < knocks.seconds:
        owed = min(owed + (now - last) * knocks.rate, MOST_DUE)
        last = now
        yield int(owed)
        owed %= 1
        signal.sigwait({signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, 0)


@click.command()
@click.option("--target", required=True, help="address and port, such as 127.0.0.1:5353; loopback only")
@click.option("--rate", default=5000, show_default=True, type=click.IntRange(1, 100_000), help="a second")
@click.option("--seconds", default=3.0, show_default=True, type=click.FloatRange(0, 60), help="then it stops")
@click.option("--held", default=0, show_default=True, type=click.IntRange(0, 1000), help="connections that stay open")
def main(target: str, rate: int, seconds: float, held: int) -> None:
    """Flood a server on loopback with connections for a bounded time. Prints how many came about."""
    endpoint = Endpoint.parse(target)
    if not endpoint.address.is_loopback:
        raise click.BadParameter("only addresses of the loopback may be flooded", param_hint="--target")
    click.echo(json.dumps({"connected": knock(Knocks(endpoint, rate, seconds, held))}))


if __name__ == "__main__":
    main()
