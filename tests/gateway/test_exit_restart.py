"""An exit in real processes whose transfer process is killed: recordings of before are refused, clients are served."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from pathlib import Path

import dns.message
import pytest

from gateway.config import load
from proxy.protocol.dns_frames import frame
from proxy.protocol.editions import client_stream
from proxy.protocol.methods import METHODS
from proxy.settings import Exit
from proxy.values import Endpoint
from tests.gateway.running import Running
from tests.support.peers import free_port, until

SOA = dns.message.make_query("example.com", "SOA").to_wire()

CONFIG = """\
version = 1
[admin]
address = "{{admin}}"
[exit]
listen = "127.0.0.1:{port}"
method = "2022-blake3-aes-128-gcm"
key = "AAECAwQFBgcICQoLDA0ODw=="
allow = ["127.0.0.1/32:{target}"]
handshake_timeout = 0.5
[[exit.users]]
name = "berlin"
key = "EBESExQVFhcYGRobHB0eHw=="
"""


def head(settings: Exit, target: Endpoint) -> bytes:
    method = METHODS[settings.method]
    assert settings.key is not None
    identity = (method.key_from_text(settings.key.reveal()),)
    own = method.key_from_text(settings.users[0].key.reveal())
    return client_stream(method, own, identity).open(target, frame(SOA), time.time())


def served(settings: Exit, data: bytes, target: socket.socket) -> bool:
    """Whether the exit opens the target for this head and passes the query on; if not, it resets the connection."""
    with socket.create_connection(settings.listen.sockaddr, timeout=20) as client:
        client.sendall(data)
        ready, _, _ = select.select([client, target], [], [], 20)
        if target not in ready:
            with pytest.raises(ConnectionResetError):
                client.recv(1)
            return False
        connected, _ = target.accept()
        with connected:
            connected.settimeout(20)
            return connected.recv(65536) == frame(SOA)


def test_a_restart_opens_no_replay_and_refuses_no_client(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as target:
        place = Endpoint.of(target.getsockname())
        text = CONFIG.format(port=free_port(), target=place.port)
        with Running(tmp_path, text) as gateway:
            gateway.notified("READY=1")
            settings = load(gateway.file).settings.exit
            assert settings is not None
            recorded = head(settings, place)
            assert served(settings, recorded, target)
            assert not served(settings, recorded, target), "a replay"
            stamp = int(time.time())
            until(lambda: int(time.time()) > stamp, what="the next second")
            old = gateway.process_state("transfer")["pid"]
            os.kill(old, signal.SIGKILL)
            until(lambda: gateway.process_state("transfer")["pid"] not in {old, None}, what="another process")
            assert served(settings, head(settings, place), target), "what waited in the socket"
            assert not served(settings, recorded, target), "its salt is forgotten, its stamp tells"
            rejects = until(lambda: exit_of(gateway).get("rejects"), what="the count")
            assert rejects == {"before-start": 1}


def exit_of(gateway: Running) -> dict[str, object]:
    """What the transfer process says of its exit."""
    return dict((gateway.process_state("transfer")["body"] or {}).get("exit") or {})
