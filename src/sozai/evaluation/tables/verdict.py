"""From the folds of a study to one sentence: do synthetic rows help here, and what would.

The question is "what should be trained to predict the target best?": the best learner, with or without synthetic rows,
against the best on real rows alone. Both are chosen for a fold's test rows from predictions of all other rows (I.
Tsamardinos et al., Machine Learning 107, 1895, 2018), so that no row is judged by a choice that it took part in.

On fifty rows a measured gain is mostly noise, and larger than the truth where it is the best of several. It is
therefore shrunk to what is usual: the gain in units of the error that is left is taken as normal with a mean and a
spread found on other tables, and its measured value as normal about that (empirical Bayes; B. Efron, C. Morris, J. Am.
Stat. Assoc. 70, 311, 1975). The verdict is to use the rows where a gain is probable enough.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

LEVEL = 0.95
SURE = 0.8
"""Probability of a gain from which the verdict is to use the rows; chosen on the tables of ``PRIORS``."""
HEAD_START = 0.05
"""Share by which synthetic rows must lower the squared error of the best on real rows alone to be chosen; as ``SURE``
chosen on the tables of ``PRIORS``."""
BEST = "best"
"""Name of the comparison of the best of all with the best on real rows alone."""
Pick = tuple[str, int]
"""A learner, and whether it learns from synthetic rows."""


@dataclass(frozen=True)
class Prior:
    """What gains are usual, as shares of the squared error that is left without synthetic rows.

    Args:
        mean: at 100 rows.
        slope: change of the mean by a doubling of the rows.
        spread: standard deviation among tables.
        factor: of the error that rows alone tell.
        floor: error that more rows would not take away: another draw of training rows gains another amount.
    """

    mean: float
    slope: float
    spread: float
    factor: float
    floor: float

    def posterior(self, rows: int, measured: float, error: float) -> tuple[float, float]:
        """Mean and standard deviation of the true gain."""
        # Known from tables of 50 to 200 rows.
        usual = self.mean + self.slope * math.log2(min(max(rows, 50), 200) / 100)
        noise = (self.factor * error) ** 2 + self.floor**2
        weight = self.spread**2 / (self.spread**2 + noise)
        return usual + weight * (measured - usual), math.sqrt(self.spread**2 * (1 - weight))


PRIORS = {
    BEST: Prior(mean=-0.00796, slope=-0.00219, spread=0.156, factor=1.88, floor=0.0182),
    "ensemble": Prior(mean=0.0101, slope=-0.0113, spread=0.0397, factor=1.33, floor=0.0141),
    "forest": Prior(mean=0.0298, slope=-0.00724, spread=0.0667, factor=1.55, floor=0.0166),
    "boosting": Prior(mean=0.0108, slope=-0.0258, spread=0.0921, factor=1.0, floor=0.0689),
    "gaussian-process": Prior(mean=-0.11, slope=-0.0231, spread=0.165, factor=1.19, floor=0.0415),
    "ridge": Prior(mean=-0.0159, slope=-0.000285, spread=0.137, factor=1.0, floor=0.086),
}
"""By ``benchmarks/tables_augment.py --prior`` on tables other than those that it judges; the ensemble's, where a
learner is not in it."""


@dataclass(frozen=True)
class Gain:
    """How a learner fares with synthetic rows, on rows that nothing was fitted or chosen on.

    Args:
        learner: its name, or ``BEST``.
        real, augmented: R2 without and with synthetic rows, as measured.
        share, error: measured gain and its standard error, as shares of the squared error without synthetic rows.
        expected: gain in R2 to be expected on new rows (posterior mean).
        low, high: 95% interval of it.
        probability: of a gain above 0.
        folds: number of splits it rests on.
    """

    learner: str
    real: float
    augmented: float
    share: float
    error: float
    expected: float
    low: float
    high: float
    probability: float
    folds: int

    @property
    def mean(self) -> float:
        """Measured gain in R2."""
        return self.augmented - self.real

    @property
    def use(self) -> bool:
        """Whether to add the synthetic rows when training this learner."""
        return self.probability >= SURE

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "gain": self.mean, "use": self.use}


@dataclass(frozen=True)
class Augmentation:
    """The verdict of a study.

    Args:
        use: whether the best there is uses synthetic rows.
        sentence: for a person.
        best: the best of all against the best on real rows alone (where that is the same, there is nothing to expect);
            ``None`` where no generator could learn the rows.
        gains: by learner, best with synthetic rows first.
        recipe: how to make the rows, where ``use``.
        learner: that is best for the table, with synthetic rows if ``use``.
        best_real: the learner that does best on real rows alone.
        best_real_r2: its R2.
        ten_more: gain in R2 to be expected of ten more experiments for it; ``None`` if not known.
    """

    use: bool
    sentence: str
    best: Gain | None
    gains: tuple[Gain, ...]
    recipe: str
    learner: str
    best_real: str
    best_real_r2: float
    ten_more: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        best = self.best.to_dict() if self.best else None
        return {**asdict(self), "best": best, "gains": [gain.to_dict() for gain in self.gains]}


class Losses:
    """Squared errors of all candidates on the test rows of the folds (see ``nested.judge``).

    Args:
        folds: of one study; candidates that are not judged in all of them are left out.
        learners: to look at.
    """

    def __init__(self, folds: Sequence[Mapping[str, Any]], learners: Sequence[str]):
        self.folds = folds
        self.whole = all(name in fold["augmented"] for fold in folds for name in learners)
        sides = (0, 1) if self.whole else (0,)
        self.picks: list[Pick] = [(name, side) for side in sides for name in learners]
        self.count = 1 + max(max(fold["places"]) for fold in folds)
        self.by_row = {pick: np.zeros(self.count) for pick in self.picks}
        self.family = np.zeros(self.count, int)
        for fold in folds:
            self.family[fold["places"]] = fold["family"]
            for pick in self.picks:
                self.by_row[pick][fold["places"]] += self.of(fold, pick)

    @staticmethod
    def of(fold: Mapping[str, Any], pick: Pick) -> np.ndarray:
        """Squared errors of a candidate on the fold's test rows."""
        return np.asarray(fold["losses"][pick[0]][pick[1]], float)

    def best(self, picks: Sequence[Pick], without: Sequence[int] = ()) -> Pick:
        """The candidate with the least error on all rows but those at some places; of one with synthetic rows it must
        be less by ``HEAD_START``."""
        kept = np.ones(self.count, bool)
        kept[list(without)] = False
        return min(picks, key=lambda pick: float(self.by_row[pick][kept].sum()) / (1 - HEAD_START * pick[1]))

    def real(self) -> list[Pick]:
        """Candidates without synthetic rows."""
        return [pick for pick in self.picks if pick[1] == 0]

    def compared(self, name: str, rows: int, first: Sequence[Pick], second: Sequence[Pick]) -> Gain:
        """The gain of the best of ``second`` over the best of ``first``, each chosen without the rows judged on."""
        before, after = np.zeros(self.count), np.zeros(self.count)
        for fold in self.folds:
            for sums, picks in ((before, first), (after, second)):
                sums[fold["places"]] += self.of(fold, self.best(picks, fold["places"]))
        left = max(float(before.sum()), 1e-300)
        share = float((before - after).sum()) / left
        # Rows of a family are alike: families are what is independent. The share is a ratio of sums over them.
        off = np.bincount(self.family, before - after - share * before)
        families = len(np.unique(self.family))
        error = math.sqrt(families / max(families - 1, 1) * float((off**2).sum())) / left
        # Beyond these a share tells of a learner that failed.
        share, error = max(-1.0, min(share, 1.0)), min(error, 1.0)
        truth = sum(fold["truth"] for fold in self.folds)
        mean, spread = PRIORS.get(name, PRIORS["ensemble"]).posterior(rows, share, error)
        unit, known = left / truth, NormalDist(mean, spread)
        half = NormalDist().inv_cdf(0.5 + LEVEL / 2) * spread
        return Gain(
            name, 1 - unit, 1 - float(after.sum()) / truth, share, error, mean * unit, (mean - half) * unit,
            (mean + half) * unit, 1 - known.cdf(0.0), len(self.folds),
        )  # fmt: skip


