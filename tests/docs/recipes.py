"""The servers of the lab, with the configurations of docs/nodes.md instead of their own."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from gateway.lab.servers.bind import Bind
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.powerdns import PowerDns, schema
from gateway.lab.servers.roles import Primary
from gateway.lab.servers.server import NameServer
from tests.docs.pages import block
from tests.support.peers import require

PAGE = "docs/nodes.md"


def localised(server: NameServer, text: str) -> str:
    """The page's text for this server: its ports, addresses on loopback, its directory."""
    (role,) = server.roles
    port = server.endpoint.port
    source = role.primary.port if not isinstance(role, Primary) else 0
    for place in ("10.0.0.11", "203.0.113.5"):
        for mark in "@:":
            text = text.replace(f"{place}{mark}53", f"127.0.0.1{mark}{port}")
        text = text.replace(f"listen-on {{ {place}", f"listen-on port {port} {{ 127.0.0.1")
    text = text.replace("5301", str(source))
    for address in ("10.0.0.11", "10.0.0.1", "198.51.100.7", "192.0.2.53"):
        text = text.replace(address, "127.0.0.1")
    for directory in ("/var/cache/bind", "/var/lib/powerdns"):
        text = text.replace(directory, str(server.directory))
    return text


class BindByThePage(Bind):
    """See `docs/nodes.md`."""

    def configuration(self) -> str:
        text = localised(self, block(PAGE, "named-primary" if isinstance(self.roles[0], Primary) else "named"))
        return text.replace("recursion no;", "recursion no; pid-file none; session-keyfile none;") + "controls { };\n"

    def zone_file(self, zone: str) -> Path:
        return self.directory / f"{zone}.db"


class NsdByThePage(Nsd):
    """See `docs/nodes.md`."""

    def configuration(self) -> str:
        text = localised(self, block(PAGE, "nsd-primary" if isinstance(self.roles[0], Primary) else "nsd"))
        here = ("zonesdir", ""), ("zonelistfile", "/zone.list"), ("xfrdfile", "/xfrd.state"), ("xfrdir", "")
        places = [f'    {name}: "{self.directory}{file}"\n' for name, file in here]
        nowhere = [f'    {name}: ""\n' for name in ("username", "chroot", "pidfile", "database")]
        return f"{text}server:\n{''.join([*places, *nowhere])}remote-control:\n    control-enable: no\n"


class KnotByThePage(Knot):
    """See `docs/nodes.md`."""

    def configuration(self) -> str:
        text = localised(self, block(PAGE, "knot-primary" if isinstance(self.roles[0], Primary) else "knot"))
        text = text.replace("server:\n", f'server:\n    rundir: "{self.directory}"\n')
        text = text.replace("  - id: default\n", f'  - id: default\n    storage: "{self.directory}"\n')
        return f'{text}database:\n    storage: "{self.directory}"\n'


class PowerDnsByThePage(PowerDns):
    """See `docs/nodes.md`."""

    def configuration(self) -> str:
        text = localised(self, block(PAGE, "pdns-primary" if isinstance(self.roles[0], Primary) else "pdns"))
        return f"{text}socket-dir={self.directory}\nsecurity-poll-suffix=\ndaemon=no\nguardian=no\n"

    def _prepare(self) -> Path:
        configuration = NameServer._prepare(self)
        (self.directory / "pdns.conf").symlink_to(configuration)
        made = schema()
        assert made is not None
        with closing(sqlite3.connect(self.directory / "pdns.sqlite3")) as database:
            database.executescript(made.read_text())
        name = "pdns-primary-zone" if isinstance(self.roles[0], Primary) else "pdns-node"
        for line in localised(self, block(PAGE, name)).splitlines():
            self._command(*shlex.split(line))
        return configuration

    def argv(self, program: str, configuration: Path) -> list[str]:
        return [program, f"--config-dir={configuration.parent}"]

    def _take(self, zones: Iterable[str]) -> None:
        for zone in zones:
            self._command("pdnsutil", "load-zone", zone, self.zone_file(zone).name)

    def _command(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [require(program), f"--config-dir={self.directory}", *words],
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 0, done.stdout + done.stderr


RECIPES: dict[str, type[NameServer]] = {
    "BIND": BindByThePage,
    "NSD": NsdByThePage,
    "Knot DNS": KnotByThePage,
    "PowerDNS": PowerDnsByThePage,
}
