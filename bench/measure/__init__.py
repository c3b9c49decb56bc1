"""The measurements, one file each. Each takes a `Run` and returns its figures."""
