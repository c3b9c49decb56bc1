"""Plain counters of TLS to one primary. They outlive a reload: found again by its name."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from proxy.egress.status import PrimaryTlsStatus
from proxy.errors import ProxyError


@dataclass(slots=True)
class TlsCounters:
    """Of one primary. `expires`: when our own certificate does, in seconds since 1970."""

    name: str
    handshakes: int = 0
    resumed: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    last_error: str | None = None
    expires: float | None = None

    def failed(self, error: ProxyError) -> None:
        """TLS did not come about, or broke."""
        self.failures[error.reason] += 1
        self.last_error = str(error)

    def status(self) -> PrimaryTlsStatus:
        """The numbers now."""
        return PrimaryTlsStatus(
            primary=self.name,
            handshakes=self.handshakes,
            resumed=self.resumed,
            failures=dict(self.failures),
            last_error=self.last_error,
            expires_in=None if self.expires is None else self.expires - time.time(),
        )
