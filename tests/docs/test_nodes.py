"""The configurations of docs/nodes.md: the checkers of BIND, NSD and Knot agree, and PowerDNS transfers by its own."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from gateway.lab.servers.builtin import Builtin
from gateway.lab.servers.roles import Primary
from gateway.lab.zones import LabZone
from proxy.settings import EgressSettings
from tests.docs.pages import block
from tests.egress.ring import (
    exit_settings,
    forwarder_settings,
    fresh_endpoint,
    fresh_key,
    running,
    ss_url,
    tunnel,
)
from tests.support.peers import ChildProcess, require
from tests.support.zones import await_serial, content, parsed

PAGE = "docs/nodes.md"
METHOD = "2022-blake3-aes-256-gcm"
CHECKERS = {
    "named": ("named-checkconf", ["{file}"]),
    "nsd": ("nsd-checkconf", ["{file}"]),
    "knot": ("knotc", ["-c", "{file}", "conf-check"]),
}


def check(software: str, text: str, directory: Path) -> subprocess.CompletedProcess[str]:
    program, arguments = CHECKERS[software]
    file = directory / "node.conf"
    file.write_text(text.replace("/var/cache/bind", str(directory)))
    words = [require(program), *(argument.format(file=file) for argument in arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize("software", CHECKERS)
def test_the_checker_of_the_software_agrees(software: str, tmp_path: Path) -> None:
    done = check(software, block(PAGE, software), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("software", CHECKERS)
def test_the_checker_would_not_agree_with_anything(software: str, tmp_path: Path) -> None:
    broken = block(PAGE, software).replace("refresh", "refrehs", 1)
    assert broken != block(PAGE, software)
    assert check(software, broken, tmp_path).returncode != 0


async def test_powerdns_transfers_through_a_forwarder(tmp_path: Path) -> None:
    program, key, node = require("pdns_server"), fresh_key(METHOD), fresh_endpoint()
    text = LabZone("example.com", hosts=50).text(1, "through the forwarder")
    async with Builtin(Primary({"example.com": text}), tmp_path / "primary") as primary:
        exit_ = exit_settings(METHOD, key, [primary.endpoint])
        settings = forwarder_settings([tunnel("t", ss_url(METHOD, key, exit_.listen))], primary.endpoint)
        forwarder = settings.forwarders[0].listen
        zones, configuration = tmp_path / "named.conf", tmp_path / "pdns.conf"
        zones.write_text(
            block(PAGE, "pdns-zones")
            .replace("/var/lib/powerdns", str(tmp_path))
            .replace("10.0.0.1:5301", str(forwarder))
        )
        configuration.write_text(
            block(PAGE, "pdns")
            .replace("/etc/powerdns/named.conf", str(zones))
            .replace("10.0.0.11", str(node.address))
            .replace("local-port=53", f"local-port={node.port}")
        )
        words = [program, f"--config-dir={tmp_path}", f"--socket-dir={tmp_path}", "--daemon=no", "--guardian=no"]
        async with running(EgressSettings(exit=exit_)), running(settings) as near:
            with ChildProcess(words, tmp_path / "pdns.log"):
                await asyncio.to_thread(await_serial, node, "example.com", 1)
                assert await asyncio.to_thread(content, node, "example.com") == parsed(text, "example.com")
            (carried,) = near.status().tunnels
            assert carried.streams_total >= 1
            assert carried.datagrams_out >= 1
