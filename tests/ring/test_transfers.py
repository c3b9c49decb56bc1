"""Zones through tunnels between real servers: BIND as primary; NSD, Knot and BIND as nodes; every way equal, TSIG too.

nodes ── forwarder ── tunnel ── shadowsocks-libev, shadowsocks-rust, Dante or our own exit ── primary
nodes ── ss-tunnel or sslocal ── our own exit ── primary
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from gateway.lab.servers.bind import Bind
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.roles import Key, Primary, Secondary
from gateway.lab.servers.server import NameServer
from gateway.lab.zones import LabZone, new_signing_key
from proxy.values import Endpoint
from tests.ring.gateways import loopback, running
from tests.support import tunnels
from tests.support.peers import ChildProcess, require, until
from tests.support.zones import await_serial, parsed, settled

NODES: tuple[type[NameServer], ...] = (Nsd, Knot, Bind)
ZONES = [LabZone("plain.example", hosts=3000), LabZone("signed.example", hosts=50, key=new_signing_key())]
KEY_2022 = base64.b64encode(secrets.token_bytes(32)).decode()
PASSWORD = "correct horse battery staple"  # noqa: S105 - of servers that live as long as a test

Way = Callable[[ExitStack, Path, Endpoint], str]
"""Starts the far end of a tunnel that may reach the given primary, and returns the tunnel's URL."""


def through_libev(method: str) -> Way:
    def start(stack: ExitStack, directory: Path, _primary: Endpoint) -> str:
        far = loopback()
        stack.enter_context(tunnels.listening(tunnels.libev_server(directory, far, method, PASSWORD), far))
        return f"ss://{method}:{quote(PASSWORD)}@{far}"

    return start


def through_rust(method: str) -> Way:
    def start(stack: ExitStack, directory: Path, _primary: Endpoint) -> str:
        far = loopback()
        stack.enter_context(tunnels.listening(tunnels.rust_server(directory, far, method, KEY_2022), far))
        return f"ss://{method}:{quote(KEY_2022, safe='')}@{far}"

    return start


def through_dante(stack: ExitStack, directory: Path, _primary: Endpoint) -> str:
    far = loopback()
    stack.enter_context(tunnels.listening(tunnels.dante(directory, far), far))
    return f"socks5://{far}"


def through_own_exit(stack: ExitStack, directory: Path, primary: Endpoint) -> str:
    far = stack.enter_context(own_exit(directory, "2022-blake3-aes-256-gcm", KEY_2022, primary))
    return f"ss://2022-blake3-aes-256-gcm:{quote(KEY_2022, safe='')}@{far}"


WAYS: dict[str, Way] = {
    "libev-chacha20": through_libev("chacha20-ietf-poly1305"),
    "libev-aes-256": through_libev("aes-256-gcm"),
    "rust-2022-aes-256": through_rust("2022-blake3-aes-256-gcm"),
    "rust-2022-chacha20": through_rust("2022-blake3-chacha20-poly1305"),
    "dante": through_dante,
    "own-exit": through_own_exit,
}


@contextmanager
def own_exit(directory: Path, method: str, key: str, primary: Endpoint) -> Iterator[Endpoint]:
    """Our exit as a process of its own, allowed to open the primary only."""
    far = loopback()
    home = directory / "exit"
    home.mkdir()
    allowed = f"{primary.address}/32:{primary.port}"
    text = f'[exit]\nlisten = "{far}"\nmethod = "{method}"\nkey = "{key}"\nallow = ["{allowed}"]\n'
    with running(home, text):
        yield far


def forwarding(url: str, primary: Endpoint, listen: Endpoint) -> str:
    """The text of a gateway that leads nodes to `primary`."""
    zones = ", ".join(f'"{zone.name}"' for zone in ZONES)
    return f"""
[[tunnels]]
name = "way"
url = "{url}"
[[primaries]]
name = "bind"
address = "{primary}"
tunnels = ["way"]
[[forwarders]]
listen = "{listen}"
primary = "bind"
zones = [{zones}]
"""


def texts(number: int) -> dict[str, str]:
    return {zone.name: zone.text(number, f"change {number}") for zone in ZONES}


@contextmanager
def bind_primary(directory: Path, key: Key | None) -> Iterator[NameServer]:
    for software in NODES:
        require(software.program)
    with Bind(Primary(texts(1), key=key), directory / "primary") as primary:
        yield primary


def check_nodes_follow(
    stack: ExitStack, directory: Path, primary: NameServer, source: Endpoint, key: Key | None
) -> None:
    """All nodes hold what the primary has, record by record, before and after a change of every zone."""
    role = Secondary(tuple(zone.name for zone in ZONES), source, key)
    nodes = [stack.enter_context(kind(role, directory / kind.software)) for kind in NODES]
    for number in (1, 2):
        for name, text in texts(number).items():
            if number > 1:
                primary.publish(name, text)
            wanted = parsed(text, name)
            for node in nodes:
                await_serial(node.endpoint, name, number)
                assert settled(node.endpoint, name) == wanted, f"{node.software} holds another {name}"


@pytest.mark.parametrize("signed", [False, True], ids=["plain", "tsig"])
@pytest.mark.parametrize("way", WAYS)
def test_zones_come_through_the_tunnel_record_by_record(way: str, signed: bool, tmp_path: Path) -> None:
    key = Key.generate("transfer-key") if signed else None
    forwarder = loopback()
    with ExitStack() as stack:
        primary = stack.enter_context(bind_primary(tmp_path, key))
        url = WAYS[way](stack, tmp_path, primary.endpoint)
        gateway = stack.enter_context(running(tmp_path, forwarding(url, primary.endpoint, forwarder)))
        check_nodes_follow(stack, tmp_path, primary, forwarder, key)
        until(lambda: gateway.total("zonegate_tunnel_received_datagrams_total") > 0, what="SOA checks by UDP, counted")
        until(
            lambda: gateway.total("zonegate_transfer_verdicts_total", kind="axfr") >= len(NODES) * len(ZONES),
            what="transfers, counted",
        )
        assert KEY_2022 not in gateway.child.tail(1000)


NEAR_ENDS: dict[str, Callable[[Path, Endpoint, Endpoint, Endpoint], ChildProcess]] = {
    "ss-tunnel": lambda directory, listen, far, primary: tunnels.libev_tunnel(
        directory, listen, far, primary, "chacha20-ietf-poly1305", PASSWORD
    ),
    "sslocal": lambda directory, listen, far, primary: tunnels.rust_tunnel(
        directory, listen, far, primary, "2022-blake3-aes-256-gcm", KEY_2022
    ),
}


@pytest.mark.parametrize("near", NEAR_ENDS)
def test_our_exit_ends_the_tunnels_of_others(near: str, tmp_path: Path) -> None:
    method, key = ("chacha20-ietf-poly1305", PASSWORD) if near == "ss-tunnel" else ("2022-blake3-aes-256-gcm", KEY_2022)
    with ExitStack() as stack:
        primary = stack.enter_context(bind_primary(tmp_path, None))
        far = stack.enter_context(own_exit(tmp_path, method, key, primary.endpoint))
        door = loopback()
        stack.enter_context(tunnels.listening(NEAR_ENDS[near](tmp_path, door, far, primary.endpoint), door))
        check_nodes_follow(stack, tmp_path, primary, door, None)
