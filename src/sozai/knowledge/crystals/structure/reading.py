"""What has been understood of a text and what is left of it; numbers and counts in words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sozai.errors import UserError
from sozai.knowledge.crystals.structure.parts import ABOUT
from sozai.knowledge.crystals.structure.rules import Connection, Polyhedron, Site
from sozai.knowledge.crystals.structure.space_groups import NamedGroup
from sozai.knowledge.crystals.wish import SYMBOLS, parse_formula

TAKEN = "\u00a6"
"""Stands where words were understood."""
ELEMENT = "(?:" + "|".join(sorted(SYMBOLS, key=len, reverse=True)) + ")(?![a-z])"
NUMBER = r"\d+(?:\.\d+)?|\.\d+"
UNIT = r"(?:\s*(?:angstroms?|Å|Å|A)(?![A-Za-z]))?"
TO = r"\s*(?:-|to|and|\.\.\.?|,)\s*"
SIGNS = str.maketrans("₀₁₂₃₄₅₆₇₈₉⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻–—−‐‑’×", "01234567890123456789+------'x")
EXAMPLE = "NaZr2(PO4)3, R-3c, Na on 6b, O on 36f twice; ZrO6 octahedra share 6 corners with PO4 tetrahedra"


@dataclass
class Reading:
    """What has been understood so far and the text that is left.

    Attributes:
        rest: the text, with ``TAKEN`` where words were understood.
        where: for messages.
        words: the text as it was.
    """

    rest: str
    where: str
    words: str = ""
    formula: str | None = None
    group: NamedGroup | None = None
    sites: list[Site] = field(default_factory=list)
    polyhedra: list[Polyhedron] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    oxidation: dict[str, float] = field(default_factory=dict)
    density: tuple[float, float] | None = None
    distances: dict[str, tuple[float, float]] = field(default_factory=dict)
    lengths: dict[str, float] = field(default_factory=dict)
    bond_valence: float | None = None
    cell: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, pattern: str, handle: Callable[[re.Match[str]], Any], flags: int = 0) -> None:
        """Hand every match to ``handle`` and take it out of the text unless that returns ``False``."""

        def replace(match: re.Match[str]) -> str:
            return match[0] if handle(match) is False else TAKEN * len(match[0])  # places stay what they were

        self.rest = re.sub(pattern, replace, self.rest, flags=flags)

    def refuse(self, quote: str, why: str, mend: str = f"say it as in: {EXAMPLE}") -> Any:
        """Raise with the words that are meant."""
        raise UserError(f"'{' '.join(quote.split())}' {why}", self.where, mend)


def number_range(first: str, second: str | None) -> tuple[float, float]:
    """Low and high; one number alone means about it."""
    low = float(first)
    if second is None:
        return low * (1 - ABOUT), low * (1 + ABOUT)
    return min(low, float(second)), max(low, float(second))


def is_formula(token: str) -> bool:
    """Whether a word is a chemical formula of more than one letter."""
    try:
        return bool(parse_formula(token)) and token[0].isupper()
    except UserError:
        return False


TIMES = {"one": 1, "once": 1, "two": 2, "twice": 2, "three": 3, "thrice": 3, "four": 4, "five": 5, "six": 6,
         "seven": 7, "eight": 8, "nine": 9, "ten": 10, "twelve": 12}  # fmt: skip
COUNT = "(?:" + "|".join(TIMES) + r"|\d+)"


def how_many(word: str) -> int:
    """``"two"`` or ``"2"``."""
    return TIMES[word.lower()] if word.lower() in TIMES else int(word)
