"""One GET over HTTPS through an open pipe, on which TLS stands, (RFC 9110, RFC 9112), conditional on what we have."""

from __future__ import annotations

from urllib.parse import urlsplit

import h11

from proxy.egress.fetch.body import Body, FetchError, Known
from proxy.egress.fetch.pipe import Pipe


async def get(pipe: Pipe, url: str, body: Body) -> bool:
    """Fetch `url` into `body`, if it has changed; whether it has.

    Raises:
        FetchError: the answer is not the file, or it is too long.
        ProxyError, OSError: the tunnel or TLS broke.
    """
    parts = urlsplit(url)
    known = body.known(url)
    headers = [
        ("Host", parts.netloc),
        ("User-Agent", "zonegate"),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ]
    headers += [("If-None-Match", known.etag)] if known.etag else []
    headers += [("If-Modified-Since", known.modified)] if known.modified else []
    http = h11.Connection(h11.CLIENT)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        pipe.write(http.send(h11.Request(method="GET", target=target, headers=headers)) or b"")
        pipe.write(http.send(h11.EndOfMessage()) or b"")
        return await _receive(pipe, http, body, url)
    except h11.ProtocolError as error:
        raise FetchError(f"no good answer of {parts.hostname}: {error}") from None


async def _receive(pipe: Pipe, http: h11.Connection, body: Body, url: str) -> bool:
    known: Known | None = None
    with body as new:
        while True:
            event = http.next_event()
            match event:
                case h11.NEED_DATA:
                    http.receive_data(await pipe.read())
                case h11.Response(status_code=304):
                    return False
                case h11.Response(status_code=200, headers=headers):
                    told = {name.decode().lower(): value.decode("latin-1") for name, value in headers}
                    known = Known(source=url, etag=told.get("etag"), modified=told.get("last-modified"))
                case h11.Response(status_code=status):
                    raise FetchError(f"the answer is status {status}; correct the url")
                case h11.Data(data=data):
                    new.write(bytes(data))
                case h11.EndOfMessage() if known is not None:
                    new.keep(known)
                    return True
                case h11.ConnectionClosed():
                    raise FetchError("the connection was closed before the answer")
