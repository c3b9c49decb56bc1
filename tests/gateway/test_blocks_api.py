"""Blocks and traffic over the admin API: the same rules on who may ask; what is no block is refused in words."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path

import httpx
import msgspec
import pytest
from rich.console import Console

from gateway import ipc
from gateway.admin import LONGEST_BODY, create_app
from gateway.blocks.values import Block, BlockList, Top
from gateway.cli.traffic import page, show_blocks
from gateway.config import load_tree
from gateway.settings import AdminSettings
from proxy.values import Secret
from tests.filters.sampling import Answer, Query, batch
from tests.gateway.configs import INGRESS
from tests.gateway.control import Still

TOKEN = AdminSettings(token=Secret("planted-token"))


async def ask(
    still: Still, method: str, path: str, body: object = None, *, client: str = "127.0.0.1", **headers: str
) -> httpx.Response:
    transport = httpx.ASGITransport(create_app(still), client=(client, 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8053") as asking:
        content = body if isinstance(body, bytes) else None if body is None else msgspec.json.encode(body)
        return await asking.request(method, path, content=content, headers=headers)


async def test_a_block_comes_is_listed_and_goes() -> None:
    still = Still()
    answer = await ask(still, "POST", "/blocks", {"subject": "203.0.113.9", "seconds": 60, "reason": "abuse"})
    block = msgspec.json.decode(answer.content, type=Block)
    assert (answer.status_code, block.subject, block.action, block.who) == (200, "203.0.113.9/32", "drop", "operator")
    listed = msgspec.json.decode((await ask(still, "GET", "/blocks")).content, type=BlockList)
    assert listed.blocks == (block,)
    assert (await ask(still, "DELETE", f"/blocks/{block.id}")).status_code == 200
    assert (await ask(still, "DELETE", f"/blocks/{block.id}")).status_code == 404
    assert (await ask(still, "GET", "/blocks")).json()["blocks"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 10_000,
        {},
        {"subject": 7},
        {"subject": "203.0.113.9", "action": "warn"},
        {"subject": "203.0.113.9", "seconds": "1h"},
        {"subject": "203.0.113.9", "seconds": -1},
        {"subject": "203.0.113.9", "surprise": True},
        {"subject": "203.0.113.0/99"},
        {"subject": "a..b"},
        {"subject": "x" * 60_000},
    ],
)
async def test_what_is_no_block_is_refused(body: object) -> None:
    still = Still()
    answer = await ask(still, "POST", "/blocks", body)
    assert answer.status_code == 422
    assert 0 < len(answer.json()["error"]) < 400
    assert still.blocking is not None
    assert still.blocking.list().blocks == ()


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/blocks"), ("POST", "/blocks"), ("DELETE", "/blocks/1"), ("GET", "/top")]
)
async def test_who_may_ask(method: str, path: str) -> None:
    assert (await ask(Still(TOKEN), method, path)).status_code == 401
    assert (await ask(Still(), method, path, client="192.0.2.1")).status_code == 403
    assert (await ask(Still(), method, path, Origin="http://evil.test")).status_code == 403
    bearer = await ask(Still(TOKEN), method, path, Authorization="Bearer planted-token")
    assert bearer.status_code in {200, 404, 422}
    exit_only = Still()
    exit_only.blocking = None
    assert (await ask(exit_only, method, path)).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/blocks/0", 404),
        ("DELETE", "/blocks/x", 404),
        ("DELETE", "/blocks/%d9%a1", 404),
        ("DELETE", "/blocks/" + "9" * 5000, 404),
        ("DELETE", "/blocks", 405),
        ("PUT", "/blocks", 405),
        ("GET", "/top?seconds=0", 422),
        ("GET", "/top?seconds=61", 422),
        ("GET", "/top?most=65", 422),
        ("GET", "/top?most=1e1", 422),
    ],
)
async def test_odd_requests(method: str, path: str, status: int) -> None:
    assert (await ask(Still(), method, path)).status_code == status


async def test_a_body_is_bounded() -> None:
    answer = await ask(Still(), "POST", "/blocks", b" " * (LONGEST_BODY + 1))
    assert answer.status_code == 413


def seen() -> Still:
    """A gateway that saw a second of traffic, hostile names among it."""
    still = Still()
    hostile = "\\027[31mred\\010[bold]x[/].test."
    queries = [Query(client="198.51.100.7", name=hostile, qtype=65)] * 30 + [Query(client="2001:db8::1")] * 10
    answers = [Answer(slot=1, rcode=3, microseconds=4000)] * 20
    assert still.blocking is not None
    still.blocking.keeper.samples(ipc.Samples(blocks=0, hits=[], batches=[batch(queries, answers, times=10)]))
    still.blocking.keeper.tick()
    return still


async def test_top_shows_rates_and_shares_in_order() -> None:
    answer = await ask(seen(), "GET", "/top?seconds=10&most=5")
    top = msgspec.json.decode(answer.content, type=Top)
    clients = top.sampled.rows["clients"]
    assert [(row.subject, row.queries, row.share) for row in clients][:2] == [
        ("198.51.100.7", 300.0, 0.75),
        ("2001:db8::1", 100.0, 0.25),
    ]
    assert [row.subject for row in top.sampled.rows["prefixes"]][:2] == ["198.51.100.0/24", "2001:db8::/56"]
    assert [(share.value, share.share) for share in top.sampled.shares["qtype"]] == [("HTTPS", 0.75), ("A", 0.25)]
    assert [(share.value, share.rate) for share in top.sampled.shares["rcode"]] == [("NXDOMAIN", 200.0)]
    assert [(item.name, item.milliseconds) for item in top.sampled.backends] == [("ns-b", 4.0)]
    assert b"\x1b" not in answer.content


async def test_nothing_from_a_packet_reaches_the_terminal_as_it_is() -> None:
    still = seen()
    assert still.blocking is not None
    await ask(still, "POST", "/blocks", {"subject": "203.0.113.9", "reason": "\x1b[31m\u202e[red]x\r\nforged"})
    top = msgspec.json.decode((await ask(still, "GET", "/top")).content, type=Top)
    output = io.StringIO()
    console = Console(file=output, width=250, force_terminal=False)
    console.print(page(top))
    show_blocks(still.blocking.list(), console)
    shown = output.getvalue()
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert "\u202e" not in shown
    assert "[bold]x[/]" in shown, "markup stays text"
    assert "\\u001b[31m" in shown


async def test_limits_over_are_counted_exactly() -> None:
    still = Still()
    assert still.blocking is not None
    still.blocking._over.append({"floods": 30, "1": 0})
    answer = await ask(still, "GET", "/top")
    top = msgspec.json.decode(answer.content, type=Top)
    assert [(limit.name, limit.rate) for limit in top.limits] == [("floods", 30.0)]


def test_the_example_of_the_documentation_is_a_configuration() -> None:
    page = (Path(__file__).parents[2] / "docs" / "blocks.md").read_text()
    example = page.partition("```toml\n")[2].partition("```")[0]
    tree = tomllib.loads(INGRESS + example)
    settings = load_tree("docs/blocks.md", tree)
    assert [rule.name for rule in settings.filters.dynamic_blocks] == [
        "malformed",
        "nxdomain",
        "any-flood",
        "water-torture",
    ]
