"""One process under the supervisor, whatever its role, from its first message to its exit.

    inherited pair TALKING --Start--> build the service --> Ready, Status every second and with news, Events
                           --Reload-> new settings, ReloadDone or ReloadFailed
                           --Drain or end of file or SIGTERM--> drain --> exit 0

New sockets for a reload come over the other pair, HANDING. What goes wrong travels up as an event, since only the
supervisor writes logs.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from gateway import ipc
from gateway.errors import ChannelError
from gateway.repeats import EventLimiter
from proxy.values import Emit

STATUS_INTERVAL = 1.0
STATUS_SHARE = 0.05
"""This much of the time may go into statuses: with thousands of tunnels one is large, and each event asks for one."""
SAMPLE_INTERVAL = 1.0
START_TIMEOUT = 10.0
GRACE = 5.0
"""Seconds to answer what is in flight when the supervisor is gone and can't say."""

EXIT_FAILED = 70


class Service(Protocol):
    """What a process does, whatever its role."""

    async def start(self) -> None: ...

    async def reload(self, message: ipc.Reload) -> None: ...

    async def drain(self, grace: float) -> None: ...

    def status(self) -> dict[str, Any]: ...

    def block(self, blocks: ipc.Blocks) -> None:
        """Put these dynamic blocks in force, in the place of those before."""

    def notify(self, message: ipc.Notify) -> None:
        """A NOTIFY that a worker has accepted, for the role that tells the backends."""

    def samples(self) -> ipc.Samples | None:
        """What was seen since the last call; None for a role that sees no queries."""


Tell = Callable[[ipc.Notify | ipc.NotifyEnded], bool]
"""Sends up what must not get lost; False when the supervisor takes no more now, or is gone."""

Build = Callable[[ipc.Start, Emit, Tell], Service]


class Process:
    """One process under the supervisor, from its first message to its exit."""

    def __init__(self, build: Build) -> None:
        loop = asyncio.get_running_loop()
        self._build = build
        self._start: asyncio.Future[ipc.Start] = loop.create_future()
        self._grace: asyncio.Future[float] = loop.create_future()
        self._reloads: asyncio.Queue[ipc.Reload] = asyncio.Queue()
        self._closed = asyncio.Event()
        self._news = asyncio.Event()
        self._limiter = EventLimiter()
        self._channel: ipc.Channel | None = None
        self._service: Service | None = None

    async def run(self, talking: socket.socket, handing: socket.socket) -> int:
        """Serve until told to end; the exit code."""
        talking.setblocking(False)
        handing.setblocking(False)
        self._handing = handing
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._end, GRACE)
        loop.set_exception_handler(self._unhandled)
        self._channel = await ipc.open_channel(talking, self._received, self._lost)
        try:
            await self._serve()
        except Exception as error:
            self._emit("process.crashed", {"error": str(error), "traceback": traceback.format_exc()})
            return EXIT_FAILED
        finally:
            self._channel.close()
            with contextlib.suppress(TimeoutError):  # the supervisor doesn't read: it will learn from our end
                await asyncio.wait_for(self._closed.wait(), 1.0)
        return 0

    async def _serve(self) -> None:
        assert self._channel is not None
        told: set[asyncio.Future[Any]] = {self._start, self._grace}
        await asyncio.wait(told, timeout=START_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        if self._grace.done():
            return
        if not self._start.done():
            raise ChannelError(f"the supervisor said nothing for {START_TIMEOUT:g} seconds")
        service = self._service = self._build(self._start.result(), self._emit, self._tell)
        await service.start()
        gc.collect()
        gc.freeze()
        self._channel.send(ipc.Ready())
        tasks: set[asyncio.Future[Any]] = {
            asyncio.create_task(self._report(service), name="status"),
            asyncio.create_task(self._sample(service), name="samples"),
            asyncio.create_task(self._reload(service), name="reload"),
        }
        try:
            done, _ = await asyncio.wait({self._grace, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for finished in done:
                finished.result()
        finally:
            for task in tasks:
                task.cancel()
        await service.drain(self._grace.result())

    async def _report(self, service: Service) -> None:
        assert self._channel is not None
        while True:
            self._news.clear()
            began = time.perf_counter()
            self._channel.send(ipc.Status(body=service.status()))
            rest = min(STATUS_INTERVAL, (time.perf_counter() - began) / STATUS_SHARE)
            await asyncio.sleep(rest)
            # An event, such as a backend that is healthy now, may decide about readiness: it is not left for later.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STATUS_INTERVAL - rest):
                    await self._news.wait()

    async def _sample(self, service: Service) -> None:
        assert self._channel is not None
        while True:
            await asyncio.sleep(SAMPLE_INTERVAL)
            samples = service.samples()
            # The next second's are as good as those that a supervisor without time would read too late.
            if samples is not None and not self._channel.is_clogged:
                self._channel.send(samples)

    async def _reload(self, service: Service) -> None:
        assert self._channel is not None
        while True:
            message = await self._reloads.get()
            try:
                descriptors = ipc.take_over(self._handing, len(message.sockets))
                moved = zip(message.sockets, descriptors, strict=True)
                sockets = tuple(msgspec.structs.replace(item, descriptor=number) for item, number in moved)
                await service.reload(msgspec.structs.replace(message, sockets=sockets))
            except Exception as error:
                self._emit("reload.failed", {"error": str(error), "traceback": traceback.format_exc()})
                self._channel.send(ipc.ReloadFailed(serial=message.serial, reason=str(error)))
            else:
                self._channel.send(ipc.ReloadDone(serial=message.serial))

    def _received(self, message: ipc.Down | ipc.Up) -> None:
        match message:
            case ipc.Start():
                if not self._start.done():
                    self._start.set_result(message)
            case ipc.Reload():
                self._reloads.put_nowait(message)
            case ipc.Blocks():
                # One that comes before the service is there is sent again: what we say of our blocks is older.
                if self._service is not None:
                    self._service.block(message)
            case ipc.Notify():
                # The supervisor sends none before we are ready.
                if self._service is not None:
                    self._service.notify(message)
            case ipc.Drain():
                self._end(message.grace)
            case _:
                self._emit("process.error", {"error": f"unexpected {type(message).__name__} from the supervisor"})

    def _lost(self, _error: Exception | None) -> None:
        self._closed.set()
        self._end(GRACE)

    def _end(self, grace: float) -> None:
        if not self._grace.done():
            self._grace.set_result(grace)

    def _emit(self, name: str, fields: Mapping[str, object]) -> None:
        if self._channel is None or self._channel.is_clogged:
            return
        count = self._limiter.passes(name, fields, time.monotonic())
        if count is not None:
            self._channel.send(ipc.Event(name=name, fields=dict(fields), count=count))
            self._news.set()

    def _tell(self, message: ipc.Notify | ipc.NotifyEnded) -> bool:
        if self._channel is None or (isinstance(message, ipc.Notify) and self._channel.is_clogged):
            return False
        return self._channel.send(message)

    def _unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        trace = "".join(traceback.format_exception(error)) if error is not None else ""
        self._emit("process.error", {"error": str(error or context.get("message")), "traceback": trace})
