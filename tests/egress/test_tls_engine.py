"""TLS without I/O, against OpenSSL's server: who is taken, what is said of the others, and that chunking is nothing."""

from __future__ import annotations

import datetime
import os
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certs.authorities import load_authorities
from certs.contexts import client_context, load_identity
from certs.pins import parse_pin
from proxy.egress.tls.engine import TlsEngine, Wanted
from proxy.errors import PrimaryError, ProxyError, TunnelError
from tests.egress.tls_peer import ServerEnd, server_context
from tests.support.certificates import Authority, Issued

NAME = "ns.primary.example"
DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def primary(authority: Authority) -> Issued:
    return authority.issue(NAME)


def by_name(authority: Authority) -> ssl.SSLContext:
    return client_context(authorities=load_authorities(authority.file), alpn="dot")


def wanted(name: str | None = NAME, *pins: str, alpn: str | None = "dot") -> Wanted:
    return Wanted("primary p", name, frozenset(map(parse_pin, pins)), alpn)


def shake(engine: TlsEngine, server: ServerEnd) -> list[bytes]:
    """Both sides until neither has anything to say; the payload that came meanwhile."""
    payload, out = [], engine.start()
    while out:
        payload += engine.feed(server.feed(out))
        out = engine.take()
    return payload


def outcome(engine: TlsEngine, server: ServerEnd) -> str:
    shake(engine, server)
    return "ready" if engine.failure is None else engine.failure.reason


def test_the_right_one_is_taken_and_what_both_say_arrives(authority: Authority, primary: Issued) -> None:
    engine, server = TlsEngine(by_name(authority), wanted()), ServerEnd(server_context(primary))
    assert outcome(engine, server) == "ready"
    engine.send(b"query" * 10_000)
    server.feed(engine.take())
    assert server.got == b"query" * 10_000
    assert b"".join(engine.feed(server.send(b"answer" * 10_000))) == b"answer" * 10_000
    assert not engine.ended
    assert engine.feed(server.end() + b"more") == []
    assert engine.ended
    engine.eof()
    assert (server.tls.version(), server.tls.selected_alpn_protocol()) == ("TLSv1.3", "dot")


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        ({"host": "other.example"}, "tls-wrong-name"),
        ({"host": "192.0.2.1"}, "tls-wrong-name"),
        ({"host": NAME, "lasts": -DAY, "began": -2 * DAY}, "tls-expired"),
        ({"host": NAME, "lasts": 2 * DAY, "began": DAY}, "tls-not-yet-valid"),
    ],
)
def test_a_certificate_that_does_not_hold(authority: Authority, shown: dict[str, object], reason: str) -> None:
    issued = authority.issue(file="bad", **shown)  # type: ignore[arg-type]  # by name
    engine, server = TlsEngine(by_name(authority), wanted()), ServerEnd(server_context(issued))
    assert outcome(engine, server) == reason
    assert isinstance(engine.failure, PrimaryError)
    assert server.got == b""
    assert not engine.ready


def test_authorities_are_those_named_roots_or_not(tmp_path: Path, authority: Authority, primary: Issued) -> None:
    middle = Authority(tmp_path, "middle", authority)
    below = middle.issue(NAME)
    cases = [
        (authority, below, "ready"),
        (middle, below, "ready"),
        (middle, primary, "tls-unknown-authority"),
        (Authority(tmp_path / "other", "other"), primary, "tls-unknown-authority"),
    ]
    found = [
        outcome(TlsEngine(by_name(trusted), wanted()), ServerEnd(server_context(shown))) for trusted, shown, _ in cases
    ]
    assert found == [reason for _, _, reason in cases]
    system = TlsEngine(client_context(alpn="dot"), wanted())
    assert outcome(system, ServerEnd(server_context(primary))) == "tls-unknown-authority"


def test_an_address_can_be_the_name(authority: Authority) -> None:
    server = ServerEnd(server_context(authority.issue("192.0.2.7")))
    assert outcome(TlsEngine(by_name(authority), wanted("192.0.2.7")), server) == "ready"


