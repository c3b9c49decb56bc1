"""From `[filters.cookies]` to decisions: each setting does what its description says."""

from __future__ import annotations

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from dataplane import SharedMemory
from filters.cookies import cookie_row, secret_bytes
from filters.errors import FilterError
from filters.policy import compile_policy
from filters.settings import Cookies, FilterSettings, RateLimit
from filters.values import Secret

SECRET = Secret("e5e973e5a6b2a43f48e7dc849e37bfcf")
OWN = bytes.fromhex("2464c4abcf10c957")
# RFC 9018 appendix A.1: the client's address, the time of its query, and the server cookie that it gets.
CLIENT = "198.51.100.100"
THEN = 1_559_731_985
SERVER = bytes.fromhex("010000005cf79f111f8130c3eee29480")

SHOWN = {"none": b"", "client": OWN, "valid": OWN + SERVER, "bad": OWN + SERVER[::-1]}


def decide(
    settings: FilterSettings, shown: str, *, transport: str = "udp", count: int = 1
) -> list[tuple[str, str, int]]:
    """Verdict, reason and RCODE (0 without a reply) of queries at the time of the RFC's example."""
    policy, memory = compile_policy(settings), SharedMemory.create(1, settings.table_size)
    options: list[dns.edns.Option] = []
    if SHOWN[shown]:
        options.append(dns.edns.GenericOption(dns.edns.OptionType.COOKIE, SHOWN[shown]))
    found = []
    for number in range(count):
        query = dns.message.make_query("www.example.com", "A", use_edns=0, options=options)
        client = (transport, (CLIENT, 40_000), ("192.0.2.53", 53), list[str]())
        verdict, reason, wire = policy.decide(query.to_wire(), client, memory=memory, now=THEN * 10**9 + number)
        reply = None if wire is None else dns.message.from_wire(wire)
        if reply is not None and options:
            (cookie,) = reply.options
            assert cookie.to_wire() == OWN + SERVER
        found.append((verdict, reason, 0 if reply is None else int(reply.rcode())))
    counted = [row for row in memory.cookies() if settings.cookies.secret is not None]
    assert counted == ([(transport, shown, count)] if settings.cookies.secret is not None else [])
    return found


@pytest.mark.parametrize(
    ("unverified", "shown", "verdict"),
    [
        ("pass", "none", ("forward", "ok", 0)),
        ("pass", "client", ("forward", "ok", 0)),
        ("pass", "bad", ("forward", "ok", 0)),
        ("badcookie", "none", ("forward", "ok", 0)),
        ("badcookie", "client", ("reply", "cookie-required", 23)),
        ("badcookie", "bad", ("reply", "cookie-required", 23)),
        ("badcookie", "valid", ("forward", "ok", 0)),
        ("truncate", "none", ("reply", "cookie-required", 0)),
        ("truncate", "client", ("reply", "cookie-required", 0)),
        ("truncate", "valid", ("forward", "ok", 0)),
    ],
)
def test_unverified_queries(unverified: str, shown: str, verdict: tuple[str, str, int]) -> None:
    cookies = Cookies(secret=SECRET, unverified=unverified)  # type: ignore[arg-type] # a word of the table above
    assert decide(FilterSettings(cookies=cookies), shown) == [verdict]
    assert decide(FilterSettings(cookies=cookies), shown, transport="tcp") == [("forward", "ok", 0)]


def test_slip_answers_some_and_drops_the_others() -> None:
    verdicts = decide(FilterSettings(cookies=Cookies(secret=SECRET, unverified="badcookie", slip=2)), "bad", count=200)
    assert set(verdicts) == {("reply", "cookie-required", 23), ("drop", "cookie-required", 0)}
    assert 50 < verdicts.count(("drop", "cookie-required", 0)) < 150


def test_a_valid_cookie_passes_a_limit_that_truncates() -> None:
    limits = (RateLimit(key="client-prefix", rate=1, burst=1, action="truncate"),)
    settings = FilterSettings(rate_limits=limits, cookies=Cookies(secret=SECRET))
    assert {verdict for verdict, _, _ in decide(settings, "valid", count=50)} == {"forward"}
    assert decide(settings, "client", count=3)[1:] == [("reply", "rate-limited", 23)] * 2
    assert decide(settings, "none", count=3)[1:] == [("reply", "rate-limited", 0)] * 2


def test_an_accepted_secret_verifies_and_makes_none() -> None:
    other = Secret("445536bcd2513298075a5d379663c962")
    assert decide(FilterSettings(cookies=Cookies(secret=SECRET, accepted_secrets=(other,))), "valid")
    policy = compile_policy(
        FilterSettings(cookies=Cookies(secret=other, accepted_secrets=(SECRET,), unverified="truncate"))
    )
    memory = SharedMemory.create(1, 1024)
    for value, forwarded in [(OWN + SERVER, True), (OWN, False)]:
        query = dns.message.make_query(
            "a", "A", use_edns=0, options=[dns.edns.GenericOption(dns.edns.OptionType.COOKIE, value)]
        )
        client = ("udp", (CLIENT, 40_000), ("192.0.2.53", 53), list[str]())
        verdict, _, wire = policy.decide(query.to_wire(), client, memory=memory, now=THEN * 10**9)
        assert (verdict == "forward") == forwarded
        if wire is not None:
            (cookie,) = dns.message.from_wire(wire).options
            assert cookie.to_wire() not in {OWN + SERVER, OWN}


def test_without_a_secret_they_are_off() -> None:
    assert cookie_row(Cookies(unverified="truncate")) is None
    assert decide(FilterSettings(), "bad") == [("forward", "ok", 0)]


@pytest.mark.parametrize("text", ["", "e5", "e5e973e5" * 3 + "e5e973e", "e5e973e5" * 3 + "e5e973eg", "é" * 32])
def test_a_secret_that_is_none_is_refused_unseen(text: str) -> None:
    with pytest.raises(FilterError, match="32 hexadecimal digits") as caught:
        secret_bytes(Secret(text))
    assert not text or text not in str(caught.value)


def test_a_secret_is_written_as_servers_write_it() -> None:
    assert secret_bytes(Secret(f" {SECRET.reveal().upper()}\n")) == bytes.fromhex(SECRET.reveal())
