"""Messages between the processes: any chunking gives the same ones, and nothing else gets through."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import ipc
from gateway.errors import ChannelError
from tests.support.peers import auntil

trees = st.dictionaries(
    st.text(max_size=5), st.integers(-(2**63), 2**63) | st.text() | st.booleans() | st.none(), max_size=4
)
messages = st.one_of(
    st.builds(ipc.Ready),
    st.builds(ipc.Drain, grace=st.floats(0, 100)),
    st.builds(ipc.Status, body=trees),
    st.builds(ipc.Event, name=st.text(), fields=trees, count=st.integers(1, 2**40)),
    st.builds(
        ipc.Blocks,
        serial=st.integers(0, 2**40),
        prefixes=st.lists(st.tuples(st.text(), st.integers(0, 128), st.text(), st.integers(0, 2**40)), max_size=3),
        names=st.lists(st.tuples(st.binary(), st.text(), st.integers(0, 2**40)), max_size=3),
    ),
    st.builds(
        ipc.Samples,
        blocks=st.integers(0, 2**40),
        hits=st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**60)), max_size=3),
        batches=st.lists(st.binary(), max_size=3),
    ),
    st.builds(ipc.ReloadDone, serial=st.integers(0, 2**40)),
    st.builds(ipc.ReloadFailed, serial=st.integers(0, 2**40), reason=st.text()),
    st.builds(ipc.Reload, serial=st.integers(0, 2**40), plan=st.builds(ipc.TransferPlan, settings=trees)),
)


def feed(reader: ipc.FrameReader, data: bytes) -> list[Any]:
    return list(reader.feed(data))


@given(st.lists(messages, max_size=6), st.lists(st.integers(0, 2000), max_size=8))
@settings(deadline=None)  # the CPUs are shared
def test_any_chunking_gives_the_same_messages(sent: list[Any], cuts: list[int]) -> None:
    data = b"".join(map(ipc.encode, sent))
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reader = ipc.FrameReader()
    received = [m for begin, end in itertools.pairwise(places) for m in feed(reader, data[begin:end])]
    assert received == sent


@given(st.binary(max_size=200))
@settings(deadline=None)  # the CPUs are shared
def test_any_bytes_are_messages_or_a_channel_error(data: bytes) -> None:
    try:
        feed(ipc.FrameReader(), data)
    except ChannelError as error:
        assert "message" in str(error)  # noqa: PT017 - most bytes are just an incomplete message


def test_a_message_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(ChannelError, match=f"{ipc.MAX_MESSAGE + 1} bytes was announced"):
        feed(ipc.FrameReader(), (ipc.MAX_MESSAGE + 1).to_bytes(4))
    with pytest.raises(ChannelError, match="is the most"):
        ipc.encode(ipc.ReloadFailed(serial=1, reason="x" * ipc.MAX_MESSAGE))


def test_an_error_shows_nothing_of_the_bytes() -> None:
    body = b"planted"
    with pytest.raises(ChannelError) as caught:
        feed(ipc.FrameReader(), len(body).to_bytes(4) + body)
    assert "planted" not in str(caught.value)


class End:
    """One end of a pair, with what came."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.closed: list[Exception | None] = []

    async def open(self, end: socket.socket) -> ipc.Channel:
        end.setblocking(False)
        return await ipc.open_channel(end, self.messages.append, self.closed.append)


async def test_two_ends_talk_and_notice_the_end() -> None:
    ours, theirs = socket.socketpair()
    here, there = End(), End()
    channel, other = await here.open(ours), await there.open(theirs)
    big = ipc.Status(body={"x": "y" * 1_000_000})
    assert channel.send(big)
    assert channel.send(ipc.Drain(grace=1.0))
    await auntil(lambda: len(there.messages) == 2, what="both messages")
    assert there.messages == [big, ipc.Drain(grace=1.0)]
    channel.close()
    await auntil(lambda: there.closed and here.closed, what="both ends to close")
    assert here.closed == there.closed == [None]
    assert not other.send(ipc.Ready())


async def test_bytes_that_are_no_message_close_the_channel() -> None:
    ours, theirs = socket.socketpair()
    here = End()
    await here.open(ours)
    with theirs:
        theirs.sendall(b"\0\0\0\1\xff")
        await auntil(lambda: here.closed, what="the end")
        assert isinstance(here.closed[0], ChannelError)
        assert theirs.recv(1) == b""


async def test_a_reader_that_stopped_is_noticed() -> None:
    ours, theirs = socket.socketpair()
    channel = await End().open(ours)
    with theirs:
        for _ in range(10_000):
            if channel.is_clogged:
                break
            channel.send(ipc.Event(name="x", fields={"y": "z" * 10_000}))
        assert channel.is_clogged, "100 MB wait for a reader"
        channel.close()
        theirs.close()
        await asyncio.sleep(0)


def test_descriptors_change_hands() -> None:
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    pipes = [os.pipe() for _ in range(450)]
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        ipc.hand_over(ours, [write for _, write in pipes])
        taken = ipc.take_over(theirs, len(pipes))
        for (read, write), mine in zip(pipes, taken, strict=True):
            os.write(mine, b"x")
            assert os.read(read, 1) == b"x"
            for descriptor in (read, write, mine):
                os.close(descriptor)
        with pytest.raises(ChannelError, match="1 sockets were announced, 0 came"):
            ipc.take_over(theirs, 1)
