"""The typed skin of the Rust data plane: what happens once per packet (see `_native.pyi`)."""

from dataplane._native import (
    Blocks,
    Explanation,
    List,
    Policy,
    Reading,
    SampleTally,
    SharedMemory,
    StreamRelay,
    UdpRelay,
    check_message,
    count_soas,
    distinct_names,
    proxy_header,
    put_cookie,
    strip_cookies,
)

__all__ = [
    "Blocks",
    "Explanation",
    "List",
    "Policy",
    "Reading",
    "SampleTally",
    "SharedMemory",
    "StreamRelay",
    "UdpRelay",
    "check_message",
    "count_soas",
    "distinct_names",
    "proxy_header",
    "put_cookie",
    "strip_cookies",
]
