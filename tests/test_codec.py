"""Fields, batches, codecs and conditions: whatever goes in comes out again, and whatever comes out is legal."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sozai.errors import UserError
from sozai.fields import Field, category, image, number, sequence
from sozai.generators.codec import ImageCodec, VectorCodec, codec_for, orthogonal
from sozai.generators.conditions import ConditionEncoder, complete, drop
from sozai.generators.processes.rotation import uniform
from sozai.generators.tensors import as_batch, join, rows_of, seeded, split, take

FIELDS = {
    "plain": number(),
    "vector": number(2, 3),
    "kind": category(4),
    "kinds": category(3, 2),
    "angle": Field("periodic", (2,)),
    "frame": Field("rotation", (2, 3, 3)),
    "picture": image(1, 4, 4, levels=5),
    "word": sequence(6, 7),
}


def draw(field: Field, rows: int, sites: int = 0) -> torch.Tensor:
    shape = (rows, *((sites,) if sites else ()), *field.shape)
    if field.discrete:
        return torch.randint(field.categories, shape)
    if field.kind == "rotation":
        return uniform(*shape[:-2])
    if field.kind == "periodic":
        return torch.rand(shape)
    if field.kind == "image":
        levels = field.levels or 256
        return torch.randint(levels, shape) / (levels - 1) * 2 - 1
    return 3 * torch.randn(shape) + 10


def make(rows: int, seed: int, fields: dict = FIELDS) -> dict:
    with seeded(seed):
        return {name: draw(field, rows) for name, field in fields.items()}


names = st.lists(st.sampled_from(sorted(FIELDS)), min_size=1, unique=True)


@settings(max_examples=40, deadline=None)
@given(names, st.integers(2, 9), st.integers(0, 999), st.booleans())
def test_decode_is_the_inverse_of_encode(chosen, rows, seed, dequantise):
    fields = {name: FIELDS[name] for name in chosen}
    batch = make(rows, seed, fields)
    codec = codec_for(fields, dequantise)
    codec.fit(batch)
    x = codec.encode(batch)
    assert x.shape == (rows, *codec.event)
    again = codec.decode(x)
    assert list(again) == list(fields)
    for name, field in fields.items():
        assert again[name].shape == batch[name].shape and again[name].dtype == batch[name].dtype
        if field.discrete:
            assert torch.equal(again[name], batch[name])
        else:
            error = (again[name] - batch[name]).abs()
            error = torch.minimum(error, 1 - error) if field.kind == "periodic" else error
            assert error.max() < 1e-4


@settings(max_examples=40, deadline=None)
@given(st.floats(-30, 30), st.integers(0, 999), st.booleans())
def test_anything_finite_decodes_to_something_legal(log_scale, seed, dequantise):
    codec = VectorCodec(FIELDS, dequantise)
    with seeded(seed):
        x = torch.randn(5, *codec.event) * math.exp(log_scale)
    x[0] = 0
    batch = codec.decode(x)
    as_batch(batch, FIELDS)  # raises on categories, pixels and rotations that are none
    assert ((batch["angle"] >= 0) & (batch["angle"] < 1)).all()
    steps = (batch["picture"] + 1) / 2 * 4
    assert torch.allclose(steps, steps.round(), atol=1e-5)


def test_numbers_are_standardised_and_constant_ones_survive():
    batch = {"a": torch.full((50,), 7.0), "b": torch.arange(50.0)}
    codec = VectorCodec({"a": number(), "b": number()})
    codec.fit(batch)
    x = codec.encode(batch)
    assert torch.allclose(x.mean(0), torch.zeros(2), atol=1e-6)
    assert x[:, 1].std(correction=0) == pytest.approx(1, abs=1e-5)
    assert torch.equal(codec.decode(x)["a"], batch["a"])


@pytest.mark.parametrize(
    "columns", [torch.zeros(3, 2), torch.ones(3, 2), torch.tensor([[1.0, 1], [1, 1], [1, 1.00001]])]
)
def test_degenerate_columns_still_give_a_rotation(columns):
    r = orthogonal(columns)
    assert torch.allclose(r.T @ r, torch.eye(3), atol=1e-5) and torch.linalg.det(r) > 0.99


def test_volume_makes_a_density_of_the_values():
    """A standard normal on encoded columns is the normal law of the data on the data's own units."""
    data = 5 * torch.randn(4000, dtype=torch.float64) + 3
    codec = VectorCodec({"a": number()})
    batch = {"a": data.float()}
    codec.fit(batch)
    normal = torch.distributions.Normal(0, 1).log_prob(codec.encode(batch)[:, 0]) + codec.log_volume()
    exact = torch.distributions.Normal(data.mean(), data.std(correction=0)).log_prob(data)
    assert (normal - exact).abs().max() < 1e-4
    picture = image(1, 2, 2, levels=4)
    whole = ImageCodec({"p": picture}, dequantise=True)
    uniform_density = -4 * math.log(2.0)  # on [-1, 1]^4
    assert float(uniform_density + whole.log_volume()) == pytest.approx(-4 * math.log(4), abs=1e-6)


@pytest.mark.parametrize("name", ["kind", "angle", "frame"])
def test_no_volume_where_there_is_none(name):
    with pytest.raises(UserError):
        VectorCodec({name: FIELDS[name]}).log_volume()


