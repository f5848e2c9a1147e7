"""Proofs of the faster samplers, on mixtures whose denoiser is exact: nothing is trained but what a sampler learns."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from sozai.generators.processes import gaussian
from sozai.generators.processes.gaussian import noised, posterior, spread
from sozai.generators.proofs import mixture
from sozai.generators.proofs.mixture import Mixture
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, holds, near
from sozai.generators.samplers import analytic, ancestral, base, catalog, ddim, learned, ode, paths, taylor
from sozai.generators.samplers.base import Sampler
from sozai.generators.tensors import seeded

Budget = tuple[int, ...]


def even_in_log_snr(denoiser: Mixture, steps: int, start: float = 0.8, stop: float = 0.03) -> Tensor:
    """Times whose steps shrink alike, away from both ends, so that only the method's own error is seen."""
    ends = denoiser.schedule.log_snr(torch.tensor([start, stop], dtype=torch.float64))
    return paths.time_of(denoiser.schedule, torch.lerp(ends[0], ends[1], torch.linspace(0, 1, steps + 1).double()))


def exact_flow(denoiser: Mixture, x: Tensor, start: Tensor, stop: Tensor) -> Tensor:
    """The probability flow of a single Gaussian: along each axis of the covariance x keeps its standard score."""
    axes, variances, mean = denoiser.axes[0], denoiser.variances[0], denoiser.means[0]
    (alpha, sigma), (alpha_s, sigma_s) = (
        (denoiser.schedule.alpha(u), denoiser.schedule.sigma(u)) for u in (start, stop)
    )
    scores = (x - alpha * mean) @ axes / (alpha**2 * variances + sigma**2).sqrt()
    return alpha_s * mean + (scores * (alpha_s**2 * variances + sigma_s**2).sqrt()) @ axes.T


def errors(sampler: Sampler, denoiser: Mixture, budget: Budget, rows: int = 64) -> list[float]:
    """Root mean square distance to the exact end of the flow with each number of steps."""
    out = []
    for steps in budget:
        times = even_in_log_snr(denoiser, steps)
        with seeded(1):
            x = denoiser.sample(rows, times[:1].expand(rows))
        with torch.no_grad():
            away = sampler.run(denoiser, x, times) - exact_flow(denoiser, x, times[:1], times[-1:])
        out.append(float((away**2).mean().sqrt()))
    return out


def order(budget: Budget, found: Sequence[float]) -> float:
    """Slope of log error against log step, by least squares."""
    logs = torch.tensor([budget, found], dtype=torch.float64).log()
    centred = logs - logs.mean(1, keepdim=True)
    return float(-(centred[0] * centred[1]).sum() / (centred[0] ** 2).sum())


def exact_residual(denoiser: Mixture, grid: int, count: int = 2000) -> Tensor:
    """1 - Gamma at the times of a grid."""
    t = torch.arange(1, grid + 1, dtype=torch.float64) / grid
    return denoiser.mse(t, count) * torch.exp(denoiser.schedule.log_snr(t)) / denoiser.size


# --- DDIM -----------------------------------------------------------------------------------------------------


@check(
    "ddim",
    seconds=0.2,
    broken_by=[
        Mutation("eta is ignored", f"{ddim.__name__}:deviation", make=lambda f: lambda *a: 0 * f(*a)),
        Mutation(
            "the noise is beta's instead of beta~'s",
            f"{ddim.__name__}:deviation",
            make=lambda f: lambda schedule, s, t, eta: f(schedule, s, t, eta) * schedule.sigma(t) / schedule.sigma(s),
        ),
        Mutation(
            "eps_hat keeps the whole noise",
            f"{ddim.__name__}:direction",
            lambda schedule, s, lam: schedule.sigma(s),
        ),
        Mutation(
            "x_0_hat is not divided by alpha",
            f"{base.__name__}:Sampler.predict",
            make=lambda f: (
                lambda self, d, x, t, c: (d.schedule.alpha(t)[:, None] * f(self, d, x, t, c)[0], d.eps(x, t))
            ),
        ),
    ],
)
def implicit_steps() -> Iterator[Finding]:
    """DDIM without noise is a first-order solver of the flow; with eta = 1 it is DDPM; q(x_s | x_0) always holds."""
    denoiser = mixture.gaussian()
    plain, budget = catalog.make("ddim", (2,), eta=0), (20, 40, 80)
    found = errors(plain, denoiser, budget)
    yield near("order of convergence to the exact flow", 1.0, order(budget, found), 0.12, "1 as the step goes to 0")
    exact = Mixture()
    draws = []
    for seed in (0, 1):
        with seeded(5):
            start = torch.randn(50, 2, dtype=torch.float64)
        with seeded(seed), torch.no_grad():
            draws.append(plain.run(exact, start, plain.times(exact, 10)[:-1]))
    yield holds("eta = 0: the same samples from the same start, bit for bit", torch.equal(*draws))
    draws = []
    for sampler in (
        catalog.make("ddim", (2,), eta=1, path="uniform"),
        catalog.make("ancestral", (2,), variance="beta~"),
    ):
        with seeded(3):
            draws.append(sampler.draw(exact, 50, steps=20))
    gap = float((draws[0] - draws[1]).abs().max())
    yield at_most("eta = 1 against DDPM with beta~, same noise: largest difference", 1e-9, gap, "rounding")
    point = torch.tensor([[0.7, -0.4]], dtype=torch.float64)  # for data in a point, each step has a closed form
    single = Mixture(means=point, covariances=torch.tensor([1e-12]))
    s, t = (torch.full((40_000,), value, dtype=torch.float64) for value in (0.3, 0.5))
    x = noised(single.schedule, point.expand(len(t), -1), t, torch.randn(len(t), 2, dtype=torch.float64))
    for eta in (0.0, 0.5, 1.0):
        x_s = catalog.make("ddim", (2,), eta=eta).step(single, x, t, s, None)
        away = (x_s - single.schedule.alpha(s)[:1] * point) / single.schedule.sigma(s)[:1]
        yield near(f"variance of q(x_s | x_0), eta {eta}", 1.0, float((away**2).mean()), 0.02, "4 sd of 80,000 draws")


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


