"""From an energy above the potential's hull to a probability of lying near the DFT hull.

The potential errs, and so does a finite hull. ``benchmarks/stability.py`` relaxes known materials that are not
in the reference, compares with DFT and stores an isotonic regression (R. E. Barlow et al., 1972): the observed
share of materials within 0.1 eV/atom of the DFT hull as a monotone function of the potential's number.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from typing import Any, Self

import numpy as np

METASTABLE = 0.1
"""eV/atom above the hull up to which a material counts as metastable."""


@dataclass(frozen=True)
class Calibration:
    """A monotone map from energy above hull (eV/atom, by the potential) to a probability.

    Attributes:
        knots: increasing energies above hull.
        probabilities: the probability at each knot, not increasing.
        report: reliability table, expected calibration error, data and command.
    """

    knots: np.ndarray
    probabilities: np.ndarray
    report: dict[str, Any]

    @classmethod
    def fit(cls, above: np.ndarray, metastable: np.ndarray, report: dict[str, Any] | None = None) -> Self:
        """Fit to energies above hull (n,) and whether DFT finds the material metastable (n,)."""
        from scipy.optimize import isotonic_regression

        order = np.argsort(above)
        result = isotonic_regression(np.asarray(metastable, dtype=float)[order], increasing=False)
        # One knot at the middle of each flat piece: straight lines between them, no jumps.
        edges = np.r_[0, np.flatnonzero(np.diff(result.x)) + 1, len(order)]
        sizes = np.diff(edges)
        # Laplace's rule keeps a block of few materials from claiming certainty.
        levels = (result.x[edges[:-1]] * sizes + 1) / (sizes + 2)
        middles = np.array([above[order][a:b].mean() for a, b in pairwise(edges)])
        levels = isotonic_regression(levels, weights=sizes, increasing=False).x
        return cls(middles, np.asarray(levels), report or {})

    def probability(self, above: float | None) -> float | None:
        """Probability of being within 0.1 eV/atom of the DFT hull; ``None`` if ``above`` is unknown."""
        if above is None:
            return None
        return float(np.interp(above, self.knots, self.probabilities))

    def to_json(self) -> str:
        """For ``calibration.json``."""
        return json.dumps(
            {
                "knots": [round(float(value), 5) for value in self.knots],
                "probabilities": [round(float(value), 4) for value in self.probabilities],
                "report": self.report,
            },
            indent=1,
        )


def reliability(probabilities: np.ndarray, outcomes: np.ndarray, bins: int = 10) -> tuple[list[dict[str, Any]], float]:
    """Reliability table and expected calibration error (M. P. Naeini et al., AAAI 2015), equal-width bins."""
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    table, error = [], 0.0
    for index in range(bins):
        inside = place == index
        if not inside.any():
            continue
        predicted, observed = float(probabilities[inside].mean()), float(outcomes[inside].mean())
        table.append({"predicted": round(predicted, 4), "observed": round(observed, 4), "count": int(inside.sum())})
        error += inside.mean() * abs(predicted - observed)
    return table, float(error)


@lru_cache(maxsize=1)
def bundled() -> Calibration:
    """The calibration that ships with sozai."""
    content = json.loads((files("sozai.screening") / "calibration.json").read_text())
    return Calibration(np.array(content["knots"]), np.array(content["probabilities"]), content["report"])
