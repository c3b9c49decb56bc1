"""The typed skin of the Rust data plane: what happens once per packet (see `_native.pyi`)."""

from dataplane._native import Policy, Reading, SharedMemory, StreamRelay, UdpRelay, check_message

__all__ = ["Policy", "Reading", "SharedMemory", "StreamRelay", "UdpRelay", "check_message"]
