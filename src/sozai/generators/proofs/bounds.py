"""Proofs of the bounds and likelihoods of Gaussian diffusion: VDM and ScoreFlow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from sozai.generators.families import diffusion
from sozai.generators.objectives import denoising, nelbo
from sozai.generators.processes import gaussian, schedules
from sozai.generators.processes.gaussian import Denoiser, Schedule
from sozai.generators.proofs import mixture
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, near
from sozai.generators.tensors import seeded

HERE = "sozai.generators"
DOUBLE = torch.float64


class Scaled(Denoiser):
    """Another denoiser's noise times a constant: wrong in a known way."""

    def __init__(self, denoiser: Denoiser, factor: float):
        super().__init__()
        self.denoiser, self.factor = denoiser, factor
        self.schedule, self.event = denoiser.schedule, denoiser.event

    def eps(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        """Scaled."""
        return self.factor * self.denoiser.eps(x, t, condition)


class Warped(Schedule):
    """lambda from 8 to -8 along a given way: schedules that share their ends."""

    def __init__(self, way: Callable[[Tensor], Tensor]):
        super().__init__()
        self.way = way

    def log_snr(self, t: Tensor) -> Tensor:
        """lambda(t)."""
        return 8 - 16 * self.way(t)


WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda t: t,
    "cosine": lambda t: (1 - torch.cos(math.pi * t)) / 2,
    "cubic": lambda t: (t + 3 * t**3) / 4,
}


# --- VDM ------------------------------------------------------------------------------------------------------


def scaled(factor: float) -> Callable[[Any], Any]:
    """A mutation: the function's result times a factor."""
    return lambda original: lambda *args, **kwargs: original(*args, **kwargs) * factor


@check(
    "vdm",
    "scoreflow",
    seconds=0.6,
    broken_by=[
        Mutation(
            "the loss is not weighted by lambda'(t)",
            f"{HERE}.processes.gaussian:Schedule.slope",
            make=lambda f: lambda self, t: torch.full_like(t, -20.0),
        ),
        Mutation("the half is missing", f"{HERE}.objectives.nelbo:denoising_error", make=scaled(2.0)),
        Mutation(
            "noise levels are drawn evenly in t",
            f"{HERE}.objectives.nelbo:snr_times",
            make=lambda f: lambda schedule, share, start=0.0: share,
        ),
    ],
)
def bound_is_free_of_the_schedule() -> Iterator[Finding]:
    """The continuous bound depends on the ends of lambda alone, and for the exact denoiser is the entropy."""
    rows, why = 80_000, "3 sd of 80,000 draws"
    for name, way in WAYS.items():
        exact = mixture.Mixture(Warped(way))
        x = exact.sample(rows)
        with torch.no_grad():
            got = float(denoising.continuous(exact, x)["loss"])
        entropy = -float(exact.data_log_prob(x).mean()) / 2
        yield near(f"bound with a {name} way, nats a dimension", entropy, got, 0.09 if name == "cosine" else 0.06, why)
    exact = mixture.Mixture()
    x = exact.sample(rows)
    entropy, got = -float(exact.data_log_prob(x).mean()) / 2, float(denoising.likelihood(exact, x)["loss"])
    yield near("with DDPM's schedule, times drawn by -lambda'", entropy, got, 0.09, why)
    x = x[:4000]
    entropy, got = -float(exact.data_log_prob(x).mean()) / 2, float(nelbo.continuous(exact, x, draws=16).mean()) / 2
    yield near("as the evaluator has it", entropy, got, 0.06, "64,000 draws, stratified")


