"""`zonegate rules test`: explanations, counts, differences, exit codes, and what it says to bad input."""

from __future__ import annotations

import io
import json
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from dataplane import Explanation, List
from filters.lists import reading
from filters.settings import FilterList
from gateway.cli import cli
from gateway.trial.capture import Capture
from gateway.trial.described import Form, name_wire
from gateway.trial.messages import Captured, Message
from gateway.trial.steps import steps
from gateway.trial.tally import Tally
from gateway.trial.trial import Trial
from tests.support.captures import ETHERNET, RAW, framed, interface, pcap, section, tcp, udp
from tests.support.captures import packet as packet_block

POLICY = """\
version = 1
[ingress]
[[ingress.listeners]]
address = "192.0.2.53:53"
[[ingress.listeners]]
address = "192.0.2.53:5300"
allow = ["notify", "transfer"]
[[ingress.backends]]
name = "ns-a"
address = "127.0.0.1:5353"
[[ingress.backends]]
name = "ns-b"
address = "127.0.0.1:5354"
pools = ["transfers"]
[filters]
zones = ["example.com", "example.net"]
[[filters.rules]]
name = "monitoring"
when = { client = "198.51.100.0/28" }
action = "allow"
[[filters.rules]]
name = "sinkhole"
when = { qname_suffix = "bots.example.net" }
action = "rcode"
rcode = "NXDOMAIN"
ede = { code = 15, text = "blocked" }
[[filters.rules]]
name = "slow-txt"
when = { qtype = "TXT" }
action = "limit"
limit = { key = "client-prefix", rate = 1, burst = 2, action = "drop" }
[[filters.rules]]
name = "away"
when = { qtype = "AXFR" }
action = "route"
pool = "transfers"
[[filters.rate_limits]]
name = "each"
key = "client-prefix"
rate = 10
burst = 10
action = "truncate"
"""


def open_trial() -> Trial:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "zonegate.toml"
        file.write_text(POLICY)
        return Trial(file)


TRIAL = open_trial()
SECOND = 10**9
BEGIN = 1_700_000_000 * SECOND


def run(folder: Path, *arguments: str | Path, policy: str = POLICY, stdin: bytes | None = None) -> Result:
    file = folder / "zonegate.toml"
    file.write_text(policy)
    words = ["rules", "test", "--config", str(file), *map(str, arguments)]
    return CliRunner().invoke(cli, words, input=stdin)


def told(folder: Path, *arguments: str | Path, policy: str = POLICY, code: int = 0) -> dict[str, Any]:
    result = run(folder, *arguments, "--json", policy=policy)
    assert result.exit_code == code, result.output
    body = json.loads(result.stdout)
    assert isinstance(body, dict)
    return body


def query(name: str, qtype: int = 1, number: int = 1) -> bytes:
    return Form().message(name_wire(name), qtype, 1, number)


def rows(body: dict[str, Any], kind: str) -> dict[str, int]:
    return {row["name"]: row["hits"] for row in body[kind]}


@pytest.mark.parametrize(
    ("arguments", "decided", "outcome"),
    [
        ("--name www.example.com", None, ["forward", "ok", ""]),
        ("--name www.example.com --client 198.51.100.7", None, ["forward", "ok", "rule monitoring"]),
        ("--name a.bots.example.net", "rules", ["reply NXDOMAIN", "rule", "rule sinkhole"]),
        ("--name a.bots.example.net --do", "rules", ["reply NXDOMAIN, EDE 15 (blocked)", "rule", "rule sinkhole"]),
        ("--name www.example.org", "zone", ["reply REFUSED", "not-served", ""]),
        ("--name example.com --type AXFR --transport tcp", "grants", ["reply REFUSED", "transfer-refused", ""]),
        (
            "--name example.com --type AXFR --transport tcp --listener 192.0.2.53:5300",
            None,
            ["forward to pool transfers", "ok", "rule away"],
        ),
        ("--name example.com --opcode STATUS", "wire-check", ["reply NOTIMP", "opcode", ""]),
        ("--hex 0001", "wire-check", ["drop", "too-short", ""]),
        ("--name www.example.com --client 192.0.2.53 --client-port 53", "source", ["drop", "own-address", ""]),
    ],
)
def test_one_message_is_explained(tmp_path: Path, arguments: str, decided: str | None, outcome: list[str]) -> None:
    body = told(tmp_path, *arguments.split())
    assert list(dict(body["outcome"]).values()) == outcome
    steps = {step["name"]: step["result"] for step in body["steps"]}
    assert [name for name, result in steps.items() if result == "decided"] == ([decided] if decided else [])
    assert all(result == "not reached" for result in list(steps.values())[list(steps).index(decided or "limits") + 1 :])


