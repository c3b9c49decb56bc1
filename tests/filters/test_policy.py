"""From `[filters]` to decisions: each setting does what its description says."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane import Policy, SharedMemory
from filters.errors import FilterError
from filters.limits import limit_rows
from filters.names import zone_wire
from filters.policy import compile_policy
from filters.settings import Checks, ErrorBudget, FilterSettings, RateLimit
from gateway.config.schema import Shape, fields

SECOND = 10**9


class Gate:
    """A policy on memory of its own, asked by one client at a time that stands still."""

    def __init__(self, settings: FilterSettings) -> None:
        self.policy = compile_policy(settings)
        self.memory = SharedMemory.create(1, settings.table_size)
        self.now = SECOND

    def decide(
        self,
        message: bytes | dns.message.Message,
        *,
        source: tuple[str, int] = ("198.51.100.7", 40_000),
        transport: str = "udp",
        allow: tuple[str, ...] = (),
    ) -> tuple[str, str, bytes | None]:
        wire = message if isinstance(message, bytes) else message.to_wire()
        local = ("2001:db8::53", 53) if ":" in source[0] else ("192.0.2.53", 53)
        client = (transport, source, local, list(allow))
        return self.policy.decide(wire, client, memory=self.memory, now=self.now)

    def verdicts(self, count: int, qname: str = "www.example.com", *, transport: str = "udp") -> list[str]:
        """The verdicts of `count` queries at once."""
        return [self.decide(dns.message.make_query(qname, "A"), transport=transport)[0] for _ in range(count)]


def reply_to(query: dns.message.Message, wire: bytes | None) -> dns.message.Message:
    """The reply, which must be one to `query`."""
    assert wire is not None
    reply = dns.message.from_wire(wire)
    assert query.is_response(reply)
    return reply


def test_the_default_passes_every_name() -> None:
    assert Gate(FilterSettings()).decide(dns.message.make_query("any.name.example", "A")) == ("forward", "ok", None)


def test_names_outside_the_zones_are_refused() -> None:
    gate = Gate(FilterSettings(zones=("Example.com", "xn--bcher-kva.example.")))
    for qname in ("example.com", "www.EXAMPLE.com", "a.xn--bcher-kva.example"):
        assert gate.decide(dns.message.make_query(qname, "A"))[0] == "forward"
    query = dns.message.make_query("example.org", "A", use_edns=0)
    verdict, reason, wire = gate.decide(query)
    assert (verdict, reason) == ("reply", "not-served")
    assert reply_to(query, wire).rcode() == dns.rcode.REFUSED


def test_a_star_lets_all_names_in_beside_named_zones() -> None:
    gate = Gate(FilterSettings(zones=("example.com", "*")))
    assert gate.decide(dns.message.make_query("example.org", "A"))[0] == "forward"


@pytest.mark.parametrize(
    ("action", "udp", "tcp"),
    [
        ("drop", "drop", "drop"),
        ("truncate", "reply", "forward"),
        ("refuse", "reply", "reply"),
        ("observe", "forward", "forward"),
    ],
)
def test_the_action_of_a_limit(action: str, udp: str, tcp: str) -> None:
    limit = RateLimit(key="client-prefix", rate=1, burst=1, action=action)  # type: ignore[arg-type]  # all of its words
    gate = Gate(FilterSettings(rate_limits=(limit,)))
    assert gate.verdicts(2) == ["forward", udp]
    assert gate.verdicts(1, transport="tcp") == [tcp]


def test_a_truncated_reply_says_nothing_else() -> None:
    gate = Gate(FilterSettings(rate_limits=(RateLimit(key="global", rate=1, burst=1),)))
    gate.verdicts(1)
    query = dns.message.make_query("wWw.Example.com", "AAAA", want_dnssec=True)
    verdict, reason, wire = gate.decide(query)
    reply = reply_to(query, wire)
    assert (verdict, reason, reply.rcode()) == ("reply", "rate-limited", dns.rcode.NOERROR)
    assert reply.flags & dns.flags.TC
    assert reply.question[0].name.to_text() == "wWw.Example.com."
    assert (reply.edns, reply.ednsflags & dns.flags.DO) == (0, dns.flags.DO)
    assert [reply.answer, reply.authority, reply.additional] == [[], [], []]


def test_burst_is_twice_the_rate_unless_set() -> None:
    gate = Gate(FilterSettings(rate_limits=(RateLimit(key="client-prefix", rate=5, action="drop"),)))
    assert gate.verdicts(20).count("forward") == 10
    gate.now += SECOND
    assert gate.verdicts(20).count("forward") == 5


def test_the_largest_rate_has_a_burst_too() -> None:
    limit = RateLimit(key="global", rate=100_000_000, action="drop")
    assert Gate(FilterSettings(rate_limits=(limit,))).verdicts(3) == ["forward"] * 3


def test_prefix_lengths() -> None:
    limit = RateLimit(key="client-prefix", rate=1, burst=1, prefix_v4=24, prefix_v6=48, action="drop")
    gate = Gate(FilterSettings(rate_limits=(limit,)))
    query = dns.message.make_query("example.com", "A")
    sources = ["198.51.100.1", "198.51.100.2", "198.51.101.1", "2001:db8:1::1", "2001:db8:1:ffff::1", "2001:db8:2::1"]
    verdicts = [gate.decide(query, source=(address, 40_000))[0] for address in sources]
    assert verdicts == ["forward", "drop", "forward", "forward", "drop", "forward"]


@pytest.mark.parametrize(
    ("key", "same", "other"),
    [("qname", "EXAMPLE.com", "a.example.com"), ("zone", "a.example.com", "example.net")],
)
def test_keys_of_names(key: str, same: str, other: str) -> None:
    limit = RateLimit(key=key, rate=1, burst=1, action="drop")  # type: ignore[arg-type]  # two of its words
    gate = Gate(FilterSettings(zones=("example.com", "example.net"), rate_limits=(limit,)))
    assert gate.verdicts(1, "example.com") + gate.verdicts(1, same) + gate.verdicts(1, other) == [
        "forward",
        "drop",
        "forward",
    ]


def test_error_budget() -> None:
    gate = Gate(FilterSettings(zones=("example.com",), error_budget=ErrorBudget(rate=100, prefix_rate=3)))
    assert gate.verdicts(5, "example.org") == ["reply"] * 3 + ["drop"] * 2
    assert gate.decide(dns.message.make_query("example.org", "A"))[1] == "error-budget"
    assert gate.verdicts(5, "example.org", transport="tcp") == ["reply"] * 3 + ["drop"] * 2


def test_checks() -> None:
    any_query = dns.message.make_query("example.com", "ANY")
    version = dns.message.make_query("version.bind", "TXT", "CH")
    truncated = dns.message.make_query("example.com", "A")
    truncated.flags |= dns.flags.TC
    longer = dns.message.make_query("example.com", "A").to_wire() + b"\0"
    messages = (any_query, version, truncated, longer)
    strict = Gate(FilterSettings())
    assert [strict.decide(message)[1] for message in messages] == [
        "any-over-udp",
        "chaos-refused",
        "ok",
        "trailing-bytes",
    ]
    open_checks = Checks(any_over_udp="pass", chaos="pass", trailing_bytes="pass", tc_bit="drop")
    lax = Gate(FilterSettings(checks=open_checks))
    assert [lax.decide(message)[1] for message in messages] == ["ok", "ok", "tc-bit", "ok"]


@pytest.mark.parametrize(
    ("grant", "opcode", "qtype"),
    [
        ("transfer", dns.opcode.QUERY, "AXFR"),
        ("transfer", dns.opcode.QUERY, "IXFR"),
        ("notify", dns.opcode.NOTIFY, "SOA"),
        ("update", dns.opcode.UPDATE, "SOA"),
    ],
)
def test_grants(grant: str, opcode: dns.opcode.Opcode, qtype: str) -> None:
    message = dns.message.make_query("example.com", qtype)
    message.set_opcode(opcode)
    gate = Gate(FilterSettings(zones=("example.com",)))
    for allow in ((), tuple({"transfer", "notify", "update"} - {grant})):
        verdict, reason, wire = gate.decide(message, transport="tcp", allow=allow)
        assert (verdict, reason) == ("reply", f"{grant}-refused")
        assert wire is not None
        assert dns.message.from_wire(wire).rcode() == dns.rcode.REFUSED
    assert gate.decide(message, transport="tcp", allow=(grant,)) == ("forward", "ok", None)


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("", 'the root zone is written "."'),
        ("@", 'the root zone is written "."'),
        ("*.example.com", "write 'example.com'"),
        ("example.com ", "space"),
        ("exam\tple.com", "space or control character"),
        ("a..b", "empty"),
        (".example.com", "empty"),
        ("bücher.example", "xn--"),
        ("x" * 64 + ".com", "63"),
        (".".join(["x" * 60] * 5), "255"),
        (r"\999.com", "escape"),
    ],
)
def test_what_is_no_zone(zone: str, hint: str) -> None:
    with pytest.raises(FilterError) as caught:
        compile_policy(FilterSettings(zones=("example.com", zone)))
    assert repr(zone) in str(caught.value)
    assert hint in str(caught.value)


def test_zones_in_wire_form() -> None:
    assert zone_wire(".") == b"\0"
    assert zone_wire("Example.com") == zone_wire("example.COM.") == b"\7example\3com\0"
    assert zone_wire(r"a\.b.c\032") == b"\3a.b\2c \0"


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_a_zone_or_a_filter_error(zone: str) -> None:
    try:
        wire = zone_wire(zone)
    except FilterError:
        return
    assert wire.endswith(b"\0")
    assert len(wire) <= 255
    compile_policy(FilterSettings(zones=(zone,)))


def test_too_many_limits() -> None:
    limits = tuple(RateLimit(key="global", rate=rate) for rate in range(1, 34))
    with pytest.raises(FilterError, match="33 rate limits are more than 32"):
        compile_policy(FilterSettings(rate_limits=limits))


def test_words_that_the_policy_does_not_know() -> None:
    checks: list[tuple[str, str]] = []
    budget = (1, 1)
    good = limit_rows([RateLimit(key="global", rate=1)], {})[0]
    for word, value in (
        ("key", ["nobody"]),
        ("action", "explode"),
        ("unit", "apples"),
        ("algorithm", "x"),
        ("rate", 0),
    ):
        with pytest.raises(ValueError, match=r"nobody|explode|apples|x|rate of 0"):
            Policy(zones=[], pass_all=True, rate_limits=[{**good, word: value}], checks=checks, error_budget=budget)
    for choice, error in (
        (("tc-bit", "x"), '"x" is no choice'),
        (("tc", "drop"), '"tc" is no reason'),
        (("rate-limited", "drop"), "no reason of the wire check"),
        (("is-response", "observe"), "leaves no choice"),
        (("source-port", "refuse"), "never answered"),
        (("name-cut", "pass"), "observe it"),
    ):
        with pytest.raises(ValueError, match=error):
            Policy(zones=[], pass_all=True, rate_limits=[], checks=[choice], error_budget=budget)
    with pytest.raises(ValueError, match="not one whole name"):
        Policy(zones=[b"\1a"], pass_all=False, rate_limits=[], checks=checks, error_budget=budget)


def test_a_client_that_is_none() -> None:
    gate = Gate(FilterSettings())
    with pytest.raises(ValueError, match="is no transport"):
        gate.decide(b"", transport="carrier-pigeon")
    with pytest.raises(ValueError, match="can't be allowed"):
        gate.decide(b"", allow=("everything",))


@pytest.mark.parametrize(("key", "shape"), [(key, field.shape) for key, field in fields(Checks).items()])
def test_the_data_plane_takes_every_choice_of_every_row(key: str, shape: Shape) -> None:
    assert len(shape.choices) > 1
    for word in shape.choices:
        compile_policy(FilterSettings(checks=Checks(**{key: word})))
