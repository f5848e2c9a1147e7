"""Answers to questions in everyday words: passages that hold what was asked, or strategies from them.

A passage answers when it is about the subject, holds at least one of the things asked about it in its own words, and
the rest stands beside it or in its document; how much of the question that is decides on a refusal, not single words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sozai.assistant.answers.evidence import Statement
from sozai.assistant.answers.facts import cited
from sozai.assistant.answers.finding import Shelf
from sozai.assistant.answers.kinds import counts_things, tests_of
from sozai.assistant.answers.lexicon import pattern
from sozai.assistant.answers.names import names_in
from sozai.assistant.answers.needs import ABOUT, BESIDE, DOCUMENT, HINT, TITLE, Need, Plain
from sozai.assistant.answers.question import Question, Term
from sozai.assistant.answers.values import same_unit
from sozai.assistant.answers.view import SHORT, Reading, View
from sozai.assistant.documents.words import stem
from sozai.assistant.extraction.quantities import Found
from sozai.assistant.extraction.schema import built_in

LEAST = 0.62
"""Share of a question that a passage must hold; chosen on the questions for tuning, see docs/ask.md."""
_BAND = 0.22
"""Passages this much below the best one are shown beside it."""
_MOST = 4
_EXTREME = re.compile(r"\b(?:highest|maximum|maximal|largest|optimum|optimal|best|peak|lowest|minimum|most)\b", re.I)
_POOR = re.compile(r"\b(?:not|poor|poorly|bad|badly|low|worse|weak|little|hardly|n't)\b|dont|doesnt|cant", re.I)
_LIMITED = re.compile(r"\blimit\w*|\bresistive\b|\bonly\b", re.I)
_CAPTION = re.compile(r"(?:Fig(?:ure|\.)?|Scheme|Table)\s?S?\d")
"""A caption says what is shown, seldom what was found."""
_MEANING = 0.5
"""Weight of the nearness in meaning where the search is to use it."""
_KEPT = re.compile(r"\d\s?(?:%|per ?cent) of (?:its|their|the)\b")
"""A value told as a part of another one."""
_LONGEST = 1000
"""Letters of a passage; a longer one is a list or a table that was read as one sentence."""
_ALL = 0.95
"""Share that must be held where a question names materials only: they must stand together."""


@dataclass(frozen=True)
class Held:
    """A passage and how much of a question it holds.

    Attributes:
        view: the passage.
        share: of the question, 0 to 1.
        score: share with what makes it a better answer to this kind of question.
        here: parts that stand in the passage itself.
        missing: parts that are not in its document.
        parts: how many of the question a passage must hold.
        near: how many of them stand in it or beside it.
        spares: one part of many may be missing: not where a value, or yes or no, is asked for.
    """

    view: View
    share: float
    score: float
    here: tuple[Need, ...]
    missing: tuple[Need, ...]
    spares: bool
    parts: int
    near: int

    @property
    def answers(self) -> bool:
        """Whether it answers."""
        related = sum(need.kind not in ABOUT for need in self.here)
        if self.near < min(2, self.parts) and len(self.view.reading.pieces) > SHORT:
            return False
        if related == 0:
            return not self.missing and len(self.here) >= 2 and self.share >= _ALL
        spared = self.spares and related >= 3 and len(self.missing) == 1 and self.missing[0].may_lack
        return (not self.missing or spared) and self.share >= LEAST


class Narrowed(Shelf):
    """A shelf with some of its documents only.

    Args:
        shelf: all of it.
        readings: the documents.
    """

    def __init__(self, shelf: Shelf, readings: Sequence[Reading]):
        self.library, self.by, self.index = shelf.library, shelf.by, shelf.index
        self.__dict__.update(readings=list(readings), aliases=shelf.aliases)  # what a shelf would work out

    def views(self, question: Question) -> list[View]:
        """All pieces of these documents."""
        return [view for reading in self.readings for view in reading.views]


def documents_for(plain: Plain, shelf: Shelf, needs: Sequence[Need] | None = None) -> list[Reading]:
    """The documents in which every part of a question stands somewhere."""
    wanted = [need for need in (plain.needs if needs is None else needs) if not need.loose]
    made = []
    for reading in shelf.readings:
        if all(need.in_document(reading) for need in wanted):
            made.append(reading)
    return made


def held_passages(plain: Plain, shelf: Shelf, kind: str) -> list[Held]:
    """Passages that answer, best first."""
    if len(plain.unknown) > (0 if kind == "value" else 1) or not plain.needs:
        return []
    firm = plain.relations if len(plain.relations) < 4 else ()  # of many parts one may be missing
    needs = (*(need for need in plain.needs if need.kind in (*ABOUT, "number")), *firm)
    tests = tests_of(plain.text)
    found = [
        _held(view, plain, kind)
        for reading in documents_for(plain, shelf, needs)
        for view in reading.views
        if len(view.text) <= _LONGEST and all(test(view) for test in tests)
    ]
    if shelf.by != "words":
        found = [
            replace(one, score=one.score + _MEANING * _nearness(one, plain, shelf)) for one in found if one.answers
        ]
    if plain.unknown:  # one word that is known nowhere: two things asked beside it must stand in the passage itself
        asked = {need for need in plain.of("concept") if not need.loose}
        found = [one for one in found if len(asked) >= 2 and asked <= set(one.here)]
    return sorted((one for one in found if one.answers), key=lambda one: -one.score)


def _nearness(one: Held, plain: Plain, shelf: Shelf) -> float:
    """Cosine of the meanings of a passage, with its neighbours, and the question."""
    number = next(n for n, document in enumerate(shelf.index.documents) if document is one.view.document)
    return float(shelf.index.nearness(plain.text, number)[one.view.piece.number])


def nearest(plain: Plain, shelf: Shelf, kind: str) -> list[Held]:
    """Passages that hold most of a question that the library does not answer, best first."""
    if not plain.needs:
        return []
    readings = [
        reading
        for reading in shelf.readings
        if any(need.in_document(reading) for need in plain.needs if not need.loose)
    ]
    about = [reading for reading in readings if all(need.in_document(reading) for need in plain.of("material"))]
    found = [_held(view, plain, kind) for reading in about or readings for view in reading.views]
    close = (one for one in found if one.here and one.share >= 0.25)
    return sorted(close, key=lambda one: (any(need.kind == "material" for need in one.missing), -one.score))


def _held(view: View, plain: Plain, kind: str) -> Held:
    total = held = 0.0
    near = 0
    here: list[Need] = []
    missing: list[Need] = []
    for need in sorted(plain.needs, key=lambda need: need.kind == "material"):  # the costly ones last
        share = need.held_by(view) if len(missing) < 2 else 0.0
        if need.loose:
            weight = 0.5 * need.weight
            total += weight
            held += weight * share if share >= HINT else 0.0
        else:
            total += need.weight
            held += need.weight * share
            told = need.kind != "material" or kind != "yes or no" or share == 0 or view.says_of(need.words)
            if not told or share <= _least(need, kind, view):
                missing.append(need)
        near += not need.loose and (share >= BESIDE or (need.kind == "material" and share > 0))
        if share >= HINT:
            here.append(need)
    asked = [need for need in plain.needs if need.measured]
    if kind in ("value", "comparison") and plain.quantity is None and not counts_things(plain.text):
        told_of = [need for need in asked if need in here and _has_value(need, view)]
        missing += [] if told_of else [need for need in asked if need not in missing]
    share = held / total if total else 0.0
    parts = sum(not need.loose for need in plain.needs)
    spares = kind not in ("value", "yes or no")
    return Held(view, share, share + _bonus(view, plain, kind, here), tuple(here), tuple(missing), spares, parts, near)


def _has_value(need: Need, view: View) -> bool:
    """Whether a passage gives a value of the property; true where no unit of it is known."""
    if need.concept is None or not need.concept.schema:
        return True
    unit = built_in()[need.concept.schema].unit
    if not unit:  # a ratio or an index
        return bool(view.quantities or view.columns)
    if view.piece.table is not None or any(same_unit(one.unit, unit) for one in view.quantities if one.unit):
        return True
    return _KEPT.search(view.text) is not None


def _least(need: Need, kind: str, view: View) -> float:
    """How far a part must be held, and more: a value stands with its property, an element near its effect."""
    near = len(view.reading.pieces) <= SHORT
    if kind == "value" and need.kind in ("subject", "name"):
        return BESIDE
    if kind == "value" and need.kind == "concept":
        return TITLE
    if kind == "yes or no" and need.kind == "concept":
        return BESIDE if need.measured and not near else DOCUMENT
    if need.kind == "element" or (kind in ("value", "yes or no") and need.kind == "material"):
        return DOCUMENT
    return 0.0


def _bonus(view: View, plain: Plain, kind: str, here: Sequence[Need]) -> float:
    """What makes a passage a better answer to a kind of question."""
    text = view.text
    bonus = 0.0
    if kind == "why":
        bonus += 0.15 * bool(pattern("because").search(text))
        bonus += 0.1 * bool(_POOR.search(plain.text) and (pattern("against").search(text) or _LIMITED.search(text)))
    if kind in ("how to", "open"):
        bonus += 0.08 * bool(pattern("raise").search(text) or pattern("lower").search(text))
    if _EXTREME.search(plain.text) and _EXTREME.search(text):
        bonus += 0.12
    if plain.quantity is not None:
        bonus += 0.2 * any(same_unit(one.unit, plain.quantity[1]) for one in view.quantities if one.unit)
    if kind == "value":
        bonus += 0.12 * any(
            one.unit and not any(_same(one, need.amount) for need in plain.needs) for one in view.quantities
        )
    if kind in ("value", "comparison"):
        units = [built_in()[need.concept.schema].unit for need in here if need.concept and need.concept.schema]
        bonus += 0.15 * any(same_unit(one.unit, unit) for one in view.quantities if one.unit for unit in units)
    if view.piece.table is not None:
        bonus -= 0.15 if not plain.of("number") else -0.1
    if _CAPTION.match(text):
        bonus -= 0.1
    if re.match(r"abstract|summary|introduction|method|experiment|procedure|material", view.piece.section, re.I):
        bonus -= 0.05
    if not 5 <= len(text.split()) <= 90:  # a fragment, or a table read as one sentence
        bonus -= 0.2
    bonus += 0.08 * sum(stem(need.words.split()[-1]) in view.stems for need in here if need.concept is not None)
    return bonus + 0.04 * len([need for need in here if need.loose])


def _same(one: Found, other: Found | None) -> bool:
    """Whether a quantity is one that the question names itself."""
    return other is not None and one.value == other.value and one.unit == other.unit


def passage_statements(found: Sequence[Held], plain: Plain) -> list[Statement]:
    """The best passages as quotes; says how the question was read."""
    if not found:
        return []
    shown = [one for one in found if one.score >= found[0].score - _BAND][:_MOST]
    made, seen = [], set()
    for one in shown:
        if one.view.text in seen:
            continue
        seen.add(one.view.text)
        made.append(Statement(one.view.text, tuple(cited(one.view)), "quote", read_as(one, plain)))
    return made


def read_as(one: Held, plain: Plain) -> str:
    """How words of the question were read, where the passage says them otherwise."""
    notes = [f"nothing on '{word}'" for word in plain.unknown]
    notes += [f"'{wrong}' read as '{right}'" for wrong, right in plain.changed]
    if not plain.of("material") and not names_in(one.view.text):
        notes.insert(0, f"from '{one.view.document.title}'")  # the passage by itself does not say of what it speaks
    for need in one.here:
        if need.says is None or need.concept is None:
            continue
        found = need.says.search(one.view.whole)
        if found and stem(found.group().split()[0]) != stem(need.words.split()[0]):
            notes.append(f"'{need.words}' read as '{found.group().strip()}'")
    return "; ".join(dict.fromkeys(notes))


def as_question(plain: Plain, asked: Question) -> Question | None:
    """The question as one that strategies are found for: the property to change, the materials and elements named."""
    if plain.aim is None:
        return None
    concept, goal = plain.aim
    stems = frozenset(stem(word) for word in concept.heads)
    term = Term(concept.measure[0], stems, None, True)
    elements = tuple(
        one for one in asked.terms if one.element and any(need.words == one.word for need in plain.of("element"))
    )
    materials = tuple(need.words for need in plain.of("material"))
    return replace(
        asked, kind="how to", goal=goal, materials=materials, terms=(term, *elements), conditions=(), unit="",
        asked=concept.measure[0], schema=concept.schema, phrase=(concept.heads[0],),
    )  # fmt: skip
