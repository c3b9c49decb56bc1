"""Fetching a URL through a tunnel, for lists of every kind."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from certs.authorities import load_authorities
from certs.contexts import client_context
from certs.errors import CertError
from proxy.egress.fetch.body import Body, FetchError
from proxy.egress.fetch.https import get
from proxy.egress.fetch.pipe import TunnelPipe
from proxy.egress.tls.client import TlsClient
from proxy.egress.tls.engine import Wanted
from proxy.egress.tunnel import Tunnel
from proxy.values import Endpoint


async def fetch_url(tunnel: Tunnel, url: str, address: str, ca: Path | None, body: Body, patience: float) -> bool:
    """Fetch `url`, whose host is at `address`, into `body` if it has changed; whether it has.

    `ca` are the authorities, those of the system if None; `patience` is for the TLS handshake, in seconds.

    Raises:
        FetchError: the answer is not the file, it is too long, or `ca` can't be used.
        ProxyError, OSError: the tunnel or TLS broke.
    """
    parts = urlsplit(url)
    try:
        authorities = load_authorities(ca) if ca is not None else None
    except CertError as error:
        raise FetchError(str(error)) from None
    context = client_context(authorities=authorities, lowest=ssl.TLSVersion.TLSv1_2)
    web = TlsClient(context, Wanted(f"TLS with {parts.hostname}", parts.hostname), timeout=patience, resumption=False)
    pipe = TunnelPipe()
    try:
        await web.open(tunnel, Endpoint(ipaddress.ip_address(address), parts.port or 443), pipe)
        return await get(pipe, url, body)
    finally:
        pipe.close()
