"""Shadowsocks datagrams of both editions."""

from __future__ import annotations

import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import ProtocolError
from proxy.protocol.address import Target, encode_address
from proxy.protocol.datagrams_2022 import ClientDatagrams2022, ServerDatagrams2022
from proxy.protocol.editions import client_datagrams, server_datagrams
from proxy.protocol.methods import METHODS, Method
from proxy.protocol.packets_2022 import packets_of
from proxy.values import Endpoint
from tests.protocol.recorded import RECORDED, Recorded
from tests.protocol.strategies import changed, places, targets

NOW = 1_800_000_000.0
TARGET = Endpoint.parse("192.0.2.7:53")
ADDRESS = encode_address(TARGET)
EDITION_2022 = [method for method in METHODS.values() if method.edition == 2022]
methods = st.sampled_from(list(METHODS.values()))
of_2022 = pytest.mark.parametrize("method", EDITION_2022, ids=lambda method: method.name)


def reason(opened: object, packet: bytes, now: float = NOW) -> str:
    with pytest.raises(ProtocolError) as raised:
        opened.open(packet, now)  # type: ignore[attr-defined]  # either end of either edition
    return raised.value.reason


@settings(max_examples=80, deadline=None)
@given(methods, targets, targets, st.binary(max_size=2000))
def test_round_trip(method: Method, target: Target, source: Target, payload: bytes) -> None:
    key = os.urandom(method.key_size)
    client, server = client_datagrams(method, key), server_datagrams(method, key)
    for _ in range(3):
        request = server.open(client.seal(target, payload, NOW), NOW)
        assert (request.target, request.payload) == (target, payload)
        assert bool(request.session) == (method.edition == 2022)
        answer = client.open(server.seal(request.session, source, payload, NOW), NOW)
        assert (answer.source, answer.payload) == (source, payload)


@settings(max_examples=150, deadline=None)
@given(methods, st.binary(max_size=120))
def test_hostile_bytes_raise_only_protocol_errors(method: Method, packet: bytes) -> None:
    key = bytes(method.key_size)
    assert reason(client_datagrams(method, key), packet) in ("too-short", "authentication")
    server = server_datagrams(method, key)
    assert reason(server, packet) in ("too-short", "authentication")
    assert not isinstance(server, ServerDatagrams2022) or len(server) == 0


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(EDITION_2022), st.binary(max_size=60), st.booleans())
def test_bodies_of_our_own_key_that_are_wrong_raise_only_protocol_errors(
    method: Method, body: bytes, timely: bool
) -> None:
    key = bytes(method.key_size)
    head = struct.pack("!BQ", 0, int(NOW)) if timely else b""
    server = ServerDatagrams2022(method, key)
    try:
        request = server.open(packets_of(method, key).seal(b"sessions", 0, head + body), NOW)
    except ProtocolError:
        assert len(server) == 0
    else:
        assert body.endswith(request.payload)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.method)
def test_datagrams_of_real_clients_are_read(recorded: Recorded) -> None:
    method = METHODS[recorded.method]
    server = server_datagrams(method, method.key_from_text(recorded.key))
    request = server.open(recorded.datagram, recorded.datagram_at)
    assert (request.target, request.payload) == (TARGET, b"a datagram")


@settings(max_examples=60, deadline=None)
@given(methods, places, st.integers(1, 255))
def test_a_changed_byte_is_noticed(method: Method, place: float, difference: int) -> None:
    key = bytes(method.key_size)
    packet = changed(client_datagrams(method, key).seal(TARGET, b"query", NOW), place, difference)
    assert reason(server_datagrams(method, key), packet) == "authentication"


@of_2022
def test_each_packet_is_accepted_once_in_any_order(method: Method) -> None:
    key = bytes(method.key_size)
    client, server = ClientDatagrams2022(method, key), ServerDatagrams2022(method, key)
    packets = [client.seal(TARGET, bytes((number,)), NOW) for number in range(10)]
    order = [3, 0, 9, 5, 1, 2, 8, 4, 7, 6]
    assert [server.open(packets[number], NOW).payload[0] for number in order] == order
    assert {reason(server, packet) for packet in packets} == {"replay"}
    session = server.open(client.seal(TARGET, b"", NOW), NOW).session
    answer = server.seal(session, TARGET, b"answer", NOW)
    client.open(answer, NOW)
    assert reason(client, answer) == "replay"


@of_2022
def test_types_keep_the_directions_apart(method: Method) -> None:
    key = bytes(method.key_size)
    client, server = ClientDatagrams2022(method, key), ServerDatagrams2022(method, key)
    packet = client.seal(TARGET, b"query", NOW)
    assert reason(client, packet) == "wrong-type"
    session = server.open(packet, NOW).session
    assert reason(server, server.seal(session, TARGET, b"answer", NOW)) == "wrong-type"


@of_2022
def test_an_old_packet_is_a_replay_and_leaves_no_trace(method: Method) -> None:
    key = bytes(method.key_size)
    client, server = ClientDatagrams2022(method, key), ServerDatagrams2022(method, key)
    packet = client.seal(TARGET, b"query", NOW)
    assert reason(server, packet, NOW + 31) == "clock-skew"
    assert reason(server, packet, NOW - 31) == "clock-skew"
    assert len(server) == 0
    assert server.open(packet, NOW + 30).payload == b"query"


@of_2022
def test_an_answer_for_another_session_is_refused(method: Method) -> None:
    key = bytes(method.key_size)
    ours, other = ClientDatagrams2022(method, key), ClientDatagrams2022(method, key)
    server = ServerDatagrams2022(method, key)
    session = server.open(other.seal(TARGET, b"query", NOW), NOW).session
    assert reason(ours, server.seal(session, TARGET, b"answer", NOW)) == "wrong-session"


@of_2022
def test_an_exit_may_restart_but_not_twice_a_minute(method: Method) -> None:
    key = bytes(method.key_size)
    client = ClientDatagrams2022(method, key)

    def answer_of_new_exit(now: float) -> bytes:
        server = ServerDatagrams2022(method, key)
        session = server.open(client.seal(TARGET, b"query", now), now).session
        return server.seal(session, TARGET, b"answer", now)

    client.open(answer_of_new_exit(NOW), NOW)
    client.open(answer_of_new_exit(NOW + 1), NOW + 1)
    assert reason(client, answer_of_new_exit(NOW + 59), NOW + 59) == "too-many-sessions"
    client.open(answer_of_new_exit(NOW + 60), NOW + 60)


@of_2022
def test_the_servers_session_is_its_own_and_can_be_forgotten(method: Method) -> None:
    key = bytes(method.key_size)
    client, server = ClientDatagrams2022(method, key), ServerDatagrams2022(method, key)
    session = server.open(client.seal(TARGET, b"query", NOW), NOW).session
    theirs, packet_id, _ = packets_of(method, key).open(server.seal(session, TARGET, b"answer", NOW))
    assert theirs != session
    assert packet_id == 0
    server.forget(session)
    with pytest.raises(KeyError):
        server.seal(session, TARGET, b"answer", NOW)


@of_2022
def test_padding_is_skipped(method: Method) -> None:
    key = bytes(method.key_size)
    body = struct.pack("!BQH", 0, int(NOW), 3) + b"pad" + ADDRESS + b"query"
    request = ServerDatagrams2022(method, key).open(packets_of(method, key).seal(b"sessions", 7, body), NOW)
    assert (request.session, request.target, request.payload) == (b"sessions", TARGET, b"query")
