"""Proofs of diffusion over rows of tables."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch.nn import functional as F

from sozai.fields import category, number
from sozai.generators.processes import discrete
from sozai.generators.processes.corruption import GaussianNoise
from sozai.generators.processes.discrete import Categories
from sozai.generators.processes.scaling import QuantileScaling
from sozai.generators.proofs.field_tools import build, fit
from sozai.generators.proofs.proof import Finding, Mutation, at_most, check, near


@check(
    "tabddpm",
    seconds=0.1,
    broken_by=[
        Mutation(
            "repeated values are all sent to the least of their ranks",
            "sozai.generators.processes.scaling:QuantileScaling._rank",
            make=lambda rank: lambda knots, values, right: rank(knots, values, False),
        ),
        Mutation(
            "multinomial noise is absorbing",
            "sozai.generators.processes.discrete:transition",
            make=lambda make: lambda name, *rest: make("absorbing", *rest),
        ),
        Mutation(
            "the target of the numbers is the data",
            "sozai.generators.processes.corruption:GaussianNoise.loss",
            make=lambda loss: lambda self, prediction, z0, *rest: (prediction - z0).square().mean(-1),
        ),
    ],
)
def rows_of_numbers_and_categories() -> Iterator[Finding]:
    """Quantiles become normal, the loss is the noise's squared error, the multinomial posterior is the paper's."""
    skewed = torch.cat([torch.zeros(400), torch.randn(600).exp()])[:, None]
    scaling = QuantileScaling(1)
    scaling.fit(skewed)
    scaled = scaling(skewed)
    yield at_most("round trip of numbers, most of them repeated", 2e-3, float((scaling.inverse(scaled) - skewed).abs()
                  .max()), "float32 at values to 20")  # fmt: skip
    ideal = torch.special.ndtri((torch.arange(1000) + 0.5) / 1000)
    error = (scaled[:, 0].sort().values - ideal)[20:-20].abs().max()
    yield at_most("encoded quantiles against the normal's", 0.2, float(error), "201 quantiles, zeros spread at random")
    core = build("tabddpm", {"a": number(), "b": number(), "c": category(3)}, diffusion_steps=100, width=64, layers=2)
    noise = core.noises[1]
    assert isinstance(noise, Categories)
    guess, xt = torch.rand(8, 1, 1, 3).softmax(-1), torch.randint(3, (8, 1, 1))
    s, t = torch.full((8,), 0.49), torch.full((8,), 0.5)
    kept = [(math.cos((u + 0.008) / 1.008 * math.pi / 2) / math.cos(0.008 / 1.008 * math.pi / 2)) ** 2
            for u in (0.49, 0.5)]  # fmt: skip
    ratio = kept[1] / kept[0]
    paper = (ratio * F.one_hot(xt, 3) + (1 - ratio) / 3) * (kept[0] * guess + (1 - kept[0]) / 3)
    error = discrete.posterior(noise.noise, discrete.to_states(noise.noise, guess), xt, s, t) - paper / paper.sum(
        -1, keepdim=True
    )
    yield at_most("posterior against [a x_t + (1-a)/K] [A x_0 + (1-A)/K]", 1e-5, float(error.abs().max()), "float32")
    numbers, mask = core.noises[0], torch.ones(4000, 1, dtype=torch.bool)
    assert isinstance(numbers, GaussianNoise)
    z0, t = torch.randn(4000, 1, 2), torch.rand(4000)
    zt = numbers.corrupt(z0, t)
    alpha, sigma = (part(t)[:, None, None] for part in (numbers.schedule.alpha, numbers.schedule.sigma))
    loss = numbers.loss((zt - alpha * z0) / sigma, z0, zt, t, t, mask)
    yield at_most("loss of the true noise", 1e-8, float(loss.max()), "float32")
    zero = numbers.loss(torch.zeros_like(zt), z0, zt, t, t, mask)
    yield near("loss of no noise", 1.0, float(zero.mean()), 0.08, "8,000 squared normals: 0.016 is one sd")


@check(
    "tabddpm",
    seconds=8,
    broken_by=[
        Mutation(
            "the noise's own share is left out of the data's estimate",
            "sozai.generators.processes.corruption:GaussianNoise.estimate",
            make=lambda estimate: lambda self, z, prediction, t: z,
        ),
        Mutation(
            "numbers and categories do not see each other",
            "sozai.generators.networks.mlp:ResidualMLP.forward",
            make=lambda forward: lambda self, x, *rest: torch.cat([
                forward(self, x * (torch.arange(5) < 2), *rest)[:, :2],
                forward(self, x * (torch.arange(5) >= 2), *rest)[:, 2:]], 1),
        ),
    ],
)  # fmt: skip
def trained_on_a_mixed_table() -> Iterator[Finding]:
    """Three groups with two correlated numbers, one of them often exactly zero."""
    core = build("tabddpm", {"a": number(), "b": number(), "c": category(3)}, diffusion_steps=100, width=64, layers=2)
    kind = torch.multinomial(torch.tensor([0.2, 0.5, 0.3]), 3000, replacement=True)
    centre = torch.tensor([-4.0, 0.0, 4.0])[kind]
    first = centre + 0.5 * torch.randn(3000)
    rows = {"a": first, "b": (0.5 * first + 0.3 * torch.randn(3000)).clamp(min=0), "c": kind}
    fit(core, rows, 600)
    new = core.sample(2000)
    share = torch.bincount(new["c"], minlength=3) / 2000
    yield at_most("shares of categories", 0.06, float((share - torch.tensor([0.2, 0.5, 0.3])).abs().max()),
                  "0.011 is one sd of 2,000 draws; training adds")  # fmt: skip
    off = (new["a"] - torch.tensor([-4.0, 0.0, 4.0])[new["c"]]).abs() > 2
    yield at_most("numbers that belong to another category", 0.1, float(off.float().mean()),
                  "0.62 at random; quantiles leave no gap between groups")  # fmt: skip
    both = torch.stack([new["a"], new["b"]])
    real = torch.stack([rows["a"], rows["b"]])
    yield near(
        "correlation of the numbers", float(real.corrcoef()[0, 1]), float(both.corrcoef()[0, 1]), 0.08, "sampling"
    )
    yield near("share of exact zeros", float((rows["b"] == 0).float().mean()), float((new["b"] == 0).float().mean()),
               0.07, "sampling and training")  # fmt: skip
