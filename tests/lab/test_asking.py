"""The lab's small HTTP and DNS questions, against servers that answer badly too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.lab.asking import is_ready, page, serial
from gateway.lab.meter import read
from gateway.lab.ring import loopback
from gateway.lab.servers.builtin import Builtin
from gateway.lab.servers.roles import Primary
from gateway.lab.zones import LabZone
from proxy.values import Endpoint
from tests.support.peers import free_port

METRICS = """\
# TYPE zonegate_ingress_received_total counter
zonegate_ingress_received_total{transport="udp"} 12
zonegate_ingress_received_total{transport="tcp"} 3
# TYPE zonegate_ingress_verdicts_total counter
zonegate_ingress_verdicts_total{transport="udp",verdict="forward",reason="ok"} 9
zonegate_ingress_verdicts_total{transport="tcp",verdict="forward",reason="ok"} 3
zonegate_ingress_verdicts_total{transport="udp",verdict="reply",reason="not-served"} 2
zonegate_ingress_verdicts_total{transport="udp",verdict="drop",reason="short"} 1
# TYPE zonegate_transfer_queries_total counter
zonegate_transfer_queries_total{forwarder="a",primary="b",transport="udp"} 5
zonegate_transfer_queries_total{forwarder="a",primary="b",transport="tcp"} 50
# TYPE zonegate_transfer_connections_opened_total counter
zonegate_transfer_connections_opened_total{forwarder="a",primary="b"} 4
# TYPE zonegate_tunnel_received_bytes_total counter
zonegate_tunnel_received_bytes_total{tunnel="t"} 1000
# TYPE zonegate_tunnel_sent_bytes_total counter
zonegate_tunnel_sent_bytes_total{tunnel="t"} 100
"""


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[Endpoint]:
    """A TCP server that says this to whatever it hears, and closes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        yield loopback(server.sockets[0].getsockname()[1])


async def test_a_page_is_status_and_body() -> None:
    async with answering(b"HTTP/1.1 503 Not yet\r\nX: y\r\n\r\nwait") as endpoint:
        assert await page(endpoint, "/readyz") == (503, "wait")
        assert not await is_ready(endpoint, "/readyz")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 abc def\r\n\r\n", b"HTTP/1.1 200"])
async def test_what_is_not_http_is_an_error(answer: bytes) -> None:
    async with answering(answer) as endpoint:
        with pytest.raises(OSError, match="does not speak HTTP"):
            await page(endpoint, "/")


async def test_nobody_there_is_not_ready() -> None:
    assert not await is_ready(loopback(free_port("tcp")), "/readyz")


async def test_the_metrics_become_an_account() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n" + METRICS.encode()) as endpoint:
        reading = await read(endpoint)
    assert (reading.received, reading.forwarded, reading.checks, reading.connections) == (15, 12, 5, 4)
    assert dict(reading.reasons) == {("reply", "not-served"): 2, ("drop", "short"): 1}
    assert (reading.tunnel_in, reading.tunnel_out) == (1000, 100)


async def test_metrics_that_fail_are_an_error() -> None:
    async with answering(b"HTTP/1.1 500 Oh\r\n\r\n") as endpoint:
        with pytest.raises(OSError, match="status 500"):
            await read(endpoint)


async def test_a_serial_is_asked_for(tmp_path: Path) -> None:
    zone = LabZone("asked.example")
    async with Builtin(Primary({zone.name: zone.text(41, "")}), tmp_path) as server:
        assert await serial(server.endpoint, zone.name) == 41
        assert await serial(server.endpoint, "elsewhere.test") is None
    assert await serial(server.endpoint, zone.name) is None
