"""Which sentences and rows of a library answer a question, and what of the question none of them covers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from sozai.assistant.answers.names import Aliases, names_in
from sozai.assistant.answers.question import Question
from sozai.assistant.answers.view import SENTENCE, Reading, View
from sozai.assistant.documents.library import Library
from sozai.assistant.documents.search import By, Hit, Index
from sozai.assistant.extraction.abbreviations import find_definitions

_DEPTH = 400
"""Pieces that a search hands on to be read."""
_DOCUMENTS = 60
"""Documents that are read closely."""


class Shelf:
    """A library opened for questions.

    Args:
        library: to ask.
        by: how to search it.
    """

    def __init__(self, library: Library, by: By = "words"):
        self.library, self.by = library, by
        self.index = Index(library)

    @cached_property
    def aliases(self) -> Aliases:
        """What short names stand for."""
        return Aliases(self.index.documents)

    @cached_property
    def readings(self) -> list[Reading]:
        """Every document, read."""
        pairs = zip(self.library.entries, self.index.documents, strict=True)
        return [Reading(entry, document, self.aliases) for entry, document in pairs]

    @cached_property
    def names(self) -> dict[str, str]:
        """Names of materials as the library writes them, by the same in small letters."""
        found = (one.text for reading in self.readings for one in names_in(reading.document.text))
        return {name.lower(): name for name in found if len(name) >= 3}

    @cached_property
    def words(self) -> frozenset[str]:
        """Plain words of the library, to correct a misspelt one of a question by."""
        texts = (reading.document.text for reading in self.readings)
        return frozenset(word for text in texts for word in re.findall(r"\b[a-z]{5,}\b", text))

    @cached_property
    def abbreviations(self) -> dict[str, str]:
        """Short forms that the documents define, by the long form in small letters."""
        made = {}
        for reading in self.readings:
            text = reading.document.text
            for one in find_definitions(text):
                long = text[one.long_start : one.long_end].lower()
                if (" " in long or len(long) > 7) and one.short.isupper():
                    made[" ".join(long.split())] = one.short
        return made

    @cached_property
    def meanings(self) -> dict[str, str]:
        """Long forms in small letters by the short form."""
        return {short: long for long, short in self.abbreviations.items()}

    def hits(self, question: Question, count: int = _DEPTH) -> list[Hit]:
        """What a search finds, other names of the materials included."""
        other = " ".join(form for name in question.materials for form in sorted(self.aliases.forms(name)))
        elements = " ".join(f"{term.element} {' '.join(sorted(term.stems))}" for term in question.terms if term.element)
        return self.index.search(question.text, count, self.by, f"{other} {elements}")

    def views(self, question: Question) -> list[View]:
        """The pieces of the documents that were found, the best document's first."""
        order = list(dict.fromkeys(hit.entry.hash for hit in self.hits(question)))[:_DOCUMENTS]
        by_hash = {reading.entry.hash: reading for reading in self.readings}
        return [view for digest in order for view in by_hash[digest].views]


@dataclass(frozen=True)
class Fit:
    """How well a piece fits a question.

    Attributes:
        view: the piece.
        score: larger is better.
        material: how sure the material is, 0 to 1.
        missing: words and materials that it does not cover.
    """

    view: View
    score: float
    material: float
    missing: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether everything is covered."""
        return not self.missing


def fit(view: View, question: Question, materials: Sequence[str] | None = None) -> Fit:
    """Judge a piece: each material must be meant, each word of the property stand in it, every other word near it."""
    wanted = question.materials if materials is None else materials
    missing: list[str] = []
    score, material = 0.0, 1.0
    for term in question.terms:
        covered = view.cover(term)
        if covered < SENTENCE and term.strong and not term.element and view.tells_by_unit(question):
            covered = SENTENCE
        score += covered
        if covered == 0 or (term.strong and covered < SENTENCE):
            missing.append(term.word)
    for name in wanted:
        sure = view.material(name) if len(missing) < 2 else 0.0  # too far off already: the costly part is spared
        material = min(material, sure)
        score += 2 * sure
        if not sure:
            missing.append(name)
    if question.phrase and not view.property_fits(question):
        missing.append(" ".join(question.phrase))
    return Fit(view, score, material, tuple(missing))


def uncovered(fits: Iterable[Fit]) -> tuple[str, ...]:
    """What of a question the piece that comes nearest to it still lacks."""
    nearest = min(fits, key=lambda one: (len(one.missing), -one.score), default=None)
    return nearest.missing if nearest is not None else ()
