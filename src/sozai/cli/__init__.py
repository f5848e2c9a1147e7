"""The ``sozai`` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line of this process; the entry point of the ``sozai`` command."""
    from sozai.cli.app import app

    app()


__all__ = ["main"]
