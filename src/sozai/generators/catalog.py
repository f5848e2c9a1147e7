"""The catalog: generators by name."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sozai.errors import UserError

if TYPE_CHECKING:
    from sozai.generators.base import Generator
    from sozai.generators.recipes.recipe import Recipe

CRYSTALS = {
    "wyckoff-gpt": "autoregressive transformer over Wyckoff sites, trained on the Materials Project",
    "substitution": "data-mined ion exchange on known prototypes; nothing to train",
    "random": "random symmetric crystals in random cells (pyxtal); the honest lower bound",
}
"""Generators of crystals: name and what it is."""
FAMILIES = ("gan", "tabular", "vae", "vae_latent", "diffusion", "samplers", "fields", "flow", "language")
"""Modules of ``recipes`` (and of ``proofs``)."""


@lru_cache(1)
def recipes() -> dict[str, Recipe]:
    """The named systems of the literature, by name."""
    modules = [import_module(f"sozai.generators.recipes.{family}") for family in FAMILIES]
    return {recipe.name: recipe for module in modules for recipe in module.RECIPES}


def recipe(name: str) -> Recipe:
    """A system by name.

    Raises:
        UserError: there is none; names the nearest.
    """
    from difflib import get_close_matches

    if name not in recipes():
        near = get_close_matches(name.lower().replace("_", "-"), [*recipes(), *CRYSTALS], n=3, cutoff=0.5)
        raise UserError(
            f"there is no system '{name}'",
            "system",
            f"did you mean {' or '.join(near)}?" if near else "see 'sozai systems'",
        )
    return recipes()[name]


@lru_cache(1)
def measured() -> dict[str, dict[str, dict[str, Any]]]:
    """What ``benchmarks/generators.py`` measured, by system and task: see ``docs/generators.md``."""
    text = (files("sozai.generators.recipes") / "measured.json").read_text(encoding="utf-8")
    content: dict[str, dict[str, dict[str, Any]]] = json.loads(text)
    return content


def generator(name: str, folder: Path | str | None = None, wraps: Any = None, **settings: Any) -> Generator:
    """A generator of the catalog.

    Those of crystals are ready to sample; a system of the literature is to be fitted first.

    Args:
        name: a key of ``CRYSTALS`` or ``recipes()``, or a classical generator of table rows such as ``"trees"``.
        folder: weights of your own training.
        wraps: a fitted diffusion that the sampler ``name`` is to draw from.
        settings: of the generator.

    Raises:
        UserError: unknown name, or weights that cannot be read.
    """
    if name == "wyckoff-gpt":
        from sozai.generators.wyckoff_gpt.model import WyckoffGPT

        return WyckoffGPT.load(folder, **settings)
    if folder is not None and name in CRYSTALS:
        raise UserError(f"the generator '{name}' has no weights to load", "weights", "leave the option out")
    if name == "substitution":
        from sozai.generators.substitution import Substitution

        return Substitution(**settings)
    if name == "random":
        from sozai.generators.random_symmetric import RandomSymmetric

        return RandomSymmetric(**settings)
    from sozai.generators.tables.names import CLASSICAL

    if name in CLASSICAL and folder is None:
        from sozai.generators.tables.names import table_generator

        return table_generator(name, **settings)
    from sozai.generators.system import System

    known = recipe(name)
    if folder is not None:
        return System.load(folder)
    if wraps is not None:
        if not known.sampler:
            raise UserError(f"{name} is no sampler", "wraps", "see 'sozai systems' for those that wrap a diffusion")
        return wraps.wrapped(known, settings.pop("data", None), **settings)
    return System(known, **settings)


def load(folder: Path | str) -> Generator:
    """The generator saved in a folder.

    Raises:
        UserError: there is none, or its files are damaged.
    """
    try:
        settings = json.loads((Path(folder) / "settings.json").read_text())
    except (OSError, ValueError) as error:
        raise UserError("there is no saved generator here", str(folder), "name the folder that 'save' wrote") from error
    if isinstance(settings, dict) and "system" in settings:
        from sozai.generators.system import System

        return System.load(folder)
    if isinstance(settings, dict) and "table_generator" in settings:
        from sozai.generators.tables.names import load_table_generator

        return load_table_generator(folder)
    return generator("wyckoff-gpt", folder)
