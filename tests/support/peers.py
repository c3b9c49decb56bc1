"""Real neighbours in tests: find their programs, give them ports, start them, wait for them, stop them by process ID.

`make peers` installs them. A test whose peer is missing is skipped; with ZONEGATE_REQUIRE_PEERS=1, as in CI, it fails.
The launchers of the name servers are those of the lab, `gateway.lab.servers`.
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from gateway.lab.servers.ports import free_port, is_free
from gateway.lab.servers.process import ChildError, ChildProcess, find_binary
from gateway.lab.servers.server import NameServer
from gateway.lab.servers.waiting import WaitError, auntil, until

__all__ = [
    "ChildError",
    "ChildProcess",
    "WaitError",
    "auntil",
    "free_port",
    "is_free",
    "require",
    "require_server",
    "until",
]


def require(binary: str) -> str:
    """The path of a peer's program. Without it the test is skipped, or fails where ZONEGATE_REQUIRE_PEERS=1."""
    path = find_binary(binary)
    if path is None:
        _lack(binary)
    return path


def require_server(software: type[NameServer]) -> None:
    """`require` for all that a name server of the lab needs."""
    if missing := software.missing():
        _lack(missing)


def _lack(what: str) -> NoReturn:
    reason = f"{what} is not installed; `make peers` installs it"
    if os.environ.get("ZONEGATE_REQUIRE_PEERS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
