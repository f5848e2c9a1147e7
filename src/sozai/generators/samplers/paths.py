"""Paths of times for few steps, the variational bound of each, and the best path by dynamic programming.

A step from t to s < t with the exact mean of q(x_s | x_t, x_0) but x0_hat for x_0 costs, in nats, with
A = (SNR_s / SNR_t - 1) r_t and r_t = E||x_0 - x0_hat||^2 SNR_t / d (``base.residuals``)::

    variance beta~    d/2 A                                  = 1/2 (SNR_s - SNR_t) E||x_0 - x0_hat||^2
    variance beta     d/2 (v (1 + A) - 1 - log v),           v = beta~ / beta = sigma_s^2 / sigma_t^2
    optimal variance  d/2 log(1 + A)                         (Analytic-DPM: beta~ + c^2 E||x_0 - x0_hat||^2 / d)

so that one curve r_t gives the cost of every step (Watson et al., arXiv 2106.03802, measure them one by one).
The last step, to the data, starts from the least time of the grid whatever the path, as in the papers, and is
N(x_0; x0_hat, E||x_0 - x0_hat||^2 / d) for all three.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sozai.errors import UserError
from sozai.generators.processes.gaussian import Schedule

PATHS = ("uniform", "quadratic", "log-snr")
FIRST = 1e-3
"""Least time at which the denoiser is asked on a path even in log SNR: the first of a chain of 1,000."""


def times(path: str, schedule: Schedule, steps: int, like: Tensor | None = None) -> Tensor:
    """(steps + 1,) times from 1 down to 0.

    ``"uniform"``: even in t; ``"quadratic"``: even in sqrt(t), more of them near the data (DDIM, appendix D.2);
    ``"log-snr"``: even in log SNR down to t = 0.001, then 0 (DPM-Solver, arXiv 2206.00927).
    """
    device = None if like is None else like.device
    even = torch.linspace(1, 0, steps + 1, dtype=torch.float64, device=device)
    if path == "uniform":
        return even
    if path == "quadratic":
        return even**2
    if path == "log-snr":
        ends = schedule.log_snr(torch.tensor([1.0, FIRST], dtype=torch.float64, device=device)).detach()
        inner = torch.linspace(0, 1, steps, dtype=torch.float64, device=device)
        found = time_of(schedule, ends[0] + (ends[1] - ends[0]) * inner)
        return torch.cat([found, even[-1:]])
    raise UserError(f"there is no path '{path}'", "sampler", f"use one of {', '.join(PATHS)}")


@torch.no_grad()
def time_of(schedule: Schedule, log_snr: Tensor) -> Tensor:
    """The times of given log SNRs, by bisection: schedules may be learned and have no inverse."""
    low, high = torch.zeros_like(log_snr), torch.ones_like(log_snr)
    for _ in range(50):
        middle = (low + high) / 2
        late = schedule.log_snr(middle) > log_snr
        low, high = torch.where(late, middle, low), torch.where(late, high, middle)
    return (low + high) / 2


def step_cost(log_snr_s: Tensor, log_snr_t: Tensor, residual_t: Tensor, variance: str = "beta~") -> Tensor:
    """Nats a dimension that the step from t to s adds to the bound."""
    excess = torch.expm1(log_snr_s - log_snr_t) * residual_t
    if variance == "beta~":
        return excess / 2
    if variance == "analytic":
        return torch.log1p(excess) / 2
    if variance == "beta":
        log_share = F.logsigmoid(-log_snr_s) - F.logsigmoid(-log_snr_t)
        return (log_share.exp() * (1 + excess) - 1 - log_share) / 2
    raise UserError(f"there is no variance '{variance}'", "bound", "use beta~, beta or analytic")


def last_cost(log_snr_t: Tensor, residual_t: Tensor) -> Tensor:
    """Nats a dimension of the step from t to the data: -E log N(x_0; x0_hat, its error)."""
    return 0.5 * (math.log(2 * math.pi * math.e) + residual_t.log() - log_snr_t)


def costs(schedule: Schedule, residual: Tensor, variance: str = "beta~") -> Tensor:
    """Cost of every step on the grid, (grid + 1, grid + 1): entry [s, t] from t/grid to s/grid, or inf."""
    grid = len(residual)
    t = torch.arange(1, grid + 1, dtype=torch.float64, device=residual.device) / grid
    log_snr, residual = schedule.log_snr(t).detach().double(), residual.double()
    inner = step_cost(log_snr[:, None], log_snr[None, :], residual[None, :], variance)
    table = torch.full((grid + 1, grid + 1), torch.inf, dtype=torch.float64, device=residual.device)
    table[0, 1] = last_cost(log_snr[0], residual[0])
    table[1:, 1:] = torch.where(torch.ones_like(inner).triu(1) > 0, inner, torch.inf)
    return table


def shortest(table: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Cheapest walks from the last place of a table of costs to place 0, by dynamic programming.

    ``best[k, t]`` is the least cost from place t to 0 in exactly k steps: min over s of best[k-1, s] + table[s, t].

    Returns:
        The places of the walk with ``steps`` steps, (steps + 1,) falling, and the least costs of walks
        from the last place with 1 ... steps steps, (steps,).
    """
    best = torch.full_like(table[0], torch.inf)
    best[0] = 0.0
    choices, totals = [], []
    for _ in range(steps):
        best, choice = (best[:, None] + table).min(0)
        choices.append(choice)
        totals.append(best[-1])
    place = len(best) - 1
    walk = [place]
    for choice in reversed(choices):
        place = int(choice[place])
        walk.append(place)
    return torch.tensor(walk), torch.stack(totals)


def optimal(schedule: Schedule, residual: Tensor, steps: int, variance: str = "beta~") -> Tensor:
    """The path of ``steps`` steps on the grid with the least bound, (steps + 1,) times from 1 to 0."""
    if steps == 1:
        return torch.tensor([1.0, 0.0], dtype=torch.float64)
    walk, _ = shortest(costs(schedule, residual, variance), steps)
    return walk.double() / len(residual)


def even(grid: int, steps: int) -> Tensor:
    """Places (steps + 1,) of the even path from the last of a grid to the first, and then 0."""
    return torch.cat([torch.linspace(grid, 1, steps).round().long(), torch.zeros(1, dtype=torch.long)])


def bound(table: Tensor, places: Tensor, size: int, prior: float = 0.0) -> float:
    """Negative ELBO in nats of a walk over the grid, ``prior`` being KL(q(x_1 | x_0), N(0, 1))."""
    return size * float(table[places[1:], places[:-1]].sum()) + prior


def prior_cost(schedule: Schedule, x: Tensor) -> float:
    """KL(q(x_1 | x_0), N(0, 1)) in nats, mean over rows of data."""
    one = torch.ones(1, dtype=torch.float64, device=x.device)
    alpha2, sigma2 = schedule.alpha(one) ** 2, schedule.sigma(one) ** 2
    square = (x.double().flatten(1) ** 2).sum(1).mean()
    return float((alpha2 * square + x[0].numel() * (sigma2 - 1 - sigma2.log())).sum() / 2)
