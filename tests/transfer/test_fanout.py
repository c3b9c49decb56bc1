"""The fan-out against scripted nodes: everyone is told, nobody waits for a dead one, and what has ended is said."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping

import dns.rcode
import dns.tsig
import pytest
import pytest_asyncio

from proxy.egress.primary import PrimaryServer
from proxy.egress.route import Route
from proxy.protocol.notify import Notice
from proxy.settings import Backend, EgressSettings, TsigKey, Zone, ZoneNotify
from proxy.transfer.course import GAP
from proxy.transfer.fanout import Fanout
from proxy.values import Network, Secret
from tests.support.peers import auntil
from tests.transfer.scripted_node import Node, notify

SECRET = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0ISEhIQ=="  # noqa: S105 - of a test


def unreachable(name: str) -> tuple[PrimaryServer, Route]:
    raise KeyError(name)


class Stand:
    """A fan-out over nodes, with what it told."""

    def __init__(self, nodes: Mapping[str, Node], *more: Backend, give_up_after: float = 60.0) -> None:
        self.nodes = nodes
        self.events: list[tuple[str, Mapping[str, object]]] = []
        self.ended: list[int] = []
        self.fanout = Fanout(
            emit=lambda name, fields: self.events.append((name, fields)), ended=self.ended.append, reach=unreachable
        )
        anyone = (Network.parse("0.0.0.0/0"),)
        self.settings = EgressSettings(
            tsig_keys=(TsigKey(name="key", secret=Secret(SECRET)),),
            zones=(Zone(name="example.com", notify=ZoneNotify(from_=anyone, give_up_after=give_up_after)),),
            backends=(*(node.settings(name) for name, node in nodes.items()), *more),
        )
        self.fanout.configure(self.settings)

    def notify(self, number: int, serial: int | None, key: str | None = None) -> None:
        for node in self.nodes.values():
            node.next = serial if serial is not None else node.next
        message = notify("example.com", serial)
        if key is not None:
            message.use_tsig(dns.tsig.Key(key, SECRET, "hmac-sha256"))
        notice = Notice(
            zone="example.com.",
            serial=serial,
            client=("203.0.113.5", 53),
            asked=("192.0.2.53", 53),
            transport="udp",
            key=key and f"{key}.",
            message=message.to_wire(),
            at=time.monotonic(),
        )
        self.fanout.take(number, notice)

    def named(self, event: str) -> list[Mapping[str, object]]:
        return [fields for name, fields in self.events if name == event]

    async def until_ended(self, *numbers: int) -> None:
        await auntil(lambda: set(self.ended) >= set(numbers), 20, f"the end of {numbers}, not only {self.ended}")


@pytest_asyncio.fixture
async def nodes() -> AsyncIterator[dict[str, Node]]:
    made = {name: Node() for name in ("a", "b", "c")}
    for node in made.values():
        await node.open()
    yield made
    for node in made.values():
        await node.close()


async def test_every_backend_is_told_and_seen_to_follow(nodes: dict[str, Node]) -> None:
    stand = Stand(nodes)
    stand.notify(1, 2)
    await stand.until_ended(1)
    assert [len(node.notifies) for node in nodes.values()] == [1, 1, 1]
    assert {(fields["backend"], fields["serial"]) for fields in stand.named("node.synced")} == {
        ("a", 2),
        ("b", 2),
        ("c", 2),
    }
    assert [sum(each.lags) for each in stand.fanout.status().backends] == [1, 1, 1]
    assert [each.pending for each in stand.fanout.status().backends] == [0, 0, 0]


async def test_a_dead_backend_holds_up_no_other_and_is_told_again(nodes: dict[str, Node]) -> None:
    stand = Stand(nodes)
    nodes["b"].deaf = 2
    stand.notify(1, 2)
    await auntil(lambda: len(stand.named("node.synced")) == 2, what="the others")
    assert stand.ended == []
    assert nodes["b"].serial == 1
    await stand.until_ended(1)
    assert len(nodes["b"].notifies) == 3
    assert stand.fanout.status().backends[1].retries == 2


async def test_it_is_told_no_more_when_it_is_given_up(nodes: dict[str, Node]) -> None:
    stand = Stand(nodes, give_up_after=0.3)
    nodes["c"].refuses = dns.rcode.REFUSED
    stand.notify(1, 2)
    await stand.until_ended(1)
    refused = stand.named("notify.node-refused")
    assert [(fields["backend"], fields["rcode"]) for fields in refused] == [("c", "REFUSED")]
    assert "allow NOTIFY" in str(refused[0]["remedy"])
    assert [fields["backend"] for fields in stand.named("notify.gave-up")] == ["c"]
    assert stand.fanout.status().backends[2].gave_up == 1


async def test_a_storm_ends_at_the_last_serial_and_is_not_passed_on(nodes: dict[str, Node]) -> None:
    stand = Stand(nodes)
    begun = time.monotonic()
    for number in range(1, 201):
        stand.notify(number, number + 1)
    await stand.until_ended(*range(1, 201))
    took = time.monotonic() - begun
    assert [node.serial for node in nodes.values()] == [201, 201, 201]
    assert sorted(stand.ended) == list(range(1, 201)), "each ends once"
    assert all(len(node.notifies) <= 2 + took / GAP for node in nodes.values())


async def test_a_repetition_begins_nothing(nodes: dict[str, Node]) -> None:
    stand = Stand(nodes)
    nodes["a"].deaf = 1
    for number in (1, 2, 3):
        stand.notify(number, 2)
    await stand.until_ended(1, 2, 3)
    assert [len(node.notifies) for node in nodes.values()] == [2, 1, 1]


async def test_what_all_have_already_is_not_told(nodes: dict[str, Node]) -> None:
    stand = Stand(nodes)
    stand.notify(1, 2)
    await stand.until_ended(1)
    stand.notify(2, 2)
    await stand.until_ended(2)
    assert [len(node.notifies) for node in nodes.values()] == [1, 1, 1]
    assert len(stand.named("node.synced")) == 3


async def test_a_signed_one_goes_as_it_came_and_is_signed_anew_later(nodes: dict[str, Node]) -> None:
    stand = Stand(nodes)
    nodes["a"].deaf = 1
    stand.notify(1, 2, "key")
    await stand.until_ended(1)
    first, second = nodes["a"].notifies
    assert first == nodes["b"].notifies[0]
    assert first[:2] != second[:2]
    key = dns.tsig.Key("key", SECRET, "hmac-sha256")
    assert all(dns.message.from_wire(wire, keyring=key).had_tsig for wire in (first, second))


async def test_without_a_serial_it_is_followed_when_the_serial_moves(nodes: dict[str, Node]) -> None:
    stand = Stand(nodes)
    for node in nodes.values():
        node.next = 7
    stand.notify(1, None)
    await stand.until_ended(1)
    assert {fields["serial"] for fields in stand.named("node.synced")} == {7}


async def test_a_reload_keeps_what_runs_and_ends_what_is_gone(nodes: dict[str, Node]) -> None:
    stand = Stand(nodes)
    nodes["a"].deaf = 100
    stand.notify(1, 2)
    await auntil(lambda: len(stand.named("node.synced")) == 2, what="the others")
    stand.fanout.configure(stand.settings)
    assert stand.ended == []
    stand.fanout.configure(EgressSettings())
    await stand.until_ended(1)
    stand.notify(2, 3)
    assert stand.ended == [1, 2]
    assert stand.fanout.status().unknown == 1


async def test_what_is_stopped_has_not_ended(nodes: dict[str, Node]) -> None:
    stand = Stand(nodes)
    nodes["a"].deaf = 100
    stand.notify(1, 2)
    await auntil(lambda: len(stand.named("node.synced")) == 2, what="the others")
    stand.fanout.stop()
    await auntil(lambda: stand.fanout.status().backends[0].pending == 0, what="the task to end")
    assert stand.ended == []


@pytest.mark.parametrize("udp", ["v2", "spp"])
async def test_a_backend_that_takes_a_header_learns_the_primary(udp: str) -> None:
    seen: list[bytes] = []

    class Proxied(Node):
        def _script(self, data: bytes) -> list[bytes]:
            header = 38 if udp == "spp" else 16 + int.from_bytes(data[14:16])
            seen.append(data[:header])
            answers = super()._script(data[header:])
            return [data[:header] + each for each in answers] if udp == "spp" else answers

    node = Proxied()
    await node.open()
    try:
        settings = node.settings("p")
        header = type(settings.proxy_protocol)(udp=udp)  # type: ignore[arg-type]  # both are words of the setting
        stand = Stand({}, Backend(name="p", address=node.endpoint, proxy_protocol=header))
        node.next = 2
        stand.notify(1, 2)
        await stand.until_ended(1)
        assert node.serial == 2
        assert any(bytes([203, 0, 113, 5]) in each for each in seen)
    finally:
        await node.close()
