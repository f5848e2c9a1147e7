"""Chemical formulas of a column as a matrix of elements' amounts; strict, quick, any real amounts.

``Al0.25 Co1 Fe1 Ni1``, ``LiV(PO4)F``, ``Fe0.62C0.00095Mn0.0005``, ``CuSO4·5H2O`` are formulas. ``CAST``, ``AlxCoFe``
and ``Li7-xO`` are not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

import numpy as np

from sozai.knowledge.crystals.wish import SYMBOLS

_ELEMENTS = frozenset(SYMBOLS)
_NUMBERS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_PART = re.compile(r"\s*(?:([A-Z][a-z]?)|([(\[{])|([)\]}])|([·•*]))\s*(\d+(?:\.\d*)?|\.\d+)?")
_RARE_ELEMENTS = "Tc Pm Po At Rn Fr Ra Ac Pa Am Cm Bk Cf Es Fm Md No Lr"
_RARE = frozenset(_RARE_ELEMENTS.split())


def amounts_of(formula: str) -> dict[str, float] | None:
    """Amounts by element; ``None`` when the text is no formula. Amounts of zero are left out."""
    text = formula.strip().translate(_NUMBERS)
    if not text or (not text[0].isupper() and text[0] not in "([{") or len(text) > 500:
        return None
    total: dict[str, float] = {}
    levels: list[dict[str, float]] = [{}]
    place, times_part = 0, 1.0
    while place < len(text):
        found = _PART.match(text, place)
        if found is None or found.end() == place:
            return None
        symbol, opening, closing, _dot, number = found.groups()
        times = float(number) if number else 1.0
        place = found.end()
        if symbol:
            if symbol not in _ELEMENTS:
                return None
            levels[-1][symbol] = levels[-1].get(symbol, 0.0) + times
        elif opening:
            if number:
                return None
            levels.append({})
        elif closing:
            if len(levels) == 1:
                return None
            for element, amount in levels.pop().items():
                levels[-1][element] = levels[-1].get(element, 0.0) + amount * times
        else:  # the dot of a hydrate: what follows counts as many times
            if len(levels) > 1 or not levels[0]:
                return None
            _add(total, levels[0], times_part)
            levels, times_part = [{}], times
    if len(levels) > 1 or not levels[0]:
        return None
    _add(total, levels[0], times_part)
    total = {element: amount for element, amount in total.items() if amount > 0}
    return total if total and math.isfinite(sum(total.values())) else None


def _add(total: dict[str, float], part: dict[str, float], times: float) -> None:
    for element, amount in part.items():
        total[element] = total.get(element, 0.0) + amount * times


def looks_like_formulas(texts: Iterable[str], named: bool) -> bool:
    """Whether different texts are formulas, not words or abbreviations that happen to be made of symbols.

    Args:
        texts: different values of a column.
        named: whether the heading speaks of a formula or composition.
    """
    values = list(texts)[:2000]
    if not values:
        return False
    read = [amounts_of(text) for text in values]
    share = sum(amounts is not None for amounts in read) / len(values)
    evident = sum(_evident(text, amounts) for text, amounts in zip(values, read, strict=True)) / len(values)
    return (share >= 0.8 and evident >= 0.2) if named else (share >= 0.95 and evident >= 0.6)


def _evident(text: str, amounts: dict[str, float] | None) -> bool:
    """Two elements at least, none of them rare, and more in the text than capitals (``HCP``, ``PVC``)."""
    if amounts is None or len(amounts) < 2 or not _RARE.isdisjoint(amounts):
        return False
    return any(letter.islower() or letter.isdigit() for letter in text)


def matrix_of(formulas: Sequence[str | None]) -> tuple[np.ndarray, list[str]]:
    """Amounts, (rows, elements), and the elements' symbols by atomic number; rows without a formula are NaN."""
    known: dict[str, dict[str, float] | None] = {}
    for formula in formulas:
        if formula is not None and formula not in known:
            known[formula] = amounts_of(formula)
    present = {element for amounts in known.values() if amounts for element in amounts}
    elements = [symbol for symbol in SYMBOLS if symbol in present]
    column = {symbol: place for place, symbol in enumerate(elements)}
    matrix = np.zeros((len(formulas), len(elements)))
    for row, formula in enumerate(formulas):
        amounts = known.get(formula) if formula is not None else None
        if amounts is None:
            matrix[row] = np.nan
            continue
        for element, amount in amounts.items():
            matrix[row, column[element]] = amount
    return matrix, elements
