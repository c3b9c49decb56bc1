"""The life of a block: ladder, hysteresis, expiry, bounds, exemptions; and the file that it survives a restart in."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane import Blocks
from filters.detectors import Finding
from filters.settings import DynamicBlock
from gateway.blocks.exempt import Exempt, exempt_of
from gateway.blocks.keeper import BlockKeeper
from gateway.blocks.store import NAME, BlockStore
from gateway.blocks.table import BlockTable, rows
from gateway.blocks.values import Block, BlockError, BlockRequest
from gateway.config import load_tree
from gateway.settings import GatewaySettings
from tests.filters.sampling import Query, batch

RULE = DynamicBlock(name="r", what="queries", rate=100, escalate_after=30, duration=60, longest=600)
OURS = Exempt(ours=(ipaddress.ip_network("192.0.2.53/32"),), names=(b"\x03cdn\x07example\x03com\x00",))


class Bench:
    """A table, its clock and what it told."""

    def __init__(self, *rules: DynamicBlock, most: int = 100, exempt: Exempt = OURS) -> None:
        self.now = 1_000_000.0
        self.told: list[tuple[str, Mapping[str, object]]] = []
        self.table = BlockTable(lambda: self.now, lambda name, fields: self.told.append((name, fields)))
        self.table.configure(rules or (RULE,), most, exempt)

    def find(self, subject: str = "198.51.100.0/24", *, over: bool = True, times: float = 2.0) -> None:
        self.table.take([finding(subject, over=over, times=times)])

    def later(self, seconds: float) -> None:
        self.now += seconds

    @property
    def actions(self) -> list[str]:
        return [block.action for block in self.table.list()]

    def events(self) -> list[str]:
        return [name for name, _ in self.told]


def finding(subject: str, *, over: bool = True, times: float = 2.0) -> Finding:
    kind = "prefix" if "/" in subject else "suffix"
    return Finding(
        rule="r",
        kind="prefix" if kind == "prefix" else "suffix",
        subject=subject,
        over=over,
        times=times,
        mix=0.5,
        reason=f"because of {subject}",
    )


def test_a_finding_that_persists_goes_up_the_ladder_and_expires_when_it_is_over() -> None:
    bench = Bench()
    bench.find()
    assert bench.actions == ["warn"]
    assert list(bench.table.in_force()) == []
    for _ in range(30):
        bench.later(1)
        bench.find()
    assert bench.actions == ["truncate"]
    for _ in range(30):
        bench.later(1)
        bench.find()
    assert bench.actions == ["drop"]
    assert bench.table.presumed() == {("r", "198.51.100.0/24"): 0.5}
    bench.later(59)
    bench.table.take([])
    assert bench.actions == ["drop"]
    bench.later(1)
    bench.table.take([])
    assert bench.actions == []
    assert bench.events() == ["block.added", "block.escalated", "block.escalated", "block.expired"]
    assert bench.told[0][1]["reason"] == "because of 198.51.100.0/24"


def test_what_swings_around_the_threshold_neither_flaps_nor_escalates() -> None:
    bench = Bench()
    bench.find()
    for second in range(200):
        bench.later(1)
        bench.find(over=second % 5 == 0)
    assert bench.actions == ["warn"]
    assert bench.events() == ["block.added"]


def test_below_the_threshold_nothing_begins() -> None:
    bench = Bench()
    bench.find(over=False)
    assert bench.actions == []


def test_a_block_is_lifted_after_its_longest_time_to_measure_without_it() -> None:
    bench = Bench(DynamicBlock(name="r", what="queries", rate=1, ladder=("drop",), longest=100))
    for _ in range(102):
        bench.find()
        bench.later(1)
    assert bench.events() == ["block.added", "block.expired", "block.added"]


def test_observe_only_warns() -> None:
    bench = Bench(DynamicBlock(name="r", what="queries", rate=1, ladder=("drop",), observe=True))
    bench.find()
    assert bench.actions == ["warn"]


def test_an_operator_adds_replaces_and_removes_one_at_a_time() -> None:
    bench = Bench()
    first = bench.table.add(BlockRequest(subject="203.0.113.9", seconds=3600, reason="abuse\x1b[31m"))
    assert (first.subject, first.action, first.until, first.who) == (
        "203.0.113.9/32",
        "drop",
        bench.now + 3600,
        "operator",
    )
    again = bench.table.add(BlockRequest(subject="203.0.113.9/32", action="truncate"))
    name = bench.table.add(BlockRequest(subject="Bad.Example.net"))
    assert [(block.subject, block.action) for block in bench.table.list()] == [
        ("bad.example.net.", "drop"),
        ("203.0.113.9/32", "truncate"),
    ]
    assert bench.table.remove(first.id) is None
    assert bench.table.remove(name.id) is name
    bench.later(10**9)
    bench.table.take([])
    assert bench.table.list() == [again], "without a time it stays"


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (BlockRequest(subject="192.0.2.53"), "is exempt"),
        (BlockRequest(subject="img.cdn.example.com"), "is exempt"),
        (BlockRequest(subject="192.0.2.1/24"), "has host bits set"),
        (BlockRequest(subject="no name"), "space"),
        (BlockRequest(subject="fe80::1%eth0"), "names an interface"),
        (BlockRequest(subject="::ffff:192.0.2.1"), "write the IPv4 prefix"),
        (BlockRequest(subject="192.0.2.1", seconds=0), "more than 0"),
        (BlockRequest(subject="192.0.2.1", seconds=float("nan")), "more than 0"),
    ],
)
def test_what_can_not_be_blocked_is_refused_in_words(request_: BlockRequest, complaint: str) -> None:
    bench = Bench()
    with pytest.raises(BlockError, match=complaint):
        bench.table.add(request_)
    assert bench.told == []


def test_what_an_operator_removed_comes_back_only_after_a_while() -> None:
    bench = Bench()
    bench.find()
    assert bench.table.remove(bench.table.list()[0].id) is not None
    bench.later(59)
    bench.find()
    assert bench.actions == []
    bench.later(1)
    bench.find()
    assert bench.actions == ["warn"]


def test_a_full_table_keeps_the_strongest_and_the_operators() -> None:
    bench = Bench(most=3)
    operator = bench.table.add(BlockRequest(subject="203.0.113.9"))
    bench.find("10.0.0.0/24", times=2)
    bench.find("10.0.1.0/24", times=5)
    bench.find("10.0.2.0/24", times=1.5)
    assert bench.table.overflowed == 1
    bench.find("10.0.3.0/24", times=3)
    assert [block.subject for block in bench.table.list()] == [operator.subject, "10.0.1.0/24", "10.0.3.0/24"]
    bench.table.add(BlockRequest(subject="203.0.113.10"))
    bench.table.add(BlockRequest(subject="203.0.113.11"))
    with pytest.raises(BlockError, match=r"raise filters\.blocks\.most"):
        bench.table.add(BlockRequest(subject="203.0.113.12"))


def test_a_flood_of_findings_is_bounded_in_blocks_and_events() -> None:
    bench = Bench(most=100_000)
    bench.table.take([finding(f"10.{n // 256}.{n % 256}.0/24", times=n + 2) for n in range(3000)])
    assert len(bench.table.list()) == 1000
    assert bench.table.list()[0].times == 3001
    assert bench.events().count("block.added") == 50
    assert bench.told[-1] == ("block.more", {"name": "block.added", "number": 950})


def test_a_reload_keeps_blocks_that_still_hold() -> None:
    bench = Bench()
    bench.find("10.0.0.0/24")
    bench.find("10.0.1.0/24")
    operator = bench.table.add(BlockRequest(subject="203.0.113.9"))
    exempt = Exempt(prefixes=(ipaddress.ip_network("10.0.1.0/24"),))
    bench.table.configure((RULE,), 100, exempt)
    assert sorted(block.subject for block in bench.table.list()) == ["10.0.0.0/24", "203.0.113.9/32"]
    bench.table.configure((), 100, exempt)
    assert bench.table.list() == [operator]
    assert [fields["why"] for name, fields in bench.told if name == "block.expired"] == [
        "it is exempt now",
        "its rule is gone",
    ]


@given(st.lists(st.tuples(st.sampled_from(["find", "hold", "none", "remove", "add"]), st.integers(0, 90)), max_size=60))
@settings(deadline=None)  # the CPUs are shared
def test_the_exempt_are_never_blocked_and_the_bounds_hold(steps: list[tuple[str, int]]) -> None:
    bench = Bench(most=3)
    subjects = ["192.0.2.53/32", "10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24", "x.cdn.example.com."]
    for step, number in steps:
        bench.later(number)
        if step in {"find", "hold"}:
            for subject in subjects:
                bench.find(subject, over=step == "find", times=1 + number)
        elif step == "remove":
            bench.table.remove(number)
        elif step == "add":
            bench.table.add(BlockRequest(subject="10.0.4.0/24", seconds=5))
        else:
            bench.table.take([])
        found = bench.table.list()
        assert len(found) <= 3
        assert not {"192.0.2.53/32", "x.cdn.example.com."} & {block.subject for block in found}
        # Expiry is looked for with every second's findings.
        bench.table.take([])
        assert all(block.until is None or block.until > bench.now for block in bench.table.list())


def test_rows_have_the_exempt_as_holes() -> None:
    bench = Bench()
    bench.table.add(BlockRequest(subject="192.0.2.0/24"))
    bench.table.add(BlockRequest(subject="example.com", action="truncate"))
    prefixes, names = rows(bench.table.in_force(), OURS)
    assert prefixes == [("192.0.2.0", 24, "drop", 1), ("192.0.2.53", 32, "pass", 0)]
    assert names == [(b"\x07example\x03com\x00", "truncate", 2), (b"\x03cdn\x07example\x03com\x00", "pass", 0)]


def test_a_clock_that_is_set_back_makes_no_block_of_a_detector_longer() -> None:
    bench = Bench()
    bench.find()
    bench.later(-86_400.0)
    bench.table.take([])
    (kept,) = bench.table.list()
    assert kept.until == bench.now + RULE.duration
    assert kept.since <= bench.now
    bench.later(RULE.duration)
    bench.table.take([])
    assert bench.actions == []
    bench.find()
    bench.table.remove(bench.table.list()[0].id)
    bench.later(-86_400.0)
    bench.table.take([])
    bench.later(RULE.duration)
    bench.find()
    assert bench.actions == [RULE.steps[0]], "nor what an operator removed stay away"


@given(
    st.one_of(
        st.ip_addresses().map(str),
        st.ip_addresses(network="fe80::/10").map(lambda address: f"{address}%eth0"),
        st.ip_addresses(network="::ffff:0:0/96").map(str),
        st.builds("{}/{}".format, st.ip_addresses(), st.integers(-1, 130)),
        st.text(max_size=300),
        st.sampled_from([".", "0.0.0.0/0", "::/0", "xn--a.example", "a" * 63 + "." + "b" * 63, "\\000.example"]),
    )
)
def test_the_data_plane_takes_whatever_an_operator_may_block(subject: str) -> None:
    """It would end every worker, again and again, and over restarts too, if it did not."""
    bench = Bench()
    try:
        bench.table.add(BlockRequest(subject=subject))
    except BlockError:
        return
    prefixes, names = rows(bench.table.in_force(), OURS)
    assert Blocks(prefixes=prefixes, names=names).take_hits() == []


# The file.


def saved(directory: Path, *blocks: Block, number: int = 9) -> BlockStore:
    store = BlockStore(directory, lambda name, fields: None)
    assert store.save(blocks, number)
    return store


def block(number: int, subject: str = "203.0.113.9/32", **more: Any) -> Block:
    fields = {"id": number, "kind": "prefix", "subject": subject, "action": "drop", "reason": "why"}
    return Block(**{**fields, "since": 1.0, "until": None, "who": "operator", **more})


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    kept = [block(3), block(5, "bad.test.", kind="suffix", rule="r", who="detector", until=2e6, hits=7)]
    store = saved(tmp_path, *kept)
    assert store.load() == (kept, 9)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert BlockStore(None, lambda name, fields: None).load() == ([], 1)


GOOD = msgspec.json.encode({"version": 1, "next": 2, "blocks": [msgspec.to_builtins(block(1))]})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        GOOD[:-1],
        GOOD[: len(GOOD) // 2],
        b"\x00" * 4096,
        b"[" * 100_000,
        GOOD.replace(b'"version":1', b'"version":2'),
        GOOD.replace(b"203.0.113.9/32", b"203.0.113.9/33"),
        GOOD.replace(b"203.0.113.9/32", b"example.com."),
        GOOD.replace(b'"drop"', b'"pass"'),
        GOOD.replace(b'"id":1', b'"id":-1'),
        GOOD.replace(b'"next":2', b'"next":99999999999999999999'),
        GOOD.replace(b'"operator"', b'"detector"'),
        GOOD.replace(b'"step":0', b'"step":-1'),
        msgspec.json.encode({"version": 1, "next": 2, "blocks": [msgspec.to_builtins(block(1))] * 2}),
    ],
)
def test_a_file_that_is_torn_or_garbage_is_an_event_and_no_more(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    told: list[str] = []
    store = BlockStore(tmp_path, lambda name, fields: told.append(name))
    assert store.load() == ([], 1)
    assert told == ["blocks.load-failed"]


@given(st.binary(max_size=300))
def test_any_bytes_in_the_file_are_read_without_an_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    directory = tmp_path_factory.mktemp("state")
    (directory / NAME).write_bytes(content)
    assert BlockStore(directory, lambda name, fields: None).load() == ([], 1)


def test_a_disk_that_takes_nothing_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    told: list[str] = []
    store = BlockStore(tmp_path / "file", lambda name, fields: told.append(name))
    assert [store.save([block(1)], 2) for _ in range(3)] == [False] * 3
    assert told == ["blocks.save-failed"]


def test_a_detector_may_find_any_name_and_the_file_keeps_it(tmp_path: Path) -> None:
    bench = Bench(DynamicBlock(name="r", what="random-subdomains", by="suffix", rate=100, ladder=("truncate",)))
    names = ["*.example.com.", "0/25.2.0.192.in-addr.arpa.", "4711.", "a:b.example.", "\\@.example."]
    for name in names:
        found = Finding(rule="r", kind="suffix", subject=name, over=True, times=2.0, mix=0.5, reason="many")
        bench.table.take([found])
    assert len(rows(bench.table.in_force(), OURS)[1]) == len(names) + len(OURS.names)
    store = saved(tmp_path, *bench.table.list())
    assert {block.subject for block in store.load()[0]} == set(names)


# The keeper joins them.


def gateway(**blocks: object) -> GatewaySettings:
    listeners = [{"address": "192.0.2.53:53"}]
    backends = [{"name": "a", "address": "10.0.0.11:53"}]
    rule = {"name": "q", "what": "queries", "rate": 100, "window": 1, "ladder": ["drop"], "duration": 20}
    filters = {"dynamic_blocks": [rule], "blocks": blocks}
    tree: dict[str, object] = {
        "version": 1,
        "ingress": {"workers": 1, "listeners": listeners, "backends": backends},
        "filters": filters,
    }
    return load_tree("test", tree)


class Clock:
    now = 5_000.0

    def __call__(self) -> float:
        return self.now


def keeper(directory: Path | None, clock: Clock, settings: GatewaySettings | None = None) -> BlockKeeper:
    return BlockKeeper(settings or gateway(), directory, lambda name, fields: None, clock=clock)


def test_samples_become_blocks_that_survive_a_restart(tmp_path: Path) -> None:
    from gateway import ipc

    clock = Clock()
    first = keeper(tmp_path, clock)
    flood = batch([Query(client="198.51.100.7")] * 500 + [Query(client="10.0.0.11")] * 500)
    first.samples(ipc.Samples(blocks=0, hits=[], batches=[flood]))
    first.tick()
    (found,) = first.list().blocks
    assert (found.subject, found.action) == ("198.51.100.7/32", "drop")
    assert [row[0] for row in first.message().prefixes] == ["198.51.100.7", "10.0.0.11", "192.0.2.53"]
    first.samples(ipc.Samples(blocks=1, hits=[(found.id, 40), (99, 1)], batches=[]))
    assert (found.hits, first.hits) == (40, {("q", "drop"): 40})
    first.add(BlockRequest(subject="bad.test"))
    first.save()
    second = keeper(tmp_path, clock)
    assert second.list().blocks == first.list().blocks
    assert second.add(BlockRequest(subject="worse.test")).id == 3, "no number is given twice"
    clock.now += 21
    assert [item.subject for item in keeper(tmp_path, clock).list().blocks] == ["bad.test.", "worse.test."]


def test_without_samples_nothing_is_detected() -> None:
    from gateway import ipc

    still = keeper(None, Clock(), gateway(samples=0))
    still.samples(ipc.Samples(blocks=0, hits=[], batches=[batch([Query()] * 500)]))
    still.tick()
    assert still.list().blocks == ()


def test_batches_that_nobody_takes_are_bounded() -> None:
    from gateway import ipc

    clogged = keeper(None, Clock())
    for _ in range(1000):
        clogged.samples(ipc.Samples(blocks=0, hits=[], batches=[b"x", b"y"]))
    assert len(clogged._batches) == 256


def test_our_own_are_exempt() -> None:
    assert [str(prefix) for prefix in exempt_of(gateway()).ours] == ["10.0.0.11/32", "192.0.2.53/32"]


def test_proxies_are_exempt_unless_everyone_may_be_one() -> None:
    proxies = {"accept": "v2", "from": ["198.51.100.0/24", "0.0.0.0/0"]}
    tree = {
        "version": 1,
        "ingress": {
            "listeners": [{"address": "0.0.0.0:53", "proxy_protocol": proxies}],
            "backends": [{"name": "a", "address": "10.0.0.11:53"}],
        },
    }
    assert [str(prefix) for prefix in exempt_of(load_tree("test", tree)).ours] == ["10.0.0.11/32", "198.51.100.0/24"]
