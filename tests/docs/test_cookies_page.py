"""The configurations of docs/cookies.md are ones, and say what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

from gateway.config import load
from tests.docs.pages import page
from tests.gateway.configs import INGRESS

OLD, NEW = "e5e973e5a6b2a43f48e7dc849e37bfcf", "445536bcd2513298075a5d379663c962"


def test_each_step_of_the_page_is_a_configuration(tmp_path: Path) -> None:
    for name, text in {"cookie.secret": OLD, "old.secret": OLD, "new.secret": NEW}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    steps = []
    for block in re.findall(r"(?ms)^ *```toml\n(.*?)^ *```$", page("docs/cookies.md")):
        file = tmp_path / "zonegate.toml"
        file.write_text(INGRESS + dedent(block))
        cookies = load(file).settings.filters.cookies
        assert cookies.secret is not None
        steps.append((cookies.secret.reveal(), [secret.reveal() for secret in cookies.accepted_secrets]))
    assert steps == [(OLD, []), (OLD, [NEW]), (NEW, [OLD]), (NEW, [])]
