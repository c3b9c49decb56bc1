"""A zone of a million records into a fresh secondary: direct, and through forwarder, tunnel and exit.

BIND is the primary. Every turn starts a new secondary and ends when it answers for the last name of the zone, so the
time has its start, the transfer, its reading and indexing, and the switch to serving.
    direct      secondary -> BIND
    zonegate    secondary -> forwarder -> Shadowsocks 2022 -> exit -> BIND; forwarder and exit are two gateways
    for information, by NSD alone: the same through shadowsocks-libev and shadowsocks-rust
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.errors import BenchError
from bench.figures import Figure, Run, compared, middle, take_turns
from bench.peers.shadowsocks import libev, rust
from bench.peers.zonegate import Zonegate, exit_role, forwarder_role, new_endpoint, new_key
from bench.processes import CpuMeter
from bench.served import await_served
from bench.zones import ZONE, large_zone, last_host
from gateway.lab.servers.bind import Bind
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.process import ChildError
from gateway.lab.servers.roles import Primary, Secondary
from gateway.lab.servers.server import NameServer
from proxy.values import Endpoint

TARGET = 1.10  # × direct
SECONDARIES: tuple[type[NameServer], ...] = (Nsd, Bind, Knot)
NEVER = 3600  # seconds between refreshes: each turn has one transfer


@dataclass(frozen=True, slots=True)
class Way:
    """A way to the primary, and the processes that carry it: name -> process ID."""

    entry: Endpoint
    carriers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Transfer:
    """One turn."""

    seconds: float
    cpu: Mapping[str, float]  # of each carrier, in seconds

    def __str__(self) -> str:
        cpu = "".join(f", {name} {seconds:.2f} s of CPU" for name, seconds in self.cpu.items())
        return f"{self.seconds:.2f} s{cpu}"


def measure(run: Run) -> list[Figure]:
    """All of it.

    Raises:
        BenchError: a program is missing or failed, or the zone did not arrive.
    """
    directory = run.directory / "axfr"
    figures: list[Figure] = []
    with _ways(directory) as (ours, peers):
        for software in SECONDARIES:
            ways = {**ours, **peers} if software is Nsd else ours
            turns: dict[str, Callable[[], Transfer]] = {
                f"{name}, {software.software}": partial(_transfer, directory / "node", software, way)
                for name, way in ways.items()
            }
            found = take_turns(run, turns, str)
            figures += _figures(software.software, dict(zip(ways, found.values(), strict=True)))
    return sorted(figures, key=lambda figure: figure.target is None)  # those with a target first


def _figures(software: str, found: Mapping[str, list[Transfer]]) -> Iterator[Figure]:
    seconds = {name: [transfer.seconds for transfer in turns] for name, turns in found.items()}
    for name, taken in seconds.items():
        if name != "direct":
            yield compared(
                f"AXFR of 1,000,004 records to {software} through {name}",
                (name, taken),
                ("direct", seconds["direct"]),
                "s",
                TARGET if name == "zonegate" else None,
            )
    for carrier in found["zonegate"][0].cpu:
        yield middle(f"AXFR to {software}: CPU of the {carrier}", [one.cpu[carrier] for one in found["zonegate"]], "s")


def _transfer(directory: Path, software: type[NameServer], way: Way) -> Transfer:
    shutil.rmtree(directory, ignore_errors=True)  # what the turn before has left
    meters = {name: CpuMeter(pid) for name, pid in way.carriers.items()}
    begin = time.monotonic()
    try:
        with software(Secondary((ZONE,), way.entry, refresh=NEVER), directory) as node:
            await_served(node.process, node.endpoint, ZONE, name=last_host())
            seconds = time.monotonic() - begin
            return Transfer(seconds, {name: meter.used() for name, meter in meters.items()})
    except ChildError as error:
        raise BenchError(str(error)) from error


@contextmanager
def _ways(directory: Path) -> Iterator[tuple[dict[str, Way], dict[str, Way]]]:
    key, entry, far_end = new_key(), new_endpoint(), new_endpoint()
    with ExitStack() as stack:
        try:
            primary = stack.enter_context(Bind(Primary({ZONE: large_zone()}), directory / "primary"))
            await_served(primary.process, primary.endpoint, ZONE, name=last_host())
            target = primary.endpoint
            carriers = {
                "exit": Zonegate(directory / "exit", exit_role(far_end, key, target)),
                "forwarder": Zonegate(directory / "forwarder", forwarder_role(entry, far_end, key, target, ZONE)),
            }
            running = {name: stack.enter_context(carrier).process.pid for name, carrier in carriers.items()}
            peers = {
                "shadowsocks-libev": Way(stack.enter_context(libev(directory, target)), {}),
                "shadowsocks-rust": Way(stack.enter_context(rust(directory, target)), {}),
            }
        except ChildError as error:
            raise BenchError(str(error)) from error
        yield {"direct": Way(target, {}), "zonegate": Way(entry, running)}, peers
