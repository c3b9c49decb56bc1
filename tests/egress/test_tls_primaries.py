"""TLS to many primaries: what is read for each of them, and what for all together."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxy.egress.primaries import Primaries
from proxy.egress.tls.client import TlsClient
from proxy.settings import Primary, PrimaryTls
from proxy.values import Endpoint, KeyPin
from tests.egress.ring import Events
from tests.support.certificates import Authority


def primary(name: str, **tls: object) -> Primary:
    settings = PrimaryTls(**tls)  # type: ignore[arg-type]  # by name
    return Primary(name=name, address=Endpoint.parse("192.0.2.1:853"), tunnels=("t",), tls=settings)


async def test_the_authorities_of_the_system_are_read_once_and_again_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For each of a thousand primaries, at each reload, it would take a minute in which nothing else is done."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    system = Authority(tmp_path / "one").file
    monkeypatch.setenv("SSL_CERT_FILE", str(system))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    settings = [
        primary("a", server_name="a.example"),
        primary("b", server_name="b.example", ca="system", pins=(KeyPin(bytes(32)),)),
        primary("c", pins=(KeyPin(bytes(32)),)),
    ]
    events = Events()
    primaries = Primaries(tmp_path, events)

    def clients() -> list[TlsClient]:
        compiled = primaries.compile(settings)
        primaries.take(compiled)
        found = [each.tls for each in compiled.servers.values()]
        assert all(isinstance(each, TlsClient) for each in found)
        return [each for each in found if isinstance(each, TlsClient)]

    first = clients()
    contexts = [each._context for each in first]
    assert contexts[0] is contexts[1] is not contexts[2]
    assert len(contexts[0].get_ca_certs()) == 1
    assert contexts[0].check_hostname
    assert clients() == first  # with their tickets
    system.write_bytes(system.read_bytes() + Authority(tmp_path / "two").file.read_bytes())
    os.utime(system, ns=(1, 1))
    again = clients()
    assert [each is known for each, known in zip(again, first, strict=True)] == [False, False, True]
    assert len(again[0]._context.get_ca_certs()) == 2
    assert [each["primary"] for each in events.named("primary.tls-renewed")] == ["a", "b"]
