"""From the lines of a PDF to headings, paragraphs and tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sozai.assistant.documents.assemble import Assembler, Cell
from sozai.assistant.documents.outline import is_heading

_CAPTION = re.compile(r"(?:Table|TABLE|Tab\.)\s+(?:S?\d+|[IVX]+)\b")
_FIGURE = re.compile(r"(?:Fig\.|Figure|FIG\.)\s+S?\d+[.:|]")
_COMPOUND = re.compile(
    r"(?:^|\W)(?:non|self|solid|high|low|well|co|all|grain|long|short|in|ex|re|pre|post|ion|single)-$", re.I
)
_FIGURES = re.compile(r"[-−+±~<>≈]?\d[\d.,()±×x^−-]*%?|[-–—]|n\.?[ad]\.?")


@dataclass(frozen=True)
class Line:
    """A line of a page.

    Attributes:
        text: tidy.
        page: from 0.
        x, y: where it begins, in points from the lower left corner.
        size: of its letters, in points.
    """

    text: str
    page: int
    x: float
    y: float
    size: float


def compose(lines: Sequence[Line], pages: int) -> Assembler:
    """Headings, paragraphs and tables out of lines in reading order."""
    made, body = Assembler(), _body_size(lines)
    usual = sorted(len(line.text) for line in lines)[int(0.8 * (len(lines) - 1))]
    paragraph: list[Line] = []
    page = -1

    def end() -> None:
        nonlocal page, paragraph
        if paragraph:
            text, starts = _joined(paragraph, page)
            page = paragraph[-1].page
            if starts:
                made.paragraph(text, starts)
            else:
                made.paragraph(text)
            paragraph = []

    def turn(number: int) -> None:
        nonlocal page
        while page < number:  # pages without text begin where the next one does
            page += 1
            made.page()

    place = 0
    while place < len(lines):
        line = lines[place]
        if _CAPTION.match(line.text) and (table := _table(lines, place)):
            end()
            turn(line.page)
            caption, rows, place = table
            made.table(caption, rows)
            continue
        if _is_heading(line, body, paragraph):
            end()
            turn(line.page)
            words = line.text
            while place + 1 < len(lines) and line.size > 1.1 * body and abs(lines[place + 1].size - line.size) < 0.2:
                if lines[place + 1].page != line.page or is_heading(lines[place + 1].text):
                    break
                place += 1
                words += " " + lines[place].text
            made.heading(words)
        else:
            if paragraph and _begins(paragraph, line, usual):
                end()
            if not paragraph:
                turn(line.page)
            paragraph.append(line)
        place += 1
    end()
    turn(pages - 1)
    return made


def _body_size(lines: Sequence[Line]) -> float:
    letters: Counter[float] = Counter()
    for line in lines:
        letters[line.size] += len(line.text)
    return letters.most_common(1)[0][0]


def _is_heading(line: Line, body: float, paragraph: Sequence[Line]) -> bool:
    ended = not paragraph or paragraph[-1].text[-1:] in ".!?:)]" or line.size > 1.1 * body
    large = line.size > 1.12 * body and len(line.text) < 200 and not re.search(r"[.;,]$", line.text)
    return ended and (large or is_heading(line.text)) and bool(re.search(r"[A-Za-z]{3}", line.text))


def _begins(paragraph: Sequence[Line], line: Line, usual: int) -> bool:
    """Whether a line begins a new paragraph."""
    last = paragraph[-1]
    if _FIGURE.match(line.text) and last.text[-1:] in ".!?":
        return True
    if abs(line.size - last.size) > 0.15 * last.size:
        return True
    if last.text[-1:] not in ".!?:" or not re.match(r"[A-Z(\d\[•]", line.text):
        return False
    below = last.page == line.page and last.y > line.y
    gap = below and last.y - line.y > 1.7 * max(last.size, 1)
    indented = below and line.x > last.x + 6
    return len(last.text) < 0.75 * usual or gap or indented


def _joined(paragraph: Sequence[Line], page: int) -> tuple[str, list[int]]:
    """The text of a paragraph and the places in it where pages after ``page`` begin."""
    text, starts, number = paragraph[0].text, [], max(page, paragraph[0].page)
    for line in paragraph[1:]:
        if re.search(r"[a-z]{2}[-‐]$", text) and re.match(r"[a-z]{2}", line.text):
            text = text[:-1] if not _COMPOUND.search(text.replace("‐", "-")) else text
        elif not re.search(r"\d[-‐−–]$|[-–−]$", text) or not re.match(r"\d|[A-Za-z]", line.text):
            text += " "
        while number < line.page:
            number += 1
            starts.append(len(text))
        text += line.text
    return text, starts


def _table(lines: Sequence[Line], place: int) -> tuple[str, list[list[Cell]], int] | None:
    """A table whose caption begins at ``place``: its caption, rows, and the place after it."""
    caption, place = lines[place].text, place + 1
    while place < len(lines) and not _row_at(lines, place)[0][1:] and len(caption) < 400:
        if _CAPTION.match(lines[place].text) or not _goes_on(lines, place, caption):
            break
        caption += " " + lines[place].text
        place += 1
    rows: list[list[Line]] = []
    while place < len(lines):
        row, after = _row_at(lines, place)
        if len(row) < 2 or (rows and row[0].page != rows[0][0].page):
            break
        rows.append(row)
        place = after
    if len(rows) >= 2:
        return caption, _columns(rows), place
    return _spaced(lines, place, caption)


def _row_at(lines: Sequence[Line], place: int) -> tuple[list[Line], int]:
    """The lines from ``place`` on that stand beside each other at one height."""
    row, after = [lines[place]], place + 1
    while (
        after < len(lines)
        and lines[after].page == row[0].page
        and abs(lines[after].y - row[0].y) < 0.3 * max(row[0].size, 1)
        and lines[after].x > row[-1].x
    ):
        row.append(lines[after])
        after += 1
    return row, after


def _goes_on(lines: Sequence[Line], place: int, caption: str) -> bool:
    return caption[-1] not in ".:" and abs(lines[place].size - lines[place - 1].size) < 0.5


def _columns(rows: Sequence[Sequence[Line]]) -> list[list[Cell]]:
    """Cells set under the columns of the widest row, so that an empty cell moves none of its neighbours."""
    widest = max(rows, key=len)
    starts = [line.x for line in widest]
    table = []
    for row in rows:
        cells = [""] * len(starts)
        for line in row:
            nearest = min(range(len(starts)), key=lambda place, x=line.x: abs(starts[place] - x))  # type: ignore[misc]
            cells[nearest] = f"{cells[nearest]} {line.text}".strip()
        table.append([Cell(cell) for cell in cells])
    return table


def _spaced(lines: Sequence[Line], place: int, caption: str) -> tuple[str, list[list[Cell]], int] | None:
    """A table whose rows are lines of figures parted by blanks, all with as many pieces."""
    rows: list[list[str]] = []
    begin = place
    while place < len(lines):
        words = lines[place].text.split(" ")
        figures = sum(bool(_FIGURES.fullmatch(word)) for word in words)
        is_row = len(words) >= 2 and figures >= max(1, len(words) - 1)
        if is_row and (not rows or len(words) == len(rows[0])):
            rows.append(words)
        elif rows or place > begin + 2:
            break
        place += 1
    if len(rows) < 2:
        return None
    first = place - len(rows)
    heads = [line.text.split(" ") for line in lines[begin:first]]
    if len(heads) != 1 or len(heads[0]) != len(rows[0]):
        return None  # the columns cannot be named: the lines stay prose
    return caption, [[Cell(word) for word in words] for words in [*heads, *rows]], place
