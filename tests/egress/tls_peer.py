"""A TLS server without I/O, to hold our client against, and a scripted primary that speaks TLS."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path

from tests.support.certificates import Issued


def server_context(
    shown: Issued,
    *,
    alpn: tuple[str, ...] = ("dot",),
    clients: Path | None = None,
    highest: ssl.TLSVersion | None = None,
) -> ssl.SSLContext:
    """A context of a primary; `clients` is the authority of those whom it serves."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.file, shown.key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    if highest is not None:
        context.maximum_version = highest
    return context


class ServerEnd:
    """The server's half of one connection, in memory."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.got = bytearray()
        self.ended = False  # the client has said that nothing more comes
        self.error: ssl.SSLError | None = None

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the client; gives what is for it."""
        self._incoming.write(data)
        try:
            self.tls.do_handshake()
            while piece := self.tls.read(65536):
                self.got += piece
            self.ended = True
        except ssl.SSLWantReadError:
            pass  # all that came was read
        except ssl.SSLError as error:
            self.error = error
        return self._outgoing.read()

    def send(self, data: bytes) -> bytes:
        """Seal payload; gives its records."""
        self.tls.write(data)
        return self._outgoing.read()

    def end(self) -> bytes:
        """close_notify."""
        with contextlib.suppress(ssl.SSLError):  # the client has not closed yet
            self.tls.unwrap()
        return self._outgoing.read()
