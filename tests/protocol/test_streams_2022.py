"""The rules of Shadowsocks 2022 for streams (SIP022 §3.1), each by a peer that breaks it."""

from __future__ import annotations

import os
import struct

import pytest

from proxy.errors import ProtocolError
from proxy.protocol.address import encode_address
from proxy.protocol.methods import METHODS, TAG_SIZE
from proxy.protocol.salts import SaltStore
from proxy.protocol.sealing import Opener, Sealer
from proxy.protocol.shadowsocks import Opened
from proxy.protocol.streams_2022 import ClientStream2022, ServerStream2022
from proxy.values import Endpoint

METHOD = METHODS["2022-blake3-aes-256-gcm"]
KEY = bytes(range(32))
NOW = 1_800_000_000.0
TARGET = Endpoint.parse("[2001:db8::53]:53")
ADDRESS = encode_address(TARGET)


def request(variable: bytes, *, kind: int = 0, stamp: float = NOW, size: int | None = None) -> bytes:
    """A request made by hand."""
    salt = os.urandom(32)
    sealer = Sealer(METHOD.session_cipher(KEY, salt))
    fixed = struct.pack("!BQH", kind, int(stamp), len(variable) if size is None else size)
    return salt + sealer.seal(fixed) + sealer.seal(variable)


def response(salt_of_request: bytes, first: bytes, *, kind: int = 1, stamp: float = NOW) -> bytes:
    """A response made by hand."""
    salt = os.urandom(32)
    sealer = Sealer(METHOD.session_cipher(KEY, salt))
    header = struct.pack("!BQ", kind, int(stamp)) + salt_of_request + len(first).to_bytes(2)
    return salt + sealer.seal(header) + sealer.seal(first)


def refused_request(wire: bytes, now: float = NOW) -> ProtocolError:
    server = ServerStream2022(METHOD, KEY, SaltStore())
    with pytest.raises(ProtocolError) as raised:
        server.feed(wire, now)
    assert not server.opened
    return raised.value


def refused_response(wire: bytes, client: ClientStream2022, now: float = NOW) -> ProtocolError:
    with pytest.raises(ProtocolError) as raised:
        client.feed(wire, now)
    return raised.value


def test_a_request_without_payload_is_padded_and_one_with_payload_is_not() -> None:
    for first in (b"", b"query"):
        wire = ClientStream2022(METHOD, KEY).open(TARGET, first, NOW)
        opener = Opener(METHOD.session_cipher(KEY, wire[:32]))
        kind, stamp, size = struct.unpack("!BQH", opener.open(wire[32 : 32 + 27]))
        header = opener.open(wire[59:])
        assert (kind, stamp, size) == (0, int(NOW), len(header))
        padding = int.from_bytes(header[len(ADDRESS) : len(ADDRESS) + 2])
        assert header.startswith(ADDRESS)
        assert header[len(ADDRESS) + 2 + padding :] == first
        assert padding == 0 if first else 1 <= padding <= 900


def test_padding_differs_from_request_to_request() -> None:
    sizes = {len(ClientStream2022(METHOD, KEY).open(TARGET, b"", NOW)) for _ in range(20)}
    assert len(sizes) > 10


def test_a_first_payload_longer_than_the_header_goes_on_in_chunks() -> None:
    first = os.urandom(200_000)
    wire = ClientStream2022(METHOD, KEY).open(TARGET, first, NOW)
    events = ServerStream2022(METHOD, KEY, SaltStore()).feed(wire, NOW)
    assert events[0] == Opened(TARGET)
    assert b"".join(event for event in events[1:] if isinstance(event, bytes)) == first


def test_neither_payload_nor_padding_is_rejected() -> None:
    assert refused_request(request(ADDRESS + b"\0\0")).reason == "bad-padding"
    assert ServerStream2022(METHOD, KEY, SaltStore()).feed(request(ADDRESS + b"\0\1x"), NOW) == [Opened(TARGET)]


@pytest.mark.parametrize("variable", [ADDRESS, ADDRESS + b"\0", ADDRESS + b"\0\5abcd", b"\1\2\3", b""])
def test_a_header_that_reaches_beyond_its_chunk_is_rejected(variable: bytes) -> None:
    assert refused_request(request(variable)).reason in ("bad-padding", "bad-address")


