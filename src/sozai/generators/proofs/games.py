"""What the proofs of adversarial systems share: cores of recipes, generators of known law."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from sozai.fields import Fields
from sozai.generators.recipes.gan import RECIPES

OBJECTIVES = "sozai.generators.objectives.adversarial"
FAMILY = "sozai.generators.families.adversarial"


def build(name: str, fields: Fields, conditions: Fields | None = None, **settings: Any) -> Any:
    """The core of a recipe of this family."""
    return next(recipe for recipe in RECIPES if recipe.name == name).build(fields, conditions, **settings)


def against(core: Any, fake: Callable[[int], Tensor]) -> Any:
    """The core with a generator whose law is known."""
    core.generate = lambda count, given: fake(count)  # type: ignore[method-assign]
    return core
