"""A UDP session outlives the far end that it began with: one session of the client, two of the server (SIP022 §3.2.4).

The far end ends and comes back at the same place with the same keys, while the client goes on as before.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from proxy.protocol.methods import METHODS
from tests.interop.exchange import SOA, answer
from tests.interop.shadowsocks_ends import Door, client_key, far_ends, start_far_ends, start_near_ends
from tests.interop.stage import Stage, stage

OURS_AND_THEIRS = [("zonegate", "zonegate"), ("ssserver", "zonegate"), ("sing-box", "zonegate")]
THEIRS_AND_OURS = [("zonegate", "sslocal"), ("zonegate", "sing-box")]


@pytest.mark.parametrize(("far", "near"), OURS_AND_THEIRS + THEIRS_AND_OURS)
async def test_a_session_goes_on_when_the_far_end_restarts(far: str, near: str, tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        ends = [end for end in far_ends(far) if METHODS[end.method].edition == 2022]
        ways = start_near_ends(on, near, [Door(end.place, end.method, client_key(end)) for end in ends])
        await on.ready()
        sessions = [await on.ending.enter_async_context(way.session()) for way in ways]
        for _ in range(2):
            async with AsyncExitStack() as ending:
                life = Stage(tmp_path, ending, on.target)
                await start_far_ends(life, far, ends)
                await life.ready()
                async with asyncio.timeout(10):
                    for _ in range(2):
                        assert [await ask(SOA) for ask in sessions] == [answer(SOA)] * len(ends)
