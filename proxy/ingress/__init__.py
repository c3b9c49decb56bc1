"""The way in: listeners, the UDP and TCP relays, and the backends behind them."""
