"""The augmentation study: splits that do not leak, generators that see training rows only, intervals, the command."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from sozai.errors import UserError
from sozai.evaluation.tables.affordable import Pace, affordable
from sozai.evaluation.tables.augmentation import augmentation_study, generator_fit
from sozai.evaluation.tables.feature_machine import FeatureMachine
from sozai.evaluation.tables.learners import ALSO, LEARNERS, GaussianProcess, learner
from sozai.evaluation.tables.nested import Setting, judge, measure, ranked
from sozai.evaluation.tables.prepare import prepare
from sozai.evaluation.tables.recipes import TAUGHT, Augmenter, Recipe, learned, usual_ratios
from sozai.evaluation.tables.relabelled import Relabelled, shares_of
from sozai.evaluation.tables.splits import HOWS, conditions, folds, groups, parted, same_formula
from sozai.evaluation.tables.usual import Prior
from sozai.evaluation.tables.verdict import Losses, decide, ten_more
from sozai.generators.tables import table_generator
from sozai.materials.tables.read import guessed


def mixes(rows: int = 60, seed: int = 0) -> pd.DataFrame:
    """Mixes, each tested at three ages."""
    rng = np.random.default_rng(seed)
    count = rows // 3
    base = pd.DataFrame(
        {
            "cement": rng.uniform(200, 500, count),
            "water": rng.uniform(120, 220, count),
            "ash": np.where(rng.random(count) < 0.65, 0.0, rng.uniform(20, 120, count)),
        }
    )
    frame = base.loc[base.index.repeat(3)].reset_index(drop=True)
    frame["age"] = np.tile([3.0, 7.0, 28.0], count)
    strength = 0.1 * frame["cement"] - 0.15 * frame["water"] + 8 * np.log(frame["age"]) + 0.02 * frame["ash"]
    frame["strength"] = strength + rng.normal(0, 1.5, len(frame)) + 20
    return frame


class Noted:
    """A generator that copies its rows and notes which it was given."""

    seen: ClassVar[list[set[float]]] = []

    def __init__(self, train):
        self.frame = train.frame[train.modelled]
        Noted.seen.append(set(self.frame["strength"]))

    def sample(self, count, given=None, seed=0, on_progress=None):
        return self.frame.sample(count, replace=True, random_state=seed).reset_index(drop=True)


def test_one_mix_at_several_ages_is_one_family():
    table = guessed(mixes())
    assert conditions(table, "strength") == ["age"]
    family = groups(table, "strength")
    assert len(np.unique(family)) == 20
    assert (family.reshape(20, 3) == family.reshape(20, 3)[:, :1]).all()


def test_near_copies_and_equal_formulas_are_families_and_grids_are_not():
    frame = mixes().drop(columns="age").iloc[::3].reset_index(drop=True)
    frame = pd.concat([frame, frame.assign(cement=frame["cement"] + 1e-3)], ignore_index=True)
    family = groups(guessed(frame), "strength")
    assert (family[:20] == family[20:]).all() and len(np.unique(family)) == 20
    names = ["LiCoO2", "Li2Co2O4", "LiFePO4", "Li3PO4"] * 5
    alloys = guessed(pd.DataFrame({"formula": names, "x": np.arange(20.0) ** 1.5, "y": np.arange(20.0)}),
                     kinds={"formula": "formula"})  # fmt: skip
    found = groups(alloys, "y")
    assert found[0] == found[1] != found[2] and len(np.unique(found)) == 3
    grid = pd.DataFrame([(a, b, c) for a in range(4) for b in range(4) for c in range(4)], columns=list("abc"))
    assert conditions(guessed(grid.assign(y=grid.sum(1) * 1.1)), "y") == []
    assert same_formula("Al1 Co1") == same_formula("AlCo") and same_formula("Ca(OH)2") == same_formula("CaO2H2")


@given(st.lists(st.integers(0, 15), min_size=8, max_size=60), st.integers(2, 6), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_folds_cover_all_rows_once_and_part_no_family(labels, count, seed):
    family = np.unique(labels, return_inverse=True)[1]
    made = parted(family, count, seed)
    assert np.array_equal(np.sort(np.concatenate([fold.test for fold in made])), np.arange(len(family)))
    for fold in made:
        assert not set(family[fold.train]) & set(family[fold.test])
        assert len(fold.train) + len(fold.test) == len(family)


def test_every_kind_of_split_keeps_families_whole_and_leaves_out_what_it_says():
    table = guessed(mixes(120))
    family = groups(table, "strength")
    for how in HOWS:
        made = folds(table, "strength", how, 4, 0)
        assert made, how
        for fold in made:
            assert not set(family[fold.train]) & set(family[fold.test])
    ash = next(fold for fold in folds(table, "strength", "element") if fold.name == "without ash")
    values = table.frame["ash"].to_numpy()
    assert (values[ash.test] > 0).all() and (values[ash.train] == 0).all()
    top = folds(table, "strength", "extrapolation")[0]
    strength = table.frame["strength"].to_numpy()
    assert strength[top.test].mean() > strength[top.train].mean() + 3
    with pytest.raises(UserError):
        folds(table, "strength", "sideways")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_take_categories_blanks_and_unseen_levels(name):
    frame = mixes()
    frame["kind"] = ["a", "b", None] * 20
    frame.loc[::7, "water"] = np.nan
    table = guessed(frame)
    model = learner(name, table, "strength").fit(table.frame, table.frame["strength"].to_numpy())
    new = table.frame.assign(kind="never seen", ash=np.nan)
    assert np.isfinite(model.predict(new)).all()
    assert np.corrcoef(model.predict(table.frame), frame["strength"])[0, 1] > 0.8


def test_generators_never_see_a_row_they_are_judged_on():
    prepared = prepare(guessed(mixes()), "strength")
    fold = parted(prepared.family, 5, 0)[0]
    Noted.seen.clear()
    setting = Setting(("ridge",), {"noted": lambda train, seed: Noted(train)}, keeps=("all",))
    judge(prepared, fold, setting, 0)
    hidden = set(prepared.values[fold.test])
    assert len(Noted.seen) == 4  # three inner folds and the outer one
    assert all(not seen & hidden for seen in Noted.seen)


def test_filters_keep_the_better_half_and_rules_throw_rows_away():
    prepared = prepare(guessed(mixes()), "strength")
    train = prepared.table

    class Wild(Noted):
        def sample(self, count, given=None, seed=0, on_progress=None):
            made = super().sample(count, seed=seed)
            far = np.arange(count) % 2 == 0
            return made.assign(cement=made["cement"] + 5000 * far, strength=made["strength"] + 500 * far)

    maker = Augmenter(train, "strength", {"wild": lambda t, s: Wild(t)}, None, 0)
    for keep in ("near", "confident"):
        rows = maker.rows(Recipe("wild", 1.0, keep))
        assert len(rows) == len(train) and (rows["cement"] < 1000).all(), keep
    ruled = Augmenter(train, "strength", {"wild": lambda t, s: Wild(t)}, lambda f: (f["cement"] < 1000).to_numpy(), 0)
    assert (ruled.rows(Recipe("wild", 4.0))["cement"] < 1000).all()
    assert Recipe.of(Recipe("wild", 4.0, "near", 0.5).key) == Recipe("wild", 4.0, "near", 0.5)
    assert Recipe.usual(TAUGHT, 2.0).weight < 1 == Recipe.usual("wild", 2.0).weight

    def fails(train, seed):
        raise UserError("too few rows")

    broken = Augmenter(train, "strength", {"none": fails}, None, 0)
    assert broken.rows(Recipe("none")) is None and "too few rows" in broken.failed["none"]


def _folds(seed: int, means: dict[str, tuple[float, float]], noise: float = 0.2, rows: int = 50) -> list[dict]:
    """Two repeats of five splits; squared errors of each learner without and with synthetic rows, paired by row."""
    rng = np.random.default_rng(seed)
    hard = rng.chisquare(1, rows)  # what is hard for one is hard for all
    found = []
    for repeat in range(2):
        for test in np.array_split(np.random.default_rng(repeat).permutation(rows), 5):
            losses = {
                name: [(hard[test] * mean * (1 + noise * rng.normal(size=len(test)))).tolist() for mean in pair]
                for name, pair in means.items()
            }
            found.append({
                "test": len(test), "train": rows - len(test), "truth": float(len(test)), "places": test.tolist(),
                "family": test.tolist(), "losses": losses,
                "real": {name: sum(both[0]) for name, both in losses.items()},
                "augmented": {name: sum(both[1]) for name, both in losses.items()},
            })  # fmt: skip
    return found


def test_another_recipe_must_be_better_than_the_first_by_more_than_luck():
    setting = Setting(("ridge",), {TAUGHT: lambda t, s: Noted(t), "smote": lambda t, s: Noted(t)}, ratios=(4.0, 2.0))
    plain, near = Recipe.usual(TAUGHT, 4.0).key, Recipe.usual(TAUGHT, 4.0, "near").key
    fewer, other = Recipe.usual(TAUGHT, 2.0).key, Recipe.usual("smote", 4.0).key
    luck = {"": 0.5, plain: 0.52, near: 0.54, fewer: 0.53, other: 0.53}
    assert ranked({"ridge": luck}, setting)[0] == plain
    for key in (near, fewer, other):
        assert ranked({"ridge": {**luck, key: 0.56}}, setting)[0] == key


def test_the_verdict_follows_the_folds():
    helped = _folds(0, {"forest": (0.4, 0.2), "ridge": (0.5, 0.6)})
    recipe = Recipe("X", 2.0)
    verdict = decide(helped, ("forest", "ridge"), recipe, {}, 50, "y")
    assert verdict.use and verdict.learner == verdict.best_real == "forest" and verdict.recipe == str(recipe)
    assert verdict.sentence.startswith(f"Augmentation with {recipe} raises R2 for y") and verdict.best.expected > 0.05
    weaker = _folds(0, {"forest": (0.9, 0.6), "ridge": (0.3, 0.4)})
    curve = {"ridge": ([20.0, 40.0], [0.5, 0.6])}
    verdict = decide(weaker, ("forest", "ridge"), recipe, curve, 40, "y")
    assert not verdict.use and verdict.learner == "ridge" and "ten more experiments" in verdict.sentence
    assert "If it must be forest, X (2 synthetic" in verdict.sentence
    assert verdict.ten_more == pytest.approx(0.1 / np.log(2) * np.log(1.25))
    assert ten_more([10.0], [0.2], 10) is None and ten_more([10.0, 20.0], [0.5, 0.4], 20) == 0.0
    flat = decide(weaker, ("forest", "ridge"), recipe, {"ridge": ([20.0, 40.0], [0.6, 0.6])}, 40, "y")
    assert "ten more experiments would hardly either (less than 0.001 R2). Train ridge" in flat.sentence
    failed = [{**fold, "augmented": {}} for fold in weaker]
    verdict = decide(failed, ("forest", "ridge"), None, {}, 40, "y")
    assert not verdict.use and verdict.best is None and not verdict.gains and "no generator" in verdict.sentence


def test_of_one_learner_the_verdict_is_whether_synthetic_rows_help_it():
    """Also where another learner is better than it is with them."""
    folds = _folds(0, {"boosting": (0.8, 0.5), "ridge": (0.2, 0.3)})
    verdict = decide(folds, ("boosting",), Recipe("X"), {}, 50, "y")
    assert verdict.use and verdict.learner == "boosting" and verdict.best == verdict.gains[0]
    assert "can be expected to help boosting to predict y" in verdict.sentence
    assert 0 < verdict.best.weight < 1 and f"by {verdict.best.weight:.0%}" in verdict.sentence
    verdict = decide(folds, ("ridge",), Recipe("X"), {"ridge": ([20.0, 40.0], [0.5, 0.6])}, 50, "y")
    assert not verdict.use and verdict.sentence.startswith("Augmentation does not help ridge to predict y")
    assert "ten more experiments" in verdict.sentence and "Train ridge on the real rows alone" in verdict.sentence
    same = _folds(0, {"forest": (0.5, 0.522)})
    verdict = decide(same, ("forest",), Recipe(TAUGHT), {}, 50, "y")
    assert not verdict.use and "cannot tell" in verdict.sentence


def test_no_row_is_judged_by_a_choice_it_took_part_in():
    """Among many equally good candidates the luckiest seems better, unless it is chosen without the rows judged on."""
    lucky, honest = [], []
    for seed in range(20):
        names = [f"learner {k}" for k in range(6)]
        folds = _folds(seed, dict.fromkeys(names, (0.5, 0.5)), noise=0.5)
        losses = Losses(folds, names)
        honest.append(losses.compared("best", 50, losses.real()[:1], losses.picks).share)
        first, best = losses.real()[0], losses.best(losses.picks)
        lucky.append(1 - losses.by_row[best].sum() / losses.by_row[first].sum())
    assert np.mean(lucky) > 0.05 > 0.01 > np.mean(honest)


@given(st.floats(-0.5, 0.5), st.floats(0.001, 0.5), st.integers(20, 500))
@settings(max_examples=50, deadline=None)
def test_the_posterior_lies_between_what_is_usual_and_what_was_measured(measured, error, rows):
    prior = Prior(0.02, -0.01, 0.05, 1.2, 0.01)
    usual = 0.02 - 0.01 * np.log2(np.clip(rows, 50, 200) / 100)
    mean, spread = prior.posterior(rows, measured, error)
    assert min(usual, measured) - 1e-9 <= mean <= max(usual, measured) + 1e-9 and 0 < spread < 0.05
    assert prior.posterior(rows, measured, 2 * error)[1] > spread


def test_a_gaussian_process_stays_near_what_was_measured():
    """Few rows of many features that jump: likelihood alone takes them for a steep plane."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(50, 13)), columns=[f"x{k}" for k in range(13)])
    frame["y"] = 3 * frame["x0"] + rng.normal(size=50)
    for name in ("gaussian-process", "ridge"):
        model = learner(name, guessed(frame), "y").fit(frame, frame["y"].to_numpy())
        guess = model.predict(frame * 100)
        assert np.ptp(guess) <= 1.2 * np.ptp(frame["y"]) + 1e-9


