"""Answers to questions of fact: values, comparisons, yes or no, who, why, and the rest by quotes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sozai.assistant.answers.effects import changes
from sozai.assistant.answers.evidence import Citation, Statement, cite
from sozai.assistant.answers.finding import Fit, Shelf, fit, uncovered
from sozai.assistant.answers.kinds import tests_of
from sozai.assistant.answers.lexicon import pattern
from sozai.assistant.answers.question import Question
from sozai.assistant.answers.values import Value, conditions_met, records_of, same_unit, value_of
from sozai.assistant.answers.view import NEAR, RELATED, SENTENCE, View
from sozai.assistant.documents.document import Span
from sozai.assistant.extraction.record import Record

_MOST = 5
_CLOSE = 1.25
"""Values that differ by less than this factor agree."""


@dataclass(frozen=True)
class Found:
    """A piece that answers, with its value where a value was asked for."""

    fit: Fit
    value: Value | None
    score: float


def fact_statements(question: Question, shelf: Shelf) -> tuple[list[Statement], list[Fit]]:
    """The statements that answer, best first; and all pieces that were judged, for a refusal to tell what they lack."""
    views = shelf.views(question)
    if question.kind == "comparison" and len(question.materials) > 1:
        return _comparison(question, views)
    tests = tests_of(question.text)
    fits = [fit(view, question) for view in views]
    fitting = (one for one in fits if one.fits and all(test(one.view) for test in tests))
    good = sorted(fitting, key=lambda one: -one.score)
    if question.kind == "value":
        return _values(question, good), fits
    good = [one for one in good if conditions_met(one.view, question)]
    if question.kind == "comparison":
        return _ranking(question, good), fits
    if question.kind == "yes or no":
        return _yes_or_no(question, good), fits
    if question.kind == "who":
        return _who(question, good), fits
    return _quotes(question, good), fits


def lacks(question: Question, fits: Sequence[Fit]) -> tuple[str, ...]:
    """What of the question is covered nowhere, or not together."""
    everywhere = [one for one in question.terms if not any(f.view.cover(one) for f in fits)]
    nowhere = [term.word for term in everywhere]
    nowhere += [name for name in question.materials if not any(f.view.material(name) for f in fits)]
    return tuple(dict.fromkeys(nowhere)) or uncovered(fits)


def _values(question: Question, good: Sequence[Fit]) -> list[Statement]:
    found = _with_values(question, good)
    statements = [_value_statement(question, one) for one in found[:_MOST]]
    if len(found) > 1 and (told := _disagreement(found[:_MOST], statements)) is not None:
        statements.append(told)
    return statements


def _with_values(question: Question, good: Sequence[Fit]) -> list[Found]:
    found: dict[tuple[str, int], Found] = {}
    for one in good:
        if question.asked in ("temperature", "time", "pressure", "length", "voltage") and not _near_process(
            one, question
        ):
            continue
        value = value_of(one, question, _record(one, question))
        if value is None:
            continue
        row = one.view.piece.table is not None
        score = one.score - (0.3 if row and not question.conditions else 0.0) - 0.2 * len(value.doubts)
        score -= 0.4 * bool(question.conditions and not value.state and not row)
        key = (one.view.document.hash, value.span.start)
        if key not in found or found[key].score < score:
            found[key] = Found(one, value, score)
    return sorted(found.values(), key=lambda item: -item.score)


def _near_process(one: Fit, question: Question) -> bool:
    """A temperature, time or pressure must stand in the sentence that names what was done or seen."""
    things = {"pellets", "pellet", "samples", "sample", "powder", "powders", "film", "films", "ceramic", "ceramics"}
    wanted = [term for term in question.terms if term.word.lower() not in things]
    return all(one.view.cover(term) >= SENTENCE for term in wanted)


def _record(one: Fit, question: Question) -> Record | None:
    """The record of ``sozai extract`` for this property, in this piece, of this material."""
    if not question.schema or one.view.piece.table is not None:
        return None
    if sum(same_unit(found.unit, question.unit) for found in one.view.quantities) < 2:
        return None  # nothing to choose from: the document need not be read by the extraction
    piece, aliases = one.view.piece, one.view.reading.aliases
    for record in records_of(one.view.document):
        inside = piece.start <= record.quantity.span.start < piece.end
        meant = not question.materials or any(aliases.same(name, record.material) for name in question.materials)
        if inside and meant and record.property == question.schema:
            return record
    return None


def _value_statement(question: Question, found: Found) -> Statement:
    view, value = found.fit.view, found.value
    assert value is not None  # only pieces with one come here
    of = f" of {', '.join(question.materials)}" if question.materials else ""
    asked = question.asked if question.asked and question.asked not in ("temperature", "time", "length") else ""
    state = f" ({value.state})" if value.state else ""
    text = f"{asked.capitalize() + of + ': ' if asked else ''}{value.text}{state}"
    notes = list(value.doubts)
    if question.materials and found.fit.material == RELATED:
        notes.append("the quote names a doped or related composition")
    elif question.materials and found.fit.material < 1:
        notes.append("the material is named near the quote, not in it")
    return Statement(text, tuple(cited(view)), "quote", "; ".join(notes))


def cited(view: View) -> list[Citation]:
    """The quotes of a piece: it; for a row also the caption and headings that say what its numbers are."""
    made = [cite(view.document, view.piece, view.piece.section)]
    table = view.piece.table
    if table is not None:
        heads = [cell for row in table.cells[: table.header_rows] for cell in row if cell is not None]
        if heads:
            made.append(cite(view.document, Span(heads[0].start, heads[-1].end)))
        place = view.document.text.rfind(table.caption, 0, view.piece.start) if table.caption else -1
        if place >= 0:
            made.append(cite(view.document, Span(place, place + len(table.caption))))
    return made


def _disagreement(found: Sequence[Found], statements: Sequence[Statement]) -> Statement | None:
    """A warning when documents give different values at what seem the same conditions."""
    first = found[0].value
    if first is None or not first.amount:
        return None
    others = [
        (one, statement)
        for one, statement in zip(found[1:], statements[1:], strict=True)
        if one.value is not None and one.value.amount and one.fit.view.document.hash != found[0].fit.view.document.hash
        and one.value.amount * first.amount > 0
        and max(one.value.amount / first.amount, first.amount / one.value.amount) > _CLOSE
    ]  # fmt: skip
    if not others:
        return None
    texts = [first.text, *(one.value.text for one, _ in others if one.value is not None)]
    quotes = [statements[0].citations[0], *(statement.citations[0] for _, statement in others)]
    return Statement(
        f"The documents do not agree: {', '.join(dict.fromkeys(texts))}.", tuple(quotes), "computed",
        "their values differ by more than a quarter; see how each sample was made",
    )  # fmt: skip


def _comparison(question: Question, views: Sequence[View]) -> tuple[list[Statement], list[Fit]]:
    judged: list[Fit] = []
    best: list[tuple[str, Found]] = []
    by_material: dict[str, list[Found]] = {}
    for name in question.materials:
        fits = [fit(view, question, (name,)) for view in views]
        judged += fits
        one_material = Question(
            question.text, "value", 0, (name,), question.terms, question.conditions, question.unit, question.asked,
            question.schema, 0, question.phrase,
        )  # fmt: skip
        by_material[name] = _with_values(one_material, sorted((f for f in fits if f.fits), key=lambda f: -f.score))
    if not all(by_material.values()):
        return [], judged
    shared = set.intersection(*({f.fit.view.document.hash for f in found} for found in by_material.values()))
    for name, found in by_material.items():
        same = [one for one in found if one.fit.view.document.hash in shared] or found
        best.append((name, same[0]))
    quotes = tuple(dict.fromkeys(citation for _, one in best for citation in cited(one.fit.view)))
    told = "; ".join(f"{name}: {one.value.text}" for name, one in best if one.value is not None)
    amounts = [(one.value.amount, name) for name, one in best if one.value is not None and one.value.amount is not None]
    if len(amounts) < len(best):
        return [Statement(f"{told}.", quotes)], judged
    chosen = (max if question.highest >= 0 else min)(amounts)
    word = "higher" if question.highest >= 0 else "lower"
    if len({amount for amount, _ in amounts}) == 1:
        return [Statement(f"The values are equal: {told}.", quotes, "computed", "compared by code")], judged
    where = "from the same document" if shared else "from different documents: conditions may differ"
    return [
        Statement(f"{chosen[1]} has the {word} {question.asked or 'value'}: {told}.", quotes, "computed", where)
    ], judged


def _ranking(question: Question, good: Sequence[Fit]) -> list[Statement]:
    """Which ... is highest: all values, the extreme first."""
    found = [one for one in _with_values(question, good) if one.value is not None and one.value.amount is not None]
    found.sort(key=lambda one: (one.value.amount or 0.0) if one.value else 0.0, reverse=question.highest >= 0)
    made = [_value_statement(question, one) for one in found[:_MOST]]
    if made:
        first = made[0]
        made[0] = Statement(
            first.text, first.citations, "computed", f"the extreme of {len(found)} values of the library"
        )
    return made


def _yes_or_no(question: Question, good: Sequence[Fit]) -> list[Statement]:
    goal = 0
    if pattern("raise").search(question.text):
        goal = 1
    elif pattern("lower").search(question.text) or re.search(r"\b(?:lower|reduce|decrease)\b", question.text, re.I):
        goal = -1
    yes: list[View] = []
    no: list[View] = []
    for one in good:
        if goal and question.phrase:
            for change in changes(one.view, question):
                (yes if change.effect.direction == goal else no).append(one.view)
                break
        elif all(map(one.view.says_of, question.materials)) and all(
            one.view.cover(term) >= SENTENCE for term in question.terms
        ):
            (no if _denies(one.view, question) else yes).append(one.view)
    if not (yes or no):
        return []
    pieces = [*dict.fromkeys(yes[:3] + no[:3])]
    quotes = tuple(cite(view.document, view.piece, view.piece.section) for view in pieces)
    if yes and no:
        text = f"The documents do not agree: {len(yes)} of {len(yes) + len(no)} quotes say yes, {len(no)} no."
    else:
        text = f"{'Yes' if yes else 'No'}, by {len(yes or no)} quote{'s' if len(yes or no) > 1 else ''} of the library."
    head = Statement(text, quotes, "computed", "counted from the quotes below; read them before you rely on it")
    return [head, *(Statement(view.text, (cite(view.document, view.piece, view.piece.section),)) for view in pieces)]


def _denies(view: View, question: Question) -> bool:
    """Whether a sentence says the contrary of the question's words: not, or un- before one of them."""
    for term in question.terms:
        word = re.escape(term.word.lower())
        if re.search(rf"\b(?:un|in|non-?){word}", view.text, re.I) and not re.search(
            rf"\b(?:un|in|non-?){word}", question.text, re.I
        ):
            return True
    return bool(pattern("negation").search(view.text)) != bool(pattern("negation").search(question.text))


