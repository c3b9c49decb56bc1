"""Identity headers (SIP023): chains of keys from client over relays to an exit with several users."""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import ProtocolError
from proxy.protocol.address import Target
from proxy.protocol.editions import client_datagrams, client_stream, salt_store, server_datagrams, server_stream
from proxy.protocol.identity import KeyHolder, KeyTable, identity_of, read_key_chain, supports_identity
from proxy.protocol.methods import METHODS, Method
from proxy.protocol.relay import DatagramRelay, relay_head
from proxy.protocol.shadowsocks import Opened
from proxy.values import Endpoint
from tests.protocol.recorded import RECORDED_CHAINS, Recorded
from tests.protocol.strategies import cut, marks, payloads, targets

NOW = 1_800_000_000.0
TARGET = Endpoint.parse("192.0.2.7:53")
WITH_IDENTITY = [method for method in METHODS.values() if supports_identity(method)]
AES = WITH_IDENTITY[0]
methods = st.sampled_from(WITH_IDENTITY)
every = pytest.mark.parametrize("method", WITH_IDENTITY, ids=lambda method: method.name)


def fresh(method: Method, count: int) -> list[bytes]:
    return [os.urandom(method.key_size) for _ in range(count)]


def holders(method: Method, **keys: bytes) -> KeyTable:
    return KeyTable(method, [KeyHolder(name, key) for name, key in keys.items()])


def test_only_the_aes_methods_of_2022_have_them() -> None:
    assert {method.name for method in WITH_IDENTITY} == {"2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm"}
    for name in METHODS.keys() - {method.name for method in WITH_IDENTITY}:
        with pytest.raises(ValueError, match="has no identity headers"):
            KeyTable(METHODS[name], [])


def test_a_table_refuses_what_can_not_be_told_apart() -> None:
    key = os.urandom(16)
    with pytest.raises(ValueError, match="bob and ann have the same key") as raised:
        holders(AES, ann=key, bob=key)
    assert repr(key) not in str(raised.value)
    with pytest.raises(ValueError, match="the key of ann must have 16 bytes"):
        holders(AES, ann=os.urandom(32))
    assert repr(key) not in repr(KeyHolder("ann", key))


@settings(max_examples=60, deadline=None)
@given(methods, targets, payloads, marks)
def test_a_stream_is_that_of_its_user(method: Method, target: Target, first: bytes, places: list[float]) -> None:
    shared, ann, bob = fresh(method, 3)
    users, salts = holders(method, ann=ann, bob=bob), salt_store(method)
    for name, key in (("ann", ann), ("bob", bob)):
        client = client_stream(method, key, (shared,))
        server = server_stream(method, shared, salts, users)
        events = [event for piece in cut(client.open(target, first, NOW), places) for event in server.feed(piece, NOW)]
        assert events[0] == Opened(target, name)
        assert b"".join(event for event in events[1:] if isinstance(event, bytes)) == first
        assert b"".join(client.feed(server.send(b"answer", NOW), NOW)) == b"answer"


@settings(max_examples=60, deadline=None)
@given(methods, targets, st.binary(max_size=1400))
def test_a_datagram_is_that_of_its_user(method: Method, target: Target, payload: bytes) -> None:
    shared, ann, bob = fresh(method, 3)
    server = server_datagrams(method, shared, users=holders(method, ann=ann, bob=bob))
    for name, key in (("ann", ann), ("bob", bob)):
        client = client_datagrams(method, key, (shared,))
        for _ in range(2):
            request = server.open(client.seal(target, payload, NOW), NOW)
            assert (request.user, request.target, request.payload) == (name, target, payload)
            answer = client.open(server.seal(request.session, target, payload, NOW), NOW)
            assert (answer.source, answer.payload) == (target, payload)


