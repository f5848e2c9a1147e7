"""Variational autoencoders: every field kind, conditions, saved state, latents to look at, refusals, no collapse."""

import math

import pytest
import torch

from sozai.errors import UserError
from sozai.fields import Field, category, image, number, sequence
from sozai.generators.families.observation import discretised_logistic, draw_von_mises, von_mises
from sozai.generators.proofs.sprites import COUNTS, sprites
from sozai.generators.recipes.vae import RECIPES
from sozai.generators.tensors import as_batch, seeded, take
from sozai.generators.train import train

BUILD = {recipe.name: recipe.build for recipe in RECIPES}
ROWS = 12
MIXED = {"x": number(2), "c": category(4), "s": sequence(3, 5), "p": Field("periodic", (2,))}
KINDS = {
    "mixed": MIXED,
    "image with levels": {"i": image(1, 8, 8, levels=17)},
    "image": {"i": image(2, 8, 12)},
    "volume": {"i": image(1, 8, 8, 8)},
    "rotation": {"r": Field("rotation", (3, 3))},
    "an image in a table": {"x": number(), "i": image(1, 2, 2)},
}
CONDITIONS = {"y": number(), "k": category(3)}


def batch_of(fields):
    batch = {}
    for name, field in fields.items():
        shape = (ROWS, *field.shape)
        if field.discrete:
            batch[name] = torch.randint(field.categories, shape)
        elif field.kind == "rotation":
            batch[name] = torch.linalg.qr(torch.randn(shape))[0]
            batch[name][:, :, 0] *= torch.linalg.det(batch[name])[:, None]
        elif field.levels:
            batch[name] = torch.randint(field.levels, shape) / (field.levels - 1) * 2 - 1
        else:
            batch[name] = torch.rand(shape) * 2 - 1 if field.kind == "image" else torch.rand(shape)
    return batch


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BUILD)
def test_serves_every_kind_with_conditions_and_reloads(name, kind):
    fields = KINDS[kind]
    with seeded(0):
        core = BUILD[name](fields, CONDITIONS, width=8)
        data = batch_of(fields) | batch_of(CONDITIONS)
        core.prepare(data)
        for player in core.players:
            core.loss(data, player.name)["loss"].backward()
            touched = [each.grad for each in core.parameters_of(player.name) if each.grad is not None]
            assert touched and all(torch.isfinite(each).all() for each in touched)
            core.zero_grad()
        core.eval()
        assert torch.isfinite(core.held_out_loss(data)["loss"])
    again = BUILD[name](fields, CONDITIONS, width=8).eval()
    again.load_state_dict(core.state_dict(), strict=True)
    given = {"k": torch.tensor([0, 1, 2, -1, 0])}  # "y" is left out, and once "k" too
    with seeded(1):
        drawn = core.sample(5, given)
    with seeded(1):
        same = again.sample(5, given)
    as_batch(drawn, fields)
    for field in fields:
        assert torch.equal(drawn[field], same[field])
        if kind == "image with levels":
            steps = (drawn[field] + 1) / 2 * (fields[field].levels - 1)
            assert torch.allclose(steps, steps.round(), atol=1e-4)
    if core.likelihood == "bound" and kind != "rotation":
        assert torch.isfinite(core.log_prob(data, 2)).all()
    else:
        with pytest.raises((UserError, NotImplementedError)):
            core.log_prob(data)


def test_conditions_matter():
    labels = torch.arange(600) % 3
    data = {"x": labels.float()[:, None] * 4 + torch.randn(600, 1) * 0.3, "k": labels}
    core = BUILD["vae"]({"x": number(1)}, {"k": category(3)}, latent=1, width=16)
    train(core, data, steps=400, ema=0.95, device="cpu")
    with seeded(0):
        means = core.sample(300, {"k": labels[:300]})["x"].reshape(-1, 3).mean(0)
    assert torch.allclose(means, torch.tensor([0.0, 4.0, 8.0]), atol=0.6)


