"""Proofs of the generative adversarial networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from sozai.fields import category, image, number
from sozai.generators.core import Core
from sozai.generators.families.adversarial import Adversarial
from sozai.generators.objectives import adversarial
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, holds, near
from sozai.generators.recipes.gan import RECIPES
from sozai.generators.recipes.recipe import Recipe
from sozai.generators.train import train

OBJECTIVES = "sozai.generators.objectives.adversarial"
FAMILY = "sozai.generators.families.adversarial"
CYCLE = "sozai.generators.families.cyclegan"


def _recipe(name: str) -> Recipe:
    return next(recipe for recipe in RECIPES if recipe.name == name)


def _learn(core: Core, draw: Callable[[], dict[str, Tensor]], steps: int, *players: str, rate: float = 1.0) -> Core:
    """A bare loop over the named players (all by default), at constant learning rates."""
    chosen = [player for player in core.players if not players or player.name in players]
    kinds = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}
    optimizers = {}
    for player in chosen:
        settings: dict[str, Any] = {"betas": player.betas} if player.optimizer == "adam" else {}
        optimizers[player.name] = kinds[player.optimizer](
            core.parameters_of(player.name), lr=rate * player.rate, **settings
        )
    for _ in range(steps):
        for player in chosen:
            for _ in range(player.steps):
                optimizers[player.name].zero_grad()
                core.loss(draw(), player.name)["loss"].backward()
                optimizers[player.name].step()
                core.after_step(player.name)
    return core


def _against(core: Adversarial, fake: Callable[[int], Tensor]) -> Adversarial:
    """The core with a generator whose law is known."""
    core.generate = lambda count, given: fake(count)  # type: ignore[method-assign]
    return core


def _two_gaussians(pac: int) -> tuple[Tensor, Tensor, float]:
    """A critic trained on N(0, 1) against N(1, 1.5^2), seen ``pac`` rows at a time: its logits and the exact ones on a
    grid, and the value of its game."""
    torch.set_num_threads(1)
    real, fake = torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(1.0, 1.5)
    recipe = _recipe("pacgan" if pac > 1 else "gan")
    core = recipe.build({"x": number(1)}, lipschitz="none", width=32, layers=2)
    core = _against(core, lambda count: fake.sample((count, 1)))
    for rate in (3.0, 1.0, 0.1):
        _learn(core, lambda: {"x": real.sample((2048, 1))}, 150, "critic", rate=rate)
    grid = torch.linspace(-2, 3, 21)
    x = torch.cartesian_prod(*[grid] * pac).reshape(-1, pac)
    exact = (real.log_prob(x) - fake.log_prob(x)).sum(1)
    with torch.no_grad():
        logits = core.critic(x.reshape(-1, 1), {})[:, 0]
        value = -core.loss({"x": real.sample((200_000, 1))}, "critic")["loss"].item()
    return logits, exact, value


def _divergence(pac: int) -> float:
    """Twice the Jensen-Shannon divergence of those laws' products, by quadrature, minus log 4."""
    x = torch.linspace(-8, 10, 721, dtype=torch.float64)
    logs = [torch.distributions.Normal(*law).log_prob(x) for law in ((0.0, 1.0), (1.0, 1.5))]
    if pac == 2:
        logs = [(log[:, None] + log[None]).flatten() for log in logs]
    middle = torch.logaddexp(*logs) - math.log(2)
    return sum(float((log.exp() * (log - middle)).sum()) * (18 / 720) ** pac for log in logs) - math.log(4)


@check(
    "gan",
    seconds=2,
    broken_by=[
        Mutation(
            "generated rows count half",
            f"{OBJECTIVES}:critic_loss",
            lambda real, fake, objective: softplus(-real).mean() + softplus(fake).mean() / 2,
        ),
        Mutation(
            "the critic's labels are swapped",
            f"{OBJECTIVES}:critic_loss",
            make=lambda original: lambda real, fake, objective: original(fake, real, objective),
        ),
    ],
)
def critic_knows_the_density_ratio() -> Iterator[Finding]:
    """Against a fixed generator the critic's logit is log p - log p_G, and the game's value 2 JSD - log 4."""
    logits, exact, value = _two_gaussians(1)
    error = (logits - exact).square().mean().sqrt().item()
    yield at_most("RMSE of the logit on [-2, 3]", 0.1, error, "a small network, 450 steps; the exact logit spans 4.7")
    yield near("value of the game", _divergence(1), value, 0.01, "200,000 rows: standard error 0.002")


