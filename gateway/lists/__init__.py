"""Lists in the supervisor: their sources watched, built once, and given to all workers."""
