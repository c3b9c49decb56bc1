"""Which rules are said to be dead, and which are not."""

from __future__ import annotations

import tomllib
from unittest.mock import Mock, patch

import pytest

from filters import shadows
from filters.codes import DomainName
from filters.settings import FilterSettings, Rule
from filters.settings.rules import When
from filters.shadows import dead_rules
from filters.values import Network
from gateway.config.plain import read_plain


def dead(*rules: str) -> list[tuple[int, str]]:
    """The dead ones of rules that are written `ACTION WHEN`."""
    text = ""
    for place, rule in enumerate(rules):
        action, _, when = rule.partition(" ")
        text += f'[[rules]]\nname = "r{place}"\naction = "{action}"\nwhen = {when or "{}"}\n'
        text += 'tag = "t"\n' if action == "tag" else ""
    return list(dead_rules(read_plain(FilterSettings, tomllib.loads(text)).rules))


SHADOWED = 'the earlier rule "r0" takes all that it could match'


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("drop", "drop { edns = true }"),
        ('drop { qtype = ["A", "NS"] }', 'allow { qtype = "TYPE1", edns = true }'),
        ('drop { client = "10.0.0.0/8" }', 'drop { client = ["10.1.0.0/16", "10.2.3.4"] }'),
        ('drop { qname_suffix = "example.com" }', 'drop { qname = ["a.example.com", "Example.COM."] }'),
        ('drop { qname_suffix = ["a.b", "c"] }', 'drop { qname_suffix = ["x.a.b", "c"] }'),
        ('refuse { labels = "3-9" }', "drop { labels = 4 }"),
        ("route { do = true }", "drop { do = true, all = [{ size = 100 }] }"),
        ('truncate { qtype = "ANY" }', 'drop { qtype = "ANY", transport = "udp" }'),
        ("drop { not = { edns = true } }", 'drop { not = { edns = true }, qtype = "A" }'),
    ],
)
def test_shadowed(earlier: str, later: str) -> None:
    assert dead(earlier, later) == [(1, SHADOWED)]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("observe", "drop"),
        ("tag", "drop"),
        ('truncate { qtype = "ANY" }', 'drop { qtype = "ANY" }'),
        ('drop { qtype = "A" }', 'drop { qtype = ["A", "NS"] }'),
        ('drop { client = "10.0.0.0/8" }', 'drop { client = "0.0.0.0/0" }'),
        ('drop { client = "10.0.0.0/8" }', 'drop { client = "2001:db8::/32" }'),
        ('drop { qname = "example.com" }', 'drop { qname_suffix = "example.com" }'),
        ('drop { qname_suffix = "ample.com" }', 'drop { qname = "example.com" }'),
        ("drop { probability = 0.5 }", "drop { probability = 0.5 }"),
        ('drop { edns = true, qtype = "A" }', "drop { edns = true }"),
        ("drop { any = [{ edns = true }] }", "drop { edns = true, any = [] , qtype = 'A', not = {} }"),
    ],
)
def test_not_shadowed(earlier: str, later: str) -> None:
    assert SHADOWED not in [reason for _, reason in dead(earlier, later)]


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ("{ any = [] }", "an empty any"),
        ('{ tag = "t" }', "no rule before it sets the tag t"),
        ("{ probability = 0 }", "probability"),
        ('{ qtype = "A", all = [{ qtype = ["NS", "MX"] }] }', "qtype exclude"),
        ("{ edns = true, all = [{ edns = false }] }", "edns exclude"),
        ('{ size = "10-20", all = [{ size = "21-" }] }', "size exclude"),
        ('{ transport = "udp", server_name = "a.example" }', "over TLS"),
        ("{ edns = false, edns_size = 1232 }", "needs EDNS"),
        ("{ edns = false, do = true }", "need EDNS"),
    ],
)
def test_contradictions(when: str, reason: str) -> None:
    (found,) = dead(f"drop {when}")
    assert found[0] == 0
    assert reason in found[1]


def test_a_tag_that_an_earlier_rule_sets() -> None:
    assert dead("tag", 'drop { tag = "t" }') == []
    assert [place for place, _ in dead('drop { tag = "t" }', "tag")] == [0]


def test_long_lists_and_many_rules_are_compared_by_looking_up() -> None:
    names = tuple(DomainName(f"n{number}.example.com") for number in range(20_000))
    networks = tuple(Network.parse(f"10.{number >> 8}.{number & 255}.0/24") for number in range(20_000))
    rules = [
        Rule(name="names", when=When(qname_suffix=names), action="drop"),
        Rule(name="networks", when=When(client=networks), action="drop"),
        Rule(name="below", when=When(qname=tuple(DomainName(f"www.{name}") for name in names)), action="drop"),
        Rule(name="inside", when=When(client=(*networks[1:], Network.parse("10.0.0.9"))), action="drop"),
        Rule(name="outside", when=When(client=(*networks, Network.parse("192.0.2.0/24"))), action="drop"),
    ]
    looked = Mock(wraps=shadows._over_name)
    with patch.object(shadows, "_over_name", looked):
        assert [place for place, _ in dead_rules(rules)] == [2, 3]
    assert looked.call_count <= len(names), "one look for each name, and not one for each pair"