@settings(max_examples=60, deadline=None)
@given(methods, targets, payloads, st.integers(1, 4))
def test_relays_take_one_header_off_each(method: Method, target: Target, first: bytes, relays: int) -> None:
    """The chain of SIP023's picture, `iPSK0:iPSK1:...:uPSK`, up to four relays before an exit with users."""
    *chain, user = fresh(method, relays + 2)
    client = client_stream(method, user, tuple(chain))
    wire, packet = client.open(target, first, NOW), client_datagrams(method, user, tuple(chain)).seal(target, b"q", NOW)
    for own, following in itertools.pairwise(chain):
        hops = holders(method, other=os.urandom(method.key_size), following=following)
        passed = relay_head(method, own, hops, wire)
        assert passed is not None
        assert passed[0].key == following
        wire = passed[1]
        hop, session, packet = DatagramRelay(own, hops).forward(packet)
        assert (hop.key, len(session)) == (following, 8)
    users = holders(method, ann=user)
    server = server_stream(method, chain[-1], salt_store(method), users)
    assert server.feed(wire, NOW)[0] == Opened(target, "ann")
    assert b"".join(client.feed(server.send(b"answer", NOW), NOW)) == b"answer"
    request = server_datagrams(method, chain[-1], users=users).open(packet, NOW)
    assert (request.user, request.target, request.payload) == ("ann", target, b"q")


@every
def test_a_relay_may_lead_to_an_exit_of_a_single_key(method: Method) -> None:
    """`client3` of SIP023's picture: the exit knows nothing of identity headers."""
    shared, key = fresh(method, 2)
    hops = holders(method, simple=key)
    client, datagrams = client_stream(method, key, (shared,)), client_datagrams(method, key, (shared,))
    relay, server = DatagramRelay(shared, hops), server_datagrams(method, key)
    passed = relay_head(method, shared, hops, client.open(TARGET, b"query", NOW))
    assert passed is not None
    assert server_stream(method, key, salt_store(method)).feed(passed[1], NOW) == [Opened(TARGET), b"query"]
    for _ in range(2):
        request = server.open(relay.forward(datagrams.seal(TARGET, b"query", NOW))[2], NOW)
        assert datagrams.open(server.seal(request.session, TARGET, b"answer", NOW), NOW).payload == b"answer"


@pytest.mark.parametrize("recorded", RECORDED_CHAINS, ids=lambda recorded: recorded.method)
def test_what_a_real_client_sent_through_relay_and_exit(recorded: Recorded) -> None:
    """Two identity headers: the first is for the relay, the second for the exit, which learns the user."""
    method = METHODS[recorded.method]
    (relay, shared), key = read_key_chain(method, recorded.key)
    hops, users = holders(method, exit=shared), holders(method, ann=key)
    passed = relay_head(method, relay, hops, recorded.stream)
    assert passed is not None
    server = server_stream(method, shared, salt_store(method), users)
    assert server.feed(passed[1], recorded.stream_at) == [Opened(TARGET, "ann"), b"first bytes"]
    _, _, packet = DatagramRelay(relay, hops).forward(recorded.datagram)
    request = server_datagrams(method, shared, users=users).open(packet, recorded.datagram_at)
    assert (request.user, request.target, request.payload) == ("ann", TARGET, b"a datagram")


@every
def test_who_is_not_in_the_table_is_an_unknown_user(method: Method) -> None:
    shared, ann, stranger = fresh(method, 3)
    users = holders(method, ann=ann)
    for chain in ((stranger, (shared,)), (ann, (stranger,)), (shared, ())):
        # A client without identity headers sends less: pad it to what an exit with users waits for.
        wire = client_stream(method, *chain).open(TARGET, bytes(100), NOW)
        server = server_stream(method, shared, salt_store(method), users)
        with pytest.raises(ProtocolError) as raised:
            server.feed(wire, NOW)
        assert (raised.value.reason, server.opened) == ("unknown-user", False)
        with pytest.raises(ProtocolError) as raised:
            relay_head(method, shared, users, wire)
        assert raised.value.reason == "unknown-user"
        packet = client_datagrams(method, *chain).seal(TARGET, bytes(100), NOW)
        with pytest.raises(ProtocolError) as raised:
            server_datagrams(method, shared, users=users).open(packet, NOW)
        assert raised.value.reason == "unknown-user"
        with pytest.raises(ProtocolError) as raised:
            DatagramRelay(shared, users).forward(packet)
        assert raised.value.reason == "unknown-user"


@every
def test_naming_another_user_does_not_open_his_door(method: Method) -> None:
    """Every user knows the identity key, and may learn the hash of another's key; not the key."""
    shared, ann, bob = fresh(method, 3)
    users = holders(method, ann=ann, bob=bob)
    forged = bytearray(client_stream(method, bob, (shared,)).open(TARGET, b"query", NOW))
    salt = bytes(forged[: method.salt_size])
    honest = client_stream(method, ann, (shared,))
    honest._salt = salt  # type: ignore[attr-defined]  # the same salt gives the header that names ann
    at = slice(method.salt_size, method.salt_size + 16)
    forged[at] = honest.open(TARGET, b"", NOW)[at]
    with pytest.raises(ProtocolError) as raised:
        server_stream(method, shared, salt_store(method), users).feed(bytes(forged), NOW)
    assert raised.value.reason == "authentication"


