"""Conditional flow matching: regression on the velocities of straight paths from noise to data.

    x_t = alpha(t) x_0 + sigma(t) eps,   u = alpha' x_0 + sigma' eps,   loss = E ||u - u_hat(x_t, t)||^2

whose minimiser is the velocity of the probability flow (Lipman et al., arXiv 2210.02747, theorem 2). It is a
diffusion with another schedule and another prediction: all samplers, guidance and likelihoods are the same code.
Time runs from data (0) to noise (1), the reverse of the paper's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sozai.errors import UserError
from sozai.fields import Fields
from sozai.generators.families.diffusion import ProbabilityFlow
from sozai.generators.objectives import denoising


class FlowMatching(ProbabilityFlow):
    """Flow matching with the exact likelihood of its flow.

    Args:
        coupling: ``"independent"``, or ``"optimal"``: within each batch noise is paired with data by optimal
            transport (arXiv 2302.00482), for straighter flows and fewer steps. Then eps is no longer independent
            of x_0, and only deterministic samplers are right; conditions would no longer be independent of the
            noise, and are refused.
        settings: of ``ProbabilityFlow``.
    """

    def __init__(
        self, fields: Fields, conditions: Fields | None = None, *, coupling: str = "independent", **settings: Any
    ):
        defaults: dict[str, Any] = {
            "schedule": "straight",
            "objective": "velocity",
            "prediction": "velocity",
            "dequantise": "uniform",
            "sampler": "velocity",
        }
        super().__init__(fields, conditions, **{**defaults, **settings})
        if coupling not in ("independent", "optimal"):
            raise UserError(f"there is no coupling '{coupling}'", "coupling", "use 'independent' or 'optimal'")
        if coupling == "optimal" and self.conditions:
            raise UserError("optimal coupling would tie the noise to the conditions", "coupling", "use 'independent'")
        self.coupling = coupling

    def objective_loss(self, x: Tensor, condition: Tensor | None) -> Mapping[str, Tensor]:
        """Flow matching's, on coupled noise."""
        if self.objective != "velocity":
            return super().objective_loss(x, condition)
        noise = torch.randn_like(x)
        if self.coupling == "optimal":
            noise = denoising.optimal_coupling(x, noise)
        return denoising.velocity(self, x, condition, noise)
