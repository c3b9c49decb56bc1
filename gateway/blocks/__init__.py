"""Dynamic blocks in the supervisor: the table of them, their life, the file that they survive a restart in."""
