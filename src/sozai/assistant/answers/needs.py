"""What a question in everyday words asks for, and how far a passage holds each part of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sozai.assistant.answers.finding import Shelf
from sozai.assistant.answers.lexicon import element_of, pattern, synonyms
from sozai.assistant.answers.names import elements, names_in
from sozai.assistant.answers.thesaurus import (
    Concept,
    Says,
    asked_quantity,
    concepts_in,
    filler_words,
    generic_words,
    rivals,
    sample_words,
)
from sozai.assistant.answers.values import amount_met
from sozai.assistant.answers.view import Reading, View
from sozai.assistant.answers.written import (
    element_words,
    is_quantity,
    literal,
    long_or_short,
    mended_words,
    stem_words,
    written_names,
)
from sozai.assistant.documents.words import STOP, fold, stem
from sozai.assistant.extraction.quantities import Found, find_quantities
from sozai.assistant.extraction.units import plain_signs

HERE, HINT, BESIDE, TITLE, DOCUMENT = 1.0, 0.75, 0.7, 0.5, 0.25
"""How far a part is held: by the passage, by a unit in it, by its neighbours, by title and heading, by the document."""
_WEIGHTS = {"material": 1.5, "name": 1.5, "subject": 1.0, "concept": 2.0, "element": 2.0, "word": 1.5, "number": 2.0}
_FEWER = (
    r"less|fewer|no|not|too|without|against|keep .* from|avoid\w*|stop\w*|prevent\w*|protect\w*|reduc\w*|lower\w*|"
    r"decreas\w*"
)
_NUMBER = re.compile(r"(?<![\w.-])\d+(?:\.\d+)?(?![\w.]*\w)")

_ASIDE = re.compile(r"\b(?:hard|easy) to\b|\b(?:wt|mol|at|vol)\.?\s?%", re.I)
"""Neither a hardness nor atoms are asked for."""
_REACHES = re.compile(
    r"\b(?:what|which) (?:[\w-]+ ){1,4}(?:do|does|did|can|could|will|would|was|were) .*\b(?:reach\w*|give|have|show|"
    r"get|deliver|achieve\w*|exhibit|possess|produce|provide|withstand|obtained|measured|used|applied|chosen|needed|"
    r"required)\b", re.I
)  # fmt: skip
_LASTED = re.compile(r"for|after|during", re.I)
_MADE = re.compile(
    r"sinter|anneal|calcin|heat|press|fir(?:ed|ing)|mill|stir|dr(?:ied|ying)|mix|deposit|soak|immers", re.I
)
_DIRECTIONS = ("raise", "lower", "comparative_raise", "comparative_lower")
"""Words of more and less: the direction of a question, no part that a passage must hold."""

ABOUT = ("material", "name", "subject")
"""Kinds of parts that say of what is asked; the others say what."""

Kind = Literal["material", "name", "subject", "concept", "element", "word", "number"]


@dataclass(frozen=True)
class Need:
    """A part of a question that a passage must hold.

    Attributes:
        words: as asked.
        kind: of part.
        says: by which words a passage holds it; ``None`` for a material.
        concept: of the thesaurus, where it is one.
        loose: a passage may do without it.
        amount: of a number with a unit.
    """

    words: str
    kind: Kind
    says: Says | None = None
    concept: Concept | None = None
    loose: bool = False
    amount: Found | None = None

    @property
    def weight(self) -> float:
        """How much it counts."""
        return _WEIGHTS[self.kind]

    @property
    def measured(self) -> bool:
        """Whether it is a property that is measured in a known unit."""
        return self.kind == "concept" and self.concept is not None and bool(self.concept.schema)

    @property
    def may_lack(self) -> bool:
        """Whether a passage that holds all other parts may do without it: not a property, nor what is asked of."""
        return self.kind in ("word", "concept") and not self.measured

    def held_by(self, view: View) -> float:
        """How far a passage holds it, 0 to 1."""
        if self.kind == "material":
            often = DOCUMENT if view.reading.speaks_of(self.words) else 0.0
            return view.material(self.words) or often
        assert self.says is not None  # only materials have none
        if self.amount is not None:
            return HERE if amount_met(view, self.amount) else 0.0
        if self.says.search(view.whole):
            return HERE
        if self._hinted(view.whole):
            return HINT
        if self.kind == "element" and _of_others(self.words, view.text):
            return 0.0
        titled = self.says.search(f"{view.reading.opening} {view.piece.section}") is not None
        if titled and self.kind == "subject":
            return HERE
        if self.says.search(view.beside):
            return BESIDE if self.kind != "number" else 0.0
        if titled:
            return TITLE
        return DOCUMENT if self.kind != "number" and self._is_subject_of(view.reading) else 0.0

    def _is_subject_of(self, reading: Reading) -> bool:
        """Whether a document is about it, by its words or, for a kind of thing, by what hints at it."""
        assert self.says is not None  # only materials have none
        hints = self.concept.hints if self.concept is not None and self.kind == "subject" else None
        return reading.is_about(self.says) or (hints is not None and reading.is_about(Says(hints)))

    def _hinted(self, text: str) -> bool:
        """Whether a unit tells of it, and no other property with this unit is named."""
        hints = self.concept.hints if self.concept is not None else None
        found = hints.search(text) if hints is not None else None
        if self.concept is None or found is None:
            return False
        if _LASTED.match(found.group()) and _MADE.search(text[max(0, found.start() - 60) : found.start()]):
            return False  # calcined for 2 h: no lifetime
        return not any(other.says.search(text) for other in rivals(self.concept))

    def in_document(self, reading: Reading) -> bool:
        """Whether a document holds it anywhere."""
        if self.says is None:
            return reading.names_any(self.words)
        hints = self.concept.hints if self.concept is not None else None
        return reading.holds(self.says) or (hints is not None and reading.holds(hints))


@dataclass(frozen=True)
class Plain:
    """An everyday question as it was understood.

    Attributes:
        text: with misspelt words mended and names written as the library does.
        needs: what a passage must hold.
        unknown: words that neither the library nor the thesaurus knows: the library cannot answer these.
        changed: misspelt words and what they were taken for.
        quantity: kind and unit (pint) of what is asked for, where that is a quantity.
        aim: the property that is to be changed and the direction, where the question asks how.
    """

    text: str
    needs: tuple[Need, ...]
    unknown: tuple[str, ...]
    changed: tuple[tuple[str, str], ...] = ()
    quantity: tuple[str, str] | None = None
    aim: tuple[Concept, int] | None = None

    @property
    def relations(self) -> tuple[Need, ...]:
        """The parts that say what is asked about the subject."""
        return tuple(need for need in self.needs if need.kind not in ABOUT)

    def of(self, kind: Kind) -> tuple[Need, ...]:
        """The parts of a kind."""
        return tuple(need for need in self.needs if need.kind == kind)


def _of_others(word: str, text: str) -> bool:
    """Whether a passage speaks of compositions of which an element is no part."""
    symbol = element_of(word)
    named = [elements(one.text) for one in names_in(text)]
    return any(len(one) >= 3 for one in named) and not any(symbol in one for one in named)


def plain_question(text: str, shelf: Shelf) -> Plain:
    """Read a question as people at the bench ask it."""
    text = re.sub(r"(?<=\d)\s*deg(?:rees?|s)?\b(?:\s*(?:celsius|C)\b)?", " °C", " ".join(text.split()))
    mended, changed = mended_words(text, shelf)
    amounts = [found for found in find_quantities(mended) if found.unit is not None]
    written = written_names(mended, shelf)
    taken = [
        *written,
        *(match.span() for match in _ASIDE.finditer(mended)),
        *((one.start, one.end) for one in amounts),
    ]
    named = [one for one in names_in(mended) if not _over(one.start, one.end, taken)]
    named = [one for one in named if not is_quantity(shelf.meanings.get(one.text, ""))]
    taken += [(one.start, one.end) for one in named]
    needs = [Need(name, "material") for name in dict.fromkeys(_of_library(one.text, shelf) for one in named)]
    needs += [Need(words, "name", Says(literal(words))) for a, b in written for words in (mended[a:b],)]
    needs += [_number(mended[one.start : one.end].strip(), one) for one in amounts]
    quantity = asked_quantity(mended)
    if quantity is not None:
        taken.append(quantity[2])
    for match in _NUMBER.finditer(mended):
        if not _over(*match.span(), taken):
            taken.append(match.span())
            needs.append(_number(match.group()))
    places: list[tuple[int, int]] = []
    for long, short in shelf.abbreviations.items():
        place = mended.lower().find(long)
        if place >= 0 and not _over(place, place + len(long), taken):
            taken.append((place, place + len(long)))
            of = next((one.concept for one in concepts_in(long) if not one.concept.subject), None)
            says = long_or_short(long, short)
            if of is not None and of.says.search(long.rpartition(" ")[2]):  # "tensile strength" is a strength
                needs.append(Need(long, "concept", Says(says), of))
            else:
                needs.append(Need(long, "word", Says(says)))
    for one in concepts_in(mended):
        free = [place for place in one.places if not _over(*place, taken)]
        if not free or (named and one.concept.subject and element_of(one.words)):
            continue  # of a compound an element is asked for, not the metal
        places += free
        kind: Kind = "subject" if one.concept.subject else "concept"
        needs.append(Need(mended[slice(*free[0])], kind, one.concept.says, one.concept, one.concept.loose))
    others, unknown = _other_words(mended, taken + places, shelf)
    if any(need.kind in ABOUT for need in needs):
        others = [need for need in others if stem(need.words) not in generic_words()]
    needs += others
    if all(need.kind in ABOUT for need in needs) and not unknown:
        needs += _directions(mended, taken + places)  # "when it is reduced": there is nothing else that is asked
    return Plain(mended, tuple(needs), tuple(unknown), changed, quantity[:2] if quantity else None, _aim(mended, needs))


def _directions(text: str, taken: Sequence[tuple[int, int]]) -> list[Need]:
    """Words of more and less as parts that a passage must hold."""
    found = [match for match in re.finditer(r"[A-Za-z]+", text) if not _over(*match.span(), taken)]
    words = [match.group() for match in found if any(pattern(name).fullmatch(match.group()) for name in _DIRECTIONS)]
    return [Need(word, "word", Says(stem_words(frozenset({stem(word)})))) for word in words]


def _of_library(name: str, shelf: Shelf) -> str:
    """A name, or the library's one of this family where it has only that: NMC811 for NMC."""
    if name.lower() in shelf.names or any(reading.names_any(name) for reading in shelf.readings):
        return name
    longer = [other for other in shelf.names.values() if other.startswith(name) and other[len(name) :].isdigit()]
    return longer[0] if longer else name


