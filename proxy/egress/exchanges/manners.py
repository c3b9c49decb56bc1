"""What a primary was seen to allow on its connections (RFC 7766 §6.2.1).

Nothing of it is known before it is tried, and no server says it in its answers. So connections are used again and
queries are pipelined until the primary shows that it does not like it: it closes right behind an answer, or while
others wait. That is remembered for a while and then tried again, since servers are replaced.
"""

from __future__ import annotations

SOON = 1.0  # seconds behind an answer; who closes later had an idle timeout
MEMORY = 600.0  # seconds


class Manners:
    """Of one primary. Pure: `now` is an argument, in seconds."""

    def __init__(self) -> None:
        self._no_reuse_until = self._no_pipeline_until = float("-inf")

    def reuses(self, now: float) -> bool:
        """Whether a connection may carry another query behind an answered one."""
        return now >= self._no_reuse_until

    def pipelines(self, now: float) -> bool:
        """Whether queries may wait together on one connection."""
        return now >= self._no_pipeline_until and self.reuses(now)

    def closed(self, now: float, *, last_answer: float | None, others_waited: bool) -> None:
        """The primary has closed a connection by itself: no error, no limit of ours.

        `last_answer` is when its last answer came, None without any; `others_waited`: queries that had been sent
        before that answer had none yet.
        """
        if last_answer is None:
            return
        if others_waited:
            self._no_pipeline_until = now + MEMORY
        elif now - last_answer < SOON:
            self._no_reuse_until = now + MEMORY
