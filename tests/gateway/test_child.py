"""A process over all its lives: what it does wrong is noticed, said, and ended in bounded time."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway import ipc
from gateway.errors import StartError
from gateway.supervisor.backoff import STABLE, Backoff
from gateway.supervisor.child import Child, Limits, Role, environment, how
from tests.support.peers import auntil

SCRIPT = Path(__file__).with_name("scripted.py")
PLAN = ipc.TransferPlan(settings={})


class Watched(Child):
    """A child with the events that it caused."""

    def __init__(self, name: str, limits: Limits) -> None:
        self.events: list[tuple[str, Mapping[str, object]]] = []
        start = ipc.Start(index=0, plan=PLAN, sockets=(), memory=None)
        super().__init__(
            Role(name=name, kind="transfer", index=0, start=lambda: start),
            lambda event, fields, count: self.events.append((event, fields)),
            command=(sys.executable, str(SCRIPT)),
            limits=limits,
        )
        self.life = asyncio.create_task(self.run())

    def happened(self, event: str) -> Mapping[str, object] | None:
        return next((fields for name, fields in self.events if name == event), None)

    async def end(self) -> None:
        self.kill()
        await asyncio.wait_for(self.life, 10)


Start = Callable[..., Awaitable[Watched]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts children and ends them after the test."""
    children: list[Watched] = []

    async def begin(name: str, *, wait: bool = True, **limits: float) -> Watched:
        child = Watched(name, Limits(**{"ready": 10.0, "silence": 10.0, "reload": 10.0, "after_grace": 1.0, **limits}))
        children.append(child)
        if wait:
            await asyncio.wait_for(child.started, 20)
        return child

    yield begin
    for child in children:
        await child.end()


async def test_a_good_one_serves_reports_reloads_and_drains(start: Start) -> None:
    child = await start("good")
    assert child.state().phase == "serving"
    assert await child.reload(ipc.Reload(serial=2, plan=PLAN)) is None
    await auntil(lambda: child.state().body.get("reloads") == 1, what="its report")
    assert child.happened("scripted.said") == {"process": "good", "what": "good"}
    child.drain(5.0)
    await asyncio.wait_for(child.life, 10)
    state = child.state()
    assert (state.pid, state.phase, state.restarts) == (None, "down", 0)


async def test_sockets_are_handed_over_at_a_reload(start: Start) -> None:
    child = await start("good")
    here, there = socket.socketpair()
    with here, there:
        item = ipc.Socket(owner="exit", transport="tcp", descriptor=there.fileno())
        assert await child.reload(ipc.Reload(serial=2, plan=PLAN, sockets=(item,))) is None
        here.settimeout(5)
        assert here.recv(100) == b"handed over"


async def test_a_killed_one_is_started_again_at_once(start: Start) -> None:
    child = await start("good")
    first = child.state().pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await auntil(lambda: child.state().phase == "serving" and child.state().pid != first, what="its second life")
    exited = child.happened("process.exited")
    assert exited is not None
    assert exited["how"] == "signal SIGKILL"
    assert child.state().restarts == 1


async def test_one_that_falls_over_says_why_before_it_ends(start: Start) -> None:
    child = await start("fails-later", wait=False)
    await auntil(lambda: child.happened("process.exited"), what="its end")
    crashed = child.happened("process.crashed")
    assert crashed is not None
    assert crashed["error"] == "fell over"
    assert "RuntimeError" in str(crashed["traceback"])


async def test_one_that_cannot_start_is_given_up_with_its_reason(start: Start) -> None:
    child = await start("fails-to-start", wait=False)
    with pytest.raises(StartError, match="fails-to-start does not start: no such luck"):
        await asyncio.wait_for(child.started, 20)
    assert [name for name, _ in child.events].count("process.exited") == 3


