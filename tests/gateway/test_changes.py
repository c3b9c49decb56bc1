"""What a reload can take is told apart from what needs a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import load
from gateway.config.changes import compare
from gateway.settings import GatewaySettings
from tests.gateway.configs import FULL


def settings(tmp_path: Path, text: str) -> GatewaySettings:
    file = tmp_path / "zonegate.toml"
    file.write_text(text)
    return load(file).settings


@pytest.mark.parametrize(
    ("old", "new", "changed", "restart"),
    [
        ("weight = 2", "weight = 3", ("ingress.backends[0].weight",), ()),
        ("rate = 200", "rate = 300", ("filters.rate_limits[0].rate",), ()),
        ("planted-password", "other", ("tunnels[1].url",), ()),
        ("planted-token", "other", ("admin.token",), ()),
        ('level = "warning"', 'level = "info"', ("log.level",), ()),
        ("workers = 2", "workers = 3", (), ("ingress.workers",)),
        ("192.0.2.1:53", "192.0.2.2:53", (), ("ingress.listeners[0].address",)),
        ('["notify"]', '["notify", "update"]', (), ("ingress.listeners[0].allow",)),
        (
            'allow = ["notify"]',
            'allow = ["notify"]\nproxy_protocol = { accept = "v2", from = ["192.0.2.0/24"] }',
            ("ingress.listeners[0].proxy_protocol.accept", "ingress.listeners[0].proxy_protocol.from"),
            (),
        ),
        ("receive_buffer = 65536", "receive_buffer = 8192", (), ("ingress.udp.receive_buffer",)),
        ("table_size = 4096", "table_size = 8192", (), ("filters.table_size",)),
        ("version = 1\n", 'version = 1\nstate = "elsewhere"\n', (), ("state",)),
        ("127.0.0.1:8053", "127.0.0.1:8054", (), ("admin.address",)),
        ("127.0.0.1:5301", "127.0.0.1:5302", ("forwarders[0].listen",), ()),
        ("0.0.0.0:8388", "0.0.0.0:8389", ("exit.listen",), ()),
        ('["fra", "ams"]', '["ams"]', ("primaries[0].tunnels",), ()),
    ],
)
def test_one_change(tmp_path: Path, old: str, new: str, changed: tuple[str, ...], restart: tuple[str, ...]) -> None:
    before, after = settings(tmp_path, FULL), settings(tmp_path, FULL.replace(old, new))
    changes = compare(before, after)
    assert (changes.changed, changes.restart) == (changed, restart)
    assert changes.effective == (before if restart else after)


def test_nothing_changed(tmp_path: Path) -> None:
    before = settings(tmp_path, FULL)
    changes = compare(before, settings(tmp_path, FULL))
    assert (changes.effective, changes.changed, changes.restart) == (before, (), ())


def test_a_new_role_needs_a_restart_and_brings_nothing_of_itself(tmp_path: Path) -> None:
    before = settings(tmp_path, FULL.partition("[[tunnels]]")[0])
    changes = compare(before, settings(tmp_path, FULL.replace("rate = 200", "rate = 300")))
    assert changes.effective.egress is None
    assert changes.changed == ("admin.token", "filters.rate_limits[0].rate", "log.format", "log.level")
    assert changes.restart == ("exit", "forwarders", "primaries", "tunnels")


def test_a_socks_door_alone_is_a_new_role_too(tmp_path: Path) -> None:
    """Its primaries can't come either, and a door without them would be what the file doesn't say."""
    door = '[[socks_doors]]\nlisten = "127.0.0.1:1080"\nprimaries = ["customer-a"]\n'
    tables = (
        '[[tunnels]]\nname = "t"\nurl = "direct://"\n'
        '[[primaries]]\nname = "customer-a"\naddress = "192.0.2.9:53"\ntunnels = ["t"]\n'
    )
    before = settings(tmp_path, FULL.partition("[[tunnels]]")[0])
    changes = compare(before, settings(tmp_path, FULL.partition("[[tunnels]]")[0] + tables + door))
    assert changes.effective.egress is None
    assert changes.restart == ("primaries", "socks_doors", "tunnels")
    with_door = settings(tmp_path, FULL.partition("[[tunnels]]")[0] + tables + door)
    gone = compare(with_door, before)
    assert gone.effective.egress == with_door.egress
    assert gone.restart == ("primaries", "socks_doors", "tunnels")


def test_ingress_can_neither_come_nor_go(tmp_path: Path) -> None:
    egress = "version = 1\n[[tunnels]]" + FULL.partition("[[tunnels]]")[2]
    without, with_ingress = settings(tmp_path, egress), settings(tmp_path, FULL)
    assert compare(without, with_ingress).effective.ingress is None
    gone = compare(with_ingress, without)
    assert gone.effective.ingress == with_ingress.ingress
    assert gone.effective.filters == with_ingress.filters
    assert "ingress" in gone.restart
    assert gone.changed == ()
