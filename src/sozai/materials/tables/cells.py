"""Cells as numbers: decimal commas, thousands, inequalities, uncertainties, units, words for missing.

What a cell says beyond a number is kept (``limits``) or told (``remarks``); nothing is guessed for a cell that does not
read as a number: it is listed in ``unread``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

Decimal = Literal[".", ","]

_WORDS = """NA N/A n/a na n.a. #N/A #NA <NA> NaN nan NAN null NULL - -- --- – — − ?
    #DIV/0! #VALUE! #REF! #NAME? #NUM! #NULL!"""
_MORE_WORDS = """none|nil|nd|n.d.|n. d.|n. a.|nr|n.r.|n/r|n/d|#n/v|tbd|missing|unknown|no data|not available
|not measured|not reported|not determined|bdl|b.d.l.|below detection limit
|*|.|..|...|…|(blank)|(null)|inf|-inf|+inf|infinity
|-infinity"""
MISSING_TEXT = frozenset(["", *_WORDS.split()])
"""Words for missing in any column. ``none`` is not among them: it may be a category ("no binder")."""
MISSING_NUMBER = frozenset(word.casefold() for word in MISSING_TEXT) | frozenset(
    _MORE_WORDS.replace("\n", "").split("|")
)
"""Words for missing, casefolded, in a column of numbers."""
SILENT = frozenset(["", "na", "n/a", "nan", "null", "<na>", "#n/a"])

_SPACES = str.maketrans({"\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2007": " ", "\u2212": "-", "\u2019": "'"})
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_MANTISSA = r"(?:\d{1,3}(?:[ ']\d{3})+(?:[.,]\d*)?|\d{1,3}(?:,\d{3}){2,}(?:\.\d*)?|\d{1,3}(?:\.\d{3}){2,}(?:,\d*)?"
_MANTISSA += r"|\d{1,3}(?:,\d{3})+\.\d*|\d{1,3}(?:\.\d{3})+,\d*|\d+(?:[.,]\d*)?|[.,]\d+)"
_EXPONENT = r"(?:[eEdD][+-]?\d{1,4}(?![\d.])|\s*[x×·*]\s*10\s*(?:\^\s*|\*\*\s*)?[({]?[+-]?[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺\d]{1,4}[)}]?)"
_NUMBER = rf"10\^[({{]?[+-]?\d{{1,3}}[)}}]?|10[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+|[+-]?{_MANTISSA}{_EXPONENT}?"
_CELL = re.compile(
    r"(?P<sign><=|>=|=<|=>|[<>≤≥⩽⩾~≈∼]|ca\.?|approx\.?|about)?\s*"
    rf"(?P<number>{_NUMBER})"
    rf"(?:\s*(?:±|\+/-|\+-|\+/−)\s*(?P<plusminus>{_NUMBER})|\((?P<digits>\d{{1,3}})\)"
    rf"|\s*(?:-|–|—|\bto\b|…|\.\.\.?)\s*(?P<upper>{_NUMBER}))?"
    r"\s*(?P<unit>[^\s\d+\-.,()<>=^\"][^<>=\"]{0,23})?",
    re.IGNORECASE,
)
_POWER = re.compile(r"10(?:\^[({]?|)([+-]?\d+)[)}]?")
_SPLIT = re.compile(rf"([+-]?{_MANTISSA})(?:[eEdD]|\s*[x×·*]\s*10\s*(?:\^|\*\*)?\s*[({{]?)?([+-]?\d+)?[)}}]?")
_WHOLE = re.compile(r"[+-]?\d{1,3}(?:[,.' ]?\d{3})*|[+-]?\d+")
_COMMAS = re.compile(r"[^\d.,]*([+-]?[\d.,' ]*\d[\d.,' ]*)")


class Reading(NamedTuple):
    """One cell: its number, -1 / 1 when the truth lies below / above, the unit after it, and what else it said."""

    value: float
    limit: int = 0
    unit: str = ""
    remark: str = ""