def test_the_steps_for_people(tmp_path: Path) -> None:
    result = run(tmp_path, "--name", "A.bots.example.net", "--type", "TXT", "--edns", "--listener", "192.0.2.53:99")
    assert result.exit_code == 0
    assert "QUERY A.bots.example.net. TXT, 47 bytes, EDNS with 1232 bytes" in result.output
    assert "no listener has 192.0.2.53 port 99 for udp" in result.output
    assert "in example.net." in result.output
    assert "sinkhole matched: reply" in result.output
    assert "verdict: reply NXDOMAIN, EDE 15 (blocked) (rule: rule sinkhole)" in result.output


def test_a_time_decides_about_windows(tmp_path: Path) -> None:
    policy = POLICY.replace(
        'qname_suffix = "bots.example.net"', 'time = { days = "mon", from = "08:00", to = "09:00" }'
    )
    within = told(tmp_path, "--name", "x.example.com", "--at", "2024-01-01T08:59", policy=policy)
    behind = told(tmp_path, "--name", "x.example.com", "--at", "2024-01-01T09:00", policy=policy)
    assert [dict(body["outcome"])["by"] for body in (within, behind)] == ["rule sinkhole", ""]


def test_tlvs_and_server_names_reach_the_rules(tmp_path: Path) -> None:
    policy = POLICY.replace('qname_suffix = "bots.example.net"', 'tlv = [{ type = 234, value = "0x0a0b" }]').replace(
        'qtype = "TXT"', 'server_name = "dns.example"'
    )
    tlv = told(tmp_path, *["--name", "x.example.com", "--tlv", "1:00", "--tlv", "234:0a0b"], policy=policy)
    name = told(
        tmp_path, *["--name", "x.example.com", "--transport", "tls", "--server-name", "DNS.example"], policy=policy
    )
    assert dict(tlv["outcome"])["by"] == "rule sinkhole"
    assert "slow-txt matched: under-limit" in str(name["steps"])


def test_what_is_only_observed_and_cookies_are_counted(tmp_path: Path) -> None:
    policy = POLICY + '[filters.checks]\nany_over_udp = "observe"\n'
    policy += '[filters.cookies]\nsecret = "e5e973e5a6b2a43f48e7dc849e37bfcf"\n'
    (tmp_path / "queries").write_text("example.com ANY\nexample.com A\n")
    body = told(tmp_path, "--queries", tmp_path / "queries", "--option", "COOKIE:0102030405060708", policy=policy)
    assert (body["observed"], body["cookies"]) == ({"any-over-udp": 1}, {"client": 2})
    shown = run(tmp_path, "--queries", tmp_path / "queries", policy=policy)
    assert "observed only: any-over-udp 1" in shown.output
    assert "cookies: none 2" in shown.output
    one = run(tmp_path, "--name", "example.com", "--type", "ANY", policy=policy)
    assert "observed only: any-over-udp" in one.output


@given(st.sampled_from([b"", b"\0\0\0\0\0\1"]), st.binary(max_size=60), st.booleans(), st.integers(0, 1 << 62))
def test_any_message_of_a_capture_has_an_outcome(begin: bytes, rest: bytes, stream: bool, time: int) -> None:
    wire = begin + rest
    packet = tcp(len(wire).to_bytes(2) + wire, 0, 2) if stream else udp(wire)
    capture = Capture(io.BytesIO(section() + interface(RAW) + packet_block(0, time, packet)).read)
    (message,) = Captured(capture, [53])
    tally = Tally(TRIAL)
    tally.take(message, explained := TRIAL.judge(message), outcome := TRIAL.outcome(explained))
    assert [step.name for step in steps(TRIAL, message, explained) if step.result == "decided"][1:] == []
    (row,) = tally.report().outcomes
    assert (row.verdict, row.reason, row.count) == (outcome.verdict, explained.reason, 1)


def test_queries_of_a_file_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "queries"
    file.write_text(
        "; q\n" + "www.example.com A\n" * 15 + "a.bots.example.net A\nx.example.org A\nbad\nt.example.com TXT\n" * 5
    )
    alone = told(tmp_path, "--queries", file)
    assert alone["messages"] == 30
    assert alone["verdicts"] == {"forward": 20, "reply": 10}
    assert rows(alone, "rules") == {"monitoring": 0, "sinkhole": 5, "slow-txt": 5, "away": 0}
    assert alone["never_matched"] == ["monitoring", "away"]
    assert any("5 lines are no query: line 19: write a name and a type" in str(remark) for remark in alone["remarks"])
    fast = told(tmp_path, "--queries", file, "--rate", "1000")
    assert rows(fast, "limits") == {"each": 12}  # of 15 + 5 + 2: the rule drops three of TXT
    slow = told(tmp_path, "--queries", file, "--rate", "2")
    assert rows(slow, "limits") == {"each": 0}


