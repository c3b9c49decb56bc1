"""What the supervisor and its processes say to each other, over an inherited pair of Unix sockets.

    +----------------+---------------------------+
    | length, 4 byte | one message, msgpack      |   length: big-endian, of the message alone
    +----------------+---------------------------+

Down go Start, Reload, Blocks, Notify and Drain; up come Ready, Status, Samples, Notify, NotifyEnded, Event, ReloadDone
and ReloadFailed. The socket
closing means the same as Drain: a process without its supervisor ends. Settings travel as plain trees
(`gateway.config.plain`), with their secrets in clear: the pair has no name and nobody else can open it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

from gateway.errors import ChannelError
from proxy.protocol.notify import Notice

MAX_MESSAGE = 64 << 20
"""Bytes of one message: what a configuration file of 16 MiB becomes, and as many blocks as there may be, fit."""

_QUEUE = 1 << 20
"""Bytes that may wait to be sent before events are left out: the other side has stopped reading."""

Tree = dict[str, Any]


class Message(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all messages."""


class Socket(Struct, frozen=True, kw_only=True):
    """An inherited socket. `listener` is its number in the settings; those of transfers go by their address."""

    owner: Literal["listener", "forwarder", "socks", "transparent", "source", "exit"]
    transport: Literal["udp", "tcp"]
    descriptor: int
    listener: int = 0
    endpoint: str = ""


class IngressPlan(Struct, frozen=True, kw_only=True, tag_field="type", tag="ingress"):
    """What an ingress worker goes by. Backends (`slots`), rate limits (`limits`), rules and lists (`list_cells`) have
    their counters by name from the supervisor, so that all workers count alike. `lists` are the files of the
    lists, `notify` says whose NOTIFY is taken (`proxy.settings.NotifySettings`).
    """

    settings: Tree
    filters: Tree
    slots: dict[str, int]
    limits: dict[str, int]
    rules: dict[str, int]
    health_zone: str | None
    notify: Tree = {}
    lists: dict[str, str] = {}
    list_cells: dict[str, int] = {}


class TransferPlan(Struct, frozen=True, kw_only=True, tag_field="type", tag="transfer"):
    """What the transfer process goes by. Lists are fetched into `folder`; `base` is where the configuration file is."""

    settings: Tree
    folder: str = ""
    base: str = ""


Plan = IngressPlan | TransferPlan


class Start(Message, frozen=True, kw_only=True, tag="start"):
    """The first message down: what to be. `memory` is the descriptor of the shared memory, for ingress workers."""

    index: int
    plan: Plan
    sockets: tuple[Socket, ...]
    memory: int | None
    blocks: Blocks | None = None


class Reload(Message, frozen=True, kw_only=True, tag="reload"):
    """New settings, to be swapped in whole; answered by ReloadDone or ReloadFailed with the same serial.

    `sockets` is the whole new list for the transfer process. Their descriptors were sent just before on the second
    pair, in the same order (see `hand_over`), because they are numbers of another process here.
    """

    serial: int
    plan: Plan
    sockets: tuple[Socket, ...] = ()


class Drain(Message, frozen=True, kw_only=True, tag="drain"):
    """Take nothing new, answer what is in flight for at most `grace` seconds, and exit."""

    grace: float


class Blocks(Message, frozen=True, kw_only=True, tag="blocks"):
    """The dynamic blocks in force, all of them, as `dataplane.Blocks` takes them. Workers tell the serial they have."""

    serial: int = 0
    prefixes: list[tuple[str, int, str, int]] = []
    names: list[tuple[bytes, str, int]] = []


class Samples(Message, frozen=True, kw_only=True, tag="samples"):
    """What an ingress worker saw in the last second: samples of its relays, and hits of blocks by their numbers.

    `blocks` is the serial of the blocks that are in use there.
    """

    blocks: int
    hits: list[tuple[int, int]]
    batches: list[bytes]


class Notify(Message, frozen=True, kw_only=True, tag="notify"):
    """A NOTIFY that a worker has accepted; on its way down it has a number, by which its end is told."""

    notice: Notice
    number: int = 0


class NotifyEnded(Message, frozen=True, kw_only=True, tag="notify-ended"):
    """All backends have followed this NOTIFY, or were given up."""

    number: int


class Ready(Message, frozen=True, kw_only=True, tag="ready"):
    """The process serves."""


class Status(Message, frozen=True, kw_only=True, tag="status"):
    """How the process is. Sent every second; it is also the sign of life."""

    body: Tree