@dataclass
class Numbers:
    """A column read as numbers.

    Args:
        values: float64, (rows,); NaN where missing or unread.
        limits: -1, 0 or 1, (rows,); ``None`` when no cell is an inequality.
        missing: blank cells and words for missing, (rows,).
        unread: places of the cells that are neither.
        units: the unit written in each cell that has one, by place.
        remarks: by place, what a cell said that its number does not hold.
        words: words for missing other than the usual, and how often.
        points: whether any number is written with a decimal point, comma or exponent.
    """

    values: np.ndarray
    missing: np.ndarray
    limits: np.ndarray | None = None
    unread: list[int] = field(default_factory=list)
    units: dict[int, str] = field(default_factory=dict)
    remarks: dict[int, str] = field(default_factory=dict)
    words: Mapping[str, int] = field(default_factory=dict)
    points: bool = False

    @property
    def share(self) -> float:
        """Of the cells that are not missing, the part that reads as numbers."""
        present = int((~self.missing).sum())
        return 1 - len(self.unread) / present if present else 0.0


def numbers_of(cells: Sequence[Any] | np.ndarray, decimal: Decimal = ".", grouped: bool = True) -> Numbers:
    """Read a column's cells as numbers.

    Args:
        cells: text, numbers or ``None``; or an array of float64.
        decimal: what ``1,5`` or ``1.234`` is where the cell alone does not tell.
        grouped: whether the other of comma and point parts thousands (``1,234`` is 1234) where that is unclear.
    """
    if isinstance(cells, np.ndarray):
        finite = np.isfinite(cells)
        words = {"infinite": int(np.isinf(cells).sum())} if np.isinf(cells).any() else {}
        return Numbers(np.where(finite, cells, np.nan), ~finite, words=words)
    return _plain(cells, decimal) or _careful(cells, decimal, grouped)


def _plain(cells: Sequence[Any], decimal: Decimal) -> Numbers | None:
    """The quick way, for numbers as programs write them, and blanks; ``None`` when there is anything else."""
    texts = [cell for cell in cells if cell.__class__ is str]
    joined = "".join(texts)
    if "_" in joined or not joined.isascii():
        return None
    if decimal == ",":
        if "." in joined:
            return None  # of which it is to be told what the points are
        cells = [cell.replace(",", ".") if cell.__class__ is str else cell for cell in cells]
    blanks = len(cells) - len(texts) > 0 or "" in texts
    try:
        if blanks:
            values = np.array([float(cell) if cell is not None and cell != "" else math.nan for cell in cells])
        else:
            values = np.array(list(map(float, cells)))
    except ValueError:
        return None
    missing = np.array([cell is None or cell == "" for cell in cells]) if blanks else np.zeros(len(cells), bool)
    if not np.isfinite(values[~missing]).all():
        return None  # the words nan and inf
    points = "." in joined or "," in joined or "e" in joined or "E" in joined
    if len(texts) < len(cells):  # cells that came as numbers, from Excel
        points = points or bool((values[~missing] % 1 != 0).any())
    return Numbers(values, missing, points=points)


def _careful(cells: Sequence[Any], decimal: Decimal, grouped: bool) -> Numbers:
    readings: dict[Any, Reading | None] = {}
    size = len(cells)
    values, missing, limits = np.full(size, np.nan), np.zeros(size, bool), np.zeros(size, np.int8)
    found = Numbers(values, missing)
    words: Counter[str] = Counter()
    for place, cell in enumerate(cells):
        if cell is None:
            missing[place] = True
            continue
        if not isinstance(cell, str):
            values[place] = cell if math.isfinite(cell) else math.nan
            missing[place] = not math.isfinite(cell)
            found.points = found.points or bool(values[place] % 1)
            continue
        text = cell.strip()
        if text.casefold() in MISSING_NUMBER:
            missing[place] = True
            if text.casefold() not in SILENT:
                words[text] += 1
            continue
        if text not in readings:
            readings[text] = read_cell(text, decimal, grouped)
        reading = readings[text]
        if reading is None:
            found.unread.append(place)
            continue
        values[place], limits[place] = reading.value, reading.limit
        if reading.unit:
            found.units[place] = reading.unit
        if reading.remark:
            found.remarks[place] = reading.remark
        found.points = found.points or bool(reading.value % 1) or not _WHOLE.fullmatch(text.translate(_SPACES))
    found.limits, found.words = (limits if limits.any() else None), words
    return found