def test_taught_rows_say_what_their_teachers_expect():
    prepared = prepare(guessed(mixes()), "strength")
    generator = generator_fit(TAUGHT, prepared, None)(prepared.table, 0)
    assert usual_ratios(50)[0] == 32 and usual_ratios(200)[0] == 8 and usual_ratios(10**5) == (2.0, 1.0)
    made = generator.sample(41, seed=1)
    assert len(made) == 41 and made.equals(generator.sample(41, seed=1))
    both = Relabelled([table_generator(name, audit=False) for name in ("gmm", "smote")], {"gaussian-process": 1.0})
    mixed = both.fit(prepared.table, target="strength").sample(41, seed=1)
    for place, each in enumerate(both.features):
        alone = each.sample(21, seed=1)["cement"]
        assert np.allclose(mixed["cement"].iloc[place::2], alone.iloc[: len(mixed.iloc[place::2])])
    for name in ("boosting", "feature-machine"):
        expected = learner(name, prepared.table, "strength").fit(prepared.table.frame, prepared.values)
        assert np.corrcoef(made["strength"], expected.predict(made))[0, 1] > 0.9
    assert prepared.values.min() <= made["strength"].min() and made["strength"].max() <= prepared.values.max()


def test_teachers_count_by_what_they_predict_of_rows_they_have_not_seen():
    """On a plane the line knows best; a step it does not know, and has not earned a share by; of copies in other folds
    nobody profits."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 4)), columns=list("abcd"))
    weights = {}
    for name, values in (
        ("plane", frame @ [3.0, 2.0, 1.0, 4.0]),
        ("step", 5.0 * ((frame["a"] > 0) ^ (frame["b"] > 0))),
    ):
        table = guessed(frame.assign(y=values + 0.1 * rng.normal(size=60)))
        taught = Relabelled([table_generator("gmm", audit=False)], {"boosting": 3.0, "forest": 1.0, "ridge": 0.0})
        weights[name] = taught.fit(table, target="y").weights
        assert sum(weights[name].values()) == pytest.approx(1)
    assert weights["plane"]["ridge"] > 0.1 and weights["step"]["ridge"] == 0
    noise = frame.assign(y=rng.normal(size=60))
    copied = guessed(pd.concat([noise] * 3, ignore_index=True))
    taught = Relabelled([table_generator("gmm", audit=False)], {"forest": 1.0, "ridge": 1.0})
    assert taught.fit(copied, target="y").weights["ridge"] > 0.4  # a forest would know the copies by heart


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(5, 60), st.integers(0, 10**6))
def test_shares_of_teachers_lie_between_the_usual_and_the_best_ones(models, rows, seed):
    rng = np.random.default_rng(seed)
    errors = rng.normal(size=(models, rows)) * rng.uniform(0.2, 2, size=(models, 1))
    usual = rng.dirichlet(np.ones(models))

    def lost(shares):
        return float(((shares @ errors) ** 2).mean())

    found = [shares_of(errors, usual, firm) for firm in (1e-6, 1.0, 100.0, 1e4)]
    for shares in found:
        assert shares.min() >= 0 and shares.sum() == pytest.approx(1)
    # The firmer, the nearer to the usual ones and the further from the least error; never worse than the usual ones.
    far = [float(((shares - usual) ** 2).sum()) for shares in found]
    assert all(near <= wide + 1e-6 for wide, near in pairwise(far))
    assert all(first <= then + 1e-6 for first, then in pairwise([lost(shares) for shares in found]))
    assert lost(found[-1]) <= lost(usual) + 1e-6 and far[-1] < 1e-2
    assert lost(found[0]) <= min((errors**2).mean(1)) + 1e-5


def test_a_feature_machine_finds_the_columns_that_matter_and_takes_weights():
    """One column of eight matters; rows that weigh little bend the function little."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(160, 8))
    target = np.sin(2 * features[:, 2])
    machine = FeatureMachine().fit(features[:60], target[:60])
    assert machine.metric_.argmax() == 2 and machine.metric_[2] > 3
    left = ((machine.predict(features[60:]) - target[60:]) ** 2).mean() / target[60:].var()
    plain = GaussianProcess().fit(features[:60], target[:60]).predict(features[60:])
    assert left < 0.6 * ((plain - target[60:]) ** 2).mean() / target[60:].var()
    many = FeatureMachine().fit(np.tile(features[:, :3], (4, 1)), np.tile(target, 4))  # more than are searched on
    assert np.abs(many.predict(features[:, :3]) - target).max() < 0.2
    for constant in (np.zeros((6, 2)), rng.normal(size=(6, 2))):
        assert np.allclose(FeatureMachine().fit(constant, np.full(6, 3.0)).predict(constant), 3.0)
    wrong = target[:60] + 3 * (np.arange(60) >= 30)

    def bent(weight):
        weights = np.where(np.arange(60) < 30, 1.0, weight)
        guess = FeatureMachine().fit(features[:60], wrong, sample_weight=weights).predict(features[:30])
        return float(((guess - target[:30]) ** 2).mean())

    assert bent(0.01) < 0.5 * bent(1.0)


