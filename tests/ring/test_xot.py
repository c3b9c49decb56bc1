"""XoT between real servers: BIND and NSD as primaries with TLS; BIND, NSD and Knot as nodes that know nothing of it.

nodes ── forwarder ── tunnel ── our own exit ── TLS 1.3 ── primary
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from gateway.lab.servers.bind import Bind
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.roles import Key, Primary, ServerTls
from gateway.lab.servers.server import NameServer
from proxy.values import Endpoint
from tests.ring.gateways import Gateway, loopback, running
from tests.ring.test_transfers import KEY_2022, NODES, ZONES, check_nodes_follow, own_exit, texts
from tests.support.certificates import Authority
from tests.support.peers import require, until

NAME = "ns.primary.example"


@contextmanager
def primary(
    software: type[NameServer], directory: Path, authority: Authority, key: Key | None, *, clients: bool = False
) -> Iterator[tuple[NameServer, Endpoint]]:
    """A primary with TLS, and where it speaks that."""
    for node in NODES:
        require(node.program)
    shown, door = authority.issue(NAME), loopback()
    tls = ServerTls(door, shown.file, shown.key, authority.file if clients else None)
    with software(Primary(texts(1), key=key, tls=tls), directory / "primary") as server:
        yield server, door


@contextmanager
def gateway(directory: Path, door: Endpoint, forwarder: Endpoint, tls: str) -> Iterator[Gateway]:
    with own_exit(directory, "2022-blake3-aes-256-gcm", KEY_2022, door) as far:
        text = f"""
[[tunnels]]
name = "way"
url = "ss://2022-blake3-aes-256-gcm:{quote(KEY_2022, safe="")}@{far}"
[[primaries]]
name = "p"
address = "{door}"
tunnels = ["way"]
[primaries.tls]
server_name = "{NAME}"
ca = "ca/authority.pem"
{tls}
[[forwarders]]
listen = "{forwarder}"
primary = "p"
zones = [{", ".join(f'"{zone.name}"' for zone in ZONES)}]
"""
        with running(directory, text) as one:
            yield one


@pytest.mark.parametrize("signed", [False, True], ids=["plain", "tsig"])
@pytest.mark.parametrize("software", [Bind, Nsd], ids=["bind", "nsd"])
def test_zones_come_over_tls_record_by_record(software: type[NameServer], signed: bool, tmp_path: Path) -> None:
    key = Key.generate("transfer-key") if signed else None
    authority, forwarder = Authority(tmp_path / "ca"), loopback()
    alpn = "offered" if software is Nsd else "required"
    with ExitStack() as stack:
        server, door = stack.enter_context(primary(software, tmp_path, authority, key))
        one = stack.enter_context(gateway(tmp_path, door, forwarder, f'alpn = "{alpn}"'))
        check_nodes_follow(stack, tmp_path, server, forwarder, key)
        until(lambda: one.total("zonegate_primary_tls_handshakes_total", primary="p") >= 1, what="a handshake")
        assert one.total("zonegate_tunnel_sent_datagrams_total") == 0, "nothing goes out over UDP"


def test_bind_serves_only_those_with_a_certificate_of_its_authority(tmp_path: Path) -> None:
    """And a renewed certificate is taken by a reload without a change in the settings, a bad one not."""
    authority, forwarder = Authority(tmp_path / "ca"), loopback()
    ours = authority.issue("gateway.example")
    with ExitStack() as stack:
        server, door = stack.enter_context(primary(Bind, tmp_path, authority, None, clients=True))
        tls = 'certificate = "ca/gateway.example.pem"\nkey = "ca/gateway.example.key"'
        one = stack.enter_context(gateway(tmp_path, door, forwarder, tls))
        check_nodes_follow(stack, tmp_path, server, forwarder, None)
        left = "zonegate_primary_tls_certificate_seconds"
        assert 0 < one.total(left, primary="p") <= 3600
        authority.issue("gateway.example", lasts=timedelta(hours=2))
        assert httpx.post(f"http://{one.child.admin}/reload", timeout=30).json()["ok"]
        until(lambda: one.total(left, primary="p") > 3600, what="the new certificate")
        ours.key.write_text("-----BEGIN PRIVATE KEY-----\n")
        refused = httpx.post(f"http://{one.child.admin}/reload", timeout=30)
        assert "primaries[0].tls.key" in refused.text
        assert one.total(left, primary="p") > 3600
        assert one.total("zonegate_primary_tls_failures_total") == 0


def test_bind_refuses_those_without_and_that_is_named(tmp_path: Path) -> None:
    authority, forwarder = Authority(tmp_path / "ca"), loopback()
    with (
        primary(Bind, tmp_path, authority, None, clients=True) as (_, door),
        gateway(tmp_path, door, forwarder, "") as one,
    ):
        # Nobody asks but the prober of the gateway itself.
        refused = "zonegate_primary_tls_failures_total"
        until(lambda: one.total(refused, reason="tls-closed") >= 1, 20, "BIND's close, counted")
        assert "it wants a certificate of ours" in one.child.tail(1000)


def test_nsd_that_selects_no_alpn_is_named(tmp_path: Path) -> None:
    authority, forwarder = Authority(tmp_path / "ca"), loopback()
    with (
        primary(Nsd, tmp_path, authority, None) as (_, door),
        gateway(tmp_path, door, forwarder, "") as one,
    ):
        failures = "zonegate_primary_tls_failures_total"
        until(lambda: one.total(failures, reason="tls-no-alpn") >= 1, 20, "the missing ALPN, counted")
        assert "alpn = " in one.child.tail(1000)
