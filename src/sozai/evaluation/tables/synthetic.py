"""The synthetic rows of a study's best recipe: how good they are, and the table with them added."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.evaluation.tables.nested import Setting
from sozai.evaluation.tables.prepare import Prepared
from sozai.evaluation.tables.recipes import Fit, Recipe
from sozai.evaluation.tables.splits import parted
from sozai.knowledge.tables.ruleset import TableRules
from sozai.metrics.fidelity import (
    closest_record,
    column_shapes,
    pair_trends,
    synthetic_to_real_r2,
    two_sample_auc,
)

PROVENANCE = "origin"
"""Column of ``augmented`` that tells real rows from synthetic ones."""
WEIGHT = "sample_weight"
"""Column of ``augmented`` with what a row counts in the fit of a learner: 1 if it is real."""


def synthetic_quality(
    prepared: Prepared, recipe: Recipe, fits: dict[str, Fit], rules: TableRules | None, seed: int = 0
) -> dict[str, Any]:
    """Fidelity, privacy, utility and broken rules of the rows made from the training rows of one split, beside its
    test rows.

    Returns:
        ``shapes`` and ``pairs`` (0 to 1, see ``metrics``), ``shapes_by_column``, ``auc`` (two-sample, ``None`` of
        fewer than 10 test rows), ``distance_ratio``, ``copies``, ``copies_real``, ``synthetic_r2`` and ``real_r2``
        (learned on synthetic rows alone, and on real ones, judged on test rows), ``broken`` (rows by hard rule),
        ``rows``; empty where the generator failed.
    """
    fold = parted(prepared.family, 5, seed)[0]
    table = prepared.table.select(prepared.table.modelled)
    maker = Setting((), fits).augmenter(prepared, fold.train, seed)
    made = maker.rows(recipe)
    if made is None:
        return {}
    train, test = table.frame.iloc[fold.train], table.frame.iloc[fold.test]
    shapes, by_column = column_shapes(test, made, table)
    near = closest_record(train, test, made, table)
    try:
        auc: float | None = two_sample_auc(test, made, table, seed)
    except (UserError, ValueError):
        auc = None  # too few test rows for five folds
    amounts = {} if rules is None else rules.amounts(prepared.written(made))
    broken = (
        {}
        if rules is None
        else {
            rule.name: int((amounts[place] > 0).sum()) for place, rule in enumerate(rules.rules) if rule in rules.hard
        }
    )
    return {
        "rows": len(made),
        "shapes": shapes,
        "shapes_by_column": by_column,
        "pairs": pair_trends(train, made, table)[0],
        "auc": auc,
        "distance_ratio": near["ratio"],
        "copies": near["copies"],
        "copies_real": near["copies_real"],
        "synthetic_r2": synthetic_to_real_r2(made, test, prepared.target, seed, "trees"),
        "real_r2": synthetic_to_real_r2(train, test, prepared.target, seed, "trees"),
        "broken": broken,
    }


def augmented(
    prepared: Prepared,
    recipe: Recipe,
    fits: dict[str, Fit],
    obeys: Callable[[pd.DataFrame], np.ndarray] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """The real rows and the synthetic ones made from all of them, told apart by the column ``PROVENANCE``; ``WEIGHT``
    is for a learner's ``sample_weight``.

    Raises:
        UserError: the generator cannot learn these rows.
    """
    table = prepared.table.select(prepared.table.modelled)
    maker = Setting((), fits, obeys).augmenter(prepared, np.arange(len(table)), seed)
    made = maker.rows(recipe)
    if made is None:
        raise UserError(maker.failed[recipe.generator], recipe.generator, "name another with --generators")
    label = f"synthetic: {recipe.generator}, seed {seed}"
    both = pd.concat(
        [
            table.frame.assign(**{PROVENANCE: "real", WEIGHT: 1.0}),
            made[table.modelled].assign(**{PROVENANCE: label, WEIGHT: recipe.weight}),
        ],
        ignore_index=True,
    )
    return prepared.written(both)
