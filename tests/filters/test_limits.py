"""The settings of rate limits: keys, prefix lengths, units, algorithms, slip, exemptions and names."""

from __future__ import annotations

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane import Policy
from filters.errors import FilterError
from filters.limits import KNOT_V4, KNOT_V6, limit_names, limit_rows, limit_words
from filters.policy import compile_policy
from filters.responses import CLASSES, response_row
from filters.settings import FilterSettings, RateLimit, ResponseLimits
from filters.values import Network, PrefixLength
from tests.filters.test_policy import SECOND, Gate


def gate(**settings: object) -> Gate:
    """One limit that drops, unless said otherwise."""
    limit = RateLimit(**{"key": "client-prefix", "rate": 1, "burst": 2, "action": "drop", **settings})  # type: ignore[arg-type]  # each test gives words that fit
    return Gate(FilterSettings(rate_limits=(limit,)))


def asked(door: Gate, *sources: str, qname: str = "a.example", count: int = 1) -> list[int]:
    """How many of `count` queries at once are forwarded for each source."""
    query = dns.message.make_query(qname, "A").to_wire()
    return [
        sum(door.decide(query, source=(source, 40_000))[0] == "forward" for _ in range(count)) for source in sources
    ]


def test_a_key_of_several_parts() -> None:
    door = gate(key=("client-prefix", "qname"))
    assert asked(door, "198.51.100.1", "198.51.100.2", count=5) == [2, 2]
    assert asked(door, "198.51.100.1", qname="b.example", count=5) == [2]
    assert asked(door, "198.51.100.1", qname="B.EXAMPLE", count=5) == [0]


def test_opcode_and_transport_are_keys() -> None:
    door = gate(key=("opcode", "transport"))
    query, notify = dns.message.make_query("a.example", "A"), dns.message.make_query("a.example", "SOA")
    notify.set_opcode(dns.opcode.NOTIFY)
    verdicts = [door.decide(query, transport=word)[0] for word in ("udp", "udp", "udp", "tcp", "tls")]
    assert verdicts == ["forward", "forward", "drop", "forward", "forward"]
    assert door.decide(notify, allow=("notify",))[0] == "forward"


def test_prefix_lengths_with_factors() -> None:
    door = gate(prefixes_v4=(PrefixLength(32), PrefixLength(24, 3)), prefixes_v6=(PrefixLength.parse("/64"),))
    assert asked(door, *(f"198.51.100.{last}" for last in range(5)), count=9) == [2, 2, 2, 0, 0]
    assert asked(door, "198.51.101.1", "2001:db8::1", "2001:db8::2", count=9) == [2, 2, 0]


def test_the_scale_of_knot() -> None:
    row = limit_rows([RateLimit(key="client-prefix", rate=50, scale="knot")], {})[0]
    assert row["prefixes_v4"] == [(32, 1), (24, 32), (20, 256), (18, 768)]
    assert row["prefixes_v6"] == [(128, 1), (64, 2), (56, 3), (48, 4), (32, 64)]
    own = limit_rows([RateLimit(key="client-prefix", rate=50, scale="knot", prefixes_v4=KNOT_V4[:1])], {})[0]
    assert (own["prefixes_v4"], len(KNOT_V6)) == ([(32, 1)], 5)
    door = gate(scale="knot", rate=1, burst=1)
    # 32 for the /24; 256 for the /20, of which the first two /24 took 64.
    assert sum(asked(door, *(f"10.0.0.{last}" for last in range(100)))) == 32
    assert sum(asked(door, *(f"10.0.1.{last}" for last in range(100)))) == 32
    assert sum(asked(door, *(f"10.0.{third}.{last}" for third in range(2, 16) for last in range(40)))) == 256 - 64


def test_bytes() -> None:
    door = gate(unit="bytes", rate=100, burst=270)
    assert len(dns.message.make_query("a.example", "A").to_wire()) == 27
    assert asked(door, "198.51.100.1", count=20) == [10]
    door.now += SECOND
    assert asked(door, "198.51.100.1", count=20) == [3]


def test_decay() -> None:
    door = gate(algorithm="decay", rate=50, burst=125)
    assert asked(door, "198.51.100.1", count=200) == [125]
    door.now += 2 * SECOND
    # 125 * (1 - e^-0.8): a bucket would give 100.
    assert asked(door, "198.51.100.1", count=200) == [68]


