"""Word documents (DOCX)."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from sozai.assistant.documents.assemble import Assembler, Cell
from sozai.assistant.documents.document import Document
from sozai.assistant.documents.outline import is_heading
from sozai.assistant.documents.raised import raised
from sozai.errors import UserError


def read_docx(data: bytes, source: str, digest: str) -> Document:
    """The document in a DOCX file: paragraphs, headings and tables in their order."""
    import docx
    from docx.table import Table

    try:
        opened = docx.Document(io.BytesIO(data))
        blocks = list(opened.iter_inner_content())
    except Exception as error:  # python-docx lets through whatever zipfile, lxml and its own parts raise
        raise UserError("the file is broken: it is no DOCX inside", source, "save it again from Word") from error
    made, title, caption = Assembler(), "", ""
    for block in blocks:
        if isinstance(block, Table):
            made.table(caption, [_row(row) for row in block.rows])
            caption = ""
            continue
        text, style = _text(block), (block.style.name if block.style is not None else "") or ""
        if caption:
            made.paragraph(caption)
            caption = ""
        if style == "Title":
            title = title or text
            made.heading(text)
        elif style.startswith("Heading") or (is_heading(text) and len(text) < 60):
            made.heading(text)
        elif re.match(r"Table\s+\w+", text) and len(text) < 300:
            caption = text  # of the table that follows
        else:
            made.paragraph(text)
    if caption:
        made.paragraph(caption)
    known = opened.core_properties
    facts: dict[str, Any] = {"authors": [known.author]} if known.author and known.author != "python-docx" else {}
    return made.finish(source, title or known.title or Path(source).stem, digest, facts)


def _text(paragraph: Any) -> str:
    text = ""
    for part in paragraph.iter_inner_content():
        for run in getattr(part, "runs", None) or [part]:
            if run.font.superscript:
                text = text.rstrip() + raised(text.rstrip(), run.text)
            else:
                text += run.text.strip() if run.font.subscript else run.text
    return text


def _row(row: Any) -> list[Cell]:
    cells: list[Cell] = []
    last = None
    for cell in row.cells:
        if last is not None and cell._tc is last:  # a merged cell comes once for each column it covers
            cells[-1] = Cell(cells[-1].text, cells[-1].columns + 1)
            continue
        last = cell._tc
        cells.append(Cell(" ".join(_text(paragraph) for paragraph in cell.paragraphs)))
    return cells