@pytest.mark.parametrize("name", [*(name for name in LEARNERS if name != "ensemble"), *ALSO])
def test_synthetic_rows_count_less_the_less_they_weigh(name):
    """The same features with other labels: a learner predicts the weighted mean of both."""
    table = guessed(mixes())
    wrong = table.frame[table.modelled].assign(strength=table.frame["strength"] + 40)
    alone = learned(name, table, "strength", None, 0).predict(table.frame).mean()
    for weight in (1e-3, 0.25, 1.0):
        pulled = learned(name, table, "strength", wrong, 0, weight).predict(table.frame).mean() - alone
        assert pulled == pytest.approx(40 * weight / (1 + weight), abs=2), weight


def test_the_ensemble_is_the_mean_of_its_members_and_constant_columns_do_no_harm():
    prepared = prepare(guessed(mixes()), "strength")
    fold = parted(prepared.family, 5, 0)[0]
    setting = Setting(LEARNERS, {"noted": lambda train, seed: Noted(train)})
    maker = setting.augmenter(prepared, fold.train, 0)
    recipe = Recipe("noted", 2.0)
    whole = measure(prepared, fold, maker, recipe, LEARNERS, 0)
    alone = measure(prepared, fold, maker, recipe, ("ensemble",), 0)
    assert np.allclose(whole["guesses"]["ensemble"], alone["guesses"]["ensemble"], atol=1e-3)
    same = guessed(mixes().assign(cement=300.0))
    for name in LEARNERS:
        features = same.select(["cement", "strength"])
        assert np.isfinite(
            learner(name, features, "strength").fit(same.frame, same.frame["strength"]).predict(same.frame)
        ).all()


