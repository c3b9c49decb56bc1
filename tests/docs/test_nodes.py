"""The configurations of docs/nodes.md: checkers agree, and node and primary transfer by them, signed, through a tunnel.

Only addresses, ports and directories are others than on the page.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
from pathlib import Path

import dns.flags
import dns.message
import dns.opcode
import msgspec
import pytest

from gateway.lab.servers.roles import Key, Primary, Secondary
from gateway.lab.zones import LabZone
from proxy.settings import EgressSettings, TsigKey
from proxy.values import Endpoint, Secret
from tests.docs.pages import block
from tests.docs.recipes import RECIPES
from tests.egress.ring import (
    Events,
    exit_settings,
    forwarder_settings,
    fresh_key,
    running,
    ss_url,
    tunnel,
)
from tests.support.peers import auntil, require, require_server
from tests.support.zones import await_serial, serial

PAGE = "docs/nodes.md"
METHOD = "2022-blake3-aes-256-gcm"
CHECKERS = {
    "named": ("named-checkconf", ["{file}"]),
    "nsd": ("nsd-checkconf", ["{file}"]),
    "knot": ("knotc", ["-c", "{file}", "conf-check"]),
}


def check(software: str, text: str, directory: Path) -> subprocess.CompletedProcess[str]:
    program, arguments = CHECKERS[software.removesuffix("-primary")]
    file = directory / "node.conf"
    file.write_text(text.replace("/var/cache/bind", str(directory)))
    words = [require(program), *(argument.format(file=file) for argument in arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize("software", [*CHECKERS, *(f"{name}-primary" for name in CHECKERS)])
def test_the_checker_of_the_software_agrees(software: str, tmp_path: Path) -> None:
    done = check(software, block(PAGE, software), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("software", CHECKERS)
def test_the_checker_would_not_agree_with_anything(software: str, tmp_path: Path) -> None:
    broken = block(PAGE, software).replace("refresh", "refrehs", 1)
    assert broken != block(PAGE, software)
    assert check(software, broken, tmp_path).returncode != 0


KEY = Key("customer-a", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
ZONE = LabZone("example.com", hosts=50)


def tell(node: Endpoint) -> None:
    """A NOTIFY as the gateway sends it, without a key."""
    message = dns.message.make_query(ZONE.name, "SOA")
    message.set_opcode(dns.opcode.NOTIFY)
    message.flags = message.flags & ~dns.flags.RD | dns.flags.AA
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.sendto(message.to_wire(), node.sockaddr)


def verifying(settings: EgressSettings) -> EgressSettings:
    """The same, with the key known to the gateway."""
    (primary,) = settings.primaries
    return msgspec.structs.replace(
        settings,
        primaries=(msgspec.structs.replace(primary, tsig_key=KEY.name),),
        tsig_keys=(TsigKey(name=KEY.name, secret=Secret(KEY.secret)),),
    )


@pytest.mark.parametrize("software", RECIPES)
async def test_node_and_primary_transfer_by_the_page(software: str, tmp_path: Path) -> None:
    """What NSD answers to IXFR on the page, and PowerDNS anywhere, is the whole zone."""
    recipe, secret = RECIPES[software], fresh_key(METHOD)
    require_server(recipe)
    async with recipe(Primary({ZONE.name: ZONE.text(1, "one")}, key=KEY), tmp_path / "primary") as primary:
        exit_ = exit_settings(METHOD, secret, [primary.endpoint])
        settings = forwarder_settings([tunnel("t", ss_url(METHOD, secret, exit_.listen))], primary.endpoint)
        settings = verifying(settings)
        role, events = Secondary((ZONE.name,), settings.forwarders[0].listen, KEY), Events()
        async with (
            running(EgressSettings(exit=exit_)),
            running(settings, events),
            recipe(role, tmp_path / "node") as node,
        ):
            await asyncio.to_thread(await_serial, node.endpoint, ZONE.name, 1)
            primary.publish(ZONE.name, ZONE.text(2, "two"))

            async def follows() -> bool:
                tell(node.endpoint)
                return await asyncio.to_thread(serial, node.endpoint, ZONE.name) == 2

            await auntil(follows, 20, f"{software} to follow a NOTIFY")
        accepted = [(seen["kind"], seen["serial"]) for seen in events.named("transfer.accepted")]
        whole = "axfr-style" if software in ("NSD", "PowerDNS") else "ixfr"
        assert (accepted[0], accepted[-1]) == (("axfr", 1), (whole, 2))
        assert events.named("transfer.rejected") == []
