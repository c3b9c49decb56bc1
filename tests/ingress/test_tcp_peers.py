"""The TCP way in between real clients (dnsperf, kdig, dig, dnspython) and a real name server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import dns.message
import dns.query
import pytest

from gateway.lab.servers.bind import Bind
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.roles import Primary
from gateway.lab.servers.server import NameServer
from tests.ingress.tcp_door import Door, door, ingress_settings
from tests.support.peers import require

ZONE = "example.com"
HOSTS = 1000
TEXT = "\n".join(
    [
        f"$ORIGIN {ZONE}.",
        "$TTL 300",
        "@ IN SOA ns1 host 1 3600 600 86400 300",
        "@ IN NS ns1",
        "ns1 IN A 192.0.2.1",
        *(f"h{number} IN A 192.0.2.{number % 250}" for number in range(HOSTS)),
        "",
    ]
)


@asynccontextmanager
async def served(directory: Path, software: type[NameServer] = Nsd) -> AsyncIterator[Door]:
    require(software.program)
    async with software(Primary({ZONE: TEXT}), directory) as node, door(ingress_settings(node.endpoint)) as opened:
        yield opened


async def run(*command: str) -> str:
    """The output of a program that has to end well."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.mark.parametrize("software", [Nsd, Knot, Bind])
async def test_dnsperf_loses_nothing(tmp_path: Path, software: type[NameServer]) -> None:
    dnsperf = require("dnsperf")
    queries = tmp_path / "queries"
    queries.write_text("".join(f"h{number}.{ZONE} A\n" for number in range(HOSTS)))
    async with served(tmp_path / "node", software) as opened:
        host, port = opened.address
        load = ["-m", "tcp", "-c", "8", "-q", "100", "-n", "20", "-l", "30"]
        report = await run(dnsperf, *load, "-s", host, "-p", str(port), "-d", str(queries))
        completed = re.search(r"Queries completed:\s+(\d+)", report)
        assert completed is not None
        assert int(completed[1]) == 20 * HOSTS, report
        assert re.search(r"Queries lost:\s+0 ", report), report
        assert opened.verdicts() == {("forward", "ok"): 20 * HOSTS}
        assert opened.memory.io()["answers-sent"] == 20 * HOSTS


async def test_kdig_keeps_its_connection(tmp_path: Path) -> None:
    kdig = require("kdig")
    async with served(tmp_path) as opened:
        at = [f"@{opened.address[0]}", "-p", str(opened.address[1]), "+tcp", "+keepopen", "+short"]
        assert (await run(kdig, *at, f"h1.{ZONE}", f"h2.{ZONE}", f"h3.{ZONE}")).split() == [
            "192.0.2.1",
            "192.0.2.2",
            "192.0.2.3",
        ]
        assert opened.memory.io()["connections-accepted"] == 1


@pytest.mark.parametrize("extra", [[], ["+dnssec"], ["+cookie"], ["+bufsize=512"]], ids=str)
async def test_dig_gets_its_answer(tmp_path: Path, extra: list[str]) -> None:
    dig = require("dig")
    async with served(tmp_path) as opened:
        at = [f"@{opened.address[0]}", "-p", str(opened.address[1]), "+tcp", "+short"]
        assert (await run(dig, *at, *extra, f"h7.{ZONE}", "A")).strip() == "192.0.2.7"


async def test_dnspython_gets_what_the_server_says_itself(tmp_path: Path) -> None:
    async with served(tmp_path) as opened:
        node = opened.settings.backends[0].address
        for name, kind in [(f"h1.{ZONE}", "A"), (f"nowhere.{ZONE}", "A"), (ZONE, "SOA"), ("example.org", "A")]:
            asked = dns.message.make_query(name, kind, want_dnssec=True)
            through, direct = [
                await asyncio.to_thread(dns.query.tcp, asked, host, 5.0, port)
                for host, port in (opened.address, node.sockaddr)
            ]
            assert through.to_wire() == direct.to_wire()
