"""VQ-VAE, VQ-VAE-2, NVAE and LSGM on every kind of field, with conditions, saved and refused."""

from __future__ import annotations

import math

import pytest
import torch

from sozai.errors import UserError
from sozai.fields import Field, category, image, number, sequence
from sozai.generators.networks.causal import CausalTransformer, visible
from sozai.generators.networks.maps import grids
from sozai.generators.recipes.vae_latent import RECIPES
from sozai.generators.tensors import rows_of, seeded
from sozai.generators.train import evaluate, train

SMALL = {
    "vq-vae": {"width": 8, "codes": 8, "blocks": 1, "prior_width": 16, "prior_layers": 1},
    "vq-vae-2": {"width": 8, "codes": 8, "blocks": 1, "prior_width": 16, "prior_layers": 1},
    "nvae": {"width": 8, "latent": 2},
    "lsgm": {"width": 16, "layers": 1, "prior_width": 16, "prior_layers": 1, "latent": 4, "steps": 20},
}
KINDS = {
    "numbers": {"x": number(3), "y": number()},
    "mixed": {"x": number(2), "kind": category(3), "angle": Field("periodic", (2,))},
    "rotation": {"turn": Field("rotation", (3, 3))},
    "sequence": {"text": sequence(5, 4)},
    "image": {"image": image(1, 8, 8, levels=17)},
    "plain image": {"image": image(2, 8, 8)},
    "volume": {"image": image(1, 8, 8, 8)},
}
CONDITIONS = {"strength": number(), "phase": category(3)}
NAMES = [recipe.name for recipe in RECIPES]
BUILD = {recipe.name: recipe.build for recipe in RECIPES}


def rows(fields, count=48):
    batch = {}
    for name, field in fields.items():
        if field.discrete:
            batch[name] = torch.randint(field.categories, (count, *field.shape))
        elif field.kind == "rotation":
            batch[name] = torch.linalg.qr(torch.randn(count, 3, 3))[0]
            batch[name] = batch[name] * torch.linalg.det(batch[name])[:, None, None]
        elif field.kind == "periodic":
            batch[name] = torch.rand(count, *field.shape)
        elif field.kind == "image":
            x = 2 * torch.rand(count, *field.shape) - 1
            steps = max(field.levels - 1, 1)
            batch[name] = ((x + 1) / 2 * steps).round() / steps * 2 - 1 if field.levels else x
        else:
            batch[name] = 3 + 2 * torch.randn(count, *field.shape)
    return batch


def legal(sample, fields, count):
    assert set(sample) == set(fields)
    for name, field in fields.items():
        values = sample[name]
        assert values.shape == (count, *field.shape)
        assert torch.isfinite(values.float()).all()
        if field.discrete:
            assert values.dtype == torch.long and values.min() >= 0 and values.max() < field.categories
        if field.kind == "image":
            assert values.abs().max() <= 1
        if field.levels:
            level = (values + 1) / 2 * (field.levels - 1)
            assert torch.allclose(level, level.round(), atol=1e-4)
        if field.kind == "rotation":
            assert torch.allclose(values @ values.mT, torch.eye(3).expand_as(values), atol=1e-4)
        if field.kind == "periodic":
            assert values.min() >= 0 and values.max() < 1


@pytest.fixture(autouse=True)
def _seeded():
    torch.set_num_threads(1)
    with seeded(0):
        yield


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_serves_every_kind_of_field_with_conditions(name, kind):
    fields = KINDS[kind]
    data = rows(fields | CONDITIONS)
    core = BUILD[name](fields, CONDITIONS, **SMALL[name])
    train(core, data, None, steps=2, batch_size=16, device="cpu")
    given = {"strength": torch.full((4,), 3.0), "phase": torch.arange(4) % 3}
    legal(core.sample(4, given), fields, 4)
    legal(core.sample(3), fields, 3)
    if kind != "rotation":
        assert core.log_prob(data).shape == (rows_of(data),)
        assert torch.isfinite(core.log_prob(data)).all()


@pytest.mark.parametrize("name", NAMES)
def test_state_is_all_there_is(name):
    fields = KINDS["mixed"]
    data = rows(fields | CONDITIONS)
    core = BUILD[name](fields, CONDITIONS, **SMALL[name])
    train(core, data, data, steps=3, batch_size=16, device="cpu")
    again = BUILD[name](fields, CONDITIONS, **SMALL[name])
    again.load_state_dict(core.state_dict(), strict=True)
    again.eval()
    with seeded(1):
        first = core.sample(5)
    with seeded(1):
        second = again.sample(5)
    for field in fields:
        assert torch.equal(first[field], second[field])
    assert evaluate(core, data)["loss"] == pytest.approx(evaluate(again, data)["loss"])
    assert core.held_out_loss(data)["loss"] == core.held_out_loss(data)["loss"]


