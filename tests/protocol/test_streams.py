"""Shadowsocks streams, what both editions share. The rules of 2022 alone are in `test_streams_2022`."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import ProtocolError
from proxy.protocol.address import Target, encode_address
from proxy.protocol.chunks import LENGTH_SIZE, chunk_limit
from proxy.protocol.editions import client_stream, salt_store, server_stream
from proxy.protocol.methods import METHODS, TAG_SIZE, Method
from proxy.protocol.sealing import Sealer
from proxy.protocol.shadowsocks import Opened, ServerStream
from proxy.values import Endpoint
from tests.protocol.recorded import RECORDED, Recorded
from tests.protocol.strategies import changed, cut, marks, payloads, places, targets

NOW = 1_800_000_000.0
TARGET = Endpoint.parse("192.0.2.7:53")
methods = st.sampled_from(list(METHODS.values()))


def new_server(method: Method, key: bytes) -> ServerStream:
    return server_stream(method, key, salt_store(method))


def limit_of(payload: bytes, method: Method) -> list[bytes]:
    """The chunks that a payload is cut into."""
    size = chunk_limit(method)
    return [payload[at : at + size] for at in range(0, len(payload), size)]


def reason_of(act: Callable[[], object]) -> str:
    """Why it raised a ProtocolError, "fine" if it did not."""
    try:
        act()
    except ProtocolError as error:
        return error.reason
    return "fine"


@settings(max_examples=60, deadline=None)
@given(marks, methods, targets, payloads, st.lists(payloads, max_size=3), st.lists(payloads, max_size=3))
def test_what_is_sent_arrives_however_it_is_cut(
    places: list[float], method: Method, target: Target, first: bytes, more: list[bytes], answers: list[bytes]
) -> None:
    key = os.urandom(method.key_size)
    client, server = client_stream(method, key), new_server(method, key)
    assert not server.opened
    wire = client.open(target, first, NOW) + b"".join(map(client.send, more))
    events = [event for piece in cut(wire, places) for event in server.feed(piece, NOW)]
    assert events[0] == Opened(target)
    assert b"".join(event for event in events[1:] if isinstance(event, bytes)) == first + b"".join(more)
    assert new_server(method, key).feed(wire, NOW) == events
    assert server.opened
    assert server.begun
    assert server.at_end

    wire = b"".join(server.send(answer, NOW) for answer in answers)
    got = [payload for piece in cut(wire, places) for payload in client.feed(piece, NOW)]
    assert got == [chunk for answer in answers for chunk in limit_of(answer, method)]
    assert client.at_end


@settings(max_examples=60, deadline=None)
@given(methods, st.binary(max_size=400), st.booleans())
def test_hostile_bytes_raise_only_protocol_errors(method: Method, data: bytes, of_server: bool) -> None:
    key = bytes(method.key_size)
    if of_server:
        server = new_server(method, key)
        assert reason_of(lambda: server.feed(data, NOW)) in ("fine", "authentication")
        assert not server.opened
    else:
        client = client_stream(method, key)
        client.open(TARGET, b"first", NOW)
        assert reason_of(lambda: client.feed(data, NOW)) in ("fine", "authentication")


@settings(max_examples=60, deadline=None)
@given(methods, places, st.integers(1, 255), marks)
def test_a_changed_byte_never_gives_a_wrong_byte(
    method: Method, place: float, difference: int, where: list[float]
) -> None:
    key = bytes(method.key_size)
    client, server = client_stream(method, key), new_server(method, key)
    parts = [b"first " * 50, b"second", b"third"]
    wire = client.open(TARGET, parts[0], NOW) + client.send(parts[1]) + client.send(parts[2])
    got: list[Opened | bytes] = []

    def feed_all() -> None:
        for piece in cut(changed(wire, place, difference), where):
            got.extend(server.feed(piece, NOW))

    assert reason_of(feed_all) == "authentication"
    assert got == [Opened(TARGET), *parts][: len(got)]


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.method)
def test_streams_of_real_clients_are_read(recorded: Recorded) -> None:
    method = METHODS[recorded.method]
    server = new_server(method, method.key_from_text(recorded.key))
    assert server.feed(recorded.stream, recorded.stream_at) == [Opened(TARGET), b"first bytes"]


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded.method)
def test_a_replay_is_refused_and_another_key_too(recorded: Recorded) -> None:
    method = METHODS[recorded.method]
    key = method.key_from_text(recorded.key)
    salts = salt_store(method)
    server_stream(method, key, salts).feed(recorded.stream, recorded.stream_at)
    with pytest.raises(ProtocolError) as raised:
        server_stream(method, key, salts).feed(recorded.stream, recorded.stream_at)
    assert raised.value.reason == "replay"
    with pytest.raises(ProtocolError, match="another key or method") as raised:
        new_server(method, bytes(method.key_size)).feed(recorded.stream, recorded.stream_at)
    assert raised.value.reason == "authentication"


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_salts_of_strangers_are_not_kept(method: Method) -> None:
    salts = salt_store(method)
    server = server_stream(method, bytes(method.key_size), salts)
    with pytest.raises(ProtocolError):
        server.feed(os.urandom(200), NOW)
    assert len(salts) == 0


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_the_end_is_only_right_between_chunks(method: Method) -> None:
    key = bytes(method.key_size)
    client, server = client_stream(method, key), new_server(method, key)
    server.feed(client.open(TARGET, b"first", NOW), NOW)
    sealed = client.send(b"more")
    for byte in sealed[:-1]:
        server.feed(bytes((byte,)), NOW)
        assert not server.at_end
    server.feed(sealed[-1:], NOW)
    assert server.at_end


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_a_server_does_not_speak_first(method: Method) -> None:
    with pytest.raises(RuntimeError):
        new_server(method, bytes(method.key_size)).send(b"hello", NOW)


def test_a_chunk_of_2017_has_no_upper_bits() -> None:
    method = METHODS["aes-128-gcm"]
    key, salt = bytes(16), os.urandom(16)
    sealer = Sealer(method.session_cipher(key, salt))
    with pytest.raises(ProtocolError) as raised:
        new_server(method, key).feed(salt + sealer.seal(b"\x40\x00"), NOW)
    assert raised.value.reason == "chunk-too-long"


def test_an_address_of_2017_may_be_cut_by_chunks() -> None:
    method = METHODS["aes-128-gcm"]
    key, salt = bytes(16), os.urandom(16)
    sealer = Sealer(method.session_cipher(key, salt))
    plain = encode_address(TARGET) + b"payload"
    wire = salt + b"".join(sealer.seal(b"\0\1") + sealer.seal(plain[at : at + 1]) for at in range(len(plain)))
    assert len(wire) == 16 + len(plain) * (LENGTH_SIZE + 1 + TAG_SIZE)
    events = new_server(method, key).feed(wire, NOW)
    assert events[0] == Opened(TARGET)
    assert b"".join(event for event in events[1:] if isinstance(event, bytes)) == b"payload"
