"""Health of backends: the state machine by its table, the answers that count, the monitor against real sockets."""

from __future__ import annotations

import dns.message
import dns.rcode
import dns.rrset
import pytest

from proxy.ingress.health import HealthMonitor, Judge, State, check, is_good_answer
from proxy.settings import Backend, Health
from tests.support.backends import UdpBackend
from tests.support.peers import auntil

SOA = "ns1.example.com. host.example.com. 7 3600 600 86400 300"


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ("", "unknown"),
        ("+", "healthy"),
        ("-", "unhealthy"),
        ("+--", "healthy"),
        ("+---", "unhealthy"),
        ("+--+--", "healthy"),
        ("-+", "unhealthy"),
        ("-++", "healthy"),
        ("-+-+", "unhealthy"),
    ],
)
def test_rise_and_fall(results: str, state: State) -> None:
    judge = Judge(rise=2, fall=3)
    for result in results:
        before = judge.state
        changed = judge.good() if result == "+" else judge.bad()
        assert changed == (judge.state != before)
    assert judge.state == state


def soa_answer(asked: bytes, code: dns.rcode.Rcode = dns.rcode.NOERROR) -> bytes:
    response = dns.message.make_response(dns.message.from_wire(asked))
    response.set_rcode(code)
    if code == dns.rcode.NOERROR:
        response.answer.append(dns.rrset.from_text(response.question[0].name, 300, "IN", "SOA", SOA))
    return response.to_wire()


def test_what_counts_as_a_good_answer() -> None:
    query = dns.message.make_query("example.com", "SOA")
    good = soa_answer(query.to_wire())
    assert is_good_answer(good, query)
    assert not is_good_answer(bytes([good[0] ^ 1]) + good[1:], query), "another ID"
    assert not is_good_answer(good[:-3], query), "cut"
    assert not is_good_answer(b"", query)
    assert not is_good_answer(soa_answer(query.to_wire(), dns.rcode.REFUSED), query), "the zone is not there"
    assert not is_good_answer(soa_answer(query.to_wire(), dns.rcode.SERVFAIL), query), "the zone has expired"
    assert not is_good_answer(dns.message.make_response(query).to_wire(), query), "no SOA"


def test_for_the_root_any_answer_but_servfail_is_good() -> None:
    query = dns.message.make_query(".", "SOA")
    assert is_good_answer(soa_answer(query.to_wire(), dns.rcode.REFUSED), query)
    assert not is_good_answer(soa_answer(query.to_wire(), dns.rcode.SERVFAIL), query)


async def test_a_check_waits_for_the_right_answer_among_wrong_ones() -> None:
    backend = await UdpBackend(lambda data: [b"junk", data, soa_answer(data)]).open()
    assert await check(backend.endpoint, "example.com", 5)
    backend.script = lambda data: [b"junk"]
    assert not await check(backend.endpoint, "example.com", 0.05)
    await backend.close()
    assert not await check(backend.endpoint, "example.com", 5), "a closed port is known at once"


async def test_the_monitor_tells_of_changes_and_keeps_what_it_knows() -> None:
    backend = await UdpBackend(lambda data: [soa_answer(data)]).open()
    settings = Health(interval=0.02, timeout=0.5, rise=2, fall=2)
    changes: list[tuple[int, bool]] = []
    monitor = HealthMonitor(settings, "example.com", lambda slot, healthy: changes.append((slot, healthy)))
    watched = {3: Backend(name="ns-a", address=backend.endpoint)}
    monitor.watch(settings, "example.com", watched)
    assert monitor.state(3) == "unknown"
    await auntil(lambda: changes == [(3, True)])
    monitor.watch(settings, "example.com", watched)
    assert monitor.state(3) == "healthy", "a reload forgets nothing"
    backend.script = lambda data: []
    await auntil(lambda: changes == [(3, True), (3, False)])
    backend.script = lambda data: [soa_answer(data)]
    await auntil(lambda: changes[2:] == [(3, True)])
    monitor.stop()
    await backend.close()


async def test_passive_marks_bring_a_backend_down_before_the_next_check() -> None:
    backend = await UdpBackend(lambda data: [soa_answer(data)]).open()
    settings = Health(interval=3600, rise=2, fall=2)
    changes: list[tuple[int, bool]] = []
    monitor = HealthMonitor(settings, "example.com", lambda slot, healthy: changes.append((slot, healthy)))
    alive, dead = (Backend(name="ns-a", address=backend.endpoint, timeout=timeout) for timeout in (3600, 0.000001))
    monitor.watch(settings, "example.com", {0: alive})
    await auntil(lambda: changes == [(0, True)])
    for _ in range(5):
        monitor.failed(0)
    assert changes == [(0, True)], "it answered a check after the queries were sent that timed out"
    monitor.watch(settings, "example.com", {0: dead})
    monitor.failed(0)
    assert changes == [(0, True)]
    monitor.failed(0)
    assert changes == [(0, True), (0, False)]
    monitor.failed(9)
    monitor.stop()
    await backend.close()