def test_a_pin_alone_or_beside_the_name(tmp_path: Path, authority: Authority, primary: Issued) -> None:
    reserve = authority.issue(NAME, file="reserve").pin
    stranger = Authority(tmp_path, "stranger").issue("who.knows.example")
    blind = client_context(by_name=False, alpn="dot")

    def meet(context: ssl.SSLContext, want: Wanted, shown: Issued) -> str:
        return outcome(TlsEngine(context, want), ServerEnd(server_context(shown)))

    assert meet(blind, wanted(None, stranger.pin), stranger) == "ready"
    assert meet(blind, wanted(NAME, reserve, stranger.pin), stranger) == "ready"
    assert meet(by_name(authority), wanted(NAME, primary.pin, reserve), primary) == "ready"
    assert meet(by_name(authority), wanted(NAME, stranger.pin), stranger) == "tls-unknown-authority"
    engine, server = TlsEngine(blind, wanted(None, reserve)), ServerEnd(server_context(primary))
    assert outcome(engine, server) == "tls-wrong-pin"
    assert primary.pin in str(engine.failure)


def test_nothing_of_us_is_shown_to_one_with_a_wrong_pin(authority: Authority, primary: Issued) -> None:
    ours = authority.issue("gateway.example")
    context = client_context(by_name=False, identity=load_identity(ours.file, ours.key), alpn="dot")
    engine = TlsEngine(context, wanted(None, ours.pin))
    server = ServerEnd(server_context(primary, clients=authority.file))
    assert outcome(engine, server) == "tls-wrong-pin"
    assert engine.take() == b""
    with pytest.raises(ValueError, match="handshake not done"):
        server.tls.getpeercert()


def test_without_alpn_it_is_not_dns_unless_that_is_borne_with(authority: Authority, primary: Issued) -> None:
    context = by_name(authority)
    assert outcome(TlsEngine(context, wanted()), ServerEnd(server_context(primary, alpn=()))) == "tls-no-alpn"
    assert outcome(TlsEngine(context, wanted(alpn=None)), ServerEnd(server_context(primary, alpn=()))) == "ready"


def test_one_without_tls_1_3(authority: Authority, primary: Issued) -> None:
    server = ServerEnd(server_context(primary, highest=ssl.TLSVersion.TLSv1_2))
    assert outcome(TlsEngine(by_name(authority), wanted()), server) == "tls-version"


@pytest.mark.parametrize("ours", ["none", "another authority's", "right"])
def test_one_that_wants_our_certificate(tmp_path: Path, authority: Authority, primary: Issued, ours: str) -> None:
    issuer = {"none": None, "right": authority}.get(ours, Authority(tmp_path, "another"))
    issued = issuer.issue("gateway.example") if issuer is not None else None
    identity = load_identity(issued.file, issued.key) if issued is not None else None
    context = client_context(authorities=load_authorities(authority.file), identity=identity, alpn="dot")
    engine, server = TlsEngine(context, wanted()), ServerEnd(server_context(primary, clients=authority.file))
    assert outcome(engine, server) == ("ready" if ours == "right" else "tls-client-refused")


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\x1d" + bytes(29),
        os.urandom(3000),
        b"\x16\x03\x03\xff\xff" + bytes(9),
    ],
    ids=["http", "plain-dns", "random", "length"],
)
def test_what_is_no_tls_is_the_peers_fault(authority: Authority, garbage: bytes) -> None:
    engine = TlsEngine(by_name(authority), wanted())
    engine.start()
    assert engine.feed(garbage) == []
    assert isinstance(engine.failure, PrimaryError)
    assert engine.failure.reason in {"tls-not-tls", "tls-malformed", "tls-alert"}


def test_bytes_changed_on_the_way_are_noticed_behind_what_was_right(authority: Authority, primary: Issued) -> None:
    engine, server = TlsEngine(by_name(authority), wanted()), ServerEnd(server_context(primary))
    shake(engine, server)
    good, bad = server.send(b"good"), bytearray(server.send(b"bad"))
    bad[-1] ^= 1
    assert engine.feed(good + bad + server.send(b"more")) == [b"good"]
    assert isinstance(engine.failure, TunnelError)
    assert engine.failure.reason == "tls-changed"


