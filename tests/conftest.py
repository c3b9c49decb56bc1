"""What every test gets: uvloop as the event loop, as in every process of the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops that async tests run on: each test runs once per entry."""
    return {"uvloop": uvloop.new_event_loop}
