"""Files as grids: headings and rows of cells as they stand in the file, nothing judged yet.

A cell is text, a number (Excel, parquet) or ``None`` for a blank.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, pairwise, zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from sozai.errors import UserError
from sozai.materials.tables.table import Note

MOST_COLUMNS = 10_000
_DELIMITERS = (",", ";", "\t", "|")
_SNIFFED_ROWS = 200
_NUMBER = re.compile(r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?")
_UNNAMED = re.compile(r"(?:Unnamed: \d+)?")


@dataclass
class Grid:
    """A sheet of cells.

    Args:
        headings: one a column, unique.
        columns: cells by column, all equally long; an array of float64 where all are numbers.
        rows: of each row, its number as a spreadsheet counts it.
        delimiter: between the cells of a text file; empty for other files.
        notes: what was met while reading.
    """

    headings: list[str]
    columns: list[Any]
    rows: list[int]
    delimiter: str = ""
    notes: list[Note] = field(default_factory=list)


def grid_of_text(text: str, where: str, delimiter: str = "") -> Grid:
    """Delimited text (comma, semicolon, tab, bar or spaces) as a grid.

    Args:
        text: the whole file.
        where: its name, for messages.
        delimiter: between cells; by default found out.

    Raises:
        UserError: no rows, a quotation mark that is never closed, rows longer than the heading.
    """
    if "\r" in text and "\n" not in text:
        text = _line_ends(text)
    named = re.match(r"sep=([,;\t|])\r?\n", text)  # a line that Excel writes for itself
    if named:
        delimiter = named[1]
    delimiter = delimiter or sniff(text)
    rows = _rows(text, delimiter, where)
    if named:
        rows[0] = []
    return grid_of_rows(rows, where, delimiter)


def sniff(text: str) -> str:
    """The character between cells: the one that cuts the first rows into most, equally many cells."""
    best, best_score = ",", (0.0, 0)
    for delimiter in _DELIMITERS:
        if delimiter not in text:
            continue
        try:
            rows = [row for row in islice(_reader(text, delimiter, strict=False), _SNIFFED_ROWS) if any(row)]
        except csv.Error:
            continue
        [(width, count)] = Counter(map(len, rows)).most_common(1) or [(0, 0)]
        if width < 2:
            continue
        # A decimal comma cuts the rows, but not the heading: it decides with half of the weight.
        alike = count / len(rows)
        headed = len(rows[0]) == width or any(len(row) == width for row in rows[:3] if not _numbers_in(row))
        score = (round(alike * (1.0 if headed else 0.5), 1), width)
        if score > best_score:
            best, best_score = delimiter, score
    return best if best_score[1] else (" " if _cut_by_spaces(text) else ",")


def _numbers_in(row: list[str]) -> bool:
    return any(_NUMBER.fullmatch(cell.strip()) for cell in row)


def _cut_by_spaces(text: str) -> bool:
    """Whether the rows are numbers in columns set with spaces."""
    lines = [line.split() for line in islice(_lines(text), _SNIFFED_ROWS) if line.strip()]
    if len(lines) < 3 or len(lines[0]) < 2 or any(len(line) != len(lines[0]) for line in lines):
        return False
    cells = [cell for line in lines[1:] for cell in line]
    return sum(bool(_NUMBER.fullmatch(cell)) for cell in cells) > len(cells) / 2


def _reader(text: str, delimiter: str, strict: bool) -> Any:
    return csv.reader(_lines(text), delimiter=delimiter, strict=strict)


def _line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _lines(text: str) -> Iterator[str]:
    """Lines with their ends; io.StringIO would hold four bytes a letter."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _rows(text: str, delimiter: str, where: str) -> list[list[str]]:
    if delimiter == " ":
        return [line.split() for line in text.splitlines()]
    reader = _reader(text, delimiter, strict=True)
    rows: list[list[str]] = []
    widest = 0
    try:
        for row in reader:
            rows.append(row)
            if len(row) > widest:
                widest = len(row)
                if widest > MOST_COLUMNS:
                    _too_wide(widest, where)
    except csv.Error as error:
        if re.search("\r(?!\n)", text):
            return _rows(_line_ends(text), delimiter, where)
        if "field larger" in str(error) or "unexpected end" in str(error):
            raise UserError(
                "a quotation mark is opened in this row or the next and never closed",
                f"{where}, row {len(rows) + 1}",
                "close it, or write it twice where it stands for itself",
            ) from error
        raise UserError(
            "text follows a closing quotation mark in this row or the next",
            f"{where}, row {len(rows) + 1}",
            "put the whole cell between quotation marks, and write those inside twice",
        ) from error
    return rows


def _too_wide(width: int, where: str) -> None:
    raise UserError(
        f"it has {width:,} columns or more, and at most {MOST_COLUMNS:,} are taken",
        where,
        "turn it, if its rows and columns are exchanged, or choose columns",
    )


