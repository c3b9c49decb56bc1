"""The UDP way in, with scripted backends: what goes through, what is dropped, and that nothing is silent."""

from __future__ import annotations

import asyncio
import math
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise

import dns.message
import dns.rcode
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane import SharedMemory, StreamRelay, UdpRelay
from filters.policy import compile_policy
from filters.settings import FilterSettings
from proxy.ingress.slots import Seat, Slots
from proxy.ingress.sockets import close_all, open_listener_sockets
from proxy.ingress.udp import UdpIngress
from proxy.settings import Backend, IngressSettings, Listener, UdpSettings
from proxy.values import Endpoint
from tests.support.backends import Script, UdpBackend, UdpClient, answer_to
from tests.support.peers import auntil, free_port


class Door:
    """A UDP ingress in this process, with what a test wants to see of it."""

    def __init__(self, settings: IngressSettings, filters: FilterSettings) -> None:
        self.settings = settings
        self.slots = Slots().assign(settings.backends)
        self.memory = SharedMemory.create(1, filters.table_size)
        self.silent: Counter[int] = Counter()
        self.sockets = open_listener_sockets(settings, 1)
        self.ingress = UdpIngress(
            settings=settings,
            slots=self.slots,
            policy=compile_policy(filters),
            seat=Seat(self.memory, 0),
            silent=lambda slot: self.silent.update([slot]),
        )
        self.ingress.start(settings, self.sockets[0])

    @property
    def address(self) -> tuple[str, int]:
        return self.settings.listeners[0].address.sockaddr

    def verdicts(self) -> Counter[tuple[str, str]]:
        """Counts by verdict and reason."""
        return Counter({(verdict, reason): count for _, verdict, reason, count in self.memory.verdicts()})

    def dropped_answers(self) -> Counter[str]:
        return Counter({reason: count for _, reason, count in self.memory.answers_dropped()})

    def outstanding(self) -> list[tuple[int, int]]:
        """Slot and unanswered queries of each backend, as the choice among them sees it."""
        return self.ingress.outstanding

    def balanced(self) -> bool:
        """The accounting identity: received = forwarded + replied + dropped + shed."""
        return self.memory.received()["udp"] == self.verdicts().total()

    def close(self) -> None:
        self.ingress.close()
        close_all(self.sockets)


@asynccontextmanager
async def door(
    *backends: Endpoint,
    listen: str = "127.0.0.1",
    filters: FilterSettings | None = None,
    udp: UdpSettings | None = None,
    patience: float = 60,
) -> AsyncIterator[Door]:
    opened = Door(
        IngressSettings(
            listeners=(Listener(address=Endpoint.parse(f"{listen}:{free_port()}"), transports=("udp",)),),
            backends=tuple(
                Backend(name=f"ns-{number}", address=address, timeout=patience)
                for number, address in enumerate(backends)
            ),
            udp=udp or UdpSettings(),
        ),
        filters or FilterSettings(),
    )
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
async def client() -> AsyncIterator[UdpClient]:
    opened = await UdpClient().open()
    yield opened
    await opened.close()


Starter = Callable[..., Awaitable[UdpBackend]]


@pytest.fixture
async def start() -> AsyncIterator[Starter]:
    """Starts scripted backends, and closes them after the test."""
    started: list[UdpBackend] = []

    async def starter(script: Script | None = None, host: str = "127.0.0.1") -> UdpBackend:
        started.append(await (UdpBackend(script) if script else UdpBackend()).open(host))
        return started[-1]

    yield starter
    for backend in started:
        await backend.close()


async def got(client: UdpClient, count: int) -> None:
    """Wait until the client has that many answers."""
    await auntil(lambda: len(client.received) == count, what=f"{count} answers")


def query(name: str = "www.example.com", kind: str = "A", identity: int = 4711) -> bytes:
    return dns.message.make_query(name, kind, id=identity, use_edns=0).to_wire()


