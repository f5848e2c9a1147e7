"""Which generator suits a table: measured on rows that none of them saw."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.generators.base import Progress, seconds_of
from sozai.generators.tables.base import TableGenerator
from sozai.generators.tables.names import CLASSICAL, table_generator
from sozai.knowledge.tables.ruleset import TableRules
from sozai.materials.tables.table import Table

CANDIDATES = (*CLASSICAL, "tabddpm", "tvae", "flow-matching", "spline-flow", "ctgan")
"""In the order in which they are tried: the cheap ones first."""
FOLDS = 3
MOST_ROWS = 2000
"""Rows that trials learn from at most."""


def choose(
    table: Table,
    rules: TableRules | None = None,
    target: str | None = None,
    max_time: float | str = "2m",
    seed: int = 0,
    on_progress: Progress | None = None,
    names: Sequence[str] = CANDIDATES,
    **settings: Any,
) -> tuple[TableGenerator, list[dict[str, Any]]]:
    """The best generator for a table, fitted to all its rows, and what was tried.

    Each candidate learns two thirds of the rows and is judged by the other third, three times; rows that are equal in
    all features stay on one side. The score is the mean of four numbers from 0 to 1: column shapes; how little a
    classifier tells its rows from real ones (2 - 2 AUC); how much of real rows' R2 a learner keeps that is trained on
    its rows (without a numeric target: pair trends); and the distance to the closest record over that of real rows, at
    most 1. A candidate that does not come up in time is told as not tried.

    Args:
        table: rows.
        rules: that drawn rows obey.
        target: column to predict.
        max_time: for trials and the last fit; seconds or ``"2m"``.
        seed: same seed, same folds.
        on_progress: called with (done, total, note).
        names: candidates.
        settings: of every candidate, such as ``missing="fill"``.

    Returns:
        The fitted generator, and a dictionary for each candidate: ``name``, ``score`` (``None`` where it was not tried
        or failed), its parts, ``fit_seconds``, ``note``. Best first.

    Raises:
        UserError: too few rows, or no candidate could learn them.
    """
    begun, budget = time.monotonic(), seconds_of(max_time)
    tell: Progress = on_progress or (lambda done, total, note: None)
    target = None if target is None else table.column(target).name
    # Fits with a target leave out rows without one, so trials do not judge by them either.
    known = table if target is None else table.rows(table.frame[target].notna().to_numpy())
    some = known.rows(np.sort(np.random.default_rng(seed).permutation(len(known))[:MOST_ROWS]))
    splits = _splits(some, target, seed)
    tried: list[dict[str, Any]] = []
    longest = 0.0
    for place, name in enumerate(names):
        spent = time.monotonic() - begun
        # Two fifths of the time are kept for the last fit and its audit.
        left = 0.6 * budget - spent
        if (place and left < max(longest, 1.0) and name not in CLASSICAL) or left <= 0:
            tried.append({"name": name, "score": None, "note": "not tried: the time was up"})
            continue
        tell(place, len(names), f"trying {name}")
        allowance = left / FOLDS if name in CLASSICAL else min(left / FOLDS, 0.12 * budget)
        started = time.monotonic()
        tried.append(_trial(name, some, splits, rules, target, seed, max(allowance, 1.0), settings))
        longest = max(longest, time.monotonic() - started)
    scored = sorted((each for each in tried if each["score"] is not None), key=lambda each: -each["score"])
    if not scored:
        raise UserError(f"no generator could learn these rows: {tried[0]['note']}", table.source, "give more rows")
    best = scored[0]["name"]
    tell(len(names), len(names), f"fitting {best} to all rows")
    left = max(budget - (time.monotonic() - begun), 5.0)
    made = table_generator(best, **settings).fit(table, rules=rules, target=target, seed=seed, max_time=left)
    return made, [*scored, *(each for each in tried if each["score"] is None)]


def _splits(table: Table, target: str | None, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Places of training and held-out rows; equal ones together."""
    names = [name for name in table.modelled if name != target] or table.modelled
    group = pd.util.hash_pandas_object(table.frame[names].astype(object), index=False).to_numpy()
    distinct = np.random.default_rng(seed).permutation(np.unique(group))
    fold = pd.Series(np.arange(len(distinct)) % FOLDS, index=distinct)[group].to_numpy()
    return [(np.flatnonzero(fold != each), np.flatnonzero(fold == each)) for each in range(FOLDS)]


def _trial(
    name: str,
    table: Table,
    splits: list[tuple[np.ndarray, np.ndarray]],
    rules: TableRules | None,
    target: str | None,
    seed: int,
    allowance: float,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """One candidate on all folds."""
    rows: list[dict[str, float]] = []
    cpu = time.process_time()
    spent = 0.0
    try:
        for train, test in splits:
            part, held = table.rows(train), table.rows(test)
            started = time.process_time()
            made = table_generator(name, audit=False, **settings).fit(
                part, rules=rules, target=target, seed=seed, max_time=allowance
            )
            spent += time.process_time() - started
            drawn = made.sample(max(len(part), 20), seed=seed)
            rows.append(_judged(table, part.frame, held.frame, drawn, target, seed))
    except UserError as error:
        return {"name": name, "score": None, "note": error.sentence(), "cpu_seconds": time.process_time() - cpu}
    parts = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    return {
        "name": name,
        "score": parts.pop("score"),
        **parts,
        "fit_seconds": round(spent / len(splits), 2),
        "note": "",
    }


def _judged(
    table: Table,
    train: pd.DataFrame,
    held: pd.DataFrame,
    drawn: pd.DataFrame,
    target: str | None,
    seed: int,
) -> dict[str, float]:
    from sozai.metrics import fidelity

    shapes = fidelity.column_shapes(held, drawn, table)[0]
    auc = fidelity.two_sample_auc(held, drawn, table, seed) if min(len(held), len(drawn)) >= 10 else 0.5
    near = fidelity.closest_record(train, held, drawn, table)
    pairs = fidelity.pair_trends(held, drawn, table)[0]
    made = {"shapes": shapes, "pairs": pairs, "two_sample_auc": auc, "distance": near["ratio"]}
    useful = pairs
    if target is not None and table.columns[target].numeric and held[target].nunique() > 1:
        names = table.modelled
        made["r2"] = fidelity.synthetic_to_real_r2(drawn[names], held[names], target, seed)
        made["r2_real"] = fidelity.synthetic_to_real_r2(train[names], held[names], target, seed)
        useful = float(np.clip(made["r2"] / max(made["r2_real"], 0.05), 0, 1))
    parts = (shapes, float(np.clip(2 - 2 * auc, 0, 1)), useful, min(near["ratio"], 1.0))
    made["score"] = float(np.mean(parts))
    return {key: float(value) for key, value in made.items()}
