"""What is said when nothing comes."""

from __future__ import annotations

from proxy.errors import TunnelError


def no_answer(patience: float) -> TunnelError:
    """For streams and datagrams alike."""
    return TunnelError(
        f"no answer within {patience:g} s: the primary is silent, or the exit is, as it is "
        "to a wrong key, to a clock over 30 s off, and where it may not open this primary",
        "no-answer",
    )
