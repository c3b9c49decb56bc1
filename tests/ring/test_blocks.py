"""A flood of random subdomains, through the gateway to a real node: the suffix is limited, real names are served."""

from __future__ import annotations

import random
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.query
import dns.rcode
import httpx

from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.roles import Primary
from gateway.lab.zones import LabZone
from tests.ring.gateways import front_of, loopback, running
from tests.support.peers import require, until

ZONE = LabZone("water.example")
RULE = """\
[[filters.dynamic_blocks]]
name = "water-torture"
what = "random-subdomains"
by = "suffix"
rate = 20
ratio = 0.3
window = 3
ladder = ["warn", "truncate"]
escalate_after = 1
"""


def test_random_subdomains_limit_the_suffix_and_not_its_names_over_tcp(tmp_path: Path) -> None:
    require(Nsd.program)
    chance = random.Random(7)  # noqa: S311 - a test draws its names
    with Nsd(Primary({ZONE.name: ZONE.text(1, "now")}), tmp_path / "node") as node:
        clients = loopback()
        with running(tmp_path, front_of(node, clients, ZONE.name, RULE), clients) as gateway:

            def listed() -> list[dict[str, Any]]:
                found: list[dict[str, Any]] = httpx.get(f"http://{gateway.child.admin}/blocks").json()["blocks"]
                return found

            sources = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
            for number, source in enumerate(sources):
                # Not 127.0.0.1: that is the node's own address, which the detectors don't look at.
                source.bind((f"127.0.2.{number + 1}", 0))
                source.settimeout(10)

            def flood() -> list[dict[str, Any]]:
                for number in range(200):
                    source = sources[number % len(sources)]
                    query = dns.message.make_query(f"x{chance.getrandbits(60):x}.{ZONE.name}", "A")
                    source.sendto(query.to_wire(), clients.sockaddr)
                    source.recv(4096)
                return [block for block in listed() if block["action"] == "truncate"]

            (block,) = until(flood, 40, "the suffix to be limited")
            assert (block["kind"], block["subject"]) == ("suffix", f"{ZONE.name}.")
            assert "different names that don't exist" in block["reason"]
            real = dns.message.make_query(f"www.{ZONE.name}", "A")
            with closing(sources[0]) as source:

                def cut() -> bool:
                    source.sendto(real.to_wire(), clients.sockaddr)
                    return bool(dns.message.from_wire(source.recv(4096)).flags & dns.flags.TC)

                until(cut, what="UDP to send clients to TCP")
            answer = dns.query.tcp(real, str(clients.address), port=clients.port, timeout=10)
            assert answer.rcode() == dns.rcode.NOERROR
            assert answer.answer
            for source in sources:
                source.close()
