"""The reference of metrics, `docs/metrics.md`, from the collector itself: `python -m gateway.metrics_reference`.

A gateway that has counted nothing still names every family with its labels. A test compares the file with what this
makes, so neither can go stale.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import Metric

from dataplane import SharedMemory
from gateway.blocks.keeper import BlockKeeper
from gateway.lists.values import ListState
from gateway.metrics import GatewayCollector
from gateway.settings import GatewaySettings
from gateway.state import ProcessState

_HEAD = """\
# Metrics

Everything that `/metrics` of the admin address shows. This page is written from the collector
(`python -m gateway.metrics_reference`). The exit shows the same, as far as it has the parts.

Label values come from the program or the configuration, never from the network, so their number is bounded. Most
cells that were never counted are left out: absent is 0. Counters of the ingress workers stand in shared memory: they
survive a worker's crash and a reload, and begin anew when the gateway does. What a process tells of itself (labels
`process`, `tunnel` and `forwarder`, and the metrics of the exit) begins anew with that process.

For each transport, `zonegate_ingress_received_total` is the sum of `zonegate_ingress_verdicts_total` over verdict and
reason. What each reason means says [wire-check.md](wire-check.md).

"""

_ROOMS = {
    "ingress": "Queries in",
    "backend": "The nodes behind us",
    "policy": "Limits and configuration",
    "worker": "Processes",
    "tunnel": "Tunnels",
    "primary": "TLS to primaries",
    "transfer": "Forwarders and NOTIFY",
    "exit": "The exit",
    "event": "Events",
}

_TAIL = """\
## Label values

| label | values |
|---|---|
| `transport` | `udp`, `tcp`; `tls` counts nothing yet |
| `verdict` | `forward`, `reply`, `drop`, `shed` |
| `reason` of verdicts and answers | the reasons of [wire-check.md](wire-check.md) |
| `kind` | {kinds} |
| `state` of cookies | `none`; `client`: a client's first; `valid`; `expired`: too old; `bad`: not ours, or another's |
| `process` | `supervisor`, `ingress-0` and on, `transfer` |
| `rule` of rules | the names of `[[filters.rules]]` |
| `rule` of blocks, `action` | the names of `[[filters.dynamic_blocks]]`, or `operator`; `warn`, `truncate`, `drop` |
| `limit` | the name of the rate limit, or else its place among `[[filters.rate_limits]]`, from 0 |
| `list` | its name |
| `class` of answers | `positive`, `nodata`, `nxdomain`, `referral`, `wildcard`, `any`, `dnskey`, `error` |
| `outcome` of answers | `drop`, `truncate`, or `observe`: passed |
| `backend`, `tunnel`, `primary` | the names in the configuration |
| `state` of tunnels | `closed`: in use; `failing`: in doubt; `open`: left alone; `half-open`: tried again |
| `fault` | `primary`, `tunnels`, or `unknown`: it can't be told from here |
| `forwarder` | its `listen` address, or that of a door; there the `primary` `-` has what was for none of them |
| `kind`, `reason` of transfer verdicts | what was asked for or came; the reasons of [guard.md](guard.md) |
| `reason` of refused queries | what the gate, the queue and the ways say: [transfers.md](transfers.md) |
| `reason` of the exit | those of [exits.md](exits.md) |
| `reason` of TLS | those of [xot.md](xot.md) |
| `rcode` | the answer's, such as `REFUSED` |
| `user` | the names of `[[exit.users]]` |
| `reason` of refused NOTIFY | `badkey`, `badsig`, `badtime`, `not-allowed`, `formerr`, `not-handed-on` |
| `event` | the names of the log's events, such as `process.crashed` |

## What to watch

