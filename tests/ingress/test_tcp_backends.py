"""The TCP way in, with backends that misbehave: no query is lost, no wrong answer passes, and nothing is silent."""

from __future__ import annotations

import asyncio

import dns.edns
import dns.message
import dns.rcode
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.settings import TcpSettings
from tests.ingress.tcp_door import Door, door, identities, ingress_settings, query, stands_still
from tests.support.backends import answer_to
from tests.support.peers import auntil
from tests.support.streams import BackendSession, Keeping, StreamBackend, framed, plain_answer

SOME = 50


def rcode(message: bytes) -> str:
    return dns.rcode.to_text(dns.message.from_wire(message).rcode())


async def check_all_answered(opened: Door, count: int = SOME) -> None:
    """A client asks `count` queries at once and gets all their answers, none of them SERVFAIL."""
    client = await opened.client()
    client.send(*(query(f"n{number}.example.com", identity=number) for number in range(count)))
    await auntil(lambda: len(client.received) == count)
    assert sorted(identities(client.received)) == list(range(count))
    assert {rcode(message) for message in client.received} == {"NOERROR"}


async def test_answers_that_do_not_match_are_dropped_and_the_right_one_passes() -> None:
    def forge(session: BackendSession, message: bytes) -> None:
        right = answer_to(message)
        wrong_id = bytes([right[0] ^ 1]) + right[1:]
        wrong_question = answer_to(message[:2] + query("forged.example.com")[2:])
        session.send(wrong_id, wrong_question, message, right, right)

    async with StreamBackend(forge) as backend, door(ingress_settings(backend.endpoint)) as opened:
        client = await opened.client()
        client.send(query())
        await auntil(lambda: len(opened.dropped_answers()) == 3)
        assert identities(client.received) == [4711]
        assert opened.dropped_answers() == {
            "answer-unknown-id": 2,  # the second right one too: nothing waits for it any more
            "answer-wrong-question": 1,
            "answer-not-response": 1,
        }


@pytest.mark.parametrize("part", [1, 2, 30])
async def test_a_backend_that_closes_in_the_middle_of_an_answer_is_asked_again(part: int) -> None:
    def cut_once(session: BackendSession, message: bytes) -> None:
        if session is backend.sessions[0]:
            session.transport.write(framed(answer_to(message))[:part])
            session.transport.close()
        else:
            plain_answer(session, message)

    async with StreamBackend(cut_once) as backend, door(ingress_settings(backend.endpoint)) as opened:
        await check_all_answered(opened)
        assert opened.verdicts() == {("forward", "ok"): SOME}, "sent twice, counted once"
        assert opened.status.resent > 0
        assert opened.failures[0] > 0


async def test_a_backend_that_closes_after_each_answer_serves_all() -> None:
    def close_after(session: BackendSession, message: bytes) -> None:
        if not session.transport.is_closing():
            plain_answer(session, message)
            session.transport.close()

    async with StreamBackend(close_after) as backend, door(ingress_settings(backend.endpoint)) as opened:
        await check_all_answered(opened)


async def test_a_backend_that_closes_idle_connections_costs_nothing() -> None:
    async with StreamBackend() as backend, door(ingress_settings(backend.endpoint)) as opened:
        for _ in range(3):
            await check_all_answered(opened, 1)
            for session in backend.open_sessions:
                session.transport.close()
            await auntil(lambda: not opened.status.links)
        assert opened.status.given_up == 0
        assert not opened.failures


async def test_garbage_is_never_passed_on_and_the_query_ends_in_servfail() -> None:
    def garbage(session: BackendSession, _message: bytes) -> None:
        session.transport.write(b"\x00\x04HTTP/1.1 400 Bad Request\r\n\r\n")

    async with StreamBackend(garbage) as backend, door(ingress_settings(backend.endpoint)) as opened:
        client = await opened.client()
        client.send(query())
        await auntil(lambda: client.received)
        assert rcode(client.received[0]) == "SERVFAIL"
        assert opened.dropped_answers()["answer-short"] >= 1
        assert opened.failures[0] >= 1
        assert opened.status.given_up == 1


