"""From where primaries see what comes through a tunnel: reading answers, and comparing them with the configuration."""

from __future__ import annotations

import contextlib

import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.egress.pool.exit_checks import AT_ONCE
from proxy.egress.pool.whoami import MOST, read_whoami, whoami_query
from proxy.egress.service import EgressService
from proxy.errors import PrimaryError
from proxy.settings import EgressSettings, Tunnel, Whoami
from proxy.values import Endpoint, Network, Secret
from tests.egress.ring import Events, fresh_endpoint, running
from tests.egress.scripted_primary import ScriptedPrimary
from tests.support.peers import auntil

SETTINGS = Whoami(address=fresh_endpoint(), name="whoami.example", interval=0.02)
QUERY = whoami_query(SETTINGS)


def answer(query: bytes, *records: str) -> bytes:
    """An answer with these records, each a type and its data."""
    reply = dns.message.make_response(dns.message.from_wire(query))
    for record in records:
        kind, _, data = record.partition(" ")
        reply.answer.append(dns.rrset.from_text(reply.question[0].name, 60, "IN", kind, data))
    return reply.to_wire()


def test_addresses_are_read_and_other_strings_left_out() -> None:
    reply = answer(
        QUERY, 'TXT "203.0.113.7" "edns0-client-subnet 198.51.100.0/24"', "AAAA 2001:db8::7", "A 203.0.113.7"
    )
    assert [str(each) for each in read_whoami(reply)] == ["203.0.113.7", "2001:db8::7"]
    many = answer(QUERY, *(f"A 203.0.113.{number}" for number in range(20)))
    assert len(read_whoami(many)) == MOST


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", "malformed"),
        (QUERY[:9], "malformed"),
        (answer(QUERY), "no-address"),
        (answer(QUERY, 'TXT "none of your business"'), "no-address"),
        (answer(QUERY, "MX 1 203.0.113.7."), "no-address"),
    ],
)
def test_what_is_no_answer_is_named(message: bytes, reason: str) -> None:
    with pytest.raises(PrimaryError) as caught:
        read_whoami(message)
    assert caught.value.reason == reason


def test_an_error_of_the_server_is_named() -> None:
    refused = dns.message.make_response(dns.message.from_wire(QUERY))
    refused.set_rcode(dns.rcode.REFUSED)
    with pytest.raises(PrimaryError, match="REFUSED"):
        read_whoami(refused.to_wire())


@given(
    st.binary(max_size=80).map(lambda junk: answer(QUERY, 'TXT "203.0.113.7"')[: 120 - len(junk)] + junk) | st.binary()
)
def test_no_bytes_raise_anything_but_the_declared_error(message: bytes) -> None:
    found = []
    with contextlib.suppress(PrimaryError):
        found = list(read_whoami(message))
    assert len(found) <= MOST


def settings(server: Endpoint, *declared: str) -> EgressSettings:
    """A tunnel whose exit is this machine."""
    whoami = Whoami(address=server, name="whoami.example", interval=0.02)
    networks = tuple(map(Network.parse, declared))
    return EgressSettings(
        tunnels=(Tunnel(name="fra", url=Secret("direct://"), exit_addresses=networks, whoami=whoami),)
    )


def state(service: EgressService) -> tuple[str, tuple[str, ...]]:
    (found,) = service.status().exit_addresses
    return found.state, found.seen


async def test_what_the_server_sees_is_compared_and_a_change_is_told_once() -> None:
    # The server answers with the address from which the connection comes, as the real ones do.
    def asker(query: bytes) -> list[bytes]:
        (connection,) = server.connections
        return [answer(query, f'TXT "{connection.get_extra_info("peername")[0]}"')]

    async with ScriptedPrimary(asker) as server:
        events = Events()
        async with running(settings(server.endpoint, "127.0.0.0/8"), events) as service:
            await auntil(lambda: state(service) == ("verified", ("127.0.0.1",)))
            assert events.named("tunnel.exit-address") == [
                {"tunnel": "fra", "seen": ["127.0.0.1"], "state": "verified"}
            ]
            server.script = lambda query: [answer(query, 'TXT "203.0.113.7"')]
            await auntil(lambda: state(service) == ("mismatch", ("203.0.113.7",)))
            seen = len(server.asked_tcp)
            await auntil(lambda: len(server.asked_tcp) > seen + 2)
            (told,) = events.named("tunnel.exit-mismatch")
            assert (told["seen"], told["declared"]) == (["203.0.113.7"], ["127.0.0.0/8"])
            await service.reload(settings(server.endpoint, "203.0.113.0/24"), ())
            await auntil(lambda: state(service) == ("verified", ("203.0.113.7",)))
            server.script = lambda query: []
            for connection in tuple(server.connections):
                connection.abort()
    assert state(service)[0] == "verified"


async def test_without_declared_addresses_the_one_seen_is_learned() -> None:
    script = lambda query: [answer(query, "A 203.0.113.7")]  # noqa: E731 - one line is enough
    async with ScriptedPrimary(script) as server, running(settings(server.endpoint)) as service:
        await auntil(lambda: state(service) == ("learned", ("203.0.113.7",)))
        assert server.asked_tcp


async def test_a_server_that_fails_is_asked_again_and_said_to_fail() -> None:
    script = lambda query: [answer(query)]  # noqa: E731 - one line is enough
    async with ScriptedPrimary(script) as server, running(settings(server.endpoint)) as service:
        await auntil(lambda: state(service) == ("failed", ()))
        (found,) = service.status().exit_addresses
        assert "without an address" in str(found.error)
        server.script = lambda query: [answer(query, "A 203.0.113.7")]
        await auntil(lambda: state(service)[0] == "learned")


async def test_without_the_setting_nothing_is_asked() -> None:
    only = EgressSettings(tunnels=(Tunnel(name="fra", url=Secret("direct://")),))
    async with running(only) as service:
        assert state(service) == ("off", ())


async def test_of_many_tunnels_only_some_are_asked_about_at_a_time() -> None:
    async with ScriptedPrimary(lambda query: []) as server:
        whoami = Whoami(address=server.endpoint, name="whoami.example")
        names = [f"t{number}" for number in range(3 * AT_ONCE)]
        tunnels = tuple(Tunnel(name=name, url=Secret("direct://"), whoami=whoami) for name in names)
        async with running(EgressSettings(tunnels=tunnels)) as service:
            await auntil(lambda: len(server.asked_tcp) == AT_ONCE)
            assert len(server.connections) == AT_ONCE
            server.script = lambda query: [answer(query, "A 203.0.113.7")]
            for each in tuple(server.connections):
                each.abort()
            await auntil(lambda: len(server.asked_tcp) == len(names))
            await auntil(lambda: {each.state for each in service.status().exit_addresses} == {"failed", "learned"})
