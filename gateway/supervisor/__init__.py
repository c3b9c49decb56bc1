"""`zonegate run`: the process that starts, watches, reloads and drains the others."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable
from pathlib import Path

import uvloop

from gateway.config import Loaded, load


def run(loaded: Loaded, path: Path | None, read: Callable[[Path], Loaded] = load) -> int:
    """Run a gateway until it is told to stop; the exit code. `path` is the file that a reload reads, by `read`."""
    from gateway.supervisor.gateway import Supervisor

    async def serve() -> int:
        return await Supervisor(loaded, path, read=read).run()

    _raise_descriptor_limit()
    return uvloop.run(serve())


def _raise_descriptor_limit() -> None:
    """Take as many descriptors as we may have; the processes inherit it.

    The usual soft limit of 1024 is for programs that use select(2). Every client over TCP takes one.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it; each worker then says what it lacks
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
