"""`[primaries.tls]` in a file: whom it trusts must be said, and the files that it names must be good."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from gateway.config import ConfigError, load
from tests.support.certificates import Authority

PIN = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


def written(directory: Path, tls: str) -> Path:
    file = directory / "zonegate.toml"
    file.touch(mode=0o600)
    file.write_text(f"""\
version = 1
[[tunnels]]
name = "t"
url = "direct://"
[[primaries]]
name = "p"
address = "192.0.2.1:853"
tunnels = ["t"]
[primaries.tls]
{tls}
[[forwarders]]
listen = "127.0.0.1:5301"
primary = "p"
""")
    return file


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path, "ca")
    made.issue("gateway.example", file="ours")
    made.issue("other.example", file="other")
    return made


@pytest.mark.parametrize(
    "tls",
    [
        'server_name = "ns.example"',
        'server_name = "192.0.2.1"\nca = "ca.pem"',
        f'pins = ["{PIN}"]',
        f'server_name = "ns.example"\nca = "system"\npins = ["{PIN}"]',
        'server_name = "ns.example"\ncertificate = "ours.pem"\nkey = "ours.key"',
    ],
)
def test_what_is_right(tmp_path: Path, authority: Authority, tls: str) -> None:
    loaded = load(written(tmp_path, tls))
    assert loaded.settings.primaries[0].tls is not None
    assert loaded.warnings == ()
    assert authority.file.exists()


@pytest.mark.parametrize(
    ("tls", "key", "line", "says"),
    [
        ("", "primaries[0].tls", 9, "set server_name"),
        ("pins = []", "primaries[0].tls.pins", 10, "name one"),
        ('ca = "ca.pem"', "primaries[0].tls", 9, "a ca without a server_name"),
        ('server_name = "ns.example."', "primaries[0].tls.server_name", 10, "without a dot at its end"),
        ('server_name = "n s"', "primaries[0].tls.server_name", 10, "write a host name"),
        ('pins = ["abc"]', "primaries[0].tls.pins[0]", 10, "base64 of 32 bytes"),
        ('server_name = "a"\nca = "no.pem"', "primaries[0].tls.ca", 11, "can't be read (No such file"),
        ('server_name = "a"\ncertificate = "ours.pem"', "primaries[0].tls", 9, "set `key` as well"),
        (
            'server_name = "a"\ncertificate = "ours.pem"\nkey = "other.key"',
            "primaries[0].tls.key",
            12,
            "doesn't belong to",
        ),
        (
            'server_name = "a"\ncertificate = "ours.key"\nkey = "ours.key"',
            "primaries[0].tls.certificate",
            11,
            "no readable",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_key_and_line(
    tmp_path: Path, authority: Authority, tls: str, key: str, line: int, says: str
) -> None:
    with pytest.raises(ConfigError) as error:
        load(written(tmp_path, tls))
    (problem,) = error.value.problems
    assert (problem.key, problem.line) == (key, line)
    assert says in str(problem)
    assert authority.file.exists()


def test_time_is_a_warning(tmp_path: Path) -> None:
    day = datetime.timedelta(days=1)
    Authority(tmp_path, "ca").issue("gateway.example", file="ours", lasts=-day, began=-2 * day)
    tls = 'server_name = "a"\nca = "ca.pem"\ncertificate = "ours.pem"\nkey = "ours.key"'
    (warning,) = load(written(tmp_path, tls)).warnings
    assert "zonegate.toml:12: primaries[0].tls.certificate: found a certificate that expired on" in warning
    assert warning.endswith("renew it, and reload")
