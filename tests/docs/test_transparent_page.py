"""The files of transparent doors: the rules are right for nft, and numbers that must be equal are."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.docs.pages import ROOT, block, page
from tests.support.namespaces import require_root
from tests.support.peers import require

RULES = "deploy/nftables/transparent.nft"
SCRIPT = "deploy/nftables/transparent.sh"


def define(name: str) -> str:
    """The value of a line `define` of the rules."""
    (found,) = re.findall(rf"(?m)^define {name} = (.*)$", page(RULES))
    return str(found)


def checked(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """nft in a network namespace of its own; it asks the kernel what it knows."""
    require_root()
    argv = ["unshare", "--net", require("nft"), "--check", *arguments]
    return subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=20)


def test_nft_takes_the_rules() -> None:
    done = checked("--file", str(ROOT / RULES))
    assert (done.returncode, done.stderr) == (0, "")


def test_nft_takes_what_operators_write() -> None:
    """Prefixes, ranges, other ports; and nothing, for a family that they don't have."""
    text = page(RULES).replace(define("nodes4"), "{ 10.0.0.0/8, 192.0.2.7, 192.0.2.64-192.0.2.70 }")
    text = text.replace(define("primaries6"), "{ 2001:db8:5::5, 2001:db8:6::/120 }").replace("5399", "1053")
    text = text.replace(define("nodes6"), "{ }")
    done = checked("--file", "-", text=text)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("wrong", ["{ 2001:db8::1 }", "{ 203.0.113.5/33 }", "{ ns.example"])
def test_nft_would_tell(wrong: str) -> None:
    assert checked("--file", "-", text=page(RULES).replace(define("primaries4"), wrong)).returncode != 0


def test_rules_routes_and_page_have_the_same_numbers() -> None:
    (mark,) = re.findall(r"(?m)^MARK=(\S+)", page(SCRIPT))
    assert mark == define("fwmark")
    assert f':{define("door")}"' in block("docs/transparent.md", "toml")


def test_every_counter_is_explained() -> None:
    named = re.findall(r"(?m)^    counter (\w+) \{", page(RULES))
    used = set(re.findall(r"counter name (\w+)", page(RULES)))
    assert set(named) == used
    assert [name for name in named if name != "errors" and f"`{name}`" not in page("docs/transparent.md")] == []


def test_the_script_says_how_it_is_used() -> None:
    done = subprocess.run(["sh", str(ROOT / SCRIPT)], capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode == 2
    assert "up | down | show" in done.stderr
