"""Diffusion over typed fields: every kind in and out, conditions, sets of varying size, saving, bad settings."""

import copy

import pytest
import torch
from test_codec import draw

from sozai.errors import UserError
from sozai.fields import MASK, Field, category, image, number, sequence
from sozai.generators.families.field_diffusion import MOST_SITES, FieldDiffusion
from sozai.generators.networks.fieldnet import FieldNet, Slot
from sozai.generators.processes import corruption, discrete, rotation, wrapped
from sozai.generators.recipes.fields import RECIPES
from sozai.generators.tensors import as_batch, rows_of, seeded

BY_NAME = {recipe.name: recipe for recipe in RECIPES}
SMALL = {"width": 16, "layers": 1, "heads": 2, "diffusion_steps": 6}
SETS = {
    "row": {"a": number(), "b": number(3), "c": category(4), "d": category(2, 2)},
    "picture": {"i": image(1, 8, 8, levels=17)},
    "volume": {"i": image(2, 4, 4, 4)},
    "word": {"w": sequence(7, 5)},
    "angles": {"p": Field("periodic", (2,)), "r": Field("rotation", (3, 3)), "x": number()},
    "crystal": {
        "cell": number(6),
        "place": Field("periodic", (3,), sites=True),
        "species": Field("categorical", (), 9, sites=True),
        "frame": Field("rotation", (2, 3, 3), sites=True),
    },
    "all": {
        "a": number(),
        "i": image(1, 4, 4),
        "w": sequence(5, 3),
        "torsion": Field("periodic", (2,), sites=True),
        "species": Field("categorical", (), 3, sites=True),
        "b": number(2),
    },
}
CONDITIONS = {"heat": number(), "phase": category(3)}


def data_of(fields: dict, rows: int = 24, most: int = 5, seed: int = 0) -> dict:
    with seeded(seed):
        batch = {name: draw(field, rows, most * field.sites) for name, field in fields.items()}
        if any(field.sites for field in fields.values()):
            batch[MASK] = torch.arange(most) < torch.randint(1, most + 1, (rows, 1))
            for name, field in fields.items():
                if field.sites:  # padding is zeros
                    batch[name] = batch[name] * batch[MASK].view(rows, most, *[1] * len(field.shape))
        batch |= {name: draw(field, rows) for name, field in CONDITIONS.items()}
    return batch


def core_for(name: str, system: str = "field-diffusion", **settings: object) -> tuple[FieldDiffusion, dict]:
    batch = data_of(SETS[name])
    with seeded(1):
        core = BY_NAME[system].build(SETS[name], CONDITIONS, **{**SMALL, **settings})
    core.prepare(batch)
    return core, batch


@pytest.mark.parametrize("transition", ["absorbing", "uniform", "gaussian"])
@pytest.mark.parametrize("name", list(SETS))
def test_every_field_is_learned_and_sampled(name, transition):
    core, batch = core_for(name, transition=transition, discrete_levels=name == "picture")
    loss = core.loss(batch)
    assert torch.isfinite(loss["loss"]) and len(loss) > 1
    loss["loss"].backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in core.parameters())
    assert sum(p.grad is not None and p.grad.abs().sum() > 0 for p in core.net.parameters()) > 5
    given = {"heat": torch.ones(9), "phase": torch.tensor([-1, 0, 1] * 3)}
    new = core.eval().sample(9, given, guidance=2.0, corrector=1, steps=4)
    assert rows_of(new) == 9 and list(new)[: len(SETS[name])] == list(SETS[name])
    as_batch(new, SETS[name])  # raises on what is illegal
    if MASK in new:
        for key, field in SETS[name].items():
            if field.sites:
                assert not new[key][~new[MASK]].any()


@pytest.mark.parametrize("name", ["row", "crystal"])
def test_saved_weights_give_the_same_samples(name):
    core, batch = core_for(name)
    core.loss(batch)["loss"].backward()
    with torch.no_grad():
        for p in core.parameters():
            p.add_(0.01 * torch.randn_like(p))
    again = FieldDiffusion(SETS[name], CONDITIONS, **SMALL)
    again.load_state_dict(copy.deepcopy(core.state_dict()))
    core.eval(), again.eval()
    with seeded(3):
        first = core.sample(5)
    with seeded(3):
        second = again.sample(5)
    assert all(torch.equal(first[key], second[key]) for key in first)
    with seeded(4):
        assert not torch.equal(core.sample(5)[next(iter(SETS[name]))], first[next(iter(SETS[name]))])


