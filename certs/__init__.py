"""TLS material from files: authorities, certificate chains with their keys, pins; and the contexts made of them."""