def test_the_times_of_a_capture_drive_the_limits(tmp_path: Path) -> None:
    quick = [(BEGIN + number * 1000, framed(ETHERNET, udp(query("www.example.com")))) for number in range(30)]
    slow = [(BEGIN + SECOND * (10 + number), data) for number, (_, data) in enumerate(quick)]
    file = tmp_path / "a.pcap"
    file.write_bytes(pcap(ETHERNET, quick + slow))
    body = told(tmp_path, "--pcap", file)
    assert rows(body, "limits") == {"each": 20}
    assert body["verdicts"] == {"forward": 40, "reply": 20}
    still = told(tmp_path, "--pcap", file, "--no-time")
    assert rows(still, "limits") == {"each": 50}


def test_a_capture_with_tcp_and_other_things(tmp_path: Path) -> None:
    message = query("example.com", 252)
    sent = struct.pack("!H", len(message)) + message
    packets = [
        tcp(b"", 7, 2, to=5300),
        tcp(sent[:5], 8, to=5300),
        tcp(sent[5:], 13, to=5300),
        tcp(sent, 1, port=9),
        udp(query("www.example.com"), to=40000),
        udp(query("www.example.com"), local="203.0.113.9"),
        udp(b"\0" * 30)[:-1],
    ]
    content = pcap(RAW, [(BEGIN, data) for data in packets])
    result = run(tmp_path, "--pcap", "-", "--json", stdin=content + b"\0" * 9)
    body = json.loads(result.stdout)
    assert (result.exit_code, body["transports"], body["without_listener"]) == (0, {"tcp": 1, "udp": 1}, 1)
    assert rows(body, "rules")["away"] == 1
    remarks = "\n".join(body["remarks"])
    assert "1 packets were not read: to another port" in remarks
    assert "1 packets were not read: cut short" in remarks
    assert "1 TCP segments were not read" in remarks
    assert f"the file ends within a packet, at byte {len(content)}" in remarks
    result = run(tmp_path, "--pcap", "-", "--port", "40000", stdin=content)
    assert "1 messages in 0.0 s: forward 1" in result.output


def test_names_of_others_making_are_escaped(tmp_path: Path) -> None:
    wire = query("x.example.com").replace(b"\1x", b"\x08\x1b[31m\n\xff]")
    file = tmp_path / "a.pcap"
    file.write_bytes(pcap(RAW, [(BEGIN, udp(wire))]))
    many, one = run(tmp_path, "--pcap", file), run(tmp_path, "--hex", wire.hex())
    for result in (many, one):
        assert result.exit_code == 0
        assert "\x1b" not in result.output
        assert "\\027[31m\\010\\255]" in result.output


def test_against_says_what_differs(tmp_path: Path) -> None:
    old, file = tmp_path / "old.toml", tmp_path / "queries"
    old.write_text(POLICY.replace("NXDOMAIN", "SERVFAIL").replace('"example.net"]', '"example.net", "example.org"]'))
    file.write_text("www.example.com A\na.bots.example.net A\nb.bots.example.net A\nwww.example.org A\n")
    body = told(tmp_path, "--queries", file, "--against", old, code=1)
    assert body["changed"] == 3
    changes = [
        (change["old_verdict"], change["new_verdict"], change["new_reason"], change["count"], change["examples"])
        for change in list(body["changes"])
    ]
    assert changes == [
        ("reply SERVFAIL", "reply NXDOMAIN", "rule", 2, ["a.bots.example.net.", "b.bots.example.net."]),
        ("forward", "reply REFUSED", "not-served", 1, ["www.example.org."]),
    ]
    shown = run(tmp_path, "--queries", file, "--against", old)
    assert shown.exit_code == 1
    assert "3 of 4 messages are decided differently" in shown.output
    assert run(tmp_path, "--queries", file, "--against", tmp_path / "zonegate.toml").exit_code == 0
    assert run(tmp_path, "--name", "www.example.org", "--against", old).exit_code == 1
    assert run(tmp_path, "--name", "www.example.com", "--against", old).exit_code == 0


EXIT = """\
version = 1
[exit]
listen = "127.0.0.1:8388"
key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
allow = ["192.0.2.1:53"]
"""

LISTS = """
[[filters.lists]]
name = "mine"
file = "mine.txt"
action = "drop"
[[filters.lists]]
name = "lost"
file = "lost.txt"
action = "drop"
[[filters.lists]]
name = "feed"
url = "https://lists.example/feed"
address = "192.0.2.80"
tunnels = ["plain"]
action = "nxdomain"
[[tunnels]]
name = "plain"
url = "direct://"
"""


