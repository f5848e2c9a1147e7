"""What gains of synthetic rows are usual, from other tables, and what to expect once one was measured.

The gain is taken as normal with a mean and a spread found on other tables, and its measured value as normal about that
(empirical Bayes; B. Efron, C. Morris, J. Am. Stat. Assoc. 70, 311, 1975).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sozai.evaluation.tables.recipes import TAUGHT

BEST = "best"
"""Name of the comparison of the best of all with the best on real rows alone."""


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


USUAL = {
    BEST: Prior(mean=-0.00796, slope=-0.00219, spread=0.156, factor=1.88, floor=0.0182),
    "ensemble": Prior(mean=0.0101, slope=-0.0113, spread=0.0397, factor=1.33, floor=0.0141),
    "forest": Prior(mean=0.0298, slope=-0.00724, spread=0.0667, factor=1.55, floor=0.0166),
    "boosting": Prior(mean=0.0108, slope=-0.0258, spread=0.0921, factor=1.0, floor=0.0689),
    "gaussian-process": Prior(mean=-0.11, slope=-0.0231, spread=0.165, factor=1.19, floor=0.0415),
    "ridge": Prior(mean=-0.0159, slope=-0.000285, spread=0.137, factor=1.0, floor=0.086),
}
"""Of interpolated rows (``smote``, two for each real one); for other generators but those of ``PRIORS`` a guess."""
PRIORS = {
    TAUGHT: {
        BEST: Prior(mean=-0.0141, slope=-0.000578, spread=0.117, factor=1.18, floor=0.0816),
        "ensemble": Prior(mean=0.00326, slope=-0.00693, spread=0.0434, factor=1.08, floor=0.0296),
        "forest": Prior(mean=-0.0214, slope=-0.00584, spread=0.0714, factor=1.46, floor=0.0189),
        "boosting": Prior(mean=0.0888, slope=-0.0104, spread=0.0779, factor=0.962, floor=0.113),
        "gaussian-process": Prior(mean=0.054, slope=0.00769, spread=0.0753, factor=1.88, floor=0.0137),
        "ridge": Prior(mean=0.0126, slope=-0.0135, spread=0.0897, factor=2.05, floor=0.016),
    }
}
"""By generator and learner, by ``benchmarks/tables_augment.py --prior`` on tables other than those that it judges; the
ensemble's, where a learner is not in it."""
