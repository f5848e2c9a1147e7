"""One outer fold: what to do is chosen inside its training rows, and judged once on its test rows.

Chosen and judged on the same rows, the best of a dozen recipes always seems to help (G. Cawley, N. Talbot, JMLR 11,
2079, 2010).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sozai.evaluation.tables.learners import MEMBERS
from sozai.evaluation.tables.prepare import Prepared
from sozai.evaluation.tables.recipes import KEEPS, RATIOS, TAUGHT_MEMBERS, Augmenter, Fit, Recipe, learned
from sozai.evaluation.tables.splits import Fold, parted

INNER = 3
HEAD_START = 0.03
"""R2 by which another recipe must be better than the first one (all rows of the first generator): on few rows the best
of several is mostly the luckiest."""
Step = Callable[[str], None]


@dataclass(frozen=True)
class Setting:
    """What a study compares.

    Args:
        learners: names.
        fits: generators by name.
        obeys: which rows break no hard rule.
        ratios: synthetic rows for each real one.
        keeps: filters of rows.
    """

    learners: Sequence[str]
    fits: Mapping[str, Fit]
    obeys: Callable[[pd.DataFrame], np.ndarray] | None = None
    ratios: Sequence[float] = RATIOS[::-1]
    keeps: Sequence[str] = KEEPS

    def augmenter(self, prepared: Prepared, places: np.ndarray, seed: int) -> Augmenter:
        """Of the rows at these places, and no others."""
        train = prepared.table.rows(places)
        return Augmenter(train, prepared.target, self.fits, self.obeys, seed, max(self.ratios))


def judge(prepared: Prepared, fold: Fold, setting: Setting, seed: int, on_step: Step | None = None) -> dict[str, Any]:
    """Choose a recipe within the training rows, and measure each learner with and without it on the test rows.

    Returns:
        ``train``, ``test``: number of rows; ``truth``: sum of squared deviations of the test rows from the training
        rows' mean; ``real``, ``augmented``: sums of squared errors by learner; ``recipe``: key of the one chosen, empty
        where every generator failed; ``inner``: by learner and recipe the R2 within the training rows (``""``: without
        synthetic rows); ``failed``: generators that could not learn, and why; ``places``, ``family``, ``guesses``,
        ``losses``: of the test rows their places and families, and by learner predictions and squared errors without
        and with synthetic rows.
    """
    inner, failed = choose(prepared, fold.train, setting, seed, on_step)
    maker = setting.augmenter(prepared, fold.train, seed)
    recipe = next((Recipe.of(key) for key in ranked(inner, setting) if maker.rows(Recipe.of(key)) is not None), None)
    out = measure(prepared, fold, maker, recipe, setting.learners, seed)
    if on_step:
        on_step("judging")
    return {**out, "inner": inner, "failed": {**failed, **maker.failed}}


def measure(
    prepared: Prepared, fold: Fold, maker: Augmenter, recipe: Recipe | None, learners: Sequence[str], seed: int
) -> dict[str, Any]:
    """Each learner with and without the rows of one recipe, on the test rows; see ``judge``."""
    wide = prepared.values[fold.test] - prepared.values[fold.train].mean()
    guesses: dict[str, list[np.ndarray]] = {}
    for name in learners:
        guesses[name] = [
            _guess(prepared, fold, maker, name, each, seed, guesses) for each in ([None, recipe] if recipe else [None])
        ]
    losses = {name: [prepared.misses(guess, fold.test) ** 2 for guess in found] for name, found in guesses.items()}
    return {
        "name": fold.name, "train": len(fold.train), "test": len(fold.test), "truth": float((wide**2).sum()),
        "real": {name: float(found[0].sum()) for name, found in losses.items()},
        "augmented": {name: float(found[1].sum()) for name, found in losses.items() if recipe},
        "recipe": recipe.key if recipe else "", "places": fold.test.tolist(),
        "family": prepared.family[fold.test].tolist(), "guesses": _brief(guesses), "losses": _brief(losses),
    }  # fmt: skip


def _guess(
    prepared: Prepared, fold: Fold, maker: Augmenter, name: str, recipe: Recipe | None, seed: int,
    known: Mapping[str, list[np.ndarray]],
) -> np.ndarray:  # fmt: skip
    """Predictions of the test rows; those of an ensemble from its members', where they are known."""
    if name == "ensemble" and set(MEMBERS) <= set(known):
        side = {each: int(recipe is not None and each in TAUGHT_MEMBERS) for each in MEMBERS}
        return np.mean([known[each][side[each]] for each in MEMBERS], axis=0)
    extra, weight = (maker.rows(recipe), recipe.weight) if recipe else (None, 1.0)
    model = learned(name, maker.train, prepared.target, extra, seed, weight)
    return np.asarray(model.predict(prepared.table.frame.iloc[fold.test]), float)


