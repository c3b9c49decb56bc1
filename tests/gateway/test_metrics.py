"""/metrics as Prometheus reads it."""

from __future__ import annotations

import re

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.control import Still

WAY = (("primary", "p"), ("transport", "tcp"), ("tunnel", "fra"))
ROOMS = ("ingress", "backend", "policy", "tunnel", "primary", "transfer", "exit", "worker", "event")


def samples(still: Still) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = generate_latest(still.registry).decode()
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "each family once"
    for family in families:
        assert re.fullmatch(rf"zonegate_({'|'.join(ROOMS)})(_[a-z]+)*", family.name), family.name
        assert family.documentation.endswith("."), family.name
        assert family.type in {"counter", "gauge", "histogram"}
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_every_room_is_there_with_its_labels() -> None:
    found = samples(Still())
    expected = {
        ("zonegate_ingress_received_total", (("transport", "udp"),)): 0,
        ("zonegate_ingress_udp_in_flight", (("process", "ingress-0"),)): 3,
        ("zonegate_ingress_udp_receive_drops_total", (("process", "ingress-0"),)): 4,
        ("zonegate_ingress_tcp_closes_total", (("process", "ingress-0"), ("reason", "idle"))): 7,
        ("zonegate_backend_healthy", (("backend", "ns-a"), ("process", "ingress-0"))): 1,
        ("zonegate_backend_healthy", (("backend", "ns-b"), ("process", "ingress-0"))): 0,
        ("zonegate_backend_queries_total", (("backend", "ns-a"),)): 0,
        ("zonegate_policy_over_limit_total", (("limit", "1"),)): 0,
        ("zonegate_policy_serial", ()): 3,
        ("zonegate_policy_last_reload_ok", ()): 1,
        ("zonegate_worker_up", (("process", "transfer"),)): 1,
        ("zonegate_worker_restarts_total", (("process", "transfer"),)): 2,
        ("zonegate_tunnel_streams", (("tunnel", "fra"),)): 1,
        ("zonegate_tunnel_failures_total", (("reason", "refused"), ("tunnel", "fra"))): 7,
        ("zonegate_tunnel_state", tuple(sorted((*WAY, ("state", "open"))))): 1,
        ("zonegate_tunnel_state", tuple(sorted((*WAY, ("state", "closed"))))): 0,
        ("zonegate_tunnel_chosen", WAY): 1,
        ("zonegate_tunnel_delay_seconds", WAY): 0.025,
        ("zonegate_tunnel_trips_total", WAY): 3,
        ("zonegate_tunnel_probes_total", WAY): 4,
        ("zonegate_tunnel_exit_verified", (("tunnel", "fra"),)): 0,
        ("zonegate_transfer_primary_failing", (("fault", "unknown"), ("primary", "p"), ("transport", "tcp"))): 1,
        (
            "zonegate_transfer_queries_total",
            (("forwarder", "127.0.0.1:5301"), ("primary", "p"), ("transport", "tcp")),
        ): 4,
        ("zonegate_primary_tls_handshakes_total", (("primary", "p"),)): 3,
        ("zonegate_primary_tls_resumed_total", (("primary", "p"),)): 2,
        ("zonegate_primary_tls_failures_total", (("primary", "p"), ("reason", "tls-expired"))): 1,
        ("zonegate_primary_tls_certificate_seconds", (("primary", "p"),)): 86400,
        ("zonegate_transfer_notify_accepted_total", (("process", "ingress-0"),)): 3,
        ("zonegate_transfer_notify_backend_refused_total", (("backend", "ns-a"), ("rcode", "REFUSED"))): 3,
        ("zonegate_transfer_notify_lag_seconds_bucket", (("backend", "ns-a"), ("le", "0.005"))): 0,
        ("zonegate_transfer_notify_lag_seconds_bucket", (("backend", "ns-a"), ("le", "0.02"))): 3,
        ("zonegate_transfer_notify_lag_seconds_count", (("backend", "ns-a"),)): 3,
        (
            "zonegate_transfer_verdicts_total",
            (("forwarder", "127.0.0.1:5301"), ("kind", "axfr"), ("primary", "p"), ("reason", "accepted")),
        ): 3,
        (
            "zonegate_transfer_primary_errors_total",
            (("forwarder", "127.0.0.1:5301"), ("primary", "p"), ("rcode", "REFUSED")),
        ): 2,
        ("zonegate_transfer_waiting", (("class", "transfer"), ("primary", "p"))): 6,
        ("zonegate_transfer_primary_connections_reused_total", (("primary", "p"),)): 3,
        ("zonegate_exit_streams_opened_total", ()): 2,
        ("zonegate_exit_rejects_total", (("reason", "replay"),)): 9,
        ("zonegate_event_total", (("event", "gateway.ready"),)): 1,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert found["zonegate_worker_resident_memory_bytes", (("process", "supervisor"),)] > 1_000_000
    assert found["zonegate_worker_cpu_seconds_total", (("process", "supervisor"),)] > 0


def test_what_was_never_counted_is_left_out() -> None:
    found = samples(Still())
    assert not any(name == "zonegate_ingress_verdicts_total" for name, _ in found)
    assert ("zonegate_ingress_tcp_closes_total", (("process", "ingress-0"), ("reason", "by-client"))) not in found


def test_a_gateway_without_ingress_or_processes() -> None:
    still = Still()
    still.memory, still.running = None, []
    assert ("zonegate_event_total", (("event", "gateway.ready"),)) in samples(still)
