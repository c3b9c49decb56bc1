"""A ring in which zones move by NOTIFY alone: primaries, a gateway on the way out, nodes, and a gateway before them.

primary --NOTIFY--> gateway --NOTIFY--> every node --SOA, IXFR--> forwarder --> tunnel --> primary
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gateway.lab.servers.roles import Key
from gateway.lab.servers.server import NameServer
from gateway.lab.zones import LabZone
from proxy.values import Endpoint
from tests.ring.gateways import Gateway, running
from tests.support.peers import until
from tests.support.zones import serial

ZONE = LabZone("moved.example", hosts=20)


def text(number: int) -> str:
    """The zone at a serial, with timers of an hour: who follows within the test, follows a NOTIFY."""
    written = ZONE.text(number, f"change {number}")
    moved = written.replace(" 1 1 86400 30", " 3600 3600 864000 30")
    assert moved != written
    return moved


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


def telling(clients: Endpoint, nodes: Sequence[NameServer], primary: Endpoint, key: Key | None, more: str = "") -> str:
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


def await_all(nodes: Sequence[NameServer], number: int) -> None:
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