@check(
    "gan",
    "dcgan",
    seconds=0.1,
    broken_by=[
        Mutation(
            "the saturating loss",
            f"{OBJECTIVES}:generator_loss",
            lambda fake, objective: -softplus(fake).mean(),
        ),
        Mutation("the generator's step reaches the critic", f"{FAMILY}:frozen", nullcontext),
        Mutation(
            "the generated rows are detached",
            f"{FAMILY}:Adversarial.generate",
            make=lambda original: lambda self, count, given: original(self, count, given).detach(),
        ),
    ],
)
def each_player_learns_its_own() -> Iterator[Finding]:
    """Losses reach their player alone; the generator's does not saturate where the critic is sure."""
    core = _recipe("gan").build({"x": number(2)}, width=16)
    rows = {"x": torch.randn(64, 2)}
    for player, other in (("critic", "generator"), ("generator", "critic")):
        core.zero_grad()
        core.loss(rows, player)["loss"].backward()
        size = {
            name: sum(float(p.grad.abs().sum()) for p in core.parameters_of(name) if p.grad is not None)
            for name in (player, other)
        }
        yield at_least(f"gradient that the {player}'s loss sends to it", 1e-6, size[player])
        yield at_most(f"gradient that the {player}'s loss sends to the {other}", 0.0, size[other])
    score = torch.tensor([-10.0, 0.0, 10.0], requires_grad=True)
    loss = sum(adversarial.generator_loss(s, "non-saturating") for s in score)
    slope = torch.autograd.grad(loss, score)[0]
    for s, got in zip((-10.0, 0.0, 10.0), slope.tolist(), strict=True):
        yield near(f"slope of -log D at logit {s:g}", -1 / (1 + math.exp(s)), got, 1e-6, "closed form")


def _labelled(count: int) -> dict[str, Tensor]:
    """Rows whose first number tells a category, whose second a wanted number."""
    kind, wanted = torch.randint(3, (count,)), 2 * torch.rand(count) - 1
    x = torch.stack([2.0 * (kind - 1), wanted], 1) + torch.tensor([0.2, 0.1]) * torch.randn(count, 2)
    return {"x": x, "kind": kind, "wanted": wanted}


@check(
    "cgan",
    seconds=5,
    broken_by=[
        Mutation(
            "conditions come from other rows",
            f"{FAMILY}:Adversarial.pair",
            make=lambda original: lambda self, batch: original(self, {**batch, "x": batch["x"].flip(0)}),
        ),
        Mutation(
            "the critic does not see the conditions",
            f"{FAMILY}:Conditioned.packed",
            make=lambda original: (
                lambda self, x, given: original(
                    self,
                    x,
                    given if self.network.outputs == (2,) else {k: torch.zeros_like(v) for k, v in given.items()},
                )
            ),
        ),
    ],
)
def samples_obey_their_conditions() -> Iterator[Finding]:
    """The category and the number asked for are found again in the samples; shuffled, they are not."""
    torch.set_num_threads(1)
    conditions = {"kind": category(3), "wanted": number()}
    core = _recipe("cgan").build({"x": number(2)}, conditions, width=64, layers=2)
    train(core, _labelled(1500), device="cpu", steps=300, batch_size=128, ema=0.99)
    asked = _labelled(2000)
    x = core.sample(2000, asked)["x"]
    found = (x[:, 0] / 2 + 1).round().clamp(0, 2)
    accuracy = (found == asked["kind"]).float().mean().item()
    chance = (found == asked["kind"][torch.randperm(2000)]).float().mean().item()
    yield at_least("samples of the category asked for", 0.9, accuracy, "real rows: 1.0; short training")
    yield near("the same with the labels shuffled", 1 / 3, chance, 0.05, "chance; standard error 0.01")
    error = (x[:, 1] - asked["wanted"]).abs().mean().item()
    yield at_most("mean |property - number asked for|", 0.15, error, "real rows: 0.08; ignoring it: 0.67")


