"""What must hold in the tables that decide between tunnels."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import ConfigError, load

TEXT = """\
version = 1
[[tunnels]]
name = "fra"
url = "socks5://198.51.100.10:1080"
exit_addresses = ["198.51.100.10/32"]
[tunnels.whoami]
address = "192.0.2.9:53"
name = "{name}"
[[primaries]]
name = "p"
address = "203.0.113.5:53"
tunnels = ["fra"]
choice = "scored"
[primaries.failover]
rest = {rest}
longest_rest = 60
interval = {interval}
[[forwarders]]
listen = "127.0.0.1:5301"
primary = "p"
"""


def written(folder: Path, name: str = "whoami.example", rest: int = 5, interval: int = 30) -> Path:
    file = folder / "zonegate.toml"
    file.write_text(TEXT.format(name=name, rest=rest, interval=interval))
    file.chmod(0o600)
    return file


def test_they_are_read(tmp_path: Path) -> None:
    settings = load(written(tmp_path)).settings
    assert settings.tunnels[0].whoami is not None
    assert settings.tunnels[0].whoami.type == "TXT"
    assert (settings.primaries[0].choice, settings.primaries[0].failover.longest_rest) == ("scored", 60)


@pytest.mark.parametrize(
    ("wrong", "key", "says"),
    [
        ({"name": "a..b"}, "tunnels[0].whoami.name", ""),
        ({"rest": 61}, "primaries[0].failover.rest", "at most longest_rest, which is 60"),
        ({"interval": 301}, "primaries[0].failover.interval", "at most idle_interval, which is 300"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(tmp_path: Path, wrong: dict[str, object], key: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, **wrong))  # type: ignore[arg-type]  # by name
    (problem,) = caught.value.problems
    assert problem.key == key
    assert says in problem.right
    assert problem.line is not None


def test_two_keys_with_one_domain_name_are_told(tmp_path: Path) -> None:
    """Whoever signs says the name alone; which secret it means could not be told."""
    file = written(tmp_path)
    names = ("xfr.example", "XFR.example.", "other.example")
    file.write_text(file.read_text() + "".join(f'[[tsig_keys]]\nname = "{name}"\nsecret = "a2V5"\n' for name in names))
    with pytest.raises(ConfigError) as caught:
        load(file)
    (problem,) = caught.value.problems
    assert problem.key == "tsig_keys[1].name"
    assert "tsig_keys[0].name is the same domain name" in problem.right
