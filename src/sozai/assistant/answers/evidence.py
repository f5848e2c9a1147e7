"""What an answer is made of: statements, each with what supports it, and quotes with their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sozai.assistant.documents.document import Document, Span
from sozai.assistant.documents.search import Hit

Support = Literal["quote", "table of sozai", "computed", "not supported"]


@dataclass(frozen=True)
class Citation:
    """A quote and its place: ``quote == document.text[start:end]`` always.

    Attributes:
        source: the file.
        title: of the document.
        quote: verbatim.
        start, end: place in the document's text.
        page: from 1, where the file has pages.
        section: heading it stands under.
        hash: SHA-256 of the file.
    """

    source: str
    title: str
    quote: str
    start: int
    end: int
    page: int | None = None
    section: str = ""
    hash: str = ""

    @property
    def name(self) -> str:
        """The file's name."""
        return self.source.replace("\\", "/").rpartition("/")[2]

    @property
    def where(self) -> str:
        """File, page and place, for a person."""
        page = f", p. {self.page}" if self.page else ""
        return f"{self.name}{page}, {self.start}-{self.end}"


def cite(document: Document, span: Span, section: str = "") -> Citation:
    """The citation of a place in a document."""
    return Citation(
        document.source, document.title, document.quote(span), span.start, span.end, document.page_of(span.start),
        section, document.hash,
    )  # fmt: skip


def cite_hit(hit: Hit) -> Citation:
    """The citation of what a search found."""
    return cite(hit.document, hit.piece, hit.piece.section)


@dataclass(frozen=True)
class Statement:
    """One sentence of an answer.

    Attributes:
        text: it.
        citations: quotes it rests on.
        support: ``"quote"``; ``"table of sozai"``: a number that sozai brings along, with its source in ``basis``;
            ``"computed"``: counted or calculated by code from cited quotes, ``basis`` says how; ``"not supported"``.
        basis: how, or why not.
    """

    text: str
    citations: tuple[Citation, ...] = ()
    support: Support = "quote"
    basis: str = ""


NOTHING = Statement("not supported: no quote of the library tells", (), "not supported")
"""Stands where the library says nothing."""


@dataclass(frozen=True)
class Effect:
    """What was measured before and after.

    Attributes:
        direction: +1 raised, -1 lowered, 0 said not to change.
        before, after: as written; empty where not stated.
        factor: after over before; ``None`` where not stated.
        citation: of the sentence, or of the row of the value after.
        also: of a table: the row of the value before, and the headings.
    """

    direction: int
    before: str
    after: str
    factor: float | None
    citation: Citation
    also: tuple[Citation, ...] = ()

    @property
    def citations(self) -> tuple[Citation, ...]:
        """All its quotes."""
        return (self.citation, *self.also)

    @property
    def row_change(self) -> str:
        """What differs between the two rows of a table, column by column; empty for a sentence."""
        if len(self.also) < 2:
            return ""
        heads, low, best = (one.quote.split(" | ") for one in (self.also[-1], self.also[0], self.citation))
        if not len(heads) == len(low) == len(best):
            return ""
        return "; ".join(f"{head}: {a} → {b}" for head, a, b in zip(heads, low, best, strict=True) if a != b)


@dataclass(frozen=True)
class Strategy:
    """One way to reach the goal, with all that the library says of it.

    Attributes:
        name: family and agent, e.g. ``"substitution: Sr"``.
        causes: what was done, in the words of the documents.
        effects: measured, best first.
        mechanism, pros, cons, cost, risk: statements, each cited or marked.
        conditions: statements on levels, temperatures, times, atmospheres.
        contradicted_by: statements of the opposite.
        score: by which strategies are ordered.
    """

    name: str
    causes: tuple[str, ...]
    effects: tuple[Effect, ...]
    mechanism: tuple[Statement, ...]
    conditions: tuple[Statement, ...]
    pros: tuple[Statement, ...]
    cons: tuple[Statement, ...]
    cost: tuple[Statement, ...]
    risk: tuple[Statement, ...]
    contradicted_by: tuple[Statement, ...] = ()
    score: float = 0.0

    @property
    def documents(self) -> tuple[str, ...]:
        """Names of the documents that support it."""
        return tuple(dict.fromkeys(effect.citation.name for effect in self.effects))


@dataclass(frozen=True)
class Action:
    """Something to do next.

    Attributes:
        kind: ``"command"`` (sozai can do it now) or ``"experiment"``.
        text: the command line, or the experiment.
        reason: why; says which quote or which numbers it was derived from.
        citations: these quotes.
    """

    kind: Literal["command", "experiment"]
    text: str
    reason: str
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True)
class Answer:
    """The answer to a question.

    Attributes:
        question: as asked.
        kind: of question.
        found: whether the library answers it.
        statements: in order; the first is the answer.
        strategies: for a "how do I ..." question, best first.
        recommendation: what to begin with and why.
        actions: what to do next.
        closest: when nothing was found: the nearest passages, and what of the question is in none of them.
        dropped: sentences of a language model that no quote supports, with the reason.
        models: names and endpoints of language models that were asked.
    """

    question: str
    kind: str
    found: bool
    statements: tuple[Statement, ...]
    strategies: tuple[Strategy, ...] = ()
    recommendation: Statement | None = None
    actions: tuple[Action, ...] = ()
    closest: tuple[Statement, ...] = ()
    dropped: tuple[Statement, ...] = ()
    models: Sequence[Mapping[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    def all_statements(self) -> list[Statement]:
        """Every sentence of the answer."""
        made = [*self.statements, *([self.recommendation] if self.recommendation else []), *self.closest]
        for way in self.strategies:
            for part in (way.mechanism, way.conditions, way.pros, way.cons, way.cost, way.risk, way.contradicted_by):
                made += part
        return made

    def citations(self) -> list[Citation]:
        """Every quote of the answer."""
        made = [citation for statement in self.all_statements() for citation in statement.citations]
        made += [quote for way in self.strategies for effect in way.effects for quote in effect.citations]
        return made + [citation for action in self.actions for citation in action.citations]
