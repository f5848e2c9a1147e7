"""From the folds of a study to one sentence: do synthetic rows help here, and what would.

There are two questions. Of one learner, "should it be trained with synthetic rows?": with them against without. Of
several, "what should be trained to predict the target best?": the best learner, with or without synthetic rows, against
the best on real rows alone. Both are chosen for a fold's test rows from predictions of all other rows (I. Tsamardinos
et al., Machine Learning 107, 1895, 2018), so that no row is judged by a choice that it took part in.

On fifty rows a measured gain is mostly noise, and larger than the truth where it is the best of several. It is
therefore shrunk to what such rows gained on other tables (see ``usual``). The verdict is to use the rows where a gain
is probable enough.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from sozai.evaluation.tables.recipes import TAUGHT, Recipe
from sozai.evaluation.tables.usual import BEST, PRIORS, USUAL

LEVEL = 0.95
SURE, SURE_OF_ONE = 0.8, 0.6
"""Probability of a gain from which the verdict is to use the rows: in the best of all, where doing without costs
nothing, and in the one learner that is named. Chosen on the tables of ``PRIORS``."""
HEAD_START = 0.05
"""Share by which synthetic rows must lower the squared error of the best on real rows alone to be chosen; as ``SURE``
chosen on the tables of ``PRIORS``."""
LITTLE = 0.001
"""Gain in R2 that no experiments are recommended for."""
Pick = tuple[str, int]
"""A learner, and whether it learns from synthetic rows."""


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
        weight: of what was measured in what is to be expected, 0 to 1; the rest is what is usual on other tables.
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
    weight: float
    folds: int

    @property
    def mean(self) -> float:
        """Measured gain in R2."""
        return self.augmented - self.real

    @property
    def use(self) -> bool:
        """Whether to add the synthetic rows when training this learner."""
        return self.probability >= (SURE if self.learner == BEST else SURE_OF_ONE)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "gain": self.mean, "use": self.use}


@dataclass(frozen=True)
class Augmentation:
    """The verdict of a study.

    Args:
        use: whether to train with synthetic rows.
        sentence: for a person.
        best: of several learners the best of all against the best on real rows alone (where that is the same, there is
            nothing to expect), of one learner its gain; ``None`` where no generator could learn the rows.
        gains: by learner, best with synthetic rows first.
        recipe: how to make the rows, where ``use``.
        learner: to train, with synthetic rows if ``use``.
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
        generator: of the synthetic rows; tells what gains are usual.
    """

    def __init__(self, folds: Sequence[Mapping[str, Any]], learners: Sequence[str], generator: str = TAUGHT):
        self.folds, self.priors = folds, PRIORS.get(generator, USUAL)
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
        prior = self.priors.get(name, self.priors["ensemble"])
        mean, spread = prior.posterior(rows, share, error)
        unit, known = left / truth, NormalDist(mean, spread)
        half = NormalDist().inv_cdf(0.5 + LEVEL / 2) * spread
        return Gain(
            name, 1 - unit, 1 - float(after.sum()) / truth, share, error, mean * unit, (mean - half) * unit,
            (mean + half) * unit, 1 - known.cdf(0.0), 1 - (spread / prior.spread) ** 2, len(self.folds),
        )  # fmt: skip


def r2(folds: Sequence[Mapping[str, Any]], side: str, learner: str) -> float:
    """R2 of a learner over all test rows of the folds; ``side`` is ``"real"`` or ``"augmented"``."""
    return 1 - sum(fold[side][learner] for fold in folds) / sum(fold["truth"] for fold in folds)


def gains_of(
    folds: Sequence[Mapping[str, Any]], learners: Sequence[str], rows: int, generator: str = TAUGHT
) -> list[Gain]:
    """Of each learner that has been judged with and without synthetic rows in all of the folds (see ``nested``), best
    with synthetic rows first; ``rows`` of the table."""
    found: list[Gain] = []
    for name in learners:
        if len(folds) > 1 and all(name in fold["augmented"] for fold in folds):
            found.append(Losses(folds, [name], generator).compared(name, rows, [(name, 0)], [(name, 1)]))
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
    recipe: Recipe | None,
    curve: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    rows: int,
    target: str,
) -> Augmentation:
    """The verdict: of a learner if only one is named, otherwise on the best of all.

    Args:
        folds: as ``nested.judge`` returns them.
        learners: that were compared.
        recipe: how the synthetic rows were made; ``None`` where no generator could learn the rows.
        curve: learning curves on real rows: sizes and R2 by learner.
        rows: of the table.
        target: its name.
    """
    generator = recipe.generator if recipe else ""
    losses = Losses(folds, learners, generator)
    best_real = losses.best(losses.real())[0]
    alone = r2(folds, "real", best_real)
    gains = tuple(gains_of(folds, learners, rows, generator))
    more = ten_more(*curve.get(best_real, ((), ())), rows)
    real = Augmentation(False, "", None, gains, "", best_real, best_real, alone, more)
    if not (losses.whole and gains):
        said = f"Augmentation does not help to predict {target} here (no generator could learn these rows)"
        return replace(real, sentence=said + _instead(real))
    if len(learners) == 1:
        return _of_one(real, gains[0], str(recipe), rows, target)
    learner, side = losses.best(losses.picks)
    best = losses.compared(BEST, rows, losses.real(), losses.picks)
    if side and best.use:
        said = (
            f"Augmentation with {recipe} raises R2 for {target} from {alone:.2f} ({best_real}, the best on the real "
            f"rows alone) to {r2(folds, 'augmented', learner):.2f} ({learner}); {_gain(best)}."
        )
        return replace(real, use=True, sentence=said, best=best, recipe=str(recipe), learner=learner)
    if side:
        said = f"Augmentation was not shown to help to predict {target} here ({learner}: {_gain(best)})"
    else:
        # The best of all is the best on real rows alone: the same learner gains nothing over itself.
        best = replace(best, expected=0.0, low=0.0, high=0.0, probability=0.0)
        nearest = losses.best([pick for pick in losses.picks if pick[1]])[0]
        said = (
            f"Augmentation does not help to predict {target} here (the best with synthetic rows, {nearest}, has R2 "
            f"{r2(folds, 'augmented', nearest):.2f})"
        )
    said += _instead(real)
    helped = next((gain for gain in gains if gain.use and gain.learner != best_real), None)
    if helped:
        said += (
            f" If it must be {helped.learner}, {recipe} can be expected to help it: {_gain(helped)}. "
            f"{_measured(helped)}"
        )
    return replace(real, sentence=said, best=best)


def _of_one(real: Augmentation, gain: Gain, recipe: str, rows: int, target: str) -> Augmentation:
    """The verdict on the one learner that a person insists on."""
    if gain.use:
        said = (
            f"Augmentation with {recipe} can be expected to help {gain.learner} to predict {target}: {_gain(gain)}. "
            f"{_measured(gain)}"
        )
        return replace(real, use=True, sentence=said, best=gain, recipe=recipe)
    if gain.probability > 0.5:
        said = f"Augmentation was not shown to help {gain.learner} to predict {target}: {rows} rows cannot tell"
    else:
        said = f"Augmentation does not help {gain.learner} to predict {target}"
    said += f" ({recipe}: {_gain(gain)})" + _instead(real)
    return replace(real, sentence=said, best=gain)


def _instead(real: Augmentation) -> str:
    """What to do without synthetic rows."""
    more = ""
    if real.ten_more is not None:
        more = f"; ten more experiments would, by about {real.ten_more:+.3f} R2"
        if real.ten_more < LITTLE:
            more = f"; ten more experiments would hardly either (less than {LITTLE:g} R2)"
    return f"{more}. Train {real.best_real} on the real rows alone: R2 {real.best_real_r2:.2f}."


def _measured(gain: Gain) -> str:
    """On few rows most of what is expected is not from them: a reader must know."""
    return (
        f"Measured here: R2 {gain.real:.2f} without, {gain.augmented:.2f} with; the expectation rests on that by "
        f"{gain.weight:.0%}, and else on what such rows gained on other tables."
    )


def _gain(gain: Gain) -> str:
    return (
        f"gain in R2 to expect {gain.expected:+.3f}, 95% posterior interval {gain.low:+.3f} to {gain.high:+.3f}, "
        f"{gain.probability:.0%} probable to be above 0"
    )