```promql
# queries a second, by what became of them
sum by (verdict) (rate(zonegate_ingress_verdicts_total[5m]))
# why queries were not forwarded
topk(5, sum by (reason) (rate(zonegate_ingress_verdicts_total{{verdict!="forward"}}[5m])))
# lost before the gateway saw them: net.core.rmem_max, or too few workers
sum(rate(zonegate_ingress_udp_receive_drops_total[5m])) > 0
# a backend that no worker finds healthy
max by (backend) (zonegate_backend_healthy) == 0
# zones that a backend has not followed for a while
min_over_time(zonegate_transfer_notify_pending[5m]) > 0
# a backend that refuses NOTIFY, or was given up
sum by (backend, rcode) (increase(zonegate_transfer_notify_backend_refused_total[15m])) > 0
increase(zonegate_transfer_notify_gave_up_total[1h]) > 0
# NOTIFY of addresses and keys that [[zones]] does not know: strangers, or a primary that has moved
sum(increase(zonegate_ingress_verdicts_total{{reason="notify-refused"}}[15m])) > 0
sum by (reason) (increase(zonegate_transfer_notify_refused_total[15m])) > 0
# a primary that no tunnel leads to, and what is at fault: transfers stand still
max by (primary, transport, fault) (zonegate_transfer_primary_failing) == 1
# a tunnel that is left alone; `zonegate tunnels` says why and what to do
zonegate_tunnel_state{{state="open"}} == 1
# what goes wrong in a tunnel
sum by (tunnel, reason) (rate(zonegate_tunnel_failures_total[15m])) > 0
# a primary that answers REFUSED or NOTAUTH: it does not know the exit's address, the zone or the key
sum by (primary, rcode) (increase(zonegate_transfer_primary_errors_total[15m])) > 0
# answers that the guard rejected, and why
sum by (primary, reason) (increase(zonegate_transfer_verdicts_total{{reason!="accepted"}}[15m])) > 0
# queries of nodes that were not passed on, and why
sum by (forwarder, reason) (increase(zonegate_transfer_refused_total{{reason!="idle"}}[15m])) > 0
# TLS to a primary fails, or our certificate for it ends within two weeks
sum by (primary, reason) (increase(zonegate_primary_tls_failures_total[15m])) > 0
zonegate_primary_tls_certificate_seconds < 14 * 86400
# at an exit: clients of ours whose clock, key or target is not right
sum by (reason) (increase(zonegate_exit_rejects_total{{reason=~"clock-skew|unknown-user|target-.*"}}[15m])) > 0
# nodes ask a transparent door for what is no primary of it
increase(zonegate_transfer_refused_total{{reason="destination"}}[1h]) > 0
# an exit that is seen under another address than primaries were told
zonegate_tunnel_exit_verified == 0
# the last reload was refused
zonegate_policy_last_reload_ok == 0
# a list whose new versions fail
increase(zonegate_policy_list_failures_total[1d]) > 0
# processes that crash
increase(zonegate_worker_restarts_total[1h]) > 0
```
"""


class _Idle:
    """A gateway with every part, before its first query."""

    serial = 1
    last_reload_ok = True
    limits: Mapping[str, int] = {}
    rules: Mapping[str, int] = {}
    list_cells: Mapping[str, int] = {}
    slots: Mapping[str, int] = {}
    event_counts: Mapping[str, int] = {}

    def __init__(self) -> None:
        self.memory: SharedMemory | None = SharedMemory.create(1, 1024)
        self.block_figures = BlockKeeper(GatewaySettings(version=1), None, lambda _name, _fields: None)

    def lists(self) -> Sequence[ListState]:
        """None."""
        return ()

    def processes(self) -> Sequence[ProcessState]:
        """The transfer process, with an exit that did nothing: without it the exit's families would be left out."""
        exit_: dict[str, object] = defaultdict(int, rejects={}, users=())
        notify: dict[str, object] = defaultdict(int, backends=())
        body = {"tunnels": (), "forwarders": (), "exit": exit_, "notify": notify}
        return [
            ProcessState(
                name="transfer", role="transfer", index=0, pid=None, phase="serving", age=0.0, restarts=0, body=body
            )
        ]


def reference() -> str:
    """The text of the page."""
    idle = _Idle()
    families = sorted(GatewayCollector(idle).collect(), key=lambda family: list(_ROOMS).index(_room(family)))
    kinds = ", ".join(f"`{kind}`" for kind in idle.memory.io()) if idle.memory is not None else ""
    return _HEAD + "\n".join(_tables(families)) + "\n" + _TAIL.format(kinds=kinds)


def _tables(families: Sequence[Metric]) -> Iterator[str]:
    for room, title in _ROOMS.items():
        yield f"## {title}\n\n| name | type | labels | meaning |\n|---|---|---|---|"
        for family in families:
            if _room(family) == room:
                name = f"{family.name}_total" if family.type == "counter" else family.name
                labels = ", ".join(f"`{label}`" for label in _labels(family)) or "none"
                yield f"| `{name}` | {family.type} | {labels} | {family.documentation} |"
        yield ""


def _room(family: Metric) -> str:
    return family.name.split("_")[1]


def _labels(family: Metric) -> Sequence[str]:
    """The names of a family's labels, which prometheus_client shows on samples only."""
    return tuple(getattr(family, "_labelnames", ()))


if __name__ == "__main__":
    sys.stdout.write(reference())
