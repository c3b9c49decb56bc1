"""The way out: tunnels, the forwarders that lead through them, and the exit at their far end."""
