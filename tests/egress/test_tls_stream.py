"""The stream between tunnel and user, on a wire that the test holds: order, flow control, and every kind of end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from certs.authorities import load_authorities
from certs.contexts import client_context
from proxy.egress.counters import TunnelCounters
from proxy.egress.tls.client import TlsClient
from proxy.egress.tls.engine import TlsEngine, Wanted
from proxy.egress.tls.stream import UNREAD, TlsStream
from proxy.egress.tunnel import Datagrams
from proxy.errors import ProxyError, TunnelError
from proxy.values import Endpoint
from tests.egress.ring import Events, fresh_endpoint
from tests.egress.tls_peer import ServerEnd, server_context
from tests.support.certificates import Authority
from tests.support.peers import auntil

NAME = "ns.primary.example"


class Wire(asyncio.Transport):
    """The stream of a tunnel: keeps what is written, and is told what comes."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.calls: list[str] = []
        self.waiting = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")

    def is_closing(self) -> bool:
        return "close" in self.calls or "abort" in self.calls

    def take(self) -> bytes:
        """What was written since."""
        data = b"".join(self.written)
        self.written.clear()
        return data


@dataclass
class User(asyncio.Protocol):
    """Writes down what happens to it."""

    stays: bool = False
    calls: list[str] = field(default_factory=list)
    got: list[bytes] = field(default_factory=list)
    error: Exception | None = None
    stream: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.stream = cast("asyncio.Transport", transport)
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        self.got.append(data)

    def eof_received(self) -> bool:
        self.calls.append("eof")
        return self.stays

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")
        self.error = exc


@dataclass
class Case:
    """A stream with its user above, its wire below, and the server at the other end."""

    user: User
    engine: TlsEngine
    stream: TlsStream
    wire: Wire
    server: ServerEnd

    def shake(self) -> None:
        """Both sides until neither has anything to say."""
        data = self.server.feed(self.engine.start())
        while data:
            self.stream.data_received(data)
            data = self.server.feed(self.wire.take())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def case(authority: Authority) -> Case:
    context = client_context(authorities=load_authorities(authority.file), alpn="dot")
    engine = TlsEngine(context, Wanted("primary p", NAME, frozenset(), "dot"))
    user, wire = User(), Wire()
    stream = TlsStream(user, engine, "primary p", b"first query")
    stream.connection_made(wire)
    return Case(user, engine, stream, wire, ServerEnd(server_context(authority.issue(NAME))))


async def test_the_first_query_leaves_in_one_write_with_the_end_of_the_handshake(case: Case) -> None:
    flight = case.server.feed(case.engine.start())
    assert case.user.calls == []
    case.stream.data_received(flight)
    assert len(case.wire.written) == 1
    case.server.feed(case.wire.take())
    assert case.server.got == b"first query"
    assert case.user.calls == ["made"]
    assert case.stream.ready.done()


async def test_flow_control_passes_both_ways(case: Case) -> None:
    case.stream.pause_writing()
    case.shake()
    assert case.user.calls == ["made"], "before it is connected, it writes nothing"
    case.stream.pause_writing()
    case.stream.resume_writing()
    assert case.user.calls == ["made", "pause", "resume"]
    case.stream.pause_reading()
    case.stream.resume_reading()
    assert case.wire.calls == ["pause", "resume"]


async def test_one_read_of_the_tunnel_is_one_piece_for_the_user(case: Case) -> None:
    case.shake()
    payload = bytes(range(256)) * 1000
    case.stream.data_received(case.server.send(payload))
    assert case.user.got == [payload]


@pytest.mark.parametrize("stays", [False, True])
async def test_the_end_that_tls_announces_is_an_end(case: Case, stays: bool) -> None:
    case.user.stays = stays
    case.shake()
    case.stream.data_received(case.server.send(b"last") + case.server.end())
    assert (case.user.got, case.user.calls) == ([b"last"], ["made", "eof"])
    assert case.wire.calls == ([] if stays else ["close"])
    assert case.stream.eof_received() is None
    case.stream.connection_lost(None)
    assert (case.user.calls[-1], case.user.error) == ("lost", None)


async def test_an_end_without_a_word_is_an_error_and_what_came_before_was_passed(case: Case) -> None:
    case.shake()
    case.stream.data_received(case.server.send(b"half"))
    case.stream.eof_received()
    case.stream.connection_lost(None)
    assert case.user.got == [b"half"]
    assert isinstance(case.user.error, TunnelError)
    assert case.user.error.reason == "cut"


async def test_what_the_tunnel_knows_of_its_end_is_told(case: Case) -> None:
    case.shake()
    case.stream.connection_lost(TunnelError("the connection broke", "broken"))
    assert isinstance(case.user.error, ProxyError)
    assert case.user.error.reason == "broken"


