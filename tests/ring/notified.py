"""A ring in which zones move by NOTIFY alone: primaries, a gateway on the way out, nodes, and a gateway before them.

primary --NOTIFY--> gateway --NOTIFY--> every node --SOA, IXFR--> forwarder --> tunnel --> primary
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Protocol, Self

from gateway.lab.servers.roles import Key
from gateway.lab.zones import LabZone
from proxy.values import Endpoint
from tests.ring.gateways import Gateway, loopback, running
from tests.support.peers import ChildProcess, require, until
from tests.support.zones import serial

ZONE = LabZone("moved.example", hosts=20)


def text(number: int) -> str:
    """The zone at a serial, with timers of an hour: who follows within the test, follows a NOTIFY."""
    written = ZONE.text(number, f"change {number}")
    moved = written.replace(" 1 1 86400 30", " 3600 3600 864000 30")
    assert moved != written
    return moved


class Node(Protocol):
    """What is told: a name server of the lab, or PowerDNS."""

    @property
    def software(self) -> str: ...

    @property
    def endpoint(self) -> Endpoint: ...


def forwarding(primary: Endpoint, listen: Endpoint) -> str:
    """The gateway on the way out."""
    return f"""
[[tunnels]]
name = "way"
url = "direct://"
[[primaries]]
name = "p"
address = "{primary}"
tunnels = ["way"]
[[forwarders]]
listen = "{listen}"
primary = "p"
"""


def telling(clients: Endpoint, nodes: Sequence[Node], primary: Endpoint, key: Key | None, more: str = "") -> str:
    """The gateway before the nodes; `more` stands in the zone's table."""
    backends = "".join(
        f'[[ingress.backends]]\nname = "{node.software.lower()}-{number}"\naddress = "{node.endpoint}"\n'
        for number, node in enumerate(nodes)
    )
    keys = f'[[tsig_keys]]\nname = "{key.name}"\nsecret = "{key.secret}"\n' if key else ""
    return f"""
[ingress]
workers = 2
udp = {{ receive_buffer = 131072 }}
[[ingress.listeners]]
address = "{clients}"
{backends}
[filters]
zones = ["{ZONE.name}"]
{keys}
[[tunnels]]
name = "way"
url = "direct://"
[[primaries]]
name = "p"
address = "{primary}"
tunnels = ["way"]
{f'tsig_key = "{key.name}"' if key else ""}
[[zones]]
name = "{ZONE.name}"
primaries = ["p"]
{more}
"""


def await_all(nodes: Sequence[Node], number: int) -> None:
    """Wait until all serve the zone at a serial."""
    until(
        lambda: all(serial(node.endpoint, ZONE.name) == number for node in nodes),
        20,
        f"serial {number} from {', '.join(node.software for node in nodes)}",
    )


@contextmanager
def way_out(directory: Path, primary: Endpoint, forwarder: Endpoint) -> Iterator[Gateway]:
    """Run the gateway on the way out."""
    home = directory / "way-out"
    home.mkdir()
    with running(home, forwarding(primary, forwarder)) as gateway:
        yield gateway


class PowerDns:
    """PowerDNS 4.7 with the BIND backend, as primary or as node. A context manager: entered, it has been started."""

    software: ClassVar[str] = "PowerDNS"
    endpoint: Endpoint

    def __init__(self, directory: Path, zone: str, more: dict[str, object]) -> None:
        directory.mkdir()
        self.directory = directory
        self.endpoint = loopback()
        (directory / "named.conf").write_text(zone)
        settings: dict[str, object] = {
            "config-dir": directory,
            "socket-dir": directory,
            "launch": "bind",
            "bind-config": directory / "named.conf",
            "local-address": self.endpoint.address,
            "local-port": self.endpoint.port,
            "daemon": "no",
            "guardian": "no",
            "security-poll-suffix": "",
            **more,
        }
        argv = [require("pdns_server"), *(f"--{name}={value}" for name, value in settings.items())]
        self._child = ChildProcess(argv, directory / "server.log", cwd=directory)

    @classmethod
    def node(cls, directory: Path, primary: Endpoint) -> Self:
        """A secondary of `primary`, which takes NOTIFY from its address."""
        file = directory / "zone"
        zone = f'zone "{ZONE.name}" {{ type slave; file "{file}"; masters {{ {primary}; }}; }};\n'
        return cls(directory, zone, {"secondary": "yes", "xfr-cycle-interval": 3600})

    @classmethod
    def primary(cls, directory: Path, notify: Endpoint, contents: str) -> Self:
        """A primary that tells `notify`."""
        zone = f'zone "{ZONE.name}" {{ type master; file "{directory}/zone"; }};\n'
        more = {"primary": "yes", "also-notify": notify, "only-notify": "", "allow-axfr-ips": "127.0.0.0/8"}
        made = cls(directory, zone, more)
        (directory / "zone").write_text(contents)
        return made

    def publish(self, zone: str, contents: str) -> None:
        """Change the zone and say so."""
        (self.directory / "zone").write_text(contents)
        for command in (["bind-reload-now", zone], ["notify", zone]):
            argv = [require("pdns_control"), f"--config-dir={self.directory}", f"--socket-dir={self.directory}"]
            subprocess.run([*argv, *command], check=True, capture_output=True, timeout=10)

    def __enter__(self) -> Self:
        self._child.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._child.stop()