def grid_of_rows(rows: list[list[Any]], where: str, delimiter: str = "") -> Grid:
    """Rows of cells, the heading among them, as a grid.

    Lines before the heading (comments, a title) are left out with a note; blank rows and blank columns without a
    heading go; rows shorter than the heading end in blanks.

    Raises:
        UserError: no heading, no rows under it, or a row with cells beyond the heading.
    """
    notes: list[Note] = []
    filled = [_extent(row) for row in rows]
    head = _heading_row(rows, filled, notes)
    if head is None:
        raise UserError("the file holds no table: it is empty", where, "give a heading and rows under it")
    width = filled[head]
    places = [place for place in range(head + 1, len(rows)) if filled[place]]
    width = _check_widths(places, rows, filled, width, where, notes)
    headings = [_tidy(cell) for cell in rows[head][:width]] + [""] * (width - len(rows[head]))
    numeric = [heading for heading in headings if heading]
    if len(numeric) > 0 and all(_NUMBER.fullmatch(heading) for heading in numeric):
        notes.append(Note("the first row holds numbers only: it is taken as data, and the columns are numbered"))
        headings = [f"column {place + 1}" for place in range(width)]
        places = [head, *places]
    else:
        again = [place for place in places if _same(rows[place], rows[head])]
        for place in again:
            notes.append(Note("this row repeats the heading and is left out", row=place + 1))
        places = [place for place in places if place not in set(again)] if again else places
    if not places:
        raise UserError("the table has a heading but no rows", where, "give at least one row")
    if width > MOST_COLUMNS:
        _too_wide(width, where)
    columns = list(map(list, islice(zip_longest(*(rows[place][:width] for place in places)), width)))
    columns += [[None] * len(places) for _ in range(width - len(columns))]
    return named(headings, columns, [place + 1 for place in places], notes, delimiter)


def named(headings: list[str], columns: list[Any], rows: list[int], notes: list[Note], delimiter: str = "") -> Grid:
    """A grid whose headings are unique and not blank.

    Blank columns without a heading go, and so does one that only numbers the rows. A heading that comes again with
    the same cells is kept once; with others, the later ones are numbered. All but the first is noted.
    """
    taken: dict[str, Any] = {}
    for place, (heading, cells) in enumerate(zip(headings, columns, strict=True)):
        if _UNNAMED.fullmatch(heading):
            if isinstance(cells, list) and all(_blank(cell) for cell in cells):
                continue
            if place == 0 and len(columns) > 1 and _counts_rows(cells):
                notes.append(Note("the first column has no heading and numbers the rows: it is left out"))
                continue
            heading = "row id" if place == 0 and _rises(cells) else f"column {place + 1}"
            notes.append(Note(f"column {place + 1} has no heading and is called '{heading}'", heading))
        unique, number = heading, 2
        while unique in taken and not _alike(taken[unique], cells):
            unique, number = f"{heading} ({number})", number + 1
        if unique in taken:
            notes.append(Note(f"column {place + 1} repeats '{unique}' cell by cell and is left out", unique))
            continue
        if unique != heading:
            notes.append(Note(f"the heading '{heading}' comes again in column {place + 1}: '{unique}'", unique))
        taken[unique] = cells
    return Grid(list(taken), list(taken.values()), rows, delimiter, notes)


def _heading_row(rows: list[list[Any]], filled: list[int], notes: list[Note]) -> int | None:
    """The first row that is neither blank, a comment, nor a title over a wider table."""
    candidates = [place for place, width in enumerate(filled) if width]
    if not candidates:
        return None
    usual = Counter(filled[place] for place in candidates[: 2 * _SNIFFED_ROWS]).most_common(1)[0][0]
    for place in candidates:
        first = str(rows[place][0] if rows[place] else "").strip()
        cells = sum(not _blank(cell) for cell in rows[place])
        comment = first.startswith(("# ", "//", "%%")) or (first.startswith("#") and cells == 1)
        title = usual > 1 and cells == filled[place] == 1
        if place == candidates[-1] or not (comment or title):
            return place
        notes.append(Note(f"this row before the heading is left out: '{first[:80]}'", row=place + 1))
    return None


def _check_widths(
    places: list[int], rows: list[list[Any]], filled: list[int], width: int, where: str, notes: list[Note]
) -> int:
    long = [place for place in places if filled[place] > width]
    if long and len(long) > 0.9 * len(places) and len({filled[place] for place in long}) == 1:
        notes.append(Note("the rows are wider than the heading: the last columns have none"))
        return filled[long[0]]
    if long:
        raise UserError(
            f"it has {filled[long[0]]} cells and the heading {width}"
            + (f" ({len(long)} rows are like this)" if len(long) > 1 else ""),
            f"{where}, row {long[0] + 1}",
            "put texts and numbers that hold the delimiter between quotation marks",
        )
    short = [place for place in places if len(rows[place]) < width - 1]
    if short and any(len(rows[place]) >= width for place in places):
        notes.append(Note(f"rows that end early, their rest blank: {len(short)}, the first is row {short[0] + 1}"))
    return width


def _extent(row: list[Any]) -> int:
    """Cells up to the last that is not blank."""
    width = len(row)
    while width and _blank(row[width - 1]):
        width -= 1
    return width


def _blank(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _alike(one: Any, two: Any) -> bool:
    if isinstance(one, list) or isinstance(two, list):
        return type(one) is type(two) and one == two
    return bool(np.array_equal(one, two, equal_nan=True))


def _same(row: list[Any], head: list[Any]) -> bool:
    return row[:1] == head[:1] and row == head and bool(row)


def _tidy(heading: Any) -> str:
    return "" if heading is None else " ".join(str(heading).replace("\0", "").split())


def _counts_rows(cells: list[Any]) -> bool:
    try:
        numbers = [float(cell) for cell in cells]
    except (TypeError, ValueError):
        return False
    return numbers[0] in (0, 1) and all(number == place + numbers[0] for place, number in enumerate(numbers))


def _rises(cells: Any) -> bool:
    """Whether the cells are whole numbers that rise from row to row: numbers of rows of which some were taken out."""
    try:
        numbers = [float(cell) for cell in cells]
    except (TypeError, ValueError):
        return False
    return all(one % 1 == 0 and one < two for one, two in pairwise(numbers)) and len(numbers) > 2


def file_name(path: Path) -> str:
    """The name without ``.gz``."""
    return path.name[:-3] if path.name.lower().endswith(".gz") else path.name
