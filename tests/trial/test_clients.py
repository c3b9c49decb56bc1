"""A described message is the one that real clients send."""

from __future__ import annotations

import socket
import subprocess

import pytest

from gateway.trial.described import form, name_wire, type_number
from tests.support.peers import require


@pytest.mark.parametrize(
    ("program", "asked", "flags", "size", "do", "options"),
    [
        ("kdig", "+noadflag +norec +noedns", "", None, False, []),
        ("kdig", "+rec +bufsize=1232", "rd,ad", 1232, False, []),
        ("kdig", "+noadflag +norec +cdflag +dnssec +nsid +bufsize=1400", "cd", 1400, True, ["NSID"]),
        ("kdig", "+noadflag +norec +subnet=192.0.2.0/24 +bufsize=1232", "", None, False, ["ECS:00011800c00002"]),
        ("dig", "+norec +noadflag +noedns", "", None, False, []),
        ("dig", "+rec +adflag +dnssec +nocookie +bufsize=1232", "rd,ad", None, True, []),
        ("dig", "+norec +noad +nocookie +ednsopt=65001:0a0b", "", 1232, False, ["OPTION65001:0a0b"]),
    ],
)
def test_what_clients_send(
    program: str, asked: str, flags: str, size: int | None, do: bool, options: list[str]
) -> None:
    path = require(program)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        port = str(server.getsockname()[1])
        words = [path, "@127.0.0.1", "-p", port, *asked.split(), "www.example.com", "TYPE65"]
        client = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            sent = server.recv(4096)
        finally:
            client.kill()
            client.wait()
    described = form(flags, "QUERY", size, do, options).message(
        name_wire("www.example.com"), type_number("TYPE65"), 1, int.from_bytes(sent[:2])
    )
    assert described == sent