def test_slip() -> None:
    door = gate(action="truncate", slip=3, burst=1)
    assert [door.verdicts(1)[0] for _ in range(7)] == ["forward", "drop", "drop", "reply", "drop", "drop", "reply"]
    assert "reply" not in gate(action="truncate", slip=0).verdicts(20)


def test_observe_and_exempt() -> None:
    assert gate(observe=True).verdicts(9) == ["forward"] * 9
    door = gate(exempt=(Network.parse("198.51.100.0/25"), Network.parse("2001:db8::/32")))
    assert asked(door, "198.51.100.127", "198.51.100.128", "2001:db8:ffff::1", count=9) == [9, 2, 9]


def test_names_and_counters() -> None:
    limits = (RateLimit(name="hosts", key="client-prefix", rate=1), RateLimit(key="global", rate=1))
    assert limit_names(limits) == ["hosts", "1"]
    assert [row["slot"] for row in limit_rows(limits, {})] == [0, 1]
    assert [row["slot"] for row in limit_rows(limits, {"hosts": 7, "1": 3})] == [7, 3]
    assert limit_words(RateLimit(key=("client-prefix", "qname"), rate=9, unit="bytes")) == (
        "9 bytes a second by client-prefix and qname"
    )


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"prefixes_v4": (PrefixLength(33),)}, "a prefix of 33 bits"),
        ({"algorithm": "decay", "rate": 1_000_000, "burst": 1}, "write at least 10"),
    ],
)
def test_what_can_not_be_compiled(settings: dict[str, object], text: str) -> None:
    with pytest.raises(FilterError, match=text):
        gate(**settings)


@pytest.mark.parametrize(
    ("text", "value"),
    [("/32", (32, 1)), ("24", (24, 1)), ("/24 x32", (24, 32)), ("/18x768", (18, 768)), ("/0", (0, 1))],
)
def test_prefix_lengths_are_written(text: str, value: tuple[int, int]) -> None:
    length = PrefixLength.parse(text)
    assert (length.bits, length.factor) == value
    assert PrefixLength.parse(str(length)) == length


@given(st.text(max_size=20))
def test_any_text_is_a_prefix_length_or_an_error(text: str) -> None:
    try:
        length = PrefixLength.parse(text)
    except ValueError:
        length = PrefixLength(24, 32)
    assert 0 <= length.bits <= 128
    assert PrefixLength.parse(str(length)) == length


def test_a_policy_of_all_kinds_compiles() -> None:
    limits = tuple(
        RateLimit(key=("client-prefix", part), rate=10, unit=unit, algorithm=algorithm, scale="knot")
        for part in ("zone", "qname", "qtype", "opcode", "transport")
        for unit in ("packets", "bytes")
        for algorithm in ("bucket", "decay")
    )
    policy = compile_policy(FilterSettings(rate_limits=limits))
    assert policy is not None


def test_response_limits_take_the_rate_unless_a_class_has_its_own() -> None:
    row = response_row(ResponseLimits(rate=7, nxdomain=3, error=0, exempt=(Network.parse("192.0.2.0/24"),)))
    assert row is not None
    assert row["rates"] == dict.fromkeys(CLASSES, 7) | {"nxdomain": 3, "error": 0}
    assert (row["prefixes"], row["slip"], row["exempt"]) == ((24, 56), 2, [("192.0.2.0", 24)])
    assert response_row(None) is None
    compile_policy(FilterSettings(response_limits=ResponseLimits(rate=100_000_000, window=3600)))


def test_response_limits_that_can_not_be_compiled() -> None:
    tight = ResponseLimits(rate=100_000_000, window=1, algorithm="decay")
    assert compile_policy(FilterSettings(response_limits=tight)) is not None
    good = response_row(ResponseLimits(rate=1))
    assert good is not None
    for key, value in (("rates", {"apples": 1}), ("unit", "apples"), ("algorithm", "apples")):
        with pytest.raises(ValueError, match="apples"):
            Policy(
                zones=[],
                pass_all=True,
                rate_limits=[],
                checks=[],
                error_budget=(1, 1),
                responses={**good, key: value},
            )
