"""How well the predictor does on rows it has not seen: like the measured ones, of another region, and beyond them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from sozai.design.tables.problem import Problem
from sozai.design.tables.surrogate import Surrogate
from sozai.errors import UserError
from sozai.evaluation.tables.splits import HOWS, folds
from sozai.materials.tables.table import Column, Group

QUESTIONS = {
    "random": "new rows like the measured ones",
    "cluster": "a region left out",
    "element": "an element or ingredient left out",
    "extrapolation": "beyond the measured values",
}
MOST_ROWS = 1500
"""Rows that the trial looks at; of more, a random share."""


def generalization(
    problem: Problem,
    name: str,
    *,
    level: float = 0.9,
    n: int = 4,
    seed: int = 0,
    deadline: float = float("inf"),
    on_progress: Callable[[int, int, str], None] | None = None,
) -> list[dict[str, Any]]:
    """R2, mean absolute error and coverage of the intervals on held-out rows, by kind of split.

    Each fold fits a predictor of its own on its training rows; families are never parted, see
    ``evaluation.tables.splits``.

    Args:
        problem: the design problem.
        name: of the learned quantity.
        level: of the intervals.
        n: folds a split.
        seed: same seed, same folds.
        deadline: of ``time.monotonic``; folds that come too late are left out, and told by ``folds``.
        on_progress: called with (done, total, note).

    Returns:
        One entry a split: ``how``, ``question``, ``folds`` (done), ``r2``, ``mae``, ``coverage``, ``rows``, and of the
        random split ``truth``, ``mean``, ``low``, ``high`` by row for the parity plot.
    """
    values = problem.learned[name].values
    known = np.flatnonzero(np.isfinite(values))
    if len(known) > MOST_ROWS:
        known = np.sort(np.random.default_rng(seed).choice(known, MOST_ROWS, replace=False))
    target = f"{name} (measured)"
    rows = problem.inputs.rows(known)
    frame = rows.frame.assign(**{target: values[known]})
    table = replace(rows, frame=frame, columns={**rows.columns, target: Column(target, "continuous")})
    if problem.elements is not None:  # the splits know elements by the formula
        from sozai.design.tables.formulas import Elements

        elements: Elements = problem.elements
        parts = set(elements.parts.values())
        formulas = elements.formulas(frame)
        columns = {elements.column: Column(elements.column, "formula")} | {
            key: column for key, column in table.columns.items() if key not in parts
        }
        groups: tuple[Group, ...] = tuple(g for g in table.groups if not set(g.columns) & parts)
        table = replace(
            table, frame=frame.assign(**{elements.column: formulas})[list(columns)], columns=columns, groups=groups
        )
    points = problem.encoding(rows.frame)
    plan = []
    for how in HOWS:
        try:
            plan.append((how, folds(table, target, how, n, seed)))
        except UserError:  # a single family: nothing can be held out
            plan.append((how, []))
    # One fold of each split, then the next of each: when the time is up, every question has its answer.
    queue = [(how, fold) for turn in range(n) for how, splits in plan for fold in splits[turn : turn + 1]]
    judged: dict[str, list[tuple[Any, ...]]] = {}
    for done, (how, fold) in enumerate(queue):
        if time.monotonic() > deadline and how in judged:
            continue
        if len(fold.train) >= 6:
            model = Surrogate(seed).fit(points[fold.train], values[known][fold.train])
            mean, low, high = model.interval(points[fold.test], level)
            judged.setdefault(how, []).append((values[known][fold.test], mean, low, high, model.values.mean()))
        if on_progress:
            on_progress(done + 1, len(queue), f"trying the predictor: {QUESTIONS[how]}")
    return [_entry(how, judged[how], len(splits)) for how, splits in plan if how in judged]


def _entry(how: str, parts: list[tuple[Any, ...]], planned: int) -> dict[str, Any]:
    truth, mean, low, high = (np.concatenate([part[k] for part in parts]) for k in range(4))
    # Against the mean of the training rows, as one would guess without a model; of a region left out this is the honest
    # zero, since its own mean is not known beforehand.
    guess = np.concatenate([np.full(len(part[0]), part[4]) for part in parts])
    worst = float(((truth - guess) ** 2).sum())
    entry = {
        "how": how,
        "question": QUESTIONS[how],
        "folds": len(parts),
        "planned": planned,
        "rows": len(truth),
        "r2": 1 - float(((truth - mean) ** 2).sum()) / worst if worst > 0 else float("nan"),
        "mae": float(np.abs(truth - mean).mean()),
        "coverage": float(((truth >= low) & (truth <= high)).mean()),
    }
    if how == "random":
        entry |= {"truth": truth, "mean": mean, "low": low, "high": high}
    return entry
