"""Generators of table rows: the neural systems and the classical methods under one interface."""

from __future__ import annotations

from typing import Any

PARTS = {
    "TABLE_GENERATORS": "names",
    "table_generator": "names",
    "load_table_generator": "names",
    "choose": "choice",
}


def __getattr__(name: str) -> Any:
    """What the package offers, imported on use."""
    if name not in PARTS:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"sozai.generators.tables.{PARTS[name]}"), name)