@check(
    "dcgan",
    seconds=0.2,
    broken_by=[
        Mutation(
            "no batch norm", "sozai.generators.networks.convolutional:normaliser", lambda *arguments: nn.Identity()
        ),
        Mutation(
            "weights start as torch's", "sozai.generators.networks.convolutional:initialise", lambda network: None
        ),
        Mutation(
            "the generator has no tanh",
            "sozai.generators.codec:ImageCodec.activate",
            lambda self, raw, temperature=0.2: raw,
        ),
    ],
)
def the_layers_are_the_papers() -> Iterator[Finding]:
    """Layer by layer the two networks of the paper's section 3, for 64 x 64 images, and its optimizer."""
    core = _recipe("dcgan").build({"x": image(3, 64, 64)}, width=16)
    generator, critic = core.generator.network, core.critic.network
    leaves = {
        name: [part for part in network.modules() if not list(part.children())]
        for name, network in (("generator", generator), ("critic", critic))
    }
    kinds = {name: [type(part).__name__ for part in parts] for name, parts in leaves.items()}
    yield holds(
        "no dense layer and no pooling",
        not any("Linear" in k or "Pool" in k for parts in kinds.values() for k in parts),
    )
    expected = ["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 4 + ["ConvTranspose2d"]
    yield holds("generator: batch norm and ReLU after all but the last layer", kinds["generator"] == expected)
    yield holds("critic: strided convolutions alone", kinds["critic"].count("Conv2d") == 5)
    yield holds("critic: batch norm but at the first layer", kinds["critic"].count("BatchNorm2d") == 3)
    slopes = [part.negative_slope for part in leaves["critic"] if isinstance(part, nn.LeakyReLU)]
    yield holds("critic: LeakyReLU 0.2", slopes == [0.2])
    strides = [part.stride for part in leaves["generator"] if isinstance(part, nn.ConvTranspose2d)]
    yield holds("generator: 4 x 4 maps doubled four times", strides[1:] == [(2, 2)] * 4)
    weights = torch.cat([part.weight.flatten() for part in leaves["generator"] if isinstance(part, nn.ConvTranspose2d)])
    yield near("spread of the first weights", 0.02, weights.std().item(), 0.0005, "400,000 normal numbers")
    core.generator.network.layers[-1].weight.data.mul_(1000)
    largest = core.generate(8, {}).abs().max().item()
    yield at_most("largest pixel, tanh", 1.0, largest)
    player = core.players[1]
    yield holds("Adam(2e-4, 0.5)", (player.optimizer, player.rate, player.betas[0]) == ("adam", 2e-4, 0.5))


@check(
    "wgan",
    seconds=4,
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
        core = _recipe("wgan").build({"x": number(1)}, width=32, layers=2)
        core = _against(core, lambda count, a=shift, b=scale: a + b * torch.randn(count, 1))
        clip = core.after_step

        def watched(player: str, clip: Any = clip, core: Any = core) -> None:
            nonlocal largest
            clip(player)
            largest = max(largest, *(float(p.detach().abs().max()) for p in core.critic.parameters()))

        core.after_step = watched  # type: ignore[method-assign]
        _learn(core, lambda: {"x": torch.randn(256, 1)}, 40, "critic", rate=2)
        exact.append(float((shift + (scale - 1) * noise).abs().mean()))
        gaps.append(-core.loss({"x": torch.randn(50_000, 1)}, "critic")["loss"].item())
    yield at_most("largest weight after any step", core.strength * (1 + 1e-6), largest, "clipped, so exact")
    ranks = torch.stack([torch.tensor(values).argsort().argsort().float() for values in (exact, gaps)])
    yield at_least("rank correlation with W1", 0.9, torch.corrcoef(ranks)[0, 1].item(), "eight pairs of Gaussians")


@check(
    "wgan-gp",
    seconds=6,
    broken_by=[
        Mutation(
            "slopes are drawn to 0 instead of 1",
            f"{OBJECTIVES}:gradient_penalty",
            lambda critic, real, fake: adversarial.slopes(critic, adversarial.between(real, fake)).square().mean(),
        ),
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
    ],
)
def the_gap_of_shifted_gaussians() -> Iterator[Finding]:
    """For laws shifted by d the best critic is linear with slope 1 + d / (2 lambda), so its gap is d (1 + d / 20)."""
    torch.set_num_threads(1)
    points = adversarial.between(torch.zeros(4000, 3), torch.ones(4000, 3))
    yield near("points lie on lines: spread within a row", 0.0, points.std(1).max().item(), 1e-6)
    yield near("mean place on the line", 0.5, points.mean().item(), 0.03, "4,000 uniform numbers")
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    penalty = adversarial.gradient_penalty(lambda x: x @ weight, torch.randn(8, 2), torch.randn(8, 2))
    yield near("penalty of a linear critic of slope 5", 16.0, penalty.item(), 1e-4, "closed form")
    penalty.backward()
    yield near("its derivative", 4.8, weight.grad[0].item(), 1e-4, "2 (5 - 1) 3 / 5")  # type: ignore[index]
    for shift in (1.0, 3.0):
        core = _recipe("wgan-gp").build({"x": number(4)}, width=32, layers=2)
        offset = torch.tensor([shift, 0, 0, 0])
        core = _against(core, lambda count: torch.randn(count, 4))
        for rate in (6.0, 2.0, 0.4):
            _learn(core, lambda offset=offset: {"x": offset + torch.randn(512, 4)}, 35, "critic", rate=rate)
        fake = torch.randn(20_000, 4)
        with torch.no_grad():
            gap = (core.critic(fake + offset, {}) - core.critic(fake, {})).mean().item()
        slope = adversarial.slopes(core.judge({}), adversarial.between(fake[:2000] + offset, fake[2000:4000])).mean()
        exact = 1 + shift / (2 * core.strength)
        yield near(f"gap at d = {shift:g}", shift * exact, gap, 0.05 * shift * exact, "closed form; short training")
        yield near(f"mean slope on the lines at d = {shift:g}", exact, slope.item(), 0.05, "closed form")


@check(
    "pacgan",
    seconds=3,
    broken_by=[
        Mutation("packs are not seen together", f"{OBJECTIVES}:pack", lambda x, pac: x.repeat(1, pac)[: len(x) // pac]),
        Mutation("a pack holds one row twice", f"{OBJECTIVES}:pack", lambda x, pac: x[::pac].repeat(1, pac)),
    ],
)
def the_critic_judges_packs() -> Iterator[Finding]:
    """Against a fixed generator the packed critic plays the game of the product laws P x P and G x G."""
    x = torch.arange(12.0).reshape(6, 2)
    packed = adversarial.pack(x, 2)
    yield holds("rows 1 and 2 side by side, then 3 and 4, ...", torch.equal(packed[1], torch.cat([x[2], x[3]])))
    logits, exact, value = _two_gaussians(2)
    error = (logits - exact).square().mean().sqrt().item()
    yield at_most("RMSE of the logit of pairs against the sum of both", 0.3, error, "they span 9; short training")
    yield near("value of the game", _divergence(2), value, 0.015, "100,000 pairs: standard error 0.003")
    yield at_least("gain over single rows", 0.08, value - _divergence(1), "the same laws differ more in pairs")


def _domains(count: int) -> tuple[dict[str, Tensor], Tensor]:
    """Three clusters of different weight, and the second domain as a rotation of other rows; with the true partners."""
    centres = torch.tensor([[-2.0, -1.0], [0.5, 1.5], [2.0, -0.5]])
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])

    def draw() -> Tensor:
        kind = torch.multinomial(torch.tensor([0.55, 0.3, 0.15]), count, replacement=True)
        return centres[kind] + torch.tensor([0.5, 0.15]) * torch.randn(count, 2)

    a = draw()
    return {"a": a, "b": draw() @ turn.T + 1}, a @ turn.T + 1


@check(
    "cyclegan",
    seconds=0.1,
    broken_by=[
        Mutation("no cycle", f"{OBJECTIVES}:cycle_loss", lambda x, back: 0 * x.sum()),
        Mutation("the cycle is squared", f"{OBJECTIVES}:cycle_loss", lambda x, back: (back - x).square().mean()),
        Mutation("no pool", f"{CYCLE}:CycleGAN.pooled", lambda self, fake, target: fake),
        Mutation(
            "the pool is never renewed",
            f"{CYCLE}:CycleGAN.pooled",
            make=lambda original: (
                lambda self, fake, target: torch.where(
                    torch.rand(len(fake), 1) < 0.5, original(self, fake, target), self.pools[target, : len(fake)]
                )
            ),
        ),
    ],
)
def the_cycle_and_the_pool() -> Iterator[Finding]:
    """Exact losses of known translators, and which translations the critics are shown."""
    core = _recipe("cyclegan").build({"a": number(2), "b": number(2)}, width=8)
    rows = {"a": torch.randn(16, 2), "b": torch.randn(16, 2)}
    core.generators = nn.ModuleList([_Shift(-1.0 + 0.3), _Shift(1.0)])
    parts = core.loss(rows, "generators")
    yield near("10 E |F G a - a|_1, where back again misses by 0.3", 3.0, parts["cycle b"].item(), 1e-4, "closed form")
    yield near("10 E |G F b - b|_1", 3.0, parts["cycle a"].item(), 1e-4, "closed form")
    score = core.critics[1](rows["a"] + 1)
    expected = (score - 1).square().mean().item()
    yield near("E (D_b(G a) - 1)^2", expected, parts["generator b"].item(), 1e-5, "closed form")
    core.cycle = 0.0
    shown, seen = [], set()
    for turn in range(200):
        fakes = 10.0 * turn + torch.arange(10.0)[:, None].repeat(1, 2)
        out = core.pooled(fakes, 0)[:, 0]
        old = [float(v) for v in out if v < 10 * turn]
        shown.append(len(old))
        seen |= set(old)
    yield near("share of past translations once the pool is full", 0.5, sum(shown) / 1950, 0.05, "1,950 coin tosses")
    yield at_least(
        "different past translations shown", 500, len(seen), "each that is swapped in can be swapped out once"
    )
    yield at_most("past translations shown twice", 0.0, sum(shown) - len(seen), "they leave the pool when shown")


class _Shift(nn.Module):
    """Adds a number."""

    def __init__(self, by: float):
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by


@check(
    "cyclegan",
    seconds=10,
    broken_by=[Mutation("no cycle", f"{OBJECTIVES}:cycle_loss", lambda x, back: 0 * back.sum())],
)
def unpaired_domains_are_aligned() -> Iterator[Finding]:
    """From unpaired rows a rotation is learned: there and back is the start, and partners are found."""
    torch.set_num_threads(1)
    core = _recipe("cyclegan").build({"a": number(2), "b": number(2)}, width=64, layers=2)
    rows, _ = _domains(1000)
    train(core, rows, device="cpu", steps=500, batch_size=64, ema=0.98)
    held_out, partner = _domains(500)
    there = core.sample(500, {"a": held_out["a"]})
    back = core.sample(500, {"b": there["b"]})["a"]
    deviation = held_out["a"].std(0)
    cycle = ((back - held_out["a"]) / deviation).abs().mean().item()
    error, identity = (((x - partner) / partner.std(0)).abs().mean().item() for x in (there["b"], held_out["a"]))
    yield at_most("there and back, L1 in standard deviations", 0.15, cycle, "short training")
    yield at_most(
        "error against the true partner, in that of the identity map",
        0.8,
        error / identity,
        "clusters fall on their images",
    )
