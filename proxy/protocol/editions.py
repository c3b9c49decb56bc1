"""From a method to the codecs of its edition."""

from __future__ import annotations

from proxy.protocol.datagrams_2017 import ClientDatagrams2017, ServerDatagrams2017
from proxy.protocol.datagrams_2022 import ClientDatagrams2022, ServerDatagrams2022, UsersDatagrams2022
from proxy.protocol.identity import KeyTable
from proxy.protocol.methods import Method
from proxy.protocol.salts import KEEP, SaltStore
from proxy.protocol.shadowsocks import ClientDatagrams, ClientStream, ServerDatagrams, ServerStream
from proxy.protocol.streams_2017 import ClientStream2017, ServerStream2017
from proxy.protocol.streams_2022 import ClientStream2022, ServerStream2022


def client_stream(method: Method, key: bytes, identity_keys: tuple[bytes, ...] = ()) -> ClientStream:
    """The client's end of a new stream. `identity_keys` stand before `key` in its chain (SIP023), AES of 2022 only."""
    if method.edition == 2017:
        return ClientStream2017(method, key)
    return ClientStream2022(method, key, identity_keys)


def server_stream(method: Method, key: bytes, salts: SaltStore, users: KeyTable | None = None) -> ServerStream:
    """The exit's end of a stream that a client begins; `salts` is shared by all streams under the key.

    With `users` (AES of 2022 only) `key` is the identity key, and `Opened` says whose stream it is.
    """
    if method.edition == 2017:
        return ServerStream2017(method, key, salts)
    return ServerStream2022(method, key, salts, users)


def client_datagrams(method: Method, key: bytes, identity_keys: tuple[bytes, ...] = ()) -> ClientDatagrams:
    """The client's end of a new datagram session; `identity_keys` as for a stream."""
    if method.edition == 2017:
        return ClientDatagrams2017(method, key)
    return ClientDatagrams2022(method, key, identity_keys)


def server_datagrams(method: Method, key: bytes, since: float = 0.0, users: KeyTable | None = None) -> ServerDatagrams:
    """The exit's end of all datagram sessions under one key, or of all its `users`, as for a stream.

    None of the sessions is older than the Unix time `since`.
    """
    if method.edition == 2017:
        return ServerDatagrams2017(method, key)
    if users is None:
        return ServerDatagrams2022(method, key, since)
    return UsersDatagrams2022(method, key, users, since)


def salt_store(method: Method, since: float = 0.0, users: int = 1) -> SaltStore:
    """An empty store that forgets as the method's edition allows, shared by `users`; `since` as in `SaltStore`."""
    return SaltStore(None if method.edition == 2017 else KEEP, since=since, users=users)