def test_lists_come_from_files_and_last_good_copies(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("bad.example.com\n? ?\n")
    source, kept = tmp_path / "feed.txt", tmp_path / "state" / "lists"
    source.write_text("worse.example.com\n")
    queries = tmp_path / "queries"
    queries.write_text("bad.example.com A\nworse.example.com A\n")
    before = told(tmp_path, "--queries", queries, policy=POLICY + LISTS)
    assert rows(before, "lists") == {"mine": 1, "lost": 0, "feed": 0}
    remarks = "\n".join(map(str, before["remarks"]))
    assert "list mine: 1 lines were skipped" in remarks
    assert "list lost is left out: it can't be read: No such file or directory" in remarks
    assert "list feed is left out: its last good copy can't be read" in remarks
    kept.mkdir(parents=True)
    kept.chmod(0o700)
    List.build(source, kept / "feed.list", reading(FilterList(name="feed", file="x", action="nxdomain")), 0)
    after = told(tmp_path, "--queries", queries, policy=POLICY + LISTS)
    assert rows(after, "lists") == {"mine": 1, "lost": 0, "feed": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "feed.txt",
        "mine.txt",
        "queries",
        "state",
        "zonegate.toml",
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("", "one of --name NAME, --hex DIGITS, --queries FILE, --pcap FILE"),
        ("--name a --hex 00", "one of --name NAME"),
        ("--name a..b", "is no domain name"),
        ("--name a --type AAAAA", 'did you mean "AAAA"'),
        ("--name a --client here", "--client: 'here' is no IP address"),
        ("--name a --listener here", "--listener"),
        ("--name a --client fe80::1%eth0", "leave the zone behind % out"),
        ("--name a --listener [fe80::1%eth0]:53", "leave the zone behind % out"),
        ("--name a --at 1950-01-01T00:00", "--at: write a time from 1970"),
        ("--name a --tlv x:00", "--tlv: 'x' is no type"),
        ("--name a --rate 5", "--rate goes with --queries"),
        ("--name a --port 5", "--port goes with --pcap"),
        ("--name a --server-name b", "--transport tls"),
        ("--hex 0", "--hex: '0' is not pairs of hexadecimal digits"),
        ("--pcap none", "No such file"),
        ("--pcap zonegate.toml", "zonegate.toml: byte 0: it begins with"),
        ("--pcap empty.pcap", "no message was found"),
        ("--queries empty.pcap", "no message was found; 1 lines are no query"),
        ("--name a --against none.toml", "none.toml"),
        ("--name a --against bad.toml", "has no [ingress]"),
    ],
)
def test_bad_input_is_said_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.pcap").write_bytes(pcap(RAW, []))
    Path("bad.toml").write_text(EXIT)
    result = run(tmp_path, *arguments.split())
    assert result.exit_code == 2
    assert text in result.output


def test_damage_in_the_middle_is_an_error_with_its_place(tmp_path: Path) -> None:
    content = pcap(RAW, [(BEGIN, udp(query("www.example.com")))])
    result = run(tmp_path, "--pcap", "-", stdin=content + b"\xff" * 16)
    assert result.exit_code == 2
    assert f"byte {len(content)}: a packet of 4294967295 bytes" in result.output


def test_a_terminal_sees_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    file = tmp_path / "a.pcap"
    file.write_bytes(pcap(RAW, [(BEGIN, udp(query("www.example.com")))] * 5000))
    result = run(tmp_path, "--pcap", file)
    assert result.exit_code == 0
    assert "reading" in result.stderr
    assert "5,000 messages" in result.stdout


def test_control_c_shows_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge, judged = Trial.judge, []

    def interrupted(trial: Trial, message: Message) -> Explanation:
        judged.append(message)
        if len(judged) == 3:
            raise KeyboardInterrupt
        return judge(trial, message)

    monkeypatch.setattr(Trial, "judge", interrupted)
    (tmp_path / "queries").write_text("www.example.com A\n" * 9)
    body = told(tmp_path, "--queries", tmp_path / "queries")
    assert body["messages"] == 2
    assert body["remarks"][0] == "ended by Ctrl-C: the rest was not read"


def test_warnings_of_rules_are_shown_by_check_and_here(tmp_path: Path) -> None:
    policy = POLICY.replace('when = { qtype = "TXT" }', 'when = { client = "198.51.100.1/32" }')
    shown = run(tmp_path, "--name", "www.example.com", policy=policy)
    checked = CliRunner().invoke(cli, ["check", str(tmp_path / "zonegate.toml")])
    for result in (shown, checked):
        assert result.exit_code == 0
        assert 'the rule "slow-txt"; it can never match: the earlier rule "monitoring" takes all' in result.output


def test_help_teaches() -> None:
    result = CliRunner().invoke(cli, ["rules", "test", "--help"])
    assert result.exit_code == 0
    assert "Exit code 0: done, and with --against no difference; 1:" in result.output
    assert "--against zonegate.toml --pcap yesterday.pcap" in result.output
