"""The detectors: what they find in samples, within the error of sampling, and what they leave alone."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filters.detectors import MOST_SUBJECTS, Detectors, Finding, is_canonical, parse_subject, read_name, show_name
from filters.detectors.detectors import check
from filters.detectors.window import Counts, Window
from filters.errors import FilterError
from filters.settings import BlockSettings, DynamicBlock, FilterSettings
from filters.values import Network
from tests.filters.sampling import Answer, Query, batch

TOO_SHORT, NXDOMAIN = 1, 3


def detectors(*rules: DynamicBlock, **blocks: object) -> Detectors:
    return Detectors(
        FilterSettings(zones=("example.com", "*"), dynamic_blocks=rules, blocks=BlockSettings(**blocks))  # type: ignore[arg-type]  # as the caller says
    )


def malformed(client: str = "198.51.100.7") -> Query:
    return Query(client=client, name=None, act="drop", reason=TOO_SHORT)


MALFORMED = DynamicBlock(name="malformed", what="malformed", rate=50, ratio=0.5, window=2, prefix_v4=24)
RANDOM = DynamicBlock(name="water", what="random-subdomains", by="suffix", rate=50, ratio=0.5, window=2)


def test_a_malformed_flood_is_found_and_says_why() -> None:
    looking = detectors(MALFORMED)
    good = [Query(client=f"192.0.2.{n}") for n in range(100)]
    (finding,) = looking.look([batch([malformed()] * 400 + [Query(client="198.51.100.8")] * 100 + good)])
    assert (finding.subject, finding.kind, finding.over) == ("198.51.100.0/24", "prefix", True)
    assert finding.reason == (
        '200 malformed messages of 250 queries a second from 198.51.100.0/24 during 2 s; rule "malformed"'
    )
    assert (finding.times, finding.mix) == (4.0, 0.8)


def test_what_leaves_the_window_is_forgotten() -> None:
    looking = detectors(MALFORMED)
    assert looking.look([batch([malformed()] * 400)])
    assert looking.look([batch()])
    assert looking.look([batch()]) == []
    assert looking.look([]) == []


def test_a_ratio_spares_those_that_err_now_and_then() -> None:
    looking = detectors(MALFORMED)
    assert looking.look([batch([malformed()] * 200 + [Query(client="198.51.100.7")] * 2000)]) == []


def test_too_few_samples_prove_nothing() -> None:
    looking = detectors(MALFORMED)
    assert looking.look([batch([malformed()] * 19, times=1000)]) == []
    assert looking.look([batch([malformed()], times=1000)])


def test_between_the_thresholds_a_finding_is_held_and_none_is_over() -> None:
    looking = detectors(MALFORMED)
    (finding,) = looking.look([batch([malformed()] * 60)])
    assert not finding.over
    assert detectors(MALFORMED).look([batch([malformed()] * 48)]) == []


def test_what_a_block_stops_counts_as_what_it_was_stopped_for() -> None:
    blocked = Query(client="198.51.100.7", name=None, act="drop", reason=_reason("blocked"))
    looking = detectors(MALFORMED)
    assert looking.look([batch([blocked] * 400)]) == []
    presumed = {("malformed", "198.51.100.0/24"): 0.8}
    (finding,) = looking.look([batch()], presumed)
    assert (finding.over, finding.times, finding.mix) == (True, 3.2, 0.8)
    assert looking.look([batch([blocked] * 10)], presumed) == [], "the flood is over"


def _reason(label: str) -> int:
    """The number of a reason, found as the data plane tells it."""
    from dataplane import SampleTally

    for number in range(256):
        tally = SampleTally()
        tally.add(batch([Query(act="drop", reason=number)]))
        if any(f"reason:drop:{label}" in counts for _, _, _, counts, _ in tally.take(1)):
            return number
    raise LookupError(label)


def test_random_subdomains_are_found_and_many_clients_of_few_names_are_not() -> None:
    looking = detectors(RANDOM)
    flood = [Answer(name=f"x{n}.example.com.", rcode=NXDOMAIN) for n in range(500)]
    real = [Answer(name="www.EXAMPLE.com.")] * 200
    (finding,) = looking.look([batch(answers=flood + real)])
    assert (finding.subject, finding.over) == ("example.com.", True)
    assert 180 < finding.times * 50 < 320
    typo = [Answer(name=f"w{n % 3}.example.com.", rcode=NXDOMAIN) for n in range(500)]
    assert detectors(RANDOM).look([batch(answers=typo)]) == []
    busy = [Answer(name=f"host{n}.example.com.") for n in range(2000)] + flood[:200]
    assert detectors(RANDOM).look([batch(answers=busy)]) == []


def test_without_a_served_zone_names_are_judged_by_their_parent() -> None:
    flood = [Answer(name=f"x{n}.shop.test.", rcode=NXDOMAIN) for n in range(500)]
    (finding,) = detectors(RANDOM).look([batch(answers=flood)])
    assert finding.subject == "shop.test."


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (DynamicBlock(name="q", what="queries", rate=99, window=1), "100 queries a second from 192.0.2.1/32"),
        (DynamicBlock(name="t", what="qtype", of="ANY", rate=40, ratio=0.4, window=1), "50 queries of type ANY of 100"),
        (
            DynamicBlock(name="r", what="rcode", of="SERVFAIL", rate=30, ratio=0.5, window=1),
            "60 answers SERVFAIL of 100",
        ),
        (DynamicBlock(name="b", what="response-bytes", rate=90_000, window=1), "100,000 bytes of answers a second"),
    ],
)
def test_each_kind_measures_its_own(rule: DynamicBlock, found: str) -> None:
    queries = [Query(qtype=255 if n % 2 else 1) for n in range(100)]
    answers = [Answer(rcode=2 if n < 60 else 0, size=1000) for n in range(100)]
    (finding,) = detectors(rule).look([batch(queries, answers)])
    assert finding.over
    assert finding.reason.startswith(found)


def test_exempt_clients_and_names_are_not_looked_at() -> None:
    flood = [malformed()] * 400
    assert detectors(MALFORMED, exempt=(Network.parse("198.51.100.0/25"),)).look([batch(flood)]) == []
    names = [Answer(name=f"x{n}.cdn.example.com.", rcode=NXDOMAIN) for n in range(500)]
    assert detectors(RANDOM, exempt_names=("cdn.example.com",)).look([batch(answers=names)]) == []
    assert detectors(RANDOM).look([batch(answers=names)])


@given(st.integers(0, 2**32), st.integers(200, 2000), st.integers(1, 100))
@settings(max_examples=25, deadline=None)  # the CPUs are shared
def test_a_rate_is_right_within_the_error_of_sampling(seed: int, kept: int, times: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test draws its samples
    share = chance.uniform(0.2, 0.9)
    queries = [Query(client="192.0.2.1" if chance.random() < share else "198.51.100.1") for _ in range(kept)]
    rule = DynamicBlock(name="q", what="queries", rate=1, window=1)
    findings = detectors(rule).look([batch(queries, times=times)])
    (found,) = [finding for finding in findings if finding.subject == "192.0.2.1/32"]
    expected = share * kept * times
    # Five standard deviations of a binomial draw.
    error = 5 * (share * (1 - share) / kept) ** 0.5 * kept * times + 1
    assert abs(found.times - expected) <= error


def test_forged_sources_can_not_make_it_grow() -> None:
    looking = detectors(DynamicBlock(name="q", what="queries", rate=1, window=2, samples=1))
    for second in range(5):
        flood = [Query(client=f"10.{second}.{n // 256}.{n % 256}") for n in range(4 * MOST_SUBJECTS)]
        looking.look([batch(flood)])
    window = next(iter(looking._windows.values()))
    assert len(list(window.sums())) <= 2 * MOST_SUBJECTS


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.sampled_from("xy"), st.integers(1, 9))), max_size=8
    )
)
def test_a_window_is_the_sum_of_its_seconds(seconds: list[dict[str, dict[str, int]]]) -> None:
    window = Window(3)
    for second in seconds:
        window.push({subject: Counts(dict(counts), 1, []) for subject, counts in second.items()})
    expected: dict[str, dict[str, int]] = {}
    for second in seconds[-3:]:
        for subject, counts in second.items():
            sums = expected.setdefault(subject, {})
            for counter, count in counts.items():
                sums[counter] = sums.get(counter, 0) + count
    assert {subject: held.counts for subject, held in window.sums()} == expected


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_are_no_findings_and_no_error(batches: list[bytes]) -> None:
    found: list[Finding] = detectors(MALFORMED, RANDOM).look(batches)
    assert found == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.7", ("prefix", "192.0.2.7/32")),
        ("192.0.2.0/24", ("prefix", "192.0.2.0/24")),
        ("2001:DB8::/32", ("prefix", "2001:db8::/32")),
        ("Example.COM", ("suffix", "example.com.")),
        (".", ("suffix", ".")),
        ("a\\032b.test", ("suffix", "a\\032b.test.")),
        ("0/25.2.0.192.in-addr.arpa", ("suffix", "0/25.2.0.192.in-addr.arpa.")),
        ("4711.", ("suffix", "4711.")),
    ],
)
def test_a_subject_is_read_and_shown(text: str, expected: tuple[str, str]) -> None:
    assert parse_subject(text) == expected
    assert parse_subject(expected[1]) == expected


@pytest.mark.parametrize("text", ["192.0.2.1/24", "2001:db8::/129", "1.2.3", "", "a..b", "münchen.de", "a b"])
def test_what_is_no_subject_is_refused(text: str) -> None:
    with pytest.raises(FilterError):
        parse_subject(text)


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=6))
@example([b"*"])
@example([b"*", b"example"])
@example([b"0/25", b"2"])
@example([b"@"])
@example([b"fe80::1%eth0"])
@example([b"\xff" * 63] * 3 + [b"\xfe" * 61])
def test_whatever_name_a_client_asks_for_can_be_read_again(labels: list[bytes]) -> None:
    """It may become the subject of a block: one that can't be read would end the gateway, or lose all blocks."""
    wire = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    if len(wire) <= 255:
        shown = show_name(wire)
        assert read_name(shown) == wire.lower()
        assert is_canonical("suffix", show_name(wire.lower()))


