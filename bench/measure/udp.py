"""Queries over UDP: CPU a query, rate, losses, and latency with one query in flight.

dnsperf with 8 clients and 500 queries in flight asks NSD itself, dnsdist in front of it, and zonegate in front of it.
Then it asks zonegate at the rate at which dnsdist was saturated.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from statistics import median

from bench.dnsperf import Load, ask
from bench.figures import Figure, Run, middle, take_turns
from bench.measure.loads import cost, lost, rates
from bench.stand import Stand, stand
from bench.zones import query_file

CPU_TARGET = 0.60  # × dnsdist
EQUAL = 9  # letters of a first label: queries of one length, which leave a batch in one message
KIND = "8 clients, 500 in flight"


def measure(run: Run) -> list[Figure]:
    """All of it.

    Raises:
        BenchError: a program is missing or failed.
    """
    with stand(run, "udp") as ground:
        load = Load(ground.queries, clients=8, in_flight=500, seconds=run.seconds)
        samples = ground.costed(run, load, ground.all)
        equal = replace(load, queries=query_file(run.directory / "equal", length=EQUAL))
        alike = ground.costed(run, equal, ground.proxies)
        rate = median(sample.answers.kqps for sample in samples["dnsdist"]) * 1000
        steady = _at_rate(run, ground, replace(load, rate=rate))
        latency = _latency(run, ground, replace(load, clients=1, in_flight=1, seconds=run.seconds / 3))
    return [
        cost("UDP: CPU a query", samples, CPU_TARGET),
        steady,
        cost("UDP: CPU a query, all names of equal length", alike),
        lost("UDP: lost at full load, zonegate", [sample.answers for sample in samples["zonegate"]], KIND),
        lost("UDP: lost at full load, dnsdist", [sample.answers for sample in samples["dnsdist"]], KIND),
        *rates("UDP", samples),
        *latency,
    ]


def _at_rate(run: Run, ground: Stand, load: Load) -> Figure:
    found = take_turns(
        run,
        {f"zonegate at {load.rate:.0f} a second": partial(ask, load, ground.zonegate.endpoint)},
        lambda answers: f"{answers.unserved} lost",
    )
    answers = [answers for turns in found.values() for answers in turns]
    reached = median(one.kqps for one in answers)
    return lost("UDP: lost at the rate where dnsdist is saturated", answers, f"at {reached:.1f} kqps, {KIND}", 0)


def _latency(run: Run, ground: Stand, load: Load) -> list[Figure]:
    found = take_turns(
        run,
        {name: partial(ask, load, side.endpoint) for name, side in ground.all.items()},
        lambda answers: f"{1e6 * answers.latency:.0f} µs",
    )
    return [
        middle(f"UDP: latency, one query in flight, {name}", [1e6 * answers.latency for answers in turns], "µs")
        for name, turns in found.items()
    ]
