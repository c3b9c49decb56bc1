"""`zonegate run`: the process that starts, watches, reloads and drains the others."""

from __future__ import annotations

from pathlib import Path

import uvloop

from gateway.config import Loaded


def run(loaded: Loaded, path: Path | None) -> int:
    """Run a gateway until it is told to stop; the exit code. `path` is the file that a reload reads."""
    from gateway.supervisor.gateway import Supervisor

    async def serve() -> int:
        return await Supervisor(loaded, path).run()

    return uvloop.run(serve())