@pytest.mark.parametrize("name", NAMES)
def test_conditions_steer(name):
    """Two clusters told apart by a category: rows asked for lie in the right one."""
    side = torch.randint(2, (400,))
    data = {"x": torch.randn(400, 2) * 0.2 + 4.0 * side[:, None] - 2, "side": side}
    core = BUILD[name]({"x": number(2)}, {"side": category(2)}, **SMALL[name] | {"drop_conditions": 0.0})
    train(core, data, None, steps=90, batch_size=32, ema=0.9, device="cpu")
    asked = torch.arange(100) % 2
    found = core.sample(100, {"side": asked})["x"].mean(1) > 0
    assert (found == asked.bool()).float().mean() > 0.9


def test_the_judge_picks_by_condition():
    data = rows(KINDS["numbers"] | CONDITIONS)
    core = BUILD["vq-vae-2"](KINDS["numbers"], CONDITIONS, **SMALL["vq-vae-2"])
    train(core, data, None, steps=2, batch_size=16, device="cpu")
    core.judge.score = lambda x, given: x[:, 0]  # it prefers large first columns
    given = {"strength": torch.zeros(200), "phase": torch.zeros(200, dtype=torch.long)}
    plain = core.sample(200, given)["x"][:, 0].mean()
    assert core.sample(200, given, keep=0.2)["x"][:, 0].mean() > plain + 0.05 * core.codec.scale[0]
    with pytest.raises(UserError, match="all conditions"):
        core.sample(3, {"phase": torch.zeros(3, dtype=torch.long)}, keep=0.5)
    with pytest.raises(UserError, match="no judge"):
        BUILD["vq-vae-2"](KINDS["numbers"], **SMALL["vq-vae-2"]).sample(3, keep=0.5)


def test_codes_are_whole_and_a_level_can_be_left_out():
    data = rows(KINDS["image"])
    core = BUILD["vq-vae-2"](KINDS["image"], **SMALL["vq-vae-2"])
    train(core, data, None, steps=2, batch_size=16, device="cpu")
    codes = core.codes(core.encode(data), {})
    assert [tuple(level.shape) for level in codes] == [(48, 4, 4), (48, 2, 2)]
    assert core.bits == 20 * math.log2(8)
    legal(core.reconstruct(data), KINDS["image"], 48)
    assert not torch.equal(core.reconstruct(data)["image"], core.reconstruct(data, without=[1])["image"])


def test_causal_network_draws_what_it_scores():
    """Drawing place by place with kept keys gives the distributions that scoring gives, for context and window too."""
    net = CausalTransformer((2, 3), 4, width=16, heads=2, window=1).double().eval()
    condition, context = torch.randn(5000, 16).double()[:1].expand(5000, -1), torch.randn(1, 6, 16).double()
    with seeded(3):
        drawn = net.sample(5000, condition, context.expand(5000, -1, -1))
    with torch.no_grad():
        expected = net(drawn, condition=condition, context=context.expand(5000, -1, -1)).softmax(-1).mean(0)
    share = torch.stack([torch.bincount(column, minlength=4) for column in drawn.reshape(5000, -1).T]) / 5000
    assert (share - expected).abs().max() < 0.03
    assert torch.equal(visible((4,), 0), torch.ones(4, 4, dtype=torch.bool).tril())
    assert visible((1, 6), 1)[5].tolist() == [True, False, False, False, False, True]


def test_grids_follow_the_size():
    assert grids((1, 8, 8), 2, 8) == [(4, 4), (2, 2)]
    assert grids((1, 64, 64), 1, 8) == [(16, 16)]
    assert grids((1, 32, 32, 32), 2, 8) == [(8, 8, 8), (4, 4, 4)]
    assert grids((9,), 2, 8) == [(8,), (4,)]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("vq-vae", {"codes": 1}),
        ("vq-vae", {"decay": 1.0}),
        ("vq-vae", {"levels": 0}),
        ("vq-vae", {"commitment": 0.0}),
        ("vq-vae", {"judge": True}),
        ("vq-vae", {"prior_width": 30}),
        ("vq-vae-2", {"tokens": 3}),
        ("nvae", {"groups": 0}),
        ("nvae", {"scales": 3}),
        ("nvae", {"smoothness": -1.0}),
        ("lsgm", {"weighting": "none"}),
        ("lsgm", {"noise_schedule": "straight"}),
        ("lsgm", {"sampler": "none"}),
        ("lsgm", {"latent": 0}),
    ],
)
def test_bad_settings_are_refused(name, settings):
    with pytest.raises(UserError):
        BUILD[name]({"x": number(2)}, **settings)


def test_images_that_cannot_be_halved_are_refused():
    for name in ("vq-vae", "nvae"):
        with pytest.raises(UserError, match="halved"):
            BUILD[name]({"image": image(1, 9, 9)})
    with pytest.raises(UserError):
        BUILD["vq-vae"]({"x": number(2)}).sample(2, temperature=0.0)


def test_lsgm_with_two_players_and_other_samplers():
    data = rows(KINDS["numbers"])
    for sampler in ("ancestral", "heun"):
        core = BUILD["lsgm"](KINDS["numbers"], weighting="uniform", sampler=sampler, **SMALL["lsgm"])
        train(core, data, data, steps=3, batch_size=16, device="cpu")
        legal(core.sample(4, steps=7), KINDS["numbers"], 4)
