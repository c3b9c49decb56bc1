"""Look-ups of host names by the system, of which the same one is never under way twice.

The system looks up in a few threads, and a look-up there can't be cancelled. With a resolver that does not answer, each
attempt at a connection would leave one behind, and the names of other tunnels would wait behind them all.
"""

from __future__ import annotations

import asyncio
from typing import Any

Found = list[tuple[Any, ...]]  # as socket.getaddrinfo gives them
_Wanted = tuple[str, int, int]

_under_way: dict[_Wanted, asyncio.Task[Found]] = {}


async def look_up(host: str, port: int, kind: int) -> Found:
    """The addresses of a host; `kind` is a type of socket. An address is its own, and takes no time.

    Raises:
        OSError: it can't be looked up.
    """
    if ":" in host or host[-1:].isdigit():  # no top level domain ends in a digit
        return await _ask(host, port, kind)
    wanted = host, port, kind
    asking = _under_way.get(wanted)
    if asking is None or asking.get_loop() is not asyncio.get_running_loop():
        asking = _under_way[wanted] = asyncio.create_task(_ask(*wanted), name=f"look-up of {host}")
        asking.add_done_callback(lambda done: _ended(wanted, done))
    return await asyncio.shield(asking)


async def _ask(host: str, port: int, kind: int) -> Found:
    return list(await asyncio.get_running_loop().getaddrinfo(host, port, type=kind))


def _ended(wanted: _Wanted, done: asyncio.Task[Found]) -> None:
    if _under_way.get(wanted) is done:
        del _under_way[wanted]
    if not done.cancelled():
        done.exception()  # whoever waits is told; nobody may wait any more
