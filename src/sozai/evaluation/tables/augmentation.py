"""Do synthetic rows help to predict a target from this table? Nested, leak-free, with a verdict in one sentence.

result = augmentation_study(prepare(read_table("uhpc.csv"), "CS"), minutes=10, folder="run/")
result.verdict.sentence
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.evaluation.tables.affordable import Pace, affordable
from sozai.evaluation.tables.clock import Clock, Stop
from sozai.evaluation.tables.learners import LEARNERS, learner
from sozai.evaluation.tables.nested import Setting, gains, judge, measure, ranked
from sozai.evaluation.tables.prepare import Prepared
from sozai.evaluation.tables.recipes import KEEPS, TAUGHT, Fit, Recipe, usual_ratios
from sozai.evaluation.tables.splits import HOWS, Fold, folds, parted
from sozai.evaluation.tables.verdict import Augmentation, decide
from sozai.files import plain
from sozai.generators.base import Progress
from sozai.generators.tables.base import TableGenerator
from sozai.knowledge.tables.ruleset import TableRules
from sozai.materials.tables.table import Table

FEATURES = ("smote", "kde")
TEACHERS = {"boosting": 3.0, "feature-machine": 1.0, "gaussian-process": 0.0}
"""Of ``TAUGHT``: where features are drawn from, and who labels them, with what each counts before errors are known."""
GENERATORS = (TAUGHT, "smote")
"""Compared where none are named."""
OUTER, REPEATS, CURVE = 5, 6, (1 / 3, 2 / 3)
ROWWISE = ("places", "family", "guesses", "losses")
"""What a fold tells of single rows."""
SPLITS_EACH = 3
"""Splits of each harder kind, at most."""


@dataclass
class Study:
    """What a study found.

    Args:
        prepared: rows and columns it is about.
        verdict: the answer.
        folds: of the random splits, each as ``nested.judge`` returns it.
        splits: of the harder kinds, by kind.
        curve: R2 by learner over numbers of training rows: sizes, without, with synthetic rows.
        recipe: the best over all folds; ``None`` where every generator failed.
        notes: what a reader must know.
        failed: generators that could not learn, and why.
        fits: the generators compared, as functions of training rows and a seed.
        complete: whether all that was planned was done.
        stopped: whether by Ctrl-C.
        quality: how good the recipe's rows are, see ``synthetic_quality``.
    """

    prepared: Prepared
    verdict: Augmentation
    folds: list[dict[str, Any]]
    splits: dict[str, list[dict[str, Any]]]
    curve: dict[str, tuple[list[float], list[float], list[float]]]
    recipe: Recipe | None
    notes: list[str]
    failed: dict[str, str]
    fits: Mapping[str, Fit]
    complete: bool = True
    stopped: bool = False
    quality: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, without single predictions."""

        def brief(found: Mapping[str, Any]) -> dict[str, Any]:
            return {key: value for key, value in found.items() if key not in ROWWISE}

        return plain(
            {
                "verdict": self.verdict,
                "target": self.prepared.target,
                "logarithm": self.prepared.log,
                "rows": len(self.prepared.table),
                "families": int(self.prepared.family.max() + 1),
                "features": [name for name in self.prepared.table.modelled if name != self.prepared.target],
                "recipe": self.recipe.key if self.recipe else "",
                "curve": self.curve,
                "folds": [brief(found) for found in self.folds],
                "splits": {how: [brief(found) for found in made] for how, made in self.splits.items()},
                "quality": self.quality,
                "notes": self.notes,
                "failed": self.failed,
                "complete": self.complete,
            }
        )


