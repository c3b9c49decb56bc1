"""`python -m gateway.wiring TALKING HANDING NAME`: descriptors of two inherited pairs, and the name of the process."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
from pathlib import Path

import uvloop

from gateway.wiring.process import Process
from gateway.wiring.roles import build_service


def main(arguments: list[str]) -> int:
    """Entry of a process: its end of the socket pair, and its name."""
    talking, handing, name = arguments
    # The supervisor answers these for all; Ctrl-C on a terminal reaches every process of the group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # only a nicer name in `top`
        Path("/proc/self/comm").write_text(f"zg-{name}"[:15])

    async def run() -> int:
        return await Process(build_service).run(socket.socket(fileno=int(talking)), socket.socket(fileno=int(handing)))

    return uvloop.run(run())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
