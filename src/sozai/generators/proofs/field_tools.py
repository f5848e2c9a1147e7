"""What the proofs of field diffusion share: a recipe's core by name, and a short training."""

from __future__ import annotations

import torch

from sozai.generators.families.field_diffusion import FieldDiffusion
from sozai.generators.proofs.training import learn, rows_of
from sozai.generators.recipes import fields as recipes
from sozai.generators.tensors import Batch


def build(name: str, *args: object, **settings: object) -> FieldDiffusion:
    """The core of a recipe of this family."""
    core = next(recipe for recipe in recipes.RECIPES if recipe.name == name).build(*args, **settings)
    assert isinstance(core, FieldDiffusion)
    return core


def fit(core: FieldDiffusion, batch: Batch, steps: int, rows: int = 128) -> None:
    """Prepared, trained on random rows and finished; one thread."""
    torch.set_num_threads(1)
    core.prepare(batch)
    learn(core, rows_of(batch, rows), steps, rate=3e-3)
    core.finish(batch)