async def test_a_query_without_an_answer_ends_in_servfail_in_time() -> None:
    kept = Keeping()
    async with StreamBackend(kept) as backend, door(ingress_settings(backend.endpoint, patience=2)) as opened:
        client = await opened.client()
        client.send(query(identity=1))
        await auntil(lambda: len(kept))
        opened.clock.forward(2)
        await auntil(lambda: client.received)
        assert (identities(client.received), rcode(client.received[0])) == ([1], "SERVFAIL")
        assert opened.memory.io()["expired"] == 1
        assert opened.memory.backend(0)["timeouts"] == 1
        assert opened.failures == {0: 1}
        await auntil(lambda: not backend.open_sessions)


async def test_a_late_answer_is_dropped() -> None:
    kept = Keeping()

    def answer_second(session: BackendSession, message: bytes) -> None:
        (kept if not backend.queries[1:] else plain_answer)(session, message)

    async with (
        StreamBackend(answer_second) as backend,
        door(ingress_settings(backend.endpoint, patience=2)) as opened,
    ):
        client = await opened.client()
        client.send(query(identity=1))
        await auntil(lambda: len(kept))
        client.send(query(identity=2))
        await auntil(lambda: client.received)
        opened.clock.forward(2)
        await auntil(lambda: len(client.received) == 2)
        assert rcode(client.received[1]) == "SERVFAIL"
        kept.answer_all()
        await auntil(lambda: opened.dropped_answers()["answer-unknown-id"] == 1)
        assert identities(client.received) == [2, 1]


async def test_a_backend_that_is_not_there_is_servfail_until_it_is_back() -> None:
    backend = StreamBackend()
    await backend.open()
    await backend.close()
    async with door(ingress_settings(backend.endpoint)) as opened:
        client = await opened.client()
        client.send(query())
        await auntil(lambda: client.received)
        assert rcode(client.received[0]) == "SERVFAIL"
        assert opened.failures[0] >= 1
        assert opened.memory.io()["backend-connect-errors"] >= 1
        name, fields = opened.events[0]
        assert (name, fields["address"]) == ("backend.unreachable", str(backend.endpoint))
        await backend.open()
        opened.clock.forward(5)
        await check_all_answered(opened)
        await backend.close()


async def test_when_a_backend_dies_the_other_takes_over() -> None:
    def die(session: BackendSession, _message: bytes) -> None:
        session.transport.abort()

    async with (
        StreamBackend(die) as dying,
        StreamBackend() as healthy,
        door(ingress_settings(dying.endpoint, healthy.endpoint)) as opened,
    ):
        await check_all_answered(opened)
        assert opened.failures[0] >= 1
        assert len(healthy.queries) == SOME


async def test_answers_are_shared_out_by_outstanding_queries() -> None:
    async with (
        StreamBackend() as first,
        StreamBackend() as second,
        door(ingress_settings(first.endpoint, second.endpoint)) as opened,
    ):
        await check_all_answered(opened)
        assert (len(first.queries), len(second.queries)) == (SOME // 2, SOME // 2)


async def test_a_backend_that_does_not_read_stops_the_clients_and_nothing_is_lost() -> None:
    padding: list[dns.edns.Option] = [dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(2000))]
    long = dns.message.make_query("www.example.com", "A", use_edns=0, options=padding).to_wire(max_size=4096)
    count = 8000  # 16 MB: more than our sockets take
    limits = TcpSettings(in_flight=9000, backend_connections=1, idle_timeout=3600, write_timeout=3600)
    backend = StreamBackend(receive_buffer=4096)
    backend.reading = False
    async with backend, door(ingress_settings(backend.endpoint, tcp=limits)) as opened:
        client = await opened.client()
        client.send(*(number.to_bytes(2, "big") + long[2:] for number in range(count)))
        assert await stands_still(lambda: opened.memory.received()["tcp"]) < count
        backend.read_again()
        await auntil(lambda: len(client.received) == count, 30)
        assert sorted(identities(client.received)) == list(range(count))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=10), st.booleans())
def test_any_bytes_of_a_backend_leave_the_client_with_an_answer(pieces: list[bytes], whole: bool) -> None:
    def hostile(session: BackendSession, message: bytes) -> None:
        if session is backend.sessions[0]:
            for piece in pieces:
                session.transport.write(framed(piece) if whole else piece)
            session.transport.close()
        else:
            plain_answer(session, message)

    backend = StreamBackend(hostile)

    async def scenario() -> None:
        async with backend, door(ingress_settings(backend.endpoint)) as opened:
            await check_all_answered(opened, 3)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())