def test_defaults_keep_the_latents_alive():
    with seeded(0):
        angle = torch.rand(800) * 2 * math.pi
        data = {"x": torch.stack([angle.cos(), angle.sin(), (2 * angle).cos()], 1) + 0.05 * torch.randn(800, 3)}
    core = BUILD["vae"]({"x": number(3)}, None, width=32)
    train(core, take(data, slice(700)), take(data, slice(700, 800)), steps=400, ema=0.97, device="cpu")
    held_out = core.held_out_loss(take(data, slice(700, 800)))
    assert held_out["rate"] > 2  # a circle against noise of 0.05 is about 3 nats
    z = core.embed(data)
    assert (z.var(0) > 0.3).sum() >= 2


def test_latents_can_be_looked_at():
    core = BUILD["joint-vae"](MIXED, CONDITIONS, latent=3, width=8, categories=[4, 2]).eval()
    data = batch_of(MIXED) | batch_of(CONDITIONS)
    core.prepare(data)
    z = core.embed(data)
    assert z.shape == (ROWS, 3 + 4 + 2)
    assert torch.allclose(z[:, 3:7].sum(1), torch.ones(ROWS), atol=1e-5)
    decoded = core.decode(z, data)
    walk = core.traverse(data, 1, [-1.0, float(z[0, 1]), 1.0])
    assert walk["x"].shape == (ROWS * 3, 2)
    assert torch.allclose(walk["x"][1], decoded["x"][0], atol=1e-5)
    ladder = BUILD["vlae-ladder"]({"x": number(2)}, None, levels=2, latent=3)
    assert (ladder.level(1), ladder.level(2)) == (slice(0, 3), slice(3, 6))
    assert ladder.embed({"x": torch.randn(5, 2)}).shape == (5, 6)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("vae", {"latent": 0}),
        ("vae", {"beta": -1.0}),
        ("vae", {"scale": "loud"}),
        ("vae", {"scale": 0}),
        ("vae", {"layers": -1}),
        ("beta-tcvae", {"sampling": "none"}),
        ("factor-vae", {"gamma": -1.0}),
        ("joint-vae", {"categories": [1]}),
        ("joint-vae", {"temperature": 0}),
        ("vae-gan", {"gamma": -0.1}),
        ("vlae", {"window": -1}),
        ("vlae-ladder", {"levels": 0}),
    ],
)
def test_refuses(name, settings):
    with pytest.raises(UserError):
        BUILD[name]({"x": number(2)}, None, **settings)


def test_sites_are_refused():
    with pytest.raises(UserError):
        BUILD["vae"]({"x": Field("continuous", (3,), sites=True)})


def test_distributions_are_normalised():
    levels = torch.linspace(-1, 1, 17)
    for mean, log_scale in ((0.3, -2.0), (-5.0, 0.5), (0.99, -7.0)):
        mass = discretised_logistic(levels, torch.tensor(mean), torch.tensor(log_scale), 17).exp()
        assert float(mass.sum()) == pytest.approx(1, abs=1e-4)
    angle = torch.linspace(0, 2 * math.pi, 1001)[:-1, None]
    natural = torch.tensor([[3.0, -2.0]]).expand(1000, 2)
    circle = torch.cat([angle.cos(), angle.sin()], 1)
    density = von_mises(circle, natural).exp()
    assert float(density.mean() * 2 * math.pi) == pytest.approx(1, abs=1e-4)
    with seeded(0):
        drawn = draw_von_mises(natural.repeat(10, 1))
    expected = (density * circle).mean(0) * 2 * math.pi
    assert torch.allclose(drawn.mean(0), expected, atol=0.02)


def test_sprites_show_their_causes():
    pictures, factors = sprites()
    assert pictures.shape == (math.prod(COUNTS), 1, 16, 16)
    assert float(pictures.min()) >= -1 and float(pictures.max()) <= 1
    grey = (pictures[:, 0] + 1) / 2
    line = torch.arange(16.0)
    x = (grey.sum(1) * line).sum(1) / grey.sum((1, 2))
    y = (grey.sum(2) * line).sum(1) / grey.sum((1, 2))
    assert torch.corrcoef(torch.stack([x, factors[:, 3].float()]))[0, 1] > 0.97
    assert torch.corrcoef(torch.stack([y, factors[:, 4].float()]))[0, 1] > 0.97
    area = grey.sum((1, 2))
    assert torch.corrcoef(torch.stack([area, factors[:, 1].float()]))[0, 1] > 0.7
    assert len(torch.unique(pictures.flatten(1), dim=0)) == len(pictures)
