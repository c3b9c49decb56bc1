"""The supervisor: opens the doors, starts the processes, watches them, reloads them, drains them.

open sockets -> shared memory -> processes -> admin API -> all ready: READY=1
SIGHUP, POST /reload    read and check the whole file; then new plans to all processes, or no change at all
SIGTERM, SIGINT         close the doors, drain all processes, exit 0; a second one ends at once, exit 1
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gateway import ipc
from gateway.config import ConfigError, Loaded, Problem, load
from gateway.config.changes import read_changes
from gateway.config.directory import LISTS, state_directory
from gateway.errors import StartError
from gateway.events import EventSink
from gateway.lists.values import ListState
from gateway.notify import Notifier, environment_notifier
from gateway.settings import AdminSettings, GatewaySettings
from gateway.state import GatewayState, ProcessState, Readiness, ReloadReport
from gateway.supervisor.blocking import Blocking
from gateway.supervisor.child import COMMAND, Child, Limits, Role
from gateway.supervisor.doors import Doors
from gateway.supervisor.listing import Listing
from gateway.supervisor.notifying import Notifying
from gateway.supervisor.plans import Planner
from gateway.supervisor.readiness import judge
from gateway.version import version

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from dataplane import SharedMemory
    from gateway.admin import AdminServer
    from gateway.blocks.keeper import BlockKeeper

GRACE = 10.0
"""Seconds that a drain may take to answer what is in flight."""

_SHOWN = 50
"""Problems of a rejected configuration that are logged; the answer to the reload has them all."""


class Supervisor:
    """One gateway. It is also what the admin API asks, and the source of the metrics."""

    def __init__(
        self,
        loaded: Loaded,
        path: Path | None,
        *,
        read: Callable[[Path], Loaded] = load,
        notifier: Notifier | None = None,
        command: Sequence[str] = COMMAND,
        limits: Limits | None = None,
    ) -> None:
        self.settings = loaded.settings
        self.memory: SharedMemory | None = None
        self.serial = 1
        self.last_reload_ok = True
        self._warnings = loaded.warnings
        self._path = path
        self._read = read
        self._notifier = notifier or environment_notifier()
        self._command = command
        self._limits = limits or Limits()
        self._events = EventSink(loaded.settings.log)
        self._planner = Planner(loaded.settings)
        base = path.parent if path is not None else Path()
        self._planner.place(str(state_directory(loaded.settings.state, path) / LISTS), str(base.absolute()))
        self._born = time.monotonic()
        self._doors: Doors | None = None
        self._registry: CollectorRegistry | None = None
        self._children: list[Child] = []
        self._notifying = Notifying(self._children)
        self.blocking: Blocking | None = None
        self.listing: Listing | None = None
        self._listing: asyncio.Task[None] | None = None
        self._lives: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._forced = False
        self._reloading = asyncio.Lock()
        self._background: set[asyncio.Task[ReloadReport]] = set()

    async def run(self) -> int:
        """Serve until told to stop; the exit code: 0 after a drain, 1 when it could not start or was ended at once."""
        self._catch_signals()
        for warning in self._warnings:
            self._events.emit("config.warning", {"warning": warning})
        admin: AdminServer | None = None
        try:
            admin = await self._start()
            await self._stop.wait()
        except StartError as error:
            self._events.emit("gateway.failed", {"error": str(error)})
            self._forced = True
        finally:
            await self._drain(admin)
        return 1 if self._forced else 0

    # What the admin API and the metrics ask.

    @property
    def admin(self) -> AdminSettings:
        """Who may use the API."""
        return self.settings.admin

    @property
    def registry(self) -> CollectorRegistry:
        """The metrics."""
        assert self._registry is not None
        return self._registry

    @property
    def slots(self) -> Mapping[str, int]:
        """The backends and their places in the shared memory."""
        return self._planner.slots

    @property
    def limits(self) -> Mapping[str, int]:
        """The rate limits and their places in the shared memory."""
        return self._planner.limits

    @property
    def rules(self) -> Mapping[str, int]:
        """The rules and their places in the shared memory."""
        return self._planner.rules

    @property
    def list_cells(self) -> Mapping[str, int]:
        """The lists and their places in the shared memory."""
        return self._planner.lists

    def lists(self) -> Sequence[ListState]:
        """How the lists are."""
        return self.listing.keeper.states() if self.listing is not None else ()

    @property
    def block_figures(self) -> BlockKeeper | None:
        """What is counted of dynamic blocks."""
        return None if self.blocking is None else self.blocking.keeper

    def over_limits(self) -> Mapping[str, int]:
        """Queries over each rate limit since the start."""
        memory = self.memory
        return {} if memory is None else {name: memory.over_limit(slot) for name, slot in self.limits.items()}

    def backend_names(self) -> Mapping[int, str]:
        """The backends by their places in the shared memory."""
        return {slot: name for name, slot in self.slots.items()}

    @property
    def event_counts(self) -> Mapping[str, int]:
        """How often each event came."""
        return self._events.counts

    def processes(self) -> Sequence[ProcessState]:
        """All processes."""
        return [child.state() for child in self._children]

    def readiness(self) -> Readiness:
        """Whether all that is configured serves."""
        return judge(listening=self._doors is not None, draining=self._stop.is_set(), processes=self.processes())

    def state(self) -> GatewayState:
        """All of it."""
        return GatewayState(
            version=version(),
            pid=os.getpid(),
            config=str(self._path) if self._path is not None else None,
            uptime=time.monotonic() - self._born,
            serial=self.serial,
            readiness=self.readiness(),
            processes=tuple(self.processes()),
            events=dict(self._events.counts),
        )

    async def reload(self) -> ReloadReport:
        """Read the configuration anew and take it into use; on any error nothing changes."""
        async with self._reloading:
            if self._stop.is_set():
                return _refusal("the gateway is draining")
            self._notifier.reloading()
            try:
                report = await self._reload()
            except Exception as error:  # a fault of our own: whoever asked hears of it, and the log has all
                self._events.emit("reload.failed", {"error": str(error), "traceback": traceback.format_exc()})
                report = _refusal(f"an error of the gateway itself: {error}")
            self.last_reload_ok = report.ok
            if not self._stop.is_set():
                self._notifier.ready(self._summary())
            return report

    # The start.

    async def _start(self) -> AdminServer:
        ingress = self.settings.ingress
        workers = 0 if ingress is None else ingress.workers or len(os.sched_getaffinity(0))
        self._doors = Doors(self.settings, workers)
        if ingress is not None:
            from dataplane import SharedMemory

            try:
                self.memory = SharedMemory.create(workers, self.settings.filters.table_size)
            except (OSError, ValueError) as error:
                raise StartError(f"shared memory: {error}") from error
            self._start_blocking()
            await self._start_listing()
        for index in range(workers):
            self._add(f"ingress-{index}", "ingress", index)
        if self._planner.transfer is not None:
            self._add("transfer", "transfer", 0)
        await asyncio.sleep(0)  # the processes are on their way before HTTP is loaded, which takes as long as they do
        admin = self._serve_admin(self._doors)
        self._notifier.status("starting")
        await self._until_started()
        if not self._stop.is_set():
            self._events.emit("gateway.ready", {"address": str(self.settings.admin.address), "what": self._summary()})
            self._notifier.ready(self._summary())
        return admin

    def _start_blocking(self) -> None:
        # Imported here, because only a gateway with a way in needs the data plane.
        from gateway.blocks.keeper import BlockKeeper

        directory = state_directory(self.settings.state, self._path)
        keeper = BlockKeeper(self.settings, directory, self._events.emit)
        self.blocking = Blocking(keeper, self._children, self)
        task = asyncio.create_task(self.blocking.run(), name="blocks")
        task.add_done_callback(self._on_life_end)
        self._looking = task

    async def _start_listing(self) -> None:
        # Imported here, because only a gateway with a way in needs the data plane.
        from gateway.lists.keeper import ListKeeper

        base = self._path.parent if self._path is not None else Path()
        keeper = ListKeeper(state=state_directory(self.settings.state, self._path), base=base, emit=self._events.emit)
        # Before the workers: what a list keeps out is kept out from the first query on.
        await keeper.configure(self.settings.filters.lists)
        self._planner.take_lists(keeper.files())
        self.listing = Listing(keeper, self._swap_lists)
        self._listing = asyncio.create_task(self.listing.run(), name="lists")
        self._listing.add_done_callback(self._on_life_end)

    async def _swap_lists(self) -> None:
        async with self._reloading:
            if self.listing is None or self._stop.is_set():
                return
            self._planner.take_lists(self.listing.keeper.files())
            workers = [child for child in self._children if child.role.kind == "ingress"]
            await asyncio.gather(*(self._hand_down(child) for child in workers))

    def _add(self, name: str, kind: Literal["ingress", "transfer"], index: int) -> None:
        role = Role(name=name, kind=kind, index=index, start=lambda: self._first_message(kind, index))
        child = Child(
            role,
            self._events.emit,
            command=self._command,
            limits=self._limits,
            on_samples=self._on_samples,
            on_notify=self._notifying.heard,
        )
        self._children.append(child)
        life = asyncio.create_task(child.run(), name=name)
        life.add_done_callback(self._on_life_end)
        self._lives.add(life)

    def _on_samples(self, child: Child, message: ipc.Samples) -> None:
        if self.blocking is not None:
            self.blocking.heard(child, message)

    def _on_life_end(self, life: asyncio.Task[None]) -> None:
        """A fault of our own in watching a process must not leave it unwatched: better end, and be started again."""
        error = None if life.cancelled() else life.exception()
        if error is not None:
            trace = "".join(traceback.format_exception(error))
            self._events.emit("gateway.failed", {"error": str(error), "traceback": trace})
            self._forced = True
            self._stop.set()

    def _first_message(self, kind: Literal["ingress", "transfer"], index: int) -> ipc.Start:
        if self._doors is None:
            raise StartError("the doors are closed")
        sockets = self._doors.of_worker(index) if kind == "ingress" else self._doors.of_transfer()
        memory = self.memory.fd if kind == "ingress" and self.memory is not None else None
        blocks = self.blocking.keeper.message() if kind == "ingress" and self.blocking is not None else None
        return ipc.Start(index=index, plan=self._plan(kind), sockets=sockets, memory=memory, blocks=blocks)

    def _plan(self, kind: Literal["ingress", "transfer"]) -> ipc.Plan:
        plan = self._planner.ingress if kind == "ingress" else self._planner.transfer
        assert plan is not None
        return plan

    def _serve_admin(self, doors: Doors) -> AdminServer:
        # Imported while the processes start: HTTP is slow to load, and the way of a packet doesn't wait for it.
        from gateway.admin import AdminServer
        from gateway.metrics import create_registry

        self._registry = create_registry(self)
        server = AdminServer(self, doors.admin)
        server.start()
        return server

    async def _until_started(self) -> None:
        """Wait until every process serves, or one can't, or we are told to stop. Each start has a bound of its own."""
        stop = asyncio.create_task(self._stop.wait(), name="stop asked")
        try:
            for child in self._children:
                waited: set[asyncio.Future[Any]] = {child.started, stop}
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                if stop.done():
                    return
                child.started.result()
        finally:
            stop.cancel()

    # The reload.

    async def _reload(self) -> ReloadReport:
        if self._path is None:
            return _refusal("the gateway runs without a file")
        try:
            # In a thread: a long list of zones takes seconds, and the processes are watched meanwhile.
            transfers = any(child.role.kind == "transfer" for child in self._children)
            reading = asyncio.to_thread(read_changes, self.settings, self._path, self._read, transfers=transfers)
            changes, warnings = await reading
            if self._stop.is_set():
                return _refusal("the gateway is draining")
            if changes.changed:
                restarted = await self._take(changes.effective)
            else:
                restarted = await self._look_again()
        except ConfigError as error:
            self._events.emit("config.rejected", {"problems": [str(problem) for problem in error.problems[:_SHOWN]]})
            return ReloadReport(ok=False, problems=error.problems)
        changed, restart = changes.changed, changes.restart
        self._events.emit("config.reloaded", {"serial": self.serial, "changed": list(changed), "restarted": restarted})
        if restart:
            self._events.emit("config.restart-needed", {"keys": list(restart)})
        warnings += tuple(f"list {each.name}: {each.error}" for each in self.lists() if each.error is not None)
        return ReloadReport(ok=True, changed=changed, restart=restart, warnings=warnings, restarted=tuple(restarted))

    async def _take(self, settings: GatewaySettings) -> list[str]:
        """Take settings into use; the names of the processes that had to start anew for it.

        Raises:
            ConfigError: an address or a directory of the new settings can't be had; nothing has changed.
        """
        assert self._doors is not None
        try:
            if self.listing is not None:
                self.listing.keeper.prepare(settings.filters.lists)
            close_old_doors = self._doors.move_transfer(settings)
        except StartError as error:
            right = "mend that, or name another; nothing has changed"
            raise ConfigError(
                [Problem(file=str(self._path), line=None, key="", found=str(error), right=right)]
            ) from None
        self.settings = settings
        self.serial += 1
        if self.listing is not None:
            await self.listing.keeper.configure(settings.filters.lists)
            self._planner.take_lists(self.listing.keeper.files())
        self._planner.take(settings)
        self._events.configure(settings.log)
        if self.blocking is not None:
            self.blocking.configure(settings)
        answers = await asyncio.gather(*(self._hand_down(child) for child in self._children))
        close_old_doors()
        return [child.role.name for child, why in zip(self._children, answers, strict=True) if why is not None]

    async def _look_again(self) -> list[str]:
        """Nothing in the settings is new, but certificates that they name may be: let them be read again."""
        if not any(primary.tls is not None for primary in self.settings.primaries):
            return []
        self.serial += 1
        children = [child for child in self._children if child.role.kind == "transfer"]
        answers = await asyncio.gather(*(self._hand_down(child) for child in children))
        return [child.role.name for child, why in zip(children, answers, strict=True) if why is not None]

    async def _hand_down(self, child: Child) -> str | None:
        assert self._doors is not None
        sockets = self._doors.of_transfer() if child.role.kind == "transfer" else ()
        why = await child.reload(ipc.Reload(serial=self.serial, plan=self._plan(child.role.kind), sockets=sockets))
        if why is not None:
            self._events.emit("reload.rejected", {"process": child.role.name, "error": why})
        return why

    # The end.

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)

    def _on_stop(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            self._forced = True
            for child in self._children:
                child.kill()
        else:
            self._events.emit("gateway.draining", {"signal": number.name})
            self._stop.set()

    def _on_hangup(self) -> None:
        task = asyncio.create_task(self.reload(), name="reload")
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _drain(self, admin: AdminServer | None) -> None:
        self._stop.set()
        self._notifier.stopping("draining")
        # Closed here first, so that nothing new is queued where nobody will read it.
        if self._doors is not None:
            self._doors.close()
        for child in self._children:
            child.kill() if self._forced else child.drain(GRACE)
        if self._lives:
            _, alive = await asyncio.wait(self._lives, timeout=GRACE + 2 * self._limits.after_grace)
            for task in alive:  # a process that not even SIGKILL ends: it hangs in the kernel
                task.cancel()
        if admin is not None:
            await admin.stop()
        if self._listing is not None:
            self._listing.cancel()
        if self._looking is not None and self.blocking is not None:
            self._looking.cancel()
            self.blocking.keeper.save()
        self._events.emit("gateway.stopped", {"uptime": round(time.monotonic() - self._born, 3)})

    def _summary(self) -> str:
        serving = [state.name for state in self.processes() if state.phase == "serving"]
        return f"serving with {', '.join(serving)}" if serving else "not serving"


def _refusal(why: str) -> ReloadReport:
    return ReloadReport(
        ok=False, problems=(Problem(file="reload", line=None, key="", found=why, right="restart it to change it"),)
    )
