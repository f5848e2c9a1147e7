"""The page of an answer: strategies or statements, every quote in its place in the source."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from sozai.assistant.answers.evidence import Answer, Citation, Effect, Statement, Strategy
from sozai.reports.page import Section, bullets, details, heading, join, paragraph, render_page, table, write_page

_SUPPORT = {"quote": "", "computed": "computed", "table of sozai": "sozai's table", "not supported": "not supported"}


def write_answer(path: str | Path, made: Answer, manifest: Mapping[str, Any] | None = None) -> Path:
    """Write the page of an answer.

    Raises:
        UserError: the file cannot be written.
    """
    return write_page(path, answer_page(made, manifest))


def answer_page(made: Answer, manifest: Mapping[str, Any] | None = None) -> str:
    """The page as HTML text."""
    numbers = {citation: number for number, citation in enumerate(dict.fromkeys(made.citations()), 1)}
    sections = []
    if made.statements:
        sections.append(Section("Answer", "", bullets([_statement(one, numbers) for one in made.statements])))
    if made.strategies:
        lead = "What the library says can be done, best first. A number in brackets leads to the quote."
        sections.append(Section("Strategies", lead, _strategies(made.strategies, numbers)))
    if made.recommendation:
        body = join(_statement(made.recommendation, numbers), paragraph(made.recommendation.basis, True))
        sections.append(Section("Recommendation", "", Markup("<p>{}</p>").format(body)))
    if made.actions:
        todo = [
            (one.kind, Markup("<code>{}</code>").format(one.text) if one.kind == "command" else one.text, one.reason,
             _marks(one.citations, numbers))
            for one in made.actions
        ]  # fmt: skip
        sections.append(Section("What to do next", "", table(("kind", "action", "why", "from"), todo)))
    if made.closest:
        lead = "None of these is an answer."
        sections.append(Section("Closest passages", lead, bullets([_statement(one, numbers) for one in made.closest])))
    if made.dropped:
        lead = "Sentences of the language model that no quote supports. They are no part of the answer."
        rows = [(one.text, one.basis) for one in made.dropped]
        sections.append(Section("Dropped", lead, table(("sentence", "why"), rows)))
    if numbers:
        lead = "Word for word, with the place in the text that was read of the file."
        sections.append(Section("Quotes", lead, _quotes(numbers)))
    asked = "; ".join(f"{one['model']} at {one['endpoint']}" for one in made.models)
    facts = {
        "quotes": len(numbers),
        "documents": len({quote.hash for quote in numbers}),
        "language model": asked or "none",
    }
    verdict = (made.recommendation or made.statements[0]).text if made.statements else ""
    return render_page(
        made.question, sections, verdict=raised(verdict), good=made.found, facts=facts, manifest=manifest
    )


def _strategies(ways: Sequence[Strategy], numbers: Mapping[Citation, int]) -> Markup:
    parts = []
    heads = ("mechanism", "conditions", "pros", "cons", "cost", "risk")
    for place, way in enumerate(ways, 1):
        body = [heading(f"{place}. {way.name}")]
        body.append(table(("before", "after", "factor", "evidence"), [_effect(one, numbers) for one in way.effects]))
        rows = [(head, join(*_lines(getattr(way, head), numbers))) for head in heads]
        if way.contradicted_by:
            rows.append(("contradicted by", join(*_lines(way.contradicted_by, numbers))))
        body.append(table(("", "what the library says"), rows))
        parts.append(join(*body))
    return join(*parts)


def _effect(effect: Effect, numbers: Mapping[Citation, int]) -> tuple[Any, ...]:
    told = effect.row_change or f"“{effect.citation.quote}”"
    quote = Markup("{} {}").format(raised(told), _marks(effect.citations, numbers))
    factor = f"{effect.factor:.3g}" if effect.factor else None
    return raised(effect.before) or None, raised(effect.after) or None, factor, quote


def raised(text: str) -> Markup:
    """Powers as papers print them; the table of quotes keeps them word for word."""
    parts = re.split(r"\^([-−+]?\d+)", text.replace(" × ", "\u00a0×\u00a0"))
    return Markup("").join(
        Markup("<sup>{}</sup>").format(one.replace("-", "−")) if place % 2 else one for place, one in enumerate(parts)
    )


def _lines(statements: Sequence[Statement], numbers: Mapping[Citation, int]) -> list[Markup]:
    return [Markup("<p>{}</p>").format(_statement(one, numbers)) for one in statements]


def _statement(one: Statement, numbers: Mapping[Citation, int]) -> Markup:
    mark = "" if one.text.startswith(_SUPPORT[one.support]) else _SUPPORT[one.support]
    told = f" ({'; '.join(filter(None, (mark, one.basis)))})" if mark or one.basis else ""
    return Markup('{} {}<span class="quiet">{}</span>').format(raised(one.text), _marks(one.citations, numbers), told)


def _marks(citations: Sequence[Citation], numbers: Mapping[Citation, int]) -> Markup:
    links = [Markup('<a href="#quote-{0}">[{0}]</a>').format(numbers[quote]) for quote in dict.fromkeys(citations)]
    return Markup(" ").join(links)


def _quotes(numbers: Mapping[Citation, int]) -> Markup:
    rows = []
    for quote, number in numbers.items():
        anchor = Markup('<span id="quote-{0}">{0}</span>').format(number)
        source = Markup('<a href="{}">{}</a>').format(Path(quote.source).absolute().as_uri(), quote.name)
        place = f"{f'p. {quote.page}, ' if quote.page else ''}letters {quote.start} to {quote.end}"
        rows.append((anchor, quote.quote, source, place, quote.section))
    return join(
        table(("", "quote", "source", "place", "section"), rows),
        details("Hashes of the sources", bullets(sorted({f"{quote.name}: {quote.hash}" for quote in numbers}))),
    )