async def test_a_query_reaches_the_backend_and_its_answer_the_client(client: UdpClient, start: Starter) -> None:
    backend = await start()
    async with door(backend.endpoint) as opened:
        client.send(query("wWw.ExAmPlE.cOm"), opened.address)
        await auntil(lambda: client.received)
        answer = dns.message.from_wire(client.received[0][0])
        assert answer.id == 4711
        assert answer.question[0].name.to_text() == "wWw.ExAmPlE.cOm."
        assert client.received[0][1] == opened.address
        assert backend.received[0][0][2:] == query("wWw.ExAmPlE.cOm")[2:], "only the ID is changed"
        assert opened.verdicts() == {("forward", "ok"): 1}
        assert opened.memory.backend(0)["answers"] == 1
        assert opened.ingress.in_flight == 0


async def test_ids_and_ports_towards_the_backend_can_not_be_guessed(client: UdpClient, start: Starter) -> None:
    backend = await start()
    async with door(backend.endpoint) as opened:
        for number in range(200):
            client.send(query(identity=7), opened.address)
            await got(client, number + 1)
        ids = [int.from_bytes(data[:2]) for data, _ in backend.received]
        assert len(set(ids)) > 190
        steps = Counter((b - a) % 65536 for a, b in pairwise(ids))
        assert steps.most_common(1)[0][1] < 5, "no counter"
        assert len({port for _, (_, port) in backend.received}) > 3, "of 8 sockets, drawn anew every 5 ms"
        assert all(data[:2] == (7).to_bytes(2) for data, _ in client.received)


def mangled(change: Callable[[bytearray], bytes | bytearray]) -> Callable[[bytes], list[bytes]]:
    """A script that sends a wrong answer first and the right one then."""
    return lambda asked: [bytes(change(bytearray(answer_to(asked)))), answer_to(asked)]


def with_other_question(answer: bytearray) -> bytearray:
    answer[13] ^= 1
    return answer


WRONG_ANSWERS: dict[str, Callable[[bytearray], bytes | bytearray]] = {
    "answer-short": lambda answer: answer[:11],
    "answer-not-response": lambda answer: answer[:2] + b"\x00" + answer[3:],
    "answer-unknown-id": lambda answer: bytes([answer[0] ^ 0x80]) + answer[1:],
    "answer-wrong-question": with_other_question,
    "answer-question-count": lambda answer: answer[:4] + b"\x00\x02" + answer[6:],
    "answer-question": lambda answer: answer[:12] + b"\xc0\x0c" + answer[14:],
}


@pytest.mark.parametrize("reason", WRONG_ANSWERS)
async def test_a_wrong_answer_is_counted_and_the_right_one_still_comes(
    client: UdpClient, start: Starter, reason: str
) -> None:
    backend = await start(mangled(WRONG_ANSWERS[reason]))
    async with door(backend.endpoint) as opened:
        client.send(query(), opened.address)
        await auntil(lambda: client.received)
        assert opened.dropped_answers() == {reason: 1}
        assert dns.message.from_wire(client.received[0][0]).answer
        assert len(client.received) == 1


async def test_an_answer_from_the_wrong_place_is_counted(client: UdpClient, start: Starter) -> None:
    elsewhere = await UdpClient().open()
    backend = await start(lambda _: [])
    async with door(backend.endpoint) as opened:
        client.send(query(), opened.address)
        await auntil(lambda: backend.received)
        data, source = backend.received[0]
        elsewhere.send(answer_to(data), ("127.0.0.1", source[1]))
        await auntil(lambda: opened.dropped_answers() == {"answer-wrong-source": 1})
        backend.send(answer_to(data), source)
        await auntil(lambda: client.received)
        backend.send(answer_to(data), source)
        await auntil(lambda: opened.dropped_answers()["answer-unknown-id"] == 1, what="the second answer to be counted")
        assert len(client.received) == 1
    await elsewhere.close()


