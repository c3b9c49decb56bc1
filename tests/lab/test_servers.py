"""Every name server as primary and as secondary node: zones arrive record by record, changes follow, TSIG holds."""

from __future__ import annotations

import itertools
import signal
from pathlib import Path

import dns.exception
import pytest

from gateway.lab.servers.bind import Bind
from gateway.lab.servers.builtin import Builtin
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.powerdns import PowerDns
from gateway.lab.servers.process import ChildError
from gateway.lab.servers.roles import Key, Primary, Secondary, ServerTls
from gateway.lab.servers.server import NameServer
from gateway.lab.zones import LabZone, new_signing_key
from proxy.values import Endpoint
from tests.support.peers import free_port, require_server
from tests.support.zones import ask, await_serial, content, parsed, serial

SOFTWARE: list[type[NameServer]] = [Nsd, Knot, Bind, PowerDns, Builtin]
PLAIN = LabZone("plain.example", hosts=300)
SIGNED = LabZone("signed.example", key=new_signing_key())
ZONES = [PLAIN, SIGNED]
NEVER = 3600  # seconds between refreshes: what arrives, arrives by NOTIFY


def texts(number: int) -> dict[str, str]:
    return {zone.name: zone.text(number, f"change {number}") for zone in ZONES}


def label(value: type[NameServer] | bool) -> str:
    if isinstance(value, bool):
        return "tsig" if value else "no-tsig"
    return value.software


def names() -> tuple[str, ...]:
    return tuple(zone.name for zone in ZONES)


@pytest.mark.parametrize(
    ("source", "node", "signed"),
    [
        *((software, software, False) for software in SOFTWARE),
        *((source, node, True) for source, node in itertools.pairwise([*SOFTWARE, SOFTWARE[0]])),
    ],
    ids=label,
)
def test_zones_and_changes_reach_the_node(
    source: type[NameServer], node: type[NameServer], signed: bool, tmp_path: Path
) -> None:
    require_server(source)
    require_server(node)
    key = Key.generate("transfer-key") if signed else None
    with (
        source(Primary(texts(1), key=key), tmp_path / "primary") as primary,
        node(Secondary(names(), primary.endpoint, key), tmp_path / "node") as secondary,
    ):
        for number in (1, 2):
            for zone, text in texts(number).items():
                if number > 1:
                    primary.publish(zone, text)
                await_serial(secondary.endpoint, zone, number)
                assert content(secondary.endpoint, zone) == parsed(text, zone)
        clock = ask(secondary.endpoint, f"clock.{SIGNED.name}", "TXT", tcp=True, dnssec=True)
        assert '"change 2"' in clock.answer[0].to_text()
        assert any("RRSIG" in rrset.to_text() for rrset in clock.answer)


@pytest.mark.parametrize("source", SOFTWARE, ids=label)
def test_a_primary_tells_its_nodes(source: type[NameServer], tmp_path: Path) -> None:
    require_server(source)
    key = Key.generate("notify-key")
    node = Builtin if source is not Builtin else Knot
    require_server(node)
    at = free_port()
    role = Secondary((PLAIN.name,), source(Primary(texts(1)), tmp_path).endpoint, key, refresh=NEVER)
    secondary = node(role, tmp_path / "node", at)
    with (
        source(
            Primary(texts(1), notify=(secondary.endpoint,), key=key), tmp_path / "primary", role.primary.port
        ) as primary,
        secondary,
    ):
        await_serial(secondary.endpoint, PLAIN.name, 1)
        primary.publish(PLAIN.name, texts(2)[PLAIN.name])
        await_serial(secondary.endpoint, PLAIN.name, 2)


@pytest.mark.parametrize("source", SOFTWARE, ids=label)
def test_a_primary_with_a_key_gives_nothing_without_it(source: type[NameServer], tmp_path: Path) -> None:
    require_server(source)
    key = Key.generate("right")
    with source(Primary(texts(1), key=key), tmp_path) as primary:
        assert content(primary.endpoint, PLAIN.name, key) == parsed(texts(1)[PLAIN.name], PLAIN.name)
        for wrong in (None, Key("right", Key.generate("other").secret), Key.generate("stranger")):
            with pytest.raises((dns.exception.DNSException, EOFError)):
                content(primary.endpoint, PLAIN.name, wrong)


@pytest.mark.parametrize("node", SOFTWARE, ids=label)
def test_a_node_without_its_primary_serves_no_zone(node: type[NameServer], tmp_path: Path) -> None:
    require_server(node)
    role = Secondary(names(), Nsd(Primary(texts(1)), tmp_path).endpoint)
    with node(role, tmp_path / "node") as secondary:
        assert serial(secondary.endpoint, PLAIN.name) is None
        assert ask(secondary.endpoint, PLAIN.name).rcode().name in ("SERVFAIL", "REFUSED")


