"""Users of our exit that are other programs: shadowsocks-rust with identity headers, -libev as the one user."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from pathlib import Path

import dns.message
import pytest

from proxy.settings import Exit
from tests.egress.ring import ask_tcp, ask_udp, exit_status, fresh_endpoint
from tests.egress.scripted_primary import ScriptedPrimary, soa_answer
from tests.egress.users import user, users_exit
from tests.support import tunnels
from tests.support.peers import auntil

SOA = dns.message.make_query("example.com", "SOA").to_wire()
AXFR = dns.message.make_query("example.com", "AXFR").to_wire()
MESSAGES = [AXFR[:12] + os.urandom(16_000) for _ in range(32)]  # half a megabyte


def script(query: bytes) -> list[bytes]:
    return MESSAGES if query == AXFR else soa_answer(query)


def password(settings: Exit, name: str) -> str:
    """As an operator would write it: the identity key, if there is one, and the user's."""
    (own,) = (each.key.reveal() for each in settings.users if each.name == name)
    return own if settings.key is None else f"{settings.key.reveal()}:{own}"


@pytest.mark.parametrize("method", ["2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm"])
async def test_users_that_run_shadowsocks_rust(method: str, tmp_path: Path) -> None:
    async with ScriptedPrimary(script) as primary:
        people = [user("berlin", method, bytes_per_second=5_000_000, bytes_burst=100_000), user("oslo", method)]
        async with users_exit(method, people, [primary.endpoint]) as (settings, service):
            with ExitStack() as stack:
                places = {}
                for name in ("berlin", "oslo"):
                    places[name] = fresh_endpoint()
                    child = tunnels.rust_tunnel(
                        tmp_path, places[name], settings.listen, primary.endpoint, method, password(settings, name)
                    )
                    await asyncio.to_thread(stack.enter_context, tunnels.listening(child, places[name]))
                for place in places.values():
                    assert await ask_tcp(place, AXFR, answers=len(MESSAGES)) == MESSAGES
                    assert await ask_udp(place, SOA) == soa_answer(SOA)[0]
                berlin, oslo = exit_status(service).users
                assert (berlin.throttled > 0, oslo.throttled) == (True, 0)
                assert berlin.bytes_out > 500_000 < oslo.bytes_out
                assert (berlin.datagrams_out, oslo.datagrams_out) == (1, 1)
            assert set(exit_status(service).rejects) <= {"handshake-timeout"}


@pytest.mark.parametrize(
    ("client", "method"),
    [(tunnels.libev_tunnel, "aes-256-gcm"), (tunnels.rust_tunnel, "2022-blake3-chacha20-poly1305")],
    ids=["libev", "rust"],
)
async def test_the_one_user_of_a_method_without_identity(client: object, method: str, tmp_path: Path) -> None:
    async with (
        ScriptedPrimary(script) as primary,
        users_exit(method, [user("only", method)], [primary.endpoint], key=None) as (settings, service),
    ):
        place = fresh_endpoint()
        with ExitStack() as stack:
            child = client(tmp_path, place, settings.listen, primary.endpoint, method, password(settings, "only"))  # type: ignore[operator]  # a launcher
            await asyncio.to_thread(stack.enter_context, tunnels.listening(child, place))
            assert await ask_tcp(place, AXFR, answers=len(MESSAGES)) == MESSAGES
            assert await ask_udp(place, SOA) == soa_answer(SOA)[0]
        (only,) = exit_status(service).users
        assert only.streams_total >= 1
        assert only.bytes_out > 500_000


async def test_a_former_user_that_runs_shadowsocks_rust_gets_nothing(tmp_path: Path) -> None:
    method = "2022-blake3-aes-256-gcm"
    async with (
        ScriptedPrimary(script) as primary,
        users_exit(method, [user("now", method)], [primary.endpoint], handshake_timeout=0.3) as (settings, service),
    ):
        assert settings.key is not None
        former = f"{settings.key.reveal()}:{user('former', method).key.reveal()}"
        place = fresh_endpoint()
        with ExitStack() as stack:
            child = tunnels.rust_tunnel(tmp_path, place, settings.listen, primary.endpoint, method, former)
            await asyncio.to_thread(stack.enter_context, tunnels.listening(child, place))
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await ask_tcp(place, SOA)
        await auntil(lambda: exit_status(service).rejects.get("unknown-user", 0) >= 1)
        assert primary.accepted == 0
