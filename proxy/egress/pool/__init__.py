"""How one of several tunnels to a primary is chosen, and how it is found out that another is needed."""
