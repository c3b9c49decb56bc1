"""TLS over the streams of tunnels: to primaries (XoT, RFC 9103), and to the web servers of lists."""
