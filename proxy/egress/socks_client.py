"""One connection to a SOCKS door, up to the request, and behind it for as long as an association needs it."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Mapping
from typing import Protocol, cast

from proxy.egress.forwarder import Forwarder
from proxy.egress.idle import IdleTimer
from proxy.egress.socks_association import Association
from proxy.egress.usable import usable
from proxy.errors import ProtocolError
from proxy.protocol.address import NamedTarget
from proxy.protocol.socks5 import Command
from proxy.protocol.socks5_server import Answer, Asked, Reply, Socks5Server, Users, reply
from proxy.settings import SocksDoor
from proxy.values import Endpoint, IPAddress


class Plan(Protocol):
    """What the connection needs of the door's plan."""

    @property
    def settings(self) -> SocksDoor: ...

    @property
    def users(self) -> Users: ...


class Host(Protocol):
    """Who keeps the connections."""

    refused: Counter[str]

    @property
    def plan(self) -> Plan:
        """The plan in force."""

    @property
    def ways(self) -> Mapping[Endpoint, Forwarder]:
        """Where the door leads."""

    def admit(self, client: SocksClient, address: IPAddress) -> bool:
        """Whether this connection is taken in; where not, it is closed at once."""

    def refuse(self, reason: str, node: IPAddress | None) -> None:
        """Count and tell that a connection, or what it asked for, is refused."""

    def left(self, client: SocksClient) -> None:
        """It is over, or has become a connection of a forwarder."""


class SocksClient(asyncio.Protocol):
    """The connection."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._settings = host.plan.settings
        self._handshake = Socks5Server(host.plan.users)
        self._transport: asyncio.Transport | None = None
        self._association: Association | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._idle: IdleTimer | None = None
        self._peer: Endpoint | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        self._peer = Endpoint.of(name) if name is not None else None
        if self._peer is None or not self._host.admit(self, self._peer.address):
            self._transport.abort()
            return
        limit = self._settings.handshake_timeout
        self._deadline = asyncio.get_running_loop().call_later(limit, self._give_up, "handshake-timeout")

    def data_received(self, data: bytes) -> None:
        if self._association is not None or not usable(self._transport):
            return  # the connection of an association has nothing more to say
        try:
            events = self._handshake.feed(data)
        except ProtocolError as error:
            self._give_up(error.reason)
            return
        for event in events:
            if isinstance(event, Asked):
                self._asked(event)
            else:
                self._answer(event)

    def eof_received(self) -> None:
        """Nothing is kept half open; the transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end_handshake()
        if self._idle is not None:
            self._idle.stop()
        if self._association is not None:
            self._association.close()
        self._host.left(self)

    def close_unused(self) -> None:
        """Close, if there was no request yet."""
        if self._association is None:
            self.abort()

    def abort(self) -> None:
        """Close without waiting for anything."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def _node(self) -> IPAddress | None:
        return None if self._peer is None else self._peer.address

    def _answer(self, answer: Answer) -> None:
        if not usable(self._transport):
            return
        self._transport.write(answer.data)
        if answer.refusal is not None:
            self._host.refuse(answer.refusal, self._node)
            self._transport.close()

    def _give_up(self, reason: str) -> None:
        self._host.refuse(reason, self._node)
        self.abort()

    def _end_handshake(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _asked(self, asked: Asked) -> None:
        if asked.command == Command.UDP_ASSOCIATE.value:
            self._associate(asked)
        elif asked.command != Command.CONNECT.value:
            self._answer(Answer(reply(Reply.COMMAND_NOT_SUPPORTED), "command"))
        elif isinstance(asked.target, NamedTarget):
            self._answer(Answer(reply(Reply.ADDRESS_NOT_SUPPORTED), "target-by-name"))
        elif asked.target not in self._host.ways:
            self._answer(Answer(reply(Reply.NOT_ALLOWED), "target"))
        elif usable(self._transport):
            # The tunnel is chosen for each query, so there is nothing yet that could fail.
            self._transport.write(reply(Reply.GRANTED))
            self._end_handshake()
            self._host.left(self)
            self._host.ways[asked.target].take(self._transport, asked.rest)

    def _associate(self, asked: Asked) -> None:
        if not usable(self._transport) or self._peer is None:
            return
        own = Endpoint.of(self._transport.get_extra_info("sockname")).address
        try:
            sock = _bound(own)
        except OSError:
            self._answer(Answer(reply(Reply.FAILURE), "association"))
            return
        self._end_handshake()
        self._idle = IdleTimer(self._settings.idle_timeout, lambda: self._give_up("idle"))
        # The client may say from which port it will send. Its address must be that of this connection, in any case.
        port = asked.target.port if isinstance(asked.target, Endpoint) else 0
        client = self._peer.address, port
        self._association = Association(sock, client, self._host, self._idle.touch)
        self._transport.write(reply(Reply.GRANTED, Endpoint.of(sock.getsockname())))


def _bound(address: IPAddress) -> socket.socket:
    """A UDP socket with a random port of this address.

    Raises:
        OSError: it can't be had, for want of descriptors for instance.
    """
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.bind((str(address), 0))
    except OSError:
        sock.close()
        raise
    return sock
