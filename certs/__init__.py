"""TLS material. Nothing needs it yet: listeners speak UDP and TCP, and no primary is asked over TLS so far."""
