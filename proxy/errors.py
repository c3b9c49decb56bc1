"""Errors of the traffic. Each says whose fault it is; `retry` says whether the next tunnel or primary may help."""

NO_DESCRIPTORS = "no-descriptors"
"""The reason of what this machine could not even begin: it says nothing of any tunnel."""


class ProxyError(Exception):
    """Root of all errors of this package. `reason` is a short label, fit for a metric; the text is for people."""

    retry = False

    def __init__(self, message: str, reason: str = "error") -> None:
        super().__init__(message)
        self.reason = reason


class ProtocolError(ProxyError):
    """The peer sent bytes that its protocol does not allow. The connection is of no further use."""

    retry = True

    def __init__(self, message: str, reason: str = "malformed") -> None:
        super().__init__(message, reason)


class TunnelError(ProxyError):
    """The tunnel is at fault: unreachable, wrong key, refused us. Another tunnel may work."""

    retry = True


class SetupError(TunnelError):
    """The tunnel can't work as things are set up, here or at its far end: someone must change a setting, time won't."""


class PrimaryError(ProxyError):
    """The tunnel works, the primary behind it does not answer. Another tunnel is unlikely to help."""

    retry = False
