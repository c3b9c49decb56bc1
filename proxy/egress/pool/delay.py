"""What is known of the delay of answers, as TCP knows of its round trips (RFC 6298 §2), and of the share that failed.

    delay     := 7/8 delay + 1/8 sample
    deviation := 3/4 deviation + 1/4 |delay - sample|
    failed    := 7/8 failed + 1/8 (0 or 1)

Eight answers forget most of what was before: a tunnel that got worse an hour ago says nothing of now. The first eight
count alike, so that one of them does not stand for long.
"""

from __future__ import annotations

_SLOW = 1 / 8
_FAST = 1 / 4


class Delay:
    """Of one tunnel towards one primary over one transport. In seconds."""

    def __init__(self) -> None:
        self.mean: float | None = None
        self.deviation = 0.0
        self.failed_share = 0.0
        self._samples = 0

    def worked(self, seconds: float | None) -> None:
        """An answer came, after so long if that was measured."""
        self.failed_share -= _SLOW * self.failed_share
        if seconds is None:
            return
        self._samples += 1
        if self.mean is None:
            self.mean, self.deviation = seconds, seconds / 2
            return
        self.deviation += _FAST * (abs(self.mean - seconds) - self.deviation)
        self.mean += max(_SLOW, 1 / self._samples) * (seconds - self.mean)

    def failed(self) -> None:
        """None came."""
        self.failed_share += _SLOW * (1 - self.failed_share)

    @property
    def expected(self) -> float | None:
        """How long an answer takes that takes long. None: not known."""
        return None if self.mean is None else self.mean + 4 * self.deviation

    def cost(self, of_failure: float) -> float:
        """How long a query takes, with what a failure costs beside; infinite where nothing is known."""
        if self.mean is None:
            return float("inf")
        return self.mean + self.failed_share * of_failure
