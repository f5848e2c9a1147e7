"""The value that a sentence or a row gives for what a question asks, at the conditions it names."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from sozai.assistant.answers.finding import Fit
from sozai.assistant.answers.names import names_in
from sozai.assistant.answers.question import Question
from sozai.assistant.answers.view import Column, View
from sozai.assistant.documents.document import Document, Span
from sozai.assistant.documents.words import tokens
from sozai.assistant.extraction.quantities import Found, find_quantities
from sozai.assistant.extraction.record import Record
from sozai.assistant.extraction.units import convert

ROOM = (288.0, 304.0)
"""Kelvin that papers mean by room temperature."""


@dataclass(frozen=True)
class Value:
    """A value as it stands.

    Attributes:
        text: as written, with the unit of its column's heading where it is a cell.
        span: of the number and its unit.
        amount: in the unit of the question; ``None`` where that is not known.
        state: what it was measured at and on, as written, for a person.
        doubts: what to be careful about.
    """

    text: str
    span: Span
    amount: float | None
    state: str = ""
    doubts: tuple[str, ...] = ()


def value_of(one: Fit, question: Question, record: Record | None = None) -> Value | None:
    """The value in a piece, or ``None`` when it has none of the kind, or one at other conditions."""
    view = one.view
    return _cell(view, question) if view.columns else _in_sentence(view, question, record)


def same_unit(found_unit: str | None, wanted: str) -> bool:
    """Whether two units are of one kind."""
    return found_unit is not None and (not wanted or amount_in(1.0, found_unit, wanted) is not None)


def amount_in(value: float, unit: str | None, wanted: str) -> float | None:
    """A value in another unit; ``None`` where that cannot be."""
    if unit is None or not wanted:
        return None
    source = "kelvin" if unit == "(kelvin)" else unit
    target = "kelvin" if wanted == "K" else wanted
    try:
        return value if source == target else convert(value, source, target)
    except Exception:  # pint has many kinds of errors for units that do not go together
        return None


def _in_sentence(view: View, question: Question, record: Record | None) -> Value | None:
    wanted = question.unit
    found = [one for one in view.quantities if one.unit is not None and same_unit(one.unit, wanted)]
    asked_here = [one for one in found if not any(_meets(one, condition) for condition in question.conditions)]
    found = asked_here or found
    if not found:
        return None
    if not conditions_met(view, question):
        return None
    chosen = _by_record(found, record) or _nearest(view, question, found)
    text = view.document.quote(Span(chosen.start, chosen.end)).strip()
    doubts = []
    if question.conditions and not any(
        _meets(one, condition) for one in view.quantities for condition in question.conditions
    ):
        doubts.append("the quote itself does not state the condition that was asked for")
    state = _state(view, chosen)
    return Value(
        text, Span(chosen.start, chosen.end), amount_in(chosen.value, chosen.unit, wanted), state, tuple(doubts)
    )


def _nearest(view: View, question: Question, found: Sequence[Found]) -> Found:
    """The quantity that the grammar puts nearest to what was asked: behind its material and behind its word."""
    text, offset = view.text, view.piece.start
    cues = _places(question, text)
    named = [
        one for one in names_in(text) if any(view.reading.aliases.same(name, one.text) for name in question.materials)
    ]
    others = [one for one in names_in(text) if one not in named and len(one.text) > 3]
    scores = []
    for one in found:
        place = one.start - offset
        distance = min((_gap(place, cue) for cue in cues), default=0.0)
        if named and others:  # several materials: a value belongs to the last one named before it
            before = [name for name in (*named, *others) if name.start < place]
            owner = max(before, key=lambda name: name.start, default=None)
            distance = 0.3 * distance + (0 if owner in named else 200)
        distance += 20 if one.change == "from" else 0
        scores.append((distance, place, one))
    return min(scores, key=lambda item: item[:2])[2]


def _places(question: Question, text: str) -> list[tuple[int, int]]:
    """Where the words of the question stand in a sentence."""
    stems = {stem for term in question.terms for stem in term.stems}
    made = []
    for match in re.finditer(r"[^\W_]+", text):
        if set(word.lower() for word in tokens(match.group())) & stems:
            made.append(match.span())
    strong = {stem for term in question.terms if term.strong for stem in term.stems}
    firm = [place for place in made if set(word.lower() for word in tokens(text[slice(*place)])) & strong]
    return firm or made


def _gap(place: int, cue: tuple[int, int]) -> float:
    return (
        place - cue[1] if place >= cue[1] else 1.6 * (cue[0] - place)
    )  # what follows its word belongs to it more often


def _by_record(found: Sequence[Found], record: Record | None) -> Found | None:
    if record is None:
        return None
    span = record.quantity.span
    return next((one for one in found if one.start < span.end and span.start < one.end), None)


def _state(view: View, chosen: Found) -> str:
    """Temperatures and the like that stand beside the value in its sentence."""
    others = [
        one for one in view.quantities if one.unit is not None and (one.start, one.end) != (chosen.start, chosen.end)
    ]
    units = ("degC", "(kelvin)", "(day)")
    near = [
        one for one in others if one.unit in units and 0 <= one.start - chosen.end < 60 and not is_making(view, one)
    ]
    return ", ".join(view.document.quote(Span(one.start, one.end)).strip() for one in near[:2])


def conditions_met(view: View, question: Question) -> bool:
    """Whether a sentence was measured at all conditions of a question, or may have been; of a row some cell tells."""
    return all(_condition_met(view, condition) for condition in question.conditions)


def _condition_met(view: View, condition: Found) -> bool:
    """Whether a piece was measured at a condition of the question, or does not say while that is the usual one."""
    alike = [one for one in view.quantities if _alike(one, condition)]
    if any(_meets(one, condition) for one in alike) or amount_met(view, condition):
        return True
    around = find_quantities(view.piece.around) if view.piece.around else []
    around += find_quantities(view.document.quote(view.piece.before)) if view.piece.before else []
    if any(_meets(one, condition) for one in around):
        return True
    kelvin = kelvin_of(condition)
    if kelvin is None:
        return False
    measured = [one for one in alike if not is_making(view, one)]
    return not measured and ROOM[0] <= kelvin <= ROOM[1]


def _alike(one: Found, condition: Found) -> bool:
    if condition.unit is None:
        return one.unit is None
    if kelvin_of(one) is not None and kelvin_of(condition) is not None:
        return True
    return same_unit(one.unit, condition.unit) or (
        one.unit in ("share", "(percent)") and condition.unit in ("share", "(percent)")
    )


def _meets(one: Found, condition: Found) -> bool:
    if not _alike(one, condition):
        return False
    first, second = kelvin_of(one), kelvin_of(condition)
    if first is not None and second is not None:
        return abs(first - second) <= 3.5
    amount = (
        amount_in(one.value, one.unit, condition.unit or "") if condition.unit not in (None, "share") else one.value
    )
    amount = one.value if amount is None else amount
    return math.isclose(amount, condition.value, rel_tol=0.005, abs_tol=1e-12)


def is_room(one: Found) -> bool:
    """Whether a temperature is room temperature."""
    kelvin = kelvin_of(one)
    return kelvin is not None and ROOM[0] <= kelvin <= ROOM[1]


def amount_met(view: View, amount: Found) -> bool:
    """Whether a piece (or the headings and the caption of its table) holds an amount with its unit."""
    if any(_meets(one, amount) for one in view.quantities):
        return True
    if any(_cell_meets(view, view.columns, column, amount) for column in view.columns[:1]):
        return True
    around = find_quantities(view.piece.around) if view.piece.around else []
    return any(_meets(one, amount) for one in around)


def kelvin_of(one: Found) -> float | None:
    """Kelvin of a temperature; ``None`` for other quantities."""
    if one.unit == "degC":
        return one.value + 273.15
    return one.value if one.unit == "(kelvin)" else None


def is_making(view: View, one: Found) -> bool:
    """Whether a temperature is one of preparation."""
    lead = view.document.text[max(view.piece.start, one.start - 60) : one.start]
    return (
        re.search(r"sinter|anneal|calcin|heat|cur(?:ed|ing)|press|fir(?:ed|ing)|melt|dr(?:ied|ying)|quench", lead, re.I)
        is not None
    )


def _cell(view: View, question: Question) -> Value | None:
    """The cell of a row whose column's heading names the property, where row, headings or caption meet conditions."""
    columns = view.columns
    strong = [term for term in question.terms if term.strong]
    free = [column for column in columns if _numeric(column.text)]
    answers = []
    for column in free:
        head = frozenset(word.lower() for word in tokens(column.head))
        covered = sum(bool(term.stems & head) for term in strong)
        if strong and covered < len(strong) and not (len(free) == 1 and covered):
            caption = frozenset(word.lower() for word in tokens(view.piece.around))
            if not (covered and all(term.stems & (head | caption) or term.element for term in strong)):
                continue
        if not strong and not same_unit(unit_of_head(column.head), question.unit):
            continue
        met = [_cell_meets(view, columns, column, condition) for condition in question.conditions]
        if all(met):
            answers.append((covered, column))
    if not answers:
        return None
    column = max(answers, key=lambda item: item[0])[1]
    unit = unit_of_head(column.head)
    number = next(iter(find_quantities(column.text)), None)
    amount = None
    if number is not None:
        amount = amount_in(number.value, number.unit or unit, question.unit)
    others = "; ".join(f"{other.head} = {other.text}" for other in columns if other is not column and other.text)
    heading = re.search(r"\(([^()]*(?:\([^()]*\))?[^()]*)\)\s*$", column.head)
    written = (
        f"{column.text} {heading.group(1)}" if heading and number is not None and number.unit is None else column.text
    )
    return Value(written, column.span, amount, others)


