"""Fetching the sources of lists through tunnels: HTTPS, and zone transfers of response policy zones."""
