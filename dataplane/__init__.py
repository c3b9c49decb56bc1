"""The typed skin of the Rust data plane: what happens once per packet (see `_native.pyi`)."""
