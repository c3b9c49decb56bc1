"""Errors of the control plane."""


class GatewayError(Exception):
    """Root of all errors of this package. Its text is meant for the operator and holds no secret."""


class StartError(GatewayError):
    """The gateway could not start: an address is taken, a permission is missing, a process does not come up."""


class ChannelError(GatewayError):
    """The other process sent bytes that are not a message, or too many. The connection is of no further use."""
