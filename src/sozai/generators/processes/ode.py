"""Continuous normalizing flow: noise is where a learned velocity field carries the data in unit time.

With dx/dt = v(t, x) from data (t = 0) to noise (t = 1) the density obeys the instantaneous change of
variables (arXiv 1806.07366, eq. 8)::

    d log p / dt = -tr(dv/dx)      so      log p(x_0) = log p(x_1) + integral of tr(dv/dx) dt

Both traces are sums of e^T (dv/dx) e: the exact one (CNF) over all unit vectors e, Hutchinson's estimate
(FFJORD, arXiv 1810.01367, eq. 7) over a single random e of covariance 1. That e is drawn once a solve: the
integrand is then one smooth function, and its integral is unbiased. (dv/dx) e is carried through the network
beside v (forward mode), so that gradients of the trace need no second backward pass. The adaptive
Dormand-Prince steps and the adjoint gradient (checkpointed at the steps, arXiv 2006.02493) are zuko's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from zuko.utils import odeint

from sozai.errors import UserError
from sozai.generators.processes.bijections import Bijection

MOST_EVALUATIONS = 3000
"""Of the velocity in one solve: beyond it the equation is too stiff, and would take forever."""
RELAXED = 0.01
"""How much less closely the trace is followed than the state: its error enters the loss once, not the path.
Ten times closer doubles the evaluations of a trained flow (105 to 210 a solve on the two moons)."""


def unit_directions(x: Tensor) -> Tensor:
    """All unit vectors (features, 1, features): the trace is exact."""
    return torch.eye(x.shape[1], dtype=x.dtype, device=x.device)[:, None]


def random_direction(x: Tensor) -> Tensor:
    """One vector of random signs a row, (1, batch, features): of all of covariance 1 the one that varies least."""
    return (torch.randint_like(x, 2) * 2 - 1)[None]


TRACES = ("exact", "hutchinson")


def directions_of(trace: str, x: Tensor) -> Tensor:
    """What the trace is summed over; drawn anew at each call."""
    return unit_directions(x) if trace == "exact" else random_direction(x)


class Velocity(nn.Module):
    """v(t, x): a smooth perceptron of x, a few sinusoids of t and the context; starts near zero."""

    frequencies: Tensor

    def __init__(self, features: int, context: int, width: int, layers: int):
        super().__init__()
        sizes = [features + 6 + context, *[width] * layers, features]
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(sizes))
        self.register_buffer("frequencies", math.pi * torch.arange(1, 4), persistent=False)
        with torch.no_grad():
            self.layers[-1].weight.mul_(0.1)  # type: ignore[operator, union-attr]
            self.layers[-1].bias.zero_()  # type: ignore[operator, union-attr]

    def forward(
        self, t: Tensor, x: Tensor, context: Tensor | None = None, directions: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Velocity (batch, features) at a scalar t, and the sum of e^T (dv/dx) e over ``directions`` (batch,).

        Args:
            t: time, a scalar.
            x: place (batch, features).
            context: (batch, width).
            directions: e, (number, batch or 1, features); without them the sum is zero.
        """
        angle = (self.frequencies.to(x.dtype) * t).expand(len(x), -1)
        hidden = torch.cat([x, angle.cos(), angle.sin(), *([] if context is None else [context])], 1)
        first, last = self.layers[0], self.layers[-1]
        hidden = first(hidden)
        moved = None if directions is None else directions @ first.weight[:, : x.shape[1]].T  # type: ignore[index]
        for layer in self.layers[1:]:
            hidden = hidden.tanh()
            if moved is not None:
                moved = moved * (1 - hidden**2)
                if layer is not last:
                    moved = moved @ layer.weight.T  # type: ignore[operator, union-attr]
            hidden = layer(hidden)
        if directions is None or moved is None:
            return hidden, x.new_zeros(len(x))
        return hidden, (moved * (directions @ last.weight)).sum((0, 2))  # type: ignore[operator]


class Continuous(Bijection):
    """The flow of a velocity network on vectors.

    Args:
        features: length of the vector.
        context: width of the condition vector; 0 for none.
        width: of the velocity's hidden layers.
        layers: their number.
        trace: ``"exact"`` or ``"hutchinson"``.
        tolerance: of the adaptive steps, absolute and relative, in training; a tenth of it in evaluation.
    """

    def __init__(
        self, features: int, context: int = 0, width: int = 64, layers: int = 3, trace: str = "exact",
        tolerance: float = 1e-3,
    ):  # fmt: skip
        super().__init__()
        self.trace, self.tolerance = trace, tolerance
        self.velocity = Velocity(features, context, width, layers)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Data to noise, and the integral of the trace; its directions stay the same all the way."""
        directions = directions_of(self.trace, x)

        def field(t: Tensor, x: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
            velocity, trace = self.velocity(t, x, context, directions)
            return velocity, trace * RELAXED

        z, log_det = self.solve(field, (x, x.new_zeros(len(x))), 0.0, 1.0, context)
        return z, log_det / RELAXED

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Noise to data, without the trace."""
        return self.solve(lambda t, x: self.velocity(t, x, context)[0], z, 1.0, 0.0, context)

    def solve(
        self, field: Callable[..., Any], start: Any, begin: float, end: float, context: Tensor | None = None
    ) -> Any:
        """The state at time ``end``; gradients reach the start, the network and the context.

        Raises:
            UserError: the equation has become too stiff.
        """
        count = 0

        def counted(t: Tensor, *state: Tensor) -> Any:
            nonlocal count
            count += 1
            if count > MOST_EVALUATIONS and not torch.is_grad_enabled():  # with gradients it is the way back
                raise UserError(
                    f"the differential equation of the flow needs more than {MOST_EVALUATIONS} evaluations",
                    "continuous flow",
                    "train it with more weight decay, a smaller rate or a larger tolerance",
                )
            return field(t, *state)

        learned = [p for p in (*self.parameters(), *(() if context is None else (context,))) if p.requires_grad]
        tolerance = self.tolerance if self.training else self.tolerance / 10
        return odeint(counted, start, begin, end, learned, tolerance, tolerance)
