"""The flood stops by itself and counts truly; the wait for a zone wants records, not any answer."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.rcode
import pytest
from click.testing import CliRunner

from bench.errors import BenchError
from bench.flood import Flood, main
from bench.knocks import LENGTH, Knocks, is_refused
from bench.served import await_served
from proxy.values import Endpoint
from tests.support.backends import answer_to
from tests.support.peers import ChildProcess, free_port


def test_a_flood_sends_what_it_says(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        target.bind(("127.0.0.1", 0))
        target.settimeout(5)
        sent = Flood(Endpoint.of(target.getsockname()), "www.bench.example", 6400, 0.1, "127.0.0.3").run()
        assert 64 <= sent <= 2 * 640
        received = [target.recvfrom(512) for _ in range(sent)]  # a time-out is an error: one less came
        target.setblocking(False)
        with pytest.raises(BlockingIOError):
            target.recv(512)
    assert {source[0] for _, source in received} == {"127.0.0.3"}
    query = dns.message.from_wire(received[-1][0])
    assert query.question[0].name.to_text() == "www.bench.example."
    assert query.edns == 0


def test_a_flood_stays_on_loopback() -> None:
    refused = CliRunner().invoke(main, ["--target", "192.0.2.1:53"])
    assert refused.exit_code == 2
    assert "loopback" in refused.output


@contextmanager
def server(*replies: Callable[[bytes], bytes]) -> Iterator[tuple[Endpoint, list[bytes]]]:
    """A server that gives these replies, one to each query, and then no more; and the queries that it got."""
    queries: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)

        def serve() -> None:
            for reply in replies:
                query, client = sock.recvfrom(512)
                queries.append(query)
                sock.sendto(reply(query), client)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Endpoint.of(sock.getsockname()), queries
        thread.join()


def failing(query: bytes) -> bytes:
    answer = dns.message.make_response(dns.message.from_wire(query))
    answer.set_rcode(dns.rcode.SERVFAIL)
    return answer.to_wire()


def empty(query: bytes) -> bytes:
    return dns.message.make_response(dns.message.from_wire(query)).to_wire()


def garbage(query: bytes) -> bytes:
    return query[:2] + b"\x80"


def test_served_is_what_is_answered_with_records(tmp_path: Path) -> None:
    with (
        ChildProcess([sys.executable, "-c", "import signal; signal.pause()"], tmp_path / "log") as child,
        server(failing, empty, garbage, answer_to) as (endpoint, queries),
    ):
        await_served(child, endpoint, "bench.example", timeout=10, name="www.bench.example")
    assert len(queries) == 4


def nowhere() -> Endpoint:
    return Endpoint.parse(f"127.0.0.1:{free_port('udp')}")


def test_a_server_that_ended_will_not_serve(tmp_path: Path) -> None:
    with (
        ChildProcess([sys.executable, "-c", "raise SystemExit('no zone')"], tmp_path / "log") as child,
        pytest.raises(BenchError, match=r"(?s)ended with status 1.*no zone"),
    ):
        await_served(child, nowhere(), "bench.example")


def test_a_zone_that_never_comes_is_an_error(tmp_path: Path) -> None:
    with (
        ChildProcess([sys.executable, "-c", "import signal; signal.pause()"], tmp_path / "log") as child,
        pytest.raises(BenchError, match="did not serve"),
    ):
        await_served(child, nowhere(), "bench.example", timeout=0.05)


def test_knocks_hold_some_connections_and_reset_the_others() -> None:
    with socket.socket() as target:
        target.bind(("127.0.0.1", 0))
        target.listen(4096)
        connected = Knocks(Endpoint.of(target.getsockname()), 500, 0.2, held=3).run()
        assert 1 <= connected <= 200
        target.setblocking(False)
        for number in range(3 + connected):
            accepted, source = target.accept()  # BlockingIOError: one less came
            with accepted:
                assert (source[0], accepted.recv(16)) == ("127.0.0.3", LENGTH)
                if number < 3:
                    assert accepted.recv(1) == b"", "closed at the end"
                else:
                    with pytest.raises(ConnectionResetError):
                        accepted.recv(1)
        with pytest.raises(BlockingIOError):
            target.accept()


def test_a_door_that_refuses_is_told_from_one_that_waits() -> None:
    with socket.socket() as target:
        target.bind(("127.0.0.1", 0))
        target.listen()
        endpoint = Endpoint.of(target.getsockname())
        assert not is_refused(endpoint)

        def refuse() -> None:
            for _ in range(2):  # the one that was not refused is the first
                target.accept()[0].close()

        closer = threading.Thread(target=refuse)
        closer.start()
        assert is_refused(endpoint)
        closer.join()
