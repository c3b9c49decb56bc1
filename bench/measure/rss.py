"""Memory of the idle gateway: RSS, and PSS, where pages shared between processes count once."""

from __future__ import annotations

from statistics import median

from bench.errors import BenchError
from bench.figures import Figure, Run
from bench.processes import children, memory
from bench.stand import stand

TARGET = 60.0  # MB
MB = 1e6


def measure(run: Run) -> list[Figure]:
    """The largest worker against the target; the others for information.

    Raises:
        BenchError: a program is missing or failed.
    """
    with stand(run, "rss") as ground:
        supervisor = ground.zonegate.pid
        workers = [memory(pid) for pid in children(supervisor)]
        own = memory(supervisor)
        dnsdist = memory(ground.dnsdist.pid)
    if not workers:
        raise BenchError("zonegate has no worker")
    rss = tuple(worker[0] / MB for worker in workers)
    run.say(f"workers: {', '.join(f'{value:.1f} MB' for value in rss)}")
    detail = f"the largest of {len(workers)} workers; PSS {median(worker[1] for worker in workers) / MB:.1f} MB"
    return [
        Figure("memory: RSS of an idle worker", max(rss), "MB", TARGET, detail, {"rss": rss}),
        Figure("memory: RSS of the supervisor", own[0] / MB, "MB", detail=f"PSS {own[1] / MB:.1f} MB"),
        Figure("memory: RSS of dnsdist", dnsdist[0] / MB, "MB", detail=f"PSS {dnsdist[1] / MB:.1f} MB"),
    ]
