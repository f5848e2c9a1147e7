"""How likely each cell of a table is an error: learnt on the table itself with errors planted in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sozai.knowledge.tables.quality.conditionals import TREES
from sozai.knowledge.tables.quality.evidence import FEATURES, RISING, Evidence, evidence
from sozai.knowledge.tables.quality.numbers import Numbers
from sozai.knowledge.tables.quality.planting import plant

SHARE = 0.1
"""Share of rows made wrong in a copy to learn from."""
BELIEVED = 0.03
"""Share of rows believed to be wrong before a table is seen."""
BOUNDS = (0.003, 0.15)
WANTED, MOST_COPIES, MOST_ROWS = 200, 6, 2000
THRESHOLD = 0.5
"""Confidence from which a finding is told; one for all tables."""


@dataclass
class Judged:
    """The verdict on a table.

    Args:
        probability: (rows, columns) that the cell is an error; 0 of cells beyond doubt.
        measured: the evidence; ``measured.cells`` are the cells that were looked at closely.
        share: of wrong rows, as estimated.
    """

    probability: np.ndarray
    measured: Evidence
    share: float


def judge(
    numbers: Numbers,
    target: int | None = None,
    seed: int = 0,
    trees: int = TREES,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> Judged:
    """Find the cells of a table that are likely wrong.

    Copies of the table get errors of known place; a classifier of the cells' evidence learns to find these, and is
    then asked about the table itself. Its odds are turned from the planted share of wrong rows to the share that the
    table seems to have (Saerens, Latinne, Decaestecker, Neural Computation 2002).

    Args:
        numbers: the table.
        target: place of the column that is measured; ``None`` where there is none.
        seed: of all choices; the same seed gives the same verdict.
        trees: of a forest.
        on_progress: called with (columns done, of all copies, what).
    """
    n, d = numbers.raw.shape
    learnt_on = numbers
    if n > MOST_ROWS:
        places = np.sort(np.random.default_rng(seed).choice(n, MOST_ROWS, replace=False))
        learnt_on = numbers.with_raw(numbers.raw[places], places)
    copies = int(np.clip(np.ceil(WANTED / (SHARE * len(learnt_on))), 2, MOST_COPIES))
    features, labels = [], []

    def told(copy: int) -> Callable[[int, int, str], None] | None:
        if on_progress is None:
            return None
        return lambda done, total, name: on_progress(copy * total + done, (copies + 1) * total, name)

    for copy in range(copies):
        planted = plant(learnt_on, SHARE, target, seed * 1000 + copy)
        found = evidence(planted.numbers, target, seed + copy, trees, told(copy))
        label = planted.label[found.cells[:, 0], found.cells[:, 1]]
        features.append(found.features[label >= 0])
        labels.append(label[label >= 0])
    measured = evidence(numbers, target, seed, trees, told(copies))
    probability = np.zeros((n, d))
    known = np.concatenate(labels)
    if not len(measured.cells) or known.sum() < 5 or known.all():
        return Judged(probability, measured, 0.0)
    raw_probability = _classified(np.concatenate(features), known, measured.features, seed)
    adjusted, share = _adjusted(raw_probability, measured.cells[:, 0], n)
    probability[measured.cells[:, 0], measured.cells[:, 1]] = adjusted
    return Judged(probability, measured, share)


def _classified(features: np.ndarray, labels: np.ndarray, asked: np.ndarray, seed: int) -> np.ndarray:
    """Probability of an error of cells by boosted trees that rise in what speaks for one."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    made = np.zeros(len(asked))
    for part in range(3):
        model = HistGradientBoostingClassifier(
            learning_rate=0.07,
            max_iter=90,
            max_leaf_nodes=8,
            min_samples_leaf=8,
            l2_regularization=1.0,
            max_features=0.5,
            monotonic_cst=[int(name in RISING) for name in FEATURES],
            random_state=seed + part,
        )
        model.fit(features, labels)
        made += model.predict_proba(asked)[:, 1] / 3
    return np.clip(made, 1e-5, 1 - 1e-5)


def _adjusted(probability: np.ndarray, rows: np.ndarray, n: int) -> tuple[np.ndarray, float]:
    """Probabilities for the share of wrong rows that the table seems to have, and that share."""
    share, learnt = BELIEVED, SHARE / (1 - SHARE)
    odds = probability / (1 - probability)
    for _ in range(30):
        now = odds * (share / (1 - share)) / learnt
        adjusted = now / (1 + now)
        by_row = np.zeros(n)
        np.maximum.at(by_row, rows, adjusted)
        share = float(np.clip((by_row.sum() + 2 * BELIEVED) / (n + 2), *BOUNDS))
    return adjusted, share
