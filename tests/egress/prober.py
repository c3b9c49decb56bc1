"""What a prober sees of an exit: how its connection ends, and when."""

from __future__ import annotations

import asyncio
import time

from proxy.settings import Exit
from tests.egress.ring import connection

SLACK = 5.0  # seconds that a busy machine may be late
HANDSHAKE = 0.3  # seconds; the handshake timeout of the exits that are probed


async def end_of(settings: Exit, *writes: bytes, fin: bool = False) -> tuple[str, float]:
    """How the connection ends after these writes and perhaps a FIN, and after how long."""
    async with connection(settings.listen) as (reader, writer):
        began = time.monotonic()
        for data in writes:
            writer.write(data)
            await asyncio.sleep(0)
        if fin:
            writer.write_eof()
        try:
            how = "FIN" if await reader.read() == b"" else "data"
        except ConnectionResetError:
            how = "RST"
        return how, time.monotonic() - began


def check_silence(seen: dict[str, tuple[str, float]]) -> None:
    """All probes saw the same, at the same time."""
    assert {how for how, _ in seen.values()} == {"RST"}, seen
    times = [took for _, took in seen.values()]
    assert min(times) > HANDSHAKE * 0.9, seen
    assert max(times) < HANDSHAKE + SLACK, seen