async def test_closing_says_so_and_then_nothing_is_passed_or_written_any_more(case: Case) -> None:
    case.shake()
    case.stream.close()
    case.stream.close()
    case.stream.write(b"too late")
    case.stream.data_received(case.server.send(b"too late"))
    case.server.feed(case.wire.take())
    assert case.server.ended
    assert (case.wire.calls, case.user.got) == (["close"], [])
    assert case.stream.is_closing()
    case.stream.connection_lost(None)
    assert (case.user.calls, case.user.error) == (["made", "lost"], None)


async def test_aborting_is_silent(case: Case) -> None:
    case.shake()
    case.stream.abort()
    case.stream.connection_lost(None)
    assert (case.wire.take(), case.wire.calls, case.user.error) == (b"", ["abort"], None)


async def test_one_that_makes_us_answer_and_does_not_read_is_given_up(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers to key updates, which Python's server can't send: any bytes stand for them."""
    case.shake()
    monkeypatch.setattr(case.engine, "take", lambda: b"answer")
    case.wire.waiting = UNREAD
    case.stream.data_received(case.server.send(b"x"))
    assert case.wire.calls == []
    case.wire.waiting = UNREAD + 1
    case.stream.data_received(case.server.send(b"x"))
    assert case.wire.calls == ["close"]
    case.stream.connection_lost(None)
    assert isinstance(case.user.error, ProxyError)
    assert case.user.error.reason == "tls-flood"


class WireTunnel:
    """A tunnel whose streams are wires."""

    def __init__(self) -> None:
        self.counters = TunnelCounters("wire")
        self.carries_udp = False
        self.wire = Wire()
        self.first = b""
        self.stream: TlsStream | None = None

    async def open_stream(self, target: Endpoint, protocol: asyncio.Protocol, first: bytes = b"") -> asyncio.Transport:
        self.first, self.stream = first, cast("TlsStream", protocol)
        protocol.connection_made(self.wire)
        return self.wire

    async def open_datagrams(self, target: Endpoint) -> Datagrams:
        raise TunnelError("no datagrams", "unreachable")


async def test_the_handshake_begins_in_the_header_of_the_tunnel_and_who_gives_up_leaves_nothing(
    authority: Authority,
) -> None:
    context = client_context(authorities=load_authorities(authority.file), alpn="dot")
    tunnel, events = WireTunnel(), Events()
    client = TlsClient(context, Wanted("primary p", NAME), timeout=5.0, emit=events)
    opening = asyncio.create_task(client.open(tunnel, fresh_endpoint(), User(), b"query"))
    await auntil(lambda: tunnel.stream is not None)
    assert tunnel.first[0] == 22, "a handshake record (RFC 8446 section 5.1)"
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert tunnel.wire.calls == ["abort"]
    assert (client.counters.failures, events.seen) == ({}, []), "nobody is at fault"


async def test_a_ticket_is_used_once_and_not_beyond_the_certificate(authority: Authority) -> None:
    context = client_context(authorities=load_authorities(authority.file), alpn="dot")
    now, shown = [0.0], server_context(authority.issue(NAME))
    client = TlsClient(context, Wanted("primary p", NAME), timeout=5.0, clock=lambda: now[0])

    async def meet(*, answered: bool) -> bool:
        tunnel, server, user = WireTunnel(), ServerEnd(shown), User()
        opening = asyncio.create_task(client.open(tunnel, fresh_endpoint(), user))
        await auntil(lambda: tunnel.stream is not None)
        assert tunnel.stream is not None
        data = server.feed(tunnel.first)
        while data:
            tunnel.stream.data_received(data)
            data = server.feed(tunnel.wire.take())
        await opening
        if answered:
            tunnel.stream.data_received(server.send(b"x"))
        tunnel.stream.abort()
        tunnel.stream.connection_lost(None)
        return bool(server.tls.session_reused)

    assert [await meet(answered=True), await meet(answered=False), await meet(answered=True)] == [False, True, False]
    now[0] = authority.certificate.not_valid_after_utc.timestamp() + 60
    assert await meet(answered=True) is False
    assert (client.counters.handshakes, client.counters.resumed) == (4, 1)


async def test_what_breaks_tls_right_behind_the_handshake_is_an_error_of_the_opening(case: Case) -> None:
    """The peer's flight and bytes that don't authenticate come in one read, with a query to be sent."""
    flight = case.server.feed(case.engine.start())
    case.stream.data_received(flight + b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(ProxyError) as raised:
        await case.stream.ready
    assert raised.value.reason == "tls-changed"
    assert case.user.calls == []
    case.stream.connection_lost(None)
    assert case.user.calls == []
