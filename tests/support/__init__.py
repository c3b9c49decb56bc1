"""What tests share: real peers, ports, waiting."""