def augmentation_study(
    prepared: Prepared,
    *,
    learners: Sequence[str] = LEARNERS,
    fits: Mapping[str, Fit] | None = None,
    generators: Sequence[str] = GENERATORS,
    rules: TableRules | None = None,
    minutes: float = 10.0,
    seed: int = 0,
    folder: Path | str | None = None,
    splits: Sequence[str] = HOWS[1:],
    repeats: int = REPEATS,
    sizes: Sequence[float] = CURVE,
    ratios: Sequence[float] | None = None,
    keeps: Sequence[str] = KEEPS,
    on_progress: Progress | None = None,
) -> Study:
    """Measure whether synthetic rows help, without a leak, within the time given.

    Five outer splits (families of rows are never parted), repeated while there is time. Inside each, three inner splits
    choose generator, number of rows and filter; the outer test rows judge that choice once. Generators are functions of
    training rows and a seed, so that none can see a row it is judged on.

    Args:
        prepared: from ``prepare``.
        learners: names, see ``learners``.
        fits: generators as functions; by default those of ``generators``.
        generators: names of table generators.
        rules: that each synthetic row obeys.
        minutes: wall clock; the first two splits are done whatever it says.
        seed: same seed, same splits and rows (how many repeats are done depends on the machine).
        folder: keeps finished splits there, in ``folds.jsonl``, and goes on from them.
        splits: harder kinds to measure too.
        repeats: of the outer splits, at most.
        sizes: shares of the training rows at which to measure the learning curve, besides all.
        ratios: synthetic rows for each real one to compare; by default ``usual_ratios``.
        keeps: filters to compare, see ``recipes.Recipe``.
        on_progress: called with (seconds spent, seconds given, note).

    Raises:
        UserError: no such learner or generator, or every row is of one family.
    """
    import sklearn

    if not learners:
        raise UserError("no learner is named", "learners", f"use some of {', '.join(LEARNERS)}")
    for name in learners:
        learner(name, prepared.table, prepared.target)
    if fits is None:
        fits = {name: generator_fit(name, prepared, rules) for name in generators}
    obeys = None if rules is None else lambda frame: rules.obeyed(prepared.written(frame))
    ratios = tuple(ratios or usual_ratios(len(prepared.table)))
    setting = Setting(tuple(learners), fits, obeys, ratios, tuple(keeps))
    clock = Clock(None if folder is None else Path(folder) / "folds.jsonl", _key(prepared, setting, rules, seed),
                   60 * minutes, on_progress)  # fmt: skip
    notes = list(prepared.notes)
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        return _run(prepared, setting, clock, notes, seed, splits, repeats, sizes)


def generator_fit(name: str, prepared: Prepared, rules: TableRules | None) -> Fit:
    """A generator of the catalog as a function of training rows and a seed.

    Rules about a target that is studied as its logarithm are left to ``Setting.obeys``, which sees the number itself.
    """
    from sozai.evaluation.tables.relabelled import Relabelled
    from sozai.generators.tables import table_generator

    def made() -> TableGenerator:
        if name == TAUGHT:
            return Relabelled([table_generator(each, audit=False) for each in FEATURES], TEACHERS)
        return table_generator(name, audit=False)

    made()  # no such generator: now, not in the first fold
    kept = rules
    if rules is not None and prepared.log:
        kept = TableRules(rule for rule in rules.rules if prepared.target not in getattr(rule, "columns", ()))

    def fit(train: Table, seed: int) -> TableGenerator:
        return made().fit(train, rules=kept, target=prepared.target, seed=seed)

    return fit


def _run(
    prepared: Prepared,
    setting: Setting,
    clock: Clock,
    notes: list[str],
    seed: int,
    hows: Sequence[str],
    repeats: int,
    sizes: Sequence[float],
) -> Study:
    rows, target = len(prepared.table), prepared.target
    # The first round of splits may take half of the time.
    pace = clock.run("pace/0", lambda: asdict(Pace.measured(prepared, setting, seed)), must=True)
    setting, left_out = affordable(setting, Pace(**pace), OUTER, 0.5 * clock.seconds)
    notes += [left_out] if left_out else []
    clock.plan = json.dumps([list(setting.fits), setting.ratios, setting.keeps])
    learners = setting.learners
    judged: list[dict[str, Any]] = []
    harder: dict[str, list[dict[str, Any]]] = {}
    points: list[dict[str, Any]] = []
    complete, stopped = True, False

    def again(repeat: int) -> None:
        for place, fold in enumerate(parted(prepared.family, OUTER, seed + 1000 * repeat)):
            unit = f"random/{repeat}/{place}"
            label = f"repeat {repeat + 1}, {fold.name}"
            work = _judging(prepared, fold, setting, seed + 1000 * repeat + place, clock, label)
            judged.append(clock.run(unit, work, must=len(judged) < 2))

    def curve() -> None:
        recipe = _overall(judged, setting)
        for share in sizes:
            for place, fold in enumerate(parted(prepared.family, OUTER, seed)):
                unit = f"curve/{share:.2f}/{place}"
                part = _smaller(prepared, fold, share, seed + place)
                points.append(clock.run(unit, _measuring(prepared, part, setting, recipe, seed + place, clock)))

    def others() -> None:
        quick = replace(setting, ratios=setting.ratios[:1], keeps=("all",))
        for how in hows:
            for place, fold in enumerate(folds(prepared.table, target, how, SPLITS_EACH, seed)):  # type: ignore[arg-type]
                work = _judging(prepared, fold, quick, seed + place, clock, f"{how}: {fold.name}")
                found = clock.run(f"{how}/{place}", work)
                harder.setdefault(how, []).append(found)

    try:
        again(0)
        for stage in (curve, others):
            try:
                stage()
            except Stop:
                complete = False
        for repeat in range(1, repeats):
            again(repeat)
    except Stop:
        complete = False
    except KeyboardInterrupt:
        if len(judged) < 2:
            raise
        complete, stopped = False, True
    if len(judged) < OUTER * repeats:
        notes.append(
            f"{len(judged)} of {OUTER * repeats} splits were done in the time given; more narrow the interval."
        )
    curves = _curves(judged[:OUTER], points, learners)
    best = _overall(judged, setting)
    failed = {name: why for found in judged for name, why in found.get("failed", {}).items()}
    label = f"log10 {target}" if prepared.log else target
    real_curve = {name: (sizes, without) for name, (sizes, without, _) in curves.items()}
    verdict = decide(judged, learners, best, real_curve, rows, label)
    return Study(prepared, verdict, judged, harder, curves, best, notes, failed, setting.fits, complete, stopped)