def _brief(found: Mapping[str, list[np.ndarray]]) -> dict[str, list[list[float]]]:
    return {name: [[float(f"{each:.6g}") for each in values] for values in both] for name, both in found.items()}


def choose(
    prepared: Prepared, places: np.ndarray, setting: Setting, seed: int, on_step: Step | None = None
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """R2 of each learner with each recipe worth trying, cross-validated within the rows at these places.

    All generators with few rows first; then the best one with more rows, and through the filters. What is best is
    decided over the learners together (see ``ranked``): one learner's scores on few rows are too noisy to choose by.

    Returns:
        R2 by learner and key of the recipe (``""``: none), and the generators that failed, with the reason.
    """
    splits = [
        Fold(fold.name, places[fold.train], places[fold.test])
        for fold in parted(prepared.family[places], INNER, seed + 1)
    ]
    makers = [setting.augmenter(prepared, fold.train, seed) for fold in splits]
    total = float(((prepared.values[places] - prepared.values[places].mean()) ** 2).sum())
    only = [Recipe.usual(name, setting.ratios[0]) for name in setting.fits]
    if len(only) == 1 and len(setting.ratios) == 1 and set(setting.keeps) <= {"all"}:
        return {setting.learners[0]: {"": 0.0, only[0].key: 0.0}}, {}  # nothing to choose
    # The ensemble is mostly best and takes the longest: its members that learn from synthetic rows stand for it.
    voters = [name for name in setting.learners if name in TAUGHT_MEMBERS] or list(setting.learners)
    scores: dict[str, dict[str, float]] = {name: {} for name in voters}

    def score(recipe: Recipe | None) -> None:
        key = recipe.key if recipe else ""
        if recipe and any(maker.rows(recipe) is None for maker in makers):
            return
        for name in voters:
            found = scores[name]
            if key not in found:
                lost = sum(
                    _loss(prepared, fold, maker, name, recipe, seed) for fold, maker in zip(splits, makers, strict=True)
                )
                found[key] = 1 - lost / total
        if on_step:
            on_step(f"choosing: {key or 'real rows'}")

    score(None)
    for generator in setting.fits:
        score(Recipe.usual(generator, setting.ratios[0]))
    for ratio in setting.ratios[1:]:
        for key in ranked(scores, setting)[:1]:
            score(Recipe.usual(Recipe.of(key).generator, ratio))
    for keep in setting.keeps:
        for key in ranked(scores, setting)[:1]:
            score(Recipe.usual(Recipe.of(key).generator, Recipe.of(key).ratio, keep))
    return scores, {key: why for maker in makers for key, why in maker.failed.items()}


def ranked(scores: Mapping[str, Mapping[str, float]], setting: Setting) -> list[str]:
    """Keys of recipes by their gain (see ``gains``), best first; the first recipe has a head start."""
    found = gains(scores)
    first = Recipe.usual(next(iter(setting.fits)), setting.ratios[0]).key

    def merit(key: str) -> float:
        return found[key] + HEAD_START * (key == first)

    return sorted(found, key=lambda key: -merit(key))


def gains(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Mean gain over the learners by key of the recipe; one great loss counts as 0.2 at most."""
    keys = set.intersection(*(set(found) for found in scores.values())) - {""}
    return {
        key: float(np.mean([max(found[key] - found[""], -0.2) for found in scores.values()])) for key in sorted(keys)
    }


def _loss(prepared: Prepared, fold: Fold, maker: Augmenter, name: str, recipe: Recipe | None, seed: int) -> float:
    """Sum of squared errors on the test rows."""
    return float((prepared.misses(_guess(prepared, fold, maker, name, recipe, seed, {}), fold.test) ** 2).sum())