def test_preparing_says_what_it_leaves_out_and_judges_inequalities_one_sided():
    frame = mixes().assign(**{"Sample ID": range(60), "strength psi": lambda f: f["strength"] * 145, "empty": np.nan})
    frame["strength"] = 10 ** (frame["strength"] / 10)
    frame.loc[0, "strength"] = np.nan
    table = guessed(frame)
    below = pd.Series(0, index=table.frame.index)
    below.iloc[1] = -1
    prepared = prepare(replace(table, limits={"strength": below}), "strength")
    told = " ".join(prepared.notes)
    assert "1 of 60 rows" in told and "Sample ID" in told and "strength psi" in told and "inequalities" in told
    assert prepared.log and prepared.values.max() < 10
    assert prepared.misses(np.array([prepared.values[0] - 1]), np.array([0]))[0] == 0.0
    assert prepared.misses(np.array([prepared.values[0] + 1]), np.array([0]))[0] == pytest.approx(1.0)
    back = prepared.written(prepared.table.frame)["strength"].to_numpy()
    assert np.allclose(back, frame["strength"].iloc[1:])


def test_targets_that_cannot_be_studied_are_told():
    frame = mixes().assign(constant=1.5, word=[f"name {k}" for k in range(60)])
    table = guessed(frame)
    for target, words in (("constant", "same in all rows"), ("word", "column of numbers"), ("nowhere", "no column")):
        with pytest.raises(UserError, match=words):
            prepare(table, target)
    with pytest.raises(UserError, match="too few"):
        prepare(table.rows(range(10)), "strength")
    with pytest.raises(UserError, match="no learner"):
        augmentation_study(prepare(table, "strength"), learners=("oracle",), minutes=0.01)
    with pytest.raises(UserError, match="no generator"):
        augmentation_study(prepare(table, "strength"), generators=("oracle",), minutes=0.01)


