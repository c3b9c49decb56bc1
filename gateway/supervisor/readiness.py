"""Whether clients should be sent here: the doors are open, every process serves, every worker has a healthy backend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.state import Check, ProcessState, Readiness


def judge(*, listening: bool, draining: bool, processes: Iterable[ProcessState]) -> Readiness:
    """The readiness of a gateway, with what is missing."""
    detail = "draining" if draining else "open" if listening else "closed"
    checks = [Check(name="listening", ok=listening and not draining, detail=detail)]
    for process in processes:
        checks.append(Check(name=process.name, ok=process.phase == "serving", detail=process.phase))
        checks += _backends(process)
    return Readiness(ready=all(check.ok for check in checks), checks=tuple(checks))


def _backends(process: ProcessState) -> Iterator[Check]:
    if process.role != "ingress" or process.phase != "serving":
        return
    backends = process.body.get("backends", ())
    detail = ", ".join(f"{backend['name']} {backend['state']}" for backend in backends) or "not known yet"
    healthy = any(backend["state"] == "healthy" for backend in backends)
    yield Check(name=f"a healthy backend for {process.name}", ok=healthy, detail=detail)
