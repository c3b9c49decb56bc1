"""Writing the `ss://` URL that a user of an exit is given (SIP002). `tunnel_urls` reads it.

2017   ss://base64url(method:password)@host:port#tag      without padding: the form that old clients read, too
2022   ss://method:key@host:port#tag                      percent-encoded, as SIP002 demands for this edition
"""

from __future__ import annotations

import base64
from urllib.parse import quote

from proxy.protocol.identity import read_key_chain
from proxy.protocol.methods import Method
from proxy.protocol.tunnel_urls import TunnelHost


def shadowsocks_url(method: Method, key: str, host: TunnelHost, tag: str = "") -> str:
    """The URL. `key` is what the user would write: a password (2017), or base64, with several users `iPSK:uPSK` (2022).

    The URL holds the key: it is for the user alone, and for no log.

    Raises:
        ValueError: not a key of this method; the text does not show it.
    """
    read_key_chain(method, key)
    if method.edition == 2017:
        user = base64.urlsafe_b64encode(f"{method.name}:{key}".encode()).decode().rstrip("=")
    else:
        user = f"{method.name}:{quote(key, safe='')}"
    return f"ss://{user}@{host}" + (f"#{quote(tag, safe='')}" if tag else "")
