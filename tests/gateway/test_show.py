"""What `zonegate status` shows for people."""

from __future__ import annotations

import io

from rich.console import Console

from gateway.cli.show import tables, worries
from gateway.state import GatewayState, ProcessState, Readiness


def process(index: int, body: dict[str, object]) -> ProcessState:
    return ProcessState(
        name=f"ingress-{index}",
        role="ingress",
        index=index,
        pid=100 + index,
        phase="serving",
        age=7,
        restarts=0,
        body=body,
    )


def state(*processes: ProcessState) -> GatewayState:
    return GatewayState(
        version="0",
        pid=1,
        config=None,
        uptime=7,
        serial=1,
        readiness=Readiness(ready=True, checks=()),
        processes=processes,
        events={},
    )


def shown(*processes: ProcessState) -> str:
    output = io.StringIO()
    console = Console(file=output, width=200)
    for table in tables(state(*processes)):
        console.print(table)
    return output.getvalue()


def backends(**states: str) -> dict[str, object]:
    return {"backends": [{"name": name, "slot": 0, "state": state} for name, state in states.items()]}


def test_backends_are_shown_once_with_what_the_workers_say() -> None:
    text = shown(process(0, backends(a="healthy", b="healthy")), process(1, backends(a="healthy", b="unhealthy")))
    lines = [line.split(maxsplit=1) for line in text.splitlines()]
    assert ["a", "healthy"] in [[part.strip() for part in line] for line in lines]
    assert "healthy (1 of 2 workers), unhealthy (1 of 2 workers)" in text


def test_tunnels_show_failures_and_markup_of_others_stays_text() -> None:
    tunnel = {
        "name": "fra",
        "kind": "shadowsocks",
        "streams_open": 1,
        "streams_total": 12345,
        "bytes_in": 0,
        "bytes_out": 0,
        "failures": {"[red]refused[/]": 2, "timeout": 0},
        "last_error": "no",
    }
    text = shown(process(0, {"tunnels": [tunnel], "forwarders": [], "exit": None}))
    assert "12,345" in text
    assert "[red]refused[/] 2" in text
    assert "timeout" not in text


def test_what_should_not_stay_is_said_below() -> None:
    ways = [
        {"tunnel": "fra", "state": "open", "error": "no answer within 2 s"},
        {"tunnel": "ams", "state": "closed", "error": "an old one"},
    ]
    body: dict[str, object] = {
        "routes": [
            {"primary": "customer-a", "transport": "tcp", "fault": None, "ways": ways},
            {"primary": "customer-a", "transport": "udp", "fault": "unknown", "ways": []},
        ],
        "tls": [{"primary": "customer-a", "expires_in": 86400 * 3}, {"primary": "customer-b", "expires_in": None}],
        "notify": {"backends": [{"backend": "ns-a", "pending": 2}, {"backend": "ns-b", "pending": 0}]},
    }
    assert list(worries(state(process(0, body)))) == [
        "tunnel fra to customer-a over tcp: no answer within 2 s",
        "customer-a over udp: no tunnel leads to an answer; `zonegate tunnels` says what to do",
        "our certificate for customer-a ends in 3 days",
        "backend ns-a has yet to follow NOTIFY for 2 zones",
    ]
    assert list(worries(state(process(0, {})))) == []


def test_nothing_told_yet_shows_the_processes() -> None:
    assert "ingress-0" in shown(process(0, {}))


def test_users_of_the_exit_have_a_table_of_their_own() -> None:
    user = {
        "name": "berlin",
        "streams_open": 2,
        "streams_total": 54321,
        "associations_open": 1,
        "bytes_in": 10,
        "bytes_out": 20,
        "rejects": {"user-rate": 3},
    }
    exit_ = {**user, "listen": "192.0.2.1:8388", "handshakes": 7, "rejects": {"replay": 1}, "users": [user]}
    text = shown(process(0, {"tunnels": [], "forwarders": [], "exit": exit_}))
    assert "handshakes" in text
    assert "replay 1" in text
    (line,) = (line for line in text.splitlines() if "berlin" in line)
    assert "54,321" in line
    assert "user-rate 3" in line
    assert "berlin" not in shown(process(0, {"tunnels": [], "forwarders": [], "exit": {**exit_, "users": []}}))
