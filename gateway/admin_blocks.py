"""The part of the admin API that is about dynamic blocks and about the traffic that was sampled.

GET    /blocks         all blocks, the strongest first
POST   /blocks         set one: {"subject": "192.0.2.0/24", "action": "drop", "seconds": 3600, "reason": "…"}
DELETE /blocks/{id}    remove one
GET    /top            what passed in the last `seconds` (1 to 60, 10 unless asked), at most `most` rows of a kind
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.blocks.values import Block, BlockError, BlockList, BlockRequest, Top

_NONE = "this gateway has no way in, so it blocks nothing"


class Blocking(Protocol):
    """What this part of the API asks of the supervisor."""

    def list(self) -> BlockList: ...

    def add(self, request: BlockRequest) -> Block: ...

    def remove(self, number: int) -> Block | None: ...

    def top(self, seconds: int, most: int) -> Top: ...


class BlockControl(Protocol):
    """Where it is."""

    @property
    def blocking(self) -> Blocking | None: ...


Handler = Callable[[BlockControl, Request], Awaitable[Response]]


async def list_blocks(control: BlockControl, _request: Request) -> Response:
    """GET /blocks."""
    return _json(200, control.blocking.list()) if control.blocking is not None else _error(404, _NONE)


async def add_block(control: BlockControl, request: Request) -> Response:
    """POST /blocks; its body is bounded by the caller."""
    if control.blocking is None:
        return _error(404, _NONE)
    try:
        asked = msgspec.json.decode(await request.body(), type=BlockRequest)
        return _json(200, control.blocking.add(asked))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, BlockError) as error:
        return _error(422, str(error))


async def remove_block(control: BlockControl, request: Request) -> Response:
    """DELETE /blocks/{id}."""
    if control.blocking is None:
        return _error(404, _NONE)
    number = _number(request.path_params["id"], 1, 2**53)
    block = control.blocking.remove(number) if number is not None else None
    return _json(200, block) if block is not None else _error(404, "there is no block of this number")


async def top(control: BlockControl, request: Request) -> Response:
    """GET /top."""
    if control.blocking is None:
        return _error(404, _NONE)
    seconds = _number(request.query_params.get("seconds", "10"), 1, 60)
    most = _number(request.query_params.get("most", "10"), 1, 64)
    if seconds is None or most is None:
        return _error(422, "seconds is a number from 1 to 60, most one from 1 to 64")
    return _json(200, control.blocking.top(seconds, most))


ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("/blocks", "GET", list_blocks),
    ("/blocks", "POST", add_block),
    ("/blocks/{id}", "DELETE", remove_block),
    ("/top", "GET", top),
)


def _number(text: str, low: int, high: int) -> int | None:
    if not (text.isascii() and text.isdecimal() and len(text) < 17):
        return None
    return int(text) if low <= int(text) <= high else None


def _json(status: int, body: object) -> Response:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")


def _error(status: int, text: str) -> Response:
    return _json(status, {"error": text})
