"""The catalog: generators by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sozai.errors import UserError

if TYPE_CHECKING:
    from sozai.generators.base import Generator

NAMES = {
    "wyckoff-gpt": "autoregressive transformer over Wyckoff sites, trained on the Materials Project",
    "substitution": "data-mined ion exchange on known prototypes; nothing to train",
    "random": "random symmetric crystals in random cells (pyxtal); the honest lower bound",
}
"""Name and what it is."""


def generator(name: str, folder: Path | str | None = None, **settings: Any) -> Generator:
    """A generator of the catalog, ready to sample.

    Args:
        name: a key of ``NAMES``.
        folder: weights of your own training; by default what ships with sozai.
        settings: of the generator's constructor.

    Raises:
        UserError: unknown name, or weights that cannot be read.
    """
    if name == "wyckoff-gpt":
        from sozai.generators.wyckoff_gpt.model import WyckoffGPT

        return WyckoffGPT.load(folder, **settings)
    if folder is not None:
        raise UserError(f"the generator '{name}' has no weights to load", "weights", "leave the option out")
    if name == "substitution":
        from sozai.generators.substitution import Substitution

        return Substitution(**settings)
    if name == "random":
        from sozai.generators.random_symmetric import RandomSymmetric

        return RandomSymmetric(**settings)
    raise UserError(f"there is no generator '{name}'", "generator", f"use one of {', '.join(NAMES)}")


def load(folder: Path | str) -> Generator:
    """The generator saved in a folder.

    Raises:
        UserError: there is none, or its files are damaged.
    """
    try:
        json.loads((Path(folder) / "settings.json").read_text())
    except (OSError, ValueError) as error:
        raise UserError("there is no saved generator here", str(folder), "name the folder that 'save' wrote") from error
    return generator("wyckoff-gpt", folder)
