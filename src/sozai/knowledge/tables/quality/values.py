"""Single values: codes for missing ones, impossible ones, names spelt in two ways."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd

from sozai.knowledge.tables.quality.finding import Finding

CODES = (-999.0, -9999.0, -99.0, -99999.0, 999.0, 9999.0, 99999.0, 999999.0, -1.0)
"""Numbers that programs and people write for "not known"."""
COLDEST = {"degC": -273.15, "degree_Celsius": -273.15, "°C": -273.15, "K": 0.0, "kelvin": 0.0,
           "degF": -459.67, "degree_Fahrenheit": -459.67}  # fmt: skip
FEW, FEWEST = 0.02, 12


def single_values(frame: pd.DataFrame, units: Mapping[str, str]) -> list[Finding]:
    """What can be said of numbers one by one, without a model.

    Args:
        frame: the table's columns of numbers.
        units: by column; unknown ones are empty.
    """
    found: list[Finding] = []
    for name in frame.columns:
        values = frame[name].to_numpy(float)
        known = values[np.isfinite(values)]
        if len(known) < FEWEST:
            continue
        told = _codes(frame.index, name, values, known)
        seen = {finding.row for finding in told}
        told += [each for each in _impossible(frame.index, name, values, known, units.get(name, ""))
                 if each.row not in seen]  # fmt: skip
        found += told
    return found


def _codes(index: pd.Index, name: str, values: np.ndarray, known: np.ndarray) -> list[Finding]:
    found = []
    for code in CODES:
        at = np.flatnonzero(values == code)
        others = known[known != code]
        if not len(at) or len(at) > 0.3 * len(known) or len(others) < FEWEST:
            continue
        low, high = float(others.min()), float(others.max())
        far = max(high - low, 1e-12)
        odd = code < low - 0.5 * far or code > high + 0.5 * far or (code < 0 <= low)
        if not odd or (code == -1.0 and low < 0):
            continue
        confidence = 0.97 if abs(code) > 1 else 0.8 if len(at) > 1 else 0.6
        why = f"{name} is {code:g} where all other values lie from {low:.4g} to {high:.4g}: a code for a missing value"
        found += [
            Finding(int(index[place]), (name,), "value", "missing code", why, confidence, (code,), (None,),
                    confidence >= 0.9)
            for place in at
        ]  # fmt: skip
    zeros = np.flatnonzero(values == 0)
    others = np.setdiff1d(known[known != 0], [each.found[0] for each in found])
    if 0 < len(zeros) <= FEW * len(known) and len(others) and others.min() > 0.2 * np.median(others) > 0:
        why = (
            f"{name} is 0 in {len(zeros)} of {len(known)} rows, and all other values are {others.min():.4g} or more: "
            "it may mean that nothing was measured"
        )
        found += [Finding(int(index[at]), (name,), "value", "missing code", why, 0.75, (0.0,), (None,)) for at in zeros]
    return found


def _impossible(index: pd.Index, name: str, values: np.ndarray, known: np.ndarray, unit: str) -> list[Finding]:
    found = []
    coldest = COLDEST.get(unit)
    with np.errstate(invalid="ignore"):
        if coldest is not None:
            for at in np.flatnonzero(values < coldest):
                why = f"{name} is {values[at]:.6g} {unit}, below absolute zero"
                found.append(Finding(int(index[at]), (name,), "value", "impossible", why, 0.99, (float(values[at]),)))
            return found
        if unit in ("%", "percent") and (known > 100).mean() <= FEW:
            for at in np.flatnonzero(values > 100.5):
                why = f"{name} is {values[at]:.6g}, more than 100 percent, as in {(known > 100).mean():.1%} of the rows"
                found.append(Finding(int(index[at]), (name,), "value", "impossible", why, 0.4, (float(values[at]),)))
        negative = np.flatnonzero(values < 0)
        if 0 < len(negative) <= max(1, 0.01 * len(known)) and len(known) >= 50:
            for at in negative:
                value = float(values[at])
                good = len(known) - len(negative)
                why = f"{name} is {value:.6g}, below zero, and {good} of {len(known)} values are not"
                found.append(Finding(int(index[at]), (name,), "value", "sign", why, 0.7, (value,), (-value,)))
    return found


def spellings(column: pd.Series) -> list[Finding]:
    """Names in a column of categories that differ from a commoner one in case, blanks or marks only."""
    counted = Counter(str(value) for value in column.dropna())
    groups: dict[str, list[str]] = {}
    for text in counted:
        groups.setdefault(re.sub(r"[\W_]+", "", text).casefold(), []).append(text)
    found = []
    for plain, texts in groups.items():
        if len(texts) < 2 or not plain:
            continue
        usual = max(texts, key=lambda text: (counted[text], text))
        # Marks carry meaning in some names (FCC+BCC), so only letters' case and blanks are sure.
        for text in texts:
            if text == usual:
                continue
            sure = " ".join(text.split()).casefold() == " ".join(usual.split()).casefold()
            why = f"{column.name}: '{text}' stands {counted[text]} times, '{usual}' {counted[usual]} times"
            found += [
                Finding(int(row), (str(column.name),), "value", "spelling", why, 0.95 if sure else 0.6, (text,),
                        (usual,), sure)
                for row in column.index[column == text]
            ]  # fmt: skip
    return found
