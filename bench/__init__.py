"""Figures, measured side by side with the peers on this machine's loopback: `python -m bench`. See README.md here."""
