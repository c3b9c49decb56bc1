"""How the gateway is: what /status, /readyz and /reload answer, and the command line shows."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from gateway.config.problems import Problem

Phase = Literal["starting", "serving", "draining", "down"]


class ProcessState(Struct, frozen=True, kw_only=True):
    """One process under the supervisor. `body` is what it last said of itself; `age` is the seconds it has lived."""

    name: str
    role: Literal["ingress", "transfer"]
    index: int
    pid: int | None
    phase: Phase
    age: float
    restarts: int
    body: dict[str, Any]


class Check(Struct, frozen=True, kw_only=True):
    """One condition of readiness, and what is missing when it doesn't hold."""

    name: str
    ok: bool
    detail: str


class Readiness(Struct, frozen=True, kw_only=True):
    """Whether clients should be sent here, and why not."""

    ready: bool
    checks: tuple[Check, ...]


class GatewayState(Struct, frozen=True, kw_only=True):
    """The gateway, whole. `serial` counts the configurations taken into use since the start."""

    version: str
    pid: int
    config: str | None
    uptime: float
    serial: int
    readiness: Readiness
    processes: tuple[ProcessState, ...]
    events: dict[str, int]


class ReloadReport(Struct, frozen=True, kw_only=True):
    """What a reload did.

    `changed` are the keys now in use, `restart` those that changed in the file but need a restart, `problems` what is
    wrong with the file (then nothing changed), `restarted` the processes that had to start anew to take it.
    """

    ok: bool
    changed: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()
