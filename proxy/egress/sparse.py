"""Events that anybody on the Internet can cause, thinned out: one of a kind every ten seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from proxy.values import Emit

PERIOD = 10.0  # seconds
KINDS = 256  # kinds remembered; reasons are few, and are chosen by us


class SparseEmitter:
    """Passes the first event of each kind on, then keeps quiet about that kind for a while."""

    def __init__(self, emit: Emit, clock: Callable[[], float]) -> None:
        self._emit = emit
        self._clock = clock
        self._last: dict[tuple[str, str], tuple[float, int]] = {}

    def __call__(self, name: str, kind: str, fields: Mapping[str, object]) -> None:
        """An event; `kind` is what makes two events of one name alike."""
        now = self._clock()
        last, left_out = self._last.get((name, kind), (None, 0))
        if last is not None and now - last < PERIOD:
            self._last[name, kind] = (last, left_out + 1)
            return
        if len(self._last) >= KINDS:
            self._last.clear()
        self._last[name, kind] = (now, 0)
        self._emit(name, {**fields, "left_out": left_out} if left_out else fields)
