"""What a value may have been before it was written down wrongly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

FACTORS: tuple[tuple[float, str], ...] = (
    (10.0, "ten times too large"),
    (0.1, "ten times too small"),
    (100.0, "a hundred times too large"),
    (0.01, "a hundred times too small"),
    (1000.0, "a thousand times too large, as from one SI prefix to the next"),
    (0.001, "a thousand times too small, as from one SI prefix to the next"),
    (6.894757, "in MPa where the column is in ksi"),
    (1 / 6.894757, "in ksi where the column is in MPa"),
    (25.4, "in mm where the column is in inches"),
    (1 / 25.4, "in inches where the column is in mm"),
    (4.184, "in joules where the column is in calories"),
    (1 / 4.184, "in calories where the column is in joules"),
    (1e4, "ten thousand times too large"),
    (1e-4, "ten thousand times too small"),
)
"""Wrong value over the right one, and how it is told."""
DIGITS = 4
"""Leading digits in which a slip of the hand is looked for; those behind do not matter to any use."""


PAIRS: dict[str, tuple[str, ...]] = {
    "ksi": ("Pa", "kPa", "MPa", "GPa", "psi", "ksi", "Msi", "pascal", "megapascal", "gigapascal"),
    "inches": ("mm", "cm", "m", "um", "µm", "in", "inch", "ft", "millimeter", "micrometer", "centimeter", "meter"),
    "calories": ("J", "kJ", "cal", "kcal", "J/g", "J/mol", "kJ/mol", "kcal/mol", "J / mole", "kJ / mole", "joule"),
    "kelvin": ("K", "degC", "°C", "kelvin", "degree_Celsius"),
}
"""Words of a slip between two units, and the units of columns in which it can happen."""


@dataclass(frozen=True)
class Slip:
    """One explanation of a wrong value.

    Args:
        value: what it would have been.
        kind: ``"unit slip"``, ``"typo"`` or ``"sign"``.
        words: how the wrong value came about.
        cost: minus the logarithm of how likely this one is among all slips.
    """

    value: float
    kind: str
    words: str
    cost: float

    def happens_in(self, unit: str) -> bool:
        """Whether the unit of a column allows it; of an unknown unit a slip between two named ones is a guess."""
        return not any(word in self.words and unit not in units for word, units in PAIRS.items())


def slips(value: float, positive: bool = False) -> list[Slip]:
    """All explanations of a value by one slip of unit, sign or hand.

    Args:
        value: as it stands.
        positive: whether the column knows no values below zero.
    """
    if not math.isfinite(value) or value == 0:
        return []
    base = math.log(len(FACTORS) + 4)
    made = [Slip(_rounded(value / factor), "unit slip", words, base) for factor, words in FACTORS]
    made += [
        Slip(_rounded(value - 273.15), "unit slip", "in kelvin where the column is in degrees Celsius", base),
        Slip(_rounded(value + 273.15), "unit slip", "in degrees Celsius where the column is in kelvin", base),
    ]
    if value < 0:
        made.append(Slip(-value, "sign", "with the wrong sign", 0.7 if positive else base))
    elif not positive:
        made.append(Slip(-value, "sign", "with the wrong sign", base))
    typos = _typos(value)
    return made + typos


def _typos(value: float) -> list[Slip]:
    text = f"{abs(value):.10g}"
    if "e" in text:
        return []
    places = [place for place, letter in enumerate(text) if letter.isdigit()]
    places = [place for place in places if text[:place].strip("0.") or text[place] != "0"][:DIGITS]
    seen: dict[str, tuple[str, float]] = {}

    def add(new: str, words: str, cost: float) -> None:
        if new and new != text and new.strip(".") and new not in seen:
            seen[new] = (words, cost)

    for one, two in pairwise(places):
        if text[one] != text[two]:
            swapped = list(text)
            swapped[one], swapped[two] = text[two], text[one]
            add("".join(swapped), "with two digits exchanged", 2.5)
    for place in places:
        add(text[:place] + text[place + 1 :], "with a digit too many", 2.8)
    for place in [*places, places[-1] + 1 if places else 0]:
        for digit in "0123456789":
            add(text[:place] + digit + text[place:], "with a digit left out", 4.8)
    for place in places:
        for digit in "0123456789":
            add(text[:place] + digit + text[place + 1 :], "with a wrong digit", 4.8)
    sign = -1.0 if value < 0 else 1.0
    return [
        Slip(sign * float(new), "typo", words, cost)
        for new, (words, cost) in seen.items()
        if new.count(".") <= 1 and float(new) != 0
    ]


def _rounded(value: float) -> float:
    """Without the last digits that a division leaves."""
    return float(f"{value:.9g}")
