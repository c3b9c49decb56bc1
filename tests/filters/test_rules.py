"""From `[[filters.rules]]` to decisions: each selector and each action as an operator writes it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from dataplane import Explanation, List, SharedMemory
from filters.codes import QueryType, Range, TimeOfDay
from filters.errors import FilterError
from filters.policy import Surroundings, compile_policy
from filters.rule_checks import check_rules
from filters.settings import FilterSettings
from gateway.config import ConfigError, load
from gateway.config.plain import read_plain, to_plain
from tests.gateway.configs import INGRESS

if TYPE_CHECKING:
    from dataplane._native import ListReading

SECOND = 10**9
MONDAY = 1_704_067_200
"""2024-01-01 00:00 UTC."""


def read(toml: str) -> FilterSettings:
    """The settings of a `[filters]` table."""
    return read_plain(FilterSettings, tomllib.loads(toml))


class Gate:
    """A policy on memory of its own."""

    def __init__(self, toml: str, **around: Any) -> None:
        self.settings = read(toml)
        self.policy = compile_policy(self.settings, Surroundings(**around))
        self.memory = SharedMemory.create(1, 4096)
        self.now = SECOND

    def ask(
        self,
        message: bytes | dns.message.Message | str = "www.example.com",
        *,
        source: str = "198.51.100.7",
        transport: str = "udp",
        **more: Any,
    ) -> Explanation:
        """What is decided about a query, and why."""
        query = dns.message.make_query(message, "A") if isinstance(message, str) else message
        wire = query if isinstance(query, bytes) else query.to_wire()
        allow: list[str] = []
        client = (transport, (source, 40_000), ("192.0.2.53", 53), allow)
        more.setdefault("unix", MONDAY)
        return self.policy.explain(wire, client, memory=self.memory, now=self.now, **more)


def matches(when: str, message: Any = "www.example.com", toml: str = "", **more: Any) -> bool:
    """Whether a condition holds for a message."""
    gate = Gate(f'{toml}\n[[rules]]\nname = "r"\naction = "drop"\nwhen = {when}\n', listeners=("192.0.2.53:53",))
    return gate.ask(message, **more).reason == "rule"


def query(qname: str = "www.example.com", qtype: str = "A", **more: Any) -> dns.message.Message:
    """A query."""
    return dns.message.make_query(qname, qtype, **more)


SECURE = query(use_edns=0, want_dnssec=True, payload=4096, options=[dns.edns.ECSOption("192.0.2.0", 24)])
LONGER = query().to_wire() + b"x"


@pytest.mark.parametrize(
    ("when", "holds", "fails"),
    [
        ('{ client = "198.51.100.0/24" }', {}, {"source": "203.0.113.1"}),
        ('{ client = ["2001:db8::/32", "198.51.100.7"] }', {"source": "198.51.100.7"}, {"source": "198.51.100.8"}),
        ('{ listener = "192.0.2.53:53" }', {}, {"listener": 1}),
        ('{ transport = ["tcp", "tls"] }', {"transport": "tls"}, {"transport": "udp"}),
        ('{ qname = "WWW.example.com." }', {}, {"message": "a.www.example.com"}),
        ('{ qname_suffix = ["example.com", "example.net"] }', {}, {"message": "example.org"}),
        (r"{ qname_regex = '^w+\.example\.' }", {}, {"message": "xwww.example.com"}),
        ('{ labels = "4-" }', {"message": "a.b.c.d"}, {}),
        ("{ labels = 3 }", {}, {"message": "a.b.c.d"}),
        ('{ qtype = ["ANY", "TYPE1"] }', {}, {"message": query(qtype="AAAA")}),
        ('{ qclass = "IN" }', {}, {"message": query(rdclass="CH")}),
        ('{ opcode = "QUERY" }', {}, {"message": b""}),
        ('{ flags = { set = "rd" } }', {}, {"message": query(flags=0)}),
        ('{ flags = { unset = ["rd", "cd"] } }', {"message": query(flags=0)}, {}),
        ("{ edns = true }", {"message": SECURE}, {}),
        ("{ edns_version = 0 }", {"message": SECURE}, {}),
        ('{ edns_options = ["NSID", "ECS"] }', {"message": SECURE}, {}),
        ('{ edns_size = "1233-" }', {"message": SECURE}, {"message": query(use_edns=0, payload=1232)}),
        ("{ do = true }", {"message": SECURE}, {"message": query(use_edns=0)}),
        ("{ do = false }", {}, {"message": SECURE}),
        ("{ ecs = true }", {"message": SECURE}, {}),
        ("{ ecs = false }", {}, {"message": SECURE}),
        ("{ arcount = 1 }", {"message": SECURE}, {}),
        ('{ qdcount = 1, ancount = "-0", nscount = 0 }', {}, {"message": b""}),
        ('{ size = "-40" }', {}, {"message": SECURE}),
        ("{ trailing = true }", {"message": LONGER, "toml": 'checks.trailing_bytes = "pass"'}, {}),
        ("{ signed = false }", {}, {"message": b""}),
        ('{ server_name = "dns.example.com" }', {"transport": "tls", "server_name": b"DNS.example.com"}, {}),
        ('{ server_name_suffix = "example.com" }', {"transport": "tls", "server_name": b"a.example.com"}, {}),
        ('{ tlv = [{ type = 0xE0, prefix = "0x0a" }] }', {"tlvs": b"\xe0\0\2\x0a\x0b"}, {"tlvs": b"\xe0\0\1\x0b"}),
        ('{ tlv = [{ type = 2, value = "abc" }] }', {"tlvs": b"\2\0\3abc"}, {"tlvs": b"\2\0\2ab"}),
        ("{ probability = 1 }", {}, {"message": b""}),
        ('{ time = { days = "sun", from = "22:00", to = "06:00" } }', {}, {"unix": MONDAY + 6 * 3600}),
        ('{ zone = "example.com" }', {"toml": 'zones = ["example.com", "*"]'}, {"message": "a.net"}),
        ('{ cookie = "none" }', {}, {"message": b""}),
        ('{ all = [{ edns = false }, { qtype = "A" }] }', {}, {"message": SECURE}),
        ('{ any = [{ edns = true }, { qtype = "AAAA" }] }', {"message": SECURE}, {}),
        ("{ not = { edns = true } }", {}, {"message": SECURE}),
    ],
)
def test_selectors(when: str, holds: dict[str, Any], fails: dict[str, Any]) -> None:
    toml = {"toml": holds["toml"]} if "toml" in holds else {}
    assert matches(when, **holds), "the message that fits"
    assert not matches(when, **{**toml, **(fails or {"message": other(when)})}), "the one that doesn't"


def other(when: str) -> Any:
    """A message that differs from the usual one in what the condition asks for."""
    return "a.b.example.com" if "labels" not in when and "flags" not in when else query()


def action(toml: str, **around: Any) -> Gate:
    """A gate with one rule that every message meets."""
    return Gate(f'[[rules]]\nname = "r"\n{toml}\n', **around)


@pytest.mark.parametrize(
    ("toml", "verdict", "rcode"),
    [
        ('action = "allow"', "forward", None),
        ('action = "drop"', "drop", None),
        ('action = "refuse"', "reply", "REFUSED"),
        ('action = "rcode"\nrcode = "NXDOMAIN"', "reply", "NXDOMAIN"),
        ('action = "rcode"\nrcode = "RCODE4"', "reply", "NOTIMP"),
        ('action = "truncate"', "reply", "NOERROR"),
        ('action = "observe"', "forward", None),
    ],
)
def test_actions(toml: str, verdict: str, rcode: str | None) -> None:
    told = action(toml).ask()
    assert told.verdict == verdict
    assert (told.reply is None) == (rcode is None)
    if told.reply is not None:
        reply = dns.message.from_wire(told.reply)
        assert dns.rcode.to_text(reply.rcode()) == rcode
        assert bool(reply.flags & dns.flags.TC) == ("truncate" in toml)


def test_a_reason_goes_with_a_reply_to_who_has_edns() -> None:
    gate = action('action = "refuse"\nede = { code = 18, text = "not for you" }')
    for message, expected in ((query(use_edns=0), ["EDE 18 (Prohibited): not for you"]), (query(), [])):
        told = gate.ask(message)
        assert told.reply is not None
        assert [option.to_text() for option in dns.message.from_wire(told.reply).options] == expected


def test_where_a_forwarded_query_goes() -> None:
    toml = """
        [[rules]]
        name = "copy"
        action = "mirror"
        mirror = "[2001:db8::9]:5300"
        [[rules]]
        name = "wait"
        action = "delay"
        delay = 250
        [[rules]]
        name = "away"
        action = "route"
        pool = "slow"
        [[rules]]
        name = "never"
        action = "drop"
    """
    gate = Gate(toml, pools=("fast", "slow"))
    told = gate.ask(transport="tcp")
    assert (told.verdict, told.pool, told.delay, told.mirror) == ("forward", 2, 250, 1)
    assert told.rules == [("copy", "mirror"), ("wait", "delay"), ("away", "route")]
    assert [(str(address), port) for address, port in gate.policy.mirrors] == [("2001:db8::9", 5300)]


def test_tags_and_a_limit_of_its_own() -> None:
    toml = """
        [[rules]]
        name = "seen"
        when = { qtype = "A" }
        action = "tag"
        tag = "a"
        [[rules]]
        name = "few"
        when = { tag = "a", not = { client = "203.0.113.0/24" } }
        action = "limit"
        limit = { key = "client-prefix", rate = 1, burst = 2, action = "drop" }
    """
    gate = Gate(toml)
    told = [gate.ask() for _ in range(3)]
    assert [one.reason for one in told] == ["ok", "ok", "rate-limited"]
    assert told[2].rules == [("seen", "tag"), ("few", "over-limit")]
    assert gate.ask(source="203.0.113.1").rules == [("seen", "tag")]
    assert gate.ask(query(qtype="NS")).rules == []
    assert gate.memory.rule_hits() == [(0, 4, 0), (1, 3, 1)]


def test_hits_are_counted_in_the_slot_of_the_name() -> None:
    gate = action('action = "observe"', rules={"r": 700})
    gate.ask()
    assert gate.memory.rule_hits() == [(700, 1, 0)]


def test_settings_travel_as_a_tree() -> None:
    toml = """
        [[rules]]
        name = "r"
        action = "drop"
        [rules.when]
        qtype = ["ANY", 65, "TYPE64"]
        labels = "3-"
        time = { from = "08:00", to = "17:30" }
        not = { qname = "a.example", any = [] }
        all = [{ flags = { set = ["rd", "ad"] } }]
    """
    settings = read(toml)
    assert read_plain(FilterSettings, to_plain(settings)) == settings


@pytest.mark.parametrize(
    ("rule", "found", "right"),
    [
        ('action = "route"\npool = "slwo"', "'slwo'", 'did you mean "slow"?'),
        ('action = "route"', '"route" without pool', "add the key pool"),
        ('action = "drop"\npool = "slow"', "pool with", 'it belongs to action = "route"'),
        ('action = "drop"\nwhen = { tag = "x" }', "'x'", "known: none"),
        ('action = "drop"\nwhen = { not = { listener = "127.0.0.1:54" } }', "127.0.0.1:54", "127.0.0.1:53"),
        ('action = "drop"\nwhen = { zone = "example.org" }', "example.org", "example.com"),
        ('action = "drop"\nwhen = { qname_list = "bad" }', "'bad'", "known: none"),
        ('action = "drop"\nwhen = { cookie = "valid" }', "cookies are off", "filters.cookies.secret"),
        ('action = "mirror"\nmirror = "localhost:53"', "no address", "192.0.2.1:53"),
        ('action = "drop"\nede = { code = 1 }', "ede with", "refuse"),
        ('action = "refuse"\nede = { code = 1, text = "' + "ä" * 60 + '" }', "120 bytes", "96"),
        ('action = "drop"\nwhen = { tlv = [{ type = 1, value = "0xzz" }] }', "TLV", "hexadecimal"),
        ('action = "drop"\nwhen = { tlv = [{ type = 1, value = "a", prefix = "b" }] }', "TLV", "one of them"),
    ],
)
def test_what_is_wrong_in_a_rule(rule: str, found: str, right: str) -> None:
    settings = read(f'zones = ["example.com"]\n[[rules]]\nname = "r"\n{rule}\n')
    faults = list(check_rules(settings, listeners=["127.0.0.1:53"], pools=["slow"]))
    assert len(faults) == 1
    assert faults[0][0][:2] == ("rules", 0)
    assert found in faults[0][1]
    assert right in faults[0][2]


def test_names_are_unique_and_rules_are_bounded() -> None:
    many = "".join(f'[[rules]]\nname = "r{n % 1024}"\naction = "tag"\ntag = "t{n}"\n' for n in range(1025))
    found = [found for _, found, _ in check_rules(read(many), listeners=(), pools=())]
    assert found == ["1025 rules", "1025 tags", '"r0"']


@pytest.mark.parametrize(
    ("toml", "place", "text"),
    [
        (
            '[[rules]]\nname = "r"\naction = "drop"\nwhen = { qname_regex = "a(b" }',
            ("rules", 0),
            "character 2: unclosed",
        ),
        (
            '[[rules]]\nname = "r"\naction = "drop"\nwhen = { qname_regex = "(a|b)*a(a|b){20}" }',
            ("rules", 0),
            "more than 1048576 bytes",
        ),
        (
            f'memory = 65536\n[[rules]]\nname = "r"\naction = "drop"\nwhen.qname = {[f"n{n}" for n in range(9000)]}',
            ("memory",),
            "bytes, more than the 65536 that it may",
        ),
    ],
)
def test_what_can_not_be_compiled(toml: str, place: tuple[str | int, ...], text: str) -> None:
    with pytest.raises(FilterError) as caught:
        compile_policy(read(toml))
    assert caught.value.place == place
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "hint"),
    [
        (QueryType, "AAAB", 'did you mean "AAAA"?'),
        (QueryType, "TYPE65536", "up to 65535"),
        (QueryType, "", "type of records"),
        (Range, "a-b", '"10-20"'),
        (Range, "-", '"10-20"'),
        (Range, "9-2", "goes up"),
        (Range, "70000", "65535"),
        (TimeOfDay, "8:00", '"08:30"'),
        (TimeOfDay, "24:01", "24:00"),
        (TimeOfDay, "12:60", "24:00"),
    ],
)
def test_values_that_are_none(kind: Any, text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(hint)):
        kind.parse(text)


def test_the_policy_of_the_documentation(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "rules.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    file = tmp_path / "zonegate.toml"
    file.write_text(INGRESS + 'pools = ["default", "transfers"]\n' + example)
    loaded = load(file)
    assert [rule.name for rule in loaded.settings.filters.rules][:2] == ["monitoring", "sinkhole"]
    assert loaded.warnings == ()
    gate = Gate("")
    gate.policy = compile_policy(loaded.settings.filters, Surroundings(pools=("transfers",)))
    told = gate.ask(query("x.bots.example.net", use_edns=0))
    assert told.reply is not None
    assert dns.message.from_wire(told.reply).rcode() == dns.rcode.NXDOMAIN
    assert gate.ask("0123456789abcdef01234567.example.com").rules[:2] == [
        ("generated", "tag"),
        ("few-generated", "under-limit"),
    ]


def test_a_rule_that_can_never_match_is_a_warning_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "zonegate.toml"
    rule = '[[filters.rules]]\nname = "{}"\naction = "drop"\nwhen = {{ qtype = "A" }}\n'
    file.write_text(INGRESS + rule.format("one") + rule.format("two"))
    (warning,) = load(file).warnings
    assert f"{file}:{INGRESS.count(chr(10)) + 5}: filters.rules[1]" in warning
    assert 'the earlier rule "one" takes all' in warning


def test_nesting_has_an_end(tmp_path: Path) -> None:
    file = tmp_path / "zonegate.toml"
    deep = "when" + ".not" * 5000
    file.write_text(f'{INGRESS}[[filters.rules]]\nname = "deep"\naction = "drop"\n{deep}.edns = true\n')
    with pytest.raises(ConfigError, match="nested too deep"):
        load(file)


def test_lists_as_selectors(tmp_path: Path) -> None:
    source, built = tmp_path / "bad.txt", tmp_path / "bad.list"
    source.write_text("bad.example\n203.0.113.0/24\n")
    how: ListReading = {
        "format": "plain",
        "kind": "either",
        "column": 0,
        "zone": None,
        "subdomains": True,
        "strict": True,
        "most": 10,
    }
    List.build(source, built, how, 1)
    toml = """
        [[lists]]
        name = "bad"
        file = "bad.txt"
        action = "none"
        [[rules]]
        name = "names"
        when = { qname_list = "bad", qtype = "A" }
        action = "refuse"
        [[rules]]
        name = "clients"
        when = { not = { any = [{ client_list = "bad" }] } }
        action = "allow"
    """
    gate = Gate(toml, lists={"bad": List.open(built)})
    assert gate.ask("www.bad.example").rules == [("names", "reply")]
    assert gate.ask("good.example").rules == [("clients", "allow")]
    assert gate.ask("good.example", source="203.0.113.9").rules == []
    assert Gate(toml).ask("www.bad.example").rules == [("clients", "allow")], "a list that is not loaded knows nothing"


def test_an_explanation_says_how_far_a_message_came() -> None:
    gate = Gate(
        'zones = ["example.com"]\n[[rules]]\nname = "a"\naction = "observe"\nwhen = { qname_regex = "^x" }\n'
        '[[rules]]\nname = "b"\naction = "drop"\nwhen = { qtype = "TXT", labels = 9 }\n'
        '[[rules]]\nname = "c"\naction = "allow"\n'
    )
    told = gate.ask("www.example.com")
    assert told.passed == ["source", "wire-check", "cookie", "grants", "zone", "lists", "rules"]
    assert told.looked == [0, 2]
    assert (told.zone, told.cookie, told.observed, told.listed) == (b"\7example\3com\0", None, None, None)
    assert gate.ask("www.example.org").passed == ["source", "wire-check", "cookie", "grants"]
    assert gate.ask(b"\0").passed == ["source"]
