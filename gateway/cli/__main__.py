"""`python -m gateway.cli` is the command `zonegate`."""

from gateway.cli import main

main()
