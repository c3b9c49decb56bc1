"""A rate limit is one limit, however many workers serve the client."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import dns.message
import pytest

from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.roles import Primary
from gateway.lab.zones import LabZone
from tests.ring.gateways import Gateway, front_of, loopback, running
from tests.support.peers import require, until

ZONE = LabZone("limit.example")
BURST = 500
QUERIES = 4000
LIMIT = f'[[filters.rate_limits]]\nkey = "client-prefix"\nrate = 1\nburst = {BURST}\naction = "drop"\n'


def await_received(gateway: Gateway, count: int) -> None:
    """Wait until the gateway has taken that many queries, so that no socket buffer overflows."""
    until(lambda: gateway.total("zonegate_ingress_received_total") >= count, what=f"{count} queries received")


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_limit_of_a_prefix_is_exact_over_all_workers(tmp_path: Path, workers: int) -> None:
    require(Nsd.program)
    with Nsd(Primary({ZONE.name: ZONE.text(1, "now")}), tmp_path / "node") as node:
        clients = loopback()
        text = front_of(node, clients, ZONE.name, LIMIT).replace("workers = 2", f"workers = {workers}")
        with running(tmp_path, text, clients) as gateway:
            query = dns.message.make_query(f"www.{ZONE.name}", "A").to_wire()
            begun = time.monotonic()
            # Many source ports: the kernel spreads them over all workers.
            senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(40)]
            for number in range(QUERIES):
                senders[number % len(senders)].sendto(query, clients.sockaddr)
                if number % 100 == 99:
                    await_received(gateway, number + 1)
            passed = gateway.total("zonegate_ingress_verdicts_total", verdict="forward")
            elapsed = time.monotonic() - begun
            for sender in senders:
                sender.close()
            assert BURST <= passed <= BURST + elapsed + 1
            dropped = gateway.total("zonegate_ingress_verdicts_total", verdict="drop", reason="rate-limited")
            assert passed + dropped == QUERIES