def test_a_name_brings_nothing_into_a_terminal() -> None:
    assert show_name(b"\x05\x1b[31m\x03a\xe2\x80\x00").isprintable()
    hostile = show_name(b"\x07\x1b[31mx\n\x06[bold]\x03\xe2\x80\xae\x00")
    assert hostile.isascii()
    assert hostile.isprintable()
    assert show_name(b"\xc0\x0c") == "0xc00c"


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        (DynamicBlock(name="a", what="rcode", rate=1), "needs `of`"),
        (DynamicBlock(name="a", what="rcode", of="NONSENSE", rate=1), "is no RCODE"),
        (DynamicBlock(name="a", what="rcode", of="BADVERS", rate=1), "stands in OPT"),
        (DynamicBlock(name="a", what="qtype", of="(!", rate=1), "is no type"),
        (DynamicBlock(name="a", what="queries", of="ANY", rate=1), "takes no `of`"),
        (DynamicBlock(name="a", what="queries", ratio=0.5, rate=1), "has no ratio"),
        (DynamicBlock(name="a", what="random-subdomains", rate=1), "measured by"),
        (DynamicBlock(name="a", what="queries", rate=1, ladder=("drop", "warn")), "each step is stronger"),
        (DynamicBlock(name="b", what="queries", rate=1), "names are unique"),
    ],
)
def test_rules_that_make_no_sense_are_faults(rule: DynamicBlock, complaint: str) -> None:
    other = DynamicBlock(name="b", what="queries", rate=1)
    faults = list(check(FilterSettings(dynamic_blocks=(other, rule))))
    assert len(faults) == 1
    assert complaint in faults[0][2]
    assert list(check(FilterSettings())) == [], "the rules that hold without any make sense"
