"""A batch of next experiments: the best candidates, one after the other, each improved under the rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from sozai.design.tables.problem import Problem
from sozai.design.tables.proposals import Acquisition
from sozai.design.tables.search import Judge, best_of
from sozai.design.tables.variation import Variation
from sozai.knowledge.tables.alternatives import Comparison
from sozai.knowledge.tables.ruleset import TableRules

POOL = 240
"""Candidates among which each experiment is chosen."""
AGAIN = 60
"""Candidates that are valued again once others are chosen: a gain only falls by what is already decided on."""
FARTHEST = 2.0
"""From the measured rows, in units of the domain's limit."""
STEPS, CHILDREN = 2, 40
"""Rounds of improvement of each chosen experiment, and rows tried in each."""


def next_batch(
    judge: Judge,
    rules: TableRules,
    pool: pd.DataFrame,
    count: int,
    seed: int = 0,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> pd.DataFrame:
    """``count`` experiments that together promise most, with their gain (column ``gain``, logarithmic).

    Every second one, the first among them, is to be like the measured rows where there is any such candidate: what
    promises most is otherwise always what least is known of.

    Args:
        judge: fitted predictors.
        rules: hard rules that each obeys.
        pool: candidates of the generator and the search.
        count: experiments to propose.
        seed: same seed, same proposals.
        on_progress: called with (done, total, note).
    """
    if not count or not len(pool):
        return pool.iloc[:0].assign(gain=pd.Series(dtype=float))
    problem, rng = judge.problem, np.random.default_rng(seed)
    acquisition = acquisition_of(judge, seed)
    variation = Variation(problem.inputs, rules)
    # The best by prediction, and some of all others: what is uncertain may be worth more than what is good.
    best = best_of(judge, pool, POOL // 2)
    others = rng.permutation(np.setdiff1d(np.arange(len(pool)), best))[: POOL - len(best)]
    rows = pool.iloc[np.concatenate([best, others])].reset_index(drop=True)
    chosen: list[pd.DataFrame] = []
    gains: list[float] = []
    for done in range(count):
        values = _values(acquisition, problem, rows)
        like = judge.domain.distance(problem.encoding(rows)) <= 1.0
        reach = 1.0 if done % 2 == 0 and like.any() else FARTHEST
        pick = int(np.argmax(np.where(like, values, -np.inf) if reach == 1.0 else values))
        row, gain = rows.iloc[[pick]], float(values[pick])
        for step in range(STEPS):
            near = pd.concat([row, rows.iloc[np.argsort(-values)[:30]]], ignore_index=True)
            children = variation.children(near, CHILDREN, rng, step=0.08 / (1 + step))
            children = (
                children[judge.domain.distance(problem.encoding(children)) <= reach] if len(children) else children
            )
            if len(children):
                tried = _values(acquisition, problem, children)
                if tried.max() > gain:
                    row, gain = children.iloc[[int(np.argmax(tried))]], float(tried.max())
        chosen.append(row)
        gains.append(gain)
        taken = problem.encoding(pd.concat(chosen))
        acquisition.pend(taken, _computed(problem, pd.concat(chosen)))
        gap = np.linalg.norm(problem.encoding(rows)[:, None] - taken[None], axis=2).min(axis=1)
        left = np.flatnonzero(gap > 1e-9)  # an experiment is not proposed twice
        rows = rows.iloc[left[np.argsort(-values[left], kind="stable")][:AGAIN]].reset_index(drop=True)
        if on_progress:
            on_progress(done + 1, count, "next experiments")
        if not len(rows):
            break
    return pd.concat(chosen, ignore_index=True).assign(gain=gains)


def acquisition_of(judge: Judge, seed: int = 0) -> Acquisition:
    """The acquisition for the problem's goals, given the judge's models."""
    problem = judge.problem
    names = list(judge.models)
    known = np.all([np.isfinite(problem.learned[name].values) for name in names], axis=0)
    frame = problem.inputs.frame[known]
    goals = problem.goals
    computed = [goal for goal in goals if not problem.is_learned(goal)]
    place = [names.index(g.text) if problem.is_learned(g) else -1 - computed.index(g) for g in goals]
    return Acquisition(
        [judge.models[name].process for name in names],
        [(judge.models[name].middle, judge.models[name].scale) for name in names],
        goals,
        place,
        problem.encoding(frame),
        _computed(problem, frame),
        np.stack([problem.values(goal)[known] for goal in goals], axis=1),
        judge.models[names[0]].by_tree if len(goals) == 1 and len(names) == 1 else None,
        _limits(judge, names),
        seed,
    )


def _values(acquisition: Acquisition, problem: Problem, frame: pd.DataFrame) -> np.ndarray:
    values = acquisition(problem.encoding(frame), _computed(problem, frame))
    return np.where(np.isfinite(values), values, -np.inf)


def _computed(problem: Problem, frame: pd.DataFrame) -> np.ndarray:
    made = [problem.computed(goal, frame) for goal in problem.goals if not problem.is_learned(goal)]
    return np.stack(made, axis=1) if made else np.zeros((len(frame), 0))


def _limits(judge: Judge, names: list[str]) -> list[Callable[[Any], Any]]:
    """Linear conditions on measured columns as BoTorch wants them: at most 0 where they hold.

    A condition that also reads inputs, or is not linear, is left to the choice of the pool.
    """
    made: list[Callable[[Any], Any]] = []
    for condition in judge.problem.conditions:
        choices = condition.alternatives() or ()
        for part in choices[0] if len(choices) == 1 else ():
            linear = part.linear if isinstance(part, Comparison) else None
            if linear is None or linear.sign == "=" or not set(linear.coefficients) <= set(names):
                continue
            terms = [(names.index(name), weight) for name, weight in linear.coefficients.items()]

            def limit(samples: Any, terms: Any = terms, constant: float = linear.constant) -> Any:
                total = constant
                for k, weight in terms:
                    model = judge.models[names[k]]
                    total = total + weight * (samples[..., k] * model.scale + model.middle)
                return total

            made.append(limit)
    return made