async def test_an_error_without_question_is_passed_on(client: UdpClient, start: Starter) -> None:
    backend = await start(lambda data: [data[:2] + b"\x80\x01" + bytes(8)])
    async with door(backend.endpoint) as opened:
        client.send(query(), opened.address)
        await auntil(lambda: client.received)
        assert dns.message.from_wire(client.received[0][0]).rcode() == dns.rcode.FORMERR


@pytest.mark.parametrize(
    ("listen", "asked"),
    [("0.0.0.0", "127.0.0.2"), ("127.0.0.1", "127.0.0.1"), ("[::]", "::1")],  # noqa: S104 - a wildcard is the case
)
async def test_the_answer_comes_from_the_address_that_was_asked(start: Starter, listen: str, asked: str) -> None:
    backend = await start()
    client = await UdpClient().open(asked)
    async with door(backend.endpoint, listen=listen) as opened:
        target = (asked, opened.address[1])
        client.send(query(), target)
        client.send(b"\0" * 12, target)
        await auntil(lambda: len(client.received) == 2)
        assert {source[:2] for _, source in client.received} == {target}
    await client.close()


async def test_backends_of_both_families_share_the_queries(client: UdpClient, start: Starter) -> None:
    backends = [await start(), await start(host="::1")]
    async with door(*(backend.endpoint for backend in backends)) as opened:
        for number in range(10):
            client.send(query(), opened.address)
            await got(client, number + 1)
        assert [len(backend.received) for backend in backends] == [5, 5]


async def test_a_datagram_that_was_cut_is_dropped(client: UdpClient, start: Starter) -> None:
    backend = await start()
    async with door(backend.endpoint) as opened:
        client.send(query() + bytes(3000), opened.address)
        await auntil(lambda: opened.verdicts() == {("drop", "too-large"): 1})
        assert opened.balanced()


async def test_without_a_healthy_backend_the_client_gets_servfail(client: UdpClient, start: Starter) -> None:
    backend = await start()
    async with door(backend.endpoint) as opened:
        opened.ingress.set_health(0, False)
        client.send(query(), opened.address)
        await auntil(lambda: client.received)
        answer = dns.message.from_wire(client.received[0][0])
        assert (answer.id, answer.rcode()) == (4711, dns.rcode.SERVFAIL)
        assert answer.edns == 0
        assert opened.verdicts() == {("reply", "backends-down"): 1}
        opened.ingress.set_health(0, True)
        client.send(query(), opened.address)
        await auntil(lambda: len(client.received) == 2)
        assert dns.message.from_wire(client.received[1][0]).rcode() == dns.rcode.NOERROR


async def test_a_query_without_answer_is_given_up_counted_and_reported(client: UdpClient, start: Starter) -> None:
    backend = await start(lambda _: [])
    async with door(backend.endpoint, patience=0.05) as opened:
        client.send(query(), opened.address)
        await auntil(lambda: opened.silent[0], what="the passive mark")
        assert opened.memory.io()["expired"] == 1
        assert opened.memory.backend(0)["timeouts"] == 1
        assert opened.ingress.in_flight == 0


async def test_a_full_flow_table_sheds_and_counts(client: UdpClient, start: Starter) -> None:
    backend = await start(lambda _: [])
    async with door(backend.endpoint, udp=UdpSettings(flows=64)) as opened:
        for _ in range(80):
            client.send(query(), opened.address)
        await auntil(lambda: opened.memory.received()["udp"] == 80)
        assert opened.verdicts() == {("forward", "ok"): 64, ("shed", "flow-table-full"): 16}
        assert opened.balanced()


async def test_a_closed_port_at_the_backend_is_counted(client: UdpClient) -> None:
    closed = Endpoint.parse(f"127.0.0.1:{free_port()}")
    async with door(closed, patience=0.05) as opened:
        client.send(query(), opened.address)
        await auntil(lambda: opened.memory.io()["icmp-errors"] == 1)
        assert opened.memory.backend(0)["errors"] == 1
        await auntil(lambda: opened.silent[0])


