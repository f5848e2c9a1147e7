"""Generators of table rows: the representation, each method, rules and wishes, audit, choice, saving, the command."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from sozai.errors import UserError
from sozai.generators.tables import choose, load_table_generator, table_generator
from sozai.generators.tables.groups import Closure
from sozai.generators.tables.impute import filled
from sozai.generators.tables.names import CLASSICAL, NEURAL
from sozai.generators.tables.representation import NumberCode, Representation
from sozai.knowledge.tables.ruleset import TableRules, rules_of
from sozai.materials.tables.table import Column, Group, Table
from sozai.metrics import fidelity
from sozai.metrics.privacy import membership_audit


@pytest.fixture(scope="module")
def mixes() -> Table:
    """120 rows: a dose with zeros, standard ages, a category, blanks, and a strength that follows from them."""
    rng = np.random.default_rng(0)
    rows = 120
    cement = rng.uniform(150, 500, rows).round(1)
    ash = np.where(rng.random(rows) < 0.5, 0.0, rng.uniform(50, 200, rows).round(0))
    age = rng.choice([3.0, 7.0, 28.0, 90.0], rows)
    kind = rng.choice(["I", "II"], rows, p=[0.8, 0.2])
    strength = 0.1 * cement + 8 * np.log(age) + 3 * (kind == "II") + rng.normal(0, 1, rows)
    water = np.where(rng.random(rows) < 0.15, np.nan, rng.normal(180, 15, rows))
    frame = pd.DataFrame({"cement": cement, "ash": ash, "water": water, "age": age, "kind": kind, "strength": strength})
    frame["kind"] = frame["kind"].astype(object)
    columns = {name: Column(name, "continuous") for name in frame.columns}
    columns["age"] = Column("age", "count")
    columns["kind"] = Column("kind", "category", levels=("I", "II", "III"))
    return Table(frame, columns)


@pytest.fixture(scope="module")
def trees(mixes):
    return table_generator("trees").fit(mixes, target="strength", seed=0)


@pytest.fixture(scope="module")
def fitted(mixes, trees):
    return {"trees": trees, "gmm": table_generator("gmm", audit=False).fit(mixes, target="strength")}


# Representation

numbers = st.lists(
    st.one_of(st.sampled_from([0.0, 28.0]), st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=1, max_size=60
)


@given(numbers, st.integers(0, 2**31))
@settings(max_examples=80, deadline=None)
def test_a_column_comes_back_exactly_from_anywhere_in_its_stretch(values, seed):
    column = np.array(values)
    code = NumberCode.fit(column)
    for source in (None, np.random.default_rng(seed)):
        places = code.encode(column, source)
        assert ((places >= 0) & (places <= 1)).all()
        back = code.decode(places)
        known = np.isfinite(column)
        assert (np.isfinite(back) == known).all()
        distinct, counts = np.unique(column[known], return_counts=True)
        spikes = np.isin(column, distinct[counts > 1])
        assert (back[spikes] == column[spikes]).all()
        np.testing.assert_allclose(
            back[known], column[known], rtol=1e-7, atol=1e-7 * (np.ptp(distinct) if len(distinct) else 0)
        )


@given(numbers)
@settings(max_examples=40, deadline=None)
def test_evenly_spread_places_give_each_value_its_share(values):
    column = np.array(values)
    places = (np.arange(20_000) + 0.5) / 20_000
    back = NumberCode.fit(column).decode(places)
    assert abs(np.isnan(back).mean() - np.isnan(column).mean()) < 1e-3
    for spike in (0.0, 28.0):
        if (column == spike).sum() > 1:
            assert (back == spike).mean() >= (column == spike).mean() - 1e-3


def test_a_whole_table_comes_back_from_normal_scores(mixes):
    code = Representation.fit(mixes)
    for seed in (None, 3):
        back = code.decode(code.encode(mixes.frame, seed))
        pd.testing.assert_frame_equal(back, mixes.frame, check_dtype=False, rtol=1e-6)
    again = Representation.of(code.arrays(), code.levels())
    scores = np.random.default_rng(1).standard_normal((50, 6))
    pd.testing.assert_frame_equal(again.decode(scores), code.decode(scores))


# Methods


@pytest.mark.parametrize("name", [*CLASSICAL, "tvae", "ctgan", "tabddpm"])
def test_each_method_draws_such_rows_again_and_from_its_folder(name, mixes, tmp_path):
    extra = {"system": {"steps": 30}} if name in NEURAL else {}
    made = table_generator(name, audit=False, **extra).fit(mixes, target="strength", seed=0)
    rows = made.sample(80, seed=1)
    assert list(rows.columns) == mixes.modelled and len(rows) == 80
    assert set(rows["kind"]) <= {"I", "II"} and set(rows["age"]) <= {3.0, 7.0, 28.0, 90.0}
    assert (rows["ash"] == 0).mean() > 0.1  # zeros, not numbers near zero
    assert ((rows["ash"] == 0) | (rows["ash"] > 10)).mean() > 0.9
    pd.testing.assert_frame_equal(rows, made.sample(80, seed=1))
    assert not rows.equals(made.sample(80, seed=2))
    made.save(tmp_path)
    pd.testing.assert_frame_equal(rows, load_table_generator(tmp_path).sample(80, seed=1))


def test_the_same_seed_learns_the_same(mixes):
    one, two = (
        table_generator("trees", audit=False, label="process").fit(mixes, target="strength", seed=5) for _ in range(2)
    )
    pd.testing.assert_frame_equal(one.sample(30, seed=0), two.sample(30, seed=0))


def test_tree_rows_are_like_the_table_useful_and_no_copies(mixes, trees):
    rows = trees.sample(120, seed=0)
    assert fidelity.column_shapes(mixes.frame, rows, mixes)[0] > 0.9
    assert fidelity.synthetic_to_real_r2(rows, mixes.frame, "strength") > 0.7
    assert fidelity.closest_record(mixes.frame, mixes.frame, rows, mixes)["copies"] == 0
    assert 0.05 < rows["water"].isna().mean() < 0.3


def test_blanks_are_filled_as_asked(mixes):
    full = filled(mixes, 0)
    assert not full.frame.isna().to_numpy().any()
    known = mixes.frame["water"].notna()
    assert (full.frame["water"][known] == mixes.frame["water"][known]).all()
    made = table_generator("gmm", audit=False, missing="fill").fit(mixes)
    assert not made.sample(100).isna().to_numpy().any()
    with pytest.raises(UserError, match="use keep or fill"):
        table_generator("gmm", missing="drop")


def test_parts_of_a_whole_keep_their_sum_and_their_zeros():
    rng = np.random.default_rng(0)
    parts = rng.dirichlet([8, 2, 1], 200) * 100
    parts[rng.random(200) < 0.4, 2] = 0.0
    parts = parts / parts.sum(1, keepdims=True) * 100
    names = ["SiO2", "CaO", "BaO"]
    frame = pd.DataFrame(parts, columns=names)
    table = Table(frame, {name: Column(name, "continuous") for name in names}, (Group(tuple(names), 100.0),))
    for name in ("trees", "gmm"):
        rows = table_generator(name, audit=False).fit(table, rules=rules_of(table)).sample(500)
        np.testing.assert_allclose(rows.sum(axis=1), 100, atol=1e-6)
        assert (rows >= 0).all().all() and 0.2 < (rows["BaO"] == 0).mean() < 0.6


@given(st.lists(st.tuples(*[st.floats(0, 1e3)] * 3), min_size=1, max_size=20), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_closure_gives_the_sum_to_any_row_that_has_parts(rows, seed):
    group = Group(("a", "b", "c"), 1.0)
    closure = Closure(group, np.array([1.0]), "a", 0.2, 0.9)
    frame = pd.DataFrame(rows, columns=["a", "b", "c"])
    made = closure.apply(frame, np.random.default_rng(seed))
    some = frame.sum(axis=1) > 1e-300
    np.testing.assert_allclose(made[some].sum(axis=1), 1.0, atol=1e-9)
    assert (made >= 0).all().all()
    assert ((made[["b", "c"]] == 0) | (frame[["b", "c"]] > 0)).all().all()


# Rules and wishes


def test_no_drawn_row_breaks_a_hard_rule(mixes):
    rules = TableRules.parse(["cement + ash <= 450", "ash = 0 or cement >= 250", "strength >= 20"], mixes.modelled)
    assert not rules.obeyed(mixes.frame).all()
    for name in ("trees", "gaussian-copula"):
        made = table_generator(name, audit=False).fit(mixes, rules=rules)
        assert rules.obeyed(made.sample(2000, seed=0)).all()


@pytest.mark.parametrize(
    "wish",
    [
        ["strength between 40 and 50", "cement <= 400", "ash = 0"],
        ["cement = 317"],
        ["strength = 45"],
        ['kind = "II"', "age in [7, 28]"],
        ["cement + ash <= 300", "water >= 170"],
        ["strength > 75"],
    ],
)
@pytest.mark.parametrize("name", ["trees", "gmm"])
def test_wishes_are_fulfilled_exactly(name, wish, mixes, fitted):
    rows = fitted[name].sample(40, wish, seed=0)
    assert len(rows) == 40
    assert (TableRules.parse(wish, mixes.modelled).amounts(rows).to_numpy() == 0).all()
    assert len(rows.drop_duplicates()) > 20


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (["strength >= 500"], "what lies beyond"),
        (["cement > 400", "cement < 300"], "at once"),
        (['kind = "III"'], "no row of the data"),
        (["cemnt > 3"], "cemnt"),
        (["age = 3", "cement <= 155", "strength >= 80"], "widen the conditions"),
    ],
)
def test_wishes_out_of_reach_are_told(trees, wish, words):
    with pytest.raises(UserError, match=words):
        trees.sample(20, wish)


def test_what_cannot_be_learned_is_told(mixes):
    with pytest.raises(UserError, match="too few"):
        table_generator("trees").fit(mixes.rows(np.arange(5)))
    with pytest.raises(UserError, match="no generator of tables 'tree'"):
        table_generator("tree")
    with pytest.raises(UserError, match="no setting 'leafs'"):
        table_generator("trees", leafs=3)
    with pytest.raises(UserError, match="has not been fitted"):
        table_generator("kde").sample(3)


def test_a_damaged_folder_is_told(trees, tmp_path):
    trees.save(tmp_path)
    weights = tmp_path / "rows.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8] + b"damaged!")
    with pytest.raises(UserError, match="copy them again"):
        load_table_generator(tmp_path)
    with pytest.raises(UserError, match="no generator of table rows here"):
        load_table_generator(tmp_path / "nowhere")


# Measures


def test_the_audit_finds_copies_and_not_strangers(mixes):
    rng = np.random.default_rng(0)
    members, others = mixes.frame.iloc[::2], mixes.frame.iloc[1::2]
    copied = membership_audit(members, others, members.sample(200, replace=True, random_state=0), mixes)
    assert copied["auc"] > 0.95 and copied["copies"] == 1 and "risk" in copied["sentence"]
    fresh = pd.DataFrame({"a": rng.normal(size=900)})
    blind = membership_audit(fresh[:300], fresh[300:600], fresh[600:])
    assert 0.4 < blind["auc"] < 0.6 and blind["copies"] == 0


def test_every_fit_is_audited(trees):
    audit = trees.card()["audit"]
    assert 0 <= audit["auc"] <= 1 and audit["members"] == audit["others"] == 60


def test_measures_tell_good_rows_from_bad(mixes):
    half, other = mixes.frame.iloc[::2], mixes.frame.iloc[1::2]
    bad = other.assign(cement=other["cement"] + 200, strength=other["strength"].to_numpy()[::-1])
    assert fidelity.column_shapes(half, half, mixes)[0] == fidelity.pair_trends(half, half, mixes)[0] == 1
    assert fidelity.column_shapes(half, other, mixes)[0] > fidelity.column_shapes(half, bad, mixes)[0]
    assert fidelity.two_sample_auc(half, other, mixes) < 0.65 < 0.75 < fidelity.two_sample_auc(half, bad, mixes)
    assert (
        fidelity.synthetic_to_real_r2(half, other, "strength")
        > 0.5
        > fidelity.synthetic_to_real_r2(bad, half, "strength")
    )
    assert fidelity.closest_record(half, other, half, mixes) | {"synthetic": 0} == fidelity.closest_record(
        half, other, half, mixes
    )
    assert fidelity.closest_record(half, other, other, mixes)["ratio"] == 1


def test_the_best_is_chosen_on_held_out_rows_and_what_was_tried_is_told(mixes):
    names = ["gaussian-copula", "trees", "ctgan"]
    made, tried = choose(mixes, target="strength", max_time=20, names=names)
    assert {each["name"] for each in tried} == set(names)
    scores = [each["score"] for each in tried if each["score"] is not None]
    assert scores == sorted(scores, reverse=True) and made.name == tried[0]["name"]
    assert all(each["note"] for each in tried if each["score"] is None)


# The command


def test_generate_table_writes_rows_result_and_a_generator_to_draw_from_again(mixes, tmp_path):
    from sozai.cli.app import app

    mixes.frame.to_csv(tmp_path / "mixes.csv", index=False)
    call = ["generate", "--table", str(tmp_path / "mixes.csv"), "--target", "strength", "--method", "gmm",
            "--given", "strength >= 50", "--count", "30", "--minutes", "0.5", "--out", str(tmp_path / "run"),
            "--json"]  # fmt: skip
    answer = CliRunner().invoke(app, call)
    assert answer.exit_code == 0, answer.output
    rows = pd.read_csv(tmp_path / "run" / "samples.csv")
    assert len(rows) == 30 and (rows["strength"] >= 50).all()
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["tried"][0]["name"] == "gmm" and "auc" in result["generator"]["audit"]
    assert (tmp_path / "run" / "manifest.json").exists()
    again = ["generate", str(tmp_path / "run" / "generator"), "--count", "5", "--given", "ash = 0", "--out",
             str(tmp_path / "more"), "--json"]  # fmt: skip
    answer = CliRunner().invoke(app, again)
    assert answer.exit_code == 0, answer.output
    assert (pd.read_csv(tmp_path / "more" / "samples.csv")["ash"] == 0).all()


@pytest.mark.parametrize(
    "extra",
    [["--method", "gpt"], ["--target", "slump"], ["--given", "strength >= 1e9"], ["--minutes", "0"], ["wyckoff-gpt"]],
)
def test_mistakes_on_the_command_line_are_one_sentence(mixes, tmp_path, extra):
    from sozai.cli.app import app

    mixes.frame.to_csv(tmp_path / "mixes.csv", index=False)
    call = ["generate", "--table", str(tmp_path / "mixes.csv"), "--out", str(tmp_path / "run"), *extra]
    answer = CliRunner().invoke(app, call)
    assert answer.exit_code == 2 and not (tmp_path / "run" / "samples.csv").exists()