class Event(Message, frozen=True, kw_only=True, tag="event"):
    """Something happened, `count` times since the last one of this name was sent."""

    name: str
    fields: Tree
    count: int = 1


class ReloadDone(Message, frozen=True, kw_only=True, tag="reload-done"):
    """The settings of this serial are in use."""

    serial: int


class ReloadFailed(Message, frozen=True, kw_only=True, tag="reload-failed"):
    """The settings of this serial could not be used; those before stay."""

    serial: int
    reason: str


Down = Start | Reload | Drain | Blocks | Notify
Up = Ready | Status | Event | ReloadDone | ReloadFailed | Samples | Notify | NotifyEnded

_encoder = msgspec.msgpack.Encoder(enc_hook=str)
_decoder: msgspec.msgpack.Decoder[Down | Up] = msgspec.msgpack.Decoder(Down | Up)


def encode(message: Down | Up) -> bytes:
    """A message with its length in front.

    Raises:
        ChannelError: larger than MAX_MESSAGE.
    """
    body = _encoder.encode(message)
    if len(body) > MAX_MESSAGE:
        raise ChannelError(f"a message of {len(body)} bytes; {MAX_MESSAGE} is the most")
    return len(body).to_bytes(4) + body


_AT_ONCE = 200
"""Descriptors in one packet; the kernel takes 253 (SCM_MAX_FD in net/scm.h)."""


def hand_over(pair: socket.socket, descriptors: Sequence[int]) -> None:
    """Send descriptors over a non-blocking pair of SOCK_SEQPACKET.

    Raises:
        OSError: the other side is gone, or has not taken many earlier ones.
    """
    for begin in range(0, len(descriptors), _AT_ONCE):
        socket.send_fds(pair, [b"+"], descriptors[begin : begin + _AT_ONCE])


def take_over(pair: socket.socket, count: int) -> list[int]:
    """Receive `count` descriptors that were handed over, on a non-blocking end.

    Raises:
        ChannelError: they have not come.
    """
    taken: list[int] = []
    while len(taken) < count:
        try:
            data, descriptors, _, _ = socket.recv_fds(pair, 1, _AT_ONCE)
        except BlockingIOError:
            data, descriptors = b"", []
        if not data:
            raise ChannelError(f"{count} sockets were announced, {len(taken)} came")
        taken += descriptors
    return taken


class FrameReader:
    """Bytes in, messages out; any chunking gives the same messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Down | Up]:
        """Take bytes in and give the messages that are complete.

        Raises:
            ChannelError: a length above MAX_MESSAGE, or bytes that are no message.
        """
        self._buffer += data
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:4])
            if length > MAX_MESSAGE:
                raise ChannelError(f"a message of {length} bytes was announced; {MAX_MESSAGE} is the most")
            if len(self._buffer) < 4 + length:
                return
            body = bytes(self._buffer[4 : 4 + length])
            del self._buffer[: 4 + length]
            try:
                message = _decoder.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise ChannelError(f"{len(body)} bytes that are no message ({type(error).__name__})") from None
            yield message


class Channel(asyncio.Protocol):
    """One end of the pair. `on_message` is called for each message, `on_close` once, with the error if there was one.

    What goes wrong in `on_message` is not the peer's fault and isn't caught here.
    """

    def __init__(self, on_message: Callable[[Down | Up], None], on_close: Callable[[Exception | None], None]) -> None:
        self._on_message = on_message
        self._on_close = on_close
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._error: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has the methods, not the class

    def data_received(self, data: bytes) -> None:
        """Called by the loop; bytes that are no message end the connection."""
        try:
            for message in self._reader.feed(data):
                self._on_message(message)
        except ChannelError as error:
            self._error = error
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop."""
        self._transport = None
        self._on_close(self._error or error)

    def send(self, message: Down | Up) -> bool:
        """Send a message; False when the other end is gone."""
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.write(encode(message))
        return True

    @property
    def is_clogged(self) -> bool:
        """Whether so much waits to be sent that what can be left out should be."""
        return self._transport is not None and self._transport.get_write_buffer_size() > _QUEUE

    def close(self) -> None:
        """Close this end; what was sent before still goes out."""
        if self._transport is not None:
            self._transport.close()


async def open_channel(
    end: socket.socket, on_message: Callable[[Down | Up], None], on_close: Callable[[Exception | None], None]
) -> Channel:
    """A channel on one end of a socket pair, which it owns from here on."""
    loop = asyncio.get_running_loop()
    _, channel = await loop.create_unix_connection(lambda: Channel(on_message, on_close), sock=end)
    return channel
