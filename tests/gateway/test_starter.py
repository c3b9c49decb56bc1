"""The starter file is a valid configuration, as written and with every setting uncommented, and names every setting."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec import Struct

from filters.settings import Rule
from gateway.config import load
from gateway.config.schema import fields
from gateway.config.starter import starter
from gateway.settings import GatewaySettings
from tests.gateway.configs import KEY_32
from tests.support.certificates import Authority


def test_the_starter_file_is_clean(tmp_path: Path) -> None:
    file = tmp_path / "zonegate.toml"
    file.write_text(starter())
    settings = load(file).settings
    assert settings.ingress is not None
    assert settings.egress is None
    assert all(listener.address.address.is_loopback for listener in settings.ingress.listeners)


def test_every_setting_uncommented_is_clean_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "zonegate.toml"
    file.write_text(re.sub(r"(?m)^#(?=[a-z\[])", "", starter()))
    monkeypatch.setenv("ZONEGATE_EXIT_KEY", KEY_32)
    monkeypatch.setenv("ZONEGATE_TUNNEL_FRA", "socks5://192.0.2.9:1080")
    monkeypatch.setenv("ZONEGATE_SOCKS_NODE_1", "password")
    for name, text in {
        "admin.token": "token",
        "cookie.secret": "e5e973e5a6b2a43f48e7dc849e37bfcf",
        "customer-a.tsig": "c2VjcmV0",
        "berlin.key": KEY_32[::-1].replace("=", "") + "=",
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    authority = Authority(tmp_path, "customer-a-ca")
    authority.issue("gateway.example", file="gateway")
    settings = load(file).settings
    assert settings.egress is not None
    assert settings.egress.exit is not None
    assert settings.primaries[0].tls is not None


def test_every_setting_is_there_with_its_meaning() -> None:
    text = " ".join(starter().replace("\n# ", " ").split())

    def walk(table: type[Struct]) -> None:
        for field in fields(table).values():
            shape = field.shape.item or field.shape
            is_table = isinstance(shape.kind, type) and issubclass(shape.kind, Struct)
            if table is Rule and is_table:
                assert f"{field.name} = {{" in text, "an example; docs/settings.md has the rest"
            elif is_table:
                walk(shape.kind)
            else:
                assert field.description, f"{table.__name__}.{field.name} says nothing"
                assert f"{' '.join(field.description.split())} " in text
                assert f"{field.name} = " in text

    walk(GatewaySettings)
