"""The generative chain of DDPM (arXiv 2006.11239) on any path of times.

x_s = mean of q(x_s | x_t, x_0 = x0_hat) + sqrt(v) z, with the variance v one of::

    beta       sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2     exact for data of unit variance
    beta~      beta sigma_s^2 / sigma_t^2                      exact for data in one point
    learned    between them, the denoiser's own ``variance(x, s, t, condition)`` (arXiv 2102.09672)
    analytic   the best one number (arXiv 2201.06503), see ``analytic``
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sozai.errors import UserError
from sozai.generators.processes import gaussian
from sozai.generators.processes.gaussian import Denoiser, Schedule, spread
from sozai.generators.samplers import analytic
from sozai.generators.samplers.base import Condition, Sampler

VARIANCES = ("beta", "beta~", "learned", "analytic")


def bounds(schedule: Schedule, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """beta~ and beta of the step from t to s, (batch,): lower and upper bound of the best variance."""
    low = gaussian.posterior(schedule, s, t)[2]
    return low, low * (schedule.sigma(t) / schedule.sigma(s)) ** 2


class Ancestral(Sampler):
    """DDPM's sampler.

    Args:
        variance: see above.
        settings: of ``Sampler``; many steps even in time are this chain's own way.
    """

    def __init__(
        self,
        event: tuple[int, ...],
        variance: str = "beta",
        steps: int = 200,
        path: str = "uniform",
        **settings: Any,
    ):
        super().__init__(event, steps=steps, path=path, **settings)
        if variance not in VARIANCES:
            raise UserError(f"there is no variance '{variance}'", "sampler", f"use one of {', '.join(VARIANCES)}")
        self.variance = variance

    @property
    def measures(self) -> bool:
        """Also for the analytic variance."""
        return super().measures or self.variance == "analytic"

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, condition: Condition) -> Tensor:
        """One draw from p(x_s | x_t)."""
        x0, _ = self.predict(denoiser, x, t, condition)
        of_x, of_x0, _ = gaussian.posterior(denoiser.schedule, s, t)
        mean = spread(of_x, x) * x + spread(of_x0, x) * x0
        return mean + self.noise_variance(denoiser, x, t, s, condition).sqrt() * torch.randn_like(x)

    def noise_variance(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, condition: Condition) -> Tensor:
        """v, that multiplies with x."""
        if self.variance == "learned":
            learned = getattr(denoiser, "variance", None)
            if not callable(learned):
                raise UserError(
                    "this diffusion has not learned a variance", "sampler", "use variance 'beta~' or 'analytic'"
                )
            return learned(x, s, t, condition)
        low, high = bounds(denoiser.schedule, s, t)
        if self.variance == "analytic":
            return spread(analytic.step_variance(self, denoiser.schedule, s, t, low), x)
        return spread(low if self.variance == "beta~" else high, x)
