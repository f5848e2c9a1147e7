"""Analytic-DPM (arXiv 2201.06503): the best variance of each reverse step, from the denoiser's error alone.

Among p(x_s | x_t) = N(mean, v 1) with the mean of q_lam(x_s | x_t, x_0 = x0_hat), the KL divergence is least at
(theorem 1)::

    v* = lam^2 + (sqrt(bb_t / a) - sqrt(bb_s - lam^2))^2 (1 - Gamma_t),   bb = sigma^2, a = (alpha_t / alpha_s)^2
       = lam^2 + c^2 E||x_0 - x0_hat||^2 / d,                             c the weight of x_0 in that mean

lam^2 = beta~ is DDPM, lam = 0 DDIM. Both bounds of theorem 2 are kept: 0 <= 1 - Gamma <= 1, and the error of x_0
is at most a quarter of the squared width of the data's range.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sozai.generators.processes.gaussian import Schedule
from sozai.generators.samplers.base import Sampler


def optimal_variance(schedule: Schedule, s: Tensor, t: Tensor, lam2: Tensor, residual: Tensor) -> Tensor:
    """v* of the step from t to s, (batch,).

    Args:
        lam2: variance of q_lam(x_s | x_t, x_0).
        residual: 1 - Gamma_t.
    """
    weight = schedule.alpha(s) * schedule.sigma(t) / schedule.alpha(t) - (schedule.sigma(s) ** 2 - lam2).sqrt()
    return lam2 + weight**2 * residual


def step_variance(sampler: Sampler, schedule: Schedule, s: Tensor, t: Tensor, lam2: Tensor) -> Tensor:
    """v* with what a fitted sampler has measured, within the bounds of theorem 2."""
    residual = interpolate(sampler.residual_on_grid().to(t), t)
    snr = torch.exp(schedule.log_snr(t))
    widest = ((sampler.high - sampler.low) ** 2).mean().to(t) / 4  # infinite when nothing is known of the data
    return optimal_variance(schedule, s, t, lam2, torch.minimum(residual.clamp(0, 1), widest * snr))


def interpolate(residual: Tensor, t: Tensor) -> Tensor:
    """The measured curve between its times; at t = 0, where all x_t are alike, nothing is explained: 1."""
    curve = torch.cat([torch.ones_like(residual[:1]), residual])
    place = t.clamp(0, 1) * len(residual)
    below = place.floor().long().clamp(max=len(residual) - 1)
    return torch.lerp(curve[below], curve[below + 1], place - below)
