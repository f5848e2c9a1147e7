"""A document as text in which every piece knows its place."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Span:
    """A piece of a document's text: ``document.text[start:end]``."""

    start: int
    end: int


@dataclass(frozen=True)
class Sentence(Span):
    """One sentence.

    Attributes:
        section: heading it stands under, e.g. ``"Experimental"``; empty when not known.
    """

    section: str = ""


@dataclass(frozen=True)
class DocumentTable:
    """A table. Its cells stand in the document's text too, so that a value from it has a span.

    Attributes:
        caption: e.g. ``"Table 2. Conductivities at 25 C"``.
        cells: by row and column; ``None`` where a merged cell goes on. Header rows first.
        header_rows: how many.
    """

    caption: str
    cells: tuple[tuple[Span | None, ...], ...]
    header_rows: int = 1


@dataclass(frozen=True)
class Document:
    """What was read of a file.

    Attributes:
        source: path or name of the file.
        title: as the document states it, else the file's name.
        text: the whole text; all spans are places in it. Nothing is rewritten in it later.
        sentences: in order; they do not overlap, and headings are not among them.
        tables: with their cells' places.
        pages: where each page begins in ``text``; empty when the file has no pages.
        hash: SHA-256 of the file.
        facts: what the file tells of itself: authors, year, doi, journal.
        notes: what could not be read, for a person.
    """

    source: str
    title: str
    text: str
    sentences: tuple[Sentence, ...]
    tables: tuple[DocumentTable, ...] = ()
    pages: tuple[int, ...] = ()
    hash: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def quote(self, span: Span) -> str:
        """The text at a place, as it stands."""
        return self.text[span.start : span.end]

    def page_of(self, place: int) -> int | None:
        """Page number from 1; ``None`` when the file has no pages."""
        return bisect_right(self.pages, place) if self.pages else None
