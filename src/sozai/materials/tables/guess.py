"""What a column is, by its heading and cells: a guess that is shown, with its reason, and that a person can correct.

Numbers are numbers: how few values they take does not make them categories. Only what no model should see as a quantity
(row numbers, identifiers, years) is kept out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from sozai.materials.tables.compositions import looks_like_formulas
from sozai.materials.tables.table import Column, Group, Kind

READS_AS_NUMBERS = 0.75
"""A column of which at least this part reads as numbers is one of numbers; the other cells are missing, and told."""
MOST_LEVELS = 60
_SCALES = (
    "none very-low low medium-low medium moderate medium-high high very-high",
    "very-poor poor fair satisfactory good very-good excellent",
    "never rarely sometimes often always",
    "none slight mild moderate severe extreme",
    "very-small small medium large very-large",
    "xs s m l xl xxl",
    "very-soft soft medium hard very-hard",
    "ultrafine fine medium coarse very-coarse",
    "slow medium fast",
    "weak moderate strong very-strong",
)
_REMARK_WORDS = """doi url link title note notes comment comments remark remarks citation citations reference references
    ref refs source author authors smiles inchi description"""
_NUMBERING_WORDS = "no nr number index serial entry sl sr sample specimen run experiment exp test row key"
_FORMULA_WORDS = (
    "formula formulas formulae composition compositions compound compounds stoichiometry chemical alloy alloys"
)
_IDENTIFIERS = frozenset(["id", "ids", "identifier", "identifiers", "uid", "uuid", "doi", "isbn", "url", "link"])
_REMARKS = frozenset(_REMARK_WORDS.split())
_NUMBERING = frozenset(_NUMBERING_WORDS.split())
_FORMULAS = frozenset(_FORMULA_WORDS.split())
_TIMES = ("s", "min", "h", "d", "week", "month", "a", "year")
_DATE = re.compile(
    r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})|\d{1,2}[ -][A-Za-z]{3,9}\.?[ -,]+\d{2,4}"
    r"|[A-Za-z]{3,9}\.? \d{1,2},? \d{4})(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?Z?)?"
)


class Guess(NamedTuple):
    """A kind, its levels when it has any, and why."""

    kind: Kind
    levels: tuple[str, ...] = ()
    why: str = ""


def words_of(heading: str) -> list[str]:
    """The heading's words in small letters; ``FormationEnergy`` and ``cif_ref`` are two."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", heading)
    return re.findall(r"[a-z]+|#", split.casefold())


def of_numbers(name: str, unit: str, values: np.ndarray, points: bool) -> Guess:
    """The kind of a column that reads as numbers.

    Args:
        name: its heading.
        unit: its unit, or empty.
        values: (rows,), NaN where missing.
        points: whether any is written with a decimal point.
    """
    present = values[~np.isnan(values)]
    words = words_of(name)
    whole = not points and bool((present % 1 == 0).all())
    integral = bool((present % 1 == 0).all())
    if present.size and integral and not unit:
        if _IDENTIFIERS.intersection(words):
            return Guess("text", (), "the heading says that it identifies the row")
        if words[-2:] in (["space", "group"], ["group", "#"]) or words[:2] == ["space", "group"]:
            return Guess("category", (), "numbers of space groups are names")
        if _numbering(words) and present.size == values.size > 2 and (np.diff(present) == 1).all():
            return Guess("text", (), "it numbers the rows")
        if "year" in words and present.min() >= 1700 and present.max() <= 2100:
            return Guess("date", (), "whole numbers that are years")
    if whole and present.size and present.min() >= 0 and (not unit or unit in _TIMES):
        return Guess("count", (), "whole numbers, none negative, and no unit that could be parted")
    if whole:
        return Guess("continuous", (), "numbers with a unit" if unit else "whole numbers, some negative")
    return Guess("continuous", (), "numbers")


def _numbering(words: Sequence[str]) -> bool:
    return bool(words) and (words[-1] in ("#", "no", "nr") or _NUMBERING.issuperset(words))