@every
def test_a_session_id_taken_from_another_user_is_a_session_of_its_own(method: Method) -> None:
    shared, ann, bob = fresh(method, 3)
    server = server_datagrams(method, shared, users=holders(method, ann=ann, bob=bob))
    victim, thief = client_datagrams(method, ann, (shared,)), client_datagrams(method, bob, (shared,))
    thief._session = victim._session  # type: ignore[attr-defined]  # both can read it: all know the identity key
    stolen = server.open(thief.seal(TARGET, b"mine", NOW), NOW)
    owned = server.open(victim.seal(TARGET, b"query", NOW), NOW)  # the same packet ID, and no replay
    assert (stolen.user, owned.user) == ("bob", "ann")
    assert stolen.session != owned.session
    assert victim.open(server.seal(owned.session, TARGET, b"answer", NOW), NOW).payload == b"answer"
    with pytest.raises(ProtocolError, match="authenticate"):
        thief.open(server.seal(owned.session, TARGET, b"answer", NOW), NOW)


@every
def test_a_user_who_was_taken_out_sends_no_more(method: Method) -> None:
    shared, ann, bob = fresh(method, 3)
    server = server_datagrams(method, shared, users=holders(method, ann=ann, bob=bob))
    first, second = client_datagrams(method, ann, (shared,)), client_datagrams(method, bob, (shared,))
    kept = server.open(second.seal(TARGET, b"1", NOW), NOW).session
    server.open(first.seal(TARGET, b"1", NOW), NOW)
    server.replace_users(holders(method, bob=bob))  # type: ignore[attr-defined]  # the codec of an exit with users
    with pytest.raises(ProtocolError) as raised:
        server.open(first.seal(TARGET, b"2", NOW), NOW)
    assert raised.value.reason == "unknown-user"
    assert server.open(second.seal(TARGET, b"2", NOW), NOW).session == kept


@every
def test_a_replay_is_one_whoever_sent_it(method: Method) -> None:
    shared, ann = fresh(method, 2)
    users, salts = holders(method, ann=ann), salt_store(method)
    head = client_stream(method, ann, (shared,)).open(TARGET, b"query", NOW)
    assert server_stream(method, shared, salts, users).feed(head, NOW)
    with pytest.raises(ProtocolError) as raised:
        server_stream(method, shared, salts, users).feed(head, NOW + 1)
    assert raised.value.reason == "replay"
    server, packet = (
        server_datagrams(method, shared, users=users),
        client_datagrams(method, ann, (shared,)).seal(TARGET, b"query", NOW),
    )
    assert server.open(packet, NOW).user == "ann"
    with pytest.raises(ProtocolError) as raised:
        server.open(packet, NOW + 1)
    assert raised.value.reason == "replay"


@settings(max_examples=150, deadline=None)
@given(methods, st.binary(max_size=160))
def test_hostile_bytes_raise_only_protocol_errors(method: Method, data: bytes) -> None:
    """With overwhelming probability they name nobody; too few of them name nobody yet."""
    key = bytes(method.key_size)
    users = holders(method, ann=key)
    server = server_stream(method, key, salt_store(method), users)
    enough = method.salt_size + 16 + 27
    if len(data) < enough:
        assert server.feed(data, NOW) == []
        assert not server.begun
        assert relay_head(method, key, users, data) is None
    else:
        with pytest.raises(ProtocolError, match="names no user"):
            server.feed(data, NOW)
        with pytest.raises(ProtocolError, match="names no user"):
            relay_head(method, key, users, data)
    reason = "too-short" if len(data) < 48 else "unknown-user"
    for opened in (
        server_datagrams(method, key, users=users).open,
        lambda packet, _: DatagramRelay(key, users).forward(packet),
    ):
        with pytest.raises(ProtocolError) as raised:
            opened(data, NOW)
        assert raised.value.reason == reason


def test_an_identity_is_the_head_of_the_hash() -> None:
    """BLAKE3 of no bytes, from the test vectors of its specification."""
    assert identity_of(b"").hex() == "af1349b9f5f9a1a6a0404dea36dcc949"
