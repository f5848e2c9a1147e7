"""DDIM (arXiv 2010.02502, eq. 12 and 16): the same denoiser, a chain that need not be random.

x_s = alpha_s x0_hat + sqrt(sigma_s^2 - lam^2) eps_hat + lam z,   lam = eta sqrt(beta~)

eta = 0 is Euler's method for dxbar/dgamma = eps (xbar = x / alpha, gamma = sigma / alpha), thus of order 1;
eta = 1 is DDPM with variance beta~.
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


def deviation(schedule: Schedule, s: Tensor, t: Tensor, eta: float) -> Tensor:
    """lam of the step from t to s, (batch,): eta^2 (1-ab_s)/(1-ab_t) (1 - ab_t/ab_s) squared."""
    return eta * gaussian.posterior(schedule, s, t)[2].sqrt()


def direction(schedule: Schedule, s: Tensor, lam: Tensor) -> Tensor:
    """Weight of eps_hat, (batch,): with lam it makes up the whole noise of x_s, so that q(x_s | x_0) stays."""
    return (schedule.sigma(s) ** 2 - lam**2).sqrt()


class DDIM(Sampler):
    """DDIM.

    Args:
        eta: 0 deterministic, 1 as random as DDPM.
        analytic: add the variance that is then best (Analytic-DPM's A-DDIM) instead of lam^2.
        settings: of ``Sampler``.
    """

    def __init__(self, event: tuple[int, ...], eta: float = 0.0, analytic: bool = False, **settings: Any):
        super().__init__(event, **settings)
        if not 0 <= eta <= 1:
            raise UserError("eta must be from 0 to 1", "sampler ddim")
        self.eta, self.analytic = float(eta), analytic

    @property
    def measures(self) -> bool:
        """Also for the analytic variance."""
        return super().measures or self.analytic

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, condition: Condition) -> Tensor:
        """Eq. 12."""
        x0, eps = self.predict(denoiser, x, t, condition)
        schedule = denoiser.schedule
        lam = deviation(schedule, s, t, self.eta)
        x_s = spread(schedule.alpha(s), x) * x0 + spread(direction(schedule, s, lam), x) * eps
        if self.analytic:
            lam = analytic.step_variance(self, schedule, s, t, lam**2).sqrt()
        elif self.eta == 0:
            return x_s
        return x_s + spread(lam, x) * torch.randn_like(x)
