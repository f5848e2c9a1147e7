"""Pieces of a sentence: clauses, words between two places, brackets."""

from __future__ import annotations

import re
from collections.abc import Iterable

_BOUNDARY = re.compile(
    r";|,\s(?:while|whereas|but|although|though|however|and\s(?=(?:the|its|it|that|this|these|with|their|showed|exhibited|a)\b)|which|so that|where|followed by|accompanied by)\b|\s(?:while|whereas|but)\s|:\s",  # noqa: E501
    re.IGNORECASE,
)
_LINK = frozenset(
    [
        "of",
        "is",
        "was",
        "are",
        "were",
        "be",
        "been",
        "being",
        "has",
        "had",
        "have",
        "as",
        "at",
        "to",
        "up",
        "in",
        "the",
        "a",
        "an",
        "about",
        "around",
        "approximately",
        "ca",
        "roughly",
        "nearly",
        "close",
        "value",
        "values",
        "reached",
        "reaches",
        "reach",
        "showed",
        "shows",
        "show",
        "shown",
        "exhibited",
        "exhibits",
        "exhibit",
        "found",
        "observed",
        "obtained",
        "measured",
        "determined",
        "estimated",
        "calculated",
        "high",
        "low",
        "higher",
        "lower",
        "highest",
        "lowest",
        "maximum",
        "minimum",
        "good",
        "excellent",
        "only",
        "than",
        "more",
        "less",
        "ranging",
        "ranged",
        "range",
        "ranges",
        "between",
        "from",
        "equal",
        "which",
        "that",
        "it",
        "s",
        "with",
        "by",
        "for",
        "respectively",
        "average",
        "and",
        "or",
        "down",
        "reaching",
        "increased",
        "decreased",
        "increases",
        "decreases",
        "improved",
        "enhanced",
        "raised",
        "dropped",
        "reduced",
        "lies",
        "exceeds",
        "exceeding",
        "exceeded",
        "above",
        "below",
        "over",
        "on",
        "initial",
        "final",
        "single",
        "corresponding",
        "total",
        "varied",
        "varies",
        "recorded",
        "reported",
        "detected",
        "located",
        "displayed",
        "displays",
        "can",
        "could",
        "attained",
        "achieved",
        "became",
        "remained",
        "remains",
        "got",
        "went",
        "falls",
        "fell",
        "rose",
        "rises",
        "started",
    ]
)


def clauses(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The clauses between two places; a boundary belongs to the clause behind it."""
    places = [start]
    depth = 0
    depths = {}
    for place in range(start, end):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(text[place], 0)
        depths[place] = depth
    for match in _BOUNDARY.finditer(text, start, end):
        if depths.get(match.start(), 0) <= 0:
            places.append(match.start())
    return [(first, last) for first, last in zip(places, [*places[1:], end], strict=True) if last > first]


def clause_of(pieces: Iterable[tuple[int, int]], place: int) -> int:
    """Which clause a place is in."""
    number = 0
    for at, (first, last) in enumerate(pieces):
        if first <= place < last:
            return at
        number = at
    return number


def cost(text: str, start: int, end: int, skip: Iterable[tuple[int, int]] = ()) -> float:
    """How far two places are from each other: words count one, linking words and skipped names little."""
    if end <= start:
        return 0.0
    kept, place, names = [], start, 0
    for first, last in sorted(skip):
        if first >= place and last <= end:
            kept.append(text[place:first])
            place, names = last, names + 1
    kept.append(text[place:end])
    rest = re.sub(r"\([^()]*\)", " ", " ".join(kept))
    words = re.findall(r"[A-Za-z]+", rest)
    total = sum(0.25 if word.lower() in _LINK else 1.0 for word in words) + 0.3 * names
    return total + 0.4 * rest.count(",") + 5.0 * rest.count(";") + 0.6 * len(re.findall(r"\d+\.?\d*", rest))


def in_brackets(text: str, start: int, place: int) -> int | None:
    """Where the round or square bracket opens that a place stands in; ``None`` outside of one."""
    depth = 0
    for here in range(place - 1, start - 1, -1):
        if text[here] in ")]":
            depth += 1
        elif text[here] in "([":
            if depth == 0:
                return here
            depth -= 1
    return None