def test_sites_need_another_codec():
    with pytest.raises(UserError, match="field-diffusion"):
        codec_for({"x": Field("continuous", (), sites=True)})


@pytest.mark.parametrize(
    "make_field",
    [
        lambda: Field("tensor"),  # type: ignore[arg-type]
        lambda: category(0),
        lambda: Field("rotation"),
        lambda: Field("rotation", (3, 2)),
        lambda: image(8, 8),
        lambda: Field("sequence", (3, 3), 4),
        lambda: number(0),
    ],
)
def test_impossible_fields(make_field):
    with pytest.raises(UserError):
        make_field()


def test_field_to_dict_and_back():
    for field in FIELDS.values():
        assert Field(**field.to_dict()) == field


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("plain", [1.0, float("nan")], "row 2"),
        ("plain", ["a", "b"], "numbers only"),
        ("plain", [[1.0], [2.0]], "shape"),
        ("kind", [0, 4], "outside 0 to 3"),
        ("kind", [0.5, 1.0], "whole number"),
        ("picture", torch.full((2, 1, 4, 4), 1.5), "outside -1 to 1"),
        ("frame", torch.zeros(2, 2, 3, 3), "not a rotation"),
        ("frame", -torch.eye(3).expand(2, 2, 3, 3), "not a rotation"),
    ],
)
def test_illegal_values(name, values, told):
    with pytest.raises(UserError, match=told):
        as_batch({name: values}, {name: FIELDS[name]})


def test_as_batch_wraps_and_checks_rows():
    field = {"angle": Field("periodic")}
    wrapped = as_batch({"angle": torch.tensor([-0.25, 1.0, 2.5, -1e-10])}, field)["angle"]
    assert torch.allclose(wrapped, torch.tensor([0.75, 0.0, 0.5, 0.0]))
    with pytest.raises(UserError, match="rows"):
        as_batch({"a": [1.0], "b": [1.0, 2.0]}, {"a": number(), "b": number()})
    with pytest.raises(UserError, match="lacks"):
        as_batch({}, {"a": number()})
    with pytest.raises(UserError, match="mask"):
        as_batch({"mask": [1.0]}, {"mask": number()})


def test_split_join_take():
    batch = make(20, 0)
    rest, held = split(batch, 0.25, seed=3)
    assert rows_of(held) == 5 and rows_of(rest) == 15
    together = join([rest, held])
    assert torch.equal(together["plain"].sort().values, batch["plain"].sort().values)
    assert torch.equal(take(batch, slice(2, 4))["kind"], batch["kind"][2:4])


def test_seeded_leaves_the_source_alone():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    with seeded(1):
        first = torch.rand(1)
    assert torch.equal(torch.rand(2), expected)
    with seeded(1):
        assert torch.equal(torch.rand(1), first)


CONDITIONS = {"heat": number(), "phase": category(3), "pair": number(2), "sites": category(4, 2)}


def test_conditions_left_out_are_the_same_as_never_given():
    torch.manual_seed(0)
    encoder = ConditionEncoder(CONDITIONS, 16)
    for null in encoder.null.values():
        torch.nn.init.normal_(null)
    batch = make(6, 1, CONDITIONS)
    encoder.fit(batch)
    full = encoder(complete(batch, CONDITIONS, 6, "cpu"))
    none = encoder(complete({}, CONDITIONS, 6, "cpu"))
    assert full.shape == (6, 16) and not torch.allclose(full, none)
    assert torch.allclose(encoder(drop(batch, CONDITIONS, 1.0)), none)
    assert torch.equal(encoder(drop(batch, CONDITIONS, 0.0)), full)
    partly = encoder(complete({"heat": batch["heat"]}, CONDITIONS, 6, "cpu"))
    other = encoder(complete({"heat": batch["heat"] + 5}, CONDITIONS, 6, "cpu"))
    assert not torch.allclose(partly, none) and not torch.allclose(partly, other)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99), st.sampled_from([0.2, 0.8]))
def test_drop_leaves_out_whole_rows(seed, share):
    batch = make(300, seed, CONDITIONS)
    with seeded(seed):
        out = drop(batch, CONDITIONS, share)
    gone = torch.isnan(out["heat"])
    assert torch.equal(gone, out["phase"] < 0) and torch.equal(gone, torch.isnan(out["pair"]).all(1))
    assert abs(float(gone.float().mean()) - share) < 0.12
    assert torch.equal(out["phase"][~gone], batch["phase"][~gone])


def test_conditions_are_cast_and_checked():
    encoder = ConditionEncoder({"heat": number()}, 8)
    encoder.fit({"heat": torch.full((4,), float("nan"))})  # nobody was given it
    double = complete({"heat": torch.ones(3, dtype=torch.float64)}, {"heat": number()}, 3, "cpu")
    assert torch.isfinite(encoder(double)).all()
    with pytest.raises(UserError, match="shape"):
        complete({"heat": torch.ones(2)}, CONDITIONS, 3, "cpu")
    with pytest.raises(UserError, match="outside 0 to 2"):
        complete({"phase": torch.tensor([3])}, CONDITIONS, 1, "cpu")
    with pytest.raises(UserError, match="cannot be a condition"):
        ConditionEncoder({"p": image(1, 4, 4)}, 8)
    assert ConditionEncoder({}, 8)({}, 3).shape == (3, 8)
