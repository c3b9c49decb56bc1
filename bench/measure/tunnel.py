"""What the way through a tunnel costs, and what it does when much goes on or when it breaks.

    relay      one large transfer through forwarder, tunnel and exit, with the guard, beside sslocal and ssserver: of
               small records, and of a signed zone; and without the guard, through sslocal and our exit
    latency    SOA over UDP through the tunnel, beside direct
    parallel   200 transfers of 10,080 records each, SOA checks meanwhile
    dead       an exit is stopped (its kernel still takes connections): the first answer through the next tunnel

The primary sends made-up zones as fast as they are read (`bench.bulk`), so that its own speed is not what is measured.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import uvloop

from bench import bulk, checks
from bench.errors import BenchError
from bench.figures import Figure, Run, compared, middle, take_turns
from bench.peers.shadowsocks import client, rust
from bench.peers.zonegate import Zonegate, exit_role, new_endpoint, new_key, tunnels_role
from bench.processes import children
from gateway.lab.servers.process import ChildError, ChildProcess
from proxy.values import Endpoint

LARGE = 384  # blocks: about 400 MB
SLOWEST = 2.0  # × sslocal: half its throughput
MORE_LATENCY = 1.0  # ms
PARALLEL = 200
STARVED = 50.0  # ms
NOTICED_TCP, NOTICED_UDP = 2.0, 3.0  # seconds
QUERIES = 1000
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Ring:
    """A running forwarder with two tunnels, and what it leads to."""

    entry: Endpoint
    primary: Endpoint
    exits: tuple[int, ...]  # process IDs of their supervisors
    end: tuple[Endpoint, str]  # the first exit, and its key


def measure(run: Run) -> list[Figure]:
    """All of it.

    Raises:
        BenchError: a program is missing or failed, or an answer did not come.
    """
    directory = run.directory / "tunnel"
    with (
        _ring(directory) as ring,
        rust(directory, ring.primary) as theirs,
        client(directory / "client", *ring.end, ring.primary) as mixed,
    ):
        figures = [
            *_relay(run, "with the guard, A records", ("zonegate", ring.entry), theirs),
            *_relay(run, "with the guard, a signed zone", ("zonegate", ring.entry), theirs, signed=True),
            *_relay(run, "without the guard: the exit", ("sslocal and zonegate's exit", mixed), theirs),
            _latency(run, ring),
        ]
        figures += _parallel(run, ring)
    for transport, target in (("tcp", NOTICED_TCP), ("udp", NOTICED_UDP)):
        figures.append(_dead(run, directory / transport, transport, target))
    return figures


def _relay(
    run: Run, what: str, ours: tuple[str, Endpoint], theirs: Endpoint, *, signed: bool = False
) -> Iterator[Figure]:
    name, entry = ours
    size = bulk.size(LARGE, signed=signed) / 1e6
    sides: dict[str, Callable[[], float]] = {
        name: partial(_drain, entry, LARGE, signed=signed),
        "shadowsocks-rust": partial(_drain, theirs, LARGE, signed=signed),
    }
    taken = take_turns(run, sides, lambda seconds: f"{what}: {size / seconds:.0f} MB/s")
    yield compared(
        f"a stream of {size:.0f} MB {what}",
        (name, taken[name]),
        ("shadowsocks-rust", taken["shadowsocks-rust"]),
        "s",
        SLOWEST,
    )


def _drain(entry: Endpoint, blocks: int, *, signed: bool = False) -> float:
    """Seconds that one transfer takes, read as fast as it comes."""
    asked = bulk.query(blocks, bulk.AXFR, 4711, signed=signed)
    left = bulk.size(blocks, signed=signed)
    buffer = bytearray(1 << 20)
    begin = time.monotonic()
    with socket.create_connection(entry.sockaddr, timeout=PATIENCE) as connection:
        connection.sendall(len(asked).to_bytes(2) + asked)
        while left:
            came = connection.recv_into(buffer)
            if not came:
                raise BenchError(f"the transfer ended {left} bytes too early")
            left -= came
    return time.monotonic() - begin


def _latency(run: Run, ring: Ring) -> Figure:
    sides: dict[str, Callable[[], float]] = {
        "zonegate": partial(_round_trip, ring.entry),
        "direct": partial(_round_trip, ring.primary),
    }
    taken = take_turns(run, sides, lambda milliseconds: f"{milliseconds:.2f} ms")
    more = [a - b for a, b in zip(taken["zonegate"], taken["direct"], strict=True)]
    detail = f"{median(taken['zonegate']):.2f} ms against {median(taken['direct']):.2f} ms direct"
    return Figure(
        "SOA over UDP through the tunnel, more than direct (p50)", median(more), "ms", MORE_LATENCY, detail, dict(taken)
    )


def _round_trip(endpoint: Endpoint) -> float:
    """The median of many, in milliseconds."""
    times = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect(endpoint.sockaddr)
        asker.settimeout(PATIENCE)
        for number in range(QUERIES):
            begin = time.monotonic()
            asker.send(bulk.query(0, bulk.SOA, number))
            asker.recv(4096)
            times.append(time.monotonic() - begin)
    return median(times) * 1000


def _parallel(run: Run, ring: Ring) -> Iterator[Figure]:
    turns = [_together(run, ring) for _ in range(run.pairs)]
    for turn in turns:
        run.say(f"{PARALLEL} transfers in {turn[0]:.2f} s, SOA p50 {turn[1]:.1f} ms, p99 {turn[2]:.1f} ms")
    yield middle(
        "SOA over UDP beside 200 parallel transfers (p99)",
        [turn[2] for turn in turns],
        "ms",
        STARVED,
        f"p50 {median(turn[1] for turn in turns):.1f} ms; {checks.RATE} checks a second",
    )
    yield middle("200 parallel transfers of 10,080 records", [turn[0] for turn in turns], "s")


def _together(run: Run, ring: Ring) -> tuple[float, float, float]:
    """Seconds until all transfers are there, and of the SOA checks meanwhile the median and the 99th percentile, in ms.

    Transfers are done again until there are enough checks for such a percentile.
    """
    rounds = 0
    with checks.meanwhile(ring.entry) as end:
        begin = time.monotonic()
        while (seconds := time.monotonic() - begin) < run.seconds:
            uvloop.run(_transfers(ring.entry))
            rounds += 1
        taken = quantiles(end(), n=100, method="inclusive")
    return seconds / rounds, taken[49] * 1000, taken[98] * 1000


async def _transfers(entry: Endpoint) -> None:
    await asyncio.gather(*(_transfer(entry, number) for number in range(PARALLEL)))


async def _transfer(entry: Endpoint, number: int) -> None:
    asked = bulk.query(0, bulk.AXFR, number)
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(*entry.sockaddr)
        writer.write(len(asked).to_bytes(2) + asked)
        await reader.readexactly(bulk.size(0))
        writer.close()


def _dead(run: Run, directory: Path, transport: str, target: float) -> Figure:
    noticed = []
    for turn in range(run.pairs):
        with _ring(directory / str(turn)) as ring:
            for _ in range(20):  # it knows how fast the tunnel is
                _ask(ring.entry, transport)
            stopped = [ring.exits[0], *children(ring.exits[0])]
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            begin = time.monotonic()
            try:
                _ask(ring.entry, transport)
                noticed.append(time.monotonic() - begin)
            finally:
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)
        run.say(f"{transport}: answered through the next tunnel after {noticed[-1]:.2f} s")
    return middle(
        f"a silent exit, until a SOA over {transport.upper()} is answered through the next", noticed, "s", target
    )


def _ask(entry: Endpoint, transport: str) -> None:
    """One SOA query, repeated over UDP as a node would."""
    asked = bulk.query(0, bulk.SOA, int.from_bytes(os.urandom(2)))
    if transport == "tcp":
        with socket.create_connection(entry.sockaddr, timeout=PATIENCE) as connection:
            connection.sendall(len(asked).to_bytes(2) + asked)
            if not connection.recv(4096):
                raise BenchError("the connection was closed without an answer")
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.connect(entry.sockaddr)
        asker.settimeout(1.0)
        for _ in range(10):
            asker.send(asked)
            try:
                asker.recv(4096)
            except TimeoutError:
                continue
            return
    raise BenchError("no answer over UDP within ten seconds")


@contextmanager
def _ring(directory: Path) -> Iterator[Ring]:
    primary, entry, keys = new_endpoint(), new_endpoint(), (new_key(), new_key())
    ends = (new_endpoint(), new_endpoint())
    with ExitStack() as stack:
        try:
            stack.enter_context(
                ChildProcess([sys.executable, "-m", "bench.bulk", str(primary)], directory / "bulk.log", name="bulk")
            )
            exits = [
                stack.enter_context(Zonegate(directory / f"exit{number}", exit_role(end, key, primary)))
                for number, (end, key) in enumerate(zip(ends, keys, strict=True))
            ]
            roles = tunnels_role(entry, list(zip(ends, keys, strict=True)), primary)
            stack.enter_context(Zonegate(directory / "forwarder", roles))
        except ChildError as error:
            raise BenchError(str(error)) from error
        yield Ring(entry, primary, tuple(each.process.pid for each in exits), (ends[0], keys[0]))
