"""What the proofs of adversarial systems share: cores of recipes, bare loops, generators of known law."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sozai.fields import Fields
from sozai.generators.recipes.gan import RECIPES

OBJECTIVES = "sozai.generators.objectives.adversarial"
FAMILY = "sozai.generators.families.adversarial"


def build(name: str, fields: Fields, conditions: Fields | None = None, **settings: Any) -> Any:
    """The core of a recipe of this family."""
    return next(recipe for recipe in RECIPES if recipe.name == name).build(fields, conditions, **settings)


def learn(core: Any, draw: Callable[[], dict[str, Tensor]], steps: int, *players: str, rate: float = 1.0) -> Any:
    """A bare loop over the named players (all by default), at constant learning rates."""
    chosen = [player for player in core.players if not players or player.name in players]
    kinds = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}
    optimizers = {}
    for player in chosen:
        settings: dict[str, Any] = {"betas": player.betas} if player.optimizer == "adam" else {}
        optimizers[player.name] = kinds[player.optimizer](
            core.parameters_of(player.name), lr=rate * player.rate, **settings
        )
    for _ in range(steps):
        for player in chosen:
            for _ in range(player.steps):
                optimizers[player.name].zero_grad()
                core.loss(draw(), player.name)["loss"].backward()
                optimizers[player.name].step()
                core.after_step(player.name)
    return core


def against(core: Any, fake: Callable[[int], Tensor]) -> Any:
    """The core with a generator whose law is known."""
    core.generate = lambda count, given: fake(count)  # type: ignore[method-assign]
    return core
