"""Neighbours of a gateway under test: a backend in a thread of its own, and a client that asks one query."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

ANSWER = 10.0
"""Seconds in which an answer must come."""


@contextmanager
def backend() -> Iterator[str]:
    """A secondary that answers SOA and A queries over UDP, in a thread; gives its address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_serve, args=(server,))
        thread.start()
        host, port = server.getsockname()
        try:
            yield f"{host}:{port}"
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", (host, port))
            thread.join(5)


def _serve(server: socket.socket) -> None:
    """Answer until an empty datagram comes."""
    while True:
        query, client = server.recvfrom(4096)
        if not query:
            return
        message = dns.message.from_wire(query)
        answer = dns.message.make_response(message)
        answer.flags |= dns.flags.AA
        question = message.question[0]
        if question.rdtype == dns.rdatatype.SOA:
            answer.answer.append(dns.rrset.from_text(question.name, 1, "IN", "SOA", "a. b. 1 2 3 4 5"))
        else:
            answer.answer.append(dns.rrset.from_text(question.name, 1, "IN", "A", "192.0.2.80"))
        server.sendto(answer.to_wire(), client)


class Client:
    """Asks over UDP; `port` is where."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(ANSWER)
        self._socket.connect(("127.0.0.1", port))

    def send(self, name: str = "www.example.com") -> dns.message.Message:
        """Send a query without waiting."""
        query = dns.message.make_query(name, "A")
        self._socket.send(query.to_wire())
        return query

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        """The answer of a query that was sent."""
        answer = dns.message.from_wire(self._socket.recv(4096))
        assert answer.id == query.id
        return answer

    def ask(self, name: str = "www.example.com") -> dns.message.Message:
        """Send a query and wait for its answer."""
        return self.answer(self.send(name))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
