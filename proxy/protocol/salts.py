"""The salts that an exit has seen, so that a recorded stream can't be played to it again (SIP022 §3.1.5).

An exact set, as SIP022 demands: no false positives. Salts are only added after their stream has authenticated, so
nobody without the key can fill the store. Memory: about 200 bytes a salt.

What happens when it is full follows from what forgetting costs.
  2022  a salt matters for 61 seconds, then its time stamp is too old anyway. Forgetting it earlier would let a replay
        in: a full store refuses new streams until the oldest salts have aged ("salts-full").
  2017  there is no time stamp, so no age after which a salt is harmless. Salts stay as long as there is room,
        and a full store forgets the oldest.
"""

from __future__ import annotations

from collections import deque

from proxy.errors import ProtocolError

# Seconds; SIP022 §3.1.5 says 60. A stamp that is 30 s ahead is good until 30 s have passed behind it, and as stamps are
# whole seconds, that may be almost 61 s from now.
KEEP = 61.0
CAPACITY = 1 << 17  # 2,184 new streams a second for a minute; 26 MB when full


class SaltStore:
    """Salts in order of arrival. `keep` is in seconds; None keeps them as long as there is room."""

    def __init__(self, keep: float | None = KEEP, capacity: int = CAPACITY) -> None:
        self._keep = keep
        self._capacity = capacity
        self._seen: set[bytes] = set()
        self._order: deque[tuple[bytes, float]] = deque()

    def add(self, salt: bytes, now: float) -> None:
        """Remember a salt.

        Raises:
            ProtocolError: "replay": it is known already. "salts-full": see above.
        """
        if self._keep is not None:
            # A clock that was set back only delays the forgetting.
            while self._order and self._order[0][1] <= now - self._keep:
                self._forget_oldest()
        if salt in self._seen:
            raise ProtocolError("a stream with this salt was seen before: a replay", "replay")
        if len(self._seen) >= self._capacity:
            if self._keep is not None:
                raise ProtocolError(
                    f"{self._capacity} new streams within {self._keep:g} s; no room for more", "salts-full"
                )
            self._forget_oldest()
        self._seen.add(salt)
        self._order.append((salt, now))

    def __len__(self) -> int:
        return len(self._seen)

    def _forget_oldest(self) -> None:
        salt, _ = self._order.popleft()
        self._seen.discard(salt)
