"""`python -m gateway.lab.builtin CONFIGURATION`: one built-in server in the foreground, until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
import uvloop

from gateway.lab.builtin.node import Node
from gateway.lab.builtin.primary import Primary
from gateway.lab.builtin.settings import PrimarySettings, ServerSettings


async def run(settings: ServerSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ExceptionGroup: of OSError, when the address can't be bound.
    """
    server = Primary(settings) if isinstance(settings, PrimarySettings) else Node(settings)
    serving = asyncio.create_task(server.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with suppress(asyncio.CancelledError):  # that is how it ends
        await serving


def main() -> None:
    """Read the configuration and run."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    configuration = Path(sys.argv[1]).read_bytes()
    uvloop.run(run(msgspec.json.decode(configuration, type=ServerSettings)))


if __name__ == "__main__":
    main()