async def test_a_backend_that_was_down_is_heard_again(client: UdpClient) -> None:
    """libuv gives up a socket that has an error to report; the answers after it must still come."""
    closed = Endpoint.parse(f"127.0.0.1:{free_port()}")
    async with door(closed, udp=UdpSettings(backend_sockets=1)) as opened:
        for errors in (1, 2):
            client.send(query(), opened.address)
            await auntil(partial(lambda count: opened.memory.io()["icmp-errors"] == count, errors))
        backend = await UdpBackend().open(closed.address.compressed, closed.port)
        client.send(query(), opened.address)
        await got(client, 1)
        await backend.close()


async def test_an_error_that_a_send_met_first_is_still_counted(client: UdpClient, start: Starter) -> None:
    """The query after an error takes its sign from the socket; what stands in the error queue may not stay there."""
    closed = Endpoint.parse(f"127.0.0.1:{free_port()}")
    backend = await start(host="127.0.0.2")
    async with door(closed, backend.endpoint, udp=UdpSettings(backend_sockets=1)) as opened:
        # One batch, sorted by address: the query to the closed port leaves first.
        for _ in range(2):
            client.send(query(), opened.address)
        await auntil(lambda: opened.memory.io()["icmp-errors"] == 1)
        await got(client, 1)
        client.send(query(), opened.address)
        client.send(query(), opened.address)
        await got(client, 2)
        assert opened.balanced()


async def test_a_reload_may_bring_backends_of_another_family(client: UdpClient, start: Starter) -> None:
    first, second = await start(), await start(host="::1")
    async with door(first.endpoint) as opened:
        backends = (*opened.settings.backends, Backend(name="ns-new", address=second.endpoint))
        changed = IngressSettings(listeners=opened.settings.listeners, backends=backends)
        opened.ingress.reload(changed, {"ns-0": 0, "ns-new": 1}, compile_policy(FilterSettings()))
        for number in range(10):
            client.send(query(), opened.address)
            await got(client, number + 1)
        assert [len(first.received), len(second.received)] == [5, 5]
        assert opened.verdicts() == {("forward", "ok"): 10}


async def test_a_shorter_time_out_holds_for_what_waits_and_for_what_comes(client: UdpClient, start: Starter) -> None:
    backend = await start(lambda _: [])
    async with door(backend.endpoint, patience=86400) as opened:
        client.send(query(), opened.address)
        await auntil(lambda: backend.received)
        hasty = Backend(name="ns-0", address=backend.endpoint, timeout=0.05)
        changed = IngressSettings(listeners=opened.settings.listeners, backends=(hasty,))
        opened.ingress.reload(changed, opened.slots, compile_policy(FilterSettings()))
        client.send(query(), opened.address)
        await auntil(lambda: opened.memory.io()["expired"] == 2)


async def test_the_end_of_an_old_backends_query_is_not_put_on_the_new_one_in_its_slot(
    client: UdpClient, start: Starter
) -> None:
    old, new = await start(lambda _: []), await start(lambda _: [])
    async with door(old.endpoint) as opened:
        client.send(query(), opened.address)
        await auntil(lambda: old.received)
        moved = Backend(name="ns-0", address=new.endpoint, timeout=60)
        changed = IngressSettings(listeners=opened.settings.listeners, backends=(moved,))
        opened.ingress.reload(changed, opened.slots, compile_policy(FilterSettings()))
        client.send(query(), opened.address)
        await auntil(lambda: new.received)
        old.send(answer_to(old.received[0][0]), old.received[0][1])
        await got(client, 1)
        assert opened.outstanding() == [(0, 1)]


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, -1.0, 1e300])
def test_a_time_out_that_is_none_is_an_error(seconds: float) -> None:
    memory, policy = SharedMemory.create(1, 1024), compile_policy(FilterSettings())
    relay = UdpRelay(memory=memory, worker=0, policy=policy, sockets=[], flows=64, segmentation=True)
    with pytest.raises(ValueError, match="time-out"):
        relay.set_backends([(0, "127.0.0.1", 53, 1, 1, seconds, "off", False)])
    for place in range(3):
        times = [1.0, 1.0, 1.0]
        times[place] = seconds
        with pytest.raises(ValueError, match="time-out"):
            StreamRelay(memory=memory, worker=0, policy=policy, bounds=(times[0], times[1], times[2], 1, 1, 1, 1, 1))


