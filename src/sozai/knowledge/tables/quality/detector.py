"""How likely each cell of a table is an error: learnt on the table itself with errors planted in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sozai.knowledge.tables.quality.conditionals import TREES
from sozai.knowledge.tables.quality.evidence import FEATURES, RISING, Evidence, evidence
from sozai.knowledge.tables.quality.numbers import Numbers
from sozai.knowledge.tables.quality.planting import plant

SHARE = 0.1
"""Share of rows made wrong in a copy to learn from."""
FOLDS, TURNS = 3, 2
BOUNDS, DOUBT = (0.02, 0.12), 1.5
"""Shares of wrong rows that are believed, and by how much the estimated one is raised: errors come in clusters, where
their share is larger than on the whole."""
WANTED, MOST_COPIES, MOST_ROWS = 120, 12, 2000
LEAST_SECONDS = 1.0
"""For judging what is not learned from, however little time is left."""
THRESHOLD = 0.5
"""Confidence from which a finding is told; one for all tables."""


@dataclass
class Judged:
    """The verdict on a table.

    Args:
        probability: (rows, columns) that the cell is an error; 0 of cells beyond doubt.
        measured: the evidence; ``measured.cells`` are the cells that were looked at closely.
        share: of wrong rows, as estimated.
        rows: how many rows were judged; fewer than there are where the time did not suffice.
    """

    probability: np.ndarray
    measured: Evidence
    share: float
    rows: int


def judge(
    numbers: Numbers,
    target: int | None = None,
    seed: int = 0,
    trees: int = TREES,
    seconds: float = float("inf"),
    on_progress: Callable[[int, int, str], None] | None = None,
) -> Judged:
    """Find the cells of a table that are likely wrong.

    Copies of the table get errors of known place; a classifier of the cells' evidence learns to find these, and is
    then asked about the table itself. What it finds there is then left out of what it learns as right, and its odds are
    turned from the planted share of wrong rows to the share that the table seems to have.

    Args:
        numbers: the table.
        target: place of the column that is measured; ``None`` where there is none.
        seed: of all choices; the same seed gives the same verdict.
        trees: of a forest.
        seconds: to spend, about; where they are too few, less is learnt, and of many rows a choice is judged.
        on_progress: called with (columns done, of all copies, what).
    """
    n, d = numbers.raw.shape
    learnt_on, places = numbers, np.arange(n)
    if n > MOST_ROWS:
        places = np.sort(np.random.default_rng(seed).choice(n, MOST_ROWS, replace=False))
        learnt_on = numbers.with_raw(numbers.raw[places], places)
    copies = int(np.clip(np.ceil(WANTED / (SHARE * len(learnt_on))), 2, MOST_COPIES))
    features, labels, cells = [], [], []

    def told(copy: int) -> Callable[[int, int, str], None] | None:
        if on_progress is None:
            return None
        return lambda done, total, name: on_progress(copy * total + done, (copies + 1) * total, name)

    begun, took = time.monotonic(), 0.0
    for copy in range(copies):
        if copy and took * (copy + 1 + n / len(learnt_on)) > seconds * copy:
            break
        planted = plant(learnt_on, SHARE, target, seed * 1000 + copy)
        found = evidence(planted.numbers, target, seed + copy, trees, on_progress=told(copy))
        label = planted.label[found.cells[:, 0], found.cells[:, 1]]
        features.append(found.features[label >= 0])
        labels.append(label[label >= 0])
        at = found.cells[label >= 0].copy()
        at[:, 0] = places[planted.source[at[:, 0]]]
        cells.append(at)
        took = time.monotonic() - begun
    some = np.arange(n)
    each = took / len(features) / len(learnt_on)
    if n > MOST_ROWS and each * n > (left := max(seconds - took, LEAST_SECONDS)):
        count = int(np.clip(left / each, MOST_ROWS, n))
        more = np.random.default_rng(seed + 1).permutation(np.setdiff1d(some, places))[: count - len(places)]
        some = np.sort(np.concatenate([places, more]))
    whole = numbers if len(some) == n else numbers.with_raw(numbers.raw[some], some)
    reference = np.flatnonzero(np.isin(some, places)) if n > MOST_ROWS else None
    measured = evidence(whole, target, seed, trees, reference, told(copies))
    if len(some) < n:
        measured = _placed(measured, some, n)
    probability = np.zeros((n, d))
    known = np.concatenate(labels)
    if not len(measured.cells) or known.sum() < 5 or known.all():
        return Judged(probability, measured, 0.0, len(some))
    lesson = np.concatenate(features), known, np.concatenate(cells)
    rows, columns = measured.cells.T
    weights, learnt = np.ones(len(known)), SHARE / (1 - SHARE)
    odds, planted_odds = _classified(lesson, weights, measured, seed)
    # The cells taken for right hold the table's own errors. Where a planted error is sure, they are all that is there
    # beside it, so that their share is seen from the odds (Elkan, Noto, KDD 2008).
    share = float(np.clip(DOUBT * learnt / np.median(planted_odds), *BOUNDS))
    probability[rows, columns] = np.minimum(1.0, share * odds / learnt)
    for _ in range(TURNS):
        weights = np.where(known == 1, 1.0, 1 - probability[lesson[2][:, 0], lesson[2][:, 1]])
        odds, _ = _classified(lesson, weights, measured, seed)
        odds = odds * share / (1 - share) / learnt
        probability[rows, columns] = odds / (1 + odds)
    return Judged(probability, measured, share, len(some))


def _placed(measured: Evidence, some: np.ndarray, n: int) -> Evidence:
    """Evidence on a choice of rows as that on the whole table."""

    def spread(values: np.ndarray, missing: float) -> np.ndarray:
        made = np.full((n, *values.shape[1:]), missing)
        made[some] = values
        return made

    cells = measured.cells.copy()
    cells[:, 0] = some[cells[:, 0]]
    return replace(
        measured,
        cells=cells,
        expected=spread(measured.expected, np.nan),
        spread=spread(measured.spread, np.nan),
        surprise=spread(measured.surprise, 0.0),
        twins=spread(measured.twins, 0.0),
    )


def _classified(
    lesson: tuple[np.ndarray, np.ndarray, np.ndarray], weights: np.ndarray, measured: Evidence, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Odds of an error of the measured cells and of the planted ones, by boosted trees.

    The trees that judge a row have not learnt on it: there it was taken for right.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    features, labels, cells = lesson
    made, own = np.full(len(measured.cells), 0.5), np.full(len(labels), 0.5)
    # A fixed scrambling of the row's place, so that rows that follow each other are not in one fold.
    folds, mine = ((rows * 7919 + 13) % 10007 % FOLDS for rows in (cells[:, 0], measured.cells[:, 0]))
    for fold in range(FOLDS):
        asked, left = mine == fold, folds == fold
        kept = ~left if len(set(labels[~left])) == 2 else np.ones(len(labels), bool)
        model = HistGradientBoostingClassifier(
            learning_rate=0.07,
            max_iter=120,
            max_leaf_nodes=8,
            min_samples_leaf=10,
            l2_regularization=1.0,
            max_features=0.5,
            early_stopping=False,
            monotonic_cst=[int(name in RISING) for name in FEATURES],
            random_state=seed,
        )
        model.fit(features[kept], labels[kept], sample_weight=weights[kept])
        if asked.any():
            made[asked] = model.predict_proba(measured.features[asked])[:, 1]
        if left.any():
            own[left] = model.predict_proba(features[left])[:, 1]
    made, own = np.clip(made, 1e-5, 1 - 1e-5), np.clip(own, 1e-5, 1 - 1e-5)
    return made / (1 - made), (own / (1 - own))[labels == 1]
