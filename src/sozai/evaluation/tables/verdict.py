"""From the folds of a study to one sentence: do synthetic rows help here, and what would."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

LEVEL = 0.95
SURE = 0.9
"""Probability of a gain, from the corrected t distribution, from which the verdict is to use the rows."""
UNCLEAR = 0.01
"""Gain in R2 above which a verdict against the rows says that the folds do not settle it."""
WORTH = 0.0
"""Gain in R2 that must be expected."""


@dataclass(frozen=True)
class Gain:
    """How one learner fares with synthetic rows, on rows that nothing was fitted or chosen on.

    Args:
        learner: its name.
        real, augmented: R2 without and with synthetic rows.
        low, high: 95% interval of the gain (corrected resampled t).
        p: of no gain, one-sided; by Holm's method for all learners compared if more than one was.
        folds: number of splits it rests on.
    """

    learner: str
    real: float
    augmented: float
    low: float
    high: float
    p: float
    folds: int

    @property
    def mean(self) -> float:
        """Gain in R2."""
        return self.augmented - self.real

    @property
    def use(self) -> bool:
        """Whether to add the synthetic rows when training this learner."""
        return self.mean > WORTH and self.p < 1 - SURE

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "gain": self.mean, "use": self.use}


@dataclass(frozen=True)
class Augmentation:
    """The verdict of a study.

    Args:
        advice: ``"augment"``; ``"learner"``: another learner on the real rows alone is as good; ``"measure"``: neither.
        sentence: for a person.
        gains: by learner, best with synthetic rows first.
        recipe: how to make the rows, for ``"augment"`` and ``"learner"``.
        best_real: the learner that does best on real rows alone.
        best_real_r2: its R2.
        ten_more: gain in R2 to be expected of ten more experiments for the best learner; ``None`` if not known.
    """

    advice: Literal["augment", "learner", "measure"]
    sentence: str
    gains: tuple[Gain, ...]
    recipe: str
    best_real: str
    best_real_r2: float
    ten_more: float | None

    @property
    def use(self) -> bool:
        """Whether the best there is uses synthetic rows."""
        return self.advice == "augment"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "use": self.use, "gains": [gain.to_dict() for gain in self.gains]}


def corrected_interval(
    differences: Sequence[float], trained: Sequence[int], tested: Sequence[int], level: float = LEVEL
) -> tuple[float, float, float, float]:
    """Mean of differences over repeated splits, its interval, and the one-sided p of it not being above 0.

    Splits share training rows, so that their differences are not independent: the variance of the mean is taken as
    (1 / splits + tested / trained) times theirs (C. Nadeau, Y. Bengio, Machine Learning 52, 239, 2003).

    Args:
        differences: one a split.
        trained, tested: rows of each split.
        level: of the interval.

    Returns:
        mean, low, high, p; infinite bounds and p of 1 for fewer than two splits.
    """
    from scipy.stats import t

    values = np.asarray(differences, float)
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return mean, -math.inf, math.inf, 1.0
    ratio = float(np.sum(tested) / np.sum(trained))
    error = math.sqrt((1 / count + ratio) * float(values.var(ddof=1)))
    if error == 0:
        return mean, mean, mean, 0.0 if mean > 0 else 1.0
    half = float(t.ppf(0.5 + level / 2, count - 1)) * error
    return mean, mean - half, mean + half, float(t.sf(mean / error, count - 1))


def holm(values: Sequence[float]) -> list[float]:
    """Adjusted p values of several comparisons, in their order (S. Holm, Scand. J. Stat. 6, 65, 1979)."""
    order = np.argsort(values, kind="stable")
    adjusted, least = np.empty(len(values)), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = least
    return [float(value) for value in adjusted]


def r2(folds: Sequence[Mapping[str, Any]], side: str, learner: str) -> float:
    """R2 of a learner over all test rows of the folds; ``side`` is ``"real"`` or ``"augmented"``."""
    return 1 - sum(fold[side][learner] for fold in folds) / sum(fold["truth"] for fold in folds)


def gains_of(folds: Sequence[Mapping[str, Any]], learners: Sequence[str]) -> list[Gain]:
    """Of each learner that has been judged with and without synthetic rows in all of the folds (see ``nested``)."""
    found: list[Gain] = []
    unit = sum(fold["truth"] for fold in folds) / sum(fold["test"] for fold in folds)
    for name in learners:
        judged = [fold for fold in folds if name in fold["augmented"]]
        if len(judged) < max(2, len(folds)):
            continue
        # All folds in the same unit, the spread over all rows: R2 of a fold of ten rows has wild denominators.
        steps = [(fold["real"][name] - fold["augmented"][name]) / (unit * fold["test"]) for fold in judged]
        _, low, high, p = corrected_interval(steps, [f["train"] for f in judged], [f["test"] for f in judged])
        before, after = r2(judged, "real", name), r2(judged, "augmented", name)
        middle = (low + high) / 2
        shift = after - before - middle if math.isfinite(middle) else 0.0
        found.append(Gain(name, before, after, low + shift, high + shift, p, len(judged)))
    for place, p in enumerate(holm([gain.p for gain in found])):
        found[place] = Gain(**{**asdict(found[place]), "p": p})
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
    recipes: Mapping[str, str],
    curve: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    rows: int,
    target: str,
) -> Augmentation:
    """The verdict.

    Args:
        folds: as ``nested.judge`` returns them.
        learners: that were compared.
        recipes: description of the recipe by learner.
        curve: learning curves on real rows: sizes and R2 by learner.
        rows: of the table.
        target: its name.
    """
    real = {name: r2(folds, "real", name) for name in learners}
    best_real = max(real, key=lambda name: real[name])
    gains = gains_of(folds, learners)
    sizes, scores = curve.get(best_real, ((), ()))
    more = ten_more(sizes, scores, rows)
    helped = [gain for gain in gains if gain.use]
    best = f"{best_real} on the real rows alone has R2 {real[best_real]:.2f}"
    experiments = "" if more is None else f"ten more experiments would, by about {more:+.3f} R2"
    if not helped:
        tried = (
            f" (best: {gains[0].learner} {_change(gains[0])})" if gains else " (no generator could learn these rows)"
        )
        tail = f"; {experiments}" if experiments and more else ""
        shown = "was not shown to help" if gains and max(gain.mean for gain in gains) > UNCLEAR else "does not help"
        sentence = f"Augmentation {shown} to predict {target} here{tried}{tail}. {best[0].upper()}{best[1:]}."
        return Augmentation("measure", sentence, tuple(gains), "", best_real, real[best_real], more)
    top = helped[0]
    recipe = recipes.get(top.learner, "")
    verb = "raises" if top.low > 0 else "probably raises"
    told = (
        f"Augmentation with {recipe} {verb} R2 of {top.learner} from {top.real:.2f} to {top.augmented:.2f} "
        f"(gain {top.mean:+.3f}, 95% interval {top.low:+.3f} to {top.high:+.3f})"
    )
    if top.augmented >= real[best_real]:
        beaten = "" if top.learner == best_real else f"; the best without is {best}"
        return Augmentation("augment", f"{told}{beaten}.", tuple(gains), recipe, best_real, real[best_real], more)
    tail = f" And {experiments}." if experiments and more else ""
    return Augmentation(
        "learner", f"{told}, but it does not beat a better learner: {best}. Use that one.{tail}",
        tuple(gains), recipe, best_real, real[best_real], more,
    )  # fmt: skip


def _change(gain: Gain) -> str:
    return f"{gain.real:.2f} to {gain.augmented:.2f}, 95% interval of the gain {gain.low:+.3f} to {gain.high:+.3f}"
