"""[[zones]]: what the tables have to hold together, and what is made of them for the processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import cli
from gateway.config import ConfigError, Loaded, load
from gateway.config.changes import compare
from gateway.settings import GatewaySettings
from tests.gateway.configs import KEY_32

BASE = f"""\
version = 1
[ingress]
[[ingress.listeners]]
address = "127.0.0.1:5300"
[[ingress.backends]]
name = "ns-a"
address = "127.0.0.1:5353"
[[ingress.backends]]
name = "ns-b"
address = "127.0.0.1:5354"
pools = ["default", "far"]
[filters]
zones = ["example.com"]
[[tunnels]]
name = "direct"
url = "direct://"
[[tsig_keys]]
name = "customer-a"
secret = "{KEY_32}"
[[primaries]]
name = "p"
address = "203.0.113.5:53"
tunnels = ["direct"]
tsig_key = "customer-a"
"""


def loaded(directory: Path, text: str) -> Loaded:
    file = directory / "zonegate.toml"
    file.write_text(BASE + text)
    file.chmod(0o600)
    return load(file)


def settings(directory: Path, text: str) -> GatewaySettings:
    return loaded(directory, text).settings


def zone(more: str = "", primaries: str = 'primaries = ["p"]') -> str:
    return f'[[zones]]\nname = "example.com"\n{primaries}\n{more}'


def test_a_zone_goes_by_its_primaries_unless_it_says_otherwise(tmp_path: Path) -> None:
    found = settings(tmp_path, zone())
    (one,) = found.zones
    assert [str(prefix) for prefix in one.senders(found.primaries)] == ["203.0.113.5/32"]
    assert one.key_names(found.primaries) == ("customer-a",)
    assert found.ingress is not None
    assert [each.name for each in one.told(found.ingress.backends)] == ["ns-a", "ns-b"]
    egress = found.egress
    assert egress is not None, "the transfer process runs for it"
    assert (egress.zones, egress.backends) == (found.zones, found.ingress.backends)


def test_senders_keys_and_backends_may_be_named(tmp_path: Path) -> None:
    found = settings(tmp_path, zone('[zones.notify]\nfrom = ["192.0.2.0/24"]\nkeys = []\npools = ["far"]\n'))
    (one,) = found.zones
    assert [str(prefix) for prefix in one.senders(found.primaries)] == ["192.0.2.0/24"]
    assert one.key_names(found.primaries) == ()
    assert found.ingress is not None
    assert [each.name for each in one.told(found.ingress.backends)] == ["ns-b"]


@pytest.mark.parametrize(
    ("text", "key", "remedy"),
    [
        (zone(primaries='primaries = ["q"]'), "zones[0].primaries[0]", "known names: p"),
        (zone('[zones.notify]\nkeys = ["k"]\n'), "zones[0].notify.keys[0]", "known names: customer-a"),
        (zone('[zones.notify]\nbackends = ["ns-c"]\n'), "zones[0].notify.backends[0]", "known names: ns-a, ns-b"),
        (zone('[zones.notify]\npools = ["near"]\n'), "zones[0].notify.pools[0]", "known names: default, far"),
        (zone() + zone().replace("example.com", "EXAMPLE.com."), "zones[1].name", "a zone is named once"),
        (zone().replace("example.com", "example.org"), "zones[0].name", "add it to filters.zones"),
        (zone().replace("example.com", "a..b"), "zones[0].name", "labels of 1 to 63"),
        (zone(primaries=""), "zones[0].name", "name its primaries, or notify.from or notify.keys"),
        (zone("[zones.notify]\nfrom = []\nkeys = []\n"), "zones[0].name", "name its primaries"),
    ],
)
def test_what_does_not_fit_is_said_with_its_remedy(text: str, key: str, remedy: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, text)
    problems = [(problem.key, problem.right) for problem in raised.value.problems]
    assert [found for found, _ in problems] == [key], problems
    assert remedy in problems[0][1]


def test_zones_need_a_way_in(tmp_path: Path) -> None:
    file = tmp_path / "zonegate.toml"
    file.write_text(
        'version = 1\n[[forwarders]]\nlisten = "127.0.0.1:5301"\nprimary = "p"\n'
        + BASE[BASE.index("[[tunnels]]") :]
        + zone()
    )
    file.chmod(0o600)
    with pytest.raises(ConfigError, match=r"configure \[ingress\]"):
        load(file)


def test_from_nobody_without_a_signature_is_a_choice(tmp_path: Path) -> None:
    found = settings(tmp_path, zone("[zones.notify]\nfrom = []\n"))
    assert found.zones[0].senders(found.primaries) == ()


def test_the_first_zone_needs_a_restart_and_others_do_not(tmp_path: Path) -> None:
    none, one = settings(tmp_path, ""), settings(tmp_path, zone())
    first = compare(none, one)
    assert first.effective.zones == ()
    assert "zones" in first.restart
    more = compare(one, settings(tmp_path, zone("[zones.notify]\ngive_up_after = 60\n")))
    assert (more.restart, more.changed) == ((), ("zones[0].notify.give_up_after",))


def test_a_trial_of_the_policy_knows_whose_notify_is_taken(tmp_path: Path) -> None:
    (tmp_path / "zonegate.toml").write_text(BASE + zone())
    for client, words in (("203.0.113.5", "tell the backends"), ("198.51.100.9", "reply REFUSED")):
        arguments = ["rules", "test", "--config", str(tmp_path / "zonegate.toml"), "--opcode", "NOTIFY"]
        done = CliRunner().invoke(cli, [*arguments, "--type", "SOA", "--client", client, "--name", "example.com"])
        assert done.exit_code == 0, done.output
        assert words in " ".join(done.output.split())
