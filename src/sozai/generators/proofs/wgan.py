"""Proofs of the Wasserstein GANs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

from sozai.fields import number
from sozai.generators.objectives import adversarial
from sozai.generators.proofs.games import OBJECTIVES, against, build
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, near
from sozai.generators.proofs.training import learn


def _normal(shift: float, scale: float, count: int) -> Tensor:
    return shift + scale * torch.randn(count, 1)


def _shifted(offset: Tensor) -> dict[str, Tensor]:
    return {"x": offset + torch.randn(512, 4)}


@check(
    "wgan",
    seconds=2,
    broken_by=[
        Mutation("weights are not clipped", f"{OBJECTIVES}:clip_weights", lambda module, bound: None),
        Mutation(
            "a classifier's loss",
            f"{OBJECTIVES}:critic_loss",
            lambda real, fake, objective: softplus(-real).mean() + softplus(fake).mean(),
        ),
    ],
)
def the_gap_ranks_as_wasserstein() -> Iterator[Finding]:
    """Weights stay within the bound after each step; the critic's gap orders pairs of laws as exact W1 does."""
    torch.set_num_threads(1)
    exact, gaps, largest = [], [], 0.0
    noise = torch.distributions.Normal(0.0, 1.0).icdf(torch.linspace(0.001, 0.999, 999))
    for shift, scale in (
        (0.2, 1.0),
        (0.5, 1.2),
        (0.0, 2.0),
        (1.0, 1.0),
        (1.5, 0.5),
        (2.0, 1.0),
        (3.0, 1.5),
        (4.0, 1.0),
    ):
        core = build("wgan", {"x": number(1)}, width=32, layers=2)
        core = against(core, partial(_normal, shift, scale))
        clip = core.after_step

        def watched(player: str, clip: Any = clip, core: Any = core) -> None:
            nonlocal largest
            clip(player)
            largest = max(largest, *(float(p.detach().abs().max()) for p in core.critic.parameters()))

        core.after_step = watched  # type: ignore[method-assign]
        learn(core, lambda: {"x": torch.randn(256, 1)}, 40, "critic", scale=2)
        exact.append(float((shift + (scale - 1) * noise).abs().mean()))
        gaps.append(-core.loss({"x": torch.randn(50_000, 1)}, "critic")["loss"].item())
    yield at_most("largest weight after any step", core.strength * (1 + 1e-6), largest, "clipped, so exact")
    ranks = torch.stack([torch.tensor(values).argsort().argsort().float() for values in (exact, gaps)])
    yield at_least("rank correlation with W1", 0.9, torch.corrcoef(ranks)[0, 1].item(), "eight pairs of Gaussians")


@check(
    "wgan-gp",
    seconds=0.1,
    broken_by=[
        Mutation(
            "the slope is detached",
            f"{OBJECTIVES}:slopes",
            make=lambda original: lambda critic, x: original(critic, x).detach(),
        ),
        Mutation("no lines, real rows only", f"{OBJECTIVES}:between", lambda real, fake: real),
        Mutation(
            "each number has a share of its own",
            f"{OBJECTIVES}:between",
            lambda real, fake: torch.lerp(fake, real, torch.rand_like(real)),
        ),
        Mutation(
            "a penalty of all rows' mean slope",
            f"{OBJECTIVES}:gradient_penalty",
            lambda critic, real, fake: (
                adversarial.slopes(critic, adversarial.between(real, fake)).mean() - 1
            ).square(),
        ),
    ],
)
def the_penalty_is_on_lines() -> Iterator[Finding]:
    """Where slopes are taken, and the penalty and its derivative for critics whose slope is known."""
    points = adversarial.between(torch.zeros(4000, 3), torch.ones(4000, 3))
    yield near("points lie on lines: spread within a row", 0.0, points.std(1).max().item(), 1e-6)
    yield near("mean place on the line", 0.5, points.mean().item(), 0.03, "4,000 uniform numbers")
    yield near("variance of the place", 1 / 12, points[:, 0].var().item(), 0.01, "uniform")
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    penalty = adversarial.gradient_penalty(lambda x: x @ weight, torch.randn(8, 2), torch.randn(8, 2))
    yield near("penalty of a linear critic of slope 5", 16.0, penalty.item(), 1e-4, "closed form")
    penalty.backward()
    yield near("its derivative", 4.8, weight.grad[0].item(), 1e-4, "2 (5 - 1) 3 / 5")  # type: ignore[index]
    rows = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    penalty = adversarial.gradient_penalty(lambda x: x.square().sum(1) / 2, rows, rows)
    yield near("penalty of slopes 1 and 2", 0.5, penalty.item(), 1e-4, "((1 - 1)^2 + (2 - 1)^2) / 2")


@check(
    "wgan-gp",
    seconds=2.5,
    broken_by=[
        Mutation(
            "slopes are drawn to 0 instead of 1",
            f"{OBJECTIVES}:gradient_penalty",
            lambda critic, real, fake: adversarial.slopes(critic, adversarial.between(real, fake)).square().mean(),
        ),
    ],
)
def the_gap_of_shifted_gaussians() -> Iterator[Finding]:
    """For laws shifted by d the best critic is linear with slope 1 + d / (2 lambda), so its gap is d (1 + d / 20)."""
    torch.set_num_threads(1)
    for shift in (1.0, 3.0):
        core = build("wgan-gp", {"x": number(4)}, width=32, layers=2, strength=10.0)
        offset = torch.tensor([shift, 0, 0, 0])
        core = against(core, lambda count: torch.randn(count, 4))
        for rate in (6.0, 2.0, 0.4):
            learn(core, partial(_shifted, offset), 35, "critic", scale=rate)
        fake = torch.randn(20_000, 4)
        with torch.no_grad():
            gap = (core.critic(fake + offset, {}) - core.critic(fake, {})).mean().item()
        slope = adversarial.slopes(core.judge({}), adversarial.between(fake[:2000] + offset, fake[2000:4000])).mean()
        exact = 1 + shift / (2 * core.strength)
        yield near(f"gap at d = {shift:g}", shift * exact, gap, 0.05 * shift * exact, "closed form; short training")
        yield near(f"mean slope on the lines at d = {shift:g}", exact, slope.item(), 0.05, "closed form")
