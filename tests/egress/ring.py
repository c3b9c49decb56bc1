"""The egress on loopback, from settings: services, a node that asks, and the events they emit."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote

import asyncio_dgram

from proxy.egress.service import EgressService
from proxy.egress.sockets import open_egress_sockets
from proxy.egress.status import ExitStatus
from proxy.protocol.dns_frames import frame
from proxy.protocol.methods import METHODS
from proxy.settings import EgressSettings, Exit, Forwarder, Primary, Tunnel
from proxy.values import Destination, Endpoint, Secret
from tests.support.peers import free_port

LOOPBACK = ip_address("127.0.0.1")


def fresh_endpoint() -> Endpoint:
    """An address that nothing holds."""
    return Endpoint(LOOPBACK, free_port())


def fresh_key(method: str) -> str:
    """A key as an operator would write it; with every character that base64 and URLs quarrel about now and then."""
    found = METHODS[method]
    return base64.b64encode(os.urandom(found.key_size)).decode() if found.edition == 2022 else "correct horse: b@ttery/"


def ss_url(method: str, key: str, endpoint: Endpoint) -> str:
    """The URL of a Shadowsocks tunnel (SIP002, plain)."""
    return f"ss://{method}:{quote(key, safe='')}@{endpoint}"


def tunnel(name: str, url: str, connect_timeout: float = 5.0) -> Tunnel:
    """Settings of a tunnel."""
    return Tunnel(name=name, url=Secret(url), connect_timeout=connect_timeout)


@dataclass
class Events:
    """What was emitted."""

    seen: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)

    def __call__(self, name: str, fields: Mapping[str, object]) -> None:
        self.seen.append((name, fields))

    def named(self, name: str) -> list[Mapping[str, object]]:
        """Those of one name."""
        return [fields for seen, fields in self.seen if seen == name]


@asynccontextmanager
async def running(
    settings: EgressSettings, events: Events | None = None, base: Path = Path()
) -> AsyncIterator[EgressService]:
    """A service on sockets of its own. Whatever was thrown at it, nothing may have reached the loop as an exception."""
    sockets = open_egress_sockets(settings)
    service = EgressService(
        settings=settings, sockets=sockets, emit=events if events is not None else Events(), base=base
    )
    loop, mishaps = asyncio.get_running_loop(), list[dict[str, object]]()
    loop.set_exception_handler(lambda _, context: mishaps.append(context))
    await service.start()
    try:
        yield service
    finally:
        await service.drain(0)
    assert not mishaps, mishaps


@asynccontextmanager
async def far_end(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None],
) -> AsyncIterator[Endpoint]:
    """A server that pretends to be the far end of a tunnel; gives its address."""
    place = fresh_endpoint()
    server = await asyncio.start_server(handle, *place.sockaddr)
    try:
        yield place
    finally:
        server.close()


def exit_settings(method: str, key: str, allow: Sequence[Endpoint], listen: Endpoint | None = None) -> Exit:
    """An exit that opens these addresses."""
    return Exit(
        listen=listen or fresh_endpoint(),
        method=method,  # type: ignore[arg-type]  # METHODS has the names of the Literal
        key=Secret(key),
        allow=tuple(Destination.parse(f"{each.address}/32:{each.port}") for each in allow),
    )


def forwarder_settings(
    tunnels: Sequence[Tunnel],
    primary: Endpoint,
    listen: Endpoint | None = None,
    primary_more: Mapping[str, object] | None = None,
    **more: object,
) -> EgressSettings:
    """One forwarder to one primary, through these tunnels in this order; more keys of the primary and the forwarder."""
    return EgressSettings(
        tunnels=tuple(tunnels),
        primaries=(
            Primary(
                name="primary",
                address=primary,
                tunnels=tuple(each.name for each in tunnels),
                **(primary_more or {}),  # type: ignore[arg-type]  # by name
            ),
        ),
        forwarders=(Forwarder(listen=listen or fresh_endpoint(), primary="primary", **more),),  # type: ignore[arg-type]  # by name
    )


def exit_status(service: EgressService) -> ExitStatus:
    """What the exit of a service reports."""
    status = service.status().exit
    assert status is not None
    return status


@asynccontextmanager
async def connection(place: Endpoint) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection; cut off at the end of the block, whatever happened in it."""
    reader, writer = await asyncio.open_connection(*place.sockaddr)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Whether the other side closed, one way or the other, before it sent anything more."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def ask_tcp(forwarder: Endpoint, *queries: bytes, answers: int | None = None) -> list[bytes]:
    """Ask over one connection, and read as many answers."""
    async with connection(forwarder) as (reader, writer):
        writer.write(b"".join(map(frame, queries)))
        return [await read_message(reader) for _ in range(len(queries) if answers is None else answers)]


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """One DNS message of a stream."""
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2)))


async def ask_udp(forwarder: Endpoint, query: bytes, patience: float = 5.0) -> bytes:
    """Ask over UDP, once, and read the answer.

    Raises:
        TimeoutError: none came.
    """
    node = await asyncio_dgram.connect(forwarder.sockaddr)
    try:
        await node.send(query)
        async with asyncio.timeout(patience):
            answer, _ = await node.recv()
            return bytes(answer)
    finally:
        node.close()
