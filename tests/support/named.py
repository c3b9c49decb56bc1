"""Name servers and a balancer that speak PROXY over TCP: PowerDNS and dnsdist, each in a directory of its own."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.values import Endpoint
from tests.support.peers import ChildProcess, free_port, require


def _listens(endpoint: Endpoint) -> Callable[[], bool]:
    """Whether a connection can be made: what wants a header answers nothing else."""

    def look() -> bool:
        with socket.socket() as opened:
            return opened.connect_ex(endpoint.sockaddr) == 0

    return look


@asynccontextmanager
async def _running(argv: list[str], directory: Path, endpoint: Endpoint) -> AsyncIterator[Endpoint]:
    with ChildProcess(argv, directory / "server.log", cwd=directory) as child:
        await child.await_(_listens(endpoint), what=f"a listener at {endpoint}")
        yield endpoint


@asynccontextmanager
async def powerdns(
    directory: Path, zone: str, text: str, *, transfers_to: str, more: Mapping[str, str] | None = None
) -> AsyncIterator[Endpoint]:
    """A PowerDNS that wants a header from every loopback address, and gives the zone to `transfers_to` alone. `more`
    are further settings.
    """
    program = require("pdns_server")
    endpoint = Endpoint.parse(f"127.0.0.1:{free_port()}")
    (directory / "zone").write_text(text)
    (directory / "named.conf").write_text(f'zone "{zone}" {{ type master; file "{directory}/zone"; }};\n')
    settings = {
        "config-dir": directory,
        "socket-dir": directory,
        "launch": "bind",
        "bind-config": directory / "named.conf",
        "local-address": endpoint.address,
        "local-port": endpoint.port,
        "proxy-protocol-from": "127.0.0.0/8",
        "allow-axfr-ips": transfers_to,
        "max-tcp-connections": 500,
        "daemon": "no",
        "guardian": "no",
        "security-poll-suffix": "",
        **(more or {}),
    }
    argv = [program, *(f"--{name}={value}" for name, value in settings.items())]
    async with _running(argv, directory, endpoint):
        yield endpoint


@asynccontextmanager
async def dnsdist(directory: Path, *lines: str) -> AsyncIterator[Endpoint]:
    """A dnsdist with this configuration behind its own listener."""
    program = require("dnsdist")
    endpoint = Endpoint.parse(f"127.0.0.1:{free_port()}")
    configuration = directory / "dnsdist.conf"
    head = (f'setLocal("{endpoint}")', 'setACL({"0.0.0.0/0"})', 'setSecurityPollSuffix("")')
    configuration.write_text("\n".join((*head, *lines, "")))
    async with _running([program, "--supervised", "--disable-syslog", "-C", str(configuration)], directory, endpoint):
        yield endpoint
