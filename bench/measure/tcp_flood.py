"""A flood of connections that are refused: CPU for each, and whether honest clients over TCP and UDP suffer.

One source holds as many connections as it may have and opens others, which it resets at once. dnsdist refuses them by
setMaxTCPConnectionsPerClient, zonegate by `connections_per_client`; and by `connection_rate`, which dnsdist 1.7 lacks.
Then the same flood, and beside it a client from another address, over UDP and over TCP.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.dnsperf import TIMEOUT, Answers, Load, ask
from bench.errors import BenchError
from bench.figures import Figure, Run, compared, middle, take_turns
from bench.knocks import Knocks, is_refused
from bench.measure.loads import lost
from bench.peers.dnsdist import Dnsdist
from bench.peers.zonegate import Zonegate, door, new_endpoint
from bench.processes import CpuMeter
from bench.served import await_served
from bench.stand import Side
from bench.zones import ZONE, query_file, small_zone
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.process import ChildError
from gateway.lab.servers.roles import Primary
from gateway.lab.servers.waiting import WaitError, until
from proxy.values import Endpoint

RATE = 10_000  # connections a second
HELD = 10  # connections of one client: all that it may have
CONNECTION_RATE = 10  # of one client a second
POLITE = {"udp": 1000, "tcp": 500}  # queries a second
POLITE_SOURCE = "127.0.0.2"
WARM = 10.0  # seconds at most of the flood before it counts
PATIENT = 300  # seconds that a held connection may be idle


@dataclass(frozen=True, slots=True)
class Refused:
    """One turn of the flood."""

    connected: int
    cpu: float  # seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU a refused connection."""
        return self.cpu / self.connected * 1e6

    def __str__(self) -> str:
        return f"{self.connected} connections refused, {self.cpu_us:.1f} µs of CPU each"


def measure(run: Run) -> list[Figure]:
    """All of it.

    Raises:
        BenchError: a program is missing or failed, or a connection was not refused.
    """
    directory = run.directory / "tcp-flood"
    directory.mkdir()
    queries = query_file(directory / "queries")
    with _sides(directory) as sides:
        bounded = {name: side for name, side in sides.items() if name != "by rate"}
        costs = take_turns(run, {name: partial(_refused, run, side) for name, side in sides.items()}, str)
        polite = {
            mode: take_turns(
                run,
                {
                    name: partial(_beside, run, side, _load(queries, run, mode), directory)
                    for name, side in bounded.items()
                },
                _politely,
            )
            for mode in POLITE
        }
    return [
        _cost(f"TCP flood: CPU a refused connection, {RATE:,} a second from one source", costs),
        middle("TCP flood: the same by connection_rate, zonegate", [one.cpu_us for one in costs["by rate"]], "µs"),
        *(
            lost(
                f"TCP flood: lost by a client over {mode.upper()} beside it, {name}",
                polite[mode][name],
                f"{POLITE[mode]:,} queries a second from its own address",
                0 if name == "zonegate" else None,
            )
            for mode in POLITE
            for name in bounded
        ),
    ]


@contextmanager
def _sides(directory: Path) -> Iterator[Mapping[str, Side]]:
    """dnsdist, zonegate with a bound for each client, and zonegate with a rate for each."""
    entries = new_endpoint(), new_endpoint()
    rules = f"setMaxTCPConnectionsPerClient({HELD})\nsetTCPRecvTimeout({PATIENT})"
    bound = f"connections_per_client = {HELD}"
    rate = f"connection_rate = {CONNECTION_RATE}\nconnection_burst = {CONNECTION_RATE}"
    try:
        with (
            Nsd(Primary({ZONE: small_zone()}), directory / "nsd") as nsd,
            Dnsdist(directory / "dnsdist", nsd.endpoint, ZONE, rules=rules) as dnsdist,
            Zonegate(directory / "bound", _with_tcp(entries[0], nsd.endpoint, bound)) as bounded,
            Zonegate(directory / "rate", _with_tcp(entries[1], nsd.endpoint, rate)) as rated,
        ):
            for child, entry in zip((bounded, rated), entries, strict=True):
                await_served(child.process, entry, ZONE)
            yield {
                "dnsdist": Side(dnsdist.endpoint, dnsdist.process.pid),
                "zonegate": Side(entries[0], bounded.process.pid),
                "by rate": Side(entries[1], rated.process.pid),
            }
    except ChildError as error:
        raise BenchError(str(error)) from error


def _with_tcp(entry: Endpoint, node: Endpoint, setting: str) -> str:
    return f"{door(entry, node, ZONE)}\n[ingress.tcp]\nidle_timeout = {PATIENT}\nread_timeout = {PATIENT}\n{setting}\n"


def _load(queries: Path, run: Run, mode: str) -> Load:
    tcp = mode == "tcp"
    common = partial(Load, queries, seconds=run.seconds, rate=POLITE[mode], source=POLITE_SOURCE)
    return common(clients=4, in_flight=50, mode="tcp") if tcp else common(clients=8, in_flight=200, mode="udp")


def _refused(run: Run, side: Side) -> Refused:
    with Knocks(side.endpoint, RATE, WARM, HELD).meanwhile(run.directory / "knocks.log"):
        _await_refusal(side)  # it makes everything warm, and shows that the bound holds
    flood = Knocks(side.endpoint, RATE, 2 * run.seconds, HELD)  # a tick of CPU time is 10 ms
    meter = CpuMeter(side.pid)
    connected = flood.run()
    cpu = meter.used()
    if connected < RATE * flood.seconds / 2:
        raise BenchError(f"only {connected} of {RATE * flood.seconds:.0f} connections came about")
    return Refused(connected, cpu)


def _beside(run: Run, side: Side, load: Load, directory: Path) -> Answers:
    flood = Knocks(side.endpoint, RATE, run.seconds + 2 * TIMEOUT, HELD)
    with flood.meanwhile(directory / "knocks.log") as child:
        try:
            _await_refusal(side)
            answers = ask(load, side.endpoint)
            child.check()  # it must have lasted as long as the polite client asked
        except ChildError as error:
            raise BenchError(str(error)) from error
    return answers


def _await_refusal(side: Side) -> None:
    try:
        until(lambda: is_refused(side.endpoint), 10.0, "a connection to be refused")
    except WaitError as error:
        raise BenchError(f"the bound on connections does not hold: {error}") from error


def _politely(answers: Answers) -> str:
    return f"polite client: {answers.unserved} of {answers.sent} without a good answer {answers.codes}"


def _cost(name: str, found: Mapping[str, Sequence[Refused]]) -> Figure:
    ours, theirs = ([one.cpu_us for one in found[side]] for side in ("zonegate", "dnsdist"))
    return compared(name, ("zonegate", ours), ("dnsdist", theirs), "µs", None)