def _who(question: Question, good: Sequence[Fit]) -> list[Statement]:
    made: dict[str, Statement] = {}
    for one in good:
        document = one.view.document
        if document.hash in made or any(one.view.cover(term) < NEAR for term in question.terms):
            continue
        authors = document.facts.get("authors") or []
        year = document.facts.get("year")
        who = ", ".join(map(str, authors)) if authors else f"the authors of '{document.title}' (the file names none)"
        text = f"{who}{f' ({year})' if year else ''}: {one.view.text}"
        basis = "authors and year as the file itself tells them"
        made[document.hash] = Statement(text, (cite(document, one.view.piece, one.view.piece.section),), "quote", basis)
    return list(made.values())[:_MOST]


def _quotes(question: Question, good: Sequence[Fit]) -> list[Statement]:
    """The sentences that say most of what was asked."""
    scored = []
    for one in good:
        here = [one.view.cover(term) for term in question.terms]
        share = sum(covered >= SENTENCE for covered in here) / len(here) if here else 1.0
        if share < 0.5 or (one.view.piece.table is not None and question.kind == "why"):
            continue
        reasons = bool(pattern("because").search(one.view.text))
        if question.kind == "why" and not reasons:
            continue
        bonus = 0.5 * reasons + (0.3 if one.view.quantities else 0.0) if question.kind in ("why", "open") else 0.0
        scored.append((one.score + share + bonus, one))
    scored.sort(key=lambda item: -item[0])
    return [Statement(one.view.text, tuple(cited(one.view))) for _, one in scored[:3]]
