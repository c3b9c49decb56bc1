"""The zones of the lab are what they claim: valid DNSSEC, small differences, a clock."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gateway.lab.zones import LabZone, new_signing_key
from tests.support.peers import require
from tests.support.zones import parsed

SIGNED = LabZone("signed.example", hosts=7, key=new_signing_key())


def records(text: str) -> set[str]:
    zone = parsed(text, SIGNED.name)
    return {f"{name} {ttl} {data}" for name, ttl, data in zone.iterate_rdatas()}


def test_a_validator_accepts_the_signed_zone(tmp_path: Path) -> None:
    verify = require("dnssec-verify")
    file = tmp_path / "signed.zone"
    file.write_text(SIGNED.text(7, "now"))
    # -z: one key signs everything.
    done = subprocess.run([verify, "-z", "-o", SIGNED.name, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_change_touches_the_clock_and_the_soa_only() -> None:
    before, after = records(SIGNED.text(1, "one")), records(SIGNED.text(2, "two"))
    changed = {line.split()[0] for line in before ^ after}
    assert changed == {f"{SIGNED.name}.", f"clock.{SIGNED.name}."}
    assert len(before ^ after) == 2 * 4  # SOA and TXT, each with its signature, before and after


def test_a_zone_has_its_hosts_and_the_moment() -> None:
    text = LabZone("many.example", hosts=300).text(5, "just now")
    assert "host-299.many.example. 60 IN A 10.0.1.43" in text
    assert 'clock.many.example. 60 IN TXT "just now"' in text
    assert " 5 1 1 86400 30" in text
