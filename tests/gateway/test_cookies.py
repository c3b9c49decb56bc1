"""DNS cookies through a running gateway: dig and kdig as clients, BIND, NSD and Knot DNS as peers of one secret."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.edns
import dns.message
import dns.query
import dns.rcode
import pytest

from gateway.lab.servers.bind import Bind
from gateway.lab.servers.knot import Knot
from gateway.lab.servers.nsd import Nsd
from gateway.lab.servers.roles import Primary
from gateway.lab.servers.server import NameServer
from gateway.lab.zones import LabZone
from proxy.values import Endpoint
from tests.gateway.running import Running
from tests.support.peers import free_port, require, until

ZONE = LabZone("cookies.example", hosts=3)
HOST = "host-0.cookies.example"
KEY = "e5e973e5a6b2a43f48e7dc849e37bfcf"
OTHER = "445536bcd2513298075a5d379663c962"
OWN = b"12345678"


class CookieBind(Bind):
    """BIND that takes cookies of the secret alone."""

    def configuration(self) -> str:
        options = f'options {{\n    answer-cookie yes;\n    require-server-cookie yes;\n    cookie-secret "{KEY}";'
        return super().configuration().replace("options {", options, 1)


class CookieNsd(Nsd):
    """NSD with cookies of the secret."""

    def configuration(self) -> str:
        options = f'server:\n    answer-cookie: yes\n    cookie-secret: "{KEY}"'
        return super().configuration().replace("server:", options, 1)


class CookieKnot(Knot):
    """Knot DNS that takes cookies of the secret alone."""

    def configuration(self) -> str:
        module = f'mod-cookies:\n  - id: all\n    secret: "0x{KEY}"\n    badcookie-slip: 1\n'
        template = "template:\n  - id: default\n    global-module: mod-cookies/all\n"
        return module + super().configuration().replace("template:\n", template, 1)


def configuration(port: int, backend: Endpoint, cookies: str) -> str:
    return f"""\
