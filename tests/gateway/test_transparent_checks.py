"""Mistakes in `[[transparent_doors]]` that only show between the tables, and what a start without the right says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from gateway.config import ConfigError, load, load_tree
from gateway.config.changes import compare
from gateway.lab.program import SOURCES
from tests.gateway.configs import INGRESS
from tests.support.namespaces import require_root

DOOR = {"listen": "[::]:5399", "allow": ["192.0.2.0/24"]}
TUNNELS = [{"name": "fra", "url": "direct://"}]


def primary(name: str = "a", address: str = "203.0.113.5:53", **more: object) -> dict[str, object]:
    return {"name": name, "address": address, "tunnels": ["fra"], **more}


def faults(*primaries: dict[str, object], **more: object) -> list[tuple[str, str, str]]:
    tree: dict[str, object] = {"version": 1, "tunnels": TUNNELS, "primaries": list(primaries)}
    try:
        load_tree(str(Path("page.toml")), {**tree, "transparent_doors": [DOOR], **more})
    except ConfigError as error:
        return [(problem.key, problem.found, problem.right) for problem in error.problems]
    return []


def door(**more: object) -> list[dict[str, object]]:
    return [{**DOOR, **more}]


def test_right_doors() -> None:
    assert faults(primary()) == []
    assert faults(primary(), primary("b"), transparent_doors=door(primaries=["b"])) == []
    assert faults(primary(), primary("b", "203.0.113.5:54")) == []
    listener = {"listeners": [{"address": "0.0.0.0:53"}], "backends": [{"name": "n", "address": "127.0.0.1:5353"}]}
    assert faults(primary(), ingress=listener) == []


TLS = {"server_name": "ns.example"}


@pytest.mark.parametrize(
    ("primaries", "more", "key", "found", "right"),
    [
        ([], {}, "transparent_doors[0]", "no [[primaries]]", "configure those"),
        ([primary()], {"transparent_doors": door(primaries=["b"])}, "transparent_doors[0].primaries[0]", '"b"', "a"),
        (
            [primary()],
            {"transparent_doors": door(primaries=["a", "a"])},
            "transparent_doors[0].primaries[1]",
            '"a"',
            "named once",
        ),
        ([primary(), primary("b")], {}, "transparent_doors[0].primaries", "can't be told apart", "a or b: name one"),
        (
            [primary(), primary("b", "203.0.113.5:853", tls=TLS)],
            {},
            "transparent_doors[0].primaries",
            "can't be told apart",
            '"203.0.113.5:53" could mean a or b',
        ),
        ([primary()], {"transparent_doors": door(allow=[])}, "transparent_doors[0].allow", "", "1"),
        (
            [primary()],
            {"transparent_doors": [{"listen": "[::]:5399"}]},
            "transparent_doors[0].allow",
            "nothing",
            "required",
        ),
        ([primary()], {"transparent_doors": door(zones=["a..b"])}, "transparent_doors[0].zones[0]", '"a..b"', ""),
        (
            [primary()],
            {"transparent_doors": door(listen="[::]:53")},
            "transparent_doors[0].listen",
            "[::]:53",
            "leave from",
        ),
        (
            [primary()],
            {"forwarders": [{"listen": "0.0.0.0:53", "primary": "a"}]},
            "forwarders[0].listen",
            '"0.0.0.0:53"',
            "answers of a transparent door leave from 203.0.113.5:53",
        ),
        (
            [primary()],
            {"forwarders": [{"listen": "127.0.0.1:5399", "primary": "a"}]},
            "transparent_doors[0].listen",
            '"[::]:5399"',
            "forwarders[0].listen already takes",
        ),
    ],
)
def test_a_mistake_is_named(
    primaries: list[dict[str, object]], more: dict[str, object], key: str, found: str, right: str
) -> None:
    seen = faults(*primaries, **more)
    assert [fault for fault in seen if fault[0] == key and found in fault[1] and right in fault[2]], seen


def test_doors_change_without_a_restart_and_need_the_transfer_process(tmp_path: Path) -> None:
    more = dedent("""
        [[tunnels]]
        name = "fra"
        url = "direct://"
        [[primaries]]
        name = "a"
        address = "203.0.113.5:53"
        tunnels = ["fra"]
        [[transparent_doors]]
        listen = "[::]:5399"
        allow = ["192.0.2.0/24"]
    """)
    texts = (INGRESS, INGRESS + more, INGRESS + more.replace("5399", "5400"))
    files = [tmp_path / f"{number}.toml" for number in range(3)]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    without, one, other = (load(file).settings for file in files)
    assert compare(without, one).restart == ("primaries", "transparent_doors", "tunnels")
    changes = compare(one, other)
    assert (changes.changed, changes.restart) == (("transparent_doors[0].listen",), ())


OPENING = """
import sys
from proxy.egress.sockets import open_egress_socket
from proxy.values import Endpoint
for role, place, transport in (
    ("transparent", "[::]:0", "udp"), ("transparent", "127.0.0.1:0", "tcp"), ("source", "203.0.113.5:53", "udp"),
    ("source", "[2001:db8:5::5]:53", "udp"),
):
    open_egress_socket(role, Endpoint.parse(place), transport)
"""


def with_rights(rights: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with none of the rights of root but these."""
    require_root()
    bounding = f"--bounding-set=-all,+net_bind_service{rights}"
    argv = ["setpriv", bounding, "--", sys.executable, *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, cwd=SOURCES)


@pytest.mark.parametrize("right", ["net_raw", "net_admin"])
def test_either_right_is_enough(right: str) -> None:
    done = with_rights(f",+{right}", "-c", OPENING)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_start_without_the_right_says_which_and_where(tmp_path: Path) -> None:
    file = tmp_path / "zonegate.toml"
    file.write_text(
        'version = 1\n[[tunnels]]\nname = "fra"\nurl = "direct://"\n[[primaries]]\nname = "a"\n'
        'address = "203.0.113.5:53"\ntunnels = ["fra"]\n[[transparent_doors]]\nlisten = "[::]:5399"\n'
        'allow = ["192.0.2.0/24"]\n'
    )
    file.chmod(0o600)
    done = with_rights(",+dac_override", "-m", "gateway.cli", "run", "--config", str(file))
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert "transparent door [::]:5399/udp" in said
    assert "takes CAP_NET_RAW or CAP_NET_ADMIN" in said
    assert "AmbientCapabilities=" in said
