"""Generators of table rows by name."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from sozai.errors import UserError
from sozai.generators.tables.base import TableGenerator

CLASSICAL = {
    "trees": ("trees", "SequentialTrees"),
    "gp-labelled": ("classical", "GPLabelled"),
    "gmm": ("classical", "Mixture"),
    "gaussian-copula": ("classical", "GaussianCopula"),
    "kde": ("classical", "Kernels"),
    "smote": ("classical", "Smote"),
}
"""Module and class by name."""
NEURAL = ("ctgan", "tgan", "tablegan", "wgan-gp", "tvae", "realnvp", "spline-flow", "tabddpm", "flow-matching")
"""Systems of the catalog on the same representation."""
TABLE_GENERATORS = (*CLASSICAL, *NEURAL)
"""All names, the default first."""


def table_generator(name: str, **settings: Any) -> TableGenerator:
    """A generator of table rows.

    Args:
        name: one of ``TABLE_GENERATORS``.
        settings: of the method; ``audit=False`` leaves the membership audit out, ``missing="fill"`` fills blanks.

    Raises:
        UserError: there is no such generator or setting.
    """
    if name in CLASSICAL:
        module, kind = CLASSICAL[name]
        made: TableGenerator = getattr(import_module(f"sozai.generators.tables.{module}"), kind)(**settings)
        return made
    if name in NEURAL:
        from sozai.generators.tables.neural import Neural

        return Neural(name, **settings)
    raise UserError(f"there is no generator of tables '{name}'", "method", f"use one of {', '.join(TABLE_GENERATORS)}")


def load_table_generator(folder: Path | str) -> TableGenerator:
    """The generator of table rows saved in a folder.

    Raises:
        UserError: there is none, or its files are damaged.
    """
    try:
        name = json.loads((Path(folder) / "settings.json").read_text(encoding="utf-8"))["table_generator"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError("there is no generator of table rows here", str(folder), "name a folder of 'save'") from error
    if name in CLASSICAL:
        module, kind = CLASSICAL[name]
        loaded: TableGenerator = getattr(import_module(f"sozai.generators.tables.{module}"), kind).load(folder)
        return loaded
    if name in NEURAL:
        from sozai.generators.tables.neural import Neural

        return Neural.load(folder)
    raise UserError(f"it is of a generator '{name}' that this sozai does not know", str(folder), "update sozai")
