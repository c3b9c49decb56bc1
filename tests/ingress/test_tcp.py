"""The TCP way in, seen by clients: what goes through, what is refused, and what each of them may hold."""

from __future__ import annotations

import asyncio

import dns.message
import dns.opcode
import dns.rcode
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from filters.settings import FilterSettings
from proxy.settings import TcpSettings
from proxy.values import Endpoint
from tests.ingress.tcp_door import PATIENT, door, identities, ingress_settings, query, stands_still
from tests.support.backends import answer_to
from tests.support.peers import auntil, free_port
from tests.support.streams import BackendSession, Keeping, StreamBackend, StreamClient, framed

CLOSED = Endpoint.parse(f"127.0.0.1:{free_port()}")


def rcodes(client: StreamClient) -> list[str]:
    return [dns.rcode.to_text(dns.message.from_wire(message).rcode()) for message in client.received]


async def test_a_query_reaches_the_backend_and_its_answer_the_client() -> None:
    async with StreamBackend() as backend, door(ingress_settings(backend.endpoint)) as opened:
        client = await opened.client()
        client.send(query("wWw.ExAmPlE.cOm"))
        await auntil(lambda: client.received)
        answer = dns.message.from_wire(client.received[0])
        assert (answer.id, answer.question[0].name.to_text()) == (4711, "wWw.ExAmPlE.cOm.")
        assert backend.queries[0][2:] == query("wWw.ExAmPlE.cOm")[2:], "only the ID is changed"
        assert opened.verdicts() == {("forward", "ok"): 1}
        assert opened.memory.backend(0) == {"queries": 1, "answers": 1, "timeouts": 0, "errors": 0}


async def test_answers_leave_in_the_order_in_which_they_come() -> None:
    kept = Keeping()
    async with (
        StreamBackend(kept) as backend,
        door(ingress_settings(backend.endpoint)) as opened,
    ):
        client = await opened.client()
        client.send(*(query(f"n{number}.example.com", identity=number) for number in range(20)))
        await auntil(lambda: len(kept) == 20)
        kept.answer_all()
        await auntil(lambda: len(client.received) == 20)
        assert identities(client.received) == list(reversed(range(20)))
        for message in client.received:
            answer = dns.message.from_wire(message)
            assert answer.question[0].name.to_text() == f"n{answer.id}.example.com."


async def test_clients_share_a_connection_to_the_backend_under_ids_that_differ() -> None:
    async with StreamBackend() as backend, door(ingress_settings(backend.endpoint)) as opened:
        clients = [await opened.client() for _ in range(10)]
        for client in clients:
            client.send(query(), query("other.example.com"))
        await auntil(lambda: all(len(client.received) == 2 for client in clients))
        assert all(identities(client.received) == [4711, 4711] for client in clients)
        assert len(set(identities(backend.queries))) == 20
        assert len(backend.sessions) == 1


async def test_a_message_may_come_byte_by_byte() -> None:
    async with StreamBackend() as backend, door(ingress_settings(backend.endpoint)) as opened:
        client = await opened.client()
        for byte in framed(query(), query(identity=7)):
            client.transport.write(bytes([byte]))
            await asyncio.sleep(0)
        await auntil(lambda: len(client.received) == 2)
        assert identities(client.received) == [4711, 7]


async def test_what_is_refused_needs_no_backend() -> None:
    async with door(ingress_settings(CLOSED), FilterSettings(zones=("example.com",))) as opened:
        client = await opened.client()
        client.send(query("example.org"), query("example.com", "AXFR"), query("example.com", "IXFR"))
        await auntil(lambda: len(client.received) == 3)
        assert rcodes(client) == ["REFUSED"] * 3
        assert opened.verdicts() == {("reply", "not-served"): 1, ("reply", "transfer-refused"): 2}
        assert opened.status.links == 0


async def test_without_a_healthy_backend_the_answer_is_servfail() -> None:
    async with StreamBackend() as backend, door(ingress_settings(backend.endpoint)) as opened:
        client = await opened.client()
        opened.ingress.set_health(0, False)
        client.send(query())
        await auntil(lambda: client.received)
        assert rcodes(client) == ["SERVFAIL"]
        assert opened.verdicts() == {("reply", "backends-down"): 1}
        opened.ingress.set_health(0, True)
        client.send(query())
        await auntil(lambda: len(client.received) == 2)
        assert rcodes(client)[1] == "NOERROR"


