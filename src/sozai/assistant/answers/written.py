"""How words of a question are written in a library: names, abbreviations, elements, stems; slips of the pen mended."""

from __future__ import annotations

import difflib
import re

from sozai.assistant.answers.finding import Shelf
from sozai.assistant.answers.lexicon import ELEMENT_NAMES, OTHER_SPELLINGS, element_of
from sozai.assistant.answers.thesaurus import concepts_in, filler_words, known_words
from sozai.assistant.documents.words import STOP, irregular, is_name, stem

_BRACKETED = re.compile(
    r"(?<![\w(])(?:poly\((?:[^()]|\([^()]*\))+\)[\w-]*|"
    r"[\w-]*[A-Z][\w-]*\([\w-]+\)[\w-]*(?:\([\w-]+\))?|[A-Z]\w*/[a-z]{3,})"
)
_QUANTITIES = (
    "capacity|coefficients?|resistances?|density|temperature|voltage|rate|energy|strength|ratio|conductivity|number|"
    "current|potential|efficiency|pressure|length|time|area|volume|content|degree|index|uptake"
)


def written_names(text: str, shelf: Shelf) -> list[tuple[int, int]]:
    """Places of names with brackets or dashes that the library writes alike: poly(4-vinyl pyridine), P1/tos."""
    found = [match.span() for match in _BRACKETED.finditer(text)]
    return [(a, b) for a, b in found if any(literal(text[a:b]).search(reading.body) for reading in shelf.readings)]


def literal(words: str) -> re.Pattern[str]:
    """Words as they stand, with or without the marks of raised and lowered letters."""
    return re.compile(rf"(?<![\w(-]){'[_{}^]*'.join(map(re.escape, words))}(?!\w)", re.I if words.islower() else 0)


def long_or_short(long: str, short: str) -> re.Pattern[str]:
    """A term or its abbreviation."""
    first, blank, last = long.rpartition(" ")
    return re.compile(rf"(?i:{re.escape(first + blank)}{re.escape(stem(last))}[a-z]*)|\b{re.escape(short)}s?\b")


def is_quantity(long: str) -> bool:
    """Whether an abbreviation stands for a quantity, not for a material."""
    return re.search(rf"\b(?:{_QUANTITIES})$", long) is not None


def element_words(symbol: str) -> re.Pattern[str]:
    """An element by its name, its symbol, its ion or, where it is one, its gas."""
    names = [ELEMENT_NAMES[symbol], *(word for word, known in OTHER_SPELLINGS.items() if known == symbol)]
    named = f"(?:{'|'.join(names)})"
    if len(symbol) == 1:  # a letter by itself may be a unit: C in °C
        gas = "2|" if symbol in "HNOF" else ""
        return re.compile(rf"\b{named}\b|(?<![A-Za-z]){symbol}(?:(?:{gas}\d?[+-])(?!\w)|-doped)", re.I)
    return re.compile(rf"(?<![A-Za-z])(?:(?i:{named})|{symbol}(?:\d?[+-])?)(?![A-Za-z\d])|\d{symbol}[A-Z\d]")


def stem_words(stems: frozenset[str]) -> re.Pattern[str]:
    """Words with one of these stems."""
    written = stems | {word for one in stems for word in irregular(one)}
    return re.compile(
        rf"(?<![A-Za-z])(?:{'|'.join(map(re.escape, sorted(written)))})(?:[a-z]{{0,6}})(?![A-Za-z]|\s+et al)", re.I
    )


def mended_words(text: str, shelf: Shelf) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Misspelt words as the nearest one that is known, and names of materials with the library's capitals."""
    changed: list[tuple[str, str]] = []
    names = shelf.names

    def mend(match: re.Match[str]) -> str:
        word = match.group()
        lower, key = word.lower(), stem(word)
        if not is_name(word) and lower in names and {lower, key}.isdisjoint(filler_words() | STOP):
            return names[lower]
        if len(lower) < 5 or not lower.isalpha() or is_name(word) or element_of(word):
            return word
        if lower in STOP or {lower, key} & filler_words() or lower in known_words() or lower in shelf.words:
            return word
        if concepts_in(word) or any(key in reading.stems for reading in shelf.readings):
            return word
        near = difflib.get_close_matches(lower, _by_first(shelf, lower), 1, 0.84)
        if not near:
            return word
        changed.append((word, near[0]))
        return near[0]

    return re.sub(r"[A-Za-z][A-Za-z0-9]*", mend, text), tuple(changed)


def _by_first(shelf: Shelf, word: str) -> list[str]:
    """Known words of about its length that begin with its first letter: a slip seldom changes that."""
    known = known_words() | shelf.words
    return sorted(other for other in known if other[0] == word[0] and abs(len(other) - len(word)) <= 2)
