"""Health of backends: the state machine by its table, the answers that count, the monitor against real sockets."""

from __future__ import annotations

import math

import dns.message
import dns.rcode
import dns.rrset
import pytest

from proxy.ingress.health import HealthMonitor, Judge, State
from proxy.ingress.probes import advice, check, is_good_answer, remedy
from proxy.protocol.proxy_headers import Way
from proxy.settings import Backend, Health, ProxyOut
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
    assert await check(backend.endpoint, "example.com", 5) == "good"
    backend.script = lambda data: [b"junk"]
    assert await check(backend.endpoint, "example.com", 0.05) == "wrong"
    backend.script = lambda data: []
    assert await check(backend.endpoint, "example.com", 0.05) == "silent"
    await backend.close()
    assert await check(backend.endpoint, "example.com", 5) == "wrong", "a closed port is known at once"


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


async def test_lost_checks_say_nothing_of_a_backend_that_answers_clients() -> None:
    backend = await UdpBackend(lambda data: [soa_answer(data)]).open()
    settings = Health(interval=0.01, timeout=0.02, rise=1, fall=2)
    changes: list[bool] = []
    answered = {0: math.inf}
    monitor = HealthMonitor(
        settings, "example.com", lambda _, healthy: changes.append(healthy), answered=lambda slot: answered[slot]
    )
    monitor.watch(settings, "example.com", {0: Backend(name="ns-a", address=backend.endpoint, timeout=0.000001)})
    await auntil(lambda: changes == [True])
    backend.script = lambda data: []
    before = len(backend.received)
    await auntil(lambda: len(backend.received) > before + 4)
    for _ in range(5):
        monitor.failed(0)
    assert changes == [True], "overloaded, but alive"
    answered[0] = 0.0
    await auntil(lambda: changes == [True, False])
    backend.script = lambda data: [soa_answer(data)]
    await auntil(lambda: changes == [True, False, True])
    answered[0] = math.inf
    backend.script = lambda data: [soa_answer(data, dns.rcode.SERVFAIL)]
    await auntil(lambda: changes == [True, False, True, False])
    monitor.stop()
    await backend.close()


SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


@pytest.mark.parametrize(("way", "length"), [("plain", 0), ("local", 16), ("v2", 28), ("v2-crc", 35), ("spp", 38)])
async def test_a_check_comes_behind_its_header(way: Way, length: int) -> None:
    def script(data: bytes) -> list[bytes]:
        back = data[:length] if way == "spp" else b""
        return [back + soa_answer(data[length:])]

    backend = await UdpBackend(script).open()
    assert await check(backend.endpoint, "example.com", 5, way) == "good"
    ((head, (host, port)),) = [(data[:length], where) for data, where in backend.received]
    if way in {"v2", "v2-crc"}:
        assert head[:13] == SIGNATURE + b"\x21"
        assert head[16:20] == bytes(map(int, host.split(".")))
        assert head[24:26] == port.to_bytes(2)
    elif way == "local":
        assert head == SIGNATURE + b"\x20\0\0\0"
    await backend.close()


@pytest.mark.parametrize(
    ("header", "answered", "words"),
    [
        (ProxyOut(), set(), None),
        (ProxyOut(), {"plain"}, None),
        (ProxyOut(), {"v2", "local"}, 'udp = "v2"'),
        (ProxyOut(), {"spp"}, 'udp = "spp"'),
        (ProxyOut(udp="v2"), {"plain"}, 'udp = "off", or let it take PROXY v2'),
        (ProxyOut(udp="v2"), {"plain", "v2"}, 'health = "plain"'),
        (ProxyOut(udp="v2"), {"v2"}, 'health = "proxy"'),
        (ProxyOut(udp="v2", crc=True), {"v2", "local"}, None),
        (ProxyOut(udp="v2", health="plain"), {"plain"}, 'udp = "off"'),
        (ProxyOut(udp="spp"), {"v2", "local"}, 'udp = "v2"'),
        (ProxyOut(udp="spp"), {"plain"}, "take SPP"),
    ],
)
def test_what_is_answered_says_what_to_set(header: ProxyOut, answered: set[Way], words: str | None) -> None:
    found = remedy(header, answered)
    assert found is None if words is None else words in (found or "")


async def test_a_backend_without_headers_is_advised_on_when_it_fails() -> None:
    def script(data: bytes) -> list[bytes]:
        # As a server that reads the header as a query: NOTIMP, under the ID that stands there.
        return [data[:2] + b"\x8c\x04" + bytes(8)] if data.startswith(SIGNATURE) else [soa_answer(data)]

    backend = await UdpBackend(script).open()
    settings = Health(interval=0.02, timeout=0.2, rise=2, fall=2)
    remedies: list[tuple[int, str]] = []
    monitor = HealthMonitor(settings, "example.com", lambda *_: None, lambda slot, text: remedies.append((slot, text)))
    node = Backend(name="ns-a", address=backend.endpoint, proxy_protocol=ProxyOut(udp="v2"))
    monitor.watch(settings, "example.com", {0: node})
    await auntil(lambda: len(remedies) == 1)
    assert "without a header only" in remedies[0][1]
    assert remedies[0][1] == await advice(node, "example.com", 0.2)
    monitor.stop()
    await backend.close()
