"""A table's rows as numbers that any method can model, and back: repeated values, zeros and blanks belong.

Each column is laid out on the line from 0 to 1 by its distribution function. A value that repeats in the data (a zero,
a standard dose) and a blank hold a stretch as long as their share; between values that occur once the line is drawn
straight. A value goes to a place in its stretch at random and any place in the stretch comes back as the value: spikes
are told exactly, whatever noise a model adds, and the margins are the data's own (randomised quantile residuals, Dunn
and Smyth 1996; dequantisation, Theis et al., 1511.01844).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from sozai.errors import UserError
from sozai.materials.tables.table import Column, Table

EDGE = 1e-6
"""Places are kept so far from 0 and 1, where normal scores are infinite."""


class NumberCode:
    """A column of numbers on the line from 0 to 1.

    Args:
        knots: places, ascending, (knots,).
        values: at the knots, ascending; equal at both ends of a spike's stretch.
        missing: share of blanks, which lie below all numbers.
        whole: whether it holds whole numbers.
    """

    def __init__(self, knots: np.ndarray, values: np.ndarray, missing: float, whole: bool):
        self.knots, self.values, self.missing, self.whole = knots, values, missing, whole

    @classmethod
    def fit(cls, numbers: np.ndarray, whole: bool = False) -> NumberCode:
        """From a column (rows,), blanks as NaN."""
        known = numbers[np.isfinite(numbers)]
        missing = 1 - len(known) / max(len(numbers), 1)
        if not len(known):
            return cls(np.array([0.0]), np.array([0.0]), 1.0, whole)
        distinct, counts = np.unique(known, return_counts=True)
        above = np.cumsum(counts)
        below = above - counts
        single = counts == 1
        places = np.concatenate([np.where(single, below + 0.5, below), above[~single]]) / len(known)
        values = np.concatenate([distinct, distinct[~single]])
        order = np.lexsort((places, values))
        return cls(missing + (1 - missing) * places[order], values[order], missing, whole)

    def encode(self, numbers: np.ndarray, generator: np.random.Generator | None = None) -> np.ndarray:
        """Places (rows,); within a stretch at random, or in its middle without a generator."""
        low = np.searchsorted(self.values, numbers, side="left")
        high = np.searchsorted(self.values, numbers, side="right")
        seen = high > low
        last = len(self.knots) - 1
        start, end = self.knots[np.clip(low, 0, last)], self.knots[np.clip(high - 1, 0, last)]
        share = generator.random(len(numbers)) if generator is not None else np.full(len(numbers), 0.5)
        blank = ~np.isfinite(numbers)
        between = np.interp(np.where(blank, 0.0, numbers), self.values, self.knots)
        places = np.where(seen, start + share * (end - start), between)
        return np.where(blank, share * self.missing, places)

    def decode(self, places: np.ndarray) -> np.ndarray:
        """Numbers (rows,)."""
        numbers = np.interp(places, self.knots, self.values)
        if self.whole:
            numbers = np.rint(numbers)
        return np.where(places < self.missing, np.nan, numbers)

    def arrays(self) -> dict[str, np.ndarray]:
        """For saving."""
        return {"knots": self.knots, "values": self.values, "flags": np.array([self.missing, float(self.whole)])}

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray]) -> NumberCode:
        """From ``arrays``."""
        return cls(arrays["knots"], arrays["values"], float(arrays["flags"][0]), bool(arrays["flags"][1]))


class CategoryCode:
    """Categories on the line from 0 to 1: each holds a stretch as long as its share.

    Args:
        levels: in the order in which they lie there, an ordinal's from low to high; blanks lie below all.
        ends: where each stretch ends, the blanks' first, (levels + 1,).
    """

    def __init__(self, levels: tuple[str, ...], ends: np.ndarray):
        self.levels, self.ends = levels, ends

    @classmethod
    def fit(cls, texts: pd.Series, column: Column) -> CategoryCode:
        """From a column, blanks as None."""
        shares = texts.dropna().astype(str).value_counts()
        levels = tuple(level for level in column.levels if level in shares.index)
        if set(shares.index) - set(levels):
            strange = ", ".join(sorted(set(shares.index) - set(levels))[:5])
            raise UserError(f"values that are none of its levels: {strange}", f"column '{column.name}'")
        if column.kind != "ordinal":  # frequent ones in the middle would only matter to methods that see an order
            levels = tuple(sorted(levels, key=lambda level: (-shares[level], level)))
        counts = [int(texts.isna().sum()), *(int(shares[level]) for level in levels)]
        return cls(levels, np.cumsum(counts) / max(sum(counts), 1))

    def encode(self, texts: pd.Series, generator: np.random.Generator | None = None) -> np.ndarray:
        """Places (rows,)."""
        at = self.positions(texts)
        starts = np.concatenate([[0.0], self.ends[:-1]])
        share = generator.random(len(at)) if generator is not None else np.full(len(at), 0.5)
        return starts[at] + share * (self.ends - starts)[at]

    def positions(self, texts: pd.Series) -> np.ndarray:
        """0 for a blank, else 1 + the place of the level, (rows,)."""
        places = {level: place for place, level in enumerate(self.levels, 1)}
        return texts.map(places).fillna(0).to_numpy(int)

    def decode(self, places: np.ndarray) -> np.ndarray:
        """Texts (rows,); a stretch of no length is never met."""
        at = np.minimum(np.searchsorted(self.ends, places, side="right"), len(self.ends) - 1)
        return self.texts(at)

    def texts(self, positions: np.ndarray) -> np.ndarray:
        """The way back from ``positions``."""
        return np.array([None, *self.levels], dtype=object)[positions]


class Representation:
    """All modelled columns of a table.

    Args:
        codes: by column, in the table's order.
    """

    def __init__(self, codes: dict[str, NumberCode | CategoryCode]):
        self.codes = codes

    @classmethod
    def fit(cls, table: Table) -> Representation:
        """From the modelled columns of a table's rows."""
        codes: dict[str, NumberCode | CategoryCode] = {}
        for name in table.modelled:
            column = table.columns[name]
            if column.numeric:
                codes[name] = NumberCode.fit(table.frame[name].to_numpy(float), column.kind == "count")
            else:
                codes[name] = CategoryCode.fit(table.frame[name], column)
        return cls(codes)

    def places(self, frame: pd.DataFrame, seed: int | None = None) -> np.ndarray:
        """Places from 0 to 1, (rows, columns); at random in a stretch, or in its middle without a seed."""
        generator = None if seed is None else np.random.default_rng(seed)
        parts: list[np.ndarray] = []
        for name, code in self.codes.items():
            if isinstance(code, NumberCode):
                parts.append(code.encode(frame[name].to_numpy(float), generator))
            else:
                parts.append(code.encode(frame[name], generator))
        return np.stack(parts, 1)

    def encode(self, frame: pd.DataFrame, seed: int | None = None) -> np.ndarray:
        """Normal scores, (rows, columns)."""
        return ndtri(np.clip(self.places(frame, seed), EDGE, 1 - EDGE))

    def decode(self, scores: np.ndarray) -> pd.DataFrame:
        """Rows from normal scores."""
        return self.at(ndtr(scores))

    def at(self, places: np.ndarray) -> pd.DataFrame:
        """Rows from places."""
        return pd.DataFrame({name: code.decode(places[:, at]) for at, (name, code) in enumerate(self.codes.items())})

    def arrays(self) -> dict[str, np.ndarray]:
        """For saving: numbers only; levels are in ``levels``."""
        made: dict[str, np.ndarray] = {}
        for at, code in enumerate(self.codes.values()):
            parts = code.arrays() if isinstance(code, NumberCode) else {"ends": code.ends}
            made |= {f"code.{at}.{key}": value for key, value in parts.items()}
        return made

    def levels(self) -> dict[str, list[str] | None]:
        """By column: a category's levels as they lie, ``None`` for numbers."""
        return {
            name: list(code.levels) if isinstance(code, CategoryCode) else None for name, code in self.codes.items()
        }

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray], levels: dict[str, Any]) -> Representation:
        """From ``arrays`` and ``levels``."""
        codes: dict[str, NumberCode | CategoryCode] = {}
        for at, (name, known) in enumerate(levels.items()):
            prefix = f"code.{at}."
            own = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
            codes[name] = NumberCode.of(own) if known is None else CategoryCode(tuple(known), own["ends"])
        return cls(codes)
