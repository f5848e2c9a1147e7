"""Proofs of the VAEs whose decoder is special: the lossy one and the ladder."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sozai.fields import Field, category, image, number, sequence
from sozai.generators.families.ladder import LadderVAE
from sozai.generators.families.lossy import LossyVAE
from sozai.generators.objectives import elbo
from sozai.generators.proofs.proof import Finding, Mutation, at_least, at_most, check, holds, near
from sozai.generators.proofs.vae_disentangled import descend
from sozai.generators.tensors import take
from sozai.generators.train import train

FAMILIES = "sozai.generators.families"


def seen(core: Any, features: Tensor, x: Tensor) -> Tensor:
    """Which column or pixel of x each one's prediction depends on: (places, places) true or false."""
    columns = x[0].numel()
    jacobian = torch.autograd.functional.jacobian(partial(core.head, features), x)
    return jacobian.reshape(-1, columns, columns).abs().sum(0) > 0


def all_at_once(self, features, channels, draw):
    """A sampler that forgets to feed back."""
    return draw(self(features, features.new_zeros(len(features), channels)))


@check(
    "vlae",
    seconds=0.4,
    broken_by=[
        Mutation("the window includes its centre", "sozai.generators.networks.local:causal_box",
                 make=lambda real: lambda side, dimensions: 1 - real(side, dimensions).flip(*range(dimensions))),
        Mutation("the decoder sees no pixel", "sozai.generators.networks.local:LocalConv.act",
                 make=lambda real: lambda self, features, padded: real(self, features, 0 * padded)),
        Mutation("draws are not fed back", "sozai.generators.networks.local:LocalLinear.sample", all_at_once),
        Mutation("the prior's density is the normal's", f"{FAMILIES}.lossy:LossyVAE.prior_log_prob",
                 lambda self, z: elbo.gaussian_log_prob(z).sum(1)),
    ],
)  # fmt: skip
def window_is_causal() -> Iterator[Finding]:
    """The decoder sees exactly its causal window; its draws follow its likelihood, the prior's its density."""
    fields = {"a": number(3), "c": category(3), "p": Field("periodic", (1,)), "s": sequence(2, 2)}
    core: Any = LossyVAE(fields, window=2, features=4)
    places = torch.tensor(core.places())
    back = places[:, None] - places
    expected = (back >= 1) & (back <= 2)
    x = torch.randn(1, len(places))
    got = seen(core, torch.randn(1, 4 * (int(places.max()) + 1)), x)
    yield holds("columns: numbers, a category, an angle, tokens", bool(torch.equal(got, expected)), f"{int(got.sum())}")
    for sides in ((5, 4), (3, 4, 3)):
        core = LossyVAE({"i": image(1, *(4 * (side // 3 + 1) for side in sides))}, window=1, features=4)
        grid = torch.cartesian_prod(*(torch.arange(side) for side in sides))
        step = grid - grid[:, None]
        order = torch.arange(len(grid))
        expected = (step.abs().amax(-1) <= 1) & (order < order[:, None])
        got = seen(core, torch.randn(1, 4, *sides), torch.randn(1, 1, *sides))
        yield holds(
            f"pixels of {sides}", bool(torch.equal(got, expected)), f"{int(got.sum())} of {int(expected.sum())}"
        )

    core = LossyVAE({"s": sequence(3, 2)}, window=1, features=8, latent=2).eval()
    every = torch.tensor(list(itertools.product((0, 1), repeat=3)))
    with torch.no_grad():
        core.head.weight.mul_(6)
        z = torch.randn(1, 2)
        shares = core.reconstruct(z.expand(8, 2), core.encode({"s": every}), None).exp()
        drawn = core.decode(z.expand(20_000, 2), noise=True)["s"] @ torch.tensor([4, 2, 1])
        frequencies = torch.bincount(drawn, minlength=8) / len(drawn)
        yield near("sum of p(x|z) over all sequences", 1.0, float(shares.sum()), 1e-5, "float32")
        yield near(
            "frequency of draws against p(x|z)", 0, float((shares - frequencies).abs().max()), 0.02, "20,000 draws"
        )
        for parameter in core.prior.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        line = torch.linspace(-12, 12, 401)
        grid = torch.cartesian_prod(line, line)
        density = core.prior_log_prob(grid).exp() * 0.06**2
        drawn = core.prior_sample(20_000)
        moved = float((density[:, None] * grid).sum(0).sub(drawn.mean(0)).abs().max())
        yield near("mass of the flow prior", 1.0, float(density.sum()), 0.02, "a sum over a grid of 0.06")
        yield near("mean of its draws against its density", 0.0, moved, 0.06, "20,000 draws")


@check(
    "vlae",
    seconds=2.2,
    broken_by=[
        Mutation("the window is always wide", "sozai.generators.networks.local:LocalLinear.__init__",
                 make=lambda real: lambda self, *given: real(self, *given[:3], 9)),
    ],
)  # fmt: skip
def bits_in_z_rise_as_the_window_shrinks() -> Iterator[Finding]:
    """Of sequences that repeat after two tokens, a window of two tells all but the first two, one of one nothing."""
    start = torch.randint(4, (1000, 2))
    tokens = start.repeat(1, 4)
    rates = {}
    for window in (2, 1):
        core = LossyVAE({"s": sequence(8, 4)}, window=window, latent=4, width=24, layers=1, features=16)
        descend(core.eval(), {"s": tokens}, 160, 0.015, rows=200)
        with torch.no_grad():
            rates[window] = float(core.loss({"s": tokens})["rate"])
    yield at_most("nats in z, window 2", 0.3, rates[2], "free bits are taken from the window, not from z")
    most = 2 * math.log(4)
    yield at_least("nats in z, window 1", 0.8 * most, rates[1], f"all of the {most:.2f} nats must come from z")


def shallow_first(real):
    """The decoder's levels the other way round."""
    return lambda self, z, condition=None: real(self, torch.cat(z.split(self.latent, 1)[::-1], 1), condition)


def all_deep(real):
    """The shallow latent enters with the next deeper one."""

    def path(self, z, condition=None):
        shallow = z[:, : self.latent]
        return real(
            self, torch.cat([0 * shallow, z[:, self.latent : 2 * self.latent] + shallow, z[:, 2 * self.latent :]], 1)
        )

    return path


@check(
    "vlae-ladder",
    seconds=0.2,
    broken_by=[
        Mutation("latents enter the other way round", f"{FAMILIES}.ladder:LadderDecoder.path", make=shallow_first),
        Mutation("all latents enter at the deep end", f"{FAMILIES}.ladder:LadderDecoder.path",
                 make=all_deep),
    ],
)  # fmt: skip
def ladder_separates_depths() -> Iterator[Finding]:
    """t_l hears of z_l and deeper alone, and q(z_l|x) has passed no deeper stage."""
    core: Any = LadderVAE({"i": image(1, 8, 8)}, levels=3, latent=2, width=8)
    z = torch.randn(1, 6)
    for level in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda z, level=level: core.decoder.path(z)[level], z)
        heard = jacobian.flatten(0, -2).abs().sum(0).reshape(3, 2).sum(1) > 0
        yield holds(
            f"t_{level + 1} hears of", heard.tolist() == [each >= level for each in range(3)], f"{heard.tolist()}"
        )
    x = torch.randn(1, 1, 8, 8, requires_grad=True)
    core.encoder(x)[0, :2].sum().backward()
    deeper = [part.grad is not None and bool(part.grad.any()) for part in core.encoder.stages[1].parameters()]
    yield holds("q(z_1|x) does not pass deeper stages", not any(deeper), f"{deeper}")


@check(
    "vlae-ladder",
    seconds=1.8,
    broken_by=[Mutation("all latents enter at the deep end", f"{FAMILIES}.ladder:LadderDecoder.path", make=all_deep)],
)
def ladder_separates_scales() -> Iterator[Finding]:
    """Trained on places and texture, the shallow latent moves the fine texture, the deep one the place."""
    rows, side = 500, 8
    line = (torch.arange(side) + 0.5) / side
    place, strength = torch.rand(2, rows, 1, 1)
    distance = (line[None, None] - 0.2 - 0.6 * place) ** 2 + (line[None, :, None] - 0.5) ** 2
    checks = torch.tensor([1.0, -1.0]).repeat(side // 2)
    texture = 0.4 * (2 * strength - 1) * torch.outer(checks, checks)
    pictures = (1.2 * torch.exp(-30 * distance) - 0.6 + texture)[:, None]
    core = LadderVAE({"i": image(1, side, side)}, levels=2, latent=1, width=8, scale="shared", warm_up=50)
    train(core, {"i": pictures}, steps=150, batch_size=64, ema=0.95, device="cpu")
    energy = {}
    for name, dimension in {"shallow": 0, "deep": 1}.items():
        made = core.traverse(take({"i": pictures}, slice(50)), dimension, [-1.0, 1.0])["i"].reshape(50, 2, side, side)
        change = made[:, 1] - made[:, 0]
        fine = (change * texture[0].sign()).mean((1, 2)) ** 2 * side**2
        energy[name] = float((fine / change.square().sum((1, 2)).clamp_min(1e-9)).mean())
    yield at_least("fine texture's share of what the shallow latent moves", 0.6, energy["shallow"])
    yield at_most("fine texture's share of what the deep latent moves", 0.2, energy["deep"])
