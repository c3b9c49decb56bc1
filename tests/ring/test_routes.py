"""Where rules send queries: to a pool of backends, later, and a copy elsewhere."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from gateway.lab.servers.builtin import Builtin
from gateway.lab.servers.roles import Primary
from gateway.lab.zones import LabZone
from tests.ring.gateways import Gateway, loopback, running
from tests.support.peers import until

ZONE = LabZone("routes.example", hosts=3)
NAME = f"clock.{ZONE.name}"
DELAY = 0.5


@dataclass
class Routed:
    """A gateway with two nodes that tell themselves apart by a TXT record, and the socket that gets copies."""

    gateway: Gateway
    mirror: socket.socket


@pytest.fixture(scope="module")
def routed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routed]:
    directory: Path = tmp_path_factory.mktemp("routes")
    with ExitStack() as stack:
        mirror = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        mirror.bind(("127.0.0.1", 0))
        mirror.settimeout(5)
        nodes = {
            pool: stack.enter_context(Builtin(Primary({ZONE.name: ZONE.text(1, pool)}), directory / pool))
            for pool in ("default", "odd")
        }
        clients = loopback()
        backends = "".join(
            f'[[ingress.backends]]\nname = "{pool}"\naddress = "{node.endpoint}"\npools = ["{pool}"]\n'
            for pool, node in nodes.items()
        )
        copies = ":".join(str(part) for part in mirror.getsockname())
        text = f"""
[ingress]
workers = 1
udp = {{ receive_buffer = 131072 }}
[[ingress.listeners]]
address = "{clients}"
{backends}
[filters]
zones = ["{ZONE.name}"]
[[filters.rules]]
name = "copied"
when = {{ flags = {{ set = "cd" }} }}
action = "mirror"
mirror = "{copies}"
[[filters.rules]]
name = "later"
when = {{ flags = {{ set = "ad" }} }}
action = "delay"
delay = {DELAY * 1000:.0f}
[[filters.rules]]
name = "odd"
when = {{ edns = true }}
action = "route"
pool = "odd"
"""
        yield Routed(stack.enter_context(running(directory, text, clients)), mirror)


def ask(routed: Routed, transport: str, *, edns: int = -1) -> str:
    """What the node that was asked says."""
    query = dns.message.make_query(NAME, "TXT", use_edns=edns)
    send = dns.query.udp if transport == "udp" else dns.query.tcp
    answer = send(query, str(routed.gateway.clients.address), timeout=5, port=routed.gateway.clients.port)
    assert answer.rcode() == dns.rcode.NOERROR
    return str(answer.answer[0][0])


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_rule_routes_to_its_pool_and_the_rest_goes_to_the_default(routed: Routed, transport: str) -> None:
    assert {ask(routed, transport) for _ in range(5)} == {'"default"'}
    assert {ask(routed, transport, edns=0) for _ in range(5)} == {'"odd"'}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_mirror_gets_a_copy_and_the_client_its_answer(routed: Routed, transport: str) -> None:
    before = routed.gateway.total("zonegate_ingress_io_total", kind="mirror-copies")
    query = dns.message.make_query(NAME, "TXT")
    query.flags |= 0x10  # CD
    send = dns.query.udp if transport == "udp" else dns.query.tcp
    answer = send(query, str(routed.gateway.clients.address), timeout=5, port=routed.gateway.clients.port)
    copy = dns.message.from_wire(routed.mirror.recv(65535))
    assert (copy.question, copy.flags) == (query.question, query.flags)
    assert str(answer.answer[0][0]) == '"default"'
    until(lambda: routed.gateway.total("zonegate_ingress_io_total", kind="mirror-copies") == before + 1)


def test_a_delay_holds_back_its_query_and_no_other(routed: Routed) -> None:
    late, early = (dns.message.make_query(NAME, "TXT") for _ in range(2))
    late.flags |= 0x20  # AD
    with socket.create_connection(routed.gateway.clients.sockaddr, timeout=5) as client:
        begun = time.monotonic()
        for query in (late, early):
            wire = query.to_wire()
            client.sendall(len(wire).to_bytes(2) + wire)
        first, _ = dns.query.receive_tcp(client)
        second, _ = dns.query.receive_tcp(client)
    assert [first.id, second.id] == [early.id, late.id]
    assert time.monotonic() - begun >= DELAY
