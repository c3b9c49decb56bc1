"""Blocks in a file, so that they survive a restart: `blocks.json` in the state directory.

{"version": 1, "next": 7, "blocks": [...]}

The file is replaced whole: written beside, flushed to the disk, renamed. One that can't be read, for whatever reason,
is an event, and the gateway starts without the blocks: a torn file must never keep it from serving.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from filters.detectors import is_canonical
from filters.errors import FilterError
from gateway.blocks.values import Block
from proxy.values import Emit

NAME = "blocks.json"
LARGEST = 64 << 20
MOST_NUMBERS = 1 << 53
"""What JSON carries exactly everywhere."""


class _File(Struct, kw_only=True):
    version: Literal[1]
    next: int
    blocks: list[Block]


class BlockStore:
    """The file of one gateway. `directory` is there already, or is None: then nothing is kept."""

    def __init__(self, directory: Path | None, emit: Emit) -> None:
        self._path = directory / NAME if directory is not None else None
        self._emit = emit
        self._failing = False

    def load(self) -> tuple[list[Block], int]:
        """The blocks that were saved, and the number of the next one. Never raises."""
        if self._path is None:
            return [], 1
        try:
            with self._path.open("rb") as file:
                content = file.read(LARGEST + 1)
            if len(content) > LARGEST:
                raise ValueError(f"more than {LARGEST} bytes")
            found = msgspec.json.decode(content, type=_File)
            _check(found)
        except FileNotFoundError:
            return [], 1
        except (OSError, ValueError, RecursionError, FilterError) as error:
            self._emit(
                "blocks.load-failed", {"file": str(self._path), "error": str(error), "remedy": "none is in force"}
            )
            return [], 1
        return found.blocks, found.next

    def save(self, blocks: Sequence[Block], next_number: int) -> bool:
        """Replace the file. On an error, which is told once, the one before stays."""
        if self._path is None:
            return True
        content = msgspec.json.encode(_File(version=1, next=next_number, blocks=list(blocks)))
        beside = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
            _sync_directory(self._path.parent)
        except OSError as error:
            if not self._failing:
                self._emit("blocks.save-failed", {"file": str(self._path), "error": error.strerror})
            self._failing = True
            with contextlib.suppress(OSError):  # it may not exist, and the next save writes it anew
                beside.unlink()
            return False
        self._failing = False
        return True


def _check(found: _File) -> None:
    """What no gateway would have written must not bring one down.

    Raises:
        ValueError: with what is wrong.
        FilterError: with what is wrong.
    """
    numbers = {block.id for block in found.blocks}
    subjects = {(block.rule, block.subject) for block in found.blocks}
    if min(len(numbers), len(subjects)) < len(found.blocks):
        raise ValueError("a block is there twice")
    if not all(0 < number < MOST_NUMBERS for number in (*numbers, found.next)):
        raise ValueError("a number that no block has")
    for block in found.blocks:
        if not is_canonical(block.kind, block.subject):
            raise ValueError(f"{block.subject[:64]!r} is no {block.kind}")
        if (block.rule is None) != (block.who == "operator") or block.step < 0 or block.hits < 0:
            raise ValueError(f"the block of {block.subject[:64]!r} can't be")


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
