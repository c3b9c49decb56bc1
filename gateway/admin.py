"""The admin API over HTTP, in the supervisor's own event loop.

    GET  /healthz   200 while the supervisor runs
    GET  /readyz    200 when all that is configured serves, else 503; the JSON says what is missing
    GET  /metrics   Prometheus text
    GET  /status    the gateway's state
    POST /reload    read the configuration anew; 200, or 422 with what is wrong in it
    /blocks, /top   dynamic blocks and sampled traffic: gateway/admin_blocks.py

Who may ask: on loopback everyone may ask for the first three, and for the others too while no token is configured. All
else takes `Authorization: Bearer TOKEN`. What loopback may do is not for web pages that an operator's browser has open,
so such a request must address us by IP address and must not come with an Origin.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import resource
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol

import msgspec
import uvicorn
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.admin_blocks import ROUTES, Blocking, Handler
from gateway.settings import AdminSettings
from gateway.state import GatewayState, Readiness, ReloadReport

LONGEST_BODY = 65_536
_CONNECTIONS = 64
"""Connections over which a request is answered with 503."""

_MOST = 2 * _CONNECTIONS
"""Connections over which one is closed at once; fewer where descriptors are few."""

_OLDEST = 30.0
"""Seconds after which a connection with no request at work is closed: a slow client can't hold it."""

_STOP = 3.0


class Control(Protocol):
    """What the API asks of the supervisor."""

    @property
    def admin(self) -> AdminSettings: ...

    @property
    def registry(self) -> CollectorRegistry: ...

    def state(self) -> GatewayState: ...

    def readiness(self) -> Readiness: ...

    @property
    def blocking(self) -> Blocking | None: ...

    async def reload(self) -> ReloadReport: ...


def create_app(control: Control) -> Starlette:
    """The API for a supervisor."""
    handlers: dict[str, tuple[str, Callable[[Control], Awaitable[Response]], bool]] = {
        "/metrics": ("GET", _metrics, True),
        "/status": ("GET", _status, False),
        "/reload": ("POST", _reload, False),
    }

    def guard(handler: Callable[[Control], Awaitable[Response]], monitoring: bool) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            refused = _too_large(request) or _forbidden(request, control.admin, monitoring=monitoring)
            return refused or await handler(control)

        return guarded

    def guard_blocks(handler: Handler) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            refused = _too_large(request) or _forbidden(request, control.admin, monitoring=False)
            return refused or await handler(control, request)

        return guarded

    async def healthz(_request: Request) -> Response:
        return _json(200, {"alive": True})

    async def readyz(request: Request) -> Response:
        readiness = control.readiness()
        status = 200 if readiness.ready else 503
        if _forbidden(request, control.admin, monitoring=True) is not None:
            return _json(status, {"ready": readiness.ready})
        return _json(status, readiness)

    routes = [Route("/healthz", healthz), Route("/readyz", readyz)]
    for path, (method, handler, monitoring) in handlers.items():
        routes.append(Route(path, guard(handler, monitoring), methods=[method]))
    # A path with several methods is one route each; the last to match half of it says 405.
    routes += [Route(path, guard_blocks(handler), methods=[method]) for path, method, handler in ROUTES]
    app = Starlette(routes=routes, exception_handlers={404: _no_such, 405: _no_such})
    app.router.redirect_slashes = False
    return app


async def _metrics(control: Control) -> Response:
    return Response(generate_latest(control.registry), media_type=CONTENT_TYPE_LATEST)


async def _status(control: Control) -> Response:
    return _json(200, control.state())


async def _reload(control: Control) -> Response:
    report = await control.reload()
    return _json(200 if report.ok else 422, report)


async def _no_such(_request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return _json(status, {"error": "no such resource" if status == 404 else "this resource has another method"})


def _json(status: int, body: object) -> Response:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json")


def _too_large(request: Request) -> Response | None:
    """Few resources take a body; a small one that is not needed is ignored, a large one refused unread."""
    length = request.headers.get("content-length", "0")
    if "transfer-encoding" in request.headers:
        return _json(411, {"error": "send a Content-Length"})
    if not length.isdecimal() or len(length) > 9 or int(length) > LONGEST_BODY:
        return _json(413, {"error": f"a body has at most {LONGEST_BODY} bytes"})
    return None


def _forbidden(request: Request, admin: AdminSettings, *, monitoring: bool) -> Response | None:
    """The refusal of a request, or None. `monitoring`: loopback needs no token for it even when there is one."""
    if admin.token is not None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        token = admin.token.reveal().encode()
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("utf-8", "replace"), token):
            return None
        if not monitoring:
            return _json(401, {"error": "send Authorization: Bearer with the token of [admin]"})
    if not _is_loopback(request.client.host if request.client else ""):
        return _json(401 if admin.token is not None else 403, {"error": "only from loopback, or with a token"})
    if "origin" in request.headers or not _is_address(_host(request)):
        return _json(403, {"error": "not for web pages; address the API by IP address"})
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(request: Request) -> str:
    """The Host header without its port, as it came: one that is no host at all must not pass for our own address."""
    given = request.headers.get("host")
    if given is None:
        return "localhost"  # HTTP/1.0, which no browser speaks
    return given[1:].partition("]")[0] if given.startswith("[") else given.partition(":")[0]


def _is_address(host: str) -> bool:
    """Whether a Host header can't be a name that a web page made resolve to us (DNS rebinding)."""
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class _Connection(H11Protocol):
    """A connection of the API that doesn't live for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        super().connection_made(transport)
        # Each costs a descriptor, which the supervisor needs to start a worker again.
        if len(self.connections) > min(_MOST, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4):
            transport.abort()
            return
        self.loop.call_later(_OLDEST, self._retire)

    def _retire(self) -> None:
        cycle: Any = self.cycle  # None before the first request, whatever the base class declares
        if (cycle is None or cycle.response_complete) and not self.transport.is_closing():
            self.transport.close()
        # Whatever is at work or unread then has no client that waits for it: even a reload is done much sooner.
        self.loop.call_later(_OLDEST, self.transport.abort)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the supervisor's."""
        yield


class AdminServer:
    """Serves the API on an open socket."""

    def __init__(self, control: Control, listening: socket.socket) -> None:
        config = uvicorn.Config(
            create_app(control),
            http=_Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=16_384,
        )
        self._server = _Server(config)
        self._listening = listening
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to answer."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listening]), name="admin")

    async def stop(self) -> None:
        """Answer what was asked, then close; a few seconds at most."""
        if self._task is None:
            return
        self._server.should_exit = True
        _, pending = await asyncio.wait({self._task}, timeout=_STOP)
        for task in pending:
            task.cancel()