async def test_lost_framing_closes_the_connection_and_no_other() -> None:
    async with StreamBackend() as backend, door(ingress_settings(backend.endpoint)) as opened:
        bystander = await opened.client()
        for broken in (b"\x00\x00", b"\x00\x0b" + bytes(11), b"\xff\xff" + query()):
            client = await opened.client()
            client.transport.write(broken)
            await auntil(lambda client=client: client.lost or client.ended)  # type: ignore[misc]  # mypy can't infer it
        assert opened.status.closes["too-short"] == 2
        assert opened.status.closes["too-large"] == 1
        assert opened.verdicts() == {("drop", "too-short"): 2, ("drop", "too-large"): 1}
        bystander.send(query())
        await auntil(lambda: bystander.received)


async def test_a_client_that_half_closes_gets_its_answers_and_then_the_end() -> None:
    async with (
        StreamBackend() as backend,
        door(ingress_settings(backend.endpoint, tcp=TcpSettings(in_flight=3))) as opened,
    ):
        client = await opened.client()
        client.send(*(query(identity=number) for number in range(10)))
        client.transport.write_eof()
        await auntil(lambda: client.ended)
        assert sorted(identities(client.received)) == list(range(10))
        assert opened.status.closes["by-client"] == 1


async def test_a_client_over_its_share_waits_and_loses_nothing() -> None:
    kept = Keeping()
    async with (
        StreamBackend(kept) as backend,
        door(ingress_settings(backend.endpoint, tcp=TcpSettings(in_flight=4))) as opened,
    ):
        greedy, other = await opened.client(), await opened.client()
        greedy.send(*(query(identity=number) for number in range(100)))
        await auntil(lambda: len(kept) == 4)
        other.send(query())
        await auntil(lambda: len(kept) == 5)
        assert opened.memory.received()["tcp"] == 5, "what waits is decided on later"

        def release() -> bool:
            kept.answer_all()
            return len(greedy.received) == 100 and bool(other.received)

        await auntil(release)
        assert sorted(identities(greedy.received)) == list(range(100))


async def test_connections_are_bounded_and_room_comes_back() -> None:
    limits = TcpSettings(connections=3, connections_per_client=2)
    async with StreamBackend() as backend, door(ingress_settings(backend.endpoint, tcp=limits)) as opened:
        first, _ = await opened.client(), await opened.client()
        assert await opened.is_refused()
        assert opened.status.closes["connections-per-client"] == 1
        assert opened.memory.io()["connections-refused"] == 1
        first.transport.abort()
        await auntil(lambda: opened.status.connections == 1)
        fourth = await opened.client()
        fourth.send(query())
        await auntil(lambda: fourth.received)


async def test_an_idle_client_is_closed() -> None:
    async with door(ingress_settings(CLOSED, tcp=TcpSettings(idle_timeout=10))) as opened:
        client = await opened.client()
        opened.clock.forward(10)
        await auntil(lambda: client.ended)
        assert opened.status.closes["idle"] == 1
        assert opened.memory.io()["idle-timeouts"] == 1


async def test_a_message_that_trickles_in_is_cut_off() -> None:
    async with door(ingress_settings(CLOSED, tcp=TcpSettings(idle_timeout=3600, read_timeout=2))) as opened:
        client = await opened.client()
        trickle = iter(framed(query()))

        def one_byte_each_second() -> bool:
            byte = next(trickle, None)
            assert byte is not None, "the whole message was taken"
            if not client.ended:
                client.transport.write(bytes([byte]))
                opened.clock.forward(0.5)
            return client.ended

        await auntil(one_byte_each_second)
        assert opened.status.closes["slow-read"] == 1


async def test_a_client_that_takes_no_answers_is_bounded_and_then_closed() -> None:
    def big_answer(session: BackendSession, message: bytes) -> None:
        session.send(answer_to(message) + bytes(60_000))

    limits = TcpSettings(idle_timeout=3600, write_timeout=10, in_flight=20)
    async with StreamBackend(big_answer) as backend, door(ingress_settings(backend.endpoint, tcp=limits)) as opened:
        client, other = await opened.client(receive_buffer=4096), await opened.client()
        client.transport.pause_reading()
        client.send(*(query(identity=number) for number in range(2000)))
        taken = await stands_still(lambda: opened.memory.received()["tcp"])
        assert taken < 500, "it is not read while it does not read"
        assert 0 < opened.status.buffered < 3 << 20
        other.send(query())
        await auntil(lambda: other.received)
        opened.clock.forward(10)
        await auntil(lambda: opened.status.closes["slow-write"] == 1)
        await auntil(lambda: opened.status.connections == 1)
        assert opened.status.buffered == 0


