"""Wait until a zone is served, and tell to the hundredth of a second when that was.

The launchers' own wait is content with any answer and looks ten times a second; to time a transfer takes more.
"""

from __future__ import annotations

import select
import socket
import time
from contextlib import suppress

import dns.exception
import dns.message
import dns.rcode

from bench.errors import BenchError
from gateway.lab.servers.process import ChildProcess
from proxy.values import Endpoint

STEP = 0.01  # seconds between two questions


def await_served(child: ChildProcess, endpoint: Endpoint, zone: str, timeout: float = 60.0, name: str = "") -> None:
    """Ask over UDP until there is a NOERROR answer that holds records: for the SOA of `zone`, or the address of `name`.

    Raises:
        BenchError: there was none within `timeout` seconds, or `child` ended.
    """
    query = dns.message.make_query(name, "A") if name else dns.message.make_query(zone, "SOA")
    wire = query.to_wire()
    deadline = time.monotonic() + timeout
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect(endpoint.sockaddr)
        while time.monotonic() < deadline:
            if not child.alive:
                raise BenchError(f"{child.name} ended with status {child.returncode}:\n{child.tail()}")
            # Refused: nothing listens yet. The kernel reports it at the call after the one that caused it.
            with suppress(ConnectionRefusedError):
                client.send(wire)
            if _answered(client, query, time.monotonic() + STEP):
                return
    raise BenchError(f"{child.name} did not serve {name or zone} within {timeout:g} s:\n{child.tail()}")


def _answered(client: socket.socket, query: dns.message.Message, until: float) -> bool:
    while (left := until - time.monotonic()) > 0:
        readable, _, _ = select.select([client], [], [], left)
        if not readable:
            return False
        with suppress(ConnectionRefusedError, BlockingIOError, dns.exception.DNSException):
            answer = dns.message.from_wire(client.recv(4096))
            if query.is_response(answer) and answer.rcode() == dns.rcode.NOERROR and answer.answer:
                return True
    return False