def _over(start: int, end: int, taken: Sequence[tuple[int, int]]) -> bool:
    return any(a < end and start < b for a, b in taken)


def _number(words: str, amount: Found | None = None) -> Need:
    value = re.match(r"[-+]?[\d.]+", words)
    written = re.escape(value.group() if value else words)
    return Need(words, "number", Says(re.compile(rf"(?<![\d.]){written}(?!\d|\.\d)")), amount=amount)


def _other_words(text: str, taken: Sequence[tuple[int, int]], shelf: Shelf) -> tuple[list[Need], list[str]]:
    """Needs of words that the thesaurus does not have, and words that the library does not have either."""
    needs: dict[str, Need] = {}
    unknown = []
    for match in re.finditer(
        r"[A-Z][a-z]?(?:-\d*[A-Z][a-z]?)+(?![A-Za-z])|[^\W_]+(?:['’][a-z]+)?", fold(plain_signs(text))
    ):
        word = match.group()
        if "-" in word and any(word in reading.document.text for reading in shelf.readings):
            needs[word] = Need(word, "word", Says(re.compile(re.escape(word))))
            continue
        lower, key = word.lower().replace("’", "'").replace("'", ""), stem(word)
        if any(start < match.end() and match.start() < end for start, end in taken) or lower.isdigit():
            continue
        symbol = element_of(word)
        meaning = shelf.meanings.get(word, "")
        if meaning and is_quantity(meaning):
            needs[word] = Need(word, "word", Says(long_or_short(meaning, word)))
            continue
        if symbol is not None:
            needs[symbol] = Need(word, "element", Says(element_words(symbol)))
            continue
        if lower in STOP or {lower, key} & filler_words() or len(lower) < 2 or {lower, key} & sample_words():
            continue
        if any(pattern(name).fullmatch(word) for name in _DIRECTIONS):
            continue
        stems = synonyms().get(key, frozenset()) | {key}
        if not any(stems & reading.stems for reading in shelf.readings):
            unknown.append(word)
        else:
            needs[key] = Need(word, "word", Says(stem_words(stems)))
    return list(needs.values()), unknown