async def test_a_slow_reader_gets_everything_in_the_end() -> None:
    def big_answer(session: BackendSession, message: bytes) -> None:
        session.send(answer_to(message) + bytes(20_000))

    async with (
        StreamBackend(big_answer) as backend,
        door(ingress_settings(backend.endpoint, tcp=TcpSettings(in_flight=20))) as opened,
    ):
        client = await opened.client(receive_buffer=4096)
        client.transport.pause_reading()
        client.send(*(query(identity=number) for number in range(1000)))
        assert await stands_still(lambda: opened.memory.received()["tcp"]) < 1000
        client.transport.resume_reading()
        await auntil(lambda: len(client.received) == 1000, 30)
        assert sorted(identities(client.received)) == list(range(1000))
        assert opened.status.closes["slow-write"] == 0


async def test_draining_answers_what_is_in_flight() -> None:
    kept = Keeping()
    async with (
        StreamBackend(kept) as backend,
        door(ingress_settings(backend.endpoint)) as opened,
    ):
        idle, busy = await opened.client(), await opened.client()
        busy.send(query())
        await auntil(lambda: len(kept))
        drained = asyncio.create_task(opened.ingress.drain(30))
        await auntil(lambda: idle.ended)
        assert not drained.done()
        kept.answer_all()
        await drained
        await auntil(lambda: busy.ended)
        assert identities(busy.received) == [4711]


async def test_draining_cuts_off_what_does_not_end() -> None:
    async with StreamBackend(lambda *_: None) as backend, door(ingress_settings(backend.endpoint)) as opened:
        client = await opened.client()
        client.send(query())
        await auntil(lambda: backend.queries)
        await opened.ingress.drain(0.01)
        await auntil(lambda: client.ended)
        assert ("worker.clients-cut", {"connections": 1}) in opened.events


async def test_a_reload_keeps_the_clients_and_swaps_backends_grants_and_policy() -> None:
    kept = Keeping()
    async with (
        StreamBackend(kept) as old,
        StreamBackend() as new,
        door(ingress_settings(old.endpoint)) as opened,
    ):
        client = await opened.client()
        client.send(query(identity=1))
        await auntil(lambda: len(kept))
        after = ingress_settings(new.endpoint, listen=opened.settings.listeners[0].address, allow=("notify",))
        opened.reload(after, FilterSettings(zones=("example.com",)))
        notify = dns.message.make_query("example.com", "SOA", id=3)
        notify.set_opcode(dns.opcode.NOTIFY)
        client.send(query(identity=2), notify.to_wire(), query("example.org", identity=4))
        await auntil(lambda: len(client.received) == 3)
        assert len(new.queries) == 2
        kept.answer_all()
        await auntil(lambda: len(client.received) == 4)
        assert sorted(identities(client.received)) == [1, 2, 3, 4]
        assert opened.verdicts()["reply", "not-served"] == 1
        await auntil(lambda: not old.open_sessions)
        assert not client.ended


async def test_an_ipv6_client_is_served() -> None:
    async with (
        StreamBackend() as backend,
        door(ingress_settings(backend.endpoint, listen=Endpoint.parse(f"[::1]:{free_port()}"))) as opened,
    ):
        client = await opened.client()
        client.send(query())
        await auntil(lambda: client.received)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=20), st.booleans())
def test_any_bytes_are_counted_and_harm_nobody(pieces: list[bytes], whole: bool) -> None:
    async def scenario() -> None:
        async with StreamBackend() as backend, door(ingress_settings(backend.endpoint, tcp=PATIENT)) as opened:
            hostile, honest = await opened.client(), await opened.client()
            for piece in pieces:
                hostile.transport.write(framed(piece) if whole else piece)
            honest.send(query())
            await auntil(lambda: honest.received)
            if not hostile.lost:
                hostile.transport.write_eof()
            await auntil(lambda: hostile.ended)
            assert opened.balanced()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
