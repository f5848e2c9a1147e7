"""Guidance: denoisers made of denoisers, so that any sampler can draw from them.

``ClassifierFree`` sharpens a condition, ``Projected`` makes a rule hold exactly, ``Known`` completes given parts,
``Steered`` follows the gradient of a differentiable wish. They can be stacked; the fitted denoiser stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sozai.errors import UserError
from sozai.generators.processes.gaussian import Denoiser, spread

Projection = Callable[[Tensor], Tensor]
"""Data (batch, *event) to the nearest data that obeys a rule."""


class Guidance(Denoiser):
    """Base: a denoiser around another, with its schedule and event."""

    def __init__(self, denoiser: Denoiser):
        super().__init__()
        self.denoiser = denoiser
        self.schedule, self.event = denoiser.schedule, denoiser.event

    def variance(self, x: Tensor, s: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """The learned variance of the denoiser inside, where it has one."""
        return self.denoiser.variance(x, s, t, condition)  # type: ignore[operator]


class ClassifierFree(Guidance):
    """eps = (1 + w) eps(x, c) - w eps(x, nothing) (arXiv 2207.12598, eq. 6).

    At each t it is the score of p_t(x | c)^(1+w) / p_t(x)^w.

    Args:
        nothing: encoded "no condition", (width,).
        weight: w; 0 is the plain conditional model.
    """

    nothing: Tensor

    def __init__(self, denoiser: Denoiser, nothing: Tensor, weight: float):
        super().__init__(denoiser)
        self.register_buffer("nothing", nothing)
        self.weight = float(weight)

    def eps(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Both in one call of the denoiser."""
        if condition is None or self.weight == 0:
            return self.denoiser.eps(x, t, condition)
        both = torch.cat([condition, self.nothing.to(condition).expand_as(condition)])
        given, free = self.denoiser.eps(torch.cat([x, x]), torch.cat([t, t]), both).chunk(2)
        return (1 + self.weight) * given - self.weight * free


class Projected(Guidance):
    """Each predicted x_0 is moved to where the rule holds, and the noise to what is then left of x_t.

    For a linear rule and white posterior covariance this is the exact conditional denoiser; in general an
    approximation with exact compliance, since a sampler's last step hands over the predicted x_0.
    """

    def __init__(self, denoiser: Denoiser, project: Projection):
        super().__init__(denoiser)
        self.project = project

    def x0(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Projected."""
        return self.project(self.denoiser.x0(x, t, condition))

    def eps(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """(x - alpha x_0) / sigma."""
        alpha, sigma = spread(self.schedule.alpha(t), x), spread(self.schedule.sigma(t), x)
        return (x - alpha * self.x0(x, t, condition)) / sigma


class Known(Projected):
    """Replacement conditioning (arXiv 2011.13456, appendix I.2): known entries are put in place at each step.

    A chain that starts at x_1 = sigma eps then carries noised known entries, which the rest is denoised beside.

    Args:
        values: (batch, *event).
        known: true where the values are given, broadcastable to them.
    """

    def __init__(self, denoiser: Denoiser, values: Tensor, known: Tensor):
        super().__init__(denoiser, lambda x0: torch.where(known, values.to(x0), x0))


class Steered(Guidance):
    """eps - w sigma grad_x log h(x_0(x)) for a differentiable wish h of clean data (DPS, arXiv 2209.14687, eq. 16).

    Args:
        log_wish: data (batch, *event) to log h, (batch,).
        weight: w.
    """

    def __init__(self, denoiser: Denoiser, log_wish: Callable[[Tensor], Tensor], weight: float = 1.0):
        super().__init__(denoiser)
        self.log_wish, self.weight = log_wish, float(weight)

    def eps(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """The gradient goes through the denoiser."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            eps = self.denoiser.eps(x, t, condition)
            alpha, sigma = spread(self.schedule.alpha(t), x), spread(self.schedule.sigma(t), x)
            wish = self.log_wish((x - sigma * eps) / alpha).sum()
            gradient = torch.autograd.grad(wish, x)[0]
        return (eps - self.weight * sigma * gradient).detach()


def onto_plane(normals: Tensor, values: Tensor) -> Projection:
    """Orthogonal projection on {x: normals x = values}, normals (rules, size), values (rules,).

    Raises:
        UserError: the rules contradict each other.
    """
    inverse = torch.linalg.pinv(normals.double())
    if not torch.allclose(normals.double() @ inverse @ values.double(), values.double(), atol=1e-6):
        raise UserError("the linear rules contradict each other", "rule")

    def project(x: Tensor) -> Tensor:
        flat = x.flatten(1)
        away = values.to(flat) - flat @ normals.to(flat).T
        return (flat + away @ inverse.to(flat).T).reshape(x.shape)

    return project


def onto_simplex(columns: list[int], total: float = 1.0) -> Projection:
    """Nearest x whose columns are not negative and add to ``total`` (Held, Wolfe and Crowder 1974, by sorting)."""

    def project(x: Tensor) -> Tensor:
        part = x[:, columns]
        falling = part.sort(1, descending=True).values
        excess = (falling.cumsum(1) - total) / torch.arange(1, len(columns) + 1, device=x.device)
        support = (falling > excess).sum(1, keepdim=True).clamp(min=1)
        out = x.clone()
        out[:, columns] = (part - excess.gather(1, support - 1)).clamp(min=0)
        return out

    return project


def onto_box(low: Tensor | float, high: Tensor | float) -> Projection:
    """Clipping."""
    return lambda x: torch.minimum(torch.maximum(x, torch.as_tensor(low).to(x)), torch.as_tensor(high).to(x))
