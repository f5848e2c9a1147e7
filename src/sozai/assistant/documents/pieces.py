"""What of a document is searched and quoted: sentences, and rows of tables, with what stands around them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from sozai.assistant.documents.document import Document, DocumentTable, Span
from sozai.assistant.documents.outline import is_back_matter

_REFERENCE = re.compile(
    r"\b10\.\d{4,5}/\S|\b2-s2\.0-\d|"
    r"\b(?:19|20)\d\d\s+\d{1,4}(?:\s+[\d-]{1,5})?\s+[A-Z]?\d{1,6}\s+[A-Z]?\d{1,6}\b|"
    r"\b(?:J|Int|Eur|Chem|Electrochim|Electrochem|Appl|Phys|Mater|Adv|Proc|Trans|Ceram|Soc|Rev|Lett|Sci|Nat|Acta|Commun|"
    r"Technol)\.$|"
    r"\b(?:19|20)\d\d[,;]?\s+\d{1,4}[,;:(]?\s?[\d()]*[,:]?\s+[A-Z]?\d{1,6}\b.{0,60}$|^\[?\d{1,3}[\].]\s+[A-Z]\.\s"
)
"""An entry of a list of references that has no heading: titles of others are no evidence."""
_AUTHORS = re.compile(
    r"(?:^|[\s,&;(])[A-Z][^\W\d_]{2,}(?:[A-Z]\.[ -]?){1,4}(?:$|[A-Z,;&])|[A-Z][a-z]+(?:[A-Z]\. ?)+et al|"
    r"^(?:\d{1,3} )?(?:[A-Z]\. ){1,3}[A-Z][a-z]+ ?,|"
    r"^(?:[A-Z]\.[ ,&;]*)+$|(?:^|[,&] )[A-Z][a-z]{2,}, (?:[A-Z]\. ?){1,3}(?:,|&|$)"
)
"""Names as lists of references write them: ``HaileS. M.,``, ``Shao, Z. &``."""
_NOTICE = re.compile(
    r"\bhow to cite\b|^(?:author contributions?|acknowledge?ments?)\b|\bcompeting (?:financial )?interests?\b|"
    r"\bpublisher.s note\b|\bconflicts? of interest\b|\bfinancial support\b|\b(?:gratefully|we) acknowledge\b|"
    r"\bsupported by (?:the|an?) .{0,90}(?:Foundation|Program|Fund|Council|Ministry|Grant|Agency|Commission)",
    re.I,
)
"""What a paper says of its authors and funds, where no heading parts it from the text."""
_LIST = 8
"""Sentences that read as references make a list; so many that stand alone are none."""
_GAP = 4
"""Sentences between two of a list that belong to it: titles cut off from their authors."""


@dataclass(frozen=True)
class Piece(Span):
    """A sentence or a row.

    Attributes:
        number: its place among the pieces of the document.
        section: heading it stands under.
        before: the sentence before it in the same section, if there is one.
        table: the table whose row it is, and which row; ``None`` for a sentence.
        row: of the table.
        around: words that belong to it but are not in it: heading of the table and of its columns.
    """

    number: int = 0
    section: str = ""
    before: Span | None = None
    table: DocumentTable | None = None
    row: int = 0
    around: str = ""


def pieces(document: Document) -> list[Piece]:
    """Sentences and rows in the order of the text; lists of references and thanks are left out."""
    made = [*_sentences(document), *_rows(document)]
    made.sort(key=lambda piece: piece.start)
    return [Piece(p.start, p.end, place, p.section, p.before, p.table, p.row, p.around) for place, p in enumerate(made)]


def _sentences(document: Document) -> Iterator[Piece]:
    last = None
    listed = _listed(document)
    for number, sentence in enumerate(document.sentences):
        words = document.quote(sentence)
        if is_back_matter(sentence.section) or number in listed or _REFERENCE.search(words) or _NOTICE.search(words):
            continue
        before = last if last is not None and last.section == sentence.section else None
        yield Piece(sentence.start, sentence.end, 0, sentence.section, before)
        last = sentence


def _listed(document: Document) -> frozenset[int]:
    """Numbers of the sentences that stand in a list of references without a heading."""
    texts = (document.quote(sentence) for sentence in document.sentences)
    found = [number for number, text in enumerate(texts) if _REFERENCE.search(text) or _AUTHORS.search(text)]
    near = [(a, b) for a, b in pairwise(found) if b - a <= _GAP]
    if len(near) < _LIST:
        return frozenset()
    return frozenset(number for a, b in near for number in range(a, b + 1))


def _rows(document: Document) -> Iterator[Piece]:
    for table in document.tables:
        heads = column_heads(document, table)
        around = f"{table.caption}. {'; '.join(filter(None, heads))}"
        for number, row in enumerate(table.cells):
            cells = [cell for cell in row if cell is not None and cell.end > cell.start]
            if number >= table.header_rows and cells:
                yield Piece(cells[0].start, cells[-1].end, 0, "", None, table, number, around)


def column_heads(document: Document, table: DocumentTable) -> list[str]:
    """The heading of each column; of a merged one its words stand over all it covers."""
    heads = [""] * max(map(len, table.cells), default=0)
    for row in table.cells[: table.header_rows]:
        last = ""
        for place, cell in enumerate(row):
            text = document.quote(cell) if cell is not None else last
            last = text if cell is not None else last
            if text and text not in heads[place]:
                heads[place] = f"{heads[place]} {text}".strip()
    return heads
