"""One ingress worker: UDP and TCP doors, the health of the backends, and their common slots in the shared counters."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence

from msgspec import Struct

from dataplane import Policy, SharedMemory
from proxy.ingress.descriptors import affordable_clients, count_open
from proxy.ingress.health import HealthMonitor, State
from proxy.ingress.notifies import HandOn, NotifyDesk
from proxy.ingress.observation import Observation
from proxy.ingress.overload import WindowStatus, window_status
from proxy.ingress.slots import Seat
from proxy.ingress.sockets import ListenerSocket
from proxy.ingress.tcp import TcpIngress
from proxy.ingress.udp import TICK, UdpIngress
from proxy.protocol.tsig import KeyRing
from proxy.settings import IngressSettings, NotifySettings
from proxy.values import Emit

# asm-generic/socket.h; linux/sock_diag.h: nine u32, the last is how many datagrams a full buffer cost.
SO_MEMINFO = 55
SK_MEMINFO_DROPS = 8


class BackendStatus(Struct, frozen=True, kw_only=True):
    """What a worker knows of a backend."""

    name: str
    slot: int
    state: State


class WorkerStatus(Struct, frozen=True, kw_only=True):
    """What a worker says about itself. Counts of queries are not here: they stand in the shared memory."""

    index: int
    backends: tuple[BackendStatus, ...]
    udp_in_flight: int
    udp_receive_drops: int
    udp_receive_buffer: int
    tcp_connections: int
    tcp_in_flight: int
    tcp_closes: dict[str, int]
    tcp_overloaded: bool
    tcp_over_time: int
    windows: tuple[WindowStatus, ...]
    admitted: dict[str, int]
    notify_accepted: int
    notify_refused: dict[str, int]


class IngressWorker:
    """Everything that one worker process does with clients and backends."""

    def __init__(
        self,
        *,
        index: int,
        settings: IngressSettings,
        slots: Mapping[str, int],
        health_zone: str | None,
        policy: Policy,
        memory: SharedMemory,
        sockets: Sequence[ListenerSocket],
        emit: Emit,
        notify: NotifySettings | None = None,
        hand_on: HandOn = lambda _notice: False,
    ) -> None:
        """`hand_on` gets the NOTIFY messages that `notify` lets in.

        Raises:
            ValueError: a key in `notify` that is none.
        """
        self._index = index
        self._settings = settings
        self._slots = dict(slots)
        self._health_zone = health_zone
        self._sockets = sockets
        self._emit = emit
        self._health = HealthMonitor(settings.health, health_zone, self._health_changed, self._advise, self._answered)
        self._desk = NotifyDesk(notify or NotifySettings(), hand_on, emit)
        seat = Seat(memory, index)
        self._udp = UdpIngress(
            settings=settings,
            slots=slots,
            policy=policy,
            seat=seat,
            silent=self._health.failed,
            judge=self._desk.judge,
        )
        self._base = count_open()
        self._tcp = TcpIngress(
            settings=settings,
            slots=slots,
            policy=policy,
            seat=seat,
            on_backend_failure=self._health.failed,
            emit=emit,
            places=self._places(settings),
            judge=self._desk.judge,
        )
        self.observation = Observation(self._udp, self._tcp)

    def _answered(self, slot: int) -> float:
        return self._udp.answered(slot)

    async def start(self) -> None:
        """Open the doors."""
        self._watch()
        await self._tcp.start(self._sockets)
        self._udp.start(self._settings, self._sockets)
        self._verify_buffers()
        self._schedule()

    def reload(
        self,
        settings: IngressSettings,
        slots: Mapping[str, int],
        health_zone: str | None,
        policy: Policy,
        notify: NotifySettings | None = None,
    ) -> None:
        """Take new settings and a new policy in one step. Listeners and sizes stay as they were at the start.

        Raises:
            OSError: no socket can be had for backends of a new family. The old settings stay in force.
            ValueError: a key in `notify` that is none; then they stay too.
        """
        notify = notify or NotifySettings()
        KeyRing(notify.tsig_keys)
        self._udp.reload(settings, slots, policy)  # first: it alone can fail, and then nothing has changed
        self._settings, self._slots, self._health_zone = settings, dict(slots), health_zone
        self._desk.configure(notify)
        self._schedule()
        self._tcp.reload(settings, slots, policy, self._places(settings))
        self._watch()

    async def drain(self, grace: float) -> None:
        """Ask no more, answer what is in flight within `grace` seconds, then close."""
        self._udp.stop_listening()
        try:
            async with asyncio.timeout(grace):
                await self._tcp.drain(grace)
                while self._udp.in_flight:  # noqa: ASYNC110 - the data plane has no events; the wait is short
                    await asyncio.sleep(TICK / 10)
        except TimeoutError:
            self._emit("worker.drain-incomplete", {"worker": self._index, "in_flight": self._udp.in_flight})
        self._health.stop()
        self._udp.close()

    def status(self) -> WorkerStatus:
        """The state of now."""
        tcp = self._tcp.status()
        return WorkerStatus(
            index=self._index,
            backends=tuple(
                BackendStatus(name=name, slot=slot, state=self._health.state(slot))
                for name, slot in self._slots.items()
            ),
            udp_in_flight=self._udp.in_flight,
            udp_receive_drops=sum(receive_drops(s.socket) for s in self._sockets if s.transport == "udp"),
            udp_receive_buffer=self._udp.receive_buffer,
            tcp_connections=tcp.connections,
            tcp_in_flight=tcp.in_flight,
            tcp_closes=dict(tcp.closes),
            tcp_overloaded=tcp.overloaded,
            tcp_over_time=tcp.over_time,
            windows=(
                *window_status("udp", self._udp.relay.windows()),
                *window_status("tcp", self._tcp.relay.windows()),
            ),
            admitted=dict(self._udp.relay.admitted()),
            notify_accepted=self._desk.accepted,
            notify_refused=dict(self._desk.refused),
        )

    def _schedule(self) -> None:
        policy = os.SCHED_BATCH if self._settings.scheduling == "batch" else os.SCHED_OTHER
        try:
            os.sched_setscheduler(0, policy, os.sched_param(0))
        except OSError as error:  # a sandbox may forbid it; the worker only costs more then
            self._emit("worker.scheduling-refused", {"asked": self._settings.scheduling, "error": error.strerror})

    def _places(self, settings: IngressSettings) -> int:
        """TCP clients that there are descriptors for."""
        asked, granted = settings.tcp.connections, affordable_clients(settings, self._base)
        if granted < asked:
            remedy = f"raise the limit of open files by {asked - granted} (`LimitNOFILE=` of systemd, `ulimit -n`)"
            self._emit("ingress.descriptors-few", {"asked": asked, "granted": granted, "remedy": remedy})
        return granted

    def _verify_buffers(self) -> None:
        asked = self._settings.udp.receive_buffer
        granted = self._udp.receive_buffer
        if granted < asked:
            remedy = f"run `sysctl -w net.core.rmem_max={asked}`, or set ingress.udp.receive_buffer = {granted}"
            self._emit("ingress.receive-buffer-small", {"asked": asked, "granted": granted, "remedy": remedy})

    def _watch(self) -> None:
        by_slot = {self._slots[backend.name]: backend for backend in self._settings.backends}
        self._health.watch(self._settings.health, self._health_zone, by_slot)

    def _health_changed(self, slot: int, healthy: bool) -> None:
        self._udp.set_health(slot, healthy)
        self._tcp.set_health(slot, healthy)
        name = next(name for name, known in self._slots.items() if known == slot)
        self._emit("backend.healthy" if healthy else "backend.unhealthy", {"backend": name, "worker": self._index})

    def _advise(self, slot: int, remedy: str) -> None:
        name = next(name for name, known in self._slots.items() if known == slot)
        self._emit("backend.proxy-protocol-mismatch", {"backend": name, "worker": self._index, "remedy": remedy})


def receive_drops(listener: socket.socket) -> int:
    """Datagrams that the kernel dropped because the receive buffer of this socket was full, since it was opened."""
    info = listener.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36)
    return int.from_bytes(info[SK_MEMINFO_DROPS * 4 :], "little")
