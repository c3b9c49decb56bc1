"""Floods of ten times the capacity of the node, and how honest clients fare beside them: zonegate and dnsdist.

The node behind both answers 10,000 queries a second and no more. In a namespace of their own, two honest clients ask at
a steady rate, one over UDP and one over TCP: first alone, which is the quiet time, then while a flood of 100,000
datagrams a second comes by the same cable. An answer with TC sends the honest client to TCP, as it would a resolver.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

from bench.errors import BenchError
from bench.figures import Figure, Run, take_turns
from bench.namespaces import EDGE, FLOOD_SOURCES, WORLD, World, edge_and_world
from bench.node import host
from bench.peers.dnsdist import Dnsdist
from bench.peers.zonegate import Zonegate, new_endpoint
from bench.policies import NODE_CAPACITY, dnsdist_defence, zonegate_defence
from bench.report import amount
from bench.resolver import PATIENCE, Service
from bench.served import await_served
from bench.zones import ZONE
from gateway.lab.servers.ports import free_port
from gateway.lab.servers.process import ChildError, ChildProcess
from gateway.lab.servers.waiting import until
from proxy.values import Endpoint

FLOOD = 10 * NODE_CAPACITY
RATES = {"udp": 500, "tcp": 300}  # of the honest clients
LONGEST = 6.0  # seconds of one attack at least: a detector needs its window
MOST_PAIRS = 2  # turns of each side: an attack takes long
SHARE_TARGET = 1.0  # per cent of the honest queries that may stay without an answer
SLOWER_TARGET = 3.0  # × quiet
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Attack:
    """A flood: what the generator sends, from which sources."""

    kind: str
    name: str
    sources: str

    def argv(self, target: Endpoint, seconds: float) -> list[str]:
        """The command that runs it."""
        return [str(flood_program()), self.kind, str(target), self.name, self.sources, str(FLOOD), f"{seconds:g}"]


ATTACKS: Mapping[str, Attack] = {
    "spoofed sources": Attack("valid", host(1), FLOOD_SOURCES),
    "one source": Attack("valid", host(1), "10.200.0.1/32"),
    "random subdomains": Attack("random", ZONE, "10.130.0.0/22"),
    "malformed": Attack("malformed", host(1), FLOOD_SOURCES),
    "ANY": Attack("any", ZONE, "10.140.7.0/24"),
}


@dataclass(frozen=True, slots=True)
class Turn:
    """How the honest clients fared once, by transport."""

    services: Mapping[str, Service]

    def __str__(self) -> str:
        return ", ".join(
            f"{mode}: {service.share:.2%} answered, p99 {service.p99 * 1000:.1f} ms"
            for mode, service in self.services.items()
        )


def measure(run: Run) -> list[Figure]:
    """All attacks on both.

    Raises:
        BenchError: a program is missing or failed, or there may be no namespaces.
    """
    build_flood_program()
    run = replace(run, pairs=min(run.pairs, MOST_PAIRS))
    with edge_and_world() as world, _sides(run) as sides:
        turns = {
            "quiet": take_turns(run, {n: partial(_served, world, s, run.seconds * 2) for n, s in sides.items()}, str)
        }
        for name, attack in ATTACKS.items():
            run.say(f"{name}: {FLOOD} datagrams a second")
            turns[name] = take_turns(
                run, {side: partial(_attacked, run, world, target, attack) for side, target in sides.items()}, str
            )
    return [
        figure for name in ATTACKS for mode in RATES for figure in _figures(name, mode, turns["quiet"], turns[name])
    ]


def _figures(name: str, mode: str, quiet: dict[str, list[Turn]], turns: dict[str, list[Turn]]) -> Iterator[Figure]:
    def each(worth: Callable[[Service], float]) -> dict[str, tuple[float, ...]]:
        return {side: tuple(worth(turn.services[mode]) for turn in turns[side]) for side in turns}

    calm = {side: median(turn.services[mode].p99 for turn in quiet[side]) for side in turns}
    missing = each(lambda service: 100 * (1 - service.share))
    late = each(lambda service: min(service.p99, PATIENCE))
    slower = {side: tuple(p99 / calm[side] for p99 in late[side]) for side in late}
    label = f"attack, {name}, {mode.upper()}"
    for what, samples, unit, target in (
        ("without an answer", missing, "%", SHARE_TARGET),
        ("p99", slower, "× quiet", SLOWER_TARGET),
    ):
        theirs = f"dnsdist: {amount(median(samples['dnsdist']), unit)}"
        yield Figure(f"{label}: {what}", median(samples["zonegate"]), unit, target, theirs, samples)


@contextmanager
def _sides(run: Run) -> Iterator[dict[str, Endpoint]]:
    directory = run.directory / "attack"
    directory.mkdir()
    node = new_endpoint()
    entry = Endpoint(EDGE, free_port(host=str(EDGE)))
    command = [sys.executable, "-m", "bench.node", str(node), str(NODE_CAPACITY)]
    try:
        with ExitStack() as stack:
            child = stack.enter_context(ChildProcess(command, directory / "node.log", cwd=REPOSITORY, name="node"))
            await_served(child, node, ZONE)
            dnsdist = stack.enter_context(
                Dnsdist(directory / "dnsdist", node, ZONE, listen=EDGE, rules=dnsdist_defence(ZONE))
            )
            zonegate = stack.enter_context(Zonegate(directory / "zonegate", zonegate_defence(entry, node, ZONE)))
            await_served(zonegate.process, entry, ZONE, name=host(0))
            yield {"dnsdist": dnsdist.endpoint, "zonegate": entry}
    except ChildError as error:
        raise BenchError(str(error)) from error


def _served(world: World, target: Endpoint, seconds: float) -> Turn:
    running = {
        mode: subprocess.Popen(
            world.argv([
                sys.executable, "-m", "bench.resolver", str(target), mode, str(rate), f"{seconds:g}", str(WORLD)
            ]),
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
        )
        for mode, rate in RATES.items()
    }  # fmt: skip
    services = {}
    for mode, client in running.items():
        output, _ = client.communicate(timeout=seconds + 30)
        if client.returncode:
            raise BenchError(f"the honest client over {mode} ended with status {client.returncode}")
        services[mode] = Service(**json.loads(output))
    return Turn(services)


def _attacked(run: Run, world: World, target: Endpoint, attack: Attack) -> Turn:
    seconds = max(LONGEST, run.seconds * 2)
    command = world.argv(attack.argv(target, seconds + 2))
    with ChildProcess(command, run.directory / "flood.log", name="flood") as flood:
        turn = _served(world, target, seconds)
        until(lambda: not flood.alive, 10.0, "the end of the flood")
    return turn


def flood_program() -> Path:
    """Where cargo puts the generator."""
    return REPOSITORY / "dataplane/target/release/examples/flood"


def build_flood_program() -> None:
    """Build it, if it is not there yet.

    Raises:
        BenchError: cargo fails.
    """
    command = ["cargo", "build", "--release", "--locked", "--quiet", "-p", "relay", "--example", "flood"]
    done = subprocess.run(
        command, cwd=REPOSITORY / "dataplane", capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise BenchError(f"the generator of floods can't be built:\n{done.stderr[-2000:]}")
