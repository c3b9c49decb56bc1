"""NOTIFY of real primaries reaches every real node, and what is forged reaches nobody."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import dns.tsig
import httpx
import pytest

from gateway.lab.servers.bind import Bind
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.powerdns import PowerDns
from gateway.lab.servers.roles import Key, Primary, Secondary
from gateway.lab.servers.server import NameServer
from proxy.values import Endpoint
from tests.ring.gateways import Gateway, loopback, running
from tests.ring.notified import ZONE, await_all, telling, text, way_out
from tests.support.peers import require_server, until

KINDS: dict[str, type[NameServer]] = {"BIND": Bind, "Knot": Knot, "NSD": Nsd, "PowerDNS": PowerDns}


class Ring:
    """Everything that runs: who is told, the gateway before them, and the way to publish."""

    def __init__(self, stack: ExitStack, directory: Path, primary: NameServer, key: Key | None) -> None:
        self.primary = primary
        self.forwarder = loopback()
        stack.enter_context(way_out(directory, primary.endpoint, self.forwarder))
        self.role = Secondary((ZONE.name,), self.forwarder, key, refresh=3600)
        self.nodes: list[NameServer] = [kind(self.role, directory / f"node-{kind.software}") for kind in KINDS.values()]

    def publish(self, number: int) -> None:
        self.primary.publish(ZONE.name, text(number))


@contextmanager
def primary_of(software: str, directory: Path, notify: Endpoint, key: Key | None) -> Iterator[NameServer]:
    role = Primary({ZONE.name: text(1)}, notify=(notify,), key=key)
    with KINDS[software](role, directory / "primary") as server:
        yield server


def synced(gateway: Gateway, nodes: int) -> Callable[[], bool]:
    """Whether so many backends were seen to follow, in all."""
    return lambda: gateway.total("zonegate_transfer_notify_lag_seconds_count") >= nodes


@pytest.mark.parametrize(
    ("software", "signed"),
    [
        ("BIND", False),
        ("BIND", True),
        ("Knot", False),
        ("Knot", True),
        ("NSD", False),
        ("NSD", True),
        ("PowerDNS", False),
        ("PowerDNS", True),
    ],
)
def test_every_node_follows_every_primary(software: str, signed: bool, tmp_path: Path) -> None:
    for kind in KINDS.values():
        require_server(kind)
    key = Key.generate("moved-key") if signed else None
    clients = loopback()
    with ExitStack() as stack:
        ring = Ring(stack, tmp_path, stack.enter_context(primary_of(software, tmp_path, clients, key)), key)
        for node in ring.nodes:
            stack.enter_context(node)
        await_all(ring.nodes, 1)
        configuration = telling(clients, ring.nodes, ring.primary.endpoint, key)
        gateway = stack.enter_context(running(tmp_path, configuration, clients))
        for number in (2, 3):
            ring.publish(number)
            await_all(ring.nodes, number)
        until(synced(gateway, len(ring.nodes)), 10, "all to be seen to follow")
        until(lambda: gateway.total("zonegate_transfer_notify_pending") == 0, 10, "the end of it")
        until(lambda: gateway.total("zonegate_transfer_notify_accepted_total") >= 2, 10, "both to be counted")
        assert gateway.total("zonegate_transfer_notify_backend_refused_total") == 0
        assert gateway.total("zonegate_transfer_notify_refused_total") == 0
        if key is not None:
            assert key.secret not in gateway.child.tail(1000)


def test_a_node_that_comes_later_is_told_then(tmp_path: Path) -> None:
    clients = loopback()
    with ExitStack() as stack:
        ring = Ring(stack, tmp_path, stack.enter_context(primary_of("BIND", tmp_path, clients, None)), None)
        early, late = ring.nodes[1], ring.nodes[0]
        stack.enter_context(early)
        await_all([early], 1)
        configuration = telling(clients, [early, late], ring.primary.endpoint, None)
        gateway = stack.enter_context(running(tmp_path, configuration, clients))
        ring.publish(2)
        await_all([early], 2)
        until(lambda: gateway.total("zonegate_transfer_notify_retries_total") >= 1, 10, "a second try")
        assert gateway.total("zonegate_transfer_notify_pending") == 1
        stack.enter_context(late)
        await_all([early, late], 2)
        until(lambda: gateway.total("zonegate_transfer_notify_pending") == 0, 20, "the end of it")


def test_what_was_accepted_outlives_the_transfer_process(tmp_path: Path) -> None:
    clients = loopback()
    with ExitStack() as stack:
        ring = Ring(stack, tmp_path, stack.enter_context(primary_of("BIND", tmp_path, clients, None)), None)
        early, late = ring.nodes[1], ring.nodes[0]
        stack.enter_context(early)
        await_all([early], 1)
        configuration = telling(clients, [early, late], ring.primary.endpoint, None)
        gateway = stack.enter_context(running(tmp_path, configuration, clients))
        ring.publish(2)
        until(lambda: gateway.total("zonegate_transfer_notify_retries_total") >= 1, 10, "a second try")
        pid = _pid(gateway, "transfer")
        _kill(pid)
        until(lambda: _pid(gateway, "transfer") not in {None, pid}, 20, "another transfer process")
        until(lambda: gateway.total("zonegate_transfer_notify_pending") == 1, 20, "that it goes on where it was")
        stack.enter_context(late)
        await_all([early, late], 2)
        until(lambda: gateway.total("zonegate_transfer_notify_pending") == 0, 20, "the end of it")


def test_a_forged_flood_reaches_nobody_and_holds_up_nobody(tmp_path: Path) -> None:
    clients = loopback()
    with ExitStack() as stack:
        ring = Ring(stack, tmp_path, stack.enter_context(primary_of("BIND", tmp_path, clients, None)), None)
        node = ring.nodes[1]
        stack.enter_context(node)
        await_all([node], 1)
        configuration = telling(clients, [node], ring.primary.endpoint, None)
        gateway = stack.enter_context(running(tmp_path, configuration, clients))
        wire = _notify(99).to_wire()
        signed = _notify(99)
        signed.use_tsig(dns.tsig.Key("nobody", "c2VjcmV0", "hmac-sha256"))
        for source in range(2, 12):
            _flood(clients, f"127.9.9.{source}", [wire, signed.to_wire()], 500)
        ring.publish(2)
        await_all([node], 2)
        until(synced(gateway, 1), 10, "it to be seen to follow")
        assert gateway.total("zonegate_transfer_notify_sent_total") <= 2
        assert gateway.total("zonegate_transfer_notify_primary_queries_total") == 0
        until(lambda: _seen(gateway) >= 10_000, 10, "all of the flood, counted")
        assert gateway.total("zonegate_transfer_notify_refused_total", reason="badkey") <= 200


def test_the_primary_gets_its_answer_over_udp_and_tcp(tmp_path: Path) -> None:
    clients, key = loopback(), Key.generate("moved-key")
    with ExitStack() as stack:
        ring = Ring(stack, tmp_path, stack.enter_context(primary_of("BIND", tmp_path, clients, None)), None)
        node = ring.nodes[1]
        stack.enter_context(node)
        await_all([node], 1)
        more = f'[zones.notify]\nfrom = ["127.0.0.1"]\nkeys = ["{key.name}"]'
        stack.enter_context(running(tmp_path, telling(clients, [node], ring.primary.endpoint, key, more), clients))
        for ask in (dns.query.udp, dns.query.tcp):
            plain = _notify(1)
            answer = ask(plain, "127.0.0.1", port=clients.port, timeout=5)
            assert (answer.opcode(), answer.rcode()) == (dns.opcode.NOTIFY, dns.rcode.NOERROR)
            assert answer.flags & dns.flags.AA
            assert answer.question == plain.question
            by_key = _notify(1)
            by_key.use_tsig(key.for_dnspython())
            answer = ask(by_key, "127.0.0.1", port=clients.port, timeout=5, source="127.8.8.8")
            assert answer.had_tsig
            assert answer.rcode() == dns.rcode.NOERROR
            refused = ask(_notify(1), "127.0.0.1", port=clients.port, timeout=5, source="127.8.8.8")
            assert refused.rcode() == dns.rcode.REFUSED


def _notify(number: int) -> dns.message.Message:
    message = dns.message.make_query(ZONE.name, "SOA")
    message.flags = int(dns.flags.AA)
    message.set_opcode(dns.opcode.NOTIFY)
    message.answer.append(dns.rrset.from_text(f"{ZONE.name}.", 0, "IN", "SOA", f"ns. h. {number} 1 1 1 1"))
    return message


def _flood(target: Endpoint, source: str, wires: list[bytes], count: int) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as forger:
        forger.bind((source, 0))
        for _ in range(count):
            for wire in wires:
                forger.sendto(wire, target.sockaddr)


def _seen(gateway: Gateway) -> float:
    return gateway.total("zonegate_ingress_received_total") + gateway.total("zonegate_ingress_udp_receive_drops_total")


def _pid(gateway: Gateway, process: str) -> int | None:
    body = httpx.get(f"http://{gateway.child.admin}/status").json()
    found = next(each for each in body["processes"] if each["name"] == process)
    pid: int | None = found["pid"] if found["phase"] == "serving" else None
    return pid


def _kill(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
