"""The typed skin of the Rust data plane: what happens once per packet (see `_native.pyi`)."""

from dataplane._native import Policy, SharedMemory, StreamRelay, UdpRelay

__all__ = ["Policy", "SharedMemory", "StreamRelay", "UdpRelay"]
