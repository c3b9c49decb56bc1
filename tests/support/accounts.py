"""A program that believes in one more account of the system, and in a /run of its own, without changing the machine.

Dante checks user and password against the system's accounts, sshd only lets accounts in. So they run in a mount
namespace of their own, over whose /etc/passwd and /etc/shadow lie copies with the account. It ends with the program.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.peers import require

USER, PASSWORD = "tunnelled", "correct horse"
_ENTER = """\
mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/shadow" /etc/shadow &&
mount -t tmpfs -o mode=755 tmpfs /run && cp -r "$0/run/." /run && mkdir /run/sshd && exec "$@"
"""


def require_root() -> None:
    """Without root the test is skipped, or fails where ZONEGATE_REQUIRE_PEERS=1."""
    if os.geteuid() == 0:
        return
    reason = "it takes root to give a peer an account of its own"
    if os.environ.get("ZONEGATE_REQUIRE_PEERS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def with_account(directory: Path, argv: list[str]) -> list[str]:
    """The command, run where `USER` is an account with `PASSWORD`, and /run holds what is in `directory`/run.

    That is for what `USER` must be able to read; `directory`, where the copies lie, may be closed to it. Each program
    has one of its own.
    """
    require_root()
    (directory / "run").mkdir(exist_ok=True)
    secret = subprocess.run(
        [require("openssl"), "passwd", "-6", "-stdin"], input=PASSWORD, capture_output=True, text=True, check=True
    ).stdout.strip()
    nobody = f"{USER}:x:64999:65534::/nonexistent:/usr/sbin/nologin\n"
    (directory / "passwd").write_text(Path("/etc/passwd").read_text() + nobody)
    shadow = directory / "shadow"
    shadow.touch(mode=0o600)
    shadow.write_text(f"{USER}:{secret}:19000::::::\n")
    return [require("unshare"), "--mount", "sh", "-c", _ENTER, str(directory), *argv]