def test_numbers_and_slots_that_there_are_not_are_errors() -> None:
    memory, policy = SharedMemory.create(1, 1024), compile_policy(FilterSettings())
    relay = UdpRelay(memory=memory, worker=0, policy=policy, sockets=[], flows=64, segmentation=True)
    with pytest.raises(IndexError, match="no listener 0"):
        relay.listener_ready(0)
    with pytest.raises(IndexError, match="no backend socket 7"):
        relay.backend_ready(7)
    with pytest.raises(ValueError, match="slot 64"):
        relay.set_backends([(64, "127.0.0.1", 53, 1, 1, 1.0, "off", False)])
    relay.set_health(1000, False)
    assert relay.outstanding() == []


@pytest.mark.parametrize("segmentation", [True, False])
async def test_a_burst_of_all_lengths_arrives_whole(client: UdpClient, start: Starter, segmentation: bool) -> None:
    backend = await start()
    async with door(backend.endpoint, udp=UdpSettings(segmentation=segmentation)) as opened:
        names = ["a" * length + ".example.com" for length in range(1, 40) for _ in range(5)]
        for number, name in enumerate(names):
            client.send(query(name, identity=number), opened.address)
        await auntil(lambda: len(client.received) == len(names))
        answers = [dns.message.from_wire(data) for data, _ in client.received]
        assert {answer.id: answer.question[0].name.to_text() for answer in answers} == {
            number: name + "." for number, name in enumerate(names)
        }
        assert (opened.memory.io()["segmented-sends"] > 0) == segmentation


async def test_a_reload_swaps_policy_and_backends_and_keeps_what_is_pending(client: UdpClient, start: Starter) -> None:
    old = await start(lambda _: [])
    new = await start()
    async with door(old.endpoint) as opened:
        client.send(query(), opened.address)
        await auntil(lambda: old.received)
        changed = IngressSettings(
            listeners=opened.settings.listeners, backends=(Backend(name="ns-new", address=new.endpoint),)
        )
        slots = {"ns-new": 1}
        opened.ingress.reload(changed, slots, compile_policy(FilterSettings(zones=("example.com",))))
        client.send(query("www.example.org"), opened.address)
        client.send(query(), opened.address)
        await auntil(lambda: len(client.received) == 2)
        codes = sorted(dns.message.from_wire(data).rcode() for data, _ in client.received)
        assert codes == [dns.rcode.NOERROR, dns.rcode.REFUSED]
        old.send(answer_to(old.received[0][0]), old.received[0][1])
        await auntil(lambda: len(client.received) == 3)
        assert opened.balanced()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=80) | st.binary(max_size=40).map(lambda tail: query() + tail), max_size=50))
def test_any_bytes_are_counted_once(packets: list[bytes]) -> None:
    """Hostile queries, and a backend that answers each with hostile bytes."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(check_all_are_counted(packets))


async def check_all_are_counted(packets: list[bytes]) -> None:
    backend = await UdpBackend(lambda data: [data[::-1], data, data[:7]]).open()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        async with door(backend.endpoint) as opened:
            for packet in packets:
                sender.sendto(packet, opened.address)
            await auntil(lambda: opened.memory.received()["udp"] == len(packets))
            assert opened.balanced()
    await backend.close()
