"""An exit with users on loopback, and what a user does there."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from proxy.egress.service import EgressService
from proxy.protocol.address import Target
from proxy.protocol.editions import client_datagrams, client_stream
from proxy.protocol.methods import METHODS
from proxy.protocol.shadowsocks import ClientDatagrams, ClientStream
from proxy.settings import EgressSettings, Exit, ExitUser
from proxy.values import Endpoint, Secret
from tests.egress.ring import Events, connection, exit_settings, fresh_key, running


def user(name: str, method: str, **limits: object) -> ExitUser:
    """A user with a fresh key."""
    return ExitUser(name=name, key=Secret(fresh_key(method)), **limits)  # type: ignore[arg-type]  # by name


def chain(settings: Exit, name: str) -> tuple[bytes, tuple[bytes, ...]]:
    """The key of a user, and the identity keys before it."""
    method = METHODS[settings.method]
    (key,) = (each.key.reveal() for each in settings.users if each.name == name)
    before = () if settings.key is None else (method.key_from_text(settings.key.reveal()),)
    return method.key_from_text(key), before


def stream_of(settings: Exit, name: str) -> ClientStream:
    """A user's end of a new stream."""
    return client_stream(METHODS[settings.method], *chain(settings, name))


def datagrams_of(settings: Exit, name: str) -> ClientDatagrams:
    """A user's end of a new datagram session."""
    return client_datagrams(METHODS[settings.method], *chain(settings, name))


@asynccontextmanager
async def users_exit(
    method: str, users: Sequence[ExitUser], allow: Sequence[Endpoint], events: Events | None = None, **more: object
) -> AsyncIterator[tuple[Exit, EgressService]]:
    """An exit with these users, and an identity key if there are several or the method has one."""
    settings = exit_settings(method, fresh_key(method), allow)
    settings = msgspec.structs.replace(settings, users=tuple(users), **more)
    async with running(EgressSettings(exit=settings), events) as service:
        yield settings, service


async def ask_stream(settings: Exit, name: str, target: Target, query: bytes) -> bytes | None:
    """What one query through a user's stream brings; None if the connection is closed instead."""
    codec = stream_of(settings, name)
    async with connection(settings.listen) as (reader, writer):
        writer.write(codec.open(target, query, time.time()))
        try:
            payloads = codec.feed(await reader.read(65536), time.time())
        except ConnectionResetError:
            return None
        return b"".join(payloads) or None


class UserSocket:
    """A user's UDP socket and session."""

    def __init__(self, settings: Exit, name: str) -> None:
        self.codec = datagrams_of(settings, name)
        self._exit = settings.listen.sockaddr
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def send(self, target: Target, payload: bytes) -> None:
        """One datagram."""
        self._socket.sendto(self.codec.seal(target, payload, time.time()), self._exit)

    async def ask(self, target: Target, payload: bytes) -> bytes:
        """One datagram, and the answer."""
        self.send(target, payload)
        packet = await asyncio.get_running_loop().sock_recv(self._socket, 65535)
        return self.codec.open(packet, time.time()).payload

    def close(self) -> None:
        """The end."""
        self._socket.close()
