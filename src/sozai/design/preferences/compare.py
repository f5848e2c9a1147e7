"""Before and after tuning, on formulas it has not seen, by a potential that had no part in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sozai.design.preferences.energies import Drawn, draw, with_energies
from sozai.generators.wyckoff_gpt.model import WyckoffGPT

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Draws:
    """What one model drew for the held-out formulas.

    Attributes:
        drawn: genes in all, alike ones counted each time.
        unique: share of distinct ones among the draws of a formula, mean over formulas.
        novel: share of distinct relaxed crystals whose structure is not among the known materials.
        sound: share of draws that could be built, break no hard rule, and relaxed.
        energy: mean over formulas of the mean energy of its draws, eV/atom.
        best: mean over formulas of the lowest energy among its draws, eV/atom.
    """

    drawn: int
    unique: float
    novel: float
    sound: float
    energy: float
    best: float


@dataclass(frozen=True)
class Change:
    """A difference, after minus before, over formulas, with its 95% interval by bootstrap."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, differences: np.ndarray, seed: int = 0) -> Change:
        """Of paired differences, one a formula."""
        if not len(differences):
            return cls(math.nan, math.nan, math.nan)
        rng = np.random.default_rng(seed)
        means = differences[rng.integers(len(differences), size=(4000, len(differences)))].mean(1)
        low, high = np.quantile(means, [0.025, 0.975])
        return cls(float(differences.mean()), float(low), float(high))


@dataclass(frozen=True)
class Comparison:
    """Two models on the same formulas, judged by one potential.

    Attributes:
        judge: name of the potential.
        formulas: that both could be judged on.
        before, after: what each drew.
        energy, best: changes in eV/atom (negative is better).
        unique, novel, sound: changes of shares.
        by_formula: the same changes of each formula, so that several tunings can be judged together.
    """

    judge: str
    formulas: int
    before: Draws
    after: Draws
    energy: Change
    best: Change
    unique: Change
    novel: Change
    sound: Change
    by_formula: Mapping[str, Mapping[str, float]]

    @property
    def sentence(self) -> str:
        """What tuning did, or that it did nothing."""
        change = self.energy
        said = (
            f"{change.mean:+.3f} eV/atom (95% interval {change.low:+.3f} to {change.high:+.3f}) over {self.formulas} "
            f"formulas it has not seen, by {self.judge}, which had no part in the tuning"
        )
        novelty = (
            f"novelty {self.before.novel:.0%} before and {self.after.novel:.0%} after, "
            f"distinct draws {self.before.unique:.0%} and {self.after.unique:.0%}"
        )
        if change.high < 0:
            return f"Tuning lowers the mean energy of what is drawn by {said}; {novelty}."
        if change.low > 0:
            return f"Tuning makes it worse: {said}; {novelty}. Do not use these weights."
        return f"Tuning was not shown to help: {said}; {novelty}."

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "sentence": self.sentence}


def compare(
    before: WyckoffGPT,
    after: WyckoffGPT,
    formulas: Sequence[str],
    *,
    judge: str = "sevennet-l3i5",
    each: int = 8,
    max_atoms: int = 20,
    seed: int = 0,
    folder: Path | None = None,
    deadline: float | None = None,
    processes: int | None = None,
    on_progress: Progress | None = None,
) -> Comparison:
    """Draw for the same formulas with both, with repetitions as they come, and relax by the judge.

    Args:
        formulas: that were not learned from.
        judge: a potential other than the one that rewarded.
        each: draws a formula.
        folder: keeps finished relaxations, so that an interrupted comparison can go on.
    """
    journal = None if folder is None else folder / f"energies_{judge}.jsonl"
    drawn = [draw(model, formulas, each, max_atoms, seed, distinct=False) for model in (before, after)]
    judged = with_energies([*drawn[0], *drawn[1]], judge, journal, deadline, processes, on_progress)
    cut = len(drawn[0])
    known = _known(judged)
    rows = [_by_formula(part, known) for part in (judged[:cut], judged[cut:])]
    both = [name for name in formulas if name in rows[0] and name in rows[1]]
    old, new = (_draws([side[name] for name in both]) for side in rows)

    keys = ("energy", "best", "unique", "novel", "sound")
    by_formula = {
        name: {key: step for key in keys if math.isfinite(step := rows[1][name][key] - rows[0][name][key])}
        for name in both
    }
    energy, best, unique, novel, sound = (change_of(by_formula.values(), key) for key in keys)
    return Comparison(judge, len(both), old, new, energy, best, unique, novel, sound, by_formula)


def change_of(changes: Iterable[Mapping[str, float]], key: str) -> Change:
    """A change over formulas; those where it is not known (nothing sound was drawn) are left out."""
    return Change.of(np.array([change[key] for change in changes if key in change]))


def _known(judged: Sequence[Drawn]) -> dict[str, bool]:
    """Whether each distinct crystal is a known material, by its gene."""
    from sozai.screening.identity import Novelty

    novelty, found = Novelty(), {}
    for row in judged:
        key = str(row.gene.canonical)
        if row.structure is not None and key not in found:
            nearest = novelty.nearest(row.structure)
            found[key] = nearest is not None and nearest.same
    return found


def _by_formula(judged: Sequence[Drawn], known: Mapping[str, bool]) -> dict[str, dict[str, float]]:
    groups: dict[str, list[Drawn]] = {}
    for row in judged:
        groups.setdefault(row.formula, []).append(row)
    found = {}
    for formula, rows in groups.items():
        energies = np.array([row.energy for row in rows])
        finite = energies[np.isfinite(energies)]
        keys = {str(row.gene.canonical) for row in rows if math.isfinite(row.energy)}
        found[formula] = {
            "drawn": len(rows),
            "unique": len({row.gene.canonical for row in rows}) / len(rows),
            "novel": float(np.mean([not known[key] for key in keys])) if keys else math.nan,
            "sound": len(finite) / len(rows),
            "energy": float(finite.mean()) if len(finite) else math.nan,
            "best": float(finite.min()) if len(finite) else math.nan,
        }
    return found


def _draws(rows: Sequence[Mapping[str, float]]) -> Draws:
    def mean(key: str) -> float:
        values = np.array([row[key] for row in rows], float)
        return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan

    drawn = int(sum(row["drawn"] for row in rows))
    return Draws(drawn, mean("unique"), mean("novel"), mean("sound"), mean("energy"), mean("best"))
