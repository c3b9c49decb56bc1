"""An honest client under attack: it asks at a steady rate as a resolver does, and says how it was served.

A truncated answer sends it to TCP; a server cookie (RFC 7873) it keeps and shows from then on. It does not ask twice:
what has no answer within two seconds is a failure of the server. The time of a query runs until its last answer.
Run as `python -m bench.resolver TARGET udp|tcp RATE SECONDS SOURCE`; prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial

import uvloop

from bench.node import HOSTS, host
from proxy.values import Endpoint

PATIENCE = 2.0  # seconds
SOCKETS = 8
COOKIE = 10  # the EDNS option
CLIENT_COOKIE = os.urandom(8)


@dataclass(frozen=True, slots=True)
class Service:
    """How it was served; times in seconds."""

    sent: int
    good: int
    over_tcp: int  # of the good ones, after a truncated answer
    median: float
    p99: float  # of all: what was not answered counts as infinitely late

    @property
    def share(self) -> float:
        """Of the queries that got a good answer."""
        return self.good / self.sent if self.sent else 0.0


class Resolver:
    """The client. `serve` runs it."""

    def __init__(self, target: Endpoint, mode: str, rate: float, seconds: float, source: str) -> None:
        self._target, self._mode, self._rate, self._seconds, self._source = target, mode, rate, seconds, source
        self._loop = asyncio.get_running_loop()
        self._pending: dict[int, tuple[float, bytes]] = {}
        self._times: list[float] = []
        self._over_tcp = 0
        self._cookie = CLIENT_COOKIE
        self._sent = 0
        self._udp: list[asyncio.DatagramTransport] = []
        self._tcp: list[asyncio.Transport] = []
        self._done = asyncio.Event()

    async def serve(self) -> Service:
        """Ask for the time that was given, wait for what is due, and count."""
        address = (str(self._target.address), self._target.port)
        for _ in range(SOCKETS):
            transport, _ = await self._loop.create_datagram_endpoint(
                partial(_Datagrams, self), local_addr=(self._source, 0), remote_addr=address
            )
            self._udp.append(transport)
        if self._mode == "tcp":
            await self._connect()
        self._begin = time.monotonic()
        self._ask()
        await self._done.wait()
        times = sorted(self._times) + [float("inf")] * (self._sent - len(self._times))
        return Service(
            sent=self._sent,
            good=len(self._times),
            over_tcp=self._over_tcp,
            median=times[len(times) // 2],
            p99=times[len(times) * 99 // 100],
        )

    async def _connect(self) -> None:
        address = (str(self._target.address), self._target.port)
        for _ in range(SOCKETS // 2):
            transport, _ = await self._loop.create_connection(
                partial(_Stream, self), *address, local_addr=(self._source, 0)
            )
            self._tcp.append(transport)

    def _ask(self) -> None:
        elapsed = time.monotonic() - self._begin
        while self._sent < min(elapsed, self._seconds) * self._rate:
            self._send()
        if elapsed < self._seconds:
            self._loop.call_later(1 / self._rate, self._ask)
        else:
            self._loop.call_later(PATIENCE, self._done.set)

    def _send(self) -> None:
        number = self._sent & 0xFFFF
        self._sent += 1
        query = _query(number, host(random.randrange(HOSTS)), self._cookie)  # noqa: S311 - which name does not matter
        self._pending[number] = (time.monotonic(), query)
        if self._mode == "tcp":
            self._over(query)
        else:
            self._udp[number % SOCKETS].sendto(query)

    def _over(self, query: bytes) -> None:
        self._tcp = [transport for transport in self._tcp if not transport.is_closing()]
        if self._tcp:
            self._tcp[query[1] % len(self._tcp)].write(len(query).to_bytes(2) + query)
        else:
            self._loop.create_task(self._reconnect(query))

    async def _reconnect(self, query: bytes) -> None:
        try:
            await self._connect()
        except OSError:  # the query stays without an answer, and counts so
            return
        self._over(query)

    def answered(self, message: bytes, over_tcp: bool) -> None:
        """An answer came."""
        number = int.from_bytes(message[:2])
        asked, query = self._pending.get(number, (None, b""))
        if asked is None:
            return
        self._keep_cookie(message)
        rcode = message[3] & 0x0F
        if not over_tcp and message[2] & 0x02:
            self._over(query)
        elif rcode == 0 and message[7] and time.monotonic() - asked <= PATIENCE:
            self._times.append(time.monotonic() - asked)
            self._over_tcp += over_tcp and self._mode == "udp"
            del self._pending[number]

    def _keep_cookie(self, message: bytes) -> None:
        at = message.find(COOKIE.to_bytes(2) + (24).to_bytes(2) + CLIENT_COOKIE)
        if at > 0:
            self._cookie = message[at + 4 : at + 28]


def _query(number: int, name: str, cookie: bytes) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    option = COOKIE.to_bytes(2) + len(cookie).to_bytes(2) + cookie
    opt = b"\0\0\x29\x04\xd0\0\0\0\0" + len(option).to_bytes(2) + option
    return number.to_bytes(2) + b"\0\0\0\1\0\0\0\0\0\1" + labels + b"\0\1\0\1" + opt


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def datagram_received(self, data: bytes, _addr: tuple[str, int]) -> None:
        if len(data) >= 12:
            self._resolver.answered(data, over_tcp=False)


class _Stream(asyncio.Protocol):
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 2 and len(self._buffer) >= (end := 2 + int.from_bytes(self._buffer[:2])):
            if end >= 14:
                self._resolver.answered(self._buffer[2:end], over_tcp=True)
            self._buffer = self._buffer[end:]


async def _main(words: list[str]) -> None:
    target, mode, rate, seconds, source = words
    resolver = Resolver(Endpoint.parse(target), mode, float(rate), float(seconds), source)
    json.dump(asdict(await resolver.serve()), sys.stdout)


if __name__ == "__main__":
    uvloop.run(_main(sys.argv[1:]))