@pytest.mark.parametrize("software", SOFTWARE, ids=label)
async def test_a_port_in_use_is_an_error(software: type[NameServer], tmp_path: Path) -> None:
    require_server(software)
    async with Builtin(Primary(texts(1)), tmp_path / "holder") as holder:
        second = software(Primary({"elsewhere.example": LabZone("elsewhere.example").text(1, "")}), tmp_path / "second")
        second.endpoint = holder.endpoint
        with pytest.raises(ChildError, match=f"{software.software} can't have .* in use"):
            await second.astart()


@pytest.mark.parametrize("software", SOFTWARE, ids=label)
def test_a_zone_with_an_error_shows_in_the_log_and_can_be_mended(software: type[NameServer], tmp_path: Path) -> None:
    require_server(software)
    with software(Primary(texts(1)), tmp_path) as primary:
        primary.publish(PLAIN.name, "this is no zone")
        primary.process.wait(lambda: f"{PLAIN.name}" in primary.process.tail(3), what="a complaint about the zone")
        # Meanwhile most serve the old zone, NSD none.
        primary.publish(PLAIN.name, texts(2)[PLAIN.name])
        await_serial(primary.endpoint, PLAIN.name, 2)


def test_a_server_that_ends_is_an_error_with_its_log(tmp_path: Path) -> None:
    require_server(Nsd)
    with Nsd(Primary(texts(1)), tmp_path) as primary:
        primary.process.send(signal.SIGTERM)
        with pytest.raises(ChildError, match=r"(?s)NSD at .* ended with status 0.*signal received, shutting down"):
            primary.process.wait(lambda: False)


def test_only_a_primary_publishes(tmp_path: Path) -> None:
    node = Nsd(Secondary(names(), Nsd(Primary(texts(1)), tmp_path).endpoint), tmp_path)
    with pytest.raises(ValueError, match="not a primary"):
        node.publish(PLAIN.name, texts(2)[PLAIN.name])
    with pytest.raises(ChildError, match="was not started"):
        Nsd(Primary(texts(1)), tmp_path).publish(PLAIN.name, texts(2)[PLAIN.name])


def test_one_server_has_several_roles(tmp_path: Path) -> None:
    """Keys and primaries are those of the role: what one zone is given to, another is not."""
    for software in (Nsd, Bind):
        require_server(software)
    keys = [Key.generate("first-key"), Key.generate("second-key", "hmac-sha512")]
    zones = [LabZone(f"{number}.example") for number in range(3)]
    sources = [
        Primary({zone.name: zone.text(1, "one")}, key=key) for zone, key in zip(zones, [*keys, None], strict=True)
    ]
    with Nsd(sources, tmp_path / "primary") as primary:
        roles = [Secondary((zones[0].name,), primary.endpoint, keys[0]), Secondary((zones[1].name,), primary.endpoint)]
        with Bind([*roles, sources[2]], tmp_path / "node") as node:
            await_serial(node.endpoint, zones[0].name, 1)
            assert content(node.endpoint, zones[2].name) == content(primary.endpoint, zones[2].name)
            assert content(primary.endpoint, zones[1].name, keys[1]) == parsed(
                sources[1].zones[zones[1].name], zones[1].name
            )
            for wrong in (None, keys[0]):
                with pytest.raises((dns.exception.DNSException, EOFError)):
                    content(primary.endpoint, zones[1].name, wrong)
            assert serial(node.endpoint, zones[1].name) is None


def test_roles_that_do_not_go_together_are_an_error(tmp_path: Path) -> None:
    role = Primary(texts(1))
    tls = [ServerTls(Endpoint.parse(f"127.0.0.1:{port}"), tmp_path, tmp_path) for port in (1, 2)]
    with pytest.raises(ValueError, match="each once"):
        Nsd([role, role], tmp_path)
    with pytest.raises(ValueError, match="needs zones"):
        Nsd([], tmp_path)
    with pytest.raises(ValueError, match="one door for TLS"):
        Nsd([Primary({"a.example": ""}, tls=tls[0]), Primary({"b.example": ""}, tls=tls[1])], tmp_path)


def test_powerdns_needs_its_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_server(PowerDns)
    monkeypatch.setattr("gateway.lab.servers.powerdns.SCHEMA_PLACES", (str(tmp_path),))
    assert not PowerDns.installed()
    with pytest.raises(ChildError, match="PowerDNS is not installed: pdns-backend-sqlite3 is missing"):
        PowerDns(Primary(texts(1)), tmp_path).start()


def test_a_key_shows_its_name_only() -> None:
    key = Key.generate("shown")
    assert "shown" in repr(key)
    assert key.secret not in repr(key)
