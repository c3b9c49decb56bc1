"""Wire formats without input or output: bytes in, events out, any chunking gives the same events."""
