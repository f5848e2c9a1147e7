"""Continuous normalizing flow: noise is where a learned velocity field carries the data in unit time.

With dx/dt = v(t, x) from data (t = 0) to noise (t = 1) the density obeys the instantaneous change of
variables (arXiv 1806.07366, eq. 8)::

    d log p / dt = -tr(dv/dx)      so      log p(x_0) = log p(x_1) + integral of tr(dv/dx) dt

The trace is exact (CNF: a vector-Jacobian product a dimension) or Hutchinson's estimate e^T (dv/dx) e
(FFJORD, arXiv 1810.01367, eq. 7), whose noise e is drawn once a solve: the integrand is then one smooth
function, and its integral is unbiased. Integration and its adjoint gradient (with checkpoints of the accepted
steps, arXiv 2006.02493) are zuko's.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from zuko.utils import odeint

from sozai.errors import UserError
from sozai.generators.networks.mlp import mlp
from sozai.generators.processes.bijections import Bijection

MOST_EVALUATIONS = 3000
"""Of the velocity in one solve: beyond it the equation is too stiff, and would take forever."""


def exact_trace(velocity: Tensor, x: Tensor, noise: Tensor | None = None) -> Tensor:
    """tr(dv/dx) (batch,) of a velocity computed from x (batch, features) with a graph; ``noise`` is not used."""
    features = x.shape[1]
    unit = torch.eye(features, dtype=x.dtype, device=x.device)[:, None].expand(features, *x.shape)
    create = torch.is_grad_enabled()
    [rows] = torch.autograd.grad(velocity, x, unit, create_graph=create, retain_graph=True, is_grads_batched=True)
    return torch.einsum("ibi->b", rows)


def hutchinson_trace(velocity: Tensor, x: Tensor, noise: Tensor | None) -> Tensor:
    """e^T (dv/dx) e (batch,): an estimate of the trace, unbiased for noise of mean 0 and covariance 1."""
    [product] = torch.autograd.grad(velocity, x, noise, create_graph=torch.is_grad_enabled(), retain_graph=True)
    assert noise is not None
    return (product * noise).sum(1)


TRACES = {"exact": exact_trace, "hutchinson": hutchinson_trace}


class Continuous(Bijection):
    """The flow of a velocity network on vectors.

    Args:
        features: length of the vector.
        context: width of the condition vector; 0 for none.
        trace: ``"exact"`` or ``"hutchinson"``.
        tolerance: of the adaptive Dormand-Prince steps, absolute and relative, in training; a tenth of it
            in evaluation.
    """

    frequencies: Tensor

    def __init__(
        self, features: int, context: int = 0, width: int = 64, layers: int = 3, trace: str = "exact",
        tolerance: float = 1e-4,
    ):  # fmt: skip
        super().__init__()
        self.trace, self.tolerance = trace, tolerance
        self.register_buffer("frequencies", math.pi * torch.arange(1, 4), persistent=False)
        self.net = mlp(features + context + 6, features, width, layers)
        with torch.no_grad():  # near the identity at first
            self.net[-1].weight.mul_(0.1)  # type: ignore[operator, union-attr]
            self.net[-1].bias.zero_()  # type: ignore[operator, union-attr]

    def velocity(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """v(t, x): t a scalar, x (batch, features)."""
        angle = (self.frequencies.to(x.dtype) * t).expand(len(x), -1)
        parts = [x, angle.cos(), angle.sin(), *([] if context is None else [context])]
        return self.net(torch.cat(parts, 1))

    def draw(self, x: Tensor) -> Tensor:
        """Hutchinson's noise: signs (Rademacher), whose estimate varies least."""
        return torch.randint_like(x, 2) * 2 - 1

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Data to noise, and the integral of the trace."""
        noise = self.draw(x) if self.trace == "hutchinson" else None

        def field(t: Tensor, x: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
            return self.with_trace(t, x, noise, context)

        return self._solve(field, (x, x.new_zeros(len(x))), 0.0, 1.0, context)

    def with_trace(self, t: Tensor, x: Tensor, noise: Tensor | None, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """v and (an estimate of) tr(dv/dx) at one time."""
        learning = torch.is_grad_enabled()  # false on the way forth, true when the adjoint comes back
        with torch.enable_grad():
            x = x if x.requires_grad else x.detach().requires_grad_()
            velocity = self.velocity(t, x, context)
        with torch.set_grad_enabled(learning):
            return velocity if learning else velocity.detach(), TRACES[self.trace](velocity, x, noise)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Noise to data, without the trace."""
        return self._solve(lambda t, x: self.velocity(t, x, context), z, 1.0, 0.0, context)

    def _solve(self, field, start, begin: float, end: float, context: Tensor | None):
        count = 0

        def counted(t: Tensor, *state: Tensor):
            nonlocal count
            count += 1
            if count > MOST_EVALUATIONS and not torch.is_grad_enabled():
                raise UserError(
                    f"the flow's differential equation needs more than {MOST_EVALUATIONS} evaluations",
                    "continuous flow", "train with more weight decay, a smaller rate or a larger tolerance",
                )  # fmt: skip
            return field(t, *state)

        learned = [p for p in (*self.parameters(), *(() if context is None else (context,))) if p.requires_grad]
        tolerance = self.tolerance if self.training else self.tolerance / 10
        return odeint(counted, start, begin, end, learned, tolerance, tolerance)
