"""When a record is right, for ``benchmarks/extraction.py``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from extraction_sets import Case, Gold

from sozai.assistant.extraction.record import Record
from sozai.assistant.extraction.units import convert, plain_signs

CITED = "attributed to another work"
"""The only reason that says nothing against a record's being right; such records are judged like unflagged ones."""


@dataclass
class Score:
    """Counts of one method on one set; ``wrong`` and ``missed`` are for a person."""

    right: int = 0
    given: int = 0
    found: int = 0
    gold: int = 0
    flagged: int = 0
    flagged_right: int = 0
    outside: int = 0
    wrong: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    @property
    def precision(self) -> float:
        """Of the records given without a flag."""
        return self.right / self.given if self.given else math.nan

    @property
    def recall(self) -> float:
        """Of the gold records."""
        return self.found / self.gold if self.gold else math.nan


def score(cases: Sequence[Case], method: Callable[[Case], list[Record]], parts: frozenset[str] = frozenset(("temperature", "material")),  # noqa: E501
          lenient: bool = False, marked: bool = False) -> Score:  # fmt: skip
    """Compare a method's records with the gold ones.

    Args:
        cases: documents with gold records.
        method: gives a document's records; flagged ones (with doubts) are counted apart.
        parts: what must be right besides property, value and unit.
        lenient: see ``agrees``.
        marked: count only records whose number stands in a value that the annotators marked.
    """
    out = Score()
    for case in cases:
        hit: set[int] = set()
        for record in method(case):
            place = record.quantity.span
            if any(place.start < b and a < place.end for a, b in case.open):
                out.outside += 1
                continue
            inside = any(a <= record.quantity.span.start < b for a, b in case.scope)
            matches = [n for n, gold in enumerate(case.gold) if agrees(record, gold, case, parts, lenient)]
            if set(record.doubts) - {CITED}:
                out.flagged += 1
                out.flagged_right += bool(matches)
                continue
            place = record.quantity.span.start
            if marked and not any(g.start is not None and g.start <= place < g.end for g in case.gold):
                out.outside += 1
                continue
            if not inside:
                out.outside += 1
                continue
            out.given += 1
            out.right += bool(matches)
            hit |= set(matches)
            if not matches:
                out.wrong.append(f"{case.document.source}: {record.material} | {record.property} {record.quantity.text} | "  # noqa: E501
                                 f"{ {k: q.text for k, q in record.conditions.items()} } <- {case.document.quote(record.sentence)}")  # fmt: skip  # noqa: E501
        out.gold += len(case.gold)
        out.found += len(hit)
        out.missed += [f"{case.document.source}: {g.properties} {g.numbers} {g.temperatures} {g.materials[:4]}" + (f" <- {_around(case, g)}" if g.start is not None else "")  # noqa: E501
                       for n, g in enumerate(case.gold) if n not in hit]  # fmt: skip
    return out


def agrees(record: Record, gold: Gold, case: Case, parts: frozenset[str], lenient: bool = False) -> bool:
    """Whether a record is this gold one.

    Value and unit: the number, in the record's unit, is one of the gold value's (of a range or a change: both ends, or
    one of them where the record is one end). Where the gold value has a place, the record's must overlap it.
    Temperature: the record's is one of the gold ones, and it has none where there is no gold one; lenient: any is let
    pass where the annotation has none. One in words ("room temperature") is let
    pass where the annotator marked numbers only.
    Material: one of the gold names, as ``names_agree`` says.
    """
    if record.property not in gold.properties or not _value(record, gold):
        return False
    if "temperature" in parts:
        heat = record.conditions.get("temperature")
        if gold.temperatures:
            if heat is None:
                return False
            stated = [value for value in (heat.value, heat.low, heat.high) if value is not None]
            if not any(abs(value - t) < 1.0 for value in stated for t in gold.temperatures):
                return False
        elif heat is not None and not lenient and (gold.worded or re.search(r"\d", heat.text)):
            return False
    return (
        "material" not in parts or not gold.judged or any(names_agree(record.material, name) for name in gold.materials)
    )


def names_agree(one: str, other: str) -> bool:
    """Whether two names mean one material: equal but for spaces, signs, articles and plural, or one within the other
    where the rest is a modifier (``undoped Li4SiO4``, ``poly(vinyl alcohol) film``)."""
    a, b = _plain(one), _plain(other)
    if not a or not b:
        return False
    short, long = sorted((a, b), key=len)
    return a == b or (
        len(short) >= 2 and re.search(rf"(?<![A-Za-z\d.]){re.escape(short)}s?(?![a-z\d.])", long) is not None
    )


def _plain(name: str) -> str:
    name = plain_signs(name).replace("{", "").replace("}", "").replace("_", "").strip().removesuffix("s")
    return (
        re.sub(r"\s+", " ", name).lower()
        if not re.search(r"\d", name)
        else re.sub(r"\s*([-/])\s*", r"\1", name).lower()
    )


def _value(record: Record, gold: Gold) -> bool:
    if gold.start is not None and gold.end is not None:
        span = record.quantity.span
        if span.end <= gold.start or span.start >= gold.end + 12:
            return False
    quantity = record.quantity
    stated = []
    for number, unit in gold.numbers:
        source = "kelvin" if unit == "(kelvin)" else unit
        converted = number if source in ("", quantity.unit) else convert(number, source, quantity.unit)
        if converted is None:
            return False
        stated.append(converted)
    if quantity.low is not None and quantity.high is not None and "±" not in quantity.text and "(" not in quantity.text:
        return len(stated) == 2 and _close(quantity.low, min(stated)) and _close(quantity.high, max(stated))
    return any(_close(quantity.value, number) for number in stated)


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=2e-3, abs_tol=1e-15)


def _around(case: Case, gold: Gold) -> str:
    assert gold.start is not None
    sentence = next((s for s in case.document.sentences if s.start <= gold.start < s.end), None)
    return (
        case.document.quote(sentence).replace("\n", " ")
        if sentence
        else case.document.text[gold.start - 80 : gold.start + 60]
    )
