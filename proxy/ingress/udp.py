"""UDP on the event loop: a readable socket is one call into the data plane, a timer gives up what got no answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from dataplane import Policy, UdpRelay
from proxy.ingress.mirrors import MirrorSockets
from proxy.ingress.notifies import JudgeNotify, unheard
from proxy.ingress.overload import overload_row
from proxy.ingress.pools import pool_bits, pool_names
from proxy.ingress.slots import Seat
from proxy.ingress.sockets import ListenerSocket, open_backend_sockets, receive_buffer
from proxy.settings import Backend, IngressSettings

# Seconds between two looks at the deadlines: the precision of a backend's time-out.
TICK = 0.1


class UdpIngress:
    """The UDP half of a worker. `silent` is told of backends that answered nothing since a query timed out."""

    def __init__(
        self,
        *,
        settings: IngressSettings,
        slots: Mapping[str, int],
        policy: Policy,
        seat: Seat,
        silent: Callable[[int], None],
        judge: JudgeNotify = unheard,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._silent = silent
        self._judge = judge
        self._listeners: list[socket.socket] = []
        self._doors: dict[int, int] = {}  # the relay's number of each listener of the settings
        self._backend_sockets = open_backend_sockets(settings)
        self.relay = UdpRelay(
            memory=seat.memory,
            worker=seat.worker,
            policy=policy,
            sockets=[(item.fileno(), item.family == socket.AF_INET6) for item in self._backend_sockets],
            flows=settings.udp.flows,
            segmentation=settings.udp.segmentation,
        )
        self.relay.set_backends(backend_list(settings.backends, slots, "udp"))
        self.relay.set_overload(overload_row(settings.overload))
        self.relay.set_notified(lambda: self._loop.call_soon(self._notified))
        self._mirrors = MirrorSockets()
        self._take_policy(policy)
        self._timer: asyncio.TimerHandle | None = None

    def start(self, settings: IngressSettings, sockets: Sequence[ListenerSocket]) -> None:
        """Serve the UDP sockets among `sockets`."""
        for number in range(len(self._backend_sockets)):
            self._watch(number)
        for item in sockets:
            if item.transport == "udp":
                listener = settings.listeners[item.listener]
                host, port = item.socket.getsockname()[:2]
                number = self.relay.add_listener(
                    item.socket.fileno(), host, port, allow=list(listener.allow), number=item.listener
                )
                self._doors[item.listener] = number
                self._listeners.append(item.socket)
                self._loop.add_reader(item.socket, self.relay.listener_ready, number)
        self._take_proxies(settings)
        self._tick()

    def reload(self, settings: IngressSettings, slots: Mapping[str, int], policy: Policy) -> None:
        """Take a new policy and new backends; pending queries are still answered.

        Raises:
            OSError: no socket can be opened for backends of a family that had none before. Nothing has changed then.
        """
        for item in open_backend_sockets(settings, {item.family for item in self._backend_sockets}):
            self._backend_sockets.append(item)
            self._watch(self.relay.add_socket(item.fileno(), item.family == socket.AF_INET6))
        self._take_policy(policy)
        self.relay.set_backends(backend_list(settings.backends, slots, "udp"))
        self.relay.set_overload(overload_row(settings.overload))
        self._take_proxies(settings)

    def _take_proxies(self, settings: IngressSettings) -> None:
        for listener, number in self._doors.items():
            header = settings.listeners[listener].proxy_protocol
            self.relay.set_proxies(
                number,
                header.over_udp,
                [(str(network.prefix.network_address), network.prefix.prefixlen) for network in header.from_],
                required=header.required,
                idle=header.session_ttl,
                sessions=header.sessions,
            )

    def _take_policy(self, policy: Policy) -> None:
        self._mirrors.open(to.version for to, _ in policy.mirrors)
        self.relay.set_mirrors(self._mirrors.descriptor(4), self._mirrors.descriptor(6))
        self.relay.set_policy(policy)

    def set_health(self, slot: int, healthy: bool) -> None:
        """Let the backend in `slot` have queries, or not."""
        self.relay.set_health(slot, healthy)

    @property
    def receive_buffer(self) -> int:
        """The bytes of the smallest receive buffer among all sockets."""
        return min(map(receive_buffer, [*self._listeners, *self._backend_sockets]))

    @property
    def in_flight(self) -> int:
        """Queries that wait for an answer."""
        return self.relay.in_flight

    @property
    def outstanding(self) -> list[tuple[int, int]]:
        """Slot and unanswered queries of each backend."""
        return self.relay.outstanding()

    def answered(self, slot: int) -> float:
        """When the newest query was sent that the backend in `slot` has answered, in seconds of the monotonic clock."""
        return self.relay.answered(slot) / 1e9

    def stop_listening(self) -> None:
        """Read no more queries; what is in flight is still answered."""
        for item in self._listeners:
            self._loop.remove_reader(item)
        self._listeners.clear()

    def close(self) -> None:
        """Stop everything. The listeners stay open: they belong to the supervisor."""
        self.stop_listening()
        if self._timer is not None:
            self._timer.cancel()
        for item in self._backend_sockets:
            self._loop.remove_reader(item)
            item.close()
        self._backend_sockets.clear()
        self._mirrors.close()

    def _watch(self, number: int) -> None:
        self._loop.remove_reader(self._backend_sockets[number])
        self._loop.add_reader(self._backend_sockets[number], self._backend_ready, number)

    def _backend_ready(self, number: int) -> None:
        # libuv stops to watch a socket that reports an error, such as that of an ICMP message.
        if self.relay.backend_ready(number):
            self._watch(number)

    def _notified(self) -> None:
        for number, client, asked, _, message in self.relay.take_notifies():
            # Not in this turn: what was handed on leaves at its end.
            self._loop.call_soon(self.relay.answer_notify, number, self._judge(message, client, asked, "udp"))

    def _tick(self) -> None:
        # An error whose sign was lost, as when the kernel had no memory for it, may not leave a socket unwatched.
        for number in range(len(self._backend_sockets)):
            self._watch(number)
        for slot in self.relay.expire():
            self._silent(slot)
        self._timer = self._loop.call_later(TICK, self._tick)


def backend_list(
    backends: Sequence[Backend], slots: Mapping[str, int], transport: Literal["udp", "tcp"]
) -> list[tuple[int, str, int, int, int, float, str, bool]]:
    """The backends as the data plane takes them: slot, address, port, weight, bits of pools, time-out in seconds, PROXY
    header over this transport, and whether that has a checksum.
    """
    names = pool_names(backends)
    return [
        (
            slots[b.name],
            str(b.address.address),
            b.address.port,
            b.weight,
            pool_bits(b, names),
            b.timeout,
            b.proxy_protocol.udp if transport == "udp" else b.proxy_protocol.tcp,
            b.proxy_protocol.crc,
        )
        for b in backends
    ]
