"""What a process says of itself: how often, whatever happens."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.wiring import process
from gateway.wiring.process import STATUS_SHARE, Process, Service


async def test_a_storm_of_events_with_a_large_status_leaves_time_for_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each event asks for a status; one that takes 10 ms is made every 200 ms at most."""
    clock, rests, sent = iter(range(1000)), list[float](), list[object]()
    enough = asyncio.Event()

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 3:
            enough.set()
            await asyncio.Event().wait()

    monkeypatch.setattr(process, "time", SimpleNamespace(perf_counter=lambda: next(clock) * 0.01))
    monkeypatch.setattr(process, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": rest}))
    made = Process(lambda *_: cast("Service", None))
    made._channel = cast("Any", SimpleNamespace(send=sent.append))

    def status() -> dict[str, Any]:
        made._news.set()
        return {}

    reporting = asyncio.create_task(made._report(cast("Service", SimpleNamespace(status=status))))
    await enough.wait()
    reporting.cancel()
    assert rests == pytest.approx([0.01 / STATUS_SHARE] * 3)
    assert len(sent) == 3
