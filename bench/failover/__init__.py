"""How fast the choice among tunnels reacts, and how often it changes, beside shadowsocks-rust's balancer."""
