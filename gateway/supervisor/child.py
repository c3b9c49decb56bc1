"""One process under the supervisor, over all its lives.

    starting --Ready--> serving --drain--> draining --exit--> (end)
       ^  \\                |  killed, crashed, hung
       |   `-- crashed --. v
       `----- delay ---- down

A process is hung when it has said nothing for a while (it sends a Status every second); it is killed then. Every wait
here has an end: for Ready, for the acknowledgement of a reload, for the end of a drain.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from gateway import ipc
from gateway.errors import ChannelError, GatewayError, StartError
from gateway.state import Phase, ProcessState
from gateway.supervisor.backoff import Backoff

Emit = Callable[[str, Mapping[str, object], int], None]

COMMAND = (sys.executable, "-P", "-m", "gateway.wiring")
_ATTEMPTS = 3
"""Starts of a process that has never served before the gateway's own start is given up."""


class Limits(Struct, frozen=True, kw_only=True):
    """Seconds that things may take. A large policy takes longest: a process that starts is silent meanwhile."""

    ready: float = 30.0
    silence: float = 15.0
    reload: float = 40.0
    after_grace: float = 2.0


class Role(Struct, frozen=True, kw_only=True):
    """What a process is, and how its first message is made; that is called anew for each life."""

    name: str
    kind: Literal["ingress", "transfer"]
    index: int
    start: Callable[[], ipc.Start]


