"""Solvers of dx/dt = u(x, t) in the path's own time: what flow matching samples with (arXiv 2210.02747).

The velocity of any denoiser is alpha' E[x_0|x_t] + sigma' E[eps|x_t]. On flow matching's straight path it changes
little along the way, so that even steps in t are few; Euler's step is then DDIM's.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sozai.generators.processes.gaussian import Denoiser, spread
from sozai.generators.samplers.base import Condition, Sampler


class Velocity(Sampler):
    """The midpoint method: order 2, two looks at the denoiser a step; ``steps`` counts looks.

    Args:
        settings: of ``Sampler``; the path is even in t.
    """

    def __init__(self, event: tuple[int, ...], steps: int = 40, path: str = "uniform", **settings: Any):
        super().__init__(event, steps=steps, path=path, **settings)

    def times(self, denoiser: Denoiser, steps: int | None = None) -> Tensor:
        """Half as many times as looks: the last look hands over the predicted x_0."""
        return super().times(denoiser, ((self.steps if steps is None else steps) + 1) // 2)

    def velocity(self, denoiser: Denoiser, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """u(x, t)."""
        x0, eps = self.predict(denoiser, x, t, condition)
        of_x0, of_eps = (spread(value, x) for value in denoiser.schedule.velocities(t))
        return of_x0 * x0 + of_eps * eps

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, condition: Condition) -> Tensor:
        """Half an Euler step, then the whole with the slope found there."""
        half = x + spread((s - t) / 2, x) * self.velocity(denoiser, x, t, condition)
        return x + spread(s - t, x) * self.velocity(denoiser, half, (s + t) / 2, condition)
