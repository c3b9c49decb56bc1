"""`zonegate transfer` from BIND through ss-server, and what it says where something is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.zone
import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from gateway.lab.servers.bind import Bind
from gateway.lab.servers.roles import Key, Primary
from gateway.transfer.run import replaced
from proxy.values import Endpoint
from tests.egress.ring import fresh_endpoint, fresh_key, ss_url
from tests.support import tunnels
from tests.support.zones import content

ZONE = "example.com"
METHOD = "aes-256-gcm"
TEXT = """\
$TTL 300
@ SOA ns1 hostmaster 7 3600 600 86400 60
@ NS ns1
ns1 A 192.0.2.53
www A 192.0.2.80
*.wild TXT "a \\"quoted\\" text; with a semicolon"
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A configuration, and the primary that it names."""

    file: Path
    primary: Endpoint
    key: Key

    def run(self, *words: str) -> Result:
        """The command with this configuration."""
        return CliRunner().invoke(cli, ["transfer", "-c", str(self.file), *words], catch_exceptions=False)


@contextmanager
def place(directory: Path, *, secret: str | None = None) -> Iterator[Place]:
    """A primary that wants signatures, an exit, and the configuration of both with this secret, else the right one."""
    far, password, key = fresh_endpoint(), fresh_key(METHOD), Key.generate("transfer.example")
    with (
        Bind(Primary({ZONE: TEXT}, key=key), directory / "bind") as primary,
        tunnels.listening(tunnels.libev_server(directory, far, METHOD, password), far),
    ):
        file = directory / "zonegate.toml"
        file.touch(mode=0o600)
        file.write_text(f"""\
version = 1

[[tunnels]]
name = "dead"
url = "{ss_url(METHOD, password, fresh_endpoint())}"

[[tunnels]]
name = "out"
url = "{ss_url(METHOD, password, far)}"

[[tsig_keys]]
name = "{key.name}"
secret = "{secret or key.secret}"

[[primaries]]
name = "customer"
address = "{primary.endpoint}"
tunnels = ["dead", "out"]
tsig_key = "{key.name}"

[[forwarders]]
listen = "{fresh_endpoint()}"
primary = "customer"
""")
        yield Place(file, primary.endpoint, key)


def test_a_zone_comes_through_the_tunnel_that_works(tmp_path: Path) -> None:
    with place(tmp_path) as ring:
        wanted = content(ring.primary, ZONE, ring.key)
        printed = ring.run(ZONE)
        assert printed.exit_code == 0, printed.stderr
        assert dns.zone.from_text(printed.stdout, origin=ZONE, relativize=False) == wanted
        assert "through dead: " in printed.stderr
        assert "serial 7 (axfr) from customer through out: 5 records" in " ".join(printed.stderr.split())

        output = tmp_path / "zone"
        assert ring.run(ZONE, "--via", "out", "--output", str(output)).exit_code == 0
        assert output.read_text() == printed.stdout
        told = json.loads(ring.run(ZONE, "--json", "--via", "out", "--from", "customer").stdout)
        assert (told["serial"], told["tunnel"], told["kind"], told["types"]["A"]) == (7, "out", "axfr", 2)

        wire = tmp_path / "wire"
        assert ring.run(ZONE, "--format", "wire", "-o", str(wire)).exit_code == 0
        assert wire.stat().st_size == told["bytes"]

        current = ring.run(ZONE, "--serial", "7")
        assert (current.exit_code, current.stdout) == (0, "")
        assert "up to date at serial 7" in current.stderr


def test_what_is_refused_or_forged_leaves_no_file(tmp_path: Path) -> None:
    with place(tmp_path, secret=Key.generate("x").secret) as ring:
        output = tmp_path / "zone"
        refused = ring.run(ZONE, "--via", "out", "-o", str(output))
        assert refused.exit_code == 1
        assert "customer answers NOTAUTH through out" in refused.stderr
        assert not output.exists()
        assert not list(tmp_path.glob(".zone*"))


def test_the_limits_of_the_primary_hold(tmp_path: Path) -> None:
    with place(tmp_path) as ring:
        ring.file.write_text(
            ring.file.read_text().replace('name = "customer"', 'name = "customer"\nlimits = { records = 3 }')
        )
        stopped = ring.run(ZONE, "--via", "out")
        assert (stopped.exit_code, stopped.stdout) == (1, "")
        assert "more than 3 records (too-many-records)" in " ".join(stopped.stderr.split())
        assert "primaries.limits.records" in stopped.stderr


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-c", "from gateway.cli import main; main()", "transfer"]
    with place(tmp_path) as ring:
        reader, writer = os.pipe()
        os.close(reader)
        run = subprocess.run(
            [*command, "-c", str(ring.file), ZONE, "--via", "out"],
            check=False,
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=60,
        )
        os.close(writer)
    assert run.returncode == 1
    assert b"roken pipe" not in run.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([ZONE, "--from", "other"], "there is no primary 'other'; customer"),
        ([ZONE, "--via", "other"], "there is no tunnel 'other'; known are dead, out"),
        ([ZONE, "--key", "other"], "there is no key 'other'; known are "),
        (["a..b"], "is no zone"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, words: list[str], told: str) -> None:
    with place(tmp_path) as ring:
        result = ring.run(*words)
        assert result.exit_code == 1
        assert told in result.stderr


def test_an_output_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with place(tmp_path) as ring:
        result = ring.run(ZONE, "--via", "out", "-o", str(tmp_path / "none" / "zone"))
        assert result.exit_code == 1
        assert "No such file or directory" in result.stderr


def test_a_link_in_the_place_of_the_part_is_not_followed(tmp_path: Path) -> None:
    victim, output = tmp_path / "victim", tmp_path / "zone"
    victim.write_text("kept")
    (tmp_path / ".zone.part").symlink_to(victim)
    with replaced(output) as file:
        file.write(b"new")
    assert (victim.read_text(), output.read_text()) == ("kept", "new")
    assert not output.is_symlink()