@check(
    "vdm",
    seconds=1.5,
    broken_by=[
        Mutation(
            "the way follows the loss, not its square",
            f"{HERE}.processes.schedules:LearnedSchedule.reduce_variance_of",
            lambda self, rows: None,
        ),
        Mutation(
            "weights may be negative",
            f"{HERE}.processes.schedules:F.softplus",
            torch.sin,
        ),
        Mutation(
            "the derivative has the wrong sign",
            f"{HERE}.processes.schedules:LearnedSchedule.slope",
            make=scaled(-1.0),
        ),
    ],
)
def learned_schedule() -> Iterator[Finding]:
    """gamma is monotone with the derivative it says, and training it lowers the variance and not the mean."""
    t = torch.linspace(0.001, 0.999, 500, dtype=DOUBLE)
    worst, away = -math.inf, 0.0
    for _ in range(5):
        schedule = schedules.LearnedSchedule().double()
        with torch.no_grad():
            for parameter in schedule.parameters():
                parameter.add_(torch.randn_like(parameter))
            numeric = (schedule.log_snr(t + 1e-5) - schedule.log_snr(t - 1e-5)) / 2e-5
            slope = schedule.slope(t)
        worst, away = max(worst, float(slope.max())), max(away, float((slope / numeric - 1).abs().max()))
    yield at_most("largest slope of lambda(t)", 0.0, worst, "monotone whatever the weights")
    yield at_most("slope against differences (relative)", 1e-4, away, "second order differences")

    schedule = schedules.LearnedSchedule().double()
    with torch.no_grad():  # a poor way to begin with: all of the noise comes at the end
        schedule.line.fill_(-3.0)
        schedule.places.add_(1).div_(2)
        schedule.slopes.mul_(3)
    exact = mixture.Mixture(schedule)
    start, spread, best = _loss_of(exact)
    optimizer = torch.optim.Adam(schedule.parameters(), lr=0.1)
    for _ in range(120):
        loss = denoising.continuous(exact, exact.sample(128))["loss"]
        optimizer.zero_grad()
        loss.backward()
        schedule.ends.grad = None
        optimizer.step()
    end, less, best = _loss_of(exact)
    yield near("the bound after against before, nats a dimension", start, end, 0.3, "unchanged; 3 sd of 40,000 draws")
    yield at_most("standard deviation of its estimate, after over before", 0.95, less / spread, "from a poor start")
    yield at_most("the same over the least that any way can have", 1.5, less / best, "Cauchy-Schwarz; 120 updates")


@torch.no_grad()
def _loss_of(exact: mixture.Mixture) -> tuple[float, float, float]:
    """Mean and standard deviation of the diffusion part over rows, and the least possible standard deviation.

    By Cauchy-Schwarz E l^2 is least when p(lambda) is in proportion to the root of E ||eps - eps_hat||^4.
    """
    x = exact.sample(40_000)
    t = denoising.stratified_times(x)
    slope, error = exact.schedule.slope(t), nelbo.denoising_error(exact, x, t)
    rows = -0.25 * slope * error
    bins = error.square()[t.argsort()].reshape(100, -1).mean(1).sqrt()
    width = -slope[t.argsort()].reshape(100, -1).mean(1) / 100
    least = (0.25 * (bins * width).sum()) ** 2 - rows.mean() ** 2
    return float(rows.mean()), float(rows.std()), float(least.sqrt())


# --- ScoreFlow ------------------------------------------------------------------------------------------------


@check(
    "scoreflow",
    seconds=1.4,
    broken_by=[
        Mutation(
            "the trace has the wrong sign",
            f"{HERE}.samplers.ode:flow",
            make=lambda f: lambda *a: (f(*a)[0], -f(*a)[1]),
        ),
        Mutation(
            "the flow has the whole score, as the SDE",
            f"{HERE}.samplers.ode:flow",
            make=lambda f: lambda *a: tuple(2 * part for part in f(*a)),
        ),
    ],
)
def probability_flow_likelihood() -> Iterator[Finding]:
    """Along the probability-flow ODE the likelihood of each point is that of the mixture."""
    exact = mixture.Mixture()
    x = exact.sample(40)
    away = (diffusion.ode.log_prob(exact, x, steps=24) - exact.data_log_prob(x)).abs()
    yield at_most("mean error of log p over 40 points, nats", 0.05, float(away.mean()), "Runge-Kutta, 24 steps")
    yield at_most("largest error", 0.3, float(away.max()), "a point between two clusters")


