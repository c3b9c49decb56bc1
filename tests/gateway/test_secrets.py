"""Secrets come from the text, the environment or a file; each way that goes wrong says what to do, and shows none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.config.reader import WrongValueError
from gateway.config.secrets import SecretSource


def read(tmp_path: Path, value: object, environment: dict[str, str] | None = None) -> str:
    return SecretSource(tmp_path, environment or {})(value).reveal()


def test_the_three_ways(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from file\n")
    file.chmod(0o640)
    assert read(tmp_path, "literal") == "literal"
    assert read(tmp_path, {"env": "KEY"}, {"KEY": "from env"}) == "from env"
    assert read(tmp_path, {"file": "key"}) == "from file"
    assert read(Path("/"), {"file": str(file)}) == "from file"


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ("", "can't be empty"),
        (3, "write text in quotes, { env"),
        ({}, "write text in quotes, { env"),
        ({"env": 3}, "write text in quotes, { env"),
        ({"env": "A", "file": "b"}, "write text in quotes, { env"),
        ({"evn": "A"}, "write text in quotes, { env"),
        ({"env": "MISSING"}, 'variable "MISSING", which is not set'),
        ({"env": "EMPTY"}, 'variable "EMPTY", which is empty'),
        ({"env": "BYTES"}, "UTF-8"),
        ({"file": "missing"}, "No such file"),
        ({"file": "a\0b"}, "is not a path"),
        ({"file": "."}, "Is a directory"),
        ({"file": "fifo"}, "is not a regular file"),
        ({"file": "open"}, "chmod 600"),
        ({"file": "empty"}, "is empty"),
        ({"file": "binary"}, "not UTF-8"),
        ({"file": "large"}, "larger than 65536 bytes"),
    ],
)
def test_what_goes_wrong(tmp_path: Path, value: object, right: str) -> None:
    files = {"open": (b"planted", 0o644), "empty": (b"\n", 0o600), "binary": (b"planted\xff", 0o600)}
    for name, (content, mode) in {**files, "large": (b"planted" * 10_000, 0o600)}.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(mode)
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(WrongValueError) as caught:
        read(tmp_path, value, {"EMPTY": "", "BYTES": "planted\udcff"})
    assert right in str(caught.value)
    assert "planted" not in str(caught.value)
    assert caught.value.__context__ is None or "planted" not in str(caught.value.__context__)