def asks_how_much(text: str) -> bool:
    """Whether a question asks for an extent or a feature: how hard, how conductive, what colour is."""
    if re.search(
        r"\bwhat (?!happens?\b|is\b|are\b|does\b|do\b|can\b|if\b)(?:[a-z-]+ ){1,4}(?:is|are|was|were|has|have)\b",
        text,
        re.I,
    ):
        return True
    if _REACHES.search(text):
        return True
    return re.search(r"\bhow (?!do\b|does\b|did\b|can\b|could\b|should\b|would\b|might\b|to\b|is\b|are\b|come\b|"
                     r"protect|prevent|avoid|make|i\b|we\b)[a-z]+\b", text, re.I) is not None  # fmt: skip


def _aim(text: str, needs: Sequence[Need]) -> tuple[Concept, int] | None:
    """The property to change and the direction, of a question how to; the first one with a direction."""
    asks_how = re.search(
        r"\bhow\b|\bways?\b|\bwhat (?:can|could|should|helps?|slows|stops|makes|protects|to)\b|\bcan i\b|\bhelps?\b|"
        r"\bwhich \w+\?",
        text, re.I,
    )  # fmt: skip
    if not asks_how or asks_how_much(text):
        return None
    if re.search(r"\b(?:keep\w*|stop\w*|prevent\w*|avoid\w*|without)\b.*\blos(?:e|es|ing|t|s)\b", text, re.I):
        return None  # not to lose it is another thing than to raise it
    for need in needs:
        concept = need.concept
        if concept is None or not concept.heads or concept.subject:
            continue
        place = text.lower().find(need.words.lower())
        lead = text[max(0, place - 40) : place]
        fewer = re.search(rf"\b(?:{_FEWER})\b(?!.*\bto\b)", lead, re.I) or re.search(r"\bless\b", text[place:], re.I)
        polarity = concept.polarity(need.words)
        if polarity:
            return concept, -polarity if fewer or pattern("lower").search(text) else polarity
        if pattern("raise").search(text) or re.search(r"\b(?:more|better|higher|longer)\b", text, re.I):
            return concept, concept.good if re.search(r"\bbetter|improv", text, re.I) else 1
        if fewer or pattern("lower").search(text):
            return concept, -1
    return None