def r2(folds: Sequence[Mapping[str, Any]], side: str, learner: str) -> float:
    """R2 of a learner over all test rows of the folds; ``side`` is ``"real"`` or ``"augmented"``."""
    return 1 - sum(fold[side][learner] for fold in folds) / sum(fold["truth"] for fold in folds)


def gains_of(folds: Sequence[Mapping[str, Any]], learners: Sequence[str], rows: int) -> list[Gain]:
    """Of each learner that has been judged with and without synthetic rows in all of the folds (see ``nested``), best
    with synthetic rows first; ``rows`` of the table."""
    found: list[Gain] = []
    for name in learners:
        if len(folds) > 1 and all(name in fold["augmented"] for fold in folds):
            found.append(Losses(folds, [name]).compared(name, rows, [(name, 0)], [(name, 1)]))
    return sorted(found, key=lambda gain: -gain.augmented)


def ten_more(sizes: Sequence[float], scores: Sequence[float], rows: int, more: int = 10) -> float | None:
    """Gain in R2 by ``more`` experiments, from a learning curve that is straight in the logarithm of the rows.

    Args:
        sizes: numbers of training rows.
        scores: R2 at each.
        rows: that there are now.
        more: experiments to add.

    Returns:
        Not below 0; ``None`` of fewer than two sizes.
    """
    if len(set(sizes)) < 2:
        return None
    # Larger sizes count more: the curve bends, and the question is about its end.
    slope = float(np.polyfit(np.log(sizes), scores, 1, w=np.sqrt(np.asarray(sizes, float)))[0])
    return max(0.0, slope * math.log((rows + more) / rows))


