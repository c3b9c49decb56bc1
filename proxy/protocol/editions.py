"""From a method to the codecs of its edition."""

from __future__ import annotations

from proxy.protocol.datagrams_2017 import ClientDatagrams2017, ServerDatagrams2017
from proxy.protocol.datagrams_2022 import ClientDatagrams2022, ServerDatagrams2022
from proxy.protocol.methods import Method
from proxy.protocol.salts import KEEP, SaltStore
from proxy.protocol.shadowsocks import ClientDatagrams, ClientStream, ServerDatagrams, ServerStream
from proxy.protocol.streams_2017 import ClientStream2017, ServerStream2017
from proxy.protocol.streams_2022 import ClientStream2022, ServerStream2022


def client_stream(method: Method, key: bytes) -> ClientStream:
    """The client's end of a new stream."""
    return ClientStream2017(method, key) if method.edition == 2017 else ClientStream2022(method, key)


def server_stream(method: Method, key: bytes, salts: SaltStore) -> ServerStream:
    """The exit's end of a stream that a client begins; `salts` is shared by all streams under the key."""
    return ServerStream2017(method, key, salts) if method.edition == 2017 else ServerStream2022(method, key, salts)


def client_datagrams(method: Method, key: bytes) -> ClientDatagrams:
    """The client's end of a new datagram session."""
    return ClientDatagrams2017(method, key) if method.edition == 2017 else ClientDatagrams2022(method, key)


def server_datagrams(method: Method, key: bytes, since: float = 0.0) -> ServerDatagrams:
    """The exit's end of all datagram sessions under one key, none of which is older than the Unix time `since`."""
    return ServerDatagrams2017(method, key) if method.edition == 2017 else ServerDatagrams2022(method, key, since)


def salt_store(method: Method, since: float = 0.0, users: int = 1) -> SaltStore:
    """An empty store that forgets as the method's edition allows, shared by `users`; `since` as in `SaltStore`."""
    return SaltStore(None if method.edition == 2017 else KEEP, since=since, users=users)
