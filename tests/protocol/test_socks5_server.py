"""The server's side of SOCKS5: our client against it, any chunking, and any bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ProtocolError, SetupError
from proxy.protocol.address import NamedTarget, encode_address
from proxy.protocol.socks5 import Command, Ready, Send, Socks5Client
from proxy.protocol.socks5_server import MOST, Answer, Asked, Reply, Socks5Server, Users, reply
from proxy.protocol.tunnel_urls import Socks5Address, TunnelHost
from proxy.values import Endpoint

HOST = TunnelHost("192.0.2.1", 1080)
TARGET = Endpoint.parse("203.0.113.5:53")
USERS = Users([("node", b"secret"), ("other", b"\xff" * 255)])
OPEN = Users([])


def talk(client: Socks5Client, server: Socks5Server) -> Asked:
    """Until the request is there."""
    wire = client.start()
    for _ in range(5):
        for event in server.feed(wire):
            if isinstance(event, Asked):
                return event
            sent = client.feed(event.data)
            wire = b"".join(each.data for each in sent if isinstance(each, Send))
    raise AssertionError("no request")


@pytest.mark.parametrize(
    ("users", "given_", "who"),
    [
        (OPEN, (), None),
        (USERS, (b"node", b"secret"), "node"),
        (USERS, (b"other", b"\xff" * 255), "other"),
        (OPEN, (b"node", b"secret"), None),
    ],
)
@pytest.mark.parametrize("target", [TARGET, Endpoint.parse("[2001:db8::1]:853"), NamedTarget(b"x" * 255, 53)])
def test_our_client_gets_in(users: Users, given_: tuple[bytes, ...], who: str | None, target: object) -> None:
    client = Socks5Client(Socks5Address(HOST, *given_), Command.CONNECT, target)  # type: ignore[arg-type]  # one of both
    asked = talk(client, Socks5Server(users))
    assert asked == Asked(1, target, b"", who)  # type: ignore[arg-type]  # as above
    assert client.feed(reply(Reply.GRANTED, TARGET)) == [Ready(TARGET, b"")]


@pytest.mark.parametrize("password", [b"Secret", b"secre", b"secrets", b"s"])
def test_a_wrong_password_ends_it(password: bytes) -> None:
    with pytest.raises(SetupError):
        talk(Socks5Client(Socks5Address(HOST, b"node", password), Command.CONNECT, TARGET), Socks5Server(USERS))
    server = Socks5Server(USERS)
    server.feed(b"\5\1\2")
    assert server.feed(bytes((1, 4)) + b"node" + bytes((len(password),)) + password) == [
        Answer(b"\1\1", "authentication")
    ]
    assert server.feed(b"\5\1\0\1") == []


def test_name_and_password_are_not_run_together() -> None:
    assert Users([("ab", b"c")]).find(b"a", b"bc") is None
    assert Users([("ab", b"c")]).find(b"ab", b"c") == "ab"


@pytest.mark.parametrize(("users", "hello"), [(USERS, b"\5\1\0"), (OPEN, b"\5\1\2"), (OPEN, b"\5\0")])
def test_without_a_method_that_fits_nobody_gets_in(users: Users, hello: bytes) -> None:
    assert Socks5Server(users).feed(hello) == [Answer(b"\5\xff", "no-method")]


@pytest.mark.parametrize("wire", [b"\4\1", b"GET / HTTP/1.1\r\n", b"\5\1\0\4"])
def test_what_is_no_socks5_is_an_error(wire: bytes) -> None:
    with pytest.raises(ProtocolError):
        Socks5Server(OPEN).feed(wire)


def test_an_unknown_type_of_address_is_refused() -> None:
    answers = Socks5Server(OPEN).feed(b"\5\1\0" + b"\5\1\0\2")
    assert answers[1] == Answer(b"\5\x08\0\1" + bytes(6), "address-type")


@given(st.sampled_from([1, 2, 3, 9]), st.binary(max_size=40), st.lists(st.integers(1, 20), max_size=40))
def test_any_chunking_gives_the_same_events(command: int, rest: bytes, cuts: list[int]) -> None:
    wire = b"\5\2\0\2" + b"\1\4node\6secret" + bytes((5, command, 0)) + encode_address(TARGET) + rest
    whole, server, pieces, at = Socks5Server(USERS).feed(wire), Socks5Server(USERS), [], 0
    for cut in [*cuts, len(wire)]:
        pieces += server.feed(wire[at : at + cut])
        at += cut
        if any(isinstance(event, Asked) for event in pieces):
            break
    assert [event for event in pieces if isinstance(event, Answer)] == whole[:2]
    asked = pieces[-1]
    assert isinstance(asked, Asked)
    assert asked.rest + wire[at:] == rest
    assert (asked.command, asked.target, asked.user) == (command, TARGET, "node")


@given(st.lists(st.binary(max_size=600), max_size=5), st.booleans())
def test_any_bytes_are_events_or_the_error_and_little_is_kept(chunks: list[bytes], closed: bool) -> None:
    server, reason = Socks5Server(USERS if closed else OPEN), "none"
    try:
        for chunk in chunks:
            server.feed(chunk)
            assert len(server._buffer) <= MOST
    except ProtocolError as error:
        reason = error.reason
    assert reason in {"none", "malformed", "bad-address"}
