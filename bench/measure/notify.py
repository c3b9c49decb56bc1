"""From a NOTIFY until every node serves the new serial: told one by one, and by the gateway.

BIND is the primary, two BIND and two Knot DNS are the nodes; they transfer from it directly, so the ways differ in who
tells them. The primary has the change before the clock starts, and sends no NOTIFY itself.
    direct      we -NOTIFY-> each node at once
    zonegate    we -NOTIFY-> gateway -NOTIFY-> each node
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

import dns.flags
import dns.message
import dns.opcode
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.SOA import SOA

from bench.errors import BenchError
from bench.figures import Figure, Run, compared, take_turns
from bench.peers.zonegate import Zonegate, new_endpoint
from bench.served import await_served
from gateway.lab.servers.bind import Bind
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.process import ChildError
from gateway.lab.servers.roles import Primary, Secondary
from gateway.lab.servers.server import NameServer
from gateway.lab.zones import LabZone
from proxy.values import Endpoint

ZONE = LabZone("notify.bench", hosts=1000)
NODES: tuple[type[NameServer], ...] = (Bind, Bind, Knot, Knot)
NEVER = 3600  # seconds between refreshes: what arrives, arrives by NOTIFY
TURNS = 5  # changes of one turn of a side
STEP = 0.001  # seconds between two questions to a node
PATIENCE = 20.0


@dataclass
class Stand:
    """What runs, and the serial that the zone is at."""

    primary: NameServer
    nodes: Sequence[NameServer]
    gateway: Endpoint
    serial: int = field(default=1)


def measure(run: Run) -> list[Figure]:
    """All of it.

    Raises:
        BenchError: a program is missing or failed, or a node did not follow.
    """
    with _stand(run.directory / "notify") as stand:
        sides = {
            "direct": partial(_changes, stand, [node.endpoint for node in stand.nodes]),
            "zonegate": partial(_changes, stand, [stand.gateway]),
        }
        _changes(stand, [stand.gateway])  # the first change of all makes journals
        found = take_turns(run, sides, lambda taken: f"{min(taken):.1f} to {max(taken):.1f} ms")
    name = "NOTIFY until four nodes serve the new serial"
    kinds: dict[str, Callable[[list[float]], float]] = {"median": median, f"the slowest of {TURNS}": max}
    figures = []
    for kind, pick in kinds.items():
        ours, theirs = ([pick(taken) for taken in found[side]] for side in ("zonegate", "direct"))
        figures.append(compared(f"{name}, {kind}", ("zonegate", ours), ("direct", theirs), "ms", None))
    return figures


def _text(serial: int) -> str:
    return ZONE.text(serial, f"change {serial}").replace(" 1 1 86400 30", f" {NEVER} {NEVER} 864000 30")


def _changes(stand: Stand, told: Sequence[Endpoint]) -> list[float]:
    """Milliseconds of each change until the last node has it."""
    return [_change(stand, told) for _ in range(TURNS)]


def _change(stand: Stand, told: Sequence[Endpoint]) -> float:
    stand.serial += 1
    stand.primary.publish(ZONE.name, _text(stand.serial))
    _await([stand.primary], stand.serial)
    message = dns.message.make_query(ZONE.name, "SOA")
    message.flags = int(dns.flags.AA)
    message.set_opcode(dns.opcode.NOTIFY)
    soa = dns.rrset.from_text(f"{ZONE.name}.", 60, "IN", "SOA", f"ns1. hostmaster. {stand.serial} 1 1 1 1")
    message.answer.append(soa)
    wire = message.to_wire()
    begin = time.monotonic()
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        for each in told:
            sender.sendto(wire, each.sockaddr)
        _await(stand.nodes, stand.serial)
    return (time.monotonic() - begin) * 1000


def _await(servers: Sequence[NameServer], serial: int) -> None:
    """Ask each server again and again until all have the serial."""
    query = dns.message.make_query(ZONE.name, "SOA").to_wire()
    missing = {server.endpoint.sockaddr: server for server in servers}
    deadline = time.monotonic() + PATIENCE
    with socket.socket(type=socket.SOCK_DGRAM) as asker:
        while missing:
            if time.monotonic() > deadline:
                names = ", ".join(server.process.name for server in missing.values())
                raise BenchError(f"{names} did not serve serial {serial} within {PATIENCE:g} s")
            for address in missing:
                asker.sendto(query, address)
            until = time.monotonic() + STEP
            while select.select([asker], [], [], max(0.0, until - time.monotonic()))[0]:
                data, address = asker.recvfrom(4096)
                if _serial(data) == serial:
                    missing.pop(address, None)


def _serial(data: bytes) -> int | None:
    answer = dns.message.from_wire(data)
    found = (rr for rrset in answer.answer if rrset.rdtype == dns.rdatatype.SOA for rr in rrset)
    return next((int(rr.serial) for rr in found if isinstance(rr, SOA)), None)


@contextmanager
def _stand(directory: Path) -> Iterator[Stand]:
    with ExitStack() as stack:
        try:
            primary = stack.enter_context(Bind(Primary({ZONE.name: _text(1)}), directory / "primary"))
            role = Secondary((ZONE.name,), primary.endpoint, refresh=NEVER)
            nodes = [stack.enter_context(kind(role, directory / f"node-{n}")) for n, kind in enumerate(NODES)]
            for node in nodes:
                await_served(node.process, node.endpoint, ZONE.name)
            listen = new_endpoint()
            stack.enter_context(Zonegate(directory / "gateway", _role(listen, nodes, primary.endpoint)))
        except ChildError as error:
            raise BenchError(str(error)) from error
        yield Stand(primary, nodes, listen)


def _role(listen: Endpoint, nodes: Sequence[NameServer], primary: Endpoint) -> str:
    backends = "".join(
        f'[[ingress.backends]]\nname = "node-{n}"\naddress = "{node.endpoint}"\n' for n, node in enumerate(nodes)
    )
    return f"""\
[ingress]
[[ingress.listeners]]
address = "{listen}"
{backends}
[filters]
zones = ["{ZONE.name}"]

[[tunnels]]
name = "direct"
url = "direct://"
[[primaries]]
name = "primary"
address = "{primary}"
tunnels = ["direct"]
[[zones]]
name = "{ZONE.name}"
primaries = ["primary"]
"""
