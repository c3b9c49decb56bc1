"""Clients beside a flood: resolvers that show cookies, or ask over TCP, and a flood from many addresses.

Each has an address of its own in 127/8, because a client is known by its address.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable

import dns.edns
import dns.flags
import dns.message
import dns.rcode

from tests.support.backends import UdpClient
from tests.support.streams import StreamClient

Address = tuple[str, int]
COOKIE = dns.edns.OptionType.COOKIE
TURN = 0.01  # seconds
AGAIN = 0.4  # seconds until a resolver asks again
TRIES = 4


class Pace:
    """Calls `act` `rate` times a second, until it is stopped or has done so `most` times."""

    def __init__(self, act: Callable[[], None], rate: float, most: int | None = None) -> None:
        self._act, self._rate, self._most = act, rate, most
        self._loop = asyncio.get_running_loop()
        self._last, self._due, self.done = self._loop.time(), 0.0, 0
        self._timer = self._loop.call_soon(self._turn)

    @property
    def over(self) -> bool:
        """Whether it has done all."""
        return self.done == self._most

    def stop(self) -> None:
        """Do no more."""
        self._timer.cancel()

    def _turn(self) -> None:
        now = self._loop.time()
        # What a stalled machine owes is forgiven: a late burst would be another flood.
        self._due += min(now - self._last, 5 * TURN) * self._rate
        self._last = now
        while self._due >= 1 and not self.over:
            self._due -= 1
            self.done += 1
            self._act()
        if not self.over:
            self._timer = self._loop.call_later(TURN, self._turn)


class Resolver(UdpClient):
    """Asks over UDP with a cookie, and asks again what got no answer."""

    def __init__(self, target: Address, name: str) -> None:
        super().__init__()
        self._target, self._name = target, name
        self._ids = itertools.count(1)
        self._cookie = bytes(range(8))
        self._waiting: set[int] = set()
        self.asked = self.answered = 0

    @property
    def verified(self) -> bool:
        """Whether it has a server cookie to show."""
        return len(self._cookie) > 8

    def ask(self) -> None:
        """Ask once more."""
        self.asked += 1
        identity = next(self._ids)
        self._waiting.add(identity)
        self._send(identity, TRIES)

    def datagram_received(self, data: bytes, _addr: Address) -> None:
        message = dns.message.from_wire(data)
        for option in message.options:
            if option.otype == COOKIE:
                self._cookie = option.to_wire()
        if message.id in self._waiting and message.answer:
            self._waiting.discard(message.id)
            self.answered += 1

    def _send(self, identity: int, tries: int) -> None:
        if identity not in self._waiting or tries == 0:
            return
        cookie = dns.edns.GenericOption(COOKIE, self._cookie)
        query = dns.message.make_query(self._name, "A", id=identity, use_edns=0, options=[cookie])
        self.send(query.to_wire(), self._target)
        asyncio.get_running_loop().call_later(AGAIN, self._send, identity, tries - 1)


class TcpResolver(StreamClient):
    """Asks over TCP, one query after the other, until it has `most` good answers."""

    def __init__(self, name: str, most: int) -> None:
        super().__init__()
        self._name, self._most = name, most
        self.good = self.failed = 0

    @property
    def over(self) -> bool:
        """Whether it has all its answers."""
        return self.good == self._most

    def ask(self) -> None:
        """Ask for the next one."""
        self.send(dns.message.make_query(self._name, "A").to_wire())

    def message_received(self, message: bytes) -> None:
        if dns.message.from_wire(message).rcode() == dns.rcode.NOERROR:
            self.good += 1
        else:
            self.failed += 1
        if not self.over:
            self.ask()


class Strangers:
    """Clients that nobody knows, and that read no answers: one of each address in turn."""

    def __init__(self, target: Address, name: str, addresses: int) -> None:
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(addresses)]
        for number, own in enumerate(self._sockets):
            own.setblocking(False)
            own.bind((f"127.20.{number // 250}.{number % 250 + 1}", 0))
            own.connect(target)
        self._query = dns.message.make_query(name, "A").to_wire()
        self._next = itertools.cycle(self._sockets)
        self.sent = 0

    def ask(self) -> None:
        """One query of the next one."""
        next(self._next).send(self._query)
        self.sent += 1

    def close(self) -> None:
        """Close all sockets."""
        for own in self._sockets:
            own.close()
