"""`zonegate transfer`."""
