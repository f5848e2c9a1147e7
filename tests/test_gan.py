"""What the proofs of adversarial systems do not cover: fields, conditions, saved weights, bad settings."""

import re
import textwrap
from pathlib import Path

import pytest
import torch

from sozai.errors import UserError
from sozai.fields import Field, category, image, number, sequence
from sozai.generators.families.adversarial import Adversarial
from sozai.generators.objectives import adversarial
from sozai.generators.recipes.gan import RECIPES
from sozai.generators.tensors import as_batch, seeded, take
from sozai.generators.train import train

SYSTEMS = {recipe.name: recipe for recipe in RECIPES}
ROWS = 48
DATA = {
    "mixed": ({"x": number(2), "n": number(), "c": category(3)}, {}),
    "special": ({"p": Field("periodic", (3,)), "r": Field("rotation", (3, 3)), "s": sequence(4, 5)}, {"y": number(2)}),
    "image": ({"i": image(1, 8, 8, levels=17)}, {"kind": category(4), "wanted": number()}),
    "odd image": ({"i": image(2, 5, 7)}, {}),
    "volume": ({"i": image(1, 8, 4, 12)}, {"kind": category(2)}),
}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def rows_for(fields):
    def values(field):
        shape = (ROWS, *field.shape)
        if field.discrete:
            return torch.randint(field.categories, shape)
        if field.kind == "rotation":
            turns = torch.linalg.qr(torch.randn(ROWS, 3, 3))[0]
            return turns * torch.linalg.det(turns)[:, None, None]
        return torch.rand(shape) * (2 if field.kind == "image" else 1) - (1 if field.kind == "image" else 0)

    return {name: values(field) for name, field in fields.items()}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != "cyclegan"])
def test_trains_samples_and_loads_again(name, data):
    fields, conditions = DATA[data]
    if name == "dcgan" and data not in ("image", "volume"):
        pytest.skip("for images with sides that are multiples of 4")
    build = SYSTEMS[name].build
    core = build(fields, conditions, width=8)
    rows = rows_for({**fields, **conditions})
    train(core, rows, rows, device="cpu", steps=2, batch_size=16)
    given = {name: rows[name][:7] for name in conditions}
    samples = core.sample(7, given)
    assert set(as_batch(samples, fields)) == set(fields)
    assert len(next(iter(core.sample(3).values()))) == 3  # no conditions given
    again = build(fields, conditions, width=8)
    again.load_state_dict(core.state_dict(), strict=True)
    with seeded(1):
        one = core.sample(7, given)
    with seeded(1):
        other = again.sample(7, given)  # in training mode: samples do not depend on it
    assert all(torch.equal(one[field], other[field]) for field in fields)
    assert again.training and not core.training


@pytest.mark.parametrize("shape", [(3,), (1, 8, 8), (1, 4, 8, 4)])
def test_cyclegan_translates_either_way(shape):
    field = image(*shape) if len(shape) > 1 else number(*shape)
    fields = {"before": field, "after": field}
    core = SYSTEMS["cyclegan"].build(fields, width=8)
    rows = rows_for(fields)
    train(core, rows, rows, device="cpu", steps=3, batch_size=16)
    for name, other in (("before", "after"), ("after", "before")):
        out = core.sample(5, {name: rows[name][:5]})
        assert torch.equal(out[name], rows[name][:5]) and out[other].shape == (5, *shape)
        assert torch.equal(core.sample(5, {name: rows[name][:5]})[other], out[other])
    again = SYSTEMS["cyclegan"].build(fields, width=8)
    again.load_state_dict(core.state_dict())
    assert torch.equal(again.sample(5, {"after": rows["after"][:5]})["before"], out["before"])
    assert int(core.filled.min()) == 48
    for bad in (None, {}, {"before": rows["before"]}, rows):
        with pytest.raises(UserError, match="translates"):
            core.sample(5, bad)


def test_a_condition_may_be_missing_in_training_and_when_sampling():
    fields, conditions = {"x": number(2)}, {"a": number(), "k": category(3)}
    rows = rows_for({**fields, **conditions})
    rows["a"][::3], rows["k"][::4] = float("nan"), -1
    core = SYSTEMS["cgan"].build(fields, conditions, width=8)
    train(core, rows, rows, device="cpu", steps=3, batch_size=16)
    for given in ({"a": torch.ones(4)}, {"k": torch.ones(4).long()}, {}):
        assert core.sample(4, given)["x"].isfinite().all()


