"""Proofs of the VAE, beta-VAE and VAE-GAN; importing it registers those of the other VAEs too."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch.distributions import Categorical, Normal, kl_divergence
from torch.nn import functional as F

from sozai.fields import number
from sozai.generators.families.vae_gan import VAEGAN
from sozai.generators.families.variational import Variational
from sozai.generators.objectives import elbo
from sozai.generators.proofs import vae_decoders as vae_decoders
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, holds, near
from sozai.generators.proofs.vae_disentangled import descend, exactly
from sozai.generators.recipes.vae import RECIPES
from sozai.generators.tensors import Batch, seeded
from sozai.generators.train import train

FAMILIES = "sozai.generators.families"
ELBO = "sozai.generators.objectives.elbo"
BUILD = {recipe.name: recipe.build for recipe in RECIPES}


@check(
    "vae",
    seconds=1,
    broken_by=[
        Mutation("the rate is left out", f"{FAMILIES}.variational:Variational.regulariser",
                 make=lambda real: lambda self, posterior, z, rate: (0 * rate.mean(), {})),
        Mutation("the latent is drawn without noise", f"{ELBO}:reparameterise", lambda mean, log_scale: mean),
        Mutation("the volume of the codec has the wrong sign", f"{FAMILIES}.observation:Observation.log_volume",
                 make=lambda real: lambda self: -real(self)),
    ],
)  # fmt: skip
def linear_vae_is_probabilistic_pca() -> Iterator[Finding]:
    """An affine VAE reaches the closed-form likelihood of probabilistic PCA, and its bound is tight there."""
    angle = torch.arange(6) * math.pi / 3
    loading = math.sqrt(0.7) * torch.stack([angle.cos(), angle.sin()], 1)
    units = torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0, 1.0])
    values = exactly(2000, loading @ loading.T + 0.3 * torch.eye(6)) * units + 5
    core: Any = BUILD["vae"]({"x": number(6)}, None, latent=2, layers=0, scale="shared", warm_up=0)
    batch = {"x": values}
    core.prepare(batch)
    for rate in (0.04, 0.01):
        descend(core, batch, 250, rate)
    log_determinant = 2 * math.log(2.4) + 4 * math.log(0.3)  # eigenvalues 3 * 0.7 + 0.3 twice, else the noise
    exact = -0.5 * (6 * elbo.LOG_TAU + log_determinant + 6) - float(units.log().sum())
    why = "the optimum of Tipping and Bishop 1999, eq. 3.2; 0.05 nat for noise of gradients and draws"
    yield near("ELBO of the fitted affine VAE", exact, float(core.log_prob(batch, 1).mean()), 0.05, why)
    yield near("importance-weighted bound", exact, float(core.log_prob(batch, 16).mean()), 0.05, why)


@check(
    "vae",
    seconds=0.3,
    broken_by=[
        Mutation("the KL lacks its log-ratio", f"{ELBO}:gaussian_kl",
                 make=lambda real: lambda m, s, pm=0.0, ps=0.0: real(m, s, pm, ps) + s),
        Mutation("the categorical KL is the entropy", f"{ELBO}:categorical_kl",
                 make=lambda real: lambda logits: math.log(logits.shape[-1]) - real(logits)),
        Mutation("the bound averages logs", f"{ELBO}:importance_bound", lambda weights: weights.mean(0)),
        Mutation("the bound sums weights", f"{ELBO}:importance_bound", lambda weights: weights.logsumexp(0)),
    ],
)  # fmt: skip
def bounds_are_ordered() -> Iterator[Finding]:
    """Analytic KL equals the sampled one; ELBO < IWAE-5 < IWAE-50 <= log p(x), which K = 2,000 reaches."""
    mean, log_scale = torch.tensor([[0.7, -1.2]]), torch.tensor([[-0.5, 0.4]])
    z = elbo.reparameterise(mean.expand(400_000, 2), log_scale.expand(400_000, 2))
    sampled = elbo.gaussian_log_prob(z, mean, log_scale) - elbo.gaussian_log_prob(z, 0.3, 0.2)
    analytic = elbo.gaussian_kl(mean, log_scale, 0.3, 0.2)
    library = kl_divergence(Normal(mean, log_scale.exp()), Normal(0.3, math.exp(0.2)))
    yield near("KL of Gaussians: analytic", float(library.sum()), float(analytic.sum()), 1e-5, "float32")
    yield near("KL of Gaussians: sampled", float(analytic.sum()), float(sampled.sum(1).mean()), 0.02, "400,000 draws")
    logits = torch.tensor([[0.3, -1.0, 2.0]])
    uniform = kl_divergence(Categorical(logits=logits), Categorical(logits=torch.zeros(1, 3)))
    yield near("KL of categories from uniform", float(uniform), float(elbo.categorical_kl(logits)), 1e-6, "float32")

    core: Any = Variational({"x": number(4)}, latent=2, layers=0, scale=0.5)
    x = torch.randn(200, 4)
    weight, bias = core.decoder.map.weight.detach(), core.decoder.map.bias.detach()
    covariance = weight @ weight.T + 0.25 * torch.eye(4)
    exact = torch.distributions.MultivariateNormal(bias, covariance).log_prob(x)
    bounds = {k: float((core.log_prob({"x": x}, k) - exact).mean()) for k in (1, 5, 50, 2000)}
    yield at_least("IWAE-5 over ELBO", 0.1, bounds[5] - bounds[1], "an untrained encoder leaves much to gain")
    yield at_least("IWAE-50 over IWAE-5", 0.02, bounds[50] - bounds[5], "monotone in K")
    yield at_most("IWAE-50 over log p(x)", 0.0, bounds[50], "a bound; the affine decoder's log p(x) is exact")
    yield near("IWAE-2000 over log p(x)", 0.0, bounds[2000], 0.1, "consistent as K grows")


@check(
    "beta-vae",
    seconds=1.3,
    broken_by=[
        Mutation("beta is at 1", f"{FAMILIES}.variational:Variational.regulariser",
                 make=lambda real: lambda self, posterior, z, rate: (rate.mean(), {})),
        Mutation("beta weighs the distortion", f"{FAMILIES}.variational:Variational.regulariser",
                 make=lambda real: lambda self, posterior, z, rate: (rate.mean() / self.beta, {})),
    ],
)  # fmt: skip
def rate_follows_beta() -> Iterator[Finding]:
    """At beta = 1 it is the VAE bit by bit; an affine one's rate at beta is Shannon's by reverse water-filling."""
    pairs = torch.block_diag(torch.tensor([[1.0, 0.9], [0.9, 1.0]]), torch.tensor([[1.0, 0.5], [0.5, 1.0]]))
    values = exactly(1000, pairs)  # eigenvalues 1.9, 0.1, 1.5, 0.5
    fields, batch, losses = {"x": number(4)}, {"x": values}, {}
    for name, settings in {"vae": {}, "beta-vae": {"beta": 1.0}}.items():
        with seeded(1):
            core = BUILD[name](fields, None, **settings)
            losses[name] = float(core.loss(batch)["loss"].detach())
    yield holds("beta-vae at beta 1 is the vae bit by bit", losses["vae"] == losses["beta-vae"], f"{losses}")
    rates, distortions = [], []
    for beta in (1.0, 4.0, 16.0):
        core = BUILD["beta-vae"](fields, None, beta=beta, latent=4, layers=0, scale=0.2, warm_up=0)
        core.prepare(batch)
        descend(core, batch, 300, 0.05)
        parts = core.loss({"x": values.repeat(8, 1)})
        rates.append(float(parts["rate"].detach()))
        distortions.append(float(parts["distortion"].detach()))
        level = 0.04 * beta  # the noise that each direction is left with
        shannon = sum(0.5 * math.log(each / level) for each in (1.9, 0.1, 1.5, 0.5) if each > level)
        why = "R(D) of a Gaussian: sum log(eigenvalue / (beta sigma^2)) / 2 (Cover and Thomas, 10.3.3)"
        yield near(f"rate at beta {beta:g}", shannon, rates[-1], 0.12, why)
    yield holds("rate falls with beta", rates == sorted(rates, reverse=True), f"{rates}")
    yield holds("distortion rises with beta", distortions == sorted(distortions), f"{distortions}")


def gradients(core: Any, batch: Batch, player: str) -> dict[str, Any]:
    """All gradients of each network by a player's loss, flat; None where there is none."""
    with seeded(0):
        core.zero_grad(set_to_none=True)
        core.loss(batch, player)["loss"].backward()
    found: dict[str, Any] = {}
    for name in ("encoder", "decoder", "discriminator"):
        parts = [each.grad.flatten() for each in getattr(core, name).parameters() if each.grad is not None]
        found[name] = torch.cat(parts).clone() if parts and any(part.any() for part in parts) else None
    return found


