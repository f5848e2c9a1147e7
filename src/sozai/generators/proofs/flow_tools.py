"""What the proofs of flows share: systems with stirred weights, determinants by autograd, inverses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from sozai.fields import Field
from sozai.generators.families.flow import Flow
from sozai.generators.processes.bijections import Bijection
from sozai.generators.proofs.proof import Finding, at_least, at_most

ROUNDING = "double precision"


def build(name: str, field: Field, **settings: Any) -> Flow:
    """The named system, small, in double precision, its weights stirred so that no layer is near the identity."""
    from sozai.generators.recipes.flow import RECIPES

    [recipe] = [recipe for recipe in RECIPES if recipe.name == name]
    core = (
        recipe.build({"x": field}, **({"width": 16, "channels": 8, "depth": 3, "jitter": 0.0} | settings))
        .double()
        .eval()
    )
    assert isinstance(core, Flow)
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return core


def exact_log_det(bijection: Bijection, x: Tensor) -> Tensor:
    """log |det dz/dx| by autograd, row by row, for x (batch, *event)."""
    rows = []
    for row in x:
        jacobian = torch.autograd.functional.jacobian(lambda y: bijection(y[None])[0].flatten(), row)
        rows.append(torch.linalg.slogdet(jacobian.reshape(row.numel(), row.numel()))[1])  # type: ignore[union-attr]
    return torch.stack(rows)


def worst(difference: Tensor) -> float:
    """Largest absolute value; NaN counts as infinite."""
    return float(difference.detach().abs().nan_to_num(math.inf).amax())


def bijective(core: Flow, x: Tensor, tolerance: float = 1e-9) -> Iterator[Finding]:
    """Inverse and determinant of a whole flow."""
    with torch.no_grad():
        z, log_det = core.bijection(x)
        error = worst(core.bijection.inverse(z).reshape(x.shape) - x)
    yield at_most("inverse error", tolerance, error, ROUNDING)
    yield at_most("log det against autograd's slogdet", tolerance, worst(log_det - exact_log_det(core.bijection, x)))
    yield at_least("least deviation of a latent over rows", 1e-3, float(z.std(0).amin()), "no dimension is lost")