def _cell_meets(view: View, columns: Sequence[Column], answer: Column, condition: Found) -> bool:
    in_head = find_quantities(answer.head)
    of_kind = [one for one in in_head if _alike(one, condition)]
    if of_kind:
        return any(_meets(one, condition) for one in of_kind)
    for column in columns:
        if column is answer:
            continue
        unit = unit_of_head(column.head)
        for number in find_quantities(column.text):
            known = number if number.unit is not None else replace(number, unit=unit)
            if condition.unit is None and math.isclose(number.value, condition.value, rel_tol=1e-6):
                return True
            if _meets(known, condition):
                return True
    caption = find_quantities(view.piece.table.caption) if view.piece.table is not None else []
    if any(_meets(one, condition) for one in caption):
        return True
    kelvin = kelvin_of(condition)
    return kelvin is not None and ROOM[0] <= kelvin <= ROOM[1] and not any(kelvin_of(one) for one in caption)


@lru_cache(maxsize=2000)
def unit_of_head(head: str) -> str | None:
    """The unit in a column's heading, as pint's expression; ``None`` where there is none."""
    bracket = re.search(r"[(\[]([^()\[\]]*(?:\([^()]*\))?[^()\[\]]*)[)\]]\s*$", head)
    written = bracket.group(1) if bracket else ""
    if not written:
        parts = head.split("_")
        for take in (3, 2, 1):  # columns such as conductivity_S_cm, temperature_C, time_h, excess_percent
            if len(parts) > take:
                guess = "/".join(parts[-take:]) if take > 1 else {"C": "°C", "percent": "%"}.get(parts[-1], parts[-1])
                if (
                    (found := find_quantities(f"1 {guess}"))
                    and found[0].unit is not None
                    and found[0].end == len(guess) + 2
                ):
                    return found[0].unit
        return None
    found = find_quantities(f"1 {written}")
    return found[0].unit if found else None


def _numeric(text: str) -> bool:
    return re.match(r"\s*[-−+±~<>≈]?\s*\d", text) is not None


def number_in(text: str) -> float | None:
    """The number of a cell; ``None`` where it holds none or several."""
    found = find_quantities(text)
    return found[0].value if len(found) == 1 else None


def records_of(document: Document) -> list[Record]:
    """What the rules of ``sozai extract`` find in a document, at once; the same document is read once."""
    from sozai.assistant.extraction import extract

    if document.hash not in _kept:
        _kept[document.hash] = extract(document, read=False)
    return _kept[document.hash]


_kept: dict[str, list[Record]] = {}
