"""A whole gateway between a proxy and a PowerDNS that wants to know the client: TOML, processes, health checks."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import dns.message
import dns.query
import dns.rcode

from tests.gateway.running import Running
from tests.support.named import powerdns
from tests.support.peers import auntil, free_port
from tests.support.proxied import header

ZONE = "example.com"
TEXT = f"$ORIGIN {ZONE}.\n$TTL 300\n@ IN SOA ns1 host 1 3600 600 86400 300\n@ IN NS ns1\nns1 IN A 192.0.2.1\n"
FRIEND, STRANGER = "198.51.100.7", "198.51.100.8"
GATEWAY = """\
version = 1
[ingress]
workers = 2
[[ingress.listeners]]
address = "127.0.0.1:{port}"
allow = ["transfer"]
proxy_protocol = {{ accept = "v2", from = ["127.0.0.1"] }}
[[ingress.backends]]
name = "ns-a"
address = "{backend}"
proxy_protocol = {{ udp = "v2", tcp = "v2", crc = true }}
[ingress.tcp]
proxied_connections = 10
[ingress.udp]
receive_buffer = 65536
[ingress.health]
interval = 0.05
[filters]
zones = ["example.com"]
table_size = 1024
[admin]
address = "{{admin}}"
"""


@contextlib.asynccontextmanager
async def gateway(directory: Path) -> AsyncIterator[tuple[Running, int]]:
    port = free_port()
    async with powerdns(directory, ZONE, TEXT, transfers_to=FRIEND) as node:
        with Running(directory, GATEWAY.format(port=port, backend=node)) as running:
            await asyncio.to_thread(running.notified, "READY=1")
            yield running, port


def ask(port: int, client: str, kind: str) -> dns.message.Message:
    """The first message of the answer that the client of this address gets. Blocks."""
    with socket.create_connection(("127.0.0.1", port), 10) as opened:
        opened.sendall(header("v2", (client, 5000), ("203.0.113.1", 53)))
        dns.query.send_tcp(opened, dns.message.make_query(ZONE, kind))
        return dns.query.receive_tcp(opened, one_rr_per_rrset=True)[0]


async def check_acl(port: int) -> None:
    """The node behind the gateway knows its clients by the addresses that the proxy before it told."""
    for client, expected in ((FRIEND, dns.rcode.NOERROR), (STRANGER, dns.rcode.NOTAUTH)):
        for _ in range(4):  # several connections, so that both workers have some
            assert (await asyncio.to_thread(ask, port, client, "AXFR")).rcode() == expected
    assert (await asyncio.to_thread(ask, port, STRANGER, "SOA")).answer


async def test_the_node_knows_the_client_behind_the_proxy_also_after_a_reload(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (running, port):
        await check_acl(port)
        running.write(running.file.read_text().replace('"127.0.0.1"]', '"192.0.2.0/24"]'))
        running.process.send_signal(signal.SIGHUP)

        async def is_refused() -> bool:
            try:
                await asyncio.to_thread(ask, port, FRIEND, "SOA")
            except (ConnectionResetError, EOFError):
                return True
            return False

        await auntil(is_refused)
        running.write(running.file.read_text().replace('"192.0.2.0/24"]', '"127.0.0.1"]'))
        running.process.send_signal(signal.SIGHUP)

        async def is_let_in() -> bool:
            # Many connections, so that both workers must have taken it.
            return not any([await is_refused() for _ in range(16)])

        await auntil(is_let_in)
        await check_acl(port)
