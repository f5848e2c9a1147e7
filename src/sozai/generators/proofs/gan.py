"""Proofs of the generative adversarial networks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from sozai.fields import category, image, number
from sozai.generators.objectives import adversarial
from sozai.generators.proofs import cyclegan, wgan  # noqa: F401  registers their checks
from sozai.generators.proofs.games import FAMILY, OBJECTIVES, against, build
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, holds, near
from sozai.generators.proofs.training import learn
from sozai.generators.train import train


def _two_gaussians(pac: int) -> tuple[Tensor, Tensor, float]:
    """A critic trained on N(0, 1) against N(1, 1.5^2), seen ``pac`` rows at a time: its logits and the exact ones on a
    grid, and the value of its game."""
    torch.set_num_threads(1)
    real, fake = torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(1.0, 1.5)
    core = build("pacgan" if pac > 1 else "gan", {"x": number(1)}, lipschitz="none", width=32, layers=2)
    core = against(core, lambda count: fake.sample((count, 1)))
    for rate in (3.0, 1.0, 0.1):
        learn(core, lambda: {"x": real.sample((2048, 1))}, 150, "critic", scale=rate)
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
    core = build("gan", {"x": number(2)}, width=16)
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
    loss = torch.stack([adversarial.generator_loss(s, "non-saturating") for s in score]).sum()
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
    seconds=2.5,
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
    core = build("cgan", {"x": number(2)}, conditions, width=64, layers=2)
    train(core, _labelled(1500), device="cpu", steps=250, batch_size=128, ema=0.99)
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
    core = build("dcgan", {"x": image(3, 64, 64)}, width=16)
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
    "pacgan",
    seconds=1,
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


@check(
    "gan",
    "pacgan",
    seconds=20,
    broken_by=[
        Mutation(
            "the generator climbs the wrong way",
            f"{OBJECTIVES}:generator_loss",
            lambda fake, objective: softplus(fake).mean(),
        )
    ],
)
def no_mode_of_the_ring_is_lost() -> Iterator[Finding]:
    """Eight narrow Gaussians on a ring (sd a hundredth of its radius), found with the recipes' own settings."""
    angle = torch.arange(8) * math.pi / 4
    centres = torch.stack([angle.cos(), angle.sin()], 1)

    def draw(count: int) -> dict[str, Tensor]:
        return {"x": centres[torch.randint(8, (count,))] + 0.01 * torch.randn(count, 2)}

    for name in ("gan", "pacgan"):
        core = build(name, {"x": number(2)})
        train(core, draw(2000), draw(500), device="cpu", steps=1500, batch_size=256, ema=0.995)
        distance, nearest = torch.cdist(core.sample(2500)["x"], centres).min(1)
        good = distance < 0.03
        yield near(f"{name}: modes found", 8, len(nearest[good].unique()), 0)
        yield at_least(f"{name}: share within 3 sd of one", 0.3, good.float().mean().item(), "half of the budget")


@check(
    "dcgan",
    seconds=20,
    broken_by=[
        Mutation("no tanh", "sozai.generators.codec:ImageCodec.activate", lambda self, raw, temperature=0.2: raw)
    ],
)
def digits_are_drawn() -> Iterator[Finding]:
    """On the 8 x 8 digits: a two-sample distance on fixed features, and smooth ways from one sample to another."""
    from sklearn.datasets import load_digits

    digits = torch.tensor(load_digits().images).float()[:, None] / 8 - 1
    digits = digits[torch.randperm(len(digits))]
    fitted, held_out, test = digits[:1200], digits[1200:1450], digits[1450:]
    core = build("dcgan", {"x": image(1, 8, 8, levels=17)})
    train(core, {"x": fitted}, {"x": held_out}, device="cpu", steps=700, batch_size=128, ema=0.99)
    flat = fitted.flatten(1)
    _, spread, axes = torch.pca_lowrank(flat, 20)

    def features(x: Tensor) -> Tensor:
        return (x.flatten(1) - flat.mean(0)) @ axes / spread * len(flat) ** 0.5

    got = adversarial.energy_distance(features(core.sample(1000)["x"]), features(test)).item()
    yield at_most("energy distance on 20 principal components", 0.1, got, "noise alone: about 1")
    core.eval()
    ends = torch.randn(2, 16, core.noise_width)
    way = [torch.lerp(ends[0], ends[1], share) for share in torch.linspace(0, 1, 21)]
    with torch.no_grad():
        images = torch.stack([core.activate(core.generator(noise, {})) for noise in way]).flatten(2)
    yield at_most("largest value before it is rounded to a grey level", 1.0, images.abs().max().item(), "tanh")
    steps = (images[1:] - images[:-1]).norm(dim=2)
    yield at_most(
        "largest of 20 steps, in the whole way", 0.35, (steps.amax(0) / steps.sum(0)).max().item(), "even: 0.05"
    )
