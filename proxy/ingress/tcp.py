"""TCP on the event loop: the sockets of clients and backends, around the data plane that decides.

```
client socket -> data_received -> StreamRelay.client_data --+                         +-> write to each client, once
link socket   -> data_received -> StreamRelay.link_data ----+-> flush, once per turn -+-> write to each link, once
clock         -> tick ---------> StreamRelay.tick ----------+                         +-> orders: close, connect, ...
```
Each read is one call into the data plane. All that a turn of the loop produced leaves in one write per connection,
however many clients asked in it. The behaviour is that of RFC 7766: connections are kept, queries pipelined, answers
sent as they come.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from dataplane import Policy, StreamRelay
from proxy.ingress.descriptors import is_shortage
from proxy.ingress.mirrors import MirrorSockets
from proxy.ingress.notifies import JudgeNotify, unheard
from proxy.ingress.overload import overload_row
from proxy.ingress.slots import Seat
from proxy.ingress.sockets import ListenerSocket
from proxy.ingress.tcp_clients import ClientConnection
from proxy.ingress.tcp_doors import TcpDoors
from proxy.ingress.tcp_guard import guard_row
from proxy.ingress.tcp_links import LinkConnection, open_link
from proxy.ingress.udp import backend_list
from proxy.settings import IngressSettings, ProxyIn, TcpSettings
from proxy.values import Emit, Endpoint

# Seconds between two looks at what is overdue: the precision of every time-out here.
TICK = 0.1


class TcpStatus(Struct, frozen=True, kw_only=True):
    """The state of the TCP half of a worker. Counts of messages stand in the shared memory."""

    connections: int
    in_flight: int
    links: int
    transfers: int
    buffered: int
    resent: int
    given_up: int
    closes: Mapping[str, int]
    overloaded: bool
    over_time: int


class TcpIngress:
    """The TCP half of a worker.

    `on_backend_failure(slot)` is called when a connection to a backend fails, and when all that it had to answer
    of late timed out. `emit` gets `backend.unreachable` and `worker.clients-cut`. `clock` gives nanoseconds.
    """

    def __init__(
        self,
        *,
        settings: IngressSettings,
        slots: Mapping[str, int],
        policy: Policy,
        seat: Seat,
        on_backend_failure: Callable[[int], None],
        emit: Emit,
        clock: Callable[[], int] = time.monotonic_ns,
        places: int | None = None,
        judge: JudgeNotify = unheard,
    ) -> None:
        self.clock = clock
        self._judge = judge
        self.emit = emit
        self.relay = StreamRelay(memory=seat.memory, worker=seat.worker, policy=policy, bounds=_bounds(settings.tcp))
        self._loop = asyncio.get_running_loop()
        self._on_backend_failure = on_backend_failure
        # By number of the listener: a reload may name them in another order, the sockets stay.
        self.doors = [listener.address for listener in settings.listeners]
        self._clients: dict[int, ClientConnection] = {}
        self._links: dict[int, LinkConnection] = {}
        self._connecting: dict[int, asyncio.Task[None]] = {}
        # Slots of backends that we could not connect to for want of our own; that says nothing of them.
        self._excused: set[int] = set()
        # Clients that take no answers, and how much stood in their write buffer at the last look.
        self._blocked: dict[int, int] = {}
        self._listening = TcpDoors(self, self._loop)
        self._overloaded = False
        self._flushing = False
        self._empty = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._carry_out: dict[str, Callable[[int, int], None]] = {
            "resume": lambda token, _: self._with_client(token, ClientConnection.resume_reading),
            "close": lambda token, _: self._with_client(token, ClientConnection.close),
            "abort": lambda token, _: self._with_client(token, ClientConnection.abort),
            "connect": self._connect,
            "close-link": lambda token, _: self._close_link(token),
            "pause-link": lambda token, _: self._with_link(token, LinkConnection.pause_reading),
            "resume-link": lambda token, _: self._with_link(token, LinkConnection.resume_reading),
            "notified": lambda *_: self._notified(),
            "again": lambda *_: self.schedule_flush(),
            "failed": lambda _, slot: self._link_failed(slot),
        }
        self._backends: dict[int, tuple[str, Endpoint]] = {}
        self._mirrors = MirrorSockets()
        self.reload(settings, slots, policy, places)

    async def start(self, sockets: Sequence[ListenerSocket]) -> None:
        """Serve the TCP sockets among `sockets`. They stay the caller's."""
        self._listening.open(sockets)
        self._tick()

    def reload(
        self, settings: IngressSettings, slots: Mapping[str, int], policy: Policy, places: int | None = None
    ) -> None:
        """Take new settings and a new policy. Clients stay connected; a removed backend answers what it was asked.

        `places` are the clients that this worker has descriptors for; without it, as many as all workers may have.
        """
        self._mirrors.open(to.version for to, _ in policy.mirrors)
        self._has_mirrors = bool(policy.mirrors)
        allow: dict[Endpoint, list[str]] = {item.address: list(item.allow) for item in settings.listeners}
        self._backends = {slots[backend.name]: (backend.name, backend.address) for backend in settings.backends}
        self.relay.configure(
            policy,
            _bounds(settings.tcp),
            backend_list(settings.backends, slots, "tcp"),
            [allow.get(address, []) for address in self.doors],
            self.clock(),
        )
        self.relay.set_guard(guard_row(settings.tcp, places))
        self.relay.set_overload(overload_row(settings.overload))
        headers = {item.address: item.proxy_protocol for item in settings.listeners}
        self.relay.set_proxies([_proxies(headers.get(address, ProxyIn())) for address in self.doors])
        self.schedule_flush()

    def set_health(self, slot: int, healthy: bool) -> None:
        """Let the backend in `slot` have queries, or not."""
        self.relay.set_health(slot, healthy, self.clock())
        self.schedule_flush()

    async def drain(self, grace: float) -> None:
        """Take no new clients, close each when it is owed nothing more, and what is left after `grace` seconds."""
        self._listening.close()
        self.relay.drain(self.clock())
        self.schedule_flush()
        try:
            if self._clients:
                self._empty.clear()
                async with asyncio.timeout(grace):
                    await self._empty.wait()
        except TimeoutError:
            self.emit("worker.clients-cut", {"connections": len(self._clients)})
        finally:
            self.close()

    def close(self) -> None:
        """Stop everything at once."""
        self._listening.close()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._connecting.values():
            task.cancel()
        for client in list(self._clients.values()):
            client.abort()
        for link in list(self._links.values()):
            link.abort()
        self._mirrors.close()

    def status(self) -> TcpStatus:
        """The state of now."""
        state = self.relay.status()
        return TcpStatus(
            connections=state["clients"],
            in_flight=state["in-flight"],
            links=state["links"],
            transfers=state["transfers"],
            buffered=state["buffered"],
            resent=state["resent"],
            given_up=state["given-up"],
            closes=self.relay.endings(),
            overloaded=bool(state["overloaded"]),
            over_time=state["over-time"],
        )

    def _tell_overload(self) -> None:
        overloaded = self.relay.overloaded
        if overloaded != self._overloaded:
            self._overloaded = overloaded
            self.emit("ingress.tcp-overload-begins" if overloaded else "ingress.tcp-overload-ends", {})

    # What connections report.

    def schedule_flush(self) -> None:
        """Write and carry out what the data plane has, once, after all that is ready in this turn of the loop."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def add_client(self, token: int, connection: ClientConnection) -> None:
        """A client was let in."""
        self._clients[token] = connection

    def remove_client(self, token: int) -> None:
        """A client's connection is gone."""
        del self._clients[token]
        self._blocked.pop(token, None)
        self.relay.client_lost(token, self.clock())
        self.schedule_flush()
        if not self._clients:
            self._empty.set()

    def client_blocked(self, token: int, blocked: bool) -> None:
        """A client's write buffer is full, or has room again."""
        connection = self._clients[token]
        unsent = connection.unsent if blocked else 0
        if blocked:
            self._blocked[token] = unsent
        else:
            self._blocked.pop(token, None)
        connection.follow(self.relay.client_blocked(token, unsent, self.clock()))

    def add_link(self, token: int, connection: LinkConnection) -> None:
        """The connection to a backend stands."""
        if self._connecting.pop(token, None) is None:
            # The order to close it came while it was being opened.
            connection.abort()
            return
        self._links[token] = connection
        self.relay.link_opened(token)
        self.schedule_flush()

    def link_blocked(self, token: int, blocked: bool) -> None:
        """The write buffer of a link is full, or has room again."""
        self.relay.link_blocked(token, blocked, self.clock())
        self.schedule_flush()

    def remove_link(self, token: int) -> None:
        """The connection to a backend is gone."""
        if self._links.pop(token, None) is not None:
            self.relay.link_lost(token, self.clock())
            self.schedule_flush()

    # What the data plane wants.

    def _flush(self) -> None:
        self._flushing = False
        for_clients, for_links, orders = self.relay.flush(self.clock())
        if self._has_mirrors:
            self._mirrors.send(self.relay)
        for token, data in for_links:
            self._links[token].write(data)
        for token, data in for_clients:
            self._clients[token].write(data)
        for kind, token, slot in orders:
            self._carry_out[kind](token, slot)

    def _notified(self) -> None:
        for number, client, asked, _, message in self.relay.take_notifies():
            # Not in this turn: what was handed on leaves at its end.
            self._loop.call_soon(self._answer_notify, number, self._judge(message, client, asked, "tcp"))

    def _answer_notify(self, number: int, answer: bytes | None) -> None:
        self.relay.answer_notify(number, answer, self.clock())
        self.schedule_flush()

    def _with_client(self, token: int, action: Callable[[ClientConnection], None]) -> None:
        # It may have gone since the order was given.
        if token in self._clients:
            action(self._clients[token])

    def _with_link(self, token: int, action: Callable[[LinkConnection], None]) -> None:
        if token in self._links:
            action(self._links[token])

    def _connect(self, token: int, slot: int) -> None:
        self._connecting[token] = self._loop.create_task(self._open_link(token, slot))

    async def _open_link(self, token: int, slot: int) -> None:
        # A reload may have removed it since the order was given.
        name, address = self._backends.get(slot, (None, None))
        try:
            if address is None:
                raise ConnectionAbortedError("the backend was removed")
            await open_link(self, token, address)
        except OSError as error:
            self.emit("backend.unreachable", {"backend": name, "address": str(address), "error": str(error)})
            self._connecting.pop(token, None)
            if is_shortage(error):
                self._excused.add(slot)
            self.relay.link_failed(token, self.clock())
            self.schedule_flush()

    def _link_failed(self, slot: int) -> None:
        if slot in self._excused:
            self._excused.remove(slot)
        else:
            self._on_backend_failure(slot)

    def _close_link(self, token: int) -> None:
        connecting = self._connecting.pop(token, None)
        if connecting is not None:
            connecting.cancel()
        connection = self._links.pop(token, None)
        if connection is not None:
            connection.abort()

    def _tick(self) -> None:
        now = self.clock()
        for token, before in self._blocked.items():
            unsent = self._clients[token].unsent
            if unsent < before:
                self.relay.client_progressed(token, unsent, now)
            self._blocked[token] = unsent
        self.relay.tick(now)
        self._listening.wake()
        self._tell_overload()
        if self.relay.wants_flush:
            self.schedule_flush()
        self._timer = self._loop.call_later(TICK, self._tick)


def _proxies(header: ProxyIn) -> tuple[str, bool, float, list[tuple[str, int]]]:
    """The proxies of a listener as the data plane takes them."""
    prefixes = [(str(item.prefix.network_address), item.prefix.prefixlen) for item in header.from_]
    return header.over_tcp, header.required, header.timeout, prefixes


def _bounds(tcp: TcpSettings) -> tuple[float, float, float, int, int, int, int, int]:
    """The settings as the data plane takes them."""
    return (
        tcp.idle_timeout,
        tcp.read_timeout,
        tcp.write_timeout,
        tcp.connections,
        tcp.connections_per_client,
        tcp.in_flight,
        tcp.backend_connections,
        tcp.proxied_connections,
    )
