"""What the proofs of field diffusion share: a recipe's core by name, and a bare training loop."""

from __future__ import annotations

import torch

from sozai.generators.families.field_diffusion import FieldDiffusion
from sozai.generators.recipes import fields as recipes
from sozai.generators.tensors import Batch


def build(name: str, *args: object, **settings: object) -> FieldDiffusion:
    """The core of a recipe of this family."""
    core = next(recipe for recipe in recipes.RECIPES if recipe.name == name).build(*args, **settings)
    assert isinstance(core, FieldDiffusion)
    return core


def fit(core: FieldDiffusion, batch: Batch, steps: int, rows: int = 128) -> None:
    """A bare training loop, one thread."""
    torch.set_num_threads(1)
    core.prepare(batch)
    size = len(next(iter(batch.values())))
    optimizer = torch.optim.AdamW(core.parameters(), 3e-3, betas=(0.9, 0.99))
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, 1e-5)
    for _ in range(steps):
        index = torch.randint(size, (rows,))
        optimizer.zero_grad()
        core.loss({name: values[index] for name, values in batch.items()})["loss"].backward()
        optimizer.step()
        fall.step()
    core.eval()
    core.finish(batch)
