"""Blocks in real processes: a flood is stopped, polite clients are served; operators, crashes, restarts, reloads."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from tests.gateway.neighbours import Client, backend
from tests.gateway.running import Running
from tests.support.peers import free_port, until

CONFIG = """\
version = 1
state = "kept"
[ingress]
workers = 2
[[ingress.listeners]]
address = "127.0.0.1:{port}"
[[ingress.backends]]
name = "ns-a"
address = "{backend}"
[ingress.udp]
receive_buffer = 65536
[filters]
zones = ["example.com"]
table_size = 1024
[admin]
address = "{{admin}}"
[log]
format = "json"
"""

FLOOD = """\
[[filters.dynamic_blocks]]
name = "garbage"
what = "malformed"
rate = 20
ratio = 0.5
window = 2
ladder = ["drop"]
duration = 300
"""

# 127.0.0.1 is the address of the backend and of the listener, so it is exempt.
ATTACKER, POLITE = "127.0.0.66", "127.0.0.2"


@pytest.fixture
def node() -> Iterator[str]:
    with backend() as address:
        yield address


def running(directory: Path, node: str, port: int, more: str = "") -> Running:
    return Running(directory, CONFIG.format(port=port, backend=node) + more)


def sender(source: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(10)
    made.bind((source, 0))
    made.connect(("127.0.0.1", port))
    return made


def ask(client: socket.socket, name: str = "www.example.com") -> dns.message.Message:
    """The answer to a query, which must come."""
    query = dns.message.make_query(name, "A")
    client.send(query.to_wire())
    answer = dns.message.from_wire(client.recv(4096))
    assert answer.id == query.id
    return answer


def blocks(gateway: Running) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = gateway.get("/blocks").json()["blocks"]
    return listed


def passes(source: str, port: int) -> bool:
    """Whether a query from there is answered, and not cut short. A block is silence, so the wait is short."""
    with closing(sender(source, port)) as client:
        client.settimeout(0.2)
        try:
            return not ask(client).flags & dns.flags.TC
        except TimeoutError:
            return False


def hear(source: str, port: int) -> bytes:
    """The first byte of a connection from there; a reset may come while it is still being made."""
    with socket.socket() as stream:
        stream.settimeout(10)
        stream.bind((source, 0))
        stream.connect(("127.0.0.1", port))
        return stream.recv(1)


def zonegate(gateway: Running, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--config", str(gateway.file)])


def test_a_flood_of_garbage_is_blocked_while_a_polite_client_is_answered(tmp_path: Path, node: str) -> None:
    port = free_port("both")
    with running(tmp_path, node, port, FLOOD) as gateway:
        gateway.notified("READY=1")
        with closing(sender(ATTACKER, port)) as attacker, closing(sender(POLITE, port)) as polite:
            begun, asked = time.time(), 0

            def flood() -> list[dict[str, Any]]:
                nonlocal asked
                for _ in range(50):
                    attacker.send(os.urandom(11))
                    assert ask(polite).rcode() == dns.rcode.NOERROR
                    asked += 1
                return blocks(gateway)

            (block,) = until(flood, 20, "the block")
            assert (block["subject"], block["action"], block["rule"]) == (f"{ATTACKER}/32", "drop", "garbage")
            # Three seconds where the CPUs aren't shared: samples come once a second, and are looked at once a second.
            assert block["since"] - begun < 6
            assert "malformed messages of" in block["reason"]
            assert f"from {ATTACKER}/32" in block["reason"]
            until(lambda: not passes(ATTACKER, port), what="the block to hold")
            assert passes(POLITE, port)
            with pytest.raises(ConnectionResetError):  # its connections are closed at once
                hear(ATTACKER, port)
            until(lambda: flood()[0]["hits"] > 0, what="hits")
            assert asked > 50
            top = gateway.get("/top?seconds=60").json()["sampled"]
            assert {POLITE, ATTACKER} <= {row["subject"] for row in top["rows"]["clients"]}
            assert 'zonegate_policy_blocked_total{action="drop",rule="garbage"}' in gateway.get("/metrics").text
        assert gateway.event("block.added")["subject"] == f"{ATTACKER}/32"


def test_an_operator_blocks_by_the_command_line_and_it_survives_all(tmp_path: Path, node: str) -> None:
    port = free_port("both")
    with running(tmp_path, node, port) as gateway:
        gateway.notified("READY=1")
        assert passes(ATTACKER, port)
        added = zonegate(gateway, "blocks", "add", f"{ATTACKER}/32", "--for", "1h", "--reason", "ticket 7")
        assert (added.exit_code, added.output) == (0, f"blocked: {ATTACKER}/32 (drop), number 1\n")
        until(lambda: not passes(ATTACKER, port), what="the block to hold")
        assert zonegate(gateway, "blocks", "add", "www.example.com", "--action", "truncate").exit_code == 0
        until(lambda: not passes(POLITE, port), what="the truncation")
        refused = zonegate(gateway, "blocks", "add", "127.0.0.1")
        assert refused.exit_code == 1
        assert "is exempt" in refused.output
        shown = zonegate(gateway, "blocks", "list")
        assert "ticket 7" in shown.output
        assert len(json.loads(zonegate(gateway, "blocks", "list", "--json").output)["blocks"]) == 2
        removed = zonegate(gateway, "blocks", "remove", "2")
        assert removed.output == "removed: www.example.com. (truncate), number 2\n"
        assert zonegate(gateway, "blocks", "remove", "2").exit_code == 1
        until(lambda: passes(POLITE, port), what="the truncation to end")
        top = zonegate(gateway, "top", "--once")
        assert top.exit_code == 0
        assert "queries/s" in top.output
        # A reload keeps it, and a worker that was killed begins with it.
        assert gateway.post("/reload").json()["ok"]
        for name in ("ingress-0", "ingress-1"):
            pid = gateway.process_state(name)["pid"]
            os.kill(pid, signal.SIGKILL)
            gateway.serving_again(name, pid)
        assert not any(passes(ATTACKER, port) for _ in range(4))
        gateway.signal(signal.SIGTERM)
        assert gateway.exit_code() == 0
    with running(tmp_path, node, port) as gateway:
        gateway.notified("READY=1")
        assert [(block["id"], block["reason"]) for block in blocks(gateway)] == [(1, "ticket 7")]
        assert not passes(ATTACKER, port)
        assert passes(POLITE, port)


def test_a_torn_file_of_blocks_is_an_event_and_the_gateway_serves(tmp_path: Path, node: str) -> None:
    port = free_port("both")
    (tmp_path / "kept").mkdir(mode=0o700)
    (tmp_path / "kept" / "blocks.json").write_bytes(b'{"version":1,"next":4,"blo')
    with running(tmp_path, node, port) as gateway, closing(Client(port)) as client:
        gateway.notified("READY=1")
        assert client.ask().rcode() == dns.rcode.NOERROR
        assert "blocks.json" in gateway.event("blocks.load-failed")["file"]
        assert blocks(gateway) == []