def decide(
    folds: Sequence[Mapping[str, Any]],
    learners: Sequence[str],
    recipe: str,
    curve: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    rows: int,
    target: str,
) -> Augmentation:
    """The verdict.

    Args:
        folds: as ``nested.judge`` returns them.
        learners: that were compared.
        recipe: description of how the synthetic rows were made.
        curve: learning curves on real rows: sizes and R2 by learner.
        rows: of the table.
        target: its name.
    """
    losses = Losses(folds, learners)
    best_real = losses.best(losses.real())[0]
    alone = r2(folds, "real", best_real)
    learner, side = losses.best(losses.picks)
    best = losses.compared(BEST, rows, losses.real(), losses.picks) if losses.whole and len(folds) > 1 else None
    gains = gains_of(folds, learners, rows)
    sizes, scores = curve.get(best_real, ((), ()))
    more = ten_more(sizes, scores, rows)
    if best and side and best.use:
        sentence = (
            f"Augmentation with {recipe} raises R2 for {target} from {alone:.2f} ({best_real}, the best on the real "
            f"rows alone) to {r2(folds, 'augmented', learner):.2f} ({learner}); {_gain(best)}."
        )
        return Augmentation(True, sentence, best, tuple(gains), recipe, learner, best_real, alone, more)
    if best is None:
        parts = [f"Augmentation does not help to predict {target} here (no generator could learn these rows)"]
    elif side:
        parts = [f"Augmentation was not shown to help to predict {target} here ({learner}: {_gain(best)})"]
    else:
        # The best of all is the best on real rows alone: the same learner gains nothing over itself.
        best = replace(best, expected=0.0, low=0.0, high=0.0, probability=0.0)
        nearest = losses.best([pick for pick in losses.picks if pick[1]])[0]
        parts = [
            f"Augmentation does not help to predict {target} here (the best with synthetic rows, {nearest}, has R2 "
            f"{r2(folds, 'augmented', nearest):.2f})"
        ]
    if more:
        parts.append(f"; ten more experiments would, by about {more:+.3f} R2")
    parts.append(f". Train {best_real} on the real rows alone: R2 {alone:.2f}.")
    helped = next((gain for gain in gains if gain.use and gain.learner != best_real), None)
    if helped:
        parts.append(
            f" If it must be {helped.learner}, {recipe} raises its R2 from {helped.real:.2f} to {helped.augmented:.2f} "
            f"({_gain(helped)})."
        )
    return Augmentation(False, "".join(parts), best, tuple(gains), "", best_real, best_real, alone, more)


def _gain(gain: Gain) -> str:
    return (
        f"gain to expect on new rows {gain.expected:+.3f}, 95% posterior interval {gain.low:+.3f} to {gain.high:+.3f}, "
        f"{gain.probability:.0%} probable to be above 0"
    )
