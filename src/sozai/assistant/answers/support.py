"""Whether a quote supports a sentence, judged by code: its numbers, units, materials and words must be in the quote.

It cannot judge meaning; it makes sure that no number, no unit, no material and no claim of more or less is added.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from sozai.assistant.answers.lexicon import ELEMENT_NAMES, pattern, synonyms
from sozai.assistant.answers.names import Aliases, names_in
from sozai.assistant.documents.words import tokens
from sozai.assistant.extraction.quantities import Found, find_quantities

LEAST_SHARED = 0.6
"""Share of a sentence's words that must be in its quotes."""


def unsupported(sentence: str, quotes: Sequence[str], aliases: Aliases | None = None) -> list[str]:
    """Why the quotes do not support a sentence; nothing when they do.

    Args:
        sentence: a claim.
        quotes: verbatim, that it cites.
        aliases: other names of materials that the library defines.
    """
    if not quotes:
        return ["it cites no quote"]
    cited = " \n ".join(quotes)
    return [
        *_numbers(sentence, cited), *_materials(sentence, cited, aliases), *_direction(sentence, cited),
        *_words(sentence, cited),
    ]  # fmt: skip


def _numbers(sentence: str, cited: str) -> list[str]:
    there = _quantities(cited)
    missing = []
    for one in _quantities(sentence):
        if not any(_equal(one, other) for other in there):
            missing.append(sentence[one.start : one.end].strip())
    return [f"{', '.join(missing)} is not in the quote"] if missing else []


def _quantities(text: str) -> list[Found]:
    named = [(one.start, one.end) for one in names_in(text)]
    return find_quantities(text, taken=named)


def _equal(one: Found, other: Found) -> bool:
    alike = one.unit is None or one.unit == other.unit
    values = [other.value, other.low, other.high]
    return alike and any(v is not None and math.isclose(one.value, v, rel_tol=1e-9, abs_tol=1e-300) for v in values)


def _materials(sentence: str, cited: str, aliases: Aliases | None) -> list[str]:
    there = {one.text for one in names_in(cited)}
    missing = []
    for one in names_in(sentence):
        forms = aliases.forms(one.text) if aliases is not None else {one.text}
        if not forms & there and not any(form.islower() and form in cited.lower() for form in forms):
            missing.append(one.text)
    lower = cited.lower()
    for symbol, name in ELEMENT_NAMES.items():
        unnamed = name != "lead" and name not in lower and re.search(rf"\b{name}\b", sentence, re.I)
        if unnamed and re.search(rf"(?<![a-z]){symbol}(?![a-z])", cited) is None:
            missing.append(name)
    return [f"{', '.join(dict.fromkeys(missing))} is not in the quote"] if missing else []


def _direction(sentence: str, cited: str) -> list[str]:
    """More must not have become less, nor yes no."""
    for here, opposite in (("raise", "lower"), ("lower", "raise")):
        says = pattern(here).search(sentence) and not pattern(opposite).search(sentence)
        if says and pattern(opposite).search(cited) and not pattern(here).search(cited):
            return ["it says the opposite of the quote"]
    negated = bool(pattern("negation").search(sentence)), bool(pattern("negation").search(cited))
    return ["it says not what the quote says, or the other way round"] if negated[0] != negated[1] else []


def _words(sentence: str, cited: str) -> list[str]:
    own = {word.lower() for word in tokens(sentence)}
    there = {word.lower() for word in tokens(cited)}
    there |= {other for word in there for other in synonyms().get(word, ())}
    kinds = [{"rais", "increas", "enhanc", "improv", "boost"}, {"lower", "reduc", "decreas", "low"}]
    for kind in kinds:
        if there & kind:
            there |= kind
    own = {word for word in own if not re.fullmatch(r"[\d.,%^+-]+", word)}
    shared = len(own & there) / len(own) if own else 0.0
    if shared < LEAST_SHARED:
        return [f"only {shared:.0%} of its words are in the quote"]
    return []
