"""A flood from one source against a limit for each client: CPU a dropped packet, and whether others suffer.

dnsdist drops by MaxQPSIPRule, zonegate by a limit with key "client-prefix". First the flood alone, with a limit so low
that next to nothing passes: CPU time divided by the packets that the proxy itself counts as dropped for their rate.
Then the same flood with a higher limit, and beside it a polite client from another address. The polite client has
eight sockets, so that some of its queries wait at the same socket as the flood.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from bench.dnsperf import TIMEOUT, Answers, Load, ask
from bench.errors import BenchError
from bench.figures import Figure, Run, compared, middle, take_turns
from bench.flood import Flood
from bench.measure.loads import lost
from bench.processes import CpuMeter
from bench.stand import Side, stand
from bench.zones import ZONE
from gateway.lab.servers.process import ChildError

CPU_TARGET = 1.00  # × dnsdist
RATE = 350_000  # datagrams a second
LOW_LIMIT = 100  # queries a second of one address
POLITE = 1000  # queries a second
HIGH_LIMIT = 2 * POLITE
POLITE_SOURCE = "127.0.0.2"


@dataclass(frozen=True, slots=True)
class Flooded:
    """One turn of the flood."""

    sent: int
    dropped: int  # by the proxy
    cpu: float  # seconds
    seconds: float

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU a dropped packet."""
        return self.cpu / self.dropped * 1e6

    def __str__(self) -> str:
        rate = self.dropped / self.seconds / 1000
        return (
            f"{rate:.0f} kpps dropped, {self.dropped / self.sent:.1%} of those sent, {self.cpu_us:.2f} µs of CPU each"
        )


def measure(run: Run) -> list[Figure]:
    """All of it.

    Raises:
        BenchError: a program is missing or failed, or nothing was dropped.
    """
    with stand(run, "drop", LOW_LIMIT) as ground:
        sides = ground.proxies
        paced = take_turns(run, _floods(run, sides, RATE), str)
        full = take_turns(run, _floods(run, sides, 0), str)
    with stand(run, "beside", HIGH_LIMIT) as ground:
        load = Load(ground.queries, clients=8, in_flight=500, seconds=run.seconds, rate=POLITE, source=POLITE_SOURCE)
        beside = {name: partial(_beside, run, side, load) for name, side in ground.proxies.items()}
        polite = take_turns(run, beside, _politely)
    return [
        _cost(f"drop: CPU a dropped packet, {RATE // 1000} kpps from one source", paced, CPU_TARGET),
        _cost("drop: the same, as many as the source can send", full),
        lost("drop: lost by a client of 1 kqps beside the flood, zonegate", polite["zonegate"], "its own address", 0),
        lost("drop: the same, dnsdist", polite["dnsdist"], "its own address"),
        *(
            middle(f"drop: dropped at most, {name}", [one.dropped / one.seconds / 1000 for one in turns], "kpps")
            for name, turns in full.items()
        ),
    ]


def _politely(answers: Answers) -> str:
    return f"polite client: {answers.unserved} of {answers.sent} without a good answer {answers.codes}"


def _floods(run: Run, sides: Mapping[str, Side], rate: int) -> dict[str, Callable[[], Flooded]]:
    return {name: partial(_flooded, side, _flood(run, side, rate)) for name, side in sides.items()}


def _flood(run: Run, side: Side, rate: int, longer: float = 0.0) -> Flood:
    return Flood(side.endpoint, f"ns1.{ZONE}", rate, run.seconds + longer)


def _flooded(side: Side, flood: Flood) -> Flooded:
    before = side.dropped()
    meter = CpuMeter(side.pid)
    sent = flood.run()
    cpu = meter.used()
    dropped = side.dropped() - before
    if dropped < sent / 100:
        raise BenchError(f"{sent} packets were sent, only {dropped} dropped: the limit does not work")
    return Flooded(sent, dropped, cpu, flood.seconds)


def _beside(run: Run, side: Side, load: Load) -> Answers:
    before = side.dropped()
    with _flood(run, side, RATE, longer=2 * TIMEOUT).meanwhile(run.directory / "flood.log") as flood:
        try:
            flood.wait(lambda: side.dropped() - before > RATE / 100, what="the flood to have begun")
            answers = ask(load, side.endpoint)
            flood.check()  # it must have lasted as long as the polite client asked
        except ChildError as error:
            raise BenchError(str(error)) from error
    return answers


def _cost(name: str, found: Mapping[str, Sequence[Flooded]], target: float | None = None) -> Figure:
    ours, theirs = ([one.cpu_us for one in found[side]] for side in ("zonegate", "dnsdist"))
    return compared(name, ("zonegate", ours), ("dnsdist", theirs), "µs", target)
