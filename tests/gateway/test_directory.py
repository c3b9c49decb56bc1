"""The state directory: where it is, and that it is ours alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.directory import make_state_directory, state_directory
from gateway.errors import StartError

CONFIG = Path("/etc/zonegate/zonegate.toml")


def test_the_setting_counts_first_then_systemd_then_beside_the_file() -> None:
    given = {"STATE_DIRECTORY": "/var/lib/zonegate:/var/lib/other"}
    assert state_directory("/srv/state", CONFIG, given) == Path("/srv/state")
    assert state_directory("kept", CONFIG, given) == Path("/etc/zonegate/kept")
    assert state_directory(None, CONFIG, given) == Path("/var/lib/zonegate")
    assert state_directory(None, CONFIG, {}) == Path("/etc/zonegate/state")


def test_it_is_made_for_us_alone(tmp_path: Path) -> None:
    made = make_state_directory(tmp_path / "a" / "state")
    assert made.stat().st_mode & 0o777 == 0o700
    assert make_state_directory(made) == made


def test_one_that_others_can_write_to_is_refused_with_the_remedy(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(StartError, match="chmod 700"):
        make_state_directory(shared)


def test_what_can_not_be_made_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="set `state`"):
        make_state_directory(tmp_path / "file" / "state")
