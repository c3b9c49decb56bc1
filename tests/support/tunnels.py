"""Launchers for the far and the near ends of tunnels that are not ours: shadowsocks-libev, shadowsocks-rust and
Dante.

Each gives a `ChildProcess` that is started and stopped as a context manager; `listening` waits until its port is
open. All of them bind 127.0.0.1 only.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from proxy.values import Endpoint
from tests.support.peers import ChildProcess, require

DANTE_CONFIGURATION = """\
logoutput: stderr
internal: 127.0.0.1 port = {port}
external: 127.0.0.1
clientmethod: none
socksmethod: none
{users}
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 log: error }}
socks pass {{
    from: 127.0.0.0/8 to: 127.0.0.0/8
    command: {commands}
    log: error
}}
"""
DANTE_USERS = "user.privileged: root\nuser.unprivileged: nobody\n"


@contextmanager
def listening(child: ChildProcess, endpoint: Endpoint) -> Iterator[ChildProcess]:
    """The child, from when its TCP port is open until the block ends."""

    def is_open() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(endpoint.sockaddr) == 0

    with child:
        child.wait(is_open)
        yield child


def libev_server(directory: Path, listen: Endpoint, method: str, password: str) -> ChildProcess:
    """`ss-server`: the far end, 2017 methods, TCP and UDP."""
    host, port = listen.sockaddr
    argv = [require("ss-server"), "-s", host, "-p", str(port), "-k", password, "-m", method, "-u", "-t", "60", "-v"]
    return ChildProcess(argv, directory / f"ss-server-{port}.log", name="ss-server")


def libev_tunnel(
    directory: Path, listen: Endpoint, server: Endpoint, target: Endpoint, method: str, password: str
) -> ChildProcess:
    """`ss-tunnel`: the near end, a local port that leads to one target."""
    host, port = server.sockaddr
    argv = [require("ss-tunnel"), "-s", host, "-p", str(port), "-k", password, "-m", method, "-u", "-t", "60"]
    argv += ["-b", str(listen.address), "-l", str(listen.port), "-L", str(target)]
    return ChildProcess(argv, directory / f"ss-tunnel-{listen.port}.log", name="ss-tunnel")


def libev_local(directory: Path, listen: Endpoint, server: Endpoint, method: str, password: str) -> ChildProcess:
    """`ss-local`: the near end, a local SOCKS5 server, TCP and UDP."""
    host, port = server.sockaddr
    argv = [require("ss-local"), "-s", host, "-p", str(port), "-k", password, "-m", method, "-u", "-t", "60"]
    argv += ["-b", str(listen.address), "-l", str(listen.port)]
    return ChildProcess(argv, directory / f"ss-local-{listen.port}.log", name="ss-local")


def rust_server(directory: Path, listen: Endpoint, method: str, password: str) -> ChildProcess:
    """`ssserver`: the far end, all methods, TCP and UDP."""
    argv = [require("ssserver"), "-s", str(listen), "-k", password, "-m", method, "-U", "-v"]
    return ChildProcess(argv, directory / f"ssserver-{listen.port}.log", name="ssserver")


def rust_servers(directory: Path, ends: Sequence[tuple[Endpoint, str, str, Mapping[str, str]]]) -> ChildProcess:
    """`ssserver` with several far ends: where each listens, its method, its key, and its users' keys by name."""
    servers = []
    for listen, method, password, users in ends:
        host, port = listen.sockaddr
        server: dict[str, object] = {"server": host, "server_port": port, "method": method, "password": password}
        if users:
            server["users"] = [{"name": name, "password": key} for name, key in users.items()]
        servers.append(server)
    configuration = directory / f"ssserver-{ends[0][0].port}.json"
    configuration.write_text(json.dumps({"servers": servers, "mode": "tcp_and_udp"}))
    argv = [require("ssserver"), "-c", str(configuration), "-v"]
    return ChildProcess(argv, configuration.with_suffix(".log"), name="ssserver")


def rust_tunnel(
    directory: Path, listen: Endpoint, server: Endpoint, target: Endpoint, method: str, password: str
) -> ChildProcess:
    """`sslocal --protocol tunnel`: the near end, a local port that leads to one target."""
    argv = [require("sslocal"), "--protocol", "tunnel", "-b", str(listen), "-f", str(target)]
    argv += ["-s", str(server), "-k", password, "-m", method, "-U"]
    return ChildProcess(argv, directory / f"sslocal-{listen.port}.log", name="sslocal")


def rust_local(directory: Path, listen: Endpoint, server: Endpoint, method: str, password: str) -> ChildProcess:
    """`sslocal`: the near end, a local SOCKS5 server, TCP and UDP."""
    argv = [require("sslocal"), "-b", str(listen), "-s", str(server), "-k", password, "-m", method, "-U"]
    return ChildProcess(argv, directory / f"sslocal-{listen.port}.log", name="sslocal")


def dante(directory: Path, listen: Endpoint, commands: str = "connect udpassociate udpreply") -> ChildProcess:
    """`danted`: a SOCKS5 server without authentication that reaches loopback only. `commands` are those it allows."""
    program = require("danted")
    configuration = directory / f"danted-{listen.port}.conf"
    users = DANTE_USERS if os.geteuid() == 0 else ""
    configuration.write_text(DANTE_CONFIGURATION.format(port=listen.port, users=users, commands=commands))
    argv = [program, "-f", str(configuration), "-p", str(directory / f"danted-{listen.port}.pid"), "-N", "1"]
    return ChildProcess(argv, directory / f"danted-{listen.port}.log", name="danted")
