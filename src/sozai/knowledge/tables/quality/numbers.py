"""The numbers of a table in common units: each column on a scale of its own, skewed ones as logarithms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

DECADES = 100.0
"""A positive column whose 95th percentile is this many times its 5th is judged by its logarithm."""
SAME = 1e-9
"""Share of its size by which a number may differ from another and still be the same one."""


@dataclass(frozen=True)
class Scale:
    """How one column's numbers are brought to a common scale.

    Args:
        logarithm: whether it is the logarithm that is scaled.
        centre: the median.
        spread: robust standard deviation: half the distance of the 16th and the 84th percentile.
        low: value that stands for all at or below zero where ``logarithm``.
    """

    logarithm: bool
    centre: float
    spread: float
    low: float = 0.0

    @classmethod
    def of(cls, values: np.ndarray) -> Scale:
        """The scale of a column's numbers, (rows,), NaN where missing."""
        known = values[np.isfinite(values)]
        if not len(known):
            return cls(False, 0.0, 1.0)
        # The few values at or below zero may be the errors that are looked for.
        positive = known[known > 0]
        logarithm, low = False, 0.0
        if len(positive) >= 0.97 * len(known):
            a, b = np.quantile(positive, [0.05, 0.95])
            logarithm, low = bool(b > DECADES * a), float(positive.min()) / 10
        seen = np.log(np.maximum(known, low)) if logarithm else known
        centre = float(np.median(seen))
        a, b = np.quantile(seen, [0.16, 0.84])
        far, few = np.quantile(seen, [0.01, 0.99])
        spread = max((b - a) / 2, (few - far) / 6)  # a column that is mostly zeros has a narrow middle
        return cls(logarithm, centre, float(spread) if spread > 0 else float(seen.std()) or 1.0, low)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Numbers to scaled ones."""
        seen = np.log(np.maximum(values, self.low)) if self.logarithm else values
        return (seen - self.centre) / self.spread

    def back(self, scaled: np.ndarray) -> np.ndarray:
        """Scaled numbers to plain ones."""
        seen = np.asarray(scaled) * self.spread + self.centre
        return np.exp(seen) if self.logarithm else seen


class Numbers:
    """The columns of numbers of a table, and its categories as codes.

    Args:
        frame: the table.
        numeric: names of the columns of numbers.
        categories: names of those to be known by codes.
        context: (rows, any) further numbers that help to judge the columns and are not judged themselves.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        numeric: Sequence[str],
        categories: Sequence[str] = (),
        context: np.ndarray | None = None,
    ):
        self.names, self.categories = list(numeric), list(categories)
        self.raw = frame[self.names].to_numpy(float, na_value=np.nan).copy()
        codes = [pd.factorize(frame[name], sort=True)[0].astype(float) for name in self.categories]
        self.codes = np.column_stack(codes) if codes else np.empty((len(frame), 0))
        self.codes[self.codes < 0] = np.nan
        if context is not None:
            self.codes = np.column_stack([self.codes, context])

    def __len__(self) -> int:
        return len(self.raw)

    @cached_property
    def scales(self) -> list[Scale]:
        """By column."""
        return [Scale.of(self.raw[:, place]) for place in range(len(self.names))]

    @cached_property
    def scaled(self) -> np.ndarray:
        """(rows, columns) on the columns' scales."""
        return self.to_scaled(self.raw)

    def to_scaled(self, raw: np.ndarray) -> np.ndarray:
        """Other rows (rows, columns) on the scales of these."""
        return np.column_stack([scale(raw[:, place]) for place, scale in enumerate(self.scales)])

    def with_raw(self, raw: np.ndarray, places: np.ndarray | None = None) -> Numbers:
        """The same columns with other numbers; their scales are found anew.

        Args:
            raw: (rows, columns).
            places: rows of this one whose categories the new rows have; by default the same rows.
        """
        made = object.__new__(Numbers)
        made.names, made.categories = self.names, self.categories
        made.raw, made.codes = raw, self.codes if places is None else self.codes[places]
        return made


def decimals(values: np.ndarray, most: int = 6) -> np.ndarray:
    """How many places after the point each number needs, at most ``most``; 0 where missing."""
    needed = np.zeros(values.shape)
    for place in range(most):
        scaled = values * 10.0**place
        needed += np.abs(scaled - np.round(scaled)) > 1e-6 * np.maximum(1.0, np.abs(scaled))
    return np.where(np.isfinite(values), needed, 0.0)


def counts(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """How often each number stands in ``among`` (NaN counts nowhere), up to the last digits."""
    known = np.sort(among[np.isfinite(among)])
    margin = np.abs(values) * SAME + 1e-300
    with np.errstate(invalid="ignore"):
        found = np.searchsorted(known, values + margin, "right") - np.searchsorted(known, values - margin, "left")
    return np.where(np.isfinite(values), found, 0)
