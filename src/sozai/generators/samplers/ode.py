"""The probability-flow ODE (arXiv 2011.13456): deterministic samples to high order, and likelihoods.

In xbar = x / alpha and gamma = sigma / alpha the flow of every variance-preserving process is (2010.02502, eq. 14)::

    dxbar / dgamma = eps_hat(x_t, t)

Its density follows d log p / d gamma = -tr(d eps_hat / d xbar) (instantaneous change of variables, 1806.07366).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from sozai.errors import UserError
from sozai.generators.processes.gaussian import Denoiser, Schedule, spread
from sozai.generators.samplers import paths
from sozai.generators.samplers.base import Condition, Sampler

EXACT = 16
"""Up to this many dimensions the trace is computed, not estimated."""


def gamma(schedule: Schedule, t: Tensor) -> Tensor:
    """sigma / alpha = exp(-log SNR / 2)."""
    return torch.exp(-schedule.log_snr(t) / 2)


class Heun(Sampler):
    """Heun's method on the flow, two looks a step, with its linear part solved exactly: order 2.

    That is the trapezium rule for x0_hat in log SNR (exponential integrator, as DPM-Solver++'s), which is stable
    at both ends where Heun's rule in gamma (2206.00364) needs its own path of times.
    ``steps`` counts looks, so that samplers can be compared; their number is rounded down to an odd one.
    """

    def times(self, denoiser: Denoiser, steps: int | None = None) -> Tensor:
        """Half as many times as looks."""
        return super().times(denoiser, ((self.steps if steps is None else steps) + 1) // 2)

    def step(self, denoiser: Denoiser, x: Tensor, t: Tensor, s: Tensor, condition: Condition) -> Tensor:
        """A DDIM step, then again with the mean of both predictions of x_0."""
        first = self.predict(denoiser, x, t, condition)[0]
        there = exponential_step(denoiser.schedule, x, t, s, first)
        second = self.predict(denoiser, there, s, condition)[0]
        return exponential_step(denoiser.schedule, x, t, s, (first + second) / 2)


class DPMSolver(Sampler):
    """DPM-Solver++ (2M) (arXiv 2211.01095, algorithm 2): order 2 with one look a step, from the step before.

    x_s = sigma_s/sigma_t x_t - alpha_s (e^-h - 1) D,  D = (1 + 1/2r) x0_t - 1/2r x0_before,  h the step in
    log(alpha/sigma), r = h_before / h.
    """

    def run(self, denoiser: Denoiser, x: Tensor, times: Tensor, condition: Condition = None) -> Tensor:
        """All steps; the first is DDIM's."""
        schedule = denoiser.schedule
        before: tuple[Tensor, Tensor] | None = None
        for t, s in pairwise(times.to(x)):
            t, s = t.expand(len(x)), s.expand(len(x))
            x0 = self.predict(denoiser, x, t, condition)[0]
            length = spread((schedule.log_snr(s) - schedule.log_snr(t)) / 2, x)
            mixed = x0 if before is None else x0 + (x0 - before[0]) * length / (2 * before[1])
            x = exponential_step(schedule, x, t, s, mixed)
            before = x0, length
        return x


def exponential_step(schedule: Schedule, x: Tensor, t: Tensor, s: Tensor, x0: Tensor) -> Tensor:
    """The flow from t to s if the prediction of x_0 stayed the same: DDIM's step (2211.01095, eq. 9)."""
    decay = torch.expm1((schedule.log_snr(t) - schedule.log_snr(s)) / 2)
    return spread(schedule.sigma(s) / schedule.sigma(t), x) * x - spread(schedule.alpha(s) * decay, x) * x0


def flow(
    denoiser: Denoiser, x: Tensor, log_gamma: Tensor, condition: Condition, probes: Tensor | None
) -> tuple[Tensor, Tensor]:
    """d xbar / d log gamma at (xbar, log gamma), and its divergence, (batch,).

    Args:
        x: xbar, (batch, *event).
        probes: (probes, batch, *event) for Hutchinson's estimate; ``None``: the exact trace.
    """
    t = paths.time_of(denoiser.schedule, (-2 * log_gamma)[None].double()).to(x).expand(len(x))
    scale, alpha = log_gamma.to(x).exp(), spread(denoiser.schedule.alpha(t), x)

    def slope(xbar: Tensor) -> Tensor:
        return scale * denoiser.eps(alpha * xbar, t, condition)

    if probes is None:
        size = x[0].numel()
        probes = torch.eye(size, dtype=x.dtype, device=x.device).reshape(size, 1, *x.shape[1:]).expand(-1, *x.shape)
        weight = 1.0
    else:
        weight = 1.0 / len(probes)
    value, divergence = None, torch.zeros_like(t)
    for probe in probes:
        value, change = directional(slope, (x,), (probe,))
        divergence = divergence + weight * (change * probe).flatten(1).sum(1)
    assert value is not None  # there is at least one probe
    return value, divergence


def directional(
    function: Callable[..., Tensor], places: tuple[Tensor, ...], directions: tuple[Tensor, ...]
) -> tuple[Tensor, Tensor]:
    """A function's value and its derivative along a direction of its arguments, in forward mode.

    Attention must be spelled out for it: fused kernels have no forward derivative.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        out = torch.func.jvp(function, places, tuple(direction.clone() for direction in directions))
    return out[0], out[1]


@torch.no_grad()
def log_prob(
    denoiser: Denoiser, x: Tensor, condition: Condition = None, steps: int = 40, probes: int | None = None
) -> Tensor:
    """Log-density (nats) of encoded data under the flow, (batch,), by the classical Runge-Kutta method.

    Runs from the least noise of the schedule (t = 0), where xbar is taken for the data, to t = 1 and N(0, 1).

    Args:
        steps: even in log gamma, four looks each.
        probes: Rademacher vectors of Hutchinson's trace estimate, the same throughout a solve (arXiv 1810.01367);
            0 computes the trace, which is the default up to 16 dimensions, one probe beyond.
    """
    schedule, size = denoiser.schedule, x[0].numel()
    probes = (0 if size <= EXACT else 1) if probes is None else probes
    if probes < 0 or steps < 1:
        raise UserError("steps must be 1 or more, probes 0 or more", "likelihood")
    noise = (2 * torch.randint(0, 2, (probes, *x.shape), device=x.device) - 1).to(x) if probes else None
    ends = -schedule.log_snr(torch.tensor([0.0, 1.0], dtype=torch.float64, device=x.device)).detach() / 2
    grid = torch.linspace(0, 1, steps + 1, dtype=torch.float64, device=x.device) * (ends[1] - ends[0]) + ends[0]
    xbar, change = x, torch.zeros(len(x), device=x.device, dtype=x.dtype)
    for low, high in pairwise(grid):
        h = (high - low).to(x)
        slopes: list[tuple[Tensor, Tensor]] = []
        for part in (0.0, 0.5, 0.5, 1.0):
            at = xbar + part * h * slopes[-1][0] if slopes else xbar
            slopes.append(flow(denoiser, at, low + part * (high - low), condition, noise))
        weights = (h / 6, h / 3, h / 3, h / 6)
        xbar = xbar + sum(w * k[0] for w, k in zip(weights, slopes, strict=True))
        change = change + sum(w * k[1] for w, k in zip(weights, slopes, strict=True))
    alpha = schedule.alpha(torch.ones(1, device=x.device, dtype=x.dtype))
    normal = torch.distributions.Normal(torch.zeros_like(alpha), torch.ones_like(alpha))
    return normal.log_prob(alpha * xbar).flatten(1).sum(1) + size * alpha.log() + change