@check(
    "scoreflow",
    seconds=0.4,
    broken_by=[
        Mutation("the error counts half", f"{HERE}.objectives.nelbo:denoising_error", make=scaled(0.5)),
        Mutation("the prior's divergence is left out", f"{HERE}.objectives.nelbo:prior_kl", make=scaled(0.0)),
        Mutation(
            "noise levels are drawn evenly in t",
            f"{HERE}.objectives.nelbo:snr_times",
            make=lambda f: lambda schedule, share, start=0.0: share,
        ),
    ],
)
def likelihood_weighting_bounds() -> Iterator[Finding]:
    """Weighted by g^2 the loss of a wrong score bounds the likelihood of the SDE that it drives.

    On N(0, 1/2) under DDPM's schedule cut at lambda = -2, where the prior is not yet reached, all is linear and the
    SDE's law is known. Times drawn by -lambda' estimate the bound with the least spread.
    """
    exact = mixture.gaussian(Cut(), torch.zeros(1), torch.full((1, 1), 0.5))
    schedule = exact.schedule
    x = exact.sample(40_000)
    first, last = nelbo.ends(schedule, x)
    for factor in (1.0, 0.8, 1.2):
        with seeded(5):
            bound = float(denoising.likelihood(Scaled(exact, factor), x)["loss"])
        with seeded(5):  # a control variate of mean 0, from the same draws
            level = schedule.log_snr(nelbo.snr_times(schedule, denoising.stratified_times(x)))
            left = torch.sigmoid(level - math.log(2.0)) ** 2
            bound -= float((0.5 * (first - last) * left * (torch.randn_like(x)[:, 0] ** 2 - 1)).mean())
        variance = _variance_of_the_sde(exact, factor)
        truth = 0.5 * (math.log(2 * math.pi * variance) + float((x**2).mean()) / variance)
        why = "Jensen's gap, the more the wronger the score"
        yield at_least(f"bound less NLL with {factor} x the exact noise, nats", -0.005, bound - truth, "40,000 draws")
        yield at_most("and at most", 0.07, bound - truth, why)
    even, t = torch.linspace(0.001, 1, len(x), dtype=DOUBLE), nelbo.snr_times(schedule, denoising.stratified_times(x))
    weighted = -0.5 * schedule.slope(even) * nelbo.denoising_error(exact, x, even)
    drawn = 0.5 * (first - last) * nelbo.denoising_error(exact, x, t)
    yield at_most(
        "spread of the loss, drawn by -lambda' over even", 0.5, float((drawn.std() / weighted.std()).detach())
    )


class Cut(gaussian.LinearSchedule):
    """DDPM's up to lambda = -2."""

    def log_snr(self, t: Tensor) -> Tensor:
        """lambda(t)."""
        return super().log_snr(0.465 * t)


def _variance_of_the_sde(exact: mixture.Mixture, factor: float, steps: int = 4000) -> float:
    """Variance at t = 0 of dx = (f x - g^2 score) dt + g dW run back from N(0, 1), the score ``factor`` times exact.

    In one dimension with score -k x: dV/dt = 2 (f + g^2 k) V - g^2, integrated in closed form over small steps of
    even lambda.
    """
    levels = torch.linspace(0, 1, steps + 1, dtype=DOUBLE)
    t = nelbo.snr_times(exact.schedule, levels)
    middle = ((t[1:] + t[:-1]) / 2).clamp(min=5e-5)  # the schedule is held below 1e-5
    drift, spreading = exact.schedule.drift_and_diffusion(middle)
    alpha, sigma = exact.schedule.alpha(middle), exact.schedule.sigma(middle)
    rate = 2 * (drift + spreading * factor / (0.5 * alpha**2 + sigma**2))
    value = torch.ones((), dtype=DOUBLE)
    for k, g2, h in zip(rate.flip(0), spreading.flip(0), (t[1:] - t[:-1]).flip(0), strict=True):
        value = g2 / k + (value - g2 / k) * torch.exp(-k * h)
    return float(value)