# --- GENIE ------------------------------------------------------------------------------------------------------


def difference_along_flow(denoiser: Mixture, x: Tensor, t: Tensor, width: float = 1e-4, of_x0: bool = False) -> Tensor:
    """d_gamma eps_hat (or x0_hat) by central differences along the tangent of the flow: no derivative is used."""
    schedule = denoiser.schedule
    gamma, xbar, eps = ode.gamma(schedule, t), x / spread(schedule.alpha(t), x), denoiser.eps(x, t)
    ends, predict = [], denoiser.x0 if of_x0 else denoiser.eps
    for sign in (-1, 1):
        moved = gamma * (1 + sign * width)
        time = paths.time_of(schedule, -2 * moved.log())
        ends.append(predict(spread(schedule.alpha(time), x) * (xbar + spread(moved - gamma, x) * eps), time))
    return (ends[1] - ends[0]) / spread(2 * width * gamma, x)


def _without_time(original: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., tuple[Tensor, Tensor]]:
    def broken(denoiser: Mixture, x: Tensor, t: Tensor, condition: Tensor | None, function: object = None):
        fixed = t.clone()
        return original(denoiser, x, t, condition, lambda x, t: denoiser.eps(x, fixed, condition))

    return broken


NO_TIME = Mutation("the derivative forgets time", f"{taylor.__name__}:total_derivative", make=_without_time)


@check(
    "genie",
    seconds=1.5,
    broken_by=[
        NO_TIME,
        Mutation(
            "the second-order term has the wrong sign",
            f"{taylor.__name__}:taylor_step",
            make=lambda f: lambda schedule, x, t, s, eps, change: f(schedule, x, t, s, eps, -change),
        ),
        Mutation(
            "h^2 instead of h^2 / 2",
            f"{taylor.__name__}:taylor_step",
            make=lambda f: lambda schedule, x, t, s, eps, change: f(schedule, x, t, s, eps, 2 * change),
        ),
    ],
)
def second_order() -> Iterator[Finding]:
    """GENIE is a second-order solver of the flow where DDIM is of first order."""
    exact = Mixture()
    t = torch.linspace(0.02, 0.98, 60, dtype=torch.float64)
    x = exact.sample(60, t)
    got = taylor.total_derivative(exact, x, t, None)[1]
    want = difference_along_flow(exact, x, t)
    gap = float(((got - want).norm(dim=1) / want.norm(dim=1)).max())
    yield at_most("JVP against differences along the flow, largest relative error", 1e-4, gap, "step 1e-4 gamma")
    denoiser, budget = mixture.gaussian(), (20, 40, 80)
    second = errors(catalog.make("genie", (2,), head=False), denoiser, budget)
    first = errors(catalog.make("ddim", (2,)), denoiser, budget)
    yield near("order of convergence to the exact flow", 2.0, order(budget, second), 0.15, "2 as the step goes to 0")
    yield at_least("DDIM's error over GENIE's at 20 steps", 6.0, first[0] / second[0], "the notes measured 8")


