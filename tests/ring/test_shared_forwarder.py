"""Two nodes of different software behind one forwarder follow quick changes, each in its own steps, and never half.

nodes ── one forwarder ── tunnel ── our own exit ── primary
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest
from dns.rdatatype import RdataType
from dns.zone import Zone

from gateway.lab.servers.bind import Bind
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.powerdns import PowerDns
from gateway.lab.servers.roles import Key, Primary, Secondary
from gateway.lab.servers.server import NameServer
from gateway.lab.zones import LabZone
from tests.ring.gateways import loopback, running
from tests.ring.test_transfers import KEY_2022, own_exit
from tests.support.peers import require_server
from tests.support.zones import await_serial, parsed, settled

METHOD = "2022-blake3-aes-256-gcm"
NAME = "shared.example"
CHANGES = 5

Software = type[NameServer]


def text(serial: int) -> str:
    """Each version has hosts that the one before has not, and the other way round."""
    moving = "".join(f"moving-{number} A 192.0.2.{serial}\n" for number in range(serial, serial + 20))
    return LabZone(NAME, hosts=300, more=moving).text(serial, f"change {serial}")


def serial_of(zone: Zone) -> int:
    return int(zone.find_rdataset("@", RdataType.SOA)[0].serial)


@pytest.mark.parametrize(
    ("source", "nodes"),
    [(Bind, (Knot, PowerDns)), (Knot, (PowerDns, Nsd)), (Bind, (Nsd, Knot)), (PowerDns, (Bind, Knot))],
    ids=lambda value: "-".join(kind.software for kind in (value if isinstance(value, tuple) else (value,))),
)
def test_two_nodes_share_a_forwarder(source: Software, nodes: tuple[Software, ...], tmp_path: Path) -> None:
    for kind in (source, *nodes):
        require_server(kind)
    key, forwarder = Key.generate("shared-key"), loopback()
    versions = {serial: parsed(text(serial), NAME) for serial in range(1, CHANGES + 2)}
    with ExitStack() as stack:
        primary = stack.enter_context(source(Primary({NAME: text(1)}, key=key), tmp_path / "primary"))
        far = stack.enter_context(own_exit(tmp_path, METHOD, KEY_2022, primary.endpoint))
        gateway = stack.enter_context(
            running(
                tmp_path,
                f"""
[[tsig_keys]]
name = "{key.name}"
secret = "{key.secret}"
[[tunnels]]
name = "way"
url = "ss://{METHOD}:{quote(KEY_2022, safe="")}@{far}"
[[primaries]]
name = "p"
address = "{primary.endpoint}"
tunnels = ["way"]
tsig_key = "{key.name}"
[[forwarders]]
listen = "{forwarder}"
primary = "p"
zones = ["{NAME}"]
""",
            )
        )
        role = Secondary((NAME,), forwarder, key)
        secondaries = [stack.enter_context(kind(role, tmp_path / kind.software)) for kind in nodes]
        for node in secondaries:
            await_serial(node.endpoint, NAME, 1)
        for serial in range(2, CHANGES + 2):
            primary.publish(NAME, text(serial))
            await_serial(primary.endpoint, NAME, serial)
            for node in secondaries:  # whichever version they are at, they have it whole
                held = settled(node.endpoint, NAME)
                assert held == versions[serial_of(held)]
        for node in secondaries:
            await_serial(node.endpoint, NAME, CHANGES + 1)
            assert settled(node.endpoint, NAME) == versions[CHANGES + 1]
        verdicts = "zonegate_transfer_verdicts_total"
        assert gateway.total(verdicts, reason="accepted") == gateway.total(verdicts)
        assert gateway.total(verdicts, kind="axfr") >= len(nodes)
        assert gateway.total(verdicts, kind="axfr-style" if source is PowerDns else "ixfr") >= len(nodes)