def test_conditions_matter_and_guidance_of_one_is_plain():
    core, _ = core_for("row")
    core.eval()
    for null in core.given.null.values():
        torch.nn.init.normal_(null)
    given = {"heat": torch.full((6,), 3.0), "phase": torch.zeros(6, dtype=torch.long)}
    draws = []
    for what, guidance in ((given, 1.0), (given, 3.0), (None, 1.0), (None, 3.0)):
        with seeded(0):
            draws.append(core.sample(6, what, guidance=guidance)["a"])
    assert not torch.allclose(draws[0], draws[2]) and not torch.allclose(draws[0], draws[1])
    assert torch.allclose(draws[2], draws[3], atol=1e-5)  # nothing to be guided to


def test_sizes_come_from_the_data_or_are_given():
    core, batch = core_for("crystal")
    known = batch[MASK].sum(1)
    assert torch.equal(core.sizes[:6], torch.bincount(known, minlength=6).float())
    counts = core.eval().sample(40)[MASK].sum(1)
    assert set(counts.tolist()) <= set(known.tolist())
    assert core.sample(3, sites=2)["place"].shape == (3, 2, 3)
    exact = core.sample(3, sites=torch.tensor([1, 4, 2]))
    assert exact[MASK].sum(1).tolist() == [1, 4, 2] and exact["species"].shape == (3, 4)
    with pytest.raises(UserError, match="sites"):
        core.prepare({**batch, MASK: torch.ones(24, MOST_SITES + 1, dtype=torch.bool)})


def test_padded_sequences():
    fields = {"w": sequence(6, 4)}
    core = FieldDiffusion(fields, **SMALL)
    mask = torch.arange(6) < torch.tensor([[2], [4], [6], [4]])
    batch = {"w": torch.randint(4, (4, 6)), MASK: mask}
    core.prepare(batch)
    new = core.eval().sample(30)
    assert new[MASK].shape == (30, 6) and set(new[MASK].sum(1).tolist()) <= {2, 4, 6}
    other = {"w": torch.where(mask, batch["w"], 3 - batch["w"]), MASK: mask}
    assert torch.equal(core.held_out_loss(batch)["loss"], core.held_out_loss(other)["loss"])


def test_what_the_padding_holds_does_not_matter():
    core, batch = core_for("crystal")
    core.eval()
    other = dict(batch)
    for key, field in SETS["crystal"].items():
        if field.sites:
            real = batch[MASK].view(24, 5, *[1] * len(field.shape))
            other[key] = torch.where(real, batch[key], draw(field, 24, 5))
    first, second = (float(core.held_out_loss(each)["loss"]) for each in (batch, other))
    assert first == pytest.approx(second, rel=1e-5)


def test_bound_where_there_is_one():
    core, batch = core_for("row")
    core.eval()
    with seeded(0):
        few, many = core.log_prob(batch, draws=3), core.log_prob(batch, draws=6)
    assert few.shape == (24,) and torch.isfinite(many).all()
    units = {**batch, "a": 100 * batch["a"], "b": 100 * batch["b"]}
    core.prepare(units)
    with seeded(0):
        shifted = core.log_prob(units, draws=3)
    assert (few - shifted).mean() == pytest.approx(4 * 4.60517, abs=1e-2)  # a density of smaller units
    for name, settings in (("angles", {}), ("row", {"scale": "quantile"})):
        with pytest.raises(UserError, match="bound"):
            core_for(name, **settings)[0].log_prob(data_of(SETS[name]))