def test_an_end_without_close_notify_is_a_cut(authority: Authority, primary: Issued) -> None:
    silent = TlsEngine(by_name(authority), wanted())
    with pytest.raises(TunnelError) as nothing:
        silent.eof()
    silent.feed(b"\x16")
    with pytest.raises(TunnelError) as some:
        silent.eof()
    engine, server = TlsEngine(by_name(authority), wanted()), ServerEnd(server_context(primary))
    shake(engine, server)
    with pytest.raises(TunnelError) as behind:
        engine.eof()
    engine.feed(server.send(b"begun"))
    with pytest.raises(TunnelError) as within:
        engine.eof()
    reasons = [error.value.reason for error in (nothing, some, behind, within)]
    assert reasons == ["closed", "tls-handshake-cut", "tls-closed", "cut"]


def run_in_chunks(context: ssl.SSLContext, server: ServerEnd, sizes: Sequence[int], payload: bytes) -> list[object]:
    """A conversation in which the server's bytes arrive in chunks of these sizes, over and over."""
    engine = TlsEngine(context, wanted())
    waiting, came, place = server.feed(engine.start()), bytearray(), 0
    sent = False
    while waiting:
        size = sizes[place % len(sizes)]
        place += 1
        for piece in engine.feed(waiting[:size]):
            came += piece
        waiting = waiting[size:] + server.feed(engine.take())
        if engine.ready and not sent:
            sent = True
            waiting += server.send(payload) + server.end()
    return [engine.ready, engine.ended, engine.failure and engine.failure.reason, bytes(came)]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=8), length=st.integers(0, 70_000))
def test_any_chunking_gives_the_same(sizes: list[int], length: int, authority: Authority, primary: Issued) -> None:
    payload = (bytes(range(256)) * 300)[:length] or b"x"
    server = ServerEnd(server_context(primary))
    assert run_in_chunks(by_name(authority), server, sizes, payload) == [True, True, None, payload]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.integers(0, 4000),
    change=st.integers(1, 255),
    cut=st.booleans(),
    sizes=st.lists(st.integers(1, 3000), min_size=1),
)
def test_no_change_on_the_way_gives_other_payload(
    place: int, change: int, cut: bool, sizes: list[int], authority: Authority, primary: Issued
) -> None:
    """One byte changed, or all behind it cut, anywhere in what the server sends: a named error, never wrong bytes."""
    engine, server = TlsEngine(by_name(authority), wanted()), ServerEnd(server_context(primary))
    waiting, payload = bytearray(server.feed(engine.start())), b"payload" * 200
    came, sent, count = bytearray(), False, 0
    while waiting and engine.failure is None:
        size = sizes[count % len(sizes)]
        chunk = bytearray(waiting[:size])
        del waiting[:size]
        if 0 <= place < len(chunk):
            if cut:
                chunk, waiting = chunk[:place], bytearray()
            else:
                chunk[place] ^= change
        place -= size
        count += 1
        came += b"".join(engine.feed(bytes(chunk)))
        waiting += server.feed(engine.take()) if place >= 0 or not cut else b""
        if engine.ready and not sent and place >= 0:
            sent = True
            waiting += server.send(payload) + server.end()
    assert payload.startswith(came)
    if engine.failure is not None:
        assert isinstance(engine.failure, ProxyError)
        assert engine.failure.reason
    elif not engine.ended:
        with pytest.raises(TunnelError):
            engine.eof()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(st.binary(min_size=1, max_size=2000), min_size=1, max_size=5))
def test_no_bytes_raise_anything(data: list[bytes], authority: Authority) -> None:
    engine = TlsEngine(by_name(authority), wanted())
    engine.start()
    assert [engine.feed(piece) for piece in data] == [[] for _ in data]
    assert not engine.ready
