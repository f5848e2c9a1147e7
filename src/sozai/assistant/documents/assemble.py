"""Puts a document together from headings, paragraphs and tables, and keeps the place of each piece."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sozai.assistant.documents.document import Document, DocumentTable, Sentence, Span
from sozai.assistant.documents.sentences import split_sentences

_LIGATURES = str.maketrans(
    {"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "\ufb05": "st", "\ufb06": "st",
     "\u00ad": "", "\u200b": "", "\u200c": "", "\u200d": "", "\ufeff": "", "\u2060": "", "\x00": ""}
)  # fmt: skip
_BLANKS = re.compile(r"\s+")  # no-break and thin blanks too


def tidy(text: str) -> str:
    """One line of text: ligatures as letters, soft hyphens and invisible marks away, any run of blanks one blank."""
    return _BLANKS.sub(" ", text.translate(_LIGATURES)).strip()


@dataclass(frozen=True)
class Cell:
    """A table's cell as it is read: its text, and how many columns and rows it covers."""

    text: str
    columns: int = 1
    rows: int = 1


class Assembler:
    """Takes the pieces of a document in reading order and gives the ``Document``."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._length = 0
        self._section = ""
        self._sentences: list[Sentence] = []
        self._tables: list[DocumentTable] = []
        self._pages: list[int] = []

    def page(self) -> None:
        """A page begins here."""
        self._pages.append(self._length)

    def heading(self, text: str) -> None:
        """A heading: the sentences after it stand under it."""
        if text := tidy(text):
            self._section = text
            self._put(text + "\n\n")

    def paragraph(self, text: str, pages: Sequence[int] = ()) -> None:
        """A paragraph, cut into sentences.

        Args:
            text: already tidy, where ``pages`` are given.
            pages: places in ``text`` where pages begin.
        """
        if not (text := text if pages else tidy(text)):
            return
        start = self._length
        self._pages += [start + place for place in pages]
        self._sentences += [Sentence(start + a, start + b, self._section) for a, b in split_sentences(text)]
        self._put(text + "\n\n")

    def table(self, caption: str, rows: Sequence[Sequence[Cell]], header_rows: int = 1) -> None:
        """A table: its caption is a sentence, its rows are lines of the text with the cells parted by ``" | "``."""
        caption = tidy(caption)
        if caption:
            start = self._length
            self._sentences.append(Sentence(start, start + len(caption), self._section))
            self._put(caption + "\n")
        grid: list[list[Span | None]] = []
        going_on: dict[tuple[int, int], bool] = {}
        for number, row in enumerate(rows):
            spans: list[Span | None] = []
            texts: list[str] = []
            for cell in row:
                while going_on.pop((number, len(spans)), False):
                    spans.append(None)
                text = tidy(cell.text)
                begin = self._length + sum(map(len, texts))
                texts.append(text + " | ")
                column = len(spans)
                spans += [Span(begin, begin + len(text)), *[None] * (cell.columns - 1)]
                for below in range(1, cell.rows):
                    for aside in range(cell.columns):
                        going_on[number + below, column + aside] = True
            while going_on.pop((number, len(spans)), False):
                spans.append(None)
            grid.append(spans)
            self._put("".join(texts).removesuffix(" | ") + "\n")
        self._put("\n")
        width = max(map(len, grid), default=0)
        cells = tuple(tuple(row + [None] * (width - len(row))) for row in grid)
        if width:
            self._tables.append(DocumentTable(caption, cells, min(header_rows, len(grid))))

    def finish(
        self, source: str, title: str, digest: str, facts: Mapping[str, Any] | None = None, notes: Sequence[str] = ()
    ) -> Document:
        """The document."""
        return Document(
            source, tidy(title), "".join(self._text), tuple(self._sentences), tuple(self._tables), tuple(self._pages),
            digest, dict(facts or {}), tuple(notes),
        )  # fmt: skip

    @property
    def empty(self) -> bool:
        """Whether nothing was read yet."""
        return not any(character.isalnum() for piece in self._text for character in piece)

    def _put(self, text: str) -> None:
        self._text.append(text)
        self._length += len(text)
