"""Variance-preserving Gaussian diffusion in continuous time: schedules, and what a denoiser is.

A schedule is its log signal-to-noise ratio lambda(t), falling for t from 0 (data) to 1 (noise)::

    x_t = alpha(t) x_0 + sigma(t) eps,   alpha^2 = sigmoid(lambda),  sigma^2 = sigmoid(-lambda)

A chain of T discrete steps (DDPM's 1000) is the same schedule on a grid of times; no second bookkeeping.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def spread(values: Tensor, like: Tensor) -> Tensor:
    """``(batch,)`` with as many trailing axes as ``like`` has, to multiply with it."""
    return values.reshape(-1, *[1] * (like.dim() - 1))


class Schedule(nn.Module):
    """Base: ``log_snr(t)``, strictly falling and differentiable on [0, 1]; all else follows. t is (batch,)."""

    def log_snr(self, t: Tensor) -> Tensor:
        """lambda(t) = log(alpha^2 / sigma^2)."""
        raise NotImplementedError

    def alpha(self, t: Tensor) -> Tensor:
        """Share of the data in x_t."""
        return torch.sigmoid(self.log_snr(t)).sqrt()

    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise in x_t."""
        return torch.sigmoid(-self.log_snr(t)).sqrt()

    def slope(self, t: Tensor) -> Tensor:
        """d lambda / dt, negative; differentiable in the schedule's own parameters."""
        keep = torch.is_grad_enabled()
        with torch.enable_grad():
            t = t if t.requires_grad else t.detach().requires_grad_(True)
            return torch.autograd.grad(self.log_snr(t).sum(), t, create_graph=keep)[0]

    def drift_and_diffusion(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """f(t) and g(t)^2 of dx = f x dt + g dW (arXiv 2011.13456).

        f = d log alpha / dt and g^2 = d sigma^2 / dt - 2 f sigma^2 = -sigma^2 d lambda / dt.
        """
        with torch.enable_grad():
            t = t.detach().requires_grad_(True)
            drift = torch.autograd.grad(self.alpha(t).log().sum(), t)[0]
        return drift, -(self.sigma(t) ** 2 * self.slope(t)).detach()

    def velocities(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """d alpha / dt and d sigma / dt: x_t moves by these much of x_0 and eps."""
        (drift, spreading), alpha, sigma = self.drift_and_diffusion(t), self.alpha(t), self.sigma(t)
        return drift * alpha, (spreading / 2 + drift * sigma**2) / sigma

    def time_of(self, log_snr: Tensor) -> Tensor:
        """The time at which lambda has this value, by bisection; beyond the ends the ends."""
        with torch.no_grad():
            low, high = torch.zeros_like(log_snr), torch.ones_like(log_snr)
            for _ in range(50):
                middle = (low + high) / 2
                later = self.log_snr(middle) > log_snr
                low, high = torch.where(later, middle, low), torch.where(later, high, middle)
            return (low + high) / 2


class LinearSchedule(Schedule):
    """DDPM's: beta rises linearly (arXiv 2006.11239), as VP-SDE in continuous time (2011.13456, eq. 33).

    alpha^2 = exp(-t beta_0 - t^2 (beta_1 - beta_0) / 2) with beta in units of 1/t (DDPM's 1e-4 .. 0.02 at
    1,000 steps are 0.1 .. 20 here).
    """

    def __init__(self, first: float = 0.1, last: float = 20.0):
        super().__init__()
        self.first, self.last = first, last

    def log_snr(self, t: Tensor) -> Tensor:
        """lambda(t); held at t = 1e-5 below it, where it would be infinite."""
        t = t.clamp(min=1e-5)
        exponent = self.first * t + 0.5 * (self.last - self.first) * t**2  # -log alpha^2
        return -torch.log(torch.expm1(exponent))


class CosineSchedule(Schedule):
    """Improved DDPM's: alpha = cos of an angle that grows linearly (arXiv 2102.09672), ends cut as there."""

    def __init__(self, offset: float = 0.008):
        super().__init__()
        self.offset = offset

    def log_snr(self, t: Tensor) -> Tensor:
        """lambda(t) = -2 log tan(angle)."""
        start = self.offset / (1 + self.offset) * math.pi / 2
        end = math.pi / 2 - 1e-3
        angle = start + (end - start) * t
        return -2 * torch.log(torch.tan(angle))


class Denoiser(nn.Module):
    """What samplers act on: predicts the noise in x_t. A fitted diffusion is one; so is an exact toy.

    Attributes:
        schedule: of the noise.
        event: shape of x without its batch axis.
    """

    schedule: Schedule
    event: tuple[int, ...]

    def eps(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Expected noise given x (batch, *event) at times t (batch,); condition is (batch, width)."""
        raise NotImplementedError

    def x0(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Expected data: (x - sigma eps) / alpha."""
        alpha, sigma = spread(self.schedule.alpha(t), x), spread(self.schedule.sigma(t), x)
        return (x - sigma * self.eps(x, t, condition)) / alpha

    def score(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Gradient of log p_t: -eps / sigma."""
        return -self.eps(x, t, condition) / spread(self.schedule.sigma(t), x)

    def velocity(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Mean of dx_t/dt over the paths through x_t, alpha' x_0 + sigma' eps: that of the probability flow."""
        eps = self.eps(x, t, condition)
        alpha, sigma = spread(self.schedule.alpha(t), x), spread(self.schedule.sigma(t), x)
        of_x0, of_eps = (spread(value, x) for value in self.schedule.velocities(t))
        return of_x0 * (x - sigma * eps) / alpha + of_eps * eps


def noised(schedule: Schedule, x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """x_t = alpha x_0 + sigma eps."""
    return spread(schedule.alpha(t), x) * x + spread(schedule.sigma(t), x) * noise


def posterior(schedule: Schedule, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """q(x_s | x_t, x_0) for s < t: coefficients of x_t and of x_0, and the variance; each (batch,).

    By composition of q(x_t | x_s) = N(a x_s, v): a = alpha_t / alpha_s, v = sigma_t^2 - a^2 sigma_s^2.
    """
    alpha_s, sigma_s, alpha_t, sigma_t = (f(u) for u in (s, t) for f in (schedule.alpha, schedule.sigma))
    ratio = alpha_t / alpha_s
    step = -torch.expm1(schedule.log_snr(t) - schedule.log_snr(s)) * sigma_t**2  # stable form of v
    return ratio * sigma_s**2 / sigma_t**2, alpha_s * step / sigma_t**2, sigma_s**2 * step / sigma_t**2