def of_texts(name: str, texts: Sequence[str | None]) -> Guess:
    """The kind of a column that does not read as numbers."""
    present = [text for text in texts if text is not None]
    if not present:
        return Guess("text", (), "it holds no values")
    counts = pd.Series(present, dtype=object).value_counts()
    different = [str(text) for text in counts.index]
    words = words_of(name)
    if looks_like_formulas(different, bool(_FORMULAS.intersection(words))):
        return Guess("formula", (), "its texts are chemical formulas")
    if _REMARKS.intersection(words) or _IDENTIFIERS.intersection(words):
        return Guess("text", (), "the heading says that it names or remarks on the row")
    if sum(bool(_DATE.fullmatch(text)) for text in different) >= 0.9 * len(different):
        return Guess("date", (), "its texts are dates")
    if any(re.match(r"(?:https?://|www\.|10\.\d{4,5}/)", text) for text in different[:20]):
        return Guess("text", (), "its texts are addresses of publications or pages")
    order = scale_of(different)
    if order:
        return Guess("ordinal", order, "its texts are steps of a known scale")
    most = min(MOST_LEVELS, max(10, len(present) // 5))
    lengthy = sum(map(len, different)) > 60 * len(different)
    if len(different) <= most and not lengthy and (2 * len(different) <= len(present) or len(different) <= 2):
        return Guess("category", levels_of(different), f"{len(different)} different texts that come again")
    why = (
        "its texts are long"
        if lengthy
        else f"{len(different)} different texts in {len(present)} rows: too many to be kinds"
    )
    return Guess("text", (), why)


def levels_of(texts: Sequence[str]) -> tuple[str, ...]:
    """Different texts in order: by number where all are numbers, else by letter."""
    different = set(texts)
    try:
        return tuple(sorted(different, key=lambda text: (float(text), text)))
    except ValueError:
        return tuple(sorted(different))


def scale_of(texts: Sequence[str]) -> tuple[str, ...]:
    """The texts from low to high when they are steps of a scale that is known by its words; else none."""
    plain = {re.sub(r"[\s_-]+", "-", text.strip().casefold()): text for text in texts}
    if len(plain) < 2 or len(plain) != len(set(texts)):
        return ()
    for scale in _SCALES:
        steps = scale.split()
        if set(plain) <= set(steps) and len(set(plain) - {"none", "s", "m", "l"}) >= 2:
            return tuple(plain[step] for step in steps if step in plain)
    return ()


def dates_of(texts: Sequence[str | None]) -> tuple[list[str | None], list[int], str]:
    """Dates as ISO 8601; places of texts that are none; a remark when day and month cannot be told apart."""
    numeric = [re.match(r"(\d{1,2})[-/.](\d{1,2})[-/.]", text) if text else None for text in texts]
    firsts = [(int(found[1]), int(found[2])) for found in numeric if found]
    day_first = any(first > 12 for first, _ in firsts) or not any(second > 12 for _, second in firsts)
    unsure = bool(firsts) and all(first <= 12 and second <= 12 for first, second in firsts)
    out: list[str | None] = []
    unread = []
    known: dict[str, str | None] = {}
    for place, text in enumerate(texts):
        if text is not None and text not in known:
            known[text] = _iso(text, day_first)
        out.append(None if text is None else known[text])
        if text is not None and out[-1] is None:
            unread.append(place)
    return out, unread, "day and month cannot be told apart: the day is taken to be first" if unsure else ""


def _iso(text: str, day_first: bool) -> str | None:
    if re.fullmatch(r"(?:1[789]|20)\d\d", text):
        return text
    try:
        year_first = bool(re.match(r"\d{4}", text))
        date = pd.to_datetime(text, dayfirst=day_first and not year_first)
    except (ValueError, OverflowError):
        return None
    if date is pd.NaT:
        return None
    return date.date().isoformat() if date == date.normalize() else date.isoformat(" ", "seconds")


def groups_of(frame: pd.DataFrame, columns: dict[str, Column]) -> tuple[Group, ...]:
    """Columns next to one another, of one unit, that sum to 100 or 1 in nearly all rows.

    A sum may miss the whole by 1.5%, as analyses of compositions do, in all but 5% of the rows. Of overlapping runs the
    one that misses it least is taken.
    """
    names = [name for name, column in columns.items() if column.numeric]
    if len(names) < 2:
        return ()
    sample = frame[names].iloc[:: max(1, len(frame) // 1000)].to_numpy(float)
    usable = np.isfinite(sample).any(0) & (np.nanmin(np.where(np.isnan(sample), np.inf, sample), 0) >= 0)
    found: list[tuple[float, int, int, float]] = []
    for start in range(len(names)):
        if not usable[start]:
            continue
        sums = np.zeros(len(sample))
        for end in range(start, min(start + 40, len(names))):
            same = columns[names[end]].unit == columns[names[start]].unit
            if not usable[end] or not same or columns[names[end]].unit not in _PARTS:
                break
            sums = sums + sample[:, end]
            if end == start or (sums > 101.5).mean() > 0.05:
                continue
            for total in (100.0, 1.0):
                miss = _missed(sums, total, end - start + 1)
                edges = (
                    np.nanmax(sample[:, [start, end]], 0).min() > 0
                )  # a blank column beside a group is no part of it
                varied = (np.nanstd(sample[:, start : end + 1], 0) > 0).sum() >= 2
                if miss is not None and edges and varied:
                    found.append((miss / total, -(end - start), start, total))
    groups: list[Group] = []
    taken: set[str] = set()
    for _, length, start, total in sorted(found):
        parts = tuple(names[start : start - length + 1])
        if taken.isdisjoint(parts) and (tolerance := _tolerance(frame[list(parts)].to_numpy(float), total)) is not None:
            groups.append(Group(parts, total, tolerance))
            taken.update(parts)
    return tuple(sorted(groups, key=lambda group: names.index(group.columns[0])))


_PARTS = ("", "%", "wt%", "at%", "mol%", "vol%")
_SUM_MISSES, _ROWS_MISS = 0.015, 0.05


def _missed(sums: np.ndarray, total: float, parts: int) -> float | None:
    """Mean miss of the whole, or ``None`` when it is no group. Two parts, or few rows, must be exact."""
    sums = sums[np.isfinite(sums)]
    if sums.size < 4:
        return None
    misses = np.abs(sums - total)
    allowed = (_SUM_MISSES if parts > 2 and sums.size >= 10 else 1e-6) * total
    good = misses <= allowed
    return float(misses[good].mean()) if good.mean() >= 1 - _ROWS_MISS else None


def _tolerance(parts: np.ndarray, total: float) -> float | None:
    sums = parts.sum(1)
    sums = sums[np.isfinite(sums)]
    misses = np.abs(sums - total)
    good = misses <= (_SUM_MISSES + 1e-9) * total
    if not sums.size or good.mean() < 1 - _ROWS_MISS:
        return None
    largest = float(misses[good].max())
    return 0.0 if largest < 1e-9 * total else float(f"{largest * 1.0001:.4g}")
