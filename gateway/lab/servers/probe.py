"""Does a server answer yet? A SOA query over UDP, sent anew at each look until an answer has come (RFC 1035 4.1)."""

from __future__ import annotations

import socket
from contextlib import suppress
from types import TracebackType
from typing import Self

import dns.exception
import dns.message

from proxy.values import Endpoint


class Probe:
    """Called, it says whether the server has answered by now; it never blocks. Any RCODE counts as an answer."""

    def __init__(self, endpoint: Endpoint, zone: str) -> None:
        self._query = dns.message.make_query(zone, "SOA")
        self._wire = self._query.to_wire()
        family = socket.AF_INET6 if endpoint.address.version == 6 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect(endpoint.sockaddr)

    def __call__(self) -> bool:
        # Refused means that nothing listens there yet; it shows up at the next call, whichever that is.
        with suppress(ConnectionRefusedError, BlockingIOError):
            while True:
                if self._is_answer(self._socket.recv(4096)):
                    return True
        with suppress(ConnectionRefusedError, BlockingIOError):
            self._socket.send(self._wire)
        return False

    def _is_answer(self, wire: bytes) -> bool:
        try:
            return self._query.is_response(dns.message.from_wire(wire))
        except dns.exception.DNSException:
            return False

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