@pytest.mark.parametrize(
    ("name", "limit", "event"),
    [("never-ready", {"ready": 0.5}, "process.hung"), ("goes-silent", {"silence": 0.5}, "process.hung")],
)
async def test_one_that_hangs_is_killed(start: Start, name: str, limit: dict[str, float], event: str) -> None:
    child = await start(name, wait=False, **limit)
    await auntil(lambda: child.happened("process.exited"), what="its end")
    assert child.happened(event)
    exited = child.happened("process.exited")
    assert exited is not None
    assert exited["how"] == "signal SIGKILL"


async def test_one_that_talks_nonsense_is_killed(start: Start) -> None:
    child = await start("talks-nonsense", wait=False)
    await auntil(lambda: child.happened("process.exited"), what="its end")
    error = child.happened("process.error")
    assert error is not None
    assert "was announced" in str(error["error"])


@pytest.mark.parametrize(
    ("name", "reason"), [("refuses-reload", "not to my taste"), ("never-answers", "no answer within 0.3 seconds")]
)
async def test_one_that_will_not_reload_starts_anew(start: Start, name: str, reason: str) -> None:
    child = await start(name, reload=0.3)
    first = child.state().pid
    assert await child.reload(ipc.Reload(serial=2, plan=PLAN)) == reason
    await auntil(lambda: child.state().phase == "serving" and child.state().pid != first, what="its second life")


async def test_one_that_dies_during_a_reload_does_not_hold_it_up(start: Start) -> None:
    child = await start("never-answers")
    pid = child.state().pid
    assert pid is not None
    reload = asyncio.create_task(child.reload(ipc.Reload(serial=2, plan=PLAN)))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    assert await asyncio.wait_for(reload, 5) == "it ended before it answered"


async def test_one_that_does_not_drain_is_killed(start: Start) -> None:
    child = await start("never-drains", after_grace=0.3)
    child.drain(0.1)
    await asyncio.wait_for(child.life, 10)
    assert child.happened("process.overdue")


def test_the_first_restart_is_immediate_and_the_next_ones_wait_longer() -> None:
    backoff = Backoff()
    delays = [backoff.delay(0.5) for _ in range(12)]
    assert delays[:4] == [0.0, 0.1, 0.2, 0.4]
    assert delays == sorted(delays)
    assert delays[-1] == 2.0
    assert backoff.delay(STABLE) == 0.0


def test_only_harmless_variables_are_passed_on() -> None:
    given = {"PATH": "/bin", "PYTHONPATH": "x", "LC_ALL": "C", "ZONEGATE_EXIT_KEY": "planted", "MY_TOKEN": "planted"}
    passed = environment(given)
    assert {name: passed[name] for name in passed if not name.startswith("MALLOC_")} == {
        "PATH": "/bin",
        "PYTHONPATH": "x",
        "LC_ALL": "C",
    }


def test_freed_memory_is_kept_for_the_next_read_unless_the_operator_says_otherwise() -> None:
    read = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)"
    loop = "for _ in range(1000): x = bytes(262_144); y = x[1:]; del x, y"
    program = [sys.executable, "-c", f"exec('{loop}'); {read}"]
    kept, given = (
        int(subprocess.run(program, env=env, capture_output=True, check=True).stdout)
        for env in (environment({}), environment({"MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_MMAP_THRESHOLD_": "4096"}))
    )
    assert kept < 50_000 < given


@pytest.mark.parametrize(("code", "words"), [(0, "exit code 0"), (-9, "signal SIGKILL"), (-99, "signal 99")])
def test_an_end_in_words(code: int, words: str) -> None:
    assert how(code) == words


async def test_a_reload_reaches_a_process_that_is_just_being_started(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    spawn = asyncio.create_subprocess_exec

    async def slow_spawn(*arguments: Any, **options: Any) -> asyncio.subprocess.Process:
        begun.set()
        await go_on.wait()
        return await spawn(*arguments, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", slow_spawn)
    child = await start("good", wait=False)
    await asyncio.wait_for(begun.wait(), 10)
    reload = asyncio.create_task(child.reload(ipc.Reload(serial=2, plan=PLAN)))
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.wait_for(reload, 20) is None
    await auntil(lambda: child.state().body.get("reloads") == 1, what="the new plan in use")