@check(
    "genie",
    seconds=2.0,
    broken_by=[
        NO_TIME,
        Mutation(
            "the head has only its middle term",
            f"{taylor.__name__}:blend",
            lambda parts, gamma: parts[:, 1] * spread(gamma / (1 + gamma**2), parts[:, 1]),
        ),
        Mutation(
            "the head learns eps itself",
            f"{taylor.__name__}:total_derivative",
            make=lambda f: lambda d, x, t, c, function=None: (d.eps(x, t), d.eps(x, t)),
        ),
    ],
)
def distilled_head() -> Iterator[Finding]:
    """The head replaces the JVP: it points the same way and still beats DDIM's error."""
    exact = Mixture()
    t = torch.linspace(0.02, 0.98, 60, dtype=torch.float64)
    x = exact.sample(60, t)
    none = torch.zeros_like(x)
    got = taylor.blend(
        torch.stack([difference_along_flow(exact, x, t, of_x0=True), none, none], 1), ode.gamma(exact.schedule, t)
    )
    want = difference_along_flow(exact, x, t)
    gap = float(((got - want).norm(dim=1) / want.norm(dim=1)).max())
    yield at_most("k1 = d_gamma x0_hat alone is the derivative: largest relative error", 1e-3, gap, "differences")
    ends = torch.tensor([1e-3, 1e3])
    weights = ends[:, None] * taylor.blend(torch.eye(3)[None].expand(2, 3, 3), ends)
    away = float((weights - torch.tensor([[-1.0, 0.0, 1.0], [-1.0, 1.0, 0.0]])).abs().max())
    yield at_most("k3 is for gamma near 0, k2 for large gamma", 1e-5, away)
    if gap > 1e-3:
        return  # nothing to learn for a head of another form
    denoiser = mixture.gaussian()
    sampler = catalog.make("genie", (2,), head=True, width=48, layers=2, fit_steps=200, batch_size=128, clip=False)
    assert isinstance(sampler, taylor.Genie) and sampler.head is not None
    sampler.fit(denoiser, denoiser.sample(1000))
    t = torch.rand(2000).double() * 0.8 + 0.1
    x = denoiser.sample(2000, t)
    eps, want = denoiser.eps(x, t), difference_along_flow(denoiser, x, t)
    with torch.no_grad():
        got = sampler.head(x, eps, t, ode.gamma(denoiser.schedule, t))
    got, want = (spread(ode.gamma(denoiser.schedule, t), x) * part for part in (got, want))
    cosine = torch.nn.functional.cosine_similarity(got.flatten(), want.flatten(), dim=0)
    yield at_least("cosine of gamma k to the exact one, all rows and times", 0.97, float(cosine), "what is learned")
    late = torch.nn.functional.cosine_similarity(got, want)[t < 0.5].mean()
    yield at_least("mean cosine of a row, t under 0.5", 0.95, float(late), "later the derivative vanishes")
    plain, better = (errors(s, denoiser, (10,))[0] for s in (catalog.make("ddim", (2,), clip=False), sampler))
    yield at_least("DDIM's error over the head's at 10 steps", 2.5, plain / better, "with the exact derivative 4 to 5")


# --- DDSS -------------------------------------------------------------------------------------------------------


def _frozen_times(original: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., tuple[Tensor, Tensor]]:
    return lambda denoiser, times, k: original(denoiser, times.detach(), k)


@check(
    "ddss",
    seconds=2.3,
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
    sampler = catalog.make("ddss", (2,), steps=steps, fit_steps=40, batch_size=200, rate=0.05)
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


# --- the flow ---------------------------------------------------------------------------------------------------


@check(
    "ddim",
    seconds=2.2,
    broken_by=[
        Mutation(
            "the trace has the wrong sign",
            f"{ode.__name__}:flow",
            make=lambda f: lambda *a: (lambda out: (out[0], -out[1]))(f(*a)),
        ),
        Mutation(
            "the volume of x / alpha is forgotten",
            f"{gaussian.__name__}:Schedule.alpha",
            make=lambda f: (
                lambda self, t: torch.ones_like(t) if t.dtype == torch.float64 and len(t) == 1 else f(self, t)
            ),
        ),
    ],
)
def likelihood_of_the_flow() -> Iterator[Finding]:
    """DDIM's limit, the probability flow, has the data's own likelihood; so have its solvers of second order."""
    denoiser = Mixture()
    x = denoiser.sample(60)
    at_zero = torch.zeros(60, dtype=torch.float64)
    exact = denoiser.log_prob(denoiser.schedule.alpha(at_zero)[:, None] * x, at_zero)
    got = ode.log_prob(denoiser, x, steps=32)
    yield at_most("log-density, mean error in nats", 0.003, float((got - exact).abs().mean()), "32 Runge-Kutta steps")
    estimates = ode.log_prob(denoiser, x, steps=12, probes=4)
    away = estimates - exact
    error = 4 * float(away.std()) / len(away) ** 0.5
    yield near("Hutchinson's estimate, mean deviation", 0.0, float(away.mean()), error, "4 standard errors, 60 rows")
    for name in ("heun", "dpm-solver"):
        single, budget = mixture.gaussian(), (20, 40, 80)
        slope = order(budget, errors(catalog.make(name, (2,)), single, budget))
        yield near(f"order of {name}", 2.0, slope, 0.25, "2 as the step goes to 0")
