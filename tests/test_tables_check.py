"""Quality control of tables: what is planted is found, what is clean is left alone, nothing changes unrecorded."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from sozai.cli.app import app
from sozai.cli.check_table import is_table
from sozai.errors import UserError
from sozai.knowledge.tables.quality.changes import changed, changes_of, log_of
from sozai.knowledge.tables.quality.conditionals import Conditionals
from sozai.knowledge.tables.quality.examine import examine
from sozai.knowledge.tables.quality.finding import Finding
from sozai.knowledge.tables.quality.numbers import Numbers, Scale, counts, decimals
from sozai.knowledge.tables.quality.planting import LEAST, plant
from sozai.knowledge.tables.quality.samples import alone, repeated
from sozai.knowledge.tables.quality.slips import FACTORS, slips
from sozai.knowledge.tables.quality.values import single_values, spellings
from sozai.knowledge.tables.ruleset import TableRules
from sozai.materials.tables.read import guessed


def mixes(rows: int = 240, seed: int = 0) -> pd.DataFrame:
    """Mixes of a mortar: three set amounts, their ratio, and a strength that follows from them."""
    random = np.random.default_rng(seed)
    cement = random.choice([300.0, 350.0, 400.0, 450.0, 500.0], rows)
    water = np.round(cement * random.uniform(0.32, 0.6, rows))
    age = random.choice([3.0, 7.0, 28.0, 90.0], rows)
    strength = np.round(95 - 110 * water / cement + 9 * np.log(age) + random.normal(0, 1, rows), 1)
    sand = 1900 - cement - water + np.round(random.normal(0, 5, rows))
    return pd.DataFrame({"cement": cement, "water": water, "sand": sand, "age": age, "strength": strength})


@pytest.fixture(scope="module")
def spoilt():
    """The mixes with six errors of known place, and what was found in them."""
    frame = mixes()
    frame.loc[10, "water"] *= 10  # a point too far right
    frame.loc[20, ["cement", "sand"]] = frame.loc[20, ["sand", "cement"]].to_numpy()
    frame.loc[30, "strength"] *= 1000  # Pa, kPa, MPa
    frame.loc[40, "sand"] = -999.0
    frame.loc[50, "age"] = 280.0
    frame.loc[240] = frame.loc[60]
    frame.loc[240, "strength"] += 40
    table = guessed(frame, "mixes.csv")
    return table, examine(table, target="strength")


def test_planted_errors_are_found_and_few_others(spoilt):
    _, examined = spoilt
    told = {(finding.row, name) for finding in examined.told for name in finding.columns}
    # Rows are numbered as in a spreadsheet: the first has number 2.
    wanted = {(12, "water"), (22, "cement"), (22, "sand"), (32, "strength"), (42, "sand"), (52, "age")}
    assert len(told & wanted) >= 5
    rows = {row for row, _ in told}
    assert rows & {62, 242}, "one of the contradicting rows"
    assert len(rows - {12, 22, 32, 42, 52, 62, 242}) <= 5  # of 235 good ones


def test_each_finding_says_row_column_reason_and_repair(spoilt):
    table, examined = spoilt
    by_cell = {(finding.row, finding.columns[0]): finding for finding in examined.told if finding.columns}
    water = by_cell[12, "water"]
    assert water.repair is not None and water.repair[0] == pytest.approx(table.frame.at[12, "water"] / 10, rel=0.3)
    assert f"{water.found[0]:.6g}" in water.why
    code = by_cell[42, "sand"]
    assert code.kind == "missing code" and code.repair == (None,) and code.step == "value"
    for finding in examined.findings:
        assert 0 <= finding.confidence <= 1 and finding.why and finding.row in table.frame.index
        assert finding.repair is None or len(finding.repair) == len(finding.columns) == len(finding.found)


@pytest.fixture
def quick(monkeypatch):
    """Few copies to learn from: what is tested then is the way, not how well errors are found."""
    monkeypatch.setattr("sozai.knowledge.tables.quality.detector.MOST_COPIES", 2)


def test_the_same_seed_finds_the_same(quick):
    table = guessed(mixes(60), "mixes.csv")
    one, two = (examine(table, target="strength", seed=3).findings for _ in range(2))
    assert one == two


def test_a_clean_table_gives_few_alarms(quick):
    examined = examine(guessed(mixes(160, seed=5), "clean.csv"), target="strength")
    rows = {finding.row for finding in examined.told if finding.kind != "duplicate"}
    assert len(rows) <= 6


def test_changes_are_recorded_one_by_one_and_the_table_stays(spoilt):
    table, examined = spoilt
    before = table.frame.copy()
    for apply in ("sure", "all", "blank", "none"):
        changes = changes_of(examined.findings, apply)
        made = changed(table.frame, changes)
        pd.testing.assert_frame_equal(table.frame, before)
        log = log_of(changes)
        differs = {
            (int(row), name)
            for name in made
            for row in made.index[~((made[name] == before[name]) | (made[name].isna() & before[name].isna()))]
        }
        assert differs == set(zip(log["row"], log["column"], strict=True))
        assert (apply == "none") == (not changes)
    assert len(changes_of(examined.findings, "sure")) <= len(changes_of(examined.findings, "all"))


def test_two_findings_never_change_one_cell_twice():
    low = Finding(2, ("a",), "value", "typo", "why", 0.6, (1.0,), (2.0,), True)
    high = Finding(2, ("a",), "value", "typo", "why", 0.95, (1.0,), (3.0,), True)
    (change,) = changes_of([low, high], "all")
    assert change.new == 3.0


@given(
    st.floats(0.01, 1e5).map(lambda value: float(f"{value:.4g}")),
    st.sampled_from([factor for factor, _ in FACTORS]),
)
def test_a_slip_of_unit_is_among_its_explanations(value, factor):
    assert any(abs(slip.value - value) <= 1e-6 * value for slip in slips(value * factor))


@given(st.integers(10, 99999), st.data())
def test_a_slip_of_the_hand_is_among_its_explanations(value, data):
    text = str(value)
    at = data.draw(st.integers(0, min(len(text), 4) - 2))
    wrong = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if wrong[0] != "0" and wrong != text:
        assert any(slip.value == value for slip in slips(float(wrong)))


@given(st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=40), st.booleans())
def test_scales_can_be_undone(values, positive):
    numbers = np.abs(values) + 1e-3 if positive else np.array(values)
    scale = Scale.of(numbers)
    assert np.allclose(scale.back(scale(numbers)), numbers, rtol=1e-6, atol=1e-6 * (1 + np.abs(numbers).max()))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_planting_changes_what_it_labels_and_nothing_else(seed):
    frame = mixes(60)
    numbers = Numbers(frame, list(frame))
    planted = plant(numbers, 0.2, 4, seed)
    original = numbers.raw[planted.source]
    assert ((planted.numbers.raw != original) == (planted.label == 1)).all()
    moved = np.abs(numbers.to_scaled(planted.numbers.raw) - numbers.to_scaled(original))[planted.label == 1]
    assert (moved >= LEAST - 1e-9).all()
    assert (planted.label == 1).any()


def test_a_row_is_left_out_of_its_own_density():
    frame = mixes(80)
    frame.loc[3, "strength"] = 500.0
    numbers = Numbers(frame, list(frame))
    density = Conditionals(numbers, 0, 20)
    weights = density.neighbours(4, numbers.raw, numbers.codes, np.arange(80))
    assert weights.diagonal().max() == 0
    assert np.allclose(np.asarray(weights.sum(1)).ravel(), 1)
    surprise = density.surprise(4, weights, numbers.raw[:, 4])
    assert surprise.argmax() == 3


def test_counts_and_decimals():
    among = np.array([1.0, 1.0, 2.5, np.nan])
    assert counts(np.array([1.0, 2.5, 3.0, np.nan]), among).tolist() == [2, 1, 0, 0]
    assert decimals(np.array([3.0, 2.5, 0.125, np.nan])).tolist() == [0, 1, 3, 0]


def test_single_values_without_a_model():
    frame = pd.DataFrame({"T": np.linspace(20, 200, 100), "x": np.linspace(5, 9, 100)}, index=range(2, 102))
    frame.loc[5, "T"], frame.loc[7, "x"], frame.loc[9, "x"] = -300.0, -9999.0, 0.0
    found = {(each.row, each.columns[0]): each.kind for each in single_values(frame, {"T": "degC"})}
    assert found == {(5, "T"): "impossible", (7, "x"): "missing code", (9, "x"): "missing code"}


def test_names_that_differ_in_case_are_one():
    column = pd.Series(["FCC"] * 5 + ["fcc", "BCC", "FCC+BCC"], index=range(2, 10), name="phase")
    (finding,) = spellings(column)
    assert (finding.row, finding.repair, finding.sure) == (7, ("FCC",), True)


def test_rows_that_stand_twice_or_alone():
    frame = mixes(50)
    frame.loc[50] = frame.loc[4]
    (twice,) = repeated(frame)
    assert (twice.row, twice.others) == (4, (50,))
    frame.loc[51] = [3000.0, 2000.0, -500.0, 5000.0, 900.0]
    assert [each.row for each in alone(Numbers(frame, list(frame)), frame.index)] == [51]


def test_broken_rules_are_findings_with_a_repair(quick):
    table = guessed(mixes(40), "mixes.csv")
    rules = TableRules.parse(["water <= 0.55 * cement"], list(table.columns))
    broken = table.frame.index[table.frame["water"] > 0.55 * table.frame["cement"]]
    found = [each for each in examine(table, rules).findings if each.rule]
    assert {each.row for each in found} == set(broken)
    for each in found:
        assert each.repair is not None and not each.sure
        values = dict(zip(each.columns, each.repair, strict=True))
        assert values["water"] <= 0.55 * values["cement"] + 1e-6


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": ["x", "y", "z"] * 5}),
        pd.DataFrame({"a": [1.0, 2.0, 4.0]}),
        pd.DataFrame({"a": [1.0] * 40, "b": np.arange(40.0) % 7}),
        pd.DataFrame({"a": [np.nan] * 39 + [1.0], "b": np.random.default_rng(0).normal(size=40)}),
    ],
)
def test_poor_tables_are_no_fault(frame, quick):
    examined = examine(guessed(frame, "poor.csv"))
    assert examined.findings == [] or all(each.why for each in examined.findings)


def test_the_command_writes_a_report_a_cleaned_table_and_a_log(tmp_path, quick):
    frame = mixes(120)
    frame.loc[10, "water"] *= 10
    frame.loc[11, "sand"] = -999
    source = tmp_path / "mixes.csv"
    frame.to_csv(source, index=False)
    bytes_before = source.read_bytes()
    out = tmp_path / "run"
    made = CliRunner().invoke(app, ["check", str(source), "--target", "strength", "--out", str(out), "--json"])
    assert made.exit_code == 0, made.output
    result = json.loads(made.stdout)
    assert result["target"] == "strength" and result["found"] >= 1
    assert source.read_bytes() == bytes_before
    cleaned, log = pd.read_csv(out / "cleaned.csv"), pd.read_csv(out / "changes.csv")
    assert cleaned.shape == frame.shape
    assert int((cleaned.isna() | (cleaned != frame)).to_numpy().sum()) == len(log) >= 1
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Step 1" in page and "row" in page and "http://" not in page.replace("http://www.w3.org", "")
    for name in ("schema.yaml", "proposed_rules.yaml", "result.json", "manifest.json"):
        assert (out / name).stat().st_size > 0
    # What it proposes can be given back.
    again = CliRunner().invoke(
        app, ["check", str(source), "--rules", str(out / "proposed_rules.yaml"), "--schema", str(out / "schema.yaml"),
              "--json", "--minutes", "0.1"],
    )  # fmt: skip
    assert again.exit_code == 0, again.output


def test_mistakes_are_told_in_a_sentence(tmp_path, quick):
    source = tmp_path / "mixes.csv"
    mixes(20).to_csv(source, index=False)
    for options, word in (
        (["--target", "nothing"], "no column 'nothing'"),
        (["--kinds", "water"], "is not COLUMN=VALUE"),
        (["--rules", str(tmp_path / "none.yaml")], ""),
    ):
        made = CliRunner().invoke(app, ["check", str(source), *options])
        assert made.exit_code == 2 or isinstance(made.exception, UserError), made.output
        assert word in (str(made.exception) + made.output)


def test_what_is_a_table_is_decided_by_content(tmp_path):
    mixes(5).to_parquet(tmp_path / "mixes.parquet")
    pd.DataFrame({"lattice": [[1.0] * 9], "numbers": [[1]], "frac_coords": [[0.0] * 3]}).to_parquet(
        tmp_path / "crystals.parquet"
    )
    assert is_table(tmp_path / "mixes.parquet") and is_table(tmp_path / "a.csv") and is_table(tmp_path / "a.csv.gz")
    assert not is_table(tmp_path / "crystals.parquet") and not is_table(tmp_path / "quartz.cif")


def test_many_rows_are_judged_in_part_where_time_is_short(monkeypatch, quick):
    monkeypatch.setattr("sozai.knowledge.tables.quality.detector.MOST_ROWS", 150)
    monkeypatch.setattr("sozai.knowledge.tables.quality.detector.LEAST_SECONDS", 1e-6)
    frame = mixes(700)
    frame.loc[600, "water"] *= 100
    table = guessed(frame, "many.csv")
    whole = examine(table, target="strength")
    assert whole.judged is not None and whole.judged.rows == 700
    assert 602 in {finding.row for finding in whole.told}
    part = examine(table, target="strength", seconds=0.01)
    assert part.judged is not None and 150 <= part.judged.rows < 700
    assert any("rows, chosen by chance" in note for note in part.notes)
    assert {finding.row for finding in part.findings} <= set(table.frame.index)
