"""The admin API: who may ask what, and that hostile HTTP gets nowhere."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest import mock

import httpx
import msgspec
import pytest

from gateway import admin
from gateway.admin import LONGEST_BODY, AdminServer, create_app
from gateway.config.problems import Problem
from gateway.settings import AdminSettings
from gateway.state import GatewayState, ReloadReport
from gateway.supervisor.doors import open_admin
from proxy.values import Endpoint, Secret
from tests.gateway.control import Still, process

TOKEN = AdminSettings(token=Secret("planted-token"))
BEARER = {"Authorization": "Bearer planted-token"}


async def ask(
    still: Still,
    method: str,
    path: str,
    *,
    client: str = "127.0.0.1",
    host: str = "127.0.0.1:8053",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    transport = httpx.ASGITransport(create_app(still), client=(client, 1234))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as asking:
        return await asking.request(method, path, headers=headers)


async def test_health_readiness_and_state() -> None:
    still = Still()
    assert (await ask(still, "GET", "/healthz")).json() == {"alive": True}
    answer = await ask(still, "GET", "/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (200, True)
    state = msgspec.json.decode((await ask(still, "GET", "/status")).content, type=GatewayState)
    assert state == still.state()


async def test_readiness_says_what_is_missing() -> None:
    still = Still(listening=False)
    still.running.append(process("ingress-1", "ingress", {}, phase="down"))
    still.running[0].body["backends"][0]["state"] = "unhealthy"
    answer = await ask(still, "GET", "/readyz")
    assert answer.status_code == 503
    missing = {check["name"]: check["detail"] for check in answer.json()["checks"] if not check["ok"]}
    assert missing == {
        "listening": "closed",
        "ingress-1": "down",
        "a healthy backend for ingress-0": "ns-a unhealthy, ns-b unhealthy",
    }


async def test_a_reload_reports() -> None:
    still = Still()
    answer = await ask(still, "POST", "/reload")
    assert (answer.status_code, answer.json()["changed"]) == (200, ["filters.zones[0]"])
    problem = Problem(file="f", line=3, key="exit", found="x", right="y")
    still.report = ReloadReport(ok=False, problems=(problem,))
    answer = await ask(still, "POST", "/reload")
    assert answer.status_code == 422
    assert answer.json()["problems"] == [{"file": "f", "line": 3, "key": "exit", "found": "x", "right": "y"}]
    assert (await ask(still, "GET", "/reload")).status_code == 405
    assert still.reloads == 2


@pytest.mark.parametrize(
    ("settings", "client", "headers", "statuses"),
    [
        # /healthz, /readyz, /metrics, /status, /reload
        (AdminSettings(), "127.0.0.1", {}, [200, 200, 200, 200, 200]),
        (AdminSettings(), "::1", {}, [200, 200, 200, 200, 200]),
        (AdminSettings(), "192.0.2.1", {}, [200, 200, 403, 403, 403]),
        (TOKEN, "127.0.0.1", {}, [200, 200, 200, 401, 401]),
        (TOKEN, "127.0.0.1", BEARER, [200, 200, 200, 200, 200]),
        (TOKEN, "192.0.2.1", {}, [200, 200, 401, 401, 401]),
        (TOKEN, "192.0.2.1", BEARER, [200, 200, 200, 200, 200]),
        (TOKEN, "192.0.2.1", {"Authorization": "bearer planted-token"}, [200, 200, 200, 200, 200]),
        (TOKEN, "192.0.2.1", {"Authorization": "Bearer planted-toke"}, [200, 200, 401, 401, 401]),
        (TOKEN, "192.0.2.1", {"Authorization": "Bearer planted-tokenx"}, [200, 200, 401, 401, 401]),
        (TOKEN, "192.0.2.1", {"Authorization": "Basic planted-token"}, [200, 200, 401, 401, 401]),
        (TOKEN, "192.0.2.1", {"Authorization": ""}, [200, 200, 401, 401, 401]),
        # A web page that the operator's browser has open can reach loopback, but with its own origin or name.
        (AdminSettings(), "127.0.0.1", {"Origin": "http://evil.example"}, [200, 200, 403, 403, 403]),
        (AdminSettings(), "127.0.0.1", {"Host": "rebound.example:8053"}, [200, 200, 403, 403, 403]),
        (AdminSettings(), "127.0.0.1", {"Host": "[::1"}, [200, 200, 200, 200, 200]),
        (AdminSettings(), "127.0.0.1", {"Host": "not a host"}, [200, 200, 403, 403, 403]),
        (AdminSettings(), "127.0.0.1", {"Host": "rebound.example:abc"}, [200, 200, 403, 403, 403]),
        (AdminSettings(), "127.0.0.1", {"Host": "[::1]:8053"}, [200, 200, 200, 200, 200]),
        (AdminSettings(), "127.0.0.1", {"Host": "localhost:8053"}, [200, 200, 200, 200, 200]),
        (TOKEN, "127.0.0.1", {**BEARER, "Origin": "http://dashboard.example"}, [200, 200, 200, 200, 200]),
    ],
)
async def test_who_may_ask(settings: AdminSettings, client: str, headers: dict[str, str], statuses: list[int]) -> None:
    still = Still(settings)
    asked = [("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/status"), ("POST", "/reload")]
    answers = [await ask(still, method, path, client=client, headers=headers) for method, path in asked]
    assert [answer.status_code for answer in answers] == statuses
    assert still.reloads == (statuses[-1] == 200)
    assert not any("planted" in answer.text for answer in answers)


async def test_readiness_is_short_to_strangers() -> None:
    answer = await ask(Still(TOKEN), "GET", "/readyz", client="192.0.2.1")
    assert answer.json() == {"ready": True}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nothing", {}, 404),
        ("GET", "/../../etc/passwd", {}, 404),
        ("GET", "/%2e%2e/status", {}, 404),
        ("GET", "/status/", {}, 404),
        ("DELETE", "/status", {}, 405),
        ("POST", "/reload", {"Content-Length": str(LONGEST_BODY + 1)}, 413),
        ("POST", "/reload", {"Content-Length": "9" * 100}, 413),
        ("POST", "/reload", {"Transfer-Encoding": "chunked"}, 411),
    ],
)
async def test_odd_requests(method: str, path: str, headers: dict[str, str], status: int) -> None:
    still = Still()
    assert (await ask(still, method, path, headers=headers)).status_code == status
    assert still.reloads == 0


@asynccontextmanager
async def served(still: Still) -> AsyncIterator[tuple[str, int]]:
    listening = open_admin(Endpoint.parse("127.0.0.1:0"))
    server = AdminServer(still, listening)
    address = listening.getsockname()
    server.start()
    try:
        yield address
    finally:
        await server.stop()


async def test_it_serves_on_its_socket_and_stops() -> None:
    async with served(Still()) as (host, port), httpx.AsyncClient() as client:
        answer = await client.get(f"http://{host}:{port}/healthz")
        assert answer.status_code == 200
        assert "server" not in answer.headers
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, port), 5)


@pytest.mark.parametrize(
    "request_bytes",
    [b"GET /status HTTP/1.1\r\nHost: 127.0", b"POST /reload HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", b""],
)
async def test_a_slow_client_is_cut_off(request_bytes: bytes) -> None:
    with mock.patch.object(admin, "_OLDEST", 0.2):
        async with served(Still()) as (host, port):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(request_bytes)
            async with asyncio.timeout(10):
                await reader.read()
            writer.close()
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"http://{host}:{port}/healthz")).status_code == 200


@pytest.mark.parametrize(
    "garbage", [b"\x00" * 100, b"GET " + b"/" * 100_000, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]
)
async def test_garbage_is_answered_or_closed(garbage: bytes) -> None:
    async with served(Still()) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(garbage + b"\r\n\r\n")
        async with asyncio.timeout(10):
            answer = await reader.read()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
        writer.close()


async def send_for_ever(to: socket.socket, data: bytes) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(to, data)


async def test_a_client_that_never_reads_is_cut_off() -> None:
    with mock.patch.object(admin, "_OLDEST", 0.2):
        async with served(Still()) as (host, port):
            with socket.socket() as greedy:
                greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                greedy.setblocking(False)
                await asyncio.get_running_loop().sock_connect(greedy, (host, port))
                request = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
                with pytest.raises(ConnectionError):
                    await asyncio.wait_for(send_for_ever(greedy, request * 100), 20)


async def test_connections_are_bounded() -> None:
    async with served(Still()) as (host, port):
        streams = [await asyncio.open_connection(host, port) for _ in range(admin._MOST + 5)]
        async with asyncio.timeout(10):
            for reader, _ in streams[-5:]:
                assert await reader.read() == b""
        streams[0][1].close()
        assert not streams[1][0].at_eof()
        for _, writer in streams:
            writer.close()
