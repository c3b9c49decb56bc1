"""What is common to layers over a stream (a tunnel's protocol, TLS): a transport for the one above, over the other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

from proxy.egress.usable import usable


class Layer(asyncio.Transport):
    """The part of a transport that the one below decides. `user` is the protocol above; bytes are the layer's own."""

    def __init__(self, user: asyncio.Protocol) -> None:
        super().__init__()
        self._user = user
        self._lower: asyncio.Transport | None = None

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return not usable(self._lower)

    def pause_reading(self) -> None:
        if usable(self._lower):
            self._lower.pause_reading()

    def resume_reading(self) -> None:
        if usable(self._lower):
            self._lower.resume_reading()

    def is_reading(self) -> bool:
        return usable(self._lower) and self._lower.is_reading()

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._user

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._user = cast("asyncio.Protocol", protocol)

    def get_write_buffer_size(self) -> int:
        return self._lower.get_write_buffer_size() if self._lower is not None else 0

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._lower.get_write_buffer_limits() if self._lower is not None else (0, 0)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if self._lower is not None:
            self._lower.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._lower.get_extra_info(name, default) if self._lower is not None else default
