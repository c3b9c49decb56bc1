"""The salts that an exit has seen, so that a recorded stream can't be played to it again (SIP022 §3.1.5).

An exact set, as SIP022 demands: no false positives. Salts are only added after their stream has authenticated, so
nobody without a key can fill the store, and a replay adds nothing: however many come, the store stays as it is.

    newest ◀── a set for every 20 s ──▶ oldest      forgotten as a whole, 61 to 82 seconds after its salts came

What happens when it is full follows from what forgetting costs.
  2022  a salt matters for 61 seconds, then its time stamp is too old anyway. Forgetting it earlier would let a replay
        in: a full store refuses new streams until the oldest set has aged ("salts-full"). So that one user can't shut
        the others out, nobody gets more than an equal share once the store is half full.
  2017  there is no time stamp, so no age after which a salt is harmless. Salts stay as long as there is room,
        and a full store forgets the oldest set.

A restart forgets all salts. What was recorded before it carries an older time stamp than the start of this store, and
is refused by that ("before-start"). What is left of the gap: a client whose clock is ahead by some seconds leaves
just as many seconds of its recordings before the restart open; the edition of 2017 has no stamps.
"""

from __future__ import annotations

from collections import Counter, deque

from proxy.errors import ProtocolError

# Seconds; SIP022 §3.1.5 says 60. A stamp that is 30 s ahead is good until 30 s have passed behind it, and as stamps are
# whole seconds, that may be almost 61 s from now.
KEEP = 61.0
CAPACITY = 1 << 17  # 2,184 new streams a second for a minute; about 14 MB when full of 32-byte salts
_GENERATIONS = 3  # within KEEP


class _Generation:
    """The salts of some seconds."""

    __slots__ = ("begun", "held", "salts")

    def __init__(self, begun: float) -> None:
        self.begun = begun
        self.salts: set[bytes] = set()
        self.held: Counter[str] = Counter()  # by user


class SaltStore:
    """Salts by the time of their arrival. `keep` is in seconds; None keeps them as long as there is room.

    `since` is the Unix time from which on all salts are known here: the start of the process, or of the key.
    `users` is how many share the room.
    """

    def __init__(
        self, keep: float | None = KEEP, capacity: int = CAPACITY, *, since: float = 0.0, users: int = 1
    ) -> None:
        self.users = users
        self._keep = keep
        self._capacity = capacity
        self._since = int(since)
        self._generations: deque[_Generation] = deque()  # newest first

    def add(self, salt: bytes, now: float, *, stamp: int | None = None, user: str = "") -> None:
        """Remember a salt. `stamp` is the time that its stream tells, in an edition that tells it.

        Raises:
            ProtocolError: "before-start", "replay": it is known already, "salts-full": see above.
        """
        if stamp is not None:
            check_start(stamp, self._since, "stream")
        if self._keep is not None:
            # A clock that was set back only delays the forgetting.
            while self._generations and self._ended(self._generations[-1]) <= now - self._keep:
                self._generations.pop()
        if any(salt in generation.salts for generation in self._generations):
            raise ProtocolError("a stream with this salt was seen before: a replay", "replay")
        self._make_room(user)
        newest = self._newest(now)
        newest.salts.add(salt)
        newest.held[user] += 1

    def __len__(self) -> int:
        return sum(len(generation.salts) for generation in self._generations)

    def _make_room(self, user: str) -> None:
        """
        Raises:
            ProtocolError: "salts-full".
        """
        total = len(self)
        if self._keep is None:
            if total >= self._capacity:
                self._generations.pop()
            return
        if total < self._capacity // 2:
            return
        held = sum(generation.held[user] for generation in self._generations)
        if total >= self._capacity or held >= self._capacity // self.users:
            raise ProtocolError(
                f"{held} new streams of this user within {self._keep:g} s, {total} of all; no room for more",
                "salts-full",
            )

    def _newest(self, now: float) -> _Generation:
        if not self._generations or self._is_over(self._generations[0], now):
            self._generations.appendleft(_Generation(now))
        return self._generations[0]

    def _is_over(self, generation: _Generation, now: float) -> bool:
        if self._keep is None:
            return len(generation.salts) >= max(1, self._capacity // _GENERATIONS)
        return now >= self._ended(generation)

    def _ended(self, generation: _Generation) -> float:
        """From when on a generation takes no more."""
        return generation.begun + (0.0 if self._keep is None else self._keep / _GENERATIONS)


def check_start(stamp: int, since: int, what: str) -> None:
    """Refuse what was made before a store or table began that would know it.

    Raises:
        ProtocolError: "before-start".
    """
    if stamp < since:
        raise ProtocolError(
            f"the {what} is from {since - stamp} s before this exit, or this key, came into use, and what was seen "
            "then is no longer known: a replay, or the clock of the client is behind ours",
            "before-start",
        )