def _judging(
    prepared: Prepared, fold: Fold, setting: Setting, seed: int, clock: Clock, label: str
) -> Callable[[], dict[str, Any]]:
    return lambda: judge(prepared, fold, setting, seed, lambda note: clock.tell(f"{label}, {note}"))


def _measuring(
    prepared: Prepared, fold: Fold, setting: Setting, recipe: Recipe | None, seed: int, clock: Clock
) -> Callable[[], dict[str, Any]]:
    def work() -> dict[str, Any]:
        clock.tell(f"learning curve, {len(fold.train)} rows")
        maker = setting.augmenter(prepared, fold.train, seed)
        usable = recipe if recipe and maker.rows(recipe) is not None else None
        found = measure(prepared, fold, maker, usable, setting.learners, seed)
        return {key: value for key, value in found.items() if key not in ROWWISE}

    return work


def _smaller(prepared: Prepared, fold: Fold, share: float, seed: int) -> Fold:
    """The same test rows, and a share of the training rows, whole families."""
    family = prepared.family[fold.train]
    labels = np.random.default_rng(seed).permutation(np.unique(family))
    sizes = np.array([(family == label).sum() for label in labels])
    count = max(3, int(np.searchsorted(np.cumsum(sizes), share * len(family))) + 1)
    return Fold(fold.name, fold.train[np.isin(family, labels[:count])], fold.test)


def _overall(judged: Sequence[Mapping[str, Any]], setting: Setting) -> Recipe | None:
    """The recipe with the best inner scores over all folds, of those that were tried in a third of them or more."""
    sums: dict[str, list[float]] = {}
    for found in judged:
        for key, gain in gains(found["inner"]).items():
            sums.setdefault(key, []).append(gain)
    often = {key: float(np.mean(of)) for key, of in sums.items() if len(of) >= len(judged) / 3}
    keys = ranked({"mean": {"": 0.0, **often}}, setting)
    return Recipe.of(keys[0]) if keys else None


def _curves(
    first: Sequence[Mapping[str, Any]], points: Sequence[Mapping[str, Any]], learners: Sequence[str]
) -> dict[str, tuple[list[float], list[float], list[float]]]:
    """Sizes, R2 without and with synthetic rows, by learner; only sizes that all folds were measured at."""
    found = []
    for start in range(0, len(points), OUTER):
        found.append(points[start : start + OUTER])
    found.append(list(first))
    curves: dict[str, tuple[list[float], list[float], list[float]]] = {name: ([], [], []) for name in learners}
    for group in found:
        if len(group) < len(first):
            continue
        size = float(np.mean([fold["train"] for fold in group]))
        truth = sum(fold["truth"] for fold in group)
        for name in learners:
            curves[name][0].append(size)
            curves[name][1].append(1 - sum(fold["real"][name] for fold in group) / truth)
            whole = all(name in fold["augmented"] for fold in group)
            curves[name][2].append(
                1 - sum(fold["augmented"][name] for fold in group) / truth if whole else float("nan")
            )
    return curves


def _key(prepared: Prepared, setting: Setting, rules: TableRules | None, seed: int) -> str:
    """Changes with whatever would make kept results wrong."""
    said = json.dumps(
        [
            prepared.table.to_dict(), prepared.target, list(setting.learners), list(setting.fits), seed,
            list(setting.ratios), list(setting.keeps), [Recipe.usual(name, 1.0).key for name in setting.fits], FEATURES,
            TEACHERS,
            rules.to_dict() if rules else None,
        ],
        default=str,
    )  # fmt: skip
    rows = pd.util.hash_pandas_object(prepared.table.frame, index=True).to_numpy().tobytes()
    return hashlib.sha256(said.encode() + rows).hexdigest()[:16]
