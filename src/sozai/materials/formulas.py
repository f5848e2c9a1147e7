"""Chemical formulas: for each element how many atoms, as a category.

The matrix of elements by counts is MatGAN's (Y. Dan et al., npj Comput. Mater. 6, 84, 2020).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.fields import category
from sozai.materials.dataset import Dataset, Material, Values

LARGEST_COUNT = 16
"""Formulas with more atoms of one element are left out."""
_PART = re.compile(r"(?:([A-Z][a-z]?)|([(\[])|([)\]]))([0-9.]*)")


class Formulas(Material):
    """Formulas over some elements.

    Args:
        elements: symbols, in the order of the field's places.
        left_out: formulas of the file that were not used, and why.
    """

    kind = "formulas"

    def __init__(self, elements: list[str], left_out: dict[str, int] | None = None):
        self.elements, self.left_out = list(elements), dict(left_out or {})

    def restore(self, values: Values) -> list[str]:
        """Reduced formulas; an empty text where no element was drawn."""
        from sozai.materials.known import reduced_formula

        formulas = []
        for row in values["counts"]:
            counts = {self.elements[place]: int(row[place]) for place in np.flatnonzero(row)}
            formulas.append(reduced_formula(counts) if counts else "")
        return formulas

    def write(self, made: list[str], folder: Path) -> list[Path]:
        """``samples.csv`` with a column ``formula``."""
        path = folder / "samples.csv"
        pd.DataFrame({"formula": made}).to_csv(path, index=False)
        return [path]

    def to_dict(self) -> dict[str, Any]:
        """See ``Material``."""
        return {"kind": self.kind, "elements": self.elements, "left_out": self.left_out}


def parse(formula: str) -> dict[str, int]:
    """Whole atoms by element, reduced; parentheses may be nested.

    Raises:
        ValueError: not a formula of whole numbers.
    """
    levels: list[dict[str, float]] = [{}]
    place = 0
    for match in _PART.finditer(formula):
        if match.start() != place:
            break
        place = match.end()
        symbol, opening, closing, amount = match.groups()
        times = float(amount or 1)
        if opening:
            levels.append({})
        elif symbol:
            levels[-1][symbol] = levels[-1].get(symbol, 0) + times
        elif closing and len(levels) > 1:
            for element, count in levels.pop().items():
                levels[-1][element] = levels[-1].get(element, 0) + count * times
        else:
            raise ValueError("not a formula")
    counts = levels[0]
    if place != len(formula) or len(levels) != 1 or not counts:
        raise ValueError("not a formula")
    if any(count != int(count) or count < 1 for count in counts.values()):
        raise ValueError("not whole numbers")
    divisor = math.gcd(*(int(count) for count in counts.values()))
    return {element: int(count) // divisor for element, count in counts.items()}


def dataset_of(formulas: Iterable[str]) -> Dataset:
    """Distinct formulas as fields.

    Raises:
        UserError: none can be read.
    """
    rows: dict[tuple, dict[str, int]] = {}
    left_out: dict[str, int] = {}
    for formula in formulas:
        try:
            counts = parse(str(formula).strip())
        except ValueError as error:
            left_out[str(error)] = left_out.get(str(error), 0) + 1
            continue
        if max(counts.values()) > LARGEST_COUNT:
            why = f"more than {LARGEST_COUNT} atoms of one element"
            left_out[why] = left_out.get(why, 0) + 1
            continue
        rows[tuple(sorted(counts.items()))] = counts
    if not rows:
        raise UserError("there is no formula that can be read", "formulas", f"left out: {left_out or 'nothing'}")
    elements = sorted({element for counts in rows.values() for element in counts})
    place = {element: at for at, element in enumerate(elements)}
    values = np.zeros((len(rows), len(elements)), dtype=np.int64)
    for at, counts in enumerate(rows.values()):
        for element, count in counts.items():
            values[at, place[element]] = count
    field = category(int(values.max()) + 1, len(elements))
    return Dataset(Formulas(elements, left_out), {"counts": field}, {}, {"counts": values})


def read_formulas(path: Path) -> Dataset:
    """A table with a column ``formula`` (or its first column), or a text with a formula a line; see ``dataset_of``.

    Raises:
        UserError: it cannot be read.
    """
    try:
        if path.name.lower().endswith(".parquet"):
            frame = pd.read_parquet(path)
        elif path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv")):
            frame = pd.read_csv(path, sep="\t" if ".tsv" in path.name.lower() else ",")
        else:
            return dataset_of(path.read_text(encoding="utf-8").split())
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise UserError(f"the formulas cannot be read ({error})", str(path)) from error
    named = [name for name in frame.columns if str(name).lower() in ("formula", "composition", "pretty_formula")]
    return dataset_of(frame[named[0] if named else frame.columns[0]].dropna())
