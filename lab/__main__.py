"""`python -m lab` is the command `ttt-lab`."""

from lab.cli import main


main()
