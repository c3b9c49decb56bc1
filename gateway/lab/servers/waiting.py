"""Wait for a condition, never for a time: it is asked at short intervals until it holds or the time is up."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast, overload

T = TypeVar("T")

FIRST_PAUSE = 0.005  # seconds; doubles up to LAST_PAUSE: quick conditions are seen quickly, slow ones cost little
LAST_PAUSE = 0.1


class WaitError(TimeoutError):
    """The condition did not hold in time. The text says what was waited for."""


def until(condition: Callable[[], T], timeout: float = 10.0, what: str = "") -> T:
    """Block until `condition()` is true and return what it returned. Asked at least once; `timeout` is in seconds.

    Raises:
        WaitError: it did not hold in time. What the condition itself raises passes through.
    """
    deadline = time.monotonic() + timeout
    never = threading.Event()
    pause = FIRST_PAUSE
    while not (result := condition()):
        if time.monotonic() >= deadline:
            raise WaitError(_too_late(condition, timeout, what))
        never.wait(pause)
        pause = min(2 * pause, LAST_PAUSE)
    return result


@overload
async def auntil(condition: Callable[[], Awaitable[T]], timeout: float = ..., what: str = ...) -> T: ...  # noqa: ASYNC109 - as below
@overload
async def auntil(condition: Callable[[], T], timeout: float = ..., what: str = ...) -> T: ...  # noqa: ASYNC109 - as below
async def auntil(
    condition: Callable[[], Awaitable[T] | T],
    timeout: float = 10.0,  # noqa: ASYNC109 - the error must say what was waited for
    what: str = "",
) -> T:
    """`until` for the event loop: other tasks run between two looks. The condition may be a plain or an async callable.

    Raises:
        WaitError: it did not hold in time. What the condition itself raises passes through.
    """
    deadline = time.monotonic() + timeout
    pause = FIRST_PAUSE
    while not (result := await _value(condition())):
        if time.monotonic() >= deadline:
            raise WaitError(_too_late(condition, timeout, what))
        await asyncio.sleep(pause)
        pause = min(2 * pause, LAST_PAUSE)
    return result


async def _value(answer: Awaitable[T] | T) -> T:
    if inspect.isawaitable(answer):
        return cast("T", await answer)
    return answer


def _too_late(condition: Callable[[], object], timeout: float, what: str) -> str:
    return f"waited {timeout:g} s for {what or getattr(condition, '__qualname__', repr(condition))}"
