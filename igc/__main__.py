"""``python -m igc``: the command line from a checkout that is not installed."""

from igc.cli import main

main()
