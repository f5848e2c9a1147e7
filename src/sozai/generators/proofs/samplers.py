"""Proofs of the faster samplers, on mixtures whose denoiser is exact: nothing is trained but what a sampler learns.

Those of DDIM and GENIE, which are about the order of a solver, are in ``solvers``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from sozai.generators.processes.gaussian import noised, posterior, spread
from sozai.generators.proofs import solvers  # noqa: F401 (registers its checks)
from sozai.generators.proofs.mixture import Mixture
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, holds, near
from sozai.generators.samplers import analytic, ancestral, base, catalog, ddim, learned, paths
from sozai.generators.tensors import seeded


def exact_residual(denoiser: Mixture, grid: int, count: int = 2000) -> Tensor:
    """1 - Gamma at the times of a grid."""
    t = torch.arange(1, grid + 1, dtype=torch.float64) / grid
    return denoiser.mse(t, count) * torch.exp(denoiser.schedule.log_snr(t)) / denoiser.size


# --- dynamic programming ----------------------------------------------------------------------------------------


def brute_force(table: Tensor, steps: int) -> float:
    """Least cost over all walks."""
    grid = len(table) - 1
    walks = ((grid, *reversed(inner), 0) for inner in itertools.combinations(range(1, grid), steps - 1))
    return min(sum(float(table[s, t]) for t, s in pairwise(walk)) for walk in walks)


def sampled_step_cost(denoiser: Mixture, s: float, t: float, variance: str, rows: int = 20_000) -> float:
    """E KL(q(x_s | x_t, x_0) || p(x_s | x_t)) in nats a dimension, as defined: from draws, Gaussian by Gaussian."""
    x0 = denoiser.sample(rows)
    low, high = (torch.full((rows,), value, dtype=torch.float64) for value in (s, t))
    x_t = noised(denoiser.schedule, x0, high, torch.randn_like(x0))
    of_x, of_x0, v = (spread(value, x0) for value in posterior(denoiser.schedule, low, high))
    between = [torch.distributions.Normal(of_x * x_t + of_x0 * x, v.sqrt()) for x in (x0, denoiser.x0(x_t, high))]
    if variance != "beta~":
        wide = v * spread((denoiser.schedule.sigma(high) / denoiser.schedule.sigma(low)) ** 2, x0)
        if variance == "analytic":
            wide = v + ((between[0].mean - between[1].mean) ** 2).mean()
        between[1] = torch.distributions.Normal(between[1].mean, wide.sqrt())
    return float(torch.distributions.kl_divergence(*between).mean())


def _greedy(table: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """A mutation: always the cheapest single step that still leaves enough places."""
    walk = [len(table) - 1]
    for left in range(steps - 1, 0, -1):
        walk.append(1 if left == 1 else int(table[left : walk[-1], walk[-1]].argmin()) + left)
    walk.append(0)
    return torch.tensor(walk), torch.zeros(steps).double()


@check(
    "dp",
    seconds=1.0,
    broken_by=[
        Mutation("greedy instead of dynamic programming", f"{paths.__name__}:shortest", _greedy),
        Mutation(
            "the cost of a step forgets how well x_0 is known",
            f"{paths.__name__}:step_cost",
            make=lambda f: lambda s, t, residual, variance="beta~": f(s, t, torch.ones_like(residual), variance),
        ),
        Mutation(
            "SNR_t - SNR_s instead of SNR_s - SNR_t",
            f"{paths.__name__}:step_cost",
            make=lambda f: lambda s, t, residual, variance="beta~": f(t, s, residual, variance),
        ),
        Mutation(
            "the error is not measured", f"{base.__name__}:residuals", lambda d, x, c, grid, rows: torch.ones(grid)
        ),
    ],
)
def best_paths() -> Iterator[Finding]:
    """The bound is a sum over steps, the path that DP finds is the best of all, and far better than an even one."""
    denoiser, grid = Mixture(), 200
    for s, t in ((0.02, 0.1), (0.3, 0.35), (0.5, 1.0)):
        times = torch.tensor([s, t], dtype=torch.float64)
        residual = denoiser.mse(times[1:], 5000) * torch.exp(denoiser.schedule.log_snr(times[1:])) / 2
        for variance in ("beta~", "beta", "analytic"):
            low, high = denoiser.schedule.log_snr(times)
            cost = float(paths.step_cost(low, high, residual, variance))
            direct = sampled_step_cost(denoiser, s, t, variance)
            yield near(f"KL of the step {t} to {s}, {variance}", direct, cost, 0.05 * abs(direct), "Monte Carlo noise")
    small = paths.costs(denoiser.schedule, exact_residual(denoiser, 8))
    for steps in range(2, 9):
        walk, totals = paths.shortest(small, steps)
        yield near(f"best of all walks of {steps} among 8", brute_force(small, steps), float(totals[-1]), 1e-9)
        yield near("... and the walk costs that", float(totals[-1]), paths.bound(small, walk, 1), 1e-9)
    table = paths.costs(denoiser.schedule, exact_residual(denoiser, grid))
    totals = paths.shortest(table, grid)[1]
    yield at_most("largest rise of the bound with one more step", 1e-9, float((totals[2:] - totals[1:-1]).max()))
    for steps in (5, 10, 20, 50, 100, 200):
        even = paths.bound(table, paths.even(grid, steps), 1)
        best = float(totals[steps - 1])
        if steps == grid:
            yield near("at as many steps as times", even, best, 1e-9, "there is only one path")
        else:
            yield at_most(f"nats a dimension at K = {steps}, DP against even", even, best)
    even = paths.bound(table, paths.even(grid, 10), 2)
    yield at_least("even over DP at K = 10, nats", 30.0, even - 2 * float(totals[9]), "the notes' mixture: 497 to 13.8")
    sampler = catalog.make("dp", (2,), rows=1000)
    sampler.fit(denoiser, denoiser.sample(1000))
    path = sampler.times(denoiser, 10)
    fitted = paths.bound(table, (path * grid).round().long(), 2)
    yield near("bound of the path found from 1,000 rows, K = 10", 2 * float(totals[9]), fitted, 0.3, "sampling noise")
    yield holds("it falls from 1 to 0", bool((path.diff() < 0).all() and path[0] == 1 and path[-1] == 0))


# --- Analytic-DPM -----------------------------------------------------------------------------------------------


@check(
    "analytic-dpm",
    seconds=1.2,
    broken_by=[
        Mutation(
            "beta~ alone: the error of x_0 is forgotten",
            f"{analytic.__name__}:optimal_variance",
            make=lambda f: lambda schedule, s, t, lam2, residual: lam2,
        ),
        Mutation(
            "Gamma in place of 1 - Gamma",
            f"{analytic.__name__}:optimal_variance",
            make=lambda f: lambda schedule, s, t, lam2, residual: f(schedule, s, t, lam2, 1 - residual),
        ),
        Mutation(
            "the weight of eps is added, not taken off",
            f"{analytic.__name__}:optimal_variance",
            lambda schedule, s, t, lam2, residual: (
                lam2
                + (schedule.alpha(s) * schedule.sigma(t) / schedule.alpha(t) + (schedule.sigma(s) ** 2 - lam2).sqrt())
                ** 2
                * residual
            ),
        ),
        Mutation(
            "the error is measured in x_0's units",
            f"{base.__name__}:residuals",
            make=lambda f: (
                lambda d, x, c, grid, rows: (
                    f(d, x, c, grid, rows) / torch.exp(d.schedule.log_snr((torch.arange(1, grid + 1) / grid).to(x)))
                )
            ),
        ),
    ],
)
def best_variance() -> Iterator[Finding]:
    """The variance in closed form is that of least KL divergence, lies between its bounds, and gives the best bound."""
    denoiser, rows = Mixture(), 20_000
    sampler = catalog.make("analytic-dpm", (2,), rows=2500)
    sampler.fit(denoiser, denoiser.sample(2500))
    curve, measured = exact_residual(denoiser, sampler.grid), sampler.residual.double()
    yield at_most("1 - Gamma as fitted from 2,500 rows, largest error", 0.06, float((curve - measured).abs().max()))
    for s_at, t_at, eta in ((0.1, 0.3, 1.0), (0.1, 0.3, 0.0), (0.4, 0.8, 1.0), (0.02, 0.15, 0.5)):
        s, t = (torch.full((rows,), value, dtype=torch.float64) for value in (s_at, t_at))
        x0 = denoiser.sample(rows)
        x_t = noised(denoiser.schedule, x0, t, torch.randn_like(x0))
        lam = ddim.deviation(denoiser.schedule, s, t, eta)
        eps = (x_t - spread(denoiser.schedule.alpha(t), x0) * x0) / spread(denoiser.schedule.sigma(t), x0)

        def mean(x0: Tensor, eps: Tensor, s: Tensor = s, lam: Tensor = lam) -> Tensor:
            return (
                spread(denoiser.schedule.alpha(s), x0) * x0
                + spread((denoiser.schedule.sigma(s) ** 2 - lam**2).sqrt(), x0) * eps
            )

        x_s = mean(x0, eps) + spread(lam, x0) * torch.randn_like(x0)
        spare = ((x_s - mean(denoiser.x0(x_t, t), denoiser.eps(x_t, t))) ** 2).mean()
        got = float(analytic.step_variance(sampler, denoiser.schedule, s[:1], t[:1], lam[:1] ** 2))
        what = f"variance of the step {t_at} to {s_at}, eta {eta}: E||x_s - mean||^2 / d"
        yield near(what, float(spare), got, 0.06 * float(spare), "the KL-optimal one; 2% Monte Carlo, 4% fit")
    times = torch.linspace(1, 0.005, 40, dtype=torch.float64)
    low, high = ancestral.bounds(denoiser.schedule, times[1:], times[:-1])
    found = analytic.step_variance(sampler, denoiser.schedule, times[1:], times[:-1], low)
    yield holds("beta~ <= variance <= beta on a path of 40 steps", bool(((low <= found) & (found <= high)).all()))
    # the bound that these very variances give, step by step (not the closed form of the best): d/2 (log v/v~ + ...)
    for steps in (5, 10, 20, 50, 200):
        path = paths.times("uniform", denoiser.schedule, steps)[:-1]
        s, t = path[1:], path[:-1]
        excess = torch.expm1(denoiser.schedule.log_snr(s) - denoiser.schedule.log_snr(t))
        excess = excess * analytic.interpolate(curve, t)  # (error of the mean)^2 / beta~
        low, high = ancestral.bounds(denoiser.schedule, s, t)
        costs = []
        for v in (analytic.step_variance(sampler, denoiser.schedule, s, t, low), low, high):
            costs.append(float(((v / low).log() + (1 + excess) * low / v - 1).sum() / 2))
        yield at_most(f"nats a dimension at K = {steps} against beta~ and beta", min(costs[1:]), costs[0])


# --- DDSS -------------------------------------------------------------------------------------------------------


def _frozen_times(original: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., tuple[Tensor, Tensor]]:
    return lambda denoiser, times, k: original(denoiser, times.detach(), k)


@check(
    "ddss",
    seconds=3.0,
    broken_by=[
        Mutation(
            "no gradient to the times through the coefficients", f"{learned.__name__}:coefficients", make=_frozen_times
        ),
        Mutation(
            "no gradient through the denoiser",
            f"{base.__name__}:Sampler.predict",
            make=lambda f: lambda self, d, x, t, c: tuple(part.detach() for part in f(self, d, x, t, c)),
        ),
        Mutation(
            "the discrepancy has the wrong sign",
            f"{learned.__name__}:mmd",
            make=lambda f: lambda *a: -f(*a),
        ),
        Mutation(
            "times may cross",
            f"{learned.__name__}:Learned.times",
            lambda self, d, steps=None: torch.cat([torch.ones(1), 0.5 + self.gaps[1:], torch.zeros(1)]),
        ),
    ],
)
def learned_sampler() -> Iterator[Finding]:
    """Gradients through the unrolled sampler are right, and four learned steps beat four of DDIM on held-out data."""
    denoiser, steps = Mixture(), 4
    sampler = catalog.make("ddss", (2,), steps=steps, fit_steps=40, batch_size=200, rate=0.2)
    assert isinstance(sampler, learned.Learned)
    data, held_out = denoiser.sample(2000), denoiser.sample(1500)
    plain = catalog.make("ddim", (2,), steps=steps, path="quadratic", clip=False)
    sampler.begin(denoiser)
    start = torch.randn(20, 2, dtype=torch.float64)
    with torch.no_grad():
        times = plain.times(denoiser)
        before = plain.run(denoiser, start, times[:-1])
        before = plain.predict(denoiser, before, times[-2].expand(20), None)[0]
        gap = float((sampler.unroll(denoiser, start) - before).abs().max())
    yield at_most("before learning: largest difference from DDIM", 1e-5, gap, "parameters are single precision")

    sampler.double()
    own = [sampler.gaps, sampler.of_x, sampler.of_x0, sampler.noise]
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in own:
            parameter.add_(0.1 * torch.randn_like(parameter))

    def loss() -> Tensor:
        with seeded(7):
            return sampler.discrepancy(denoiser, data[:100])

    for parameter in own:
        parameter.requires_grad_(True)
    loss().backward()
    right = []
    for name, parameter in zip(("times", "weights of x", "weights of x_0", "noise"), own, strict=True):
        assert parameter.grad is not None
        way, width = torch.randn_like(parameter), 1e-5
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * width * way)
                ends.append(float(loss()))
                parameter.sub_(sign * width * way)
        slope = (ends[0] - ends[1]) / (2 * width)
        got = float((parameter.grad * way).sum())
        yield near(f"gradient to {name} against differences", slope, got, 1e-5 + 1e-4 * abs(slope), "rounding")
        right.append(abs(got - slope) <= 1e-5 + 1e-4 * abs(slope))
    with torch.no_grad():
        sampler.gaps.copy_(3 * torch.randn_like(sampler.gaps))
        falling = bool((sampler.times(denoiser).diff() <= 0).all())
    yield holds("times fall whatever the parameters are", falling)
    if not (all(right) and falling):
        return  # no use in following wrong gradients
    sampler.float()

    sampler.fit(denoiser, data)
    scores = []
    for drawn in (sampler.draw(denoiser, 1500), plain.draw(denoiser, 1500), denoiser.sample(1500)):
        scores.append(float(learned.mmd(drawn, held_out, "rbf", sampler.scale)))
    yield at_most(
        "held-out MMD^2 over that of DDIM with as many steps", 0.2, scores[0] / scores[1], "40 updates reach 0.06"
    )
    yield at_least("what DDIM leaves, over real data's own", 10.0, scores[1] / max(abs(scores[2]), 1e-4))