def test_a_study_is_repeatable_and_goes_on_from_its_folder(tmp_path):
    prepared = prepare(guessed(mixes()), "strength")
    options = {
        "learners": ("ridge",),
        "generators": ("smote",),
        "minutes": 1,
        "repeats": 1,
        "sizes": (),
        "splits": (),
        "ratios": (1.0,),
        "keeps": ("all",),
    }
    first = augmentation_study(prepared, folder=tmp_path, **options)
    lines = (tmp_path / "folds.jsonl").read_text()
    again = augmentation_study(prepared, folder=tmp_path, **options)
    assert (tmp_path / "folds.jsonl").read_text() == lines  # nothing was done twice
    other = augmentation_study(prepared, **options)
    assert first.verdict == again.verdict == other.verdict
    assert len(first.folds) == 5 and first.verdict.gains[0].folds == 5


def test_more_time_does_not_take_over_what_less_time_compared(tmp_path):
    prepared = prepare(guessed(mixes()), "strength")
    options = {"learners": ("ridge",), "generators": ("smote", "kde"), "repeats": 1, "sizes": (), "splits": (),
               "ratios": (1.0,), "keeps": ("all",), "folder": tmp_path}  # fmt: skip
    hurried = augmentation_study(prepared, minutes=1e-6, **options)
    assert any("only rows of smote" in note for note in hurried.notes)
    found = augmentation_study(prepared, minutes=1, **options)
    assert all(any(key.startswith("kde") for key in fold["inner"]["ridge"]) for fold in found.folds)


