"""The answer to a question over a library: found, cited, checked; a language model may word it, and is checked too."""

from __future__ import annotations

from collections.abc import Sequence

from sozai.assistant.answers.evidence import Answer, Statement, Strategy, cite
from sozai.assistant.answers.facts import fact_statements, lacks
from sozai.assistant.answers.finding import Fit, Shelf, fit
from sozai.assistant.answers.next_steps import actions
from sozai.assistant.answers.prose import word
from sozai.assistant.answers.question import Question, read_question
from sozai.assistant.answers.strategies import citations_of, strategies
from sozai.assistant.documents.library import Library
from sozai.assistant.documents.search import By
from sozai.assistant.models.base import LanguageModel
from sozai.errors import UserError

_CLOSEST = 3


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
    asked = read_question(question)
    shelf = library if isinstance(library, Shelf) else Shelf(library, by)
    if not shelf.library.entries:
        raise UserError(
            "the library is empty", str(shelf.library.folder), "add documents with: sozai library add FOLDER"
        )
    made = _how_to(asked, shelf) if asked.kind == "how to" else _fact(asked, shelf)
    return word(made, model, shelf.aliases) if model is not None and made.found else made


def _how_to(question: Question, shelf: Shelf) -> Answer:
    ways = strategies(question, shelf)
    if not ways:
        return _refusal(question, [fit(view, question) for view in shelf.views(question)])
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
        parts.append(f"the largest stated change is a factor of {times:.3g} ({change})")
    parts.append(f"{len(first.contradicted_by)} contradict it" if first.contradicted_by else "no quote contradicts it")
    if len(ways) > 1:
        parts.append(f"next comes {ways[1].name}")
    basis = "ordered by stated effect, number of documents and quotes, and contradictions; documents differ in samples"
    return Statement(f"Begin with {first.name}: {'; '.join(parts)}.", citations_of(first), "computed", basis)


def _fact(question: Question, shelf: Shelf) -> Answer:
    statements, fits = fact_statements(question, shelf)
    if not statements:
        return _refusal(question, fits)
    return Answer(question.text, question.kind, True, tuple(statements))


def _refusal(question: Question, fits: Sequence[Fit]) -> Answer:
    """Says that the library does not answer, what is missing, and what comes nearest."""
    missing = lacks(question, fits)
    what = (
        f" on {', '.join(missing)}" if missing else " that states this for what was asked, at the conditions asked for"
    )
    statement = Statement(f"The library does not answer this: it holds no passage{what}.", (), "not supported")
    nearest = sorted((one for one in fits if one.score > 0.5), key=lambda one: (len(one.missing), -one.score))
    closest = [
        Statement(
            one.view.text, (cite(one.view.document, one.view.piece, one.view.piece.section),), "quote",
            f"no answer: it says nothing of {', '.join(one.missing)}" if one.missing else "no answer: other conditions",
        )
        for one in nearest[:_CLOSEST]
    ]  # fmt: skip
    return Answer(question.text, question.kind, False, (statement,), closest=tuple(closest))