def read_cell(text: str, decimal: Decimal = ".", grouped: bool = True) -> Reading | None:
    """Read one cell's text; ``None`` when it is no number."""
    text = text.translate(_SPACES).strip().lstrip("'")
    if len(text) > 80:
        return None
    if text[:1] in "–—":
        text = "-" + text[1:]
    found = _CELL.fullmatch(text)
    if found is None:
        return None
    value = _value(found["number"], decimal, grouped)
    if value is None:
        return None
    sign = (found["sign"] or "").casefold()
    limit = -1 if sign in ("<", "<=", "=<", "≤", "⩽") else 1 if sign in (">", ">=", "=>", "≥", "⩾") else 0
    remark = f"'{text}' is read as {value:g}" if sign and not limit else ""
    if found["upper"]:
        upper = _value(found["upper"], decimal, grouped)
        if upper is None or upper <= value or limit:
            return None
        value = (value + upper) / 2
        remark = f"'{text}' is a range: its middle, {value:g}, is taken"
    elif found["plusminus"] or found["digits"]:
        remark = f"the uncertainty in '{text}' is left out"
    return Reading(value, limit, (found["unit"] or "").strip(), remark)


def _value(text: str, decimal: Decimal, grouped: bool) -> float | None:
    text = text.translate(_SUPERSCRIPTS) if not text.isascii() else text
    if text.startswith(("10^", "10-", "10+")) and (power := _POWER.fullmatch(text)):
        return _finite(f"1e{power[1]}")
    split = _SPLIT.fullmatch(text)
    if split is None or (split[2] is None and not text.endswith(split[1])):
        return None
    mantissa, exponent = split[1].replace(" ", "").replace("'", ""), split[2] or "0"
    commas, points = mantissa.count(","), mantissa.count(".")
    if commas and points:
        mantissa = _dotted(mantissa, "," if mantissa.rfind(",") > mantissa.rfind(".") else ".")
    elif commas > 1 or points > 1:
        mantissa = mantissa.replace(",", "").replace(".", "")
    elif commas or points:
        mark = "," if commas else "."
        whole, part = mantissa.lstrip("+-").split(mark)
        unclear = len(part) == 3 and 1 <= len(whole) <= 3 and not whole.startswith("0")
        thousands = unclear and mark != decimal and grouped
        mantissa = mantissa.replace(mark, "" if thousands else ".")
    return _finite(f"{mantissa}e{exponent}")


def _dotted(mantissa: str, mark: str) -> str:
    return mantissa.replace("." if mark == "," else ",", "").replace(mark, ".")


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


_ENOUGH = 300


class Marks(NamedTuple):
    """What a column's cells prove about commas and points: each may be a decimal mark or part thousands."""

    comma_decimal: bool = False
    comma_thousands: bool = False
    point_decimal: bool = False
    unclear: bool = False


def marks_of(cells: Sequence[Any]) -> Marks:
    """What the cells of one column prove about decimal marks; all false for text and for plain whole numbers."""
    comma_decimal = comma_thousands = point_decimal = unclear = False
    seen: set[str] = set()
    for text in cells:
        if not isinstance(text, str) or text in seen or not ("," in text or "." in text):
            continue
        seen.add(text)
        if len(seen) > _ENOUGH and (comma_decimal or comma_thousands or point_decimal):
            break  # what hundreds of cells prove the others need not
        found = _CELL.fullmatch(text.translate(_SPACES).strip().lstrip("'"))
        if found is None or not (digits := _COMMAS.match(found["number"])):
            continue
        mantissa = digits[1].replace(" ", "").replace("'", "").lstrip("+-")
        commas, points = mantissa.count(","), mantissa.count(".")
        if commas and points:
            later = mantissa.rfind(",") > mantissa.rfind(".")
            comma_decimal, point_decimal = comma_decimal or later, point_decimal or not later
        elif commas > 1:
            comma_thousands = True
        elif commas or points:
            whole, _, part = mantissa.partition("," if commas else ".")
            if len(part) == 3 and 1 <= len(whole) <= 3 and not whole.startswith("0"):
                unclear = True
            elif commas:
                comma_decimal = True
            else:
                point_decimal = True
    return Marks(comma_decimal, comma_thousands, point_decimal, unclear)


def texts_of(cells: Sequence[Any] | np.ndarray) -> list[str | None]:
    """Cells as text, ``None`` where missing; whole numbers without a point."""
    if isinstance(cells, np.ndarray):
        cells = [None if math.isnan(cell) else cell for cell in cells.tolist()]
    out: list[str | None] = []
    for cell in cells:
        if cell is None:
            out.append(None)
        elif isinstance(cell, str):
            text = " ".join(cell.split()) if "\n" not in cell else cell.strip()
            out.append(None if text in MISSING_TEXT else text)
        elif isinstance(cell, float) and cell == int(cell) if math.isfinite(cell) else False:
            out.append(str(int(cell)))
        else:
            out.append(None if isinstance(cell, float) and not math.isfinite(cell) else str(cell))
    return out
