"""The UDP door: answers leave from the address that was asked."""

from __future__ import annotations

import socket
from collections import Counter

import pytest

from proxy.egress.sockets import open_egress_socket
from proxy.egress.udp_door import BATCH, Peer, UdpDoor
from proxy.values import Endpoint
from tests.egress.ring import fresh_endpoint
from tests.support.peers import auntil

ANY = "0.0.0.0"  # noqa: S104 - what is tested; clients ask by loopback addresses


class Echo:
    """A door that sends back what it gets."""

    def __init__(self, place: Endpoint) -> None:
        self.place = place
        self.faults: Counter[str] = Counter()
        self.seen: list[bytes] = []
        self.door = UdpDoor(open_egress_socket("exit", place, "udp").socket, self.receive, self.faults)

    def receive(self, data: bytes, peer: Peer) -> None:
        self.seen.append(data)
        self.door.send(data, peer)


@pytest.mark.parametrize(
    ("wildcard", "asked"),
    [(ANY, "127.0.0.2"), (ANY, "127.0.0.1"), ("[::]", "127.0.0.3"), ("[::]", "::1"), ("[::1]", "::1")],
)
async def test_the_answer_comes_from_where_the_question_went(wildcard: str, asked: str) -> None:
    echo = Echo(Endpoint.parse(f"{wildcard}:{fresh_endpoint().port}"))
    family = socket.AF_INET6 if ":" in asked else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect((asked, echo.place.port))  # the kernel drops what comes from elsewhere
        client.send(b"who are you?")
        await auntil(lambda: echo.seen)
        assert client.recv(100) == b"who are you?"
    echo.door.close()
    echo.door.close()


async def test_a_flood_is_read_in_turns() -> None:
    echo = Echo(fresh_endpoint())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for _ in range(2 * BATCH):
            client.sendto(b"flood", echo.place.sockaddr)
        await auntil(lambda: len(echo.seen) == 2 * BATCH)
    echo.door.close()


async def test_what_can_not_be_sent_is_counted() -> None:
    echo = Echo(fresh_endpoint())
    assert not echo.door.send(bytes(65_536), Peer(("127.0.0.1", 9)))
    assert echo.faults == {"send-error": 1}
    echo.door.close()
