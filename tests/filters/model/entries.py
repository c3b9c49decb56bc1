"""Random lists as operators write them, with what the model keeps of them; and random blocks."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from hypothesis import strategies as st

from filters.values import IPNetwork
from tests.filters.model.decision import zone_labels
from tests.filters.model.lists import Blocked, Entries, NameEntry, PrefixEntry
from tests.filters.model.policies import NAMES, PREFIXES, Tree

ACTIONS = ["drop", "refuse", "nxdomain", "nodata", "truncate", "allow", "none"]
RPZ = {"nxdomain": ".", "nodata": "*.", "allow": "rpz-passthru.", "drop": "rpz-drop.", "truncate": "rpz-tcp-only."}
HEAD = "@ 60 IN SOA ns.example. admin.example. 1 2 3 4 5\n@ 60 IN NS ns.example.\n"
LISTED = [name for name in NAMES if name != "."]


@dataclass
class Source:
    """A list: its settings, its text, and what it holds."""

    tree: Tree
    text: str
    entries: Entries


@st.composite
def sources(draw: st.DrawFn, name: str) -> Source:
    """A list of any format."""
    names = draw(st.lists(st.sampled_from(LISTED), max_size=3, unique=True))
    prefixes = draw(st.lists(st.sampled_from(PREFIXES), max_size=2, unique=True))
    kind = draw(st.sampled_from(["plain", "plain", "hosts", "csv", "rpz", "rpz"]))
    if kind == "rpz":
        return draw(zones(name, names, prefixes))
    action = draw(st.sampled_from(ACTIONS))
    subdomains = draw(st.booleans())
    tree: Tree = {"name": name, "file": name, "format": kind, "action": action, "subdomains": subdomains}
    if kind == "hosts":
        prefixes = []
    if kind == "csv":
        tree["column"] = 2
    found, lines = [], []
    for number, written in enumerate(names):
        mark = draw(st.sampled_from(["", ".", "*."])) if kind == "plain" else ""
        itself, below = mark != "*." or subdomains, mark != "" or subdomains
        # What lies below a name, and the name with all below it, can't both be said of one name.
        found.append(NameEntry(zone_labels(written), itself, below, "listed"))
        lines.append({"plain": mark + written, "hosts": f"0.0.0.0 {written}", "csv": f"{number},{written},x"}[kind])
    for prefix in prefixes:
        lines.append(prefix if kind == "plain" else f"9,{prefix},x")
    if kind == "csv":
        lines.insert(0, "number,what,why")
    around = [PrefixEntry(ipaddress.ip_network(prefix), "listed") for prefix in prefixes]
    return Source(tree, "".join(f"{line}\n" for line in lines), Entries(found, around, action))


@st.composite
def zones(draw: st.DrawFn, name: str, names: list[str], prefixes: list[str]) -> Source:
    """A response policy zone."""
    text, found, around = HEAD, [], []
    for written in names:
        for wildcard in draw(st.sampled_from([(False,), (True,), (False, True)])):
            action = draw(st.sampled_from(sorted(RPZ)))
            found.append(NameEntry(zone_labels(written), not wildcard, wildcard, action))
            text += f"{'*.' if wildcard else ''}{written} 60 IN CNAME {RPZ[action]}\n"
    for prefix in prefixes:
        network, action = ipaddress.ip_network(prefix), draw(st.sampled_from(sorted(RPZ)))
        around.append(PrefixEntry(network, action))
        text += f"{client_ip(network)}.rpz-client-ip 60 IN CNAME {RPZ[action]}\n"
    action = draw(st.sampled_from(["given", "given", *ACTIONS]))
    tree: Tree = {"name": name, "file": name, "format": "rpz", "zone": "rpz.example"}
    if action != "given":
        tree["action"] = action
    return Source(tree, text, Entries(found, around, action))


def client_ip(network: IPNetwork) -> str:
    """Its labels, the bits first and the parts of the address backwards."""
    parts = (
        str(network.network_address).split(".") if network.version == 4 else network.network_address.exploded.split(":")
    )
    if network.version == 6:
        parts = [f"{int(part, 16):x}" for part in parts]
    return ".".join([str(network.prefixlen), *reversed(parts)])


@st.composite
def blocks(draw: st.DrawFn) -> Blocked:
    """Blocks in force, usually none."""
    if draw(st.integers(0, 3)):
        return Blocked([], [])
    action = st.sampled_from(["drop", "truncate", "pass"])
    names = draw(st.lists(st.sampled_from(NAMES[1:]), max_size=2, unique=True))
    prefixes = draw(st.lists(st.sampled_from(PREFIXES), max_size=2, unique=True))
    return Blocked(
        [NameEntry(zone_labels(name), True, True, draw(action)) for name in names],
        [PrefixEntry(ipaddress.ip_network(prefix), draw(action)) for prefix in prefixes],
    )
