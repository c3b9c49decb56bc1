"""Settings of PROXY headers: what works is taken, and what can't is said with its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import ConfigError, load
from gateway.config.plain import read_plain, to_plain
from gateway.settings import GatewaySettings
from tests.gateway.configs import INGRESS

FROM = 'from = ["192.0.2.0/24", "2001:db8::1"]'


def configured(tmp_path: Path, *, listener: str = "", backend: str = "", transports: str = '"udp", "tcp"') -> Path:
    file = tmp_path / "zonegate.toml"
    door = f"[[ingress.listeners]]\ntransports = [{transports}]\n"
    if listener:
        door += f"proxy_protocol = {{ {listener} }}\n"
    text = INGRESS.replace("[[ingress.listeners]]\n", door)
    file.write_text(text + (f"proxy_protocol = {{ {backend} }}\n" if backend else ""))
    return file


@pytest.mark.parametrize(
    ("transports", "listener", "over"),
    [
        ('"udp", "tcp"', "", ("off", "off")),
        ('"udp", "tcp"', f'accept = "v2", {FROM}', ("v2", "v2")),
        ('"tcp"', f'accept = "v1", {FROM}, timeout = 1', ("off", "v1")),
        ('"udp"', f'accept = "spp", {FROM}', ("spp", "off")),
        ('"udp", "tcp"', f'accept = "spectrum", tcp = "v1", {FROM}, session_ttl = 60', ("spectrum", "v1")),
        ('"udp", "tcp"', f'udp = "v2", {FROM}, required = false', ("v2", "off")),
        ('"udp", "tcp"', f'accept = "v2", tcp = "off", {FROM}', ("v2", "off")),
    ],
)
def test_what_a_listener_expects(tmp_path: Path, transports: str, listener: str, over: tuple[str, str]) -> None:
    settings = load(configured(tmp_path, listener=listener, transports=transports)).settings
    assert settings.ingress is not None
    header = settings.ingress.listeners[0].proxy_protocol
    assert (header.over_udp, header.over_tcp) == over
    assert [str(network) for network in header.from_] == (["192.0.2.0/24", "2001:db8::1/128"] if listener else [])
    assert read_plain(GatewaySettings, to_plain(settings)) == settings


@pytest.mark.parametrize(
    ("backend", "probe"),
    [
        ("", "plain"),
        ('udp = "v2", tcp = "v2", crc = true', "local"),
        ('udp = "v2", health = "plain"', "plain"),
        ('udp = "spp"', "proxy"),
        ('tcp = "v1"', "plain"),
    ],
)
def test_how_a_backend_is_checked(tmp_path: Path, backend: str, probe: str) -> None:
    settings = load(configured(tmp_path, backend=backend)).settings
    assert settings.ingress is not None
    assert settings.ingress.backends[0].proxy_protocol.probe == probe


@pytest.mark.parametrize(
    ("given", "key", "right"),
    [
        ({"listener": 'accept = "v2"'}, "listeners[0].proxy_protocol.from", "name the proxies"),
        ({"listener": 'tcp = "v1"'}, "listeners[0].proxy_protocol.from", "name the proxies"),
        ({"listener": f'accept = "v1", {FROM}'}, "listeners[0].proxy_protocol.accept", 'add udp = "v2" or "off"'),
        ({"listener": f'accept = "spp", {FROM}'}, "listeners[0].proxy_protocol.accept", 'add tcp = "v2" or "off"'),
        (
            {"listener": f'udp = "v2", {FROM}', "transports": '"tcp"'},
            "listeners[0].proxy_protocol.udp",
            "the listener has no udp",
        ),
        (
            {"listener": f'accept = "spectrum", {FROM}, required = false', "transports": '"udp"'},
            "listeners[0].proxy_protocol.required",
            "leave it out",
        ),
        ({"backend": 'health = "local"'}, "backends[0].proxy_protocol.health", 'write udp = "v2"'),
        ({"backend": 'udp = "spp", health = "local"'}, "backends[0].proxy_protocol.health", 'health = "plain"'),
        ({"backend": 'health = "proxy"'}, "backends[0].proxy_protocol.health", 'udp = "v2" or "spp"'),
        ({"backend": 'udp = "spp", crc = true'}, "backends[0].proxy_protocol.crc", "only v2 has a checksum"),
        ({"backend": 'udp = "v1"'}, "backends[0].proxy_protocol.udp", '"v2"'),
    ],
)
def test_what_can_not_work_is_said(tmp_path: Path, given: dict[str, str], key: str, right: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(configured(tmp_path, **given))
    (problem,) = caught.value.problems
    assert problem.key == f"ingress.{key}"
    assert right in problem.right
    assert problem.line is not None
