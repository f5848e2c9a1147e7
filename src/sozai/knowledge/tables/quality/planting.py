"""Errors planted in a table, so that a detector can learn on it what errors look like there.

The idea is that of HoloDetect (Heidari, McGrath, Ilyas, Rekatsinas, SIGMOD 2019, arXiv:1904.02285): a table teaches
the detection of its own errors when typical ones are put into it, because where they are is then known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sozai.knowledge.tables.quality.numbers import Numbers
from sozai.knowledge.tables.quality.slips import FACTORS

LEAST = 0.4
"""Smallest change, in column spreads, that makes an error."""
TRIES = 12


@dataclass
class Planted:
    """A table with errors.

    Args:
        numbers: the table; rows made from others stand at its end.
        label: (rows, columns) 1 where a cell was made wrong, -1 where it cannot be said (the twin of a wrong row).
        source: (rows,) place in the table of the row that each was made from.
    """

    numbers: Numbers
    label: np.ndarray
    source: np.ndarray


def plant(numbers: Numbers, share: float, target: int | None = None, seed: int = 0) -> Planted:
    """Make a share of the rows wrong, each kind of error as often as another.

    Args:
        numbers: the table.
        share: of the rows.
        target: column in which made twins disagree; ``None``: none are made.
        seed: of the choice.
    """
    random = np.random.default_rng(seed)
    n, d = numbers.raw.shape
    raw, label = numbers.raw.copy(), np.zeros((n, d), int)
    kinds: list[Callable[[np.random.Generator, Numbers, int, int], float]] = [_unit, _hand, _wild, _foreign]
    extra: list[tuple[int, np.ndarray]] = []
    for row in random.permutation(n)[: max(1, round(share * n))]:
        columns = np.flatnonzero(np.isfinite(raw[row]))
        if not len(columns):
            continue
        kind = int(random.integers(len(kinds) + 1 + (target is not None)))
        for _ in range(TRIES):
            column = int(random.choice(columns))
            if kind < len(kinds):
                value = kinds[kind](random, numbers, row, column)
                if _far(numbers, row, column, value):
                    raw[row, column], label[row, column] = value, 1
                    break
            elif kind == len(kinds):
                other = int(random.choice(columns))
                a, b = numbers.raw[row, column], numbers.raw[row, other]
                if other != column and _far(numbers, row, column, b) and _far(numbers, row, other, a):
                    raw[row, [column, other]], label[row, [column, other]] = (b, a), 1
                    break
            elif target is not None and np.isfinite(raw[row, target]):
                new = numbers.raw[row].copy()
                step = random.choice([-1, 1]) * random.uniform(0.7, 3)
                new[target] = _written(numbers, target, numbers.scaled[row, target] + step)
                if np.isfinite(new[target]):
                    extra.append((int(row), new))
                    break
    if not extra:
        return Planted(numbers.with_raw(raw), label, np.arange(n))
    source = [row for row, _ in extra]
    more = np.zeros((len(extra), d), int)
    more[:, target] = 1
    label[source] = np.where(label[source] == 0, -1, label[source])
    places = np.concatenate([np.arange(n), source])
    whole = np.vstack([raw, [new for _, new in extra]])
    return Planted(numbers.with_raw(whole, places), np.vstack([label, more]), places)


def _far(numbers: Numbers, row: int, column: int, value: float) -> bool:
    if not np.isfinite(value):
        return False
    scale = numbers.scales[column]
    moved = abs(float(scale(np.array([value]))[0]) - numbers.scaled[row, column])
    # Of a column judged by its logarithm also a change of sign counts, which the logarithm does not see.
    return moved >= LEAST or (scale.logarithm and value < 0)


def _unit(random: np.random.Generator, numbers: Numbers, row: int, column: int) -> float:
    value = numbers.raw[row, column]
    which = int(random.integers(len(FACTORS) + 3))
    if which < len(FACTORS):
        return float(f"{value * FACTORS[which][0]:.9g}")
    return [value + 273.15, value - 273.15, -value][which - len(FACTORS)]


def _hand(random: np.random.Generator, numbers: Numbers, row: int, column: int) -> float:
    value = numbers.raw[row, column]
    text = f"{abs(value):.10g}"
    digits = [place for place, letter in enumerate(text) if letter.isdigit()][:5]
    if "e" in text or len(digits) < 2:
        return np.nan
    at = int(random.choice(len(digits)))
    place, what = digits[at], int(random.integers(4))
    if what == 0:
        if at + 1 == len(digits):
            return np.nan
        letters = list(text)
        letters[place], letters[digits[at + 1]] = letters[digits[at + 1]], letters[place]
        text = "".join(letters)
    elif what == 1:
        text = text[:place] + text[place + 1 :]
    elif what == 2:
        text = text[:place] + text[place] + text[place:]
    else:
        text = text[:place] + str(random.integers(10)) + text[place + 1 :]
    return float(np.sign(value)) * float(text or "nan") if text.strip(".") else np.nan


def _wild(random: np.random.Generator, numbers: Numbers, row: int, column: int) -> float:
    step = random.choice([-1, 1]) * random.uniform(2, 8)
    return _written(numbers, column, numbers.scaled[row, column] + step)


def _foreign(random: np.random.Generator, numbers: Numbers, row: int, column: int) -> float:
    return float(numbers.raw[int(random.integers(len(numbers))), column])


def _written(numbers: Numbers, column: int, scaled: float) -> float:
    """A number with as many decimals as those of its column."""
    from sozai.knowledge.tables.quality.numbers import decimals

    known = numbers.raw[:, column]
    known = known[np.isfinite(known)]
    value = float(numbers.scales[column].back(np.array(scaled)))
    if numbers.scales[column].logarithm:
        return float(f"{value:.4g}")
    return round(value, int(np.quantile(decimals(known[:500]), 0.9)))
