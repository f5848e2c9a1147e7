"""PDF, by pypdf: pages, columns in the order they were written, raised figures, tables, no page headers and footers."""

from __future__ import annotations

import io
import logging
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

from sozai.assistant.documents.assemble import tidy
from sozai.assistant.documents.document import Document
from sozai.assistant.documents.outline import is_heading
from sozai.assistant.documents.pdf_layout import Line, compose
from sozai.assistant.documents.raised import raised
from sozai.errors import UserError

_SMALL = 0.86
"""Letters smaller than this share of their line's stand raised or lowered."""


def read_pdf(data: bytes, source: str, digest: str) -> Document:
    """The document in a PDF file.

    Raises:
        UserError: it is broken, locked by a password, or holds pictures of its pages only.
    """
    import pypdf
    from pypdf.errors import DependencyError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it tells of each flaw it mends
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise UserError("the file is locked by a password", source, "save a copy without one")
        pages = list(reader.pages)
        facts, title = _facts(reader)
    except UserError:
        raise
    except DependencyError as error:
        raise UserError("the file is encrypted", source, "save a copy without a password") from error
    except Exception as error:  # a broken file can raise almost anything in pypdf
        raise UserError(f"the PDF is broken ({tidy(str(error))[:80]})", source, "download it again") from error
    lines: list[Line] = []
    notes: list[str] = []
    blank = []
    for number, page in enumerate(pages):
        try:
            found = _lines(page, number)
        except Exception as error:
            notes.append(f"Page {number + 1} could not be read ({tidy(str(error))[:80]}).")
            continue
        lines += found
        if not any(line.text.strip() for line in found):
            blank.append(str(number + 1))
    if not lines or not any(letter.isalnum() for line in lines for letter in line.text):
        raise UserError(
            "no text was found in this PDF: its pages are pictures", source, "run text recognition (OCR) on it first"
        )
    if blank:
        notes.append(f"No text on page {', '.join(blank)}: empty, or a picture.")
    kept = _without_margins(lines, len(pages))
    if left_out := sorted({line.text for line in lines} - {line.text for line in kept}):
        notes.append(f"Page headers and footers were left out: {'; '.join(left_out[:6])[:300]}")
    return compose(kept, len(pages)).finish(source, title or _title(kept) or Path(source).stem, digest, facts, notes)


def _lines(page: Any, number: int) -> list[Line]:
    """The lines of a page in the order in which they were written."""
    pieces: list[tuple[str, float, float, float]] = []

    def visit(text: str, cm: list[float], tm: list[float], font: Any, size: float) -> None:
        if text:
            x = tm[4] * cm[0] + tm[5] * cm[2] + cm[4]
            y = tm[4] * cm[1] + tm[5] * cm[3] + cm[5]
            scale = math.hypot(tm[2], tm[3]) * math.hypot(cm[2], cm[3])
            pieces.append((text, x, y, abs(size * scale)))

    page.extract_text(visitor_text=visit)
    lines: list[Line] = []
    current: list[tuple[str, float, float, float]] = []
    for text, x, y, size in pieces:
        *ended, rest = text.split("\n")
        for part in ended:
            current.append((part, x, y, size))
            lines += _line(current, number)
            current = []
        if rest:
            current.append((rest, x, y, size))
    return lines + _line(current, number)


def _line(pieces: list[tuple[str, float, float, float]], page: int) -> list[Line]:
    pieces = [piece for piece in pieces if piece[0]]
    if not any(piece[0].strip() for piece in pieces):
        return []
    lengths: Counter[float] = Counter()
    for text, _, _, size in pieces:
        lengths[round(size, 1)] += len(text.strip())
    body = lengths.most_common(1)[0][0]
    largest = max(size for size, count in lengths.items() if count)
    body = largest if lengths[body] < 2 * lengths[largest] else body
    base = next((y for _, _, y, size in pieces if size >= _SMALL * body), pieces[0][2])
    text = ""
    for piece, _, y, size in pieces:
        small = 0 < size < _SMALL * body and text.strip()
        figure = piece.strip()
        powered = re.fullmatch(r"[-−–]\s?\d+(?:\.\d+)?", figure) or (
            re.fullmatch(r"\d{1,2}", figure) and re.search(r"[×x·*]\s?10$", text)
        )
        if small and (y > base + 0.15 * body or (powered and abs(y - base) < 0.15 * body)):
            text = text.rstrip() + raised(text.rstrip(), figure) + (" " if piece != piece.rstrip() else "")
        else:
            text += piece
    first = next(piece for piece in pieces if piece[0].strip())
    return [Line(tidy(text), page, first[1], base, body)]


def _without_margins(lines: list[Line], pages: int) -> list[Line]:
    """Without what stands at the head or foot of several pages, and without page numbers there."""
    edges: dict[int, set[int]] = {}
    for page in {line.page for line in lines}:
        places = sorted({round(line.y) for line in lines if line.page == page})
        edges[page] = set(places[:2] + places[-2:])
    at_edge = [line for line in lines if round(line.y) in edges[line.page]]
    often = Counter(key for key, _ in {(_shape(line.text), line.page) for line in at_edge})
    number = re.compile(r"(?:page\s*)?\d{1,5}(?:\s*(?:of|/)\s*\d+)?", re.I)
    return [
        line
        for line in lines
        if round(line.y) not in edges[line.page]
        or not (
            (often[_shape(line.text)] >= max(2, pages // 3) and len(line.text) < 150)
            or (pages > 1 and number.fullmatch(line.text))
        )
    ]


def _shape(text: str) -> str:
    return re.sub(r"\d+", "0", text.lower())


def _facts(reader: Any) -> tuple[dict[str, Any], str]:
    told = reader.metadata or {}
    title = tidy(str(told.get("/Title") or ""))
    if len(title) < 8 or re.search(r"untitled|anonymous|^microsoft|\.(?:docx?|tex|pdf|indd|dvi)\b", title, re.I):
        title = ""
    author = tidy(str(told.get("/Author") or ""))
    facts: dict[str, Any] = {"authors": [author]} if author and author.strip("()").lower() != "anonymous" else {}
    if year := re.search(r"D:((?:19|20)\d\d)", str(told.get("/CreationDate") or "")):
        facts["file_year"] = year.group(1)
    return facts, title


def _title(lines: list[Line]) -> str:
    first = [line for line in lines if line.page == lines[0].page][:40]
    largest = max(line.size for line in first)
    words = " ".join(line.text for line in first if line.size > 0.97 * largest and not is_heading(line.text))
    return words if 8 <= len(words) <= 300 and largest > 1.1 * min(line.size for line in first) else ""