def test_averaged_weights_get_batch_norms_of_their_own():
    core = SYSTEMS["dcgan"].build({"i": image(1, 8, 8)}, width=8)
    rows = rows_for(core.fields)
    train(core, rows, device="cpu", steps=2, batch_size=16)
    layers = core.generator.network.layers
    with torch.no_grad():
        maps = layers[0](torch.randn(4096, core.noise_width, 1, 1))
    expected = maps.var((0, 2, 3))
    assert torch.allclose(layers[1].running_var, expected, rtol=0.2)
    core.recalibrate(rows)
    assert layers[1].momentum == 0.1 and not layers[1].training


def test_held_out_loss_tells_good_samples_from_bad_and_repeats_itself():
    core = SYSTEMS["gan"].build({"x": number(2)}, width=8)
    rows = {"x": torch.randn(500, 2)}
    core.prepare(rows)
    one, other = core.held_out_loss(rows)["loss"], core.held_out_loss(rows)["loss"]
    assert one == other
    core.generate = lambda count, given: torch.randn(count, 2)
    assert abs(core.held_out_loss(rows)["loss"]) < 0.02 < one


def test_energy_distance_of_known_laws():
    shift, x = 2.0, torch.randn(3000, 1)
    normal = torch.distributions.Normal(0.0, 1.0)
    mean = torch.tensor(shift)
    across = 2**0.5 * (2 * normal.log_prob(mean / 2**0.5).exp() + mean / 2**0.5 * (2 * normal.cdf(mean / 2**0.5) - 1))
    exact = 2 * across - 2 * 2 / torch.pi**0.5
    assert adversarial.energy_distance(x, torch.randn(3000, 1) + shift).item() == pytest.approx(exact.item(), abs=0.12)
    assert abs(adversarial.energy_distance(x, torch.randn(3000, 1)).item()) < 0.01
    assert adversarial.energy_distance(x[:1], x[:1]).item() == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": "hinge"},
        {"lipschitz": "soft"},
        {"network": "unet"},
        {"pac": 0},
        {"noise": 0},
        {"critic_steps": 0},
        {"network": "convolutional"},
        {"normalisation": ["layer", "none"], "network": "convolutional"},
    ],
)
def test_bad_settings(settings):
    with pytest.raises(UserError):
        Adversarial({"i": image(1, 5, 5)} if "normalisation" not in settings else {"i": image(1, 8, 8)}, **settings)


def test_bad_data():
    with pytest.raises(UserError, match="multiples of 4"):
        SYSTEMS["dcgan"].build({"x": number(3)})
    with pytest.raises(UserError, match="sites"):
        SYSTEMS["gan"].build({"x": Field("continuous", (3,), sites=True)})
    with pytest.raises(UserError, match="two"):
        SYSTEMS["cyclegan"].build({"a": number(2)})
    with pytest.raises(UserError, match="two"):
        SYSTEMS["cyclegan"].build({"a": number(2), "b": number(3)})
    with pytest.raises(UserError, match="conditions"):
        SYSTEMS["cyclegan"].build({"a": number(2), "b": number(2)}, {"y": number()})
    core = SYSTEMS["pacgan"].build({"x": number(2)}, width=8)
    with pytest.raises(UserError, match="pack"):
        core.loss(take({"x": torch.randn(4, 2)}, slice(1)))


def test_the_example_in_the_docs_is_the_real_code():
    root = Path(__file__).parents[1]
    source = "".join(
        textwrap.dedent(line)
        for part in ("objectives/adversarial.py", "recipes/gan.py", "proofs/gan.py")
        for line in (root / "src/sozai/generators" / part).read_text().splitlines()
    )
    blocks = re.findall(r"```python\n(.*?)```", (root / "docs/new-system.md").read_text(), re.S)
    assert len(blocks) == 4
    for block in blocks[:3]:
        shown = block.partition("# those before it\n")[2] or block
        assert "".join(textwrap.dedent(line) for line in shown.splitlines()) in source