def with_game(real):
    """The encoder's loss with the discriminator's verdict added."""

    def loss(self, batch, player="encoder"):
        parts = dict(real(self, batch, player))
        if player == "encoder":
            x = self.encode(batch)
            made = self.emit(self.draw(self.posterior(x, None)), None)
            parts["loss"] = parts["loss"] + F.softplus(-self.discriminator(made)).mean()
        return parts

    return loss


@check(
    "vae-gan",
    seconds=0.1,
    broken_by=[
        Mutation("players pass gradients on to the discriminator", f"{FAMILIES}.vae_gan:frozen",
                 lambda module: nullcontext()),
        Mutation("the encoder plays the game too", f"{FAMILIES}.vae_gan:VAEGAN.loss", make=with_game),
        Mutation("the error is measured in the data", f"{FAMILIES}.vae_gan:Discriminator.features",
                 lambda self, x, condition=None: x),
        Mutation("dreamt rows are left out of the game", f"{FAMILIES}.vae_gan:VAEGAN.game",
                 make=lambda real: lambda self, x, made, dreamt, condition: real(self, x, made, made, condition)),
    ],
)  # fmt: skip
def gradients_are_routed() -> Iterator[Finding]:
    """Reconstruction sends nothing to the discriminator, the game nothing to the encoder; each has its own terms."""
    core: Any = VAEGAN({"x": number(3)}, gamma=0.5, width=16, warm_up=0)
    batch = {"x": torch.randn(64, 3)}
    before = {player: gradients(core, batch, player) for player in ("encoder", "decoder", "discriminator")}
    for player, found in before.items():
        others = [name for name, gradient in found.items() if name != player and gradient is not None]
        yield holds(
            f"the {player}'s loss moves the {player} alone", found[player] is not None and not others, f"{others}"
        )
    head = core.discriminator.last[1]
    with torch.no_grad():
        head.weight.mul_(-3)  # another verdict from the same features
    after = {player: gradients(core, batch, player) for player in before}
    same = {player: bool(torch.equal(before[player][player], after[player][player])) for player in before}
    yield holds("the encoder does not feel the verdict", same["encoder"], "", "no gradient of the game")
    yield holds("the decoder and the discriminator do", not same["decoder"] and not same["discriminator"])
    with torch.no_grad():
        core.discriminator.net.layers[0].weight.mul_(2)  # other features of the same data
    moved = gradients(core, batch, "encoder")["encoder"]
    yield holds("the encoder's error is one of features", not torch.equal(moved, after["encoder"]["encoder"]))
    with seeded(0), torch.no_grad():
        parts = core.loss(batch, "encoder")
        yield near("its loss is KL + features", float(parts["rate"] + parts["features"]), float(parts["loss"]), 1e-5)
    x, made, dreamt = torch.randn(3, 50, 3)
    with torch.no_grad():
        verdict = core.discriminator
        game = -(F.logsigmoid(verdict(x)) + F.logsigmoid(-verdict(made)) + F.logsigmoid(-verdict(dreamt))).mean()
        yield near("L_GAN: real, made and dreamt rows", float(game), float(core.game(x, made, dreamt, None)), 1e-5)


@check(
    "vae-gan",
    seconds=2,
    broken_by=[
        Mutation("the decoder plays for the other side", f"{FAMILIES}.vae_gan:VAEGAN.loss",
                 make=lambda real: lambda self, batch, player="encoder": {
                     name: -value if player == "decoder" else value
                     for name, value in real(self, batch, player).items()}),
    ],
)  # fmt: skip
def vae_gan_learns() -> Iterator[Finding]:
    """Samples come near to a ring of eight Gaussians."""
    angle = torch.randint(8, (1000,)) * math.pi / 4
    ring = torch.stack([angle.cos(), angle.sin()], 1) * 4 + 0.3 * torch.randn(1000, 2)
    core = BUILD["vae-gan"]({"x": number(2)}, None, latent=2, width=32, warm_up=100)
    before = float(core.held_out_loss({"x": ring})["loss"])
    train(core, {"x": ring}, steps=150, ema=0.98, device="cpu")
    after = float(core.held_out_loss({"x": ring})["loss"])
    yield at_most("energy distance to the data, over the untrained one", 0.15, after / before, "short training")