def test_the_command_writes_a_report_and_names_mistakes(tmp_path):
    from sozai.cli.app import app

    source = tmp_path / "mixes.csv"
    mixes().to_csv(source, index=False)
    words = ["augment", str(source), "--target", "strength", "--learner", "ridge", "--generator", "smote", "--minutes",
             "0.1", "--write", "--json", "--out", str(tmp_path / "run")]  # fmt: skip
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    result = json.loads(done.output[done.output.index("{") :])
    assert result["verdict"]["sentence"].startswith("Augmentation")
    rows = pd.read_csv(tmp_path / "run" / "augmented.csv")
    assert (rows["origin"] == "real").sum() == 60 and rows["origin"].str.startswith("synthetic: smote").sum() >= 30
    assert (rows["sample_weight"] == 1.0).all()  # only taught rows count less
    page = (tmp_path / "run" / "report.html").read_text()
    assert "With and without synthetic rows" in page and "How far it carries" in page
    bad = CliRunner().invoke(
        app, ["augment", str(source), "--target", "strength", "--minutes", "0", "--out", str(tmp_path)]
    )
    assert bad.exit_code == 2 and "minutes" in bad.output


def test_a_gaussian_process_learns_its_scales_from_measured_rows():
    """Labels that a model made, here all alike, must not tell how rough the measured property is."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(240, 3))
    target = np.where(np.arange(240) < 40, np.sin(3 * features[:, 0]), 0.0)
    weights = np.where(np.arange(240) < 40, 1.0, 0.3)
    alone = GaussianProcess(seed=0).fit(features[:40], target[:40])
    both = GaussianProcess(seed=0).fit(features, target, sample_weight=weights)
    assert np.allclose(both.model_.kernel_.theta, alone.model_.kernel_.theta)
    flat = GaussianProcess(seed=0).fit(features, target)
    assert not np.allclose(flat.model_.kernel_.theta, alone.model_.kernel_.theta, atol=0.05)


def test_a_gaussian_process_forgets_no_measured_row_for_made_ones(monkeypatch):
    monkeypatch.setattr("sozai.evaluation.tables.learners.GP_MOST_ROWS", 60)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 2))
    weights = np.where(rng.permutation(400) < 40, 1.0, 0.3)
    found = GaussianProcess(seed=0).fit(features, features[:, 0], sample_weight=weights).model_.X_train_
    assert len(found) == 60
    assert {tuple(row) for row in features[weights == 1]} <= {tuple(row) for row in found}


def test_less_time_compares_less_and_long_fits_are_not_measured_twice(monkeypatch):
    setting = Setting(("ridge",), {"taught": None, "smote": None}, ratios=(8.0, 4.0), keeps=("all", "near"))
    pace = Pace(real=1.0, most=5.0, ratio=8.0)
    assert pace.fits(4.0) == 3.0
    plans = [affordable(setting, pace, 5, seconds)[0] for seconds in (1e6, 350.0, 1.0)]
    assert plans[0] is setting
    times = [pace.fold(plan) for plan in plans]
    assert times[0] > times[1] > times[2] and 5 * times[1] < 350
    assert list(plans[2].fits) == ["taught"] and "more --minutes" in affordable(setting, pace, 5, 1.0)[1]
    prepared = prepare(guessed(mixes()), "strength")
    monkeypatch.setattr("sozai.evaluation.tables.affordable.LONG", 0.0)
    found = Pace.measured(prepared, setting, seed=0)
    assert found.most == pytest.approx(9 * found.real)
