"""Queries over TCP: CPU a query, rate and losses. dnsperf with 8 connections and 100 queries in flight."""

from __future__ import annotations

from bench.dnsperf import Load
from bench.figures import Figure, Run
from bench.measure.loads import cost, lost, rates
from bench.stand import stand

CPU_TARGET = 0.40  # × dnsdist


def measure(run: Run) -> list[Figure]:
    """All of it.

    Raises:
        BenchError: a program is missing or failed.
    """
    with stand(run, "tcp") as ground:
        load = Load(ground.queries, clients=8, in_flight=100, seconds=run.seconds, mode="tcp")
        samples = ground.costed(run, load, ground.all)
    answers = [sample.answers for sample in samples["zonegate"]]
    return [
        cost("TCP: CPU a query", samples, CPU_TARGET),
        lost("TCP: lost", answers, "8 connections, 100 in flight", 0),
        *rates("TCP", samples),
    ]
