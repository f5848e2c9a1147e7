"""More noise schedules (the two of DDPM and Improved DDPM are in ``gaussian``), and all of them by name."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sozai.errors import UserError
from sozai.generators.processes.gaussian import CosineSchedule, LinearSchedule, Schedule


class SubVPSchedule(LinearSchedule):
    """Sub-VP SDE (arXiv 2011.13456, eq. 29): alpha as DDPM's, but sigma = 1 - alpha^2, less than VP's."""

    def alpha(self, t: Tensor) -> Tensor:
        """exp(-B/2), B = t beta_0 + t^2 (beta_1 - beta_0) / 2."""
        t = t.clamp(min=1e-5)
        return torch.exp(-0.5 * (self.first * t + 0.5 * (self.last - self.first) * t**2))

    def sigma(self, t: Tensor) -> Tensor:
        """1 - exp(-B)."""
        t = t.clamp(min=1e-5)
        return -torch.expm1(-(self.first * t + 0.5 * (self.last - self.first) * t**2))

    def log_snr(self, t: Tensor) -> Tensor:
        """2 log(alpha / sigma)."""
        return 2 * (self.alpha(t).log() - self.sigma(t).log())


class GeometricSchedule(Schedule):
    """Geometric VPSDE (LSGM, arXiv 2106.05931, appendix B): sigma^2 grows by a constant factor.

    Args:
        first: sigma^2 at t = 0.
        last: sigma^2 at t = 1, under 1.
    """

    def __init__(self, first: float = 3e-5, last: float = 0.999):
        super().__init__()
        self.first, self.last = first, last

    def log_snr(self, t: Tensor) -> Tensor:
        """log(1 - sigma^2) - log sigma^2."""
        log_variance = math.log(self.first) + t * math.log(self.last / self.first)
        return torch.log(-torch.expm1(log_variance)) - log_variance


class StraightPath(Schedule):
    """Flow matching's path (arXiv 2210.02747, eq. 22, time reversed): from data to noise along a straight line.

    alpha = 1 - (1 - d) t and sigma = d + (1 - d) t, with a small d at both ends so that lambda stays finite.
    """

    def __init__(self, end: float = 1e-3):
        super().__init__()
        self.end = end

    def alpha(self, t: Tensor) -> Tensor:
        """Falls linearly."""
        return 1 - (1 - self.end) * t

    def sigma(self, t: Tensor) -> Tensor:
        """Rises linearly."""
        return self.end + (1 - self.end) * t

    def velocities(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Constant, and opposite."""
        return torch.full_like(t, self.end - 1), torch.full_like(t, 1 - self.end)

    def log_snr(self, t: Tensor) -> Tensor:
        """2 log(alpha / sigma)."""
        return 2 * (self.alpha(t).log() - self.sigma(t).log())


class LearnedSchedule(Schedule):
    """VDM's monotone network (arXiv 2107.00630, appendix H): lambda goes from end to end along a learned way.

    progress(t) is a positive linear term plus ``hidden`` rising sigmoids, all weights positive, scaled to go from
    0 to 1. The bound depends on the ends alone (eq. 18), so the ends follow the bound's gradient, and the way
    between them that of the *squared* loss, which lowers the variance of its Monte Carlo estimate (appendix I.2):
    after ``reduce_variance_of(rows)`` the gradient of each row that reaches the way is multiplied by twice its loss.
    """

    LOWEST = (5.0, -13.0)
    HIGHEST = (15.0, -4.0)
    """Bounds of the ends, so that data of unbounded density (repeated values) cannot drive them away."""

    def __init__(self, first: float = 13.3, last: float = -8.0, hidden: int = 64):
        super().__init__()
        low, high = torch.tensor(self.LOWEST), torch.tensor(self.HIGHEST)
        self.ends = nn.Parameter(torch.logit((torch.tensor([first, last]) - low) / (high - low)))
        self.line = nn.Parameter(torch.tensor(0.5))
        self.slopes = nn.Parameter(torch.linspace(1.5, 8.0, hidden))
        self.places = nn.Parameter(torch.linspace(0.0, 1.0, hidden))
        self.heights = nn.Parameter(torch.full((hidden,), -math.log(hidden)))
        self._rows: Tensor | None = None

    def bounds(self) -> Tensor:
        """lambda at t = 0 and t = 1, (2,)."""
        low, high = self.ends.new_tensor(self.LOWEST), self.ends.new_tensor(self.HIGHEST)
        return low + (high - low) * torch.sigmoid(self.ends)

    def reduce_variance_of(self, rows: Tensor) -> None:
        """To be called with the loss of each row before its backward pass."""
        self._rows = 2 * rows.detach()

    def progress(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """How far on the way from end to end, in [0, 1], and its derivative; each (batch,)."""
        line, slopes, heights = F.softplus(self.line), F.softplus(self.slopes), F.softplus(self.heights)

        def raw(time: Tensor) -> tuple[Tensor, Tensor]:
            bend = torch.sigmoid(slopes * (time[:, None] - self.places))
            value = line * time + (heights * bend).sum(1)
            return value, line + (heights * slopes * bend * (1 - bend)).sum(1)

        start, end = raw(t.new_tensor([0.0, 1.0]))[0]
        value, slope = raw(t)
        return self._watched((value - start) / (end - start)), self._watched(slope / (end - start))

    def log_snr(self, t: Tensor) -> Tensor:
        """lambda(t)."""
        first, last = self.bounds()
        return first + (last - first) * self.progress(t)[0]

    def slope(self, t: Tensor) -> Tensor:
        """d lambda / dt in closed form."""
        first, last = self.bounds()
        return (last - first) * self.progress(t)[1]

    def _watched(self, way: Tensor) -> Tensor:
        if way.requires_grad:
            way.register_hook(self._reweighted)
        return way

    def _reweighted(self, gradient: Tensor) -> Tensor:
        rows = self._rows
        return gradient if rows is None or rows.shape != gradient.shape else gradient * rows


SCHEDULES: dict[str, type[Schedule]] = {
    "linear": LinearSchedule,
    "cosine": CosineSchedule,
    "learned": LearnedSchedule,
    "geometric": GeometricSchedule,
    "sub-vp": SubVPSchedule,
    "straight": StraightPath,
}


def make(name: str, **settings: Any) -> Schedule:
    """A schedule by name.

    Raises:
        UserError: there is none of that name.
    """
    if name not in SCHEDULES:
        raise UserError(f"there is no noise schedule '{name}'", "schedule", f"use one of {', '.join(SCHEDULES)}")
    return SCHEDULES[name](**settings)
