"""Bad transfers do not arrive: real nodes behind the gateway keep version 1 of a zone until version 2 comes whole."""

from __future__ import annotations

from pathlib import Path

import dns.message
import dns.rrset
import pytest
from dns.rdatatype import RdataType

from gateway.lab.servers.bind import Bind
from gateway.lab.servers.choice import SOFTWARE
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.powerdns import PowerDns
from gateway.lab.servers.server import NameServer
from proxy.protocol.dns_frames import frame
from proxy.settings import Limits
from tests.ring.offered import ZONE, Offer, Stage, axfr, hosts, ixfr, messages, record, records, soa_record, stage
from tests.support.peers import require_server

STEPS: dict[type[NameServer], int] = {Nsd: 250, Knot: 60, Bind: 15, PowerDns: 3}
"""In how many places a transfer is cut; more than it has bytes: everywhere. A node that comes back late gets fewer."""

QUESTION = len(ZONE) + 2 + 4  # bytes


def cuts(offer: Offer, kind: str, steps: int) -> list[int]:
    """Where to cut: evenly; with many steps around each end of a message as well."""
    ends, end = [0], 0
    for message in offer(dns.message.make_query(ZONE, kind).to_wire()):
        end += len(frame(message))
        ends.append(end)
    even = {number * end // min(steps, end) for number in range(min(steps, end))}
    near = {at + more for at in ends for more in (-1, 0, 1, 2, 3)} if steps > 10 else {ends[1], end - 1}
    return sorted(cut for cut in even | near if 0 <= cut < end)


@pytest.mark.parametrize("software", SOFTWARE, ids=lambda software: software.software)
async def test_a_transfer_that_is_cut_behind_any_byte_is_applied_by_no_node(
    software: type[NameServer], tmp_path: Path
) -> None:
    require_server(software)
    async with stage(software, tmp_path / "node") as there:
        for offer, kind in ((axfr, "AXFR"), (ixfr, "IXFR")):
            there.offer = offer
            for cut in cuts(offer, kind, STEPS[software]):
                there.kept = cut
                await there.tried()
                await there.expect(1)
        assert {event["serial"] for event in there.events.named("transfer.accepted")} == {1}
        assert {event["reason"] for event in there.events.named("transfer.rejected")} == {"cut"}
        await there.let_through()


# Lies. To AXFR and IXFR alike, unless it says otherwise.


def mixed_versions(query: bytes) -> list[bytes]:
    return messages(query, [soa_record(2), *records(2), soa_record(3)])


def out_of_zone(query: bytes) -> list[bytes]:
    foreign = dns.rrset.from_text("www.example.org.", 60, "IN", "A", "192.0.2.1")
    return messages(query, [soa_record(2), *records(2), foreign, soa_record(2)])


def looping_name(query: bytes) -> list[bytes]:
    """The first owner of the second message is a pointer to itself (RFC 1035 section 4.1.4)."""
    first, second, *others = axfr(query)
    at = 12 + QUESTION
    return [first, second[:at] + (0xC000 | at).to_bytes(2) + second[at + 2 :], *others]


def cut_record(query: bytes) -> list[bytes]:
    first, second, *others = axfr(query)
    return [first, second[:-3], *others]


def huge_rrset(query: bytes) -> list[bytes]:
    """A hundred thousand addresses of one name."""
    first, last = messages(query, [soa_record(2), *records(2)], 100)[0], messages(query, [soa_record(2)])[0]
    head = first[:6] + (1000).to_bytes(2) + bytes(4) + first[12 : 12 + QUESTION]  # 1000 records in its answer section
    many = [b"\x04many\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + number.to_bytes(4) for number in range(100_000)]
    return [first, *(head + b"".join(many[at : at + 1000]) for at in range(0, len(many), 1000)), last]


def records_behind_the_end(query: bytes) -> list[bytes]:
    return messages(query, [soa_record(2), *records(2), soa_record(2), record("late", "A", "192.0.2.9")], 100)


def broken_chain(query: bytes) -> list[bytes]:
    """An IXFR from a serial that the node does not have; to AXFR two versions."""
    if dns.message.from_wire(query).question[0].rdtype != RdataType.IXFR:
        return mixed_versions(query)
    return messages(query, [soa_record(2), soa_record(0), *hosts(1), soa_record(2), *hosts(2), soa_record(2)])


def stalling(query: bytes) -> list[bytes]:
    return axfr(query)[:-1]


LIES: dict[Offer, set[str]] = {
    mixed_versions: {"soa-changed"},
    out_of_zone: {"out-of-zone"},
    looping_name: {"record-name"},
    cut_record: {"record-cut", "rdata"},
    huge_rrset: {"rrset-too-large"},
    records_behind_the_end: {"after-end"},
    broken_chain: {"ixfr-chain", "soa-changed"},
    stalling: {"idle"},
}


@pytest.mark.parametrize("software", SOFTWARE, ids=lambda software: software.software)
async def test_a_lie_is_named_and_applied_by_no_node(software: type[NameServer], tmp_path: Path) -> None:
    require_server(software)
    async with stage(software, tmp_path / "node", limits=Limits(idle=0.3)) as there:
        for lie, reasons in LIES.items():
            await tell(there, lie, reasons)
        await there.let_through()
        assert {event["serial"] for event in there.events.named("transfer.accepted")} == {1, 2}


async def tell(there: Stage, lie: Offer, reasons: set[str]) -> None:
    """Offer it until the node has asked, then look at the node and at what was counted."""

    def counted() -> dict[str, int]:
        rows = there.service.status().forwarders[0].verdicts
        return {reason: number for _, reason, number in rows if reason != "accepted"}

    there.offer, before = lie, counted()
    await there.tried()
    new = {reason for reason, number in counted().items() if number > before.get(reason, 0)}
    assert new, lie.__name__
    assert new <= reasons, lie.__name__
    await there.expect(1)
