"""Opens TLS over streams of tunnels towards one peer, and remembers its session tickets.

A ticket is used once (RFC 8446 appendix C.4), and not beyond the time of the certificate that it was given under: who
is resumed shows no certificate, so it would not be noticed that it has expired.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from proxy.egress.tls.counters import TlsCounters
from proxy.egress.tls.engine import TlsEngine, Wanted
from proxy.egress.tls.failures import stalled
from proxy.egress.tls.stream import TlsStream
from proxy.egress.tunnel import Tunnel
from proxy.errors import ProxyError
from proxy.values import Emit, Endpoint

TICKETS = 8  # kept; more connections at a time than that are rare, and a handshake is no disaster


class TlsOpener(Protocol):
    """What opens streams with TLS on them; see `TlsClient.open`."""

    async def open(
        self, tunnel: Tunnel, target: Endpoint, protocol: asyncio.Protocol, first: bytes = b""
    ) -> asyncio.Transport:
        """Open a stream to `target`.

        Raises:
            ProxyError: it can't be had.
        """


class TlsClient:
    """Towards one peer. Its sessions are those of its context: another context, another trust, no sessions."""

    def __init__(
        self,
        context: ssl.SSLContext,
        wanted: Wanted,
        *,
        timeout: float,
        resumption: bool = True,
        counters: TlsCounters | None = None,
        emit: Emit | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`timeout` is for the handshake, in seconds; `clock` gives seconds since 1970."""
        self._context = context
        self._wanted = wanted
        self._timeout = timeout
        self._resumption = resumption
        self._sessions: deque[tuple[ssl.SSLSession, float]] = deque(maxlen=TICKETS)
        self._failing: str | None = None
        self.counters = counters if counters is not None else TlsCounters(wanted.peer)
        self._emit = emit
        self._clock = clock

    async def open(
        self, tunnel: Tunnel, target: Endpoint, protocol: asyncio.Protocol, first: bytes = b""
    ) -> asyncio.Transport:
        """Open a stream to `target` with TLS on it; `first` leaves right behind the handshake.

        The contract is that of `Tunnel.open_stream`: `protocol` is connected when this returns.

        Raises:
            ProxyError: as `Tunnel.open_stream`; PrimaryError with a reason "tls-…", and the words, for what the peer
                does wrong; TunnelError where the stream ended without a word, or nothing came at all.
        """
        engine = TlsEngine(self._context, self._wanted, self._session())
        opened = _Opened(self, engine, tunnel.counters.name)
        stream = TlsStream(protocol, engine, self._wanted.peer, first, on_payload=opened.works, on_end=opened.ended)
        try:
            await tunnel.open_stream(target, stream, engine.start())
        except BaseException:
            stream.abort()
            raise
        try:
            async with asyncio.timeout(self._timeout):
                await asyncio.shield(stream.ready)
        except TimeoutError:
            stream.abort()
            error = stalled(self._wanted.peer, self._timeout, heard=engine.heard)
            self.failed(error, tunnel.counters.name)
            raise error from None
        except ProxyError as error:
            self.failed(error, tunnel.counters.name)
            raise
        except BaseException:
            stream.abort()
            raise
        self.counters.handshakes += 1
        self.counters.resumed += bool(engine.tls.session_reused)
        return stream

    def failed(self, error: ProxyError, tunnel: str) -> None:
        """Count it, and say so once until it works again or something else is wrong."""
        self.counters.failed(error)
        if error.reason != self._failing and self._emit is not None:
            fields = {"primary": self.counters.name, "tunnel": tunnel, "reason": error.reason, "error": str(error)}
            self._emit("primary.tls-failed", fields)
        self._failing = error.reason

    def worked(self, engine: TlsEngine) -> None:
        """The peer took us and has sent payload: its tickets came before."""
        self.keep(engine)
        if self._failing is not None and self._emit is not None:
            self._emit("primary.tls-recovered", {"primary": self.counters.name})
        self._failing = None

    def keep(self, engine: TlsEngine) -> None:
        """Keep the ticket of a connection, if there is one that may be used."""
        session, certificate = engine.tls.session, engine.certificate
        if self._resumption and session is not None and session.has_ticket and certificate is not None:
            self._sessions.append((session, certificate.not_after))

    def _session(self) -> ssl.SSLSession | None:
        """A ticket to use now. Whether it is too old for the peer, OpenSSL knows from its lifetime."""
        while self._sessions:
            session, until = self._sessions.pop()
            if self._clock() < until:
                return session
        return None


class _Opened:
    """What one connection tells its client."""

    def __init__(self, client: TlsClient, engine: TlsEngine, tunnel: str) -> None:
        self._client = client
        self._engine = engine
        self._tunnel = tunnel

    def works(self) -> None:
        self._client.worked(self._engine)

    def ended(self, error: ProxyError | None) -> None:
        if error is not None:
            self._client.failed(error, self._tunnel)
