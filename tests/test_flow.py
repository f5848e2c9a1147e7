"""Normalizing flows: every field kind, conditions, discrete likelihoods, saved state, and mistakes."""

import json
import math

import pytest
import torch

from sozai.errors import UserError
from sozai.fields import Field, category, image, number, sequence
from sozai.generators.families.flow import Flow
from sozai.generators.processes import ode
from sozai.generators.recipes.flow import RECIPES
from sozai.generators.tensors import as_batch, seeded, take

SMALL = {"width": 8, "channels": 8, "depth": 2}
RECIPE = {recipe.name: recipe for recipe in RECIPES}
CASES = {
    "numbers": {"x": number(3)},
    "one number": {"x": number()},
    "categories": {"k": category(4, 2)},
    "mixed": {"x": number(2), "k": category(3), "s": sequence(3, 5)},
    "image": {"x": image(1, 8, 8, levels=17)},
    "odd image": {"x": image(2, 5, 3)},
    "volume": {"x": image(1, 4, 4, 4)},
}


def draw(fields, rows=40):
    values = {}
    for name, field in fields.items():
        shape = (rows, *field.shape)
        if field.discrete:
            values[name] = torch.randint(field.categories, shape)
        elif field.levels:
            values[name] = torch.randint(field.levels, shape) / (field.levels - 1) * 2 - 1
        else:
            values[name] = torch.rand(shape) * 2 - 1
    return values


def steps(core, batch, count=3):
    core.prepare(batch)
    optimizer = torch.optim.Adam(core.parameters(), 1e-2)
    core.train()
    for _ in range(count):
        optimizer.zero_grad()
        core.loss(batch)["loss"].backward()
        optimizer.step()
    return core.eval()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", RECIPE)
def test_serves_every_field_and_restores_from_its_state(name, case):
    torch.manual_seed(0)
    fields, conditions = CASES[case], {"c": number(), "d": category(3)}
    settings = json.loads(json.dumps(SMALL))
    batch = draw(fields | conditions)
    core = steps(RECIPE[name].build(fields, conditions, **settings), batch, 1 if "volume" in case else 2)
    given = {"c": torch.zeros(5), "d": torch.tensor([0, 1, 2, -1, -1])}
    with seeded(1):
        new = core.sample(5, given)
    as_batch(new, fields)  # legal values
    assert core.log_prob(take(batch, slice(4))).shape == (4,)
    discrete = any(field.discrete or field.levels for field in fields.values())
    assert core.likelihood == ("bound" if discrete else "exact")
    again = RECIPE[name].build(fields, conditions, **settings).eval()
    again.load_state_dict(core.state_dict(), strict=True)
    with seeded(1):
        same = again.sample(5, given)
    assert all(torch.equal(new[key], same[key]) for key in fields)
    if fields.get("x", number()).levels:
        assert set(((new["x"] + 1) * 8).flatten().tolist()) <= set(range(17))


def test_probabilities_of_categories_sum_to_one_and_single_draws_are_a_bound():
    torch.manual_seed(0)
    fields = {"k": category(3), "l": category(2)}
    batch = {"k": torch.randint(3, (300,)), "l": torch.randint(2, (300,))}
    batch["l"] = torch.where(batch["k"] == 0, 0, batch["l"])
    core = steps(Flow(fields, transform="spline", depth=3, width=16), batch, 90)
    every = torch.cartesian_prod(torch.arange(3), torch.arange(2))
    cells = {"k": every[:, 0], "l": every[:, 1]}
    exact = core.log_prob(cells, samples=400)
    inside = exact.exp().sum()
    assert inside < 1.03
    assert inside > 0.8  # the rest lies outside of all cells
    single = torch.stack([core.log_prob(cells) for _ in range(200)]).mean(0)
    assert (single < exact + 0.1).all()
    assert exact[1] < exact[0] - 1  # k = 0 goes with l = 0 only