def test_bound_of_gaussian_data_is_close_to_the_likelihood():
    """With the exact denoiser of a normal law the bound in 100 steps is close to its log-density."""
    with seeded(0):
        core = FieldDiffusion({"x": number()})
        data = {"x": torch.randn(4000) * 2 + 1}
        core.prepare(data)

        def exact(z, t, condition, mask):  # of N(0, 1): E[v | z_t] = 0
            return {"x": torch.zeros_like(z["x"])}

        core.denoise = exact  # type: ignore[method-assign]
        loose = core.log_prob(data, draws=100).mean()
        core.finish(data)
        bound = core.log_prob(data, draws=100).mean()
    true = torch.distributions.Normal(data["x"].mean(), data["x"].std()).log_prob(data["x"]).mean()
    assert loose < true - 0.5  # the posterior's variances alone
    assert true - 0.02 < bound < true + 0.02


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"transition": "random"}, "transition"),
        ({"schedule": "square"}, "schedule"),
        ({"predict": "future"}, "predict"),
        ({"scale": "log"}, "scale"),
        ({"diffusion_steps": 1}, "steps"),
        ({"width": 15, "heads": 2}, "heads"),
        ({"discrete_levels": True}, "levels"),
    ],
)
def test_bad_settings(settings, told):
    with pytest.raises(UserError, match=told):
        FieldDiffusion(SETS["all"], **{**SMALL, **settings})


@pytest.mark.parametrize("options", [{"steps": 0}, {"steps": 7}, {"speed": 3}])
def test_bad_options_of_sampling(options):
    core, _ = core_for("row")
    with pytest.raises(UserError):
        core.sample(2, **options)


@pytest.mark.parametrize("name", ["row", "word", "picture"])
def test_d3pm_and_tabddpm_recipes(name):
    for system in ("d3pm", "tabddpm"):
        if system == "tabddpm" and name != "row":
            continue
        fields = SETS[name] if system == "tabddpm" else {k: f for k, f in SETS[name].items() if f.kind != "continuous"}
        core = BY_NAME[system].build(fields, None, **SMALL)
        batch = data_of(fields)
        core.prepare(batch)
        as_batch(core.eval().sample(4), fields)
        if system == "d3pm":
            assert torch.isfinite(core.log_prob(batch)).all()
            assert all(isinstance(noise, discrete.Categories) for noise in core.noises)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 12, 8), (1, 28, 28), (2, 8, 8, 8), (1, 5, 7)])
def test_patches_are_a_permutation(shape):
    values = torch.arange(2 * torch.tensor(shape).prod()).reshape(2, *shape).float()
    side = corruption.patch_of(shape[1:])
    patches = corruption.to_patches(values, side)
    assert torch.equal(corruption.from_patches(patches, side, shape), values)
    assert patches.shape[1] <= corruption.MOST_PATCHES and patches.shape[2] == shape[0] * side ** (len(shape) - 1)
    corner = values[0, 0][(slice(0, side),) * (len(shape) - 1)].flatten()
    assert torch.equal(patches[0, 0].view(shape[0], -1)[0].sort().values, corner.sort().values)


def test_walks_stay_on_their_spaces():
    frames = rotation.RotationNoise(Field("rotation", (3, 3)))
    z = frames.prior(50, 1, torch.device("cpu"))
    for _ in range(50):
        z = frames.walk(z, torch.randn(50, 1, 3))
    assert torch.allclose(z.mT @ z, torch.eye(3).expand_as(z), atol=1e-4)
    assert torch.allclose(torch.linalg.det(z), torch.ones(50, 1, 1), atol=1e-4)
    x = wrapped.wrap(torch.tensor([-1e-9, 0.0, 1.0, 3.75, -0.25]))
    assert torch.allclose(x, torch.tensor([0.0, 0.0, 0.0, 0.75, 0.75])) and (x < 1).all()


def test_network_without_conditions_or_mask():
    net = FieldNet({"x": Slot(2, 3, "sites", 0), "y": Slot(4, 1, "whole", 1)}, width=16, layers=1, heads=2)
    x = {"x": torch.randn(5, 6, 2), "y": torch.randn(5, 1, 4)}
    out = net(x, torch.rand(5), None, torch.ones(5, 6, dtype=torch.bool))
    assert out["x"].shape == (5, 6, 3) and out["y"].shape == (5, 1, 1)