def test_types_keep_the_directions_apart() -> None:
    assert refused_request(request(ADDRESS + b"\0\0x", kind=1)).reason == "wrong-type"
    client = ClientStream2022(METHOD, KEY)
    head = client.open(TARGET, b"x", NOW)
    assert refused_response(response(head[:32], b"x", kind=0), client).reason == "wrong-type"


@pytest.mark.parametrize(("skew", "word"), [(31, "ahead of"), (-31, "behind")])
def test_a_clock_over_thirty_seconds_off_is_said_in_words(skew: int, word: str) -> None:
    error = refused_request(request(ADDRESS + b"\0\0x", stamp=NOW + skew))
    assert error.reason == "clock-skew"
    assert f"the clock of the client is 31 s {word} ours" in str(error)
    client = ClientStream2022(METHOD, KEY)
    head = client.open(TARGET, b"x", NOW)
    error = refused_response(response(head[:32], b"x", stamp=NOW + skew), client)
    assert f"the clock of the exit is 31 s {word} ours" in str(error)
    assert "NTP" in str(error)


@pytest.mark.parametrize("skew", [-30, 30])
def test_thirty_seconds_are_accepted(skew: int) -> None:
    server = ServerStream2022(METHOD, KEY, SaltStore())
    assert server.feed(request(ADDRESS + b"\0\0x", stamp=NOW + skew), NOW) == [Opened(TARGET), b"x"]


def test_a_salt_with_an_old_time_stamp_is_not_stored() -> None:
    salts = SaltStore()
    with pytest.raises(ProtocolError):
        ServerStream2022(METHOD, KEY, salts).feed(request(ADDRESS + b"\0\0x", stamp=NOW - 31), NOW)
    assert len(salts) == 0


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.99])
def test_a_replay_is_refused_until_its_time_stamp_is_old(fraction: float) -> None:
    """The clock of the client may be 30 s ahead, and stamps are whole seconds: a minute of memory is not enough."""
    salts, wire, began = SaltStore(), request(ADDRESS + b"\0\0x", stamp=NOW + 30), NOW + fraction
    ServerStream2022(METHOD, KEY, salts).feed(wire, began)
    for passed in (59.0, 60.0, 60.5, 60.9, 61.0, 61.5):
        with pytest.raises(ProtocolError) as raised:
            ServerStream2022(METHOD, KEY, salts).feed(wire, began + passed)
        assert raised.value.reason in ("replay", "clock-skew")


def test_a_response_to_another_request_is_refused() -> None:
    client = ClientStream2022(METHOD, KEY)
    client.open(TARGET, b"x", NOW)
    assert refused_response(response(bytes(32), b"x"), client).reason == "wrong-salt"


def test_the_response_header_is_the_first_length() -> None:
    client, server = ClientStream2022(METHOD, KEY), ServerStream2022(METHOD, KEY, SaltStore())
    server.feed(client.open(TARGET, b"x", NOW), NOW)
    assert server.send(b"", NOW) == b""
    wire = server.send(b"answer", NOW)
    assert len(wire) == 32 + 43 + TAG_SIZE + len(b"answer") + TAG_SIZE
    assert not client.begun
    assert client.feed(wire[: 32 + 43 + TAG_SIZE - 1], NOW) == []
    assert not client.begun
    assert client.feed(wire[32 + 43 + TAG_SIZE - 1 :], NOW) == [b"answer"]
    assert client.begun


def test_whether_the_first_read_was_enough_is_told() -> None:
    wire = request(ADDRESS + b"\0\0x")
    server = ServerStream2022(METHOD, KEY, SaltStore())
    server.feed(wire[: 32 + 26], NOW)
    assert not server.begun
    server.feed(wire[32 + 26 :], NOW)
    assert server.begun


def test_a_chunk_may_have_65535_bytes() -> None:
    client, server = ClientStream2022(METHOD, KEY), ServerStream2022(METHOD, KEY, SaltStore())
    server.feed(client.open(TARGET, b"x", NOW), NOW)
    server.send(b"x", NOW)
    big = os.urandom(0xFFFF)
    sealed = client.send(big)
    assert len(sealed) == 18 + 0xFFFF + 16
    assert server.feed(sealed, NOW) == [big]
