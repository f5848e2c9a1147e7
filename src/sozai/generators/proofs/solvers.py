"""Proofs of the samplers that solve the probability flow, on mixtures whose denoiser is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from sozai.generators.processes import gaussian
from sozai.generators.processes.gaussian import noised, spread
from sozai.generators.proofs import mixture
from sozai.generators.proofs.mixture import Mixture
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, holds, near
from sozai.generators.samplers import base, catalog, ddim, ode, paths, taylor
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


# --- the flow ---------------------------------------------------------------------------------------------------


@check(
    "ddim",
    seconds=2.5,
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