class Child:
    """Starts the process, watches it, starts it again. `started` completes when it serves for the first time."""

    def __init__(
        self,
        role: Role,
        emit: Emit,
        *,
        command: Sequence[str] = COMMAND,
        limits: Limits | None = None,
        on_samples: Callable[[Child, ipc.Samples], None] = lambda _child, _samples: None,
        on_notify: Callable[[Child, ipc.Notify | ipc.NotifyEnded | ipc.Ready], None] = lambda _child, _message: None,
    ) -> None:
        self.role = role
        self._on_samples = on_samples
        self._on_notify = on_notify
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.started.add_done_callback(lambda started: started.cancelled() or started.exception())
        self._emit = emit
        self._command = command
        self._limits = limits or Limits()
        self._backoff = Backoff()
        self._phase: Phase = "down"
        self._body: dict[str, Any] = {}
        self._born = self._heard = 0.0
        self._restarts = 0
        self._failure = ""
        self._process: asyncio.subprocess.Process | None = None
        self._channel: ipc.Channel | None = None
        self._handing: socket.socket | None = None
        self._reloads: dict[int, asyncio.Future[str | None]] = {}
        self._spawning = asyncio.Lock()
        self._ending = asyncio.Event()
        self._deadline: float | None = None

    def state(self) -> ProcessState:
        """How it is now."""
        alive = self._process is not None
        return ProcessState(
            name=self.role.name,
            role=self.role.kind,
            index=self.role.index,
            pid=self._process.pid if self._process is not None else None,
            phase=self._phase,
            age=time.monotonic() - self._born if alive else 0.0,
            restarts=self._restarts,
            body=self._body,
        )

    async def run(self) -> None:
        """Keep the process alive until `drain` or `kill` was called and it has ended."""
        attempts = 0
        while not self._ending.is_set():
            code = await self._live()
            lived = time.monotonic() - self._born
            self._phase, self._body = "down", {}
            if self._ending.is_set():
                break
            fields = {"process": self.role.name, "how": how(code), "lived": round(lived, 3)}
            self._emit("process.exited", {**fields, "error": self._failure} if self._failure else fields, 1)
            attempts += 1
            if not self.started.done() and attempts == _ATTEMPTS:
                reason = self._failure or how(code)
                self.started.set_exception(StartError(f"{self.role.name} does not start: {reason}"))
                return
            self._restarts += 1
            with contextlib.suppress(TimeoutError):  # the usual end of the delay; otherwise we are told to end
                await asyncio.wait_for(self._ending.wait(), self._backoff.delay(lived))
        if not self.started.done():
            self.started.cancel()

    async def reload(self, message: ipc.Reload) -> str | None:
        """Hand down a new plan. None when it is in use; else why not, and then the process starts anew with it."""
        serial = message.serial
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._reloads[serial] = answer
        try:
            async with self._spawning:  # a life that is being started has been given the old plan: it is told, too
                if self._channel is None or self._handing is None:
                    return None  # it is down, and its next life begins with the new plan
                ipc.hand_over(self._handing, [item.descriptor for item in message.sockets])
                self._channel.send(message)
            reason = await asyncio.wait_for(answer, self._limits.reload)
        except TimeoutError:
            reason = f"no answer within {self._limits.reload:g} seconds"
        except OSError as error:
            reason = f"its sockets can't be handed over: {error.strerror}"
        finally:
            del self._reloads[serial]
        if reason is not None:
            self._signal(signal.SIGKILL)
        return reason

    @property
    def is_serving(self) -> bool:
        """Whether it has said that it serves."""
        return self._phase == "serving"

    def send(self, message: ipc.Blocks | ipc.Notify) -> bool:
        """Tell it something that needs no answer; False when it is down."""
        return self._channel is not None and self._channel.send(message)

    def drain(self, grace: float) -> None:
        """Ask it to end within `grace` seconds; a little later it is killed."""
        self._ending.set()
        self._phase = "draining"
        self._deadline = time.monotonic() + grace + self._limits.after_grace
        if self._channel is None or not self._channel.send(ipc.Drain(grace=grace)):
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        self._ending.set()
        self._signal(signal.SIGKILL)

    async def _live(self) -> int:
        """One life; the exit code, negative for a signal."""
        self._phase, self._born = "starting", time.monotonic()
        self._heard, self._failure = self._born, ""
        try:
            async with self._spawning:
                process = self._process = await self._spawn()
            if self._ending.is_set():  # told to end while it was being started
                self._signal(signal.SIGKILL)
            await self._watch(asyncio.create_task(process.wait(), name=f"exit of {self.role.name}"))
        except (OSError, GatewayError) as error:
            self._failure = str(error)
            return os.EX_OSERR
        finally:
            self._process = None
            if self._channel is not None:
                self._channel.close()
            if self._handing is not None:
                self._handing.close()
                self._handing = None
        return process.returncode if process.returncode is not None else os.EX_SOFTWARE

    async def _spawn(self) -> asyncio.subprocess.Process:
        start = self.role.start()
        talking, their_talking = socket.socketpair()
        handing, their_handing = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with their_talking, their_handing:
            try:
                passed = [their_talking.fileno(), their_handing.fileno(), *(item.descriptor for item in start.sockets)]
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    str(their_talking.fileno()),
                    str(their_handing.fileno()),
                    self.role.name,
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=passed if start.memory is None else [*passed, start.memory],
                    env=environment(os.environ),
                )
            except BaseException:
                talking.close()
                handing.close()
                raise
        talking.setblocking(False)
        handing.setblocking(False)
        self._handing = handing
        self._channel = await ipc.open_channel(talking, self._received, self._closed)
        self._channel.send(start)
        return process

    async def _watch(self, exit_task: asyncio.Task[int]) -> None:
        """Wait for the end of the process, and bring it about when it is hung or overdue."""
        killed = False
        while not exit_task.done():
            now = time.monotonic()
            patience = self._limits.ready if self._phase == "starting" else self._limits.silence
            until = self._deadline if self._deadline is not None else self._heard + patience
            if now >= until and not killed:
                name = "process.overdue" if self._deadline is not None else "process.hung"
                self._emit(name, {"process": self.role.name, "phase": self._phase}, 1)
                self._failure = self._failure or f"it said nothing for {patience:g} seconds while {self._phase}"
                self._signal(signal.SIGKILL)
                killed = True
            await asyncio.wait({exit_task}, timeout=1.0 if killed else min(until - now, 1.0))

    def _received(self, message: ipc.Down | ipc.Up) -> None:
        if not isinstance(message, ipc.Event):
            self._heard = time.monotonic()
        match message:
            case ipc.Ready():
                if self._phase == "starting":
                    self._phase = "serving"
                if not self.started.done():
                    self.started.set_result(None)
                self._on_notify(self, message)
            case ipc.Notify() | ipc.NotifyEnded():
                self._on_notify(self, message)
            case ipc.Status():
                self._body = message.body
            case ipc.Samples():
                self._on_samples(self, message)
            case ipc.Event():
                if message.name == "process.crashed":
                    self._failure = str(message.fields.get("error"))
                self._emit(message.name, {"process": self.role.name, **message.fields}, message.count)
            case ipc.ReloadDone() | ipc.ReloadFailed():
                waiting = self._reloads.get(message.serial)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message.reason if isinstance(message, ipc.ReloadFailed) else None)
            case _:
                self._signal(signal.SIGKILL)

    def _closed(self, error: Exception | None) -> None:
        """The channel ended, usually because the process did. One that stays silent without it is killed as hung."""
        self._channel = None
        for waiting in self._reloads.values():
            if not waiting.done():
                waiting.set_result("it ended before it answered")
        if isinstance(error, ChannelError):
            self._emit("process.error", {"process": self.role.name, "error": str(error)}, 1)
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                self._process.send_signal(number)


def how(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


_PASSED = {
    "PATH",
    "HOME",
    "LANG",
    "TZ",
    "LD_LIBRARY_PATH",
    "RUST_BACKTRACE",
    "VIRTUAL_ENV",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
}

# mallopt(3): reads of 256 KiB come and go all the time. As glibc is set, each is given back to the kernel and cleared
# page by page when it is wanted again, which takes nearly half of an exit's time. So some of what was freed is kept.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20), "MALLOC_TRIM_THRESHOLD_": str(16 << 20)}


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """What the processes get of our environment. Not all: secrets of the configuration may stand in it."""
    passed = {
        name: value
        for name, value in ours.items()
        if name in _PASSED or name.startswith(("PYTHON", "LC_", "COVERAGE_"))
    }
    return _MALLOC | passed
