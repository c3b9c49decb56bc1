"""/metrics: read when it is asked for, from the shared memory and from what each process last said of itself.

Names are `zonegate_<room>_…` with the room one of ingress, backend, policy, tunnel, transfer, exit, worker and event.
Label values come from the program or the configuration, never from the network, so their number is bounded. A cell of
the shared memory that was never counted is left out.

The identity of the way in, for each transport:
    zonegate_ingress_received_total = sum of zonegate_ingress_verdicts_total over verdict and reason
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from gateway.lists.values import ListState
from gateway.metrics.egress import exchanges, exit_metrics, pools, primary_tls, transfer, tunnels
from gateway.metrics.families import Row, counter, gauge
from gateway.metrics.notify import notify_accepted, notify_fanout
from gateway.procfs import usage
from gateway.state import ProcessState

if TYPE_CHECKING:
    from dataplane import SharedMemory


class BlockFigures(Protocol):
    """What is counted of dynamic blocks."""

    @property
    def detector_seconds(self) -> float: ...

    @property
    def overflowed(self) -> int: ...

    @property
    def samples_kept(self) -> int: ...

    @property
    def hits(self) -> Mapping[tuple[str, str], int]: ...

    def counts(self) -> Sequence[tuple[str, int]]: ...


class Source(Protocol):
    """What the metrics are made from."""

    memory: SharedMemory | None

    @property
    def slots(self) -> Mapping[str, int]: ...

    @property
    def limits(self) -> Mapping[str, int]: ...

    @property
    def rules(self) -> Mapping[str, int]: ...

    @property
    def block_figures(self) -> BlockFigures | None: ...

    @property
    def list_cells(self) -> Mapping[str, int]: ...

    @property
    def serial(self) -> int: ...

    @property
    def last_reload_ok(self) -> bool: ...

    @property
    def event_counts(self) -> Mapping[str, int]: ...

    def processes(self) -> Sequence[ProcessState]: ...

    def lists(self) -> Sequence[ListState]: ...


def create_registry(source: Source) -> CollectorRegistry:
    """A registry with nothing but our own metrics."""
    registry = CollectorRegistry()
    registry.register(GatewayCollector(source))
    return registry


class GatewayCollector(Collector):
    """Makes all metrics anew at each scrape."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are known at a scrape, and no two collectors share the registry."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All metrics of now."""
        processes = self._source.processes()
        if self._source.memory is not None:
            yield from _memory(self._source.memory, self._source.slots, self._source.limits)
            yield from _rules(self._source.memory, self._source.rules)
            yield from _lists(self._source.memory, self._source.list_cells, self._source.lists())
        yield from _policy(self._source)
        if self._source.block_figures is not None:
            yield from _blocks(self._source.block_figures)
        yield from _workers(processes)
        yield from _ingress([process for process in processes if process.role == "ingress"])
        for process in processes:
            if process.role == "transfer" and process.body:
                yield from tunnels(process.body.get("tunnels", ()))
                yield from pools(process.body.get("routes", ()), process.body.get("exit_addresses", ()))
                forwarders = process.body.get("forwarders", ())
                yield from transfer(forwarders)
                yield from exchanges(forwarders, process.body.get("primaries", ()))
                yield from primary_tls(process.body.get("tls", ()))
                yield from exit_metrics(process.body.get("exit"))
                if process.body.get("notify") is not None:
                    yield from notify_fanout(process.body["notify"])
        yield counter("event", "Events by name.", ["event"], (([n], c) for n, c in self._source.event_counts.items()))


def _memory(memory: SharedMemory, slots: Mapping[str, int], limits: Mapping[str, int]) -> Iterator[Metric]:
    yield counter(
        "ingress_received",
        "Messages from clients.",
        ["transport"],
        (([transport], count) for transport, count in memory.received().items()),
    )
    yield counter(
        "ingress_verdicts",
        "What became of the messages from clients, and why.",
        ["transport", "verdict", "reason"],
        ((row[:3], row[3]) for row in memory.verdicts()),
    )
    yield counter(
        "policy_observed",
        "Messages that break a row of the wire check which only observes; they passed it.",
        ["transport", "reason"],
        ((row[:2], row[2]) for row in memory.observed()),
    )
    yield counter(
        "ingress_answers_dropped",
        "Answers of backends that were not passed on, and why.",
        ["transport", "reason"],
        ((row[:2], row[2]) for row in memory.answers_dropped()),
    )
    yield counter(
        "ingress_cookies",
        "What messages from clients showed of a DNS cookie, while cookies are on.",
        ["transport", "state"],
        ((row[:2], row[2]) for row in memory.cookies()),
    )
    yield counter(
        "ingress_io",
        "What happened on the sockets besides verdicts.",
        ["kind"],
        (([kind], count) for kind, count in memory.io().items() if count),
    )
    backends = {name: memory.backend(slot) for name, slot in slots.items()}
    texts = {
        "queries": "Queries sent to the backend.",
        "answers": "Answers of the backend.",
        "timeouts": "Queries that the backend did not answer in time.",
        "errors": "Queries that could not be sent to the backend, and connections that it broke.",
    }
    for what, text in texts.items():
        yield counter(f"backend_{what}", text, ["backend"], (([name], row[what]) for name, row in backends.items()))
    yield counter(
        "policy_over_limit",
        "Queries over a rate limit, whatever its action; those that it only observes as well.",
        ["limit"],
        (([name], memory.over_limit(slot)) for name, slot in limits.items()),
    )
    yield counter(
        "policy_limited_answers",
        "Answers over a response limit, by class, and what became of them.",
        ["class", "outcome"],
        ((row[:2], row[2]) for row in memory.limited_answers()),
    )
    yield counter(
        "policy_limit_evictions",
        "Buckets that made room before they were full again: filters.table_size is too small.",
        [],
        [((), memory.limit_evictions)],
    )


def _rules(memory: SharedMemory, rules: Mapping[str, int]) -> Iterator[Metric]:
    hits = {slot: counts for slot, *counts in memory.rule_hits()}
    texts = {"hits": "Messages that a rule matched.", "over_limit": "Messages over the limit of a rule with one."}
    for place, (what, text) in enumerate(texts.items()):
        rows = (([name], hits.get(slot, (0, 0))[place]) for name, slot in rules.items())
        yield counter(f"policy_rule_{what}", text, ["rule"], rows)


def _lists(memory: SharedMemory, cells: Mapping[str, int], states: Sequence[ListState]) -> Iterator[Metric]:
    label, now = ["list"], time.time()
    hits = (([name], memory.listed(cell)) for name, cell in cells.items())
    yield counter("policy_list_hits", "Messages that the list decided about.", label, hits)
    yield counter(
        "policy_list_failures", "New versions that could not be used.", label, (([s.name], s.failures) for s in states)
    )
    yield gauge(
        "policy_list_age_seconds",
        "Since the version in use was built; absent without one.",
        label,
        (([s.name], max(now - s.loaded, 0.0)) for s in states if s.loaded is not None),
    )
    yield gauge(
        "policy_list_entries",
        "Entries of the version in use.",
        [*label, "kind"],
        (row for s in states for row in (([s.name, "names"], s.names), ([s.name, "prefixes"], s.prefixes))),
    )
    yield gauge(
        "policy_list_unused",
        "Lines of the version in use that are no entries (skipped), and RPZ records without effect (not-applicable).",
        [*label, "kind"],
        (
            row
            for s in states
            for row in (([s.name, "skipped"], s.skipped), ([s.name, "not-applicable"], s.not_applicable))
        ),
    )


def _policy(source: Source) -> Iterator[Metric]:
    yield gauge("policy_serial", "Configurations taken into use since the start.", [], [((), source.serial)])
    yield gauge(
        "policy_last_reload_ok", "Whether the last reload was taken into use.", [], [((), source.last_reload_ok)]
    )


def _blocks(figures: BlockFigures) -> Iterator[Metric]:
    yield gauge("policy_blocks", "Dynamic blocks, by action.", ["action"], (([a], n) for a, n in figures.counts()))
    yield counter(
        "policy_blocked",
        "Messages that dynamic blocks stopped, by the rule that set the block (or `operator`).",
        ["rule", "action"],
        (([rule, action], count) for (rule, action), count in figures.hits.items()),
    )
    yield counter(
        "policy_blocks_overflowed",
        "Findings that had no place among the blocks: filters.blocks.most is too small.",
        [],
        [((), figures.overflowed)],
    )
    yield counter(
        "policy_samples", "Samples that the detectors looked at, of all workers.", [], [((), figures.samples_kept)]
    )
    yield counter("policy_detector_seconds", "Time that the detectors took.", [], [((), figures.detector_seconds)])


def _workers(processes: Sequence[ProcessState]) -> Iterator[Metric]:
    label = ["process"]
    yield gauge(
        "worker_up", "Whether the process serves.", label, (([p.name], p.phase == "serving") for p in processes)
    )
    yield counter("worker_restarts", "Starts after a crash.", label, (([p.name], p.restarts) for p in processes))
    used = {p.name: usage(p.pid) for p in processes if p.pid is not None}
    used["supervisor"] = usage(os.getpid())
    known = {name: value for name, value in used.items() if value is not None}
    yield counter("worker_cpu_seconds", "CPU time used.", label, (([name], value[0]) for name, value in known.items()))
    yield gauge(
        "worker_resident_memory_bytes", "Resident memory.", label, (([name], value[1]) for name, value in known.items())
    )


def _ingress(processes: Sequence[ProcessState]) -> Iterator[Metric]:
    told = [process for process in processes if process.body]
    yield gauge(
        "backend_healthy",
        "Whether a worker finds the backend healthy.",
        ["backend", "process"],
        (
            ([backend["name"], process.name], backend["state"] == "healthy")
            for process in told
            for backend in process.body["backends"]
        ),
    )
    gauges = {
        "udp_in_flight": "UDP queries that wait for an answer.",
        "tcp_in_flight": "TCP queries that wait for an answer.",
        "tcp_connections": "Open TCP connections of clients.",
    }
    for name, text in gauges.items():
        yield gauge(f"ingress_{name}", text, ["process"], (([p.name], p.body[name]) for p in told))
    yield gauge(
        "ingress_tcp_overloaded",
        "Whether the TCP door is in overload mode.",
        ["process"],
        (([p.name], p.body["tcp_overloaded"]) for p in told),
    )
    yield counter(
        "ingress_tcp_over_time",
        "Reads after which a client prefix was over ingress.tcp.time_limit, whatever the action.",
        ["process"],
        (([p.name], p.body["tcp_over_time"]) for p in told),
    )
    yield from _windows(told)
    yield from notify_accepted(told)
    yield counter(
        "ingress_udp_receive_drops",
        "Datagrams that the kernel dropped because a receive buffer was full.",
        ["process"],
        (([p.name], p.body["udp_receive_drops"]) for p in told),
    )
    yield counter(
        "ingress_tcp_closes",
        "Closed TCP connections of clients, and why.",
        ["process", "reason"],
        (([p.name, reason], count) for p in told for reason, count in p.body["tcp_closes"].items() if count),
    )


def _windows(told: Sequence[ProcessState]) -> Iterator[Metric]:
    def rows(field: str) -> Iterator[Row]:
        for process in told:
            names = {backend["slot"]: backend["name"] for backend in process.body["backends"]}
            for window in process.body["windows"]:
                if window["slot"] in names:
                    yield [names[window["slot"]], window["transport"], process.name], window[field]

    label = ["backend", "transport", "process"]
    yield gauge("backend_window", "Unanswered queries that the backend may have.", label, rows("size"))
    yield gauge("backend_window_used", "Those that it has, without those taken for lost.", label, rows("used"))
    yield gauge("backend_delay_seconds", "The fastest answer lately.", label, rows("delay"))
    yield counter(
        "ingress_admitted_under_pressure",
        "UDP queries let in while half of a window or more was in use, by class of the client.",
        ["process", "class"],
        (([p.name, name], count) for p in told for name, count in p.body["admitted"].items()),
    )
