"""Candidates: rows of the generator's posterior, and better ones near them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sozai.design.tables.domain import Domain
from sozai.design.tables.front import layers
from sozai.design.tables.problem import Problem
from sozai.design.tables.surrogate import Surrogate
from sozai.design.tables.variation import Variation
from sozai.errors import UserError
from sozai.knowledge.tables.ruleset import TableRules
from sozai.materials.tables.table import Column, Note, Table

ROUNDS = 6
CHILDREN = 600
CAUTION = 0.5
"""Level of the interval whose worse end counts in the search: a value that is as likely missed as reached would draw
it to where the model errs in the candidate's favour."""
Progress = Callable[[int, int, str], None]


@dataclass
class Judge:
    """Predicts goals of rows.

    Args:
        problem: the design problem.
        models: by learned quantity.
        domain: of the measured rows.
        level: of the intervals that are shown.
    """

    problem: Problem
    models: Mapping[str, Surrogate]
    domain: Domain
    level: float = 0.9

    def goals(self, frame: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """By goal and further learned quantity: mean, low and high of each row; of computed goals all the same."""
        points = self.problem.encoding(frame)
        made = {name: model.interval(points, self.level) for name, model in self.models.items()}
        for goal in self.problem.goals:
            if not self.problem.is_learned(goal):
                value = self.problem.computed(goal, frame)
                made[goal.text] = (value, value, value)
        return made

    def cautious(self, frame: pd.DataFrame) -> np.ndarray:
        """Scores of rows by goal, the larger the better, of learned goals the worse end of their 50% interval; rows
        that fail a condition on a measured quantity, or have no value, score minus infinity."""
        points = self.problem.encoding(frame)
        scores = []
        for goal in self.problem.goals:
            if self.problem.is_learned(goal):
                mean, spread = self.models[goal.text].predict(points)
                wide = self.models[goal.text].factor(CAUTION) * spread
                if goal.aim == "target":
                    scores.append(-np.abs(mean - goal.value) - wide)
                else:
                    scores.append(goal.score(mean) - wide)
            else:
                scores.append(goal.score(self.problem.computed(goal, frame)))
        made = np.stack(scores, axis=1)
        made[~np.isfinite(made)] = -np.inf
        if self.problem.conditions:
            made[~self.met(frame)] = -np.inf
        return made

    def met(self, frame: pd.DataFrame) -> np.ndarray:
        """Whether the predictions of each row fulfil the conditions on measured quantities."""
        points = self.problem.encoding(frame)
        whole = frame.assign(
            **{name: self.models[name].predict(points)[0] for name in self.problem.outcomes if name in self.models}
        )
        good = np.ones(len(frame), bool)
        for condition in self.problem.conditions:
            good &= ~(condition.amounts(whole) > 0)
        return good


def learned_table(problem: Problem) -> Table:
    """Inputs and measured columns of the rows in which all that is wanted was measured: what a generator learns."""
    rows = problem.inputs
    known = np.all([np.isfinite(what.values) for what in problem.learned.values()], axis=0)
    outcomes = [name for name in problem.outcomes if problem.source.columns[name].numeric]
    frame = rows.frame.assign(**{name: problem.source.frame.loc[rows.frame.index, name] for name in outcomes})
    columns = {**rows.columns, **{name: Column(name, "continuous") for name in outcomes}}
    return replace(rows, frame=frame[known], columns=columns)


def drawn(
    problem: Problem, generator: Any, count: int, seed: int, on_progress: Progress | None = None
) -> tuple[pd.DataFrame, list[Note]]:
    """Rows of a fitted generator: half of them as they come, half under the condition that the goals are good.

    Args:
        problem: the design problem.
        generator: a fitted ``TableGenerator``.
        count: rows to draw.
        seed: same seed, same rows.
        on_progress: called with (done, total, note).

    Returns:
        Inputs of the rows, and what could not be had.
    """
    names = list(problem.source.columns)
    wishes: list[list[str]] = [[]]
    for goal in problem.goals:
        if problem.is_learned(goal):
            values = goal.score(problem.values(goal))
            good = np.nanquantile(values, 0.8)
            if goal.aim == "target":
                wishes.append([f"abs({goal.source(names)} - {goal.value!r}) <= {float(-good)!r}"])
            elif goal.aim == "maximise":
                wishes.append([f"{goal.source(names)} >= {float(good)!r}"])
            else:
                wishes.append([f"{goal.source(names)} <= {float(-good)!r}"])
    frames, notes = [], []
    for place, wish in enumerate(wishes):
        share = count // 2 if place == 0 else count // 2 // max(1, len(wishes) - 1)
        try:
            rows = generator.sample(share, given=wish or None, seed=seed + place, on_progress=on_progress)
            frames.append(rows[list(problem.inputs.columns)])
        except UserError as error:
            notes.append(Note(f"the generator gave no rows{f' with {wish[0]}' if wish else ''}: {error.what}"))
    if not frames:
        return problem.inputs.frame.iloc[:0], notes
    return pd.concat(frames, ignore_index=True).drop_duplicates(ignore_index=True), notes


def lawful_rows(problem: Problem, rules: TableRules) -> pd.DataFrame:
    """Measured rows that obey the rules, or else those brought to obey them.

    Raises:
        UserError: no row can: the conditions contradict each other, the rules, or all that was measured.
    """
    rules.require_possible("--given and rules")
    frame = problem.inputs.frame
    good = rules.obeyed(frame)
    if good.any():
        return frame[good].drop_duplicates(ignore_index=True)
    fixed, good = rules.repair(frame.reset_index(drop=True))
    if good.any():
        return fixed[good].drop_duplicates(ignore_index=True)
    amounts = rules.amounts(frame)
    broken = [rule for place, rule in enumerate(rules.rules) if (amounts[place] > 0).all() and rule.severity == "hard"]
    named = " and ".join(f"'{rule.name}'" for rule in broken[:3]) or "the rules together"
    raise UserError(
        f"no row can be made that fulfils {named}",
        "--given and rules",
        "loosen a condition: within the columns' measured ranges they contradict each other",
    )


def search(
    judge: Judge,
    rules: TableRules,
    start: Sequence[pd.DataFrame],
    *,
    rounds: int = ROUNDS,
    seed: int = 0,
    deadline: float = float("inf"),
    on_progress: Progress | None = None,
) -> pd.DataFrame:
    """Improve rows by variation towards the goals, under all rules and within the domain.

    Args:
        judge: predicts goals.
        rules: hard rules that each row obeys.
        start: lawful rows to begin with.
        rounds: of variation.
        seed: same seed, same rows.
        deadline: of ``time.monotonic``.
        on_progress: called with (done, total, note).

    Returns:
        All rows that were looked at and are new, inputs only.
    """
    rng = np.random.default_rng(seed)
    variation = Variation(judge.problem.inputs, rules)
    pool = pd.concat([frame for frame in start if len(frame)], ignore_index=True).drop_duplicates(ignore_index=True)
    for done in range(rounds):
        if time.monotonic() > deadline and done:
            break
        parents = pool.iloc[best_of(judge, pool, 120)]
        made = variation.children(parents, CHILDREN, rng, step=0.15 / (1 + done))
        pool = pd.concat([pool, made], ignore_index=True).drop_duplicates(ignore_index=True)
        if on_progress:
            on_progress(done + 1, rounds, f"{len(pool)} candidates")
    points, measured = judge.problem.encoding(pool), judge.domain.points
    new = np.linalg.norm(points - measured[_nearest(points, measured)], axis=1) > 1e-6
    return pool[new].reset_index(drop=True)


def best_of(judge: Judge, frame: pd.DataFrame, count: int) -> np.ndarray:
    """Places of the best rows: inside the domain before outside, then by fronts of the cautious scores."""
    scores = judge.cautious(frame)
    inside = judge.domain.inside(judge.problem.encoding(frame))
    possible = np.isfinite(scores).all(axis=1)
    if scores.shape[1] == 1:
        key = -scores[:, 0]
    else:
        key = np.full(len(frame), np.inf)
        if possible.any():
            key[possible] = layers(scores[possible], 2 * count)
    return np.lexsort((key, ~inside, ~possible))[:count]


def _nearest(points: np.ndarray, measured: np.ndarray) -> np.ndarray:
    from sozai.design.tables.domain import nearest

    return nearest(points, measured)
