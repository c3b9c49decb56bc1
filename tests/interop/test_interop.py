"""The page says what happens: every section is run, and what it finds is compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from proxy.egress.tunnels import make_tunnel
from proxy.settings import EgressSettings
from tests.docs.pages import page
from tests.egress.ring import exit_settings, fresh_endpoint, fresh_key, running, ss_url, tunnel
from tests.egress.scripted_primary import ScriptedPrimary
from tests.interop.exchange import LocalPort, OurTunnel, Trials, answer
from tests.interop.page import HEAD, PAGE, Section, read, write
from tests.interop.sections import SECTIONS
from tests.interop.transfer_stage import Row, transfer_stage
from tests.interop.transfer_zones import text
from tests.interop.transfers import SERVERS, Arrivals
from tests.support.peers import require_server


@pytest.mark.parametrize("title", SECTIONS)
async def test_the_page_shows_what_works(title: str, tmp_path: Path) -> None:
    section = await SECTIONS[title](tmp_path)
    assert section.title == title
    details = "\n".join(section.details)
    assert read(page(PAGE)).get(title) == str(section), f"write it anew: python -m tests.interop '{title}'\n{details}"


async def test_a_cell_that_does_not_pass_says_so() -> None:
    """An exit with another key, and one that is not there: else the page would praise anything."""
    async with ScriptedPrimary(lambda query: [answer(query)]) as primary:
        method = "2022-blake3-aes-128-gcm"
        settings = exit_settings(method, fresh_key(method), [primary.endpoint])
        async with running(EgressSettings(exit=settings)):
            wrong = make_tunnel(tunnel("wrong", ss_url(method, fresh_key(method), settings.listen)))
            nobody = make_tunnel(tunnel("nobody", ss_url(method, fresh_key(method), fresh_endpoint())))
            trials = Trials(patience=0.2)
            for way in (OurTunnel(wrong, primary.endpoint), LocalPort(fresh_endpoint())):
                assert await trials.cell("a cell", way) == "no TCP, no UDP"
            assert await trials.cell("nobody", OurTunnel(nobody, primary.endpoint), ("TCP",)) == "no TCP"
            assert await trials.cell("nothing", None) == "-"
        assert [detail.partition(":")[0] for detail in trials.details] == [
            *["a cell, TCP", "a cell, UDP"] * 2,
            "nobody, TCP",
        ]


async def test_another_answer_does_not_pass() -> None:
    async with ScriptedPrimary(lambda query: [query[::-1]]) as other:
        trials = Trials()
        assert await trials.cell("a cell", LocalPort(other.endpoint)) == "no TCP, no UDP"
        assert all("another answer" in detail for detail in trials.details)


def transfers_of(way: str) -> dict[tuple[str, str], str]:
    """The cells of a way in the table of transfers, by primary and zone."""
    rows = [line.strip("| ").split(" | ", 4) for line in read(page(PAGE))["Transfers"].splitlines() if line[:1] == "|"]
    return {(primary, zone): cells for primary, found, _, zone, cells in rows if found == way}


def test_transfers_are_the_same_with_us_and_without() -> None:
    without = transfers_of("none")
    assert len(without) == 2 * len(SERVERS)
    for way in ("TCP", "TLS"):
        assert transfers_of(way).items() <= without.items()
    assert transfers_of("TCP").keys() == without.keys()


async def test_a_zone_that_does_not_come_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for software in (Nsd, Knot):
        require_server(software)
    row = Row(Nsd, "TCP", "signed")
    async with transfer_stage(tmp_path, [row], [Knot]) as on:
        arrivals = Arrivals(on)
        assert await arrivals.of([(row, Knot)], 1) == {(row, Knot): "AXFR"}
        assert arrivals.details == []
        assert await Arrivals(on, patience=0.1).of([(row, Knot)], 2) == {(row, Knot): "nothing"}
        on.events.seen.clear()
        assert await arrivals.of([(row, Knot)], 1) == {(row, Knot): "unseen"}
        monkeypatch.setattr("tests.interop.transfers.text", lambda kind, name, _: text(kind, name, 2))
        assert await arrivals.of([(row, Knot)], 1) == {(row, Knot): "other records"}
        assert arrivals.details == [f"{row.zone_of(Knot)}: other records at serial 1 than its primary has"]


def test_the_page_has_these_sections_and_nothing_else() -> None:
    found = read(page(PAGE))
    assert list(found) == list(SECTIONS)
    assert page(PAGE) == write(found)


def test_what_is_written_is_read_back() -> None:
    one = Section("One", "\nText.\n", ("a", "b"), (("1", "-"), ("2", "no UDP")), ("why",))
    two = Section("Two", "More.", ("c",), (("3",),))
    assert str(one) == "## One\n\nText.\n\n| a | b |\n| --- | --- |\n| 1 | - |\n| 2 | no UDP |\n"
    text = write({section.title: str(section) for section in (one, two)})
    assert text.startswith(HEAD)
    assert read(text) == {"One": str(one), "Two": str(two)}
