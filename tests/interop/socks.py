"""SOCKS5: our tunnel through servers that are not ours, with and without user and password."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from proxy.egress.tunnels import make_tunnel
from proxy.values import Endpoint
from tests.egress.ring import fresh_endpoint, tunnel
from tests.interop.exchange import OurTunnel, Trials
from tests.interop.page import Section
from tests.interop.stage import Stage, stage
from tests.support.sing_box import sing_box, socks_server
from tests.support.socks_servers import PASSWORD, USER, dante_with_password, microsocks, ssh_server, ssh_socks
from tests.support.tunnels import dante

TEXT = """
Our tunnel `socks5://` through these servers (RFC 1928, RFC 1929). Each cell as above; microsocks and OpenSSH have no
UDP.
"""
TCP_ONLY = ("TCP",)


@dataclass(frozen=True)
class Server:
    """A SOCKS5 server that was started."""

    program: str
    authentication: str  # "none" or "password"
    transports: tuple[str, ...] = ("TCP", "UDP")
    place: Endpoint = field(default_factory=fresh_endpoint)


def _start(on: Stage) -> Iterator[Server]:
    """Those that stand alone."""
    for authentication, known in (("none", ("", "")), ("password", (USER, PASSWORD))):
        server = Server("Dante", authentication)
        launch = dante_with_password if authentication == "password" else dante
        on.start(launch(on.directory, server.place), server.place, transports=("tcp",))
        yield server
        server = Server("microsocks", authentication, TCP_ONLY)
        on.start(microsocks(on.directory, server.place, *known), server.place, transports=("tcp",))
        yield server
        server = Server("sing-box", authentication)
        on.start(sing_box(on.directory, [socks_server(server.place, *known)]), server.place, transports=("tcp",))
        yield server


async def _start_ssh(on: Stage) -> Server:
    """OpenSSH: the server first, as the client connects at its start."""
    daemon, server = fresh_endpoint(), Server("`ssh -D`", "none", TCP_ONLY)
    on.start(ssh_server(on.directory, daemon), daemon, transports=("tcp",))
    await on.ready()
    on.start(ssh_socks(on.directory, server.place, daemon), server.place, transports=("tcp",))
    return server


async def through_servers(directory: Path) -> Section:
    """Our tunnel, their server."""
    trials = Trials()
    async with stage(directory) as on:
        servers = [*_start(on), await _start_ssh(on)]
        await on.ready()
        rows = await asyncio.gather(*(_row(trials, on, server) for server in servers))
    columns = ("server", "authentication", "zonegate")
    return Section("SOCKS5", TEXT, columns, tuple(sorted(rows)), tuple(trials.details))


async def _row(trials: Trials, on: Stage, server: Server) -> tuple[str, ...]:
    def way(user: str) -> OurTunnel:
        return OurTunnel(make_tunnel(tunnel("near", f"socks5://{user}{server.place}")), on.target)

    name, user = f"{server.program}, {server.authentication}", ""
    if server.authentication == "password":
        user = f"{USER}:{quote(PASSWORD)}@"
        for wrong in ("", f"{USER}:wrong@"):
            assert await Trials().cell(name, way(wrong), TCP_ONLY) == "no TCP", f"{name}: let us in with {wrong!r}"
    return server.program, server.authentication, await trials.cell(name, way(user), server.transports)
