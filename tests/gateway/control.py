"""A gateway that stands still, to ask the admin API and the metrics about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy

from prometheus_client import CollectorRegistry

from dataplane import SharedMemory
from gateway.blocks.keeper import BlockKeeper
from gateway.lists.values import ListState
from gateway.metrics import create_registry
from gateway.settings import AdminSettings, GatewaySettings
from gateway.state import GatewayState, ProcessState, Readiness, ReloadReport
from gateway.supervisor.blocking import Blocking
from gateway.supervisor.readiness import judge

WORKER = {
    "index": 0,
    "backends": [{"name": "ns-a", "slot": 0, "state": "healthy"}, {"name": "ns-b", "slot": 1, "state": "unhealthy"}],
    "udp_in_flight": 3,
    "udp_receive_drops": 4,
    "tcp_connections": 5,
    "tcp_in_flight": 6,
    "tcp_closes": {"idle": 7, "by-client": 0},
    "tcp_overloaded": False,
    "tcp_over_time": 3,
    "windows": [{"slot": 0, "transport": "udp", "size": 2048, "used": 12, "delay": 0.001}],
    "notify_accepted": 3,
    "notify_refused": {"badsig": 2},
    "admitted": {"verified": 8, "known": 0, "ordinary": 0, "new": 0},
}
TRANSFER = {
    "tunnels": [
        {
            "name": "fra",
            "kind": "shadowsocks",
            "streams_open": 1,
            "streams_total": 2,
            "datagrams_in": 3,
            "datagrams_out": 4,
            "bytes_in": 5,
            "bytes_out": 6,
            "failures": {"refused": 7},
            "last_error": None,
        }
    ],
    "routes": [
        {
            "primary": "p",
            "transport": "tcp",
            "chosen": "fra",
            "fault": "unknown",
            "ways": [
                {
                    "tunnel": "fra",
                    "state": "open",
                    "delay": 0.025,
                    "failed_share": 0.5,
                    "trips": 3,
                    "probes": 4,
                    "rcode": 0,
                    "answered_ago": 61.0,
                    "retry_in": 9.0,
                    "fault": "tunnel",
                    "error": "203.0.113.7 port 8388 refused the connection",
                    "remedy": "is the exit running?",
                }
            ],
        }
    ],
    "exit_addresses": [
        {
            "tunnel": "fra",
            "declared": ["203.0.113.7/32"],
            "seen": ["203.0.113.8"],
            "state": "mismatch",
            "error": None,
        }
    ],
    "forwarders": [
        {
            "listen": "127.0.0.1:5301",
            "primary": "p",
            "connections_open": 1,
            "connections_total": 2,
            "queries_udp": 3,
            "queries_tcp": 4,
            "answers_udp": 5,
            "waiting_udp": 6,
            "refused": {"not-allowed": 7},
            "bytes_in": 8,
            "verdicts": [["axfr", "accepted", 3]],
            "errors": {"REFUSED": 2},
            "turns": {"soa": 9, "transfer": 3},
            "wait_seconds": {"soa": 0.5, "transfer": 1.5},
        }
    ],
    "primaries": [
        {
            "name": "p",
            "connections_open": 1,
            "connections_opened": 2,
            "connections_reused": 3,
            "transfers_running": 4,
            "waiting": {"soa": 5, "transfer": 6},
        }
    ],
    "tls": [
        {
            "primary": "p",
            "handshakes": 3,
            "resumed": 2,
            "failures": {"tls-expired": 1},
            "last_error": None,
            "expires_in": 86400.0,
        }
    ],
    "exit": {
        "listen": "127.0.0.1:8388",
        "handshakes": 1,
        "salts": 2,
        "users": [
            {
                "name": "berlin",
                "streams_open": 1,
                "streams_total": 2,
                "associations_open": 3,
                "associations_total": 4,
                "datagrams_in": 5,
                "datagrams_out": 6,
                "bytes_in": 7,
                "bytes_out": 8,
                "throttled": 9,
                "rejects": {"user-rate": 10},
            }
        ],
        "streams_open": 1,
        "streams_total": 2,
        "associations_open": 3,
        "associations_total": 4,
        "datagrams_in": 5,
        "datagrams_out": 6,
        "bytes_in": 7,
        "bytes_out": 8,
        "rejects": {"replay": 9},
    },
    "notify": {
        "accepted": 9,
        "coalesced": 2,
        "unknown": 0,
        "primary_asked": 1,
        "backends": [
            {
                "backend": "ns-a",
                "pending": 1,
                "sent": 5,
                "retries": 2,
                "gave_up": 1,
                "refused": {"REFUSED": 3},
                "lags": [0, 2, 1, *[0] * 12],
                "lag_seconds": 0.03,
            }
        ],
    },
}


def process(name: str, role: str, body: Mapping[str, object], phase: str = "serving") -> ProcessState:
    return ProcessState(
        name=name,
        role="ingress" if role == "ingress" else "transfer",
        index=0,
        pid=None,
        phase="serving" if phase == "serving" else "down",
        age=1.0,
        restarts=2,
        body=deepcopy(dict(body)),
    )


LIST = ListState(name="abuse", names=2, prefixes=1, skipped=3, not_applicable=4, failures=5, loaded=0.0)


class Still:
    """What the supervisor is to the API and the metrics."""

    serial = 3
    last_reload_ok = True

    def __init__(self, admin: AdminSettings | None = None, *, listening: bool = True) -> None:
        self.admin = admin or AdminSettings()
        self.memory: SharedMemory | None = SharedMemory.create(1, 1024)
        self.slots = {"ns-a": 0, "ns-b": 1}
        self.limits = {"floods": 0, "1": 1}
        self.rules = {"no-any": 0, "slow-axfr": 1}
        keeper = BlockKeeper(GatewaySettings(version=1), None, lambda _name, _fields: None)
        self.block_figures: BlockKeeper | None = keeper
        self.blocking: Blocking | None = Blocking(keeper, [], self)
        self.list_cells = {"abuse": 0}
        self.event_counts = {"gateway.ready": 1}
        self.listening = listening
        self.reloads = 0
        self.report = ReloadReport(ok=True, changed=("filters.zones[0]",))
        self.registry: CollectorRegistry = create_registry(self)
        self.running = [process("ingress-0", "ingress", WORKER), process("transfer", "transfer", TRANSFER)]

    def over_limits(self) -> Mapping[str, int]:
        return dict.fromkeys(self.limits, 0)

    def backend_names(self) -> Mapping[int, str]:
        return {slot: name for name, slot in self.slots.items()}

    def lists(self) -> Sequence[ListState]:
        """One list."""
        return [LIST]

    def processes(self) -> Sequence[ProcessState]:
        return self.running

    def readiness(self) -> Readiness:
        return judge(listening=self.listening, draining=False, processes=self.running)

    def state(self) -> GatewayState:
        return GatewayState(
            version="0",
            pid=1,
            config="zonegate.toml",
            uptime=1.0,
            serial=self.serial,
            readiness=self.readiness(),
            processes=tuple(self.running),
            events=dict(self.event_counts),
        )

    async def reload(self) -> ReloadReport:
        self.reloads += 1
        return self.report
