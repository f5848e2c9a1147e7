"""``python -m sozai``: the same as the ``sozai`` command."""

from sozai.cli import main

main()