def test_log_prob_is_in_the_units_of_the_data():
    torch.manual_seed(0)
    x = torch.randn(500) * 50 + 7
    core = steps(Flow({"x": number()}, depth=1), {"x": x}, 100)
    truth = torch.distributions.Normal(7.0, 50.0).log_prob(x)
    assert abs(float((core.log_prob({"x": x}) - truth).mean())) < 0.05
    axis = torch.linspace(-500, 500, 1001)
    assert float(core.log_prob({"x": axis}).exp().sum()) == pytest.approx(1, abs=0.02)


def test_conditions_steer_and_may_be_left_out():
    torch.manual_seed(0)
    kind = torch.randint(2, (600,))
    x = torch.randn(600, 2) * 0.3 + torch.where(kind == 1, 2.0, -2.0)[:, None]
    core = steps(RECIPE["realnvp"].build({"x": number(2)}, {"kind": category(2)}, rate=5e-3, drop=0.3),
                 {"x": x, "kind": kind}, 150)  # fmt: skip
    high = core.sample(200, {"kind": torch.ones(200, dtype=torch.long)})["x"].mean()
    low = core.sample(200, {"kind": torch.zeros(200, dtype=torch.long)})["x"].mean()
    assert high > 1.5 and low < -1.5
    free = core.sample(400)["x"].mean(1)
    assert 0.15 < float((free > 0).float().mean()) < 0.85


@pytest.mark.parametrize("name", RECIPE)
def test_repeated_and_constant_values_do_not_break_training(name):
    torch.manual_seed(0)
    x = torch.randn(200, 4)
    x[:, 0] = 3.0  # constant
    x[:90, 1] = 0.0  # a spike
    x[:, 2] = x[:, 3]  # dependent
    x[0, 3] = 40.0  # an outlier
    core = steps(RECIPE[name].build({"x": number(4)}, width=16, depth=3), {"x": x}, 15)
    assert all(parameter.isfinite().all() for parameter in core.parameters())
    assert core.log_prob({"x": x}).isfinite().all()
    assert core.sample(100)["x"].isfinite().all()


def test_same_seed_same_weights():
    made = []
    for _ in range(2):
        with seeded(3):
            core = steps(RECIPE["glow"].build({"x": number(3)}, **SMALL), {"x": torch.randn(50, 3)})
            made.append(core.state_dict())
    assert all(torch.equal(made[0][key], made[1][key]) for key in made[0])


def test_a_stiff_equation_is_refused_and_not_waited_for():
    equation = ode.Continuous(2).eval()
    with torch.no_grad():
        for parameter in equation.parameters():
            parameter.mul_(200)
    with pytest.raises(UserError, match="evaluations"):
        equation(torch.randn(10, 2))


def test_mistakes_are_told():
    fields = {"x": number(2)}
    for settings in (
        {"transform": "cubic"},
        {"base": "cauchy"},
        {"trace": "guess"},
        {"actnorm": "often"},
        {"depth": 0},
        {"jitter": -1},
    ):
        with pytest.raises(UserError):
            Flow(fields, **settings)
    with pytest.raises(UserError, match="diffusion"):
        Flow({"angle": Field("periodic")})
    with pytest.raises(UserError, match="sites"):
        Flow({"x": Field("continuous", (), sites=True)})


def test_loss_parts_are_consistent():
    torch.manual_seed(0)
    core = Flow({"x": image(1, 8, 8, levels=17)}, scales=2, depth=1, channels=8)
    parts = core.loss(draw({"x": image(1, 8, 8, levels=17)}))
    assert float(parts["nats"]) == pytest.approx(float(parts["loss"]) * 64, rel=1e-5)
    assert float(parts["bits"]) == pytest.approx(float(parts["loss"]) / math.log(2), rel=1e-5)
    assert float(parts["bits"]) < 6  # a fresh flow is not far from uniform, log2(17) = 4.09
