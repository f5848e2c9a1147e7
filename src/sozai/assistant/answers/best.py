"""Which one is best: the values of a property over the library, the extreme first, each with its material."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sozai.assistant.answers.evidence import Statement
from sozai.assistant.answers.facts import cited
from sozai.assistant.answers.finding import Shelf
from sozai.assistant.answers.names import names_in
from sozai.assistant.answers.needs import Plain
from sozai.assistant.answers.passages import documents_for
from sozai.assistant.answers.thesaurus import Concept
from sozai.assistant.answers.values import ROOM, amount_in, kelvin_of, number_in, unit_of_head
from sozai.assistant.answers.view import View
from sozai.assistant.documents.document import Span
from sozai.assistant.extraction.schema import built_in

_ASKS = re.compile(
    r"\b(?:which|what|who)\b.*\b(?P<most>best|most|highest|largest|greatest|least|worst|lowest|smallest|[a-z]{3,}est)\b",
    re.I,
)
_LEAST = re.compile(r"least|worst|lowest|smallest|poorest|weakest|softest", re.I)
_MOST = 5


@dataclass(frozen=True)
class Candidate:
    """A value of the property.

    Attributes:
        amount: in the unit of the schema.
        text: as written.
        name: of the material it belongs to, by its place in the sentence.
        view: where it stands.
    """

    amount: float
    text: str
    name: str
    view: View


def ranked_property(plain: Plain) -> Concept | None:
    """The property by which a question asks for the best, where sozai knows its unit."""
    if not _ASKS.search(plain.text):
        return None
    return next((one.concept for one in plain.needs if one.concept and one.concept.schema in built_in()), None)


def ranking(plain: Plain, shelf: Shelf) -> list[Statement]:
    """The greatest (or least) values of the asked property, one for each material.

    Values at other temperatures than room temperature, and values before a change, are left out.
    """
    concept = ranked_property(plain)
    if concept is None or plain.unknown:
        return []
    needs = [need for need in plain.needs if need.concept is not concept]
    found = [
        one
        for reading in documents_for(plain, shelf, needs)
        for view in reading.views
        for one in _values(view, concept, [need.words for need in plain.of("material")])
    ]
    match = _ASKS.search(plain.text)
    least = bool(match and _LEAST.fullmatch(match["most"]))
    least = least or (concept.good < 0) != bool(least)
    best: dict[str, Candidate] = {}
    for one in sorted(found, key=lambda one: one.amount, reverse=not least):
        best.setdefault(one.name, one)
    shown = list(best.values())[:_MOST]
    made = []
    for number, one in enumerate(shown):
        text = f"{one.name}: {one.text}" if one.name else one.text
        quotes = tuple(cited(one.view))
        if number == 0:
            which = "least" if least else "greatest"
            basis = (
                f"the {which} of {len(found)} values of {concept.measure[0]} in the library; samples and methods differ"
            )
            made.append(Statement(text, quotes, "computed", basis))
        else:
            made.append(Statement(text, quotes))
    return made


def _values(view: View, concept: Concept, materials: Sequence[str]) -> Iterator[Candidate]:
    unit = built_in()[concept.schema].unit
    known = built_in()[concept.schema]
    by_unit = known.bare and concept.hints is not None and concept.hints.search(view.text)  # 4 mS/cm needs no name
    if not (by_unit or concept.says.search(view.whole)) or any(
        re.search(rf"\b{re.escape(word)}\s+{re.escape(concept.measure[0])}", view.whole, re.I) for word in known.without
    ):
        return
    if not all(view.material(name) for name in materials):
        return
    if view.columns:
        for column in view.columns:
            head = unit_of_head(column.head)
            number = number_in(column.text)
            amount = None if head is None or number is None else amount_in(number, head, unit)
            if amount is not None and concept.says.search(column.head):
                written = f"{column.text} {column.head.partition('(')[2].rstrip(')')}".strip()
                yield Candidate(amount, written, _row_name(view), view)
        return
    warm = [kelvin for one in view.quantities if (kelvin := kelvin_of(one)) is not None]
    if (
        not materials
        and warm
        and not any(ROOM[0] <= kelvin <= ROOM[1] for kelvin in warm)
        and concept.name == "conduction"
    ):
        return
    for one in view.quantities:
        amount = amount_in(one.value, one.unit, unit) if one.unit else None
        if amount is not None and amount > 0 and one.change != "from":
            text = view.document.quote(Span(one.start, one.end)).strip()
            yield Candidate(amount, text, _owner(view, one.start - view.piece.start, one.end - view.piece.start), view)


def _owner(view: View, start: int, end: int) -> str:
    """The material named right behind a value ("510 HV for X"), else the last one before it, else the topic."""
    named = names_in(view.text)
    behind = re.match(r"\s*(?:for|in|of|with)\s+(?:the\s+)?", view.text[end:])
    if behind:
        after = next((one for one in named if one.start == end + behind.end()), None)
        if after is not None:
            return after.text.strip("()")
    before = [one.text for one in named if one.end <= start]
    return before[-1].strip("()") if before else _about(view)


def _row_name(view: View) -> str:
    named = names_in(view.whole)
    return named[0].text if named else _about(view)


def _about(view: View) -> str:
    named = names_in(view.reading.head)
    return named[0].text if named else view.document.title