version = 1
[admin]
address = "{{admin}}"
[ingress]
workers = 1
[[ingress.listeners]]
address = "127.0.0.1:{port}"
[[ingress.backends]]
name = "node"
address = "{backend}"
[filters]
zones = ["{ZONE.name}"]
[filters.cookies]
{cookies}
"""


class Gate(Running):
    """A gateway with cookies in front of a node."""

    def __init__(self, directory: Path, backend: Endpoint, cookies: str) -> None:
        self.backend = backend
        self.endpoint = Endpoint.parse(f"127.0.0.1:{free_port()}")
        directory.mkdir()
        super().__init__(directory, configuration(self.endpoint.port, backend, cookies))

    def reload(self, cookies: str) -> None:
        """Take other settings of the cookies."""
        self.write(configuration(self.endpoint.port, self.backend, cookies))
        self.signal(signal.SIGHUP)
        self.notified("READY=1")

    def shown(self, state: str, transport: str = "udp") -> int:
        """How many messages showed a cookie in this state."""
        name = f'zonegate_ingress_cookies_total{{state="{state}",transport="{transport}"}} '
        lines = [line for line in self.get("/metrics").text.splitlines() if line.startswith(name)]
        return int(float(lines[0].removeprefix(name))) if lines else 0


@contextmanager
def gate(directory: Path, software: type[NameServer], cookies: str) -> Iterator[Gate]:
    require(software.program)
    with (
        software(Primary({ZONE.name: ZONE.text(1, "now")}), directory / "node") as node,
        Gate(directory / "gate", node.endpoint, cookies) as running,
    ):
        running.notified("READY=1")
        yield running


def ask(where: Endpoint, value: bytes = OWN, *, tcp: bool = False, qname: str = HOST) -> dns.message.Message:
    """The answer to a query that shows this cookie; none for b""."""
    options: list[dns.edns.Option] = []
    if value:
        options.append(dns.edns.GenericOption(dns.edns.OptionType.COOKIE, value))
    query = dns.message.make_query(qname, "A", use_edns=0, options=options)
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, str(where.address), port=where.port, timeout=10)


def cookies_of(answer: dns.message.Message) -> list[bytes]:
    """The values of its COOKIE options."""
    return [option.to_wire() or b"" for option in answer.options if option.otype == dns.edns.OptionType.COOKIE]


def learn(where: Endpoint, *, tcp: bool = False) -> bytes:
    """The one cookie that a first query gets."""
    (cookie,) = cookies_of(ask(where, tcp=tcp))
    assert (len(cookie), cookie[:12]) == (24, OWN + b"\1\0\0\0")
    assert abs(int.from_bytes(cookie[12:16]) - time.time()) < 60
    return cookie


@pytest.mark.parametrize("software", [Nsd, Knot, Bind])
def test_a_client_learns_a_cookie_and_shows_it(tmp_path: Path, software: type[NameServer]) -> None:
    with gate(tmp_path, software, f'secret = "{KEY}"') as running:
        for transport in ("udp", "tcp"):
            tcp = transport == "tcp"
            cookie = learn(running.endpoint, tcp=tcp)
            again = ask(running.endpoint, cookie, tcp=tcp)
            assert (again.rcode(), len(again.answer), cookies_of(again)) == (dns.rcode.NOERROR, 1, [cookie])
            assert cookies_of(ask(running.endpoint, b"", tcp=tcp)) == []
            (refused,) = cookies_of(ask(running.endpoint, qname="elsewhere.test", tcp=tcp))
            assert refused[:8] == OWN
            assert [running.shown(state, transport) for state in ("client", "valid", "none", "bad")] == [2, 1, 1, 0]


@pytest.mark.parametrize("software", [CookieBind, CookieNsd, CookieKnot])
def test_gateway_and_server_take_each_others_cookies(tmp_path: Path, software: type[NameServer]) -> None:
    """Both see the client at 127.0.0.1, so what one gives is good at the other."""
    with gate(tmp_path, software, f'secret = "{KEY}"') as running:
        ours = learn(running.endpoint)
        at_server = ask(running.backend, ours)
        assert (at_server.rcode(), len(at_server.answer)) == (dns.rcode.NOERROR, 1)
        theirs = cookies_of(ask(running.backend, OWN[::-1]))[0]
        assert theirs[:12] == OWN[::-1] + b"\1\0\0\0"
        valid = running.shown("valid")
        assert ask(running.endpoint, theirs).rcode() == dns.rcode.NOERROR
        assert running.shown("valid") == valid + 1
        forged = theirs[:-1] + bytes([theirs[-1] ^ 1])
        assert cookies_of(ask(running.endpoint, forged)) != [forged]
        assert running.shown("bad") == 1


def test_a_backend_with_the_secret_can_have_the_option(tmp_path: Path) -> None:
    with gate(tmp_path, CookieBind, f'secret = "{KEY}"\nforward = true') as running:
        first = ask(running.endpoint)
        assert first.rcode() == dns.rcode.BADCOOKIE, "BIND has seen it, and wants a server cookie"
        (cookie,) = cookies_of(first)
        again = ask(running.endpoint, cookie)
        assert (again.rcode(), cookies_of(again)) == (dns.rcode.NOERROR, [cookie])
        running.reload(f'secret = "{KEY}"')
        until(lambda: ask(running.endpoint).rcode() == dns.rcode.NOERROR, what="a query without the option at BIND")


def test_without_a_secret_the_option_passes_untouched(tmp_path: Path) -> None:
    with gate(tmp_path, CookieBind, "") as running:
        assert ask(running.endpoint).rcode() == dns.rcode.BADCOOKIE
        assert running.shown("client") == 0


def test_the_secret_is_replaced_in_three_steps(tmp_path: Path) -> None:
    """RFC 9018 section 5: accept the new one, use the new one, forget the old one; no client is ever turned away."""
    with gate(tmp_path, Nsd, f'secret = "{KEY}"\nunverified = "badcookie"') as running:
        first = ask(running.endpoint)
        assert (first.rcode(), len(first.answer)) == (dns.rcode.BADCOOKIE, 0)
        (cookie,) = cookies_of(first)
        steps = [
            f'secret = "{KEY}"\naccepted_secrets = ["{OTHER}"]',
            f'secret = "{OTHER}"\naccepted_secrets = ["{KEY}"]',
            f'secret = "{OTHER}"',
        ]
        for step in steps:
            running.reload(f'{step}\nunverified = "badcookie"')
            answer = ask(running.endpoint, cookie)
            assert answer.rcode() == dns.rcode.NOERROR, step
            (cookie,) = cookies_of(answer)
        assert ask(running.endpoint, cookies_of(first)[0]).rcode() == dns.rcode.BADCOOKIE
        assert KEY not in running.log.read_text() + running.get("/status").text


def test_dig_and_kdig_come_through_each_challenge(tmp_path: Path) -> None:
    dig, kdig = require("dig"), require("kdig")

    def run(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

    with gate(tmp_path, Nsd, f'secret = "{KEY}"\nunverified = "badcookie"') as running:
        at = [f"@{running.endpoint.address}", "-p", str(running.endpoint.port), HOST, "A"]
        for program in (dig, kdig):
            assert "NOERROR" in run(program, *at, "+cookie", "+badcookie"), program
        # dig sends a cookie by default, asks again with that of BADCOOKIE, and checks what it gets.
        assert "(good)" in run(dig, *at)
        assert "BADCOOKIE" in run(dig, *at, "+nobadcookie")
        assert running.shown("valid") >= 3
        running.reload(f'secret = "{KEY}"\nunverified = "truncate"')
        for program in (dig, kdig):
            assert "NOERROR" in run(program, *at), program
            assert "TC" in run(program, *at, "+ignore").upper().split("FLAGS:")[1].split(";")[0]
        assert running.shown("none", "tcp") + running.shown("client", "tcp") + running.shown("valid", "tcp") >= 2
