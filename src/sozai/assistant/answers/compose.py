"""The answer to a question over a library: found, cited, checked; a language model may word it, and is checked too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sozai.assistant.answers.best import ranking
from sozai.assistant.answers.definitions import definitions
from sozai.assistant.answers.evidence import Answer, Statement, Strategy
from sozai.assistant.answers.facts import cited, fact_statements, lacks
from sozai.assistant.answers.finding import Shelf, fit
from sozai.assistant.answers.needs import Plain, asks_how_much, plain_question
from sozai.assistant.answers.next_steps import actions
from sozai.assistant.answers.passages import (
    Held,
    Narrowed,
    as_question,
    documents_for,
    held_passages,
    nearest,
    passage_statements,
)
from sozai.assistant.answers.prose import word
from sozai.assistant.answers.question import Question, read_question
from sozai.assistant.answers.strategies import citations_of, strategies
from sozai.assistant.documents.library import Library
from sozai.assistant.documents.search import By
from sozai.assistant.extraction.schema import built_in
from sozai.assistant.models.base import LanguageModel
from sozai.errors import UserError

_CLOSEST = 3
_ALSO = 2
"""Passages shown beside strategies."""
_TOPIC = 4
"""Words of a question that may be no more than a topic ("tell me about LATP"): any quote on it will do."""
_CHEAP = re.compile(r"\b(?:cheap\w*|inexpensive|needs? no|reduces? the cost)\b", re.I)


def answer(question: str, library: Library | Shelf, model: LanguageModel | None = None, *, by: By = "words") -> Answer:
    """Answer a question from a library; without a model the quotes are the answer.

    Every citation is verbatim: ``document.text[start:end] == quote``. A sentence of a model whose numbers, units,
    materials or words are not in what it cites does not enter the answer: it stands in ``dropped``.

    Args:
        question: in English.
        library: of documents; a ``Shelf`` where several questions follow each other.
        model: may word the answer and choose among the quotes.
        by: how to search.

    Raises:
        UserError: the question or the library is empty, or a document of it is damaged.
    """
    shelf = library if isinstance(library, Shelf) else Shelf(library, by)
    if not shelf.library.entries:
        raise UserError(
            "the library is empty", str(shelf.library.folder), "add documents with: sozai library add FOLDER"
        )
    plain = plain_question(question, shelf)
    asked = _in_unit(replace(read_question(plain.text), text=" ".join(question.split())), plain)
    made = _found(asked, plain, shelf) or _refusal(asked, plain, shelf)
    return word(made, model, shelf.aliases) if model is not None and made.found else made


def _in_unit(asked: Question, plain: Plain) -> Question:
    """The question with the unit of the property that it asks a value of, where its words alone did not tell it."""
    known = next((need.concept for need in plain.needs if need.concept is not None and need.concept.schema), None)
    if asked.kind != "value" or asked.unit or known is None:
        return asked
    return replace(asked, unit=built_in()[known.schema].unit, schema=known.schema, asked=known.measure[0])


def _found(asked: Question, plain: Plain, shelf: Shelf) -> Answer | None:
    """The answer, by the reading of the question that fits its kind first; ``None`` where there is none."""
    if said := definitions(plain.text, shelf):
        return Answer(asked.text, "definition", True, tuple(said))
    if asked.kind == "open" and asks_how_much(plain.text):  # a value whose unit the words do not tell
        return _plainly(replace(asked, kind="value"), plain, shelf)
    if not (plain.relations or asked.terms) and len(plain.text.split()) > _TOPIC:
        return _plainly(asked, plain, shelf)
    if asked.kind == "yes or no":
        return _yes_or_no(asked, plain, shelf)
    if _judges(plain) or asked.kind in ("why", "open"):
        return _plainly(asked, plain, shelf) or _exactly(asked, shelf, plain)
    return _exactly(asked, shelf, plain) or _plainly(asked, plain, shelf)


def _yes_or_no(asked: Question, plain: Plain, shelf: Shelf) -> Answer | None:
    """What is counted from quotes that hold every word, and the passages that hold most of the question beside it."""
    counted = None if plain.of("number") or _judges(plain) else _exactly(asked, shelf, plain)
    passages = _plainly(asked, plain, shelf)
    if counted is None or passages is None or passages.strategies:
        return counted or passages or (_exactly(asked, shelf, plain) if _judges(plain) else None)
    return replace(counted, statements=(*counted.statements, *_unquoted(passages.statements, counted)[:_ALSO]))


def _unquoted(statements: Sequence[Statement], made: Answer) -> list[Statement]:
    """Those of the statements whose quotes are not in an answer yet."""
    quoted = {citation.quote for citation in made.citations()}
    return [one for one in statements if not any(quote.quote in quoted for quote in one.citations)]


def _of_property(statement: Statement, plain: Plain) -> bool:
    """Whether the quotes of a statement name the measured properties asked for, or hold their units."""
    told = " ".join(quote.quote for quote in statement.citations)
    known = [need.concept for need in plain.needs if need.concept is not None and need.concept.schema]
    return all(one.says.search(told) or (one.hints is not None and one.hints.search(told)) for one in known)


def _exactly(question: Question, shelf: Shelf, plain: Plain) -> Answer | None:
    """The answer in the words of the question: each of them must be covered; ``None`` where they are not."""
    if question.kind == "how to":
        ways = strategies(question, shelf)
        return _how_to(question, shelf, ways) if ways else None
    statements, _ = fact_statements(question, shelf)
    statements = [one for one in statements if _of_property(one, plain)]
    return Answer(question.text, question.kind, True, tuple(statements)) if statements else None


def _judges(plain: Plain) -> bool:
    """Whether a question asks for what is bad or too much, which the words of a paper seldom say so."""
    return any(need.loose for need in plain.needs)


def _plainly(asked: Question, plain: Plain, shelf: Shelf) -> Answer | None:
    """The answer to a question in everyday words; ``None`` where the library holds none."""
    if found := ranking(plain, shelf):
        return Answer(asked.text, "comparison", True, tuple(found))
    statements = passage_statements(held_passages(plain, shelf, asked.kind), plain)
    if not plain.unknown and (goal := as_question(plain, asked)) is not None:
        needs = [need for need in plain.needs if not (plain.aim and need.concept is plain.aim[0])]
        narrowed = Narrowed(shelf, documents_for(plain, shelf, needs))
        if narrowed.readings and (ways := strategies(goal, narrowed)):
            made = _how_to(goal, narrowed, _cheap_first(ways, plain))
            return replace(made, statements=(*made.statements, *_unquoted(statements, made)[:_ALSO]))
    return Answer(asked.text, asked.kind, True, tuple(statements)) if statements else None


def _cheap_first(ways: Sequence[Strategy], plain: Plain) -> list[Strategy]:
    """Strategies that a quote calls cheap first, where that was asked for."""
    cost = next((need for need in plain.needs if need.concept is not None and need.concept.name == "cost"), None)
    if cost is None or cost.concept is None or cost.concept.polarity(cost.words) >= 0:
        return list(ways)
    return sorted(ways, key=lambda way: not any(_CHEAP.search(one.text) for one in (*way.cost, *way.pros)))


def _how_to(question: Question, shelf: Shelf, ways: Sequence[Strategy]) -> Answer:
    count = len({name for way in ways for name in way.documents})
    quotes = tuple(dict.fromkeys(citation for way in ways for citation in citations_of(way)))
    many = "ies" if len(ways) > 1 else "y"
    statement = Statement(
        f"{len(ways)} strateg{many} from {count} document{'s' if count > 1 else ''} of the library.",
        quotes, "computed", "counted; each is quoted below",
    )  # fmt: skip
    todo = tuple(actions(question, shelf, ways))
    return Answer(question.text, question.kind, True, (statement,), tuple(ways), _recommendation(ways), todo)


def _recommendation(ways: Sequence[Strategy]) -> Statement:
    """What to begin with: the first strategy, with the numbers that put it first."""
    first = ways[0]
    effect = max(first.effects, key=lambda one: one.factor or 0.0)
    parts = [f"{len(first.effects)} quote{'s' if len(first.effects) > 1 else ''} from {len(first.documents)} document"
             f"{'s' if len(first.documents) > 1 else ''}"]  # fmt: skip
    if effect.factor:
        change = f"{effect.before} to {effect.after}"
        times = effect.factor if effect.factor >= 1 else 1 / effect.factor
        parts.append(f"its largest stated change is a factor of {times:.3g} ({change})")
    parts.append(f"{len(first.contradicted_by)} contradict it" if first.contradicted_by else "no quote contradicts it")
    if len(ways) > 1:
        parts.append(f"next comes {ways[1].name}")
    basis = "ordered by stated effect, number of documents and quotes, and contradictions; documents differ in samples"
    return Statement(f"Begin with {first.name}: {'; '.join(parts)}.", citations_of(first), "computed", basis)


def _refusal(question: Question, plain: Plain, shelf: Shelf) -> Answer:
    """Says that the library does not answer, what is missing, and what comes nearest."""
    close = nearest(plain, shelf, question.kind)
    missing = plain.unknown or _nowhere(plain, shelf) or tuple(need.words for one in close[:1] for need in one.missing)
    if not missing:
        missing = lacks(question, [fit(view, question) for view in shelf.views(question)])
    what = (
        f" on {', '.join(missing)}" if missing else " that states this for what was asked, at the conditions asked for"
    )
    statement = Statement(f"The library does not answer this: it holds no passage{what}.", (), "not supported")
    closest = [
        Statement(one.view.text, tuple(cited(one.view)[:1]), "quote", _short_of(one, missing))
        for one in close[:_CLOSEST]
    ]
    return Answer(question.text, question.kind, False, (statement,), closest=tuple(closest))


def _nowhere(plain: Plain, shelf: Shelf) -> tuple[str, ...]:
    """Parts of a question that no document holds."""
    wanted = [need for need in plain.needs if not need.loose]
    return tuple(need.words for need in wanted if not documents_for(plain, shelf, [need]))


def _short_of(one: Held, missing: Sequence[str]) -> str:
    lacking = [word for word in missing if word.lower() not in one.view.whole.lower()]
    lacking = list(dict.fromkeys([*lacking, *(need.words for need in one.missing)]))
    return f"no answer: it says nothing of {', '.join(lacking)}" if lacking else "no answer: other conditions"
