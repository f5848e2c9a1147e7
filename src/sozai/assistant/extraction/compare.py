"""Records beside each other: the same value told twice, and values that contradict each other."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sozai.assistant.extraction.record import Record
from sozai.assistant.extraction.units import plain_signs

APART = 2.0
"""Values of one material, property and temperature that differ by more than this factor contradict each other."""


@dataclass(frozen=True)
class Contradiction:
    """Two records that cannot both hold, by their numbers, and by what factor they differ."""

    one: int
    other: int
    factor: float


def material_key(name: str) -> str:
    """A name without spaces, signs, articles and plural, for comparing."""
    return re.sub(r"[\s_{}^$-]", "", plain_signs(name)).lower().removeprefix("the").removesuffix("s")


def duplicates(records: Sequence[Record], sources: Sequence[str]) -> dict[int, int]:
    """Number of a record by that of the first one that says the same in another place.

    Args:
        records: of all documents.
        sources: document of each.
    """
    first: dict[tuple[str, str, float | None, str], int] = {}
    out: dict[int, int] = {}
    for number, record in enumerate(records):
        if not record.material:
            continue
        value = f"{record.quantity.value:.3g}"
        key = (material_key(record.material), record.property, _heat(record), value)
        if key in first and sources[first[key]] is not None:
            out[number] = first[key]
        else:
            first.setdefault(key, number)
    return out


def contradictions(records: Sequence[Record], numbers: Sequence[int] | None = None) -> list[Contradiction]:
    """Pairs of one material, property and temperature whose values differ by more than ``APART`` and do not overlap.

    Args:
        records: of all documents.
        numbers: of those that count; by default all without a doubt.
    """
    chosen = [n for n, record in enumerate(records) if not record.doubts] if numbers is None else list(numbers)
    groups: dict[tuple[str, str, float | None], list[int]] = {}
    for number in chosen:
        record = records[number]
        if record.material and record.quantity.relation in ("=", "~"):
            groups.setdefault((material_key(record.material), record.property, _heat(record)), []).append(number)
    out = []
    for members in groups.values():
        for at, one in enumerate(members):
            for other in members[at + 1 :]:
                factor = _apart(records[one], records[other])
                if factor > APART:
                    out.append(Contradiction(one, other, round(factor, 3)))
    return sorted(out, key=lambda pair: -pair.factor)


def _apart(one: Record, other: Record) -> float:
    a, b = one.quantity, other.quantity
    low, high = sorted((a, b), key=lambda quantity: quantity.value)
    if (low.high if low.high is not None else low.value) >= (high.low if high.low is not None else high.value):
        return 1.0
    if low.value <= 0 or high.value <= 0:
        return math.inf if abs(high.value - low.value) > 0.5 * max(abs(low.value), abs(high.value)) else 1.0
    return high.value / low.value


def _heat(record: Record) -> float | None:
    heat = record.conditions.get("temperature")
    return None if heat is None else float(round(heat.value))
