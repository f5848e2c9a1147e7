"""Diffusion and flow matching: kinds of fields, conditions, saved states, bad settings."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from sozai.errors import UserError  # noqa: E402
from sozai.fields import Field, category, image, number, sequence  # noqa: E402
from sozai.generators.families.diffusion import GaussianDiffusion, ProbabilityFlow  # noqa: E402
from sozai.generators.families.flow_matching import FlowMatching  # noqa: E402
from sozai.generators.networks.unet import UNet, fold, unfold  # noqa: E402
from sozai.generators.processes import schedules  # noqa: E402
from sozai.generators.recipes.diffusion import RECIPES  # noqa: E402
from sozai.generators.samplers import guidance  # noqa: E402
from sozai.generators.tensors import as_batch, seeded, take  # noqa: E402

BY_NAME = {recipe.name: recipe for recipe in RECIPES}
SMALL = {"width": 16, "layers": 1}
MIXED = {"x": number(2), "c": category(4), "s": sequence(3, 5)}
GIVEN = {"y": number(), "k": category(3)}


def rows(fields, count=24):
    """Random legal values."""
    out = {}
    for name, field in fields.items():
        if field.discrete:
            out[name] = torch.randint(field.categories, (count, *field.shape))
        elif field.kind == "image":
            levels = field.levels or 5
            out[name] = torch.randint(levels, (count, *field.shape)) / (levels - 1) * 2 - 1
        elif field.kind == "periodic":
            out[name] = torch.rand(count, *field.shape)
        elif field.kind == "rotation":
            out[name] = torch.linalg.qr(torch.randn(count, 3, 3))[0]
            out[name] = out[name] * torch.linalg.det(out[name])[:, None, None]
        else:
            out[name] = 5 + 3 * torch.randn(count, *field.shape)
    return out


def trained(core, batch, steps=3):
    core.prepare(batch)
    optimizer = torch.optim.Adam(core.parameters_of("model"), lr=1e-3)
    for _ in range(steps):
        loss = core.loss(batch)["loss"]
        assert loss.isfinite()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    core.finish(batch)
    return core


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize(
    "fields",
    [
        {"x": number(2)},
        MIXED,
        {"i": image(1, 8, 8, levels=17)},
        {"i": image(2, 4, 4, 4)},
        {"p": Field("periodic", (2,)), "r": Field("rotation", (3, 3)), "i": image(1, 3, 3)},
    ],
    ids=["numbers", "mixed", "digits", "volume", "angles"],
)
def test_serves_every_kind_of_field(name, fields):
    batch = rows(fields) | rows(GIVEN)
    with seeded(0):
        core = trained(BY_NAME[name].build(fields, GIVEN, **SMALL), batch)
        new = core.sample(5, {"k": torch.tensor([0, 1, 2, -1, 1])}, steps=3, guidance=0.5)
    legal = as_batch(new, fields)  # raises where a shape or category is wrong
    for field_name, field in fields.items():
        values = legal[field_name]
        assert len(values) == 5
        if field.kind == "image":
            assert values.abs().max() <= 1
        if field.levels:
            place = (values + 1) / 2 * (field.levels - 1)
            assert torch.allclose(place, place.round(), atol=1e-4)
    if "p" not in fields:
        batch = take(batch, slice(0, 3))
        options = {"steps": 2} if core.likelihood == "exact" else {"draws": 2}
        assert core.log_prob(batch, **options).isfinite().all()


@pytest.mark.parametrize("name", BY_NAME)
def test_a_saved_state_gives_the_same_samples(name):
    batch = rows(MIXED) | rows(GIVEN)
    core = trained(BY_NAME[name].build(MIXED, GIVEN, **SMALL), batch)
    again = BY_NAME[name].build(MIXED, GIVEN, **SMALL)
    again.load_state_dict(core.state_dict(), strict=True)
    with seeded(3):
        first = core.sample(6, steps=4)
    with seeded(3):
        second = again.sample(6, steps=4)
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_every_objective_prediction_and_schedule_trains():
    batch = rows({"x": number(3)})
    for objective, variance in [("simple", "beta"), ("hybrid", "learned"), ("vlb", "learned"), ("continuous", "beta~")]:
        core = trained(GaussianDiffusion({"x": number(3)}, objective=objective, variance=variance, **SMALL), batch)
        assert core.sample(2, steps=2)["x"].isfinite().all()
    for prediction in ("eps", "x0", "v", "velocity"):
        trained(GaussianDiffusion({"x": number(3)}, prediction=prediction, **SMALL), batch)
    for schedule in schedules.SCHEDULES:
        trained(GaussianDiffusion({"x": number(3)}, schedule=schedule, **SMALL), batch)


def test_predictions_are_one_another_rewritten():
    cores = {
        kind: GaussianDiffusion({"x": number(2)}, prediction=kind, schedule="cosine", **SMALL)
        for kind in ("eps", "x0", "v", "velocity")
    }
    x0, eps, t = torch.randn(9, 2).double(), torch.randn(9, 2).double(), torch.linspace(0.1, 0.9, 9).double()
    schedule = cores["eps"].schedule
    alpha, sigma = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
    of_x0, of_eps = (value[:, None] for value in schedule.velocities(t))
    x = alpha * x0 + sigma * eps
    raw = {"eps": eps, "x0": x0, "v": alpha * eps - sigma * x0, "velocity": of_x0 * x0 + of_eps * eps}
    for kind, core in cores.items():
        assert torch.allclose(core._noise_of(raw[kind], x, t), eps, atol=1e-9)


def test_any_sampler_wraps_a_fitted_diffusion():
    batch = rows({"x": number(2)})
    core = trained(GaussianDiffusion({"x": number(2)}, **SMALL), batch)
    for sampler in ("ancestral", "ddim", "heun", "dpm-solver", "velocity"):
        assert core.sample(3, sampler=sampler, steps=4)["x"].isfinite().all()


def test_a_sampler_given_by_name_keeps_to_the_range_of_the_data():
    core = GaussianDiffusion({"x": number(2)}, width=8, layers=1, sampler="ancestral")
    batch = {"x": torch.rand(64, 2)}
    core.prepare(batch)
    core.finish(batch)
    for name in ("ancestral", "ddim"):
        new = core.sample(200, sampler=name, steps=2)["x"]  # untrained: only the range holds it
        assert new.min() >= -0.15 and new.max() <= 1.15


def test_known_fields_stay_and_rules_hold():
    batch = rows(MIXED)
    core = trained(GaussianDiffusion(MIXED, **SMALL), batch)
    known = take({"x": batch["x"], "c": batch["c"]}, slice(0, 4))
    for sampler in (None, "ddim"):
        new = core.sample(4, known=known, sampler=sampler, steps=4)
        assert torch.equal(new["x"], known["x"]) and torch.equal(new["c"], known["c"])
        assert new["s"].shape == (4, 3)
    core = trained(GaussianDiffusion({"x": number(3)}, **SMALL), rows({"x": number(3)}))
    new = core.sample(8, project=core.in_units(guidance.onto_simplex([0, 1, 2], 15.0)), steps=5)["x"]
    assert torch.allclose(new.sum(1), torch.full((8,), 15.0), atol=1e-3) and new.min() >= -1e-4


def test_categories_have_probabilities():
    """The bound of a lone category sums to at most one over its values."""
    fields = {"c": category(3)}
    for core in (GaussianDiffusion(fields, objective="continuous", **SMALL), FlowMatching(fields, **SMALL)):
        trained(core, {"c": torch.randint(3, (64,))}, 150)
        options = {"steps": 12} if core.likelihood == "exact" else {"draws": 32}
        with seeded(0):
            means = [core.log_prob({"c": torch.full((100,), k)}, **options).mean() for k in range(3)]
        assert 0.5 < sum(float(mean.exp()) for mean in means) <= 1.1


def test_training_mode_is_left_as_it_was():
    core = GaussianDiffusion({"x": number(2)}, dropout=0.1, **SMALL)
    core.train()
    core.sample(2, steps=2)
    assert core.training
    core.eval()
    core.log_prob({"x": torch.randn(2, 2)}, draws=2)
    assert not core.training


@pytest.mark.parametrize(
    "event", [(1, 8, 8), (2, 5, 7), (1, 16, 12), (1, 3, 3), (1, 6, 5, 9), (2, 32, 48), (1, 33, 32)]
)
def test_unet_takes_any_size(event):
    net = UNet(event, width=8, condition=4, outputs=3)
    out = net(torch.randn(2, *event), torch.rand(2), torch.randn(2, 4))
    assert out.shape == (2, 3, *event[1:])
    assert out.abs().max() == 0  # the last convolution starts at zero


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (1, 1, 2, 4, 8)])
def test_patches_fold_and_unfold(shape):
    x = torch.arange(math.prod(shape)).reshape(shape)
    folded = fold(x, 2)
    assert folded.shape == (shape[0], shape[1] * 2 ** (len(shape) - 2), *(side // 2 for side in shape[2:]))
    corner = x[:, :, *(slice(2) for _ in shape[2:])].reshape(shape[0], -1)
    assert torch.equal(
        folded[:, :, *(0 for _ in shape[2:])].sort(1).values, corner.sort(1).values
    )  # one patch's pixels
    assert torch.equal(unfold(folded, 2), x)


def test_optimal_coupling_trains():
    batch = rows({"i": image(1, 4, 4)})
    assert trained(FlowMatching({"i": image(1, 4, 4)}, coupling="optimal", **SMALL), batch).coupling == "optimal"


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: GaussianDiffusion({"x": number(2)}, schedule="square"), "square"),
        (lambda: GaussianDiffusion({"x": number(2)}, objective="l1"), "l1"),
        (lambda: GaussianDiffusion({"x": number(2)}, prediction="score"), "score"),
        (lambda: GaussianDiffusion({"x": number(2)}, objective="hybrid"), "learned"),
        (lambda: GaussianDiffusion({"x": number(2)}, variance="big"), "big"),
        (lambda: GaussianDiffusion({"x": number(2)}, steps=1), "steps"),
        (lambda: GaussianDiffusion({"x": number(2)}, sampler="magic"), "magic"),
        (lambda: GaussianDiffusion({"x": number(2)}, fourier="pixels"), "pixels"),
        (lambda: GaussianDiffusion({"x": Field("continuous", (2,), sites=True)}), "sites"),
        (lambda: ProbabilityFlow({"c": category(2)}, dequantise="none"), "none"),
        (lambda: FlowMatching({"x": number(2)}, GIVEN, coupling="optimal"), "conditions"),
        (lambda: FlowMatching({"x": number(2)}, coupling="greedy"), "greedy"),
        (lambda: GaussianDiffusion({"x": number(2)}).sample(2, guidance=1.0), "guide"),
        (lambda: GaussianDiffusion({"x": number(2)}).sample(2, known={"z": torch.zeros(2)}), "'z'"),
        (lambda: GaussianDiffusion({"x": number(2)}).sample(2, temperature=1.0), "temperature"),
        (lambda: GaussianDiffusion({"p": Field("periodic")}).log_prob({"p": torch.rand(3)}), "periodic"),
        (lambda: guidance.onto_plane(torch.ones(2, 2), torch.tensor([0.0, 1.0])), "contradict"),
    ],
)
def test_mistakes_are_told(build, word):
    with pytest.raises(UserError, match=word):
        build()
