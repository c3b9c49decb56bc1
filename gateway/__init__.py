"""The control plane: configuration, command line, supervisor, admin API, metrics and events."""
