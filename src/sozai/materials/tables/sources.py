"""From a file's bytes to a grid: what the content is decides, not the file's name."""

from __future__ import annotations

import codecs
import gzip
import io
import math
import re
import zipfile
import zlib
from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from sozai.errors import UserError
from sozai.materials.tables.grid import Grid, file_name, grid_of_rows, grid_of_text, named
from sozai.materials.tables.table import Note

MOST_BYTES = 2 << 30
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHERS = (
    (b"\xd0\xcf\x11\xe0", "an old Excel file (.xls)", "save it as .xlsx or CSV"),
    (b"%PDF", "a PDF", "export the table as CSV or .xlsx"),
    (b"BZh", "a bzip2 archive", "unpack it first"),
    (b"\xfd7zXZ", "an xz archive", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it first"),
    (b"ARROW1", "a feather file", "save it as parquet or CSV"),
    (b"SQLite format 3", "a database", "export the table as CSV"),
    (b"\x89PNG", "an image", "give the numbers as CSV or .xlsx"),
    (b"\x89HDF", "an HDF5 file", "export the table as CSV or parquet"),
)


def read_grid(path: Path, sheet: str | None = None) -> Grid:
    """Read CSV, TSV, other delimited text, .xlsx or parquet, also gzipped.

    Args:
        path: the file.
        sheet: of an Excel file; by default the first that is not empty.

    Raises:
        UserError: no such file, none of these, broken, or without a table in it.
    """
    where = path.name
    content = _content(path, where)
    if not content.strip():
        raise UserError("the file is empty", where, "give a heading and rows under it")
    for mark, what, mend in _OTHERS:
        if content.startswith(mark):
            raise UserError(f"this is {what}, not a table that can be read", where, mend)
    if content.startswith(b"PK\x03\x04"):
        return _excel(content, sheet, where)
    if sheet is not None:
        raise UserError("only Excel files have sheets", where, "leave the sheet out")
    if content.startswith(b"PAR1"):
        return _parquet(content, where)
    if file_name(path).lower().endswith((".parquet", ".xlsx", ".xlsm")):
        raise UserError("the content is not what the file's name says", where, "export the file again")
    text, encoding = decode(content, where)
    del content
    start = text[:2000].lstrip().lower()
    if start.startswith(("<!doctype", "<html", "<?xml", "<table", "<head", "<body")) or "<html" in start:
        raise UserError("this is a web page (or XML), not a table", where, "open it and save the table as CSV")
    if start.startswith(("{", "[{", "[[")):
        raise UserError("this looks like JSON, not like a table", where, "save the table as CSV or parquet")
    tabbed = file_name(path).lower().endswith((".tsv", ".tab")) and "\t" in text
    grid = grid_of_text(text, where, "\t" if tabbed else "")
    if encoding not in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        grid.notes.insert(0, Note(f"the file is not UTF-8; it is read as {encoding}: look at letters beyond a to z"))
    return grid


def _content(path: Path, where: str) -> bytes:
    if path.is_dir():
        raise UserError("this is a folder", str(path), "name a file in it")
    if not path.exists():
        raise UserError("there is no such file", str(path))
    if not path.is_file():
        raise UserError("this is no ordinary file", str(path), "save the table in a file first")
    too_large = UserError("the file holds more than 2 GiB", where, "split it, or take a sample of its rows")
    if path.stat().st_size > MOST_BYTES:
        raise too_large
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            with gzip.open(io.BytesIO(content)) as stream:
                content = stream.read(MOST_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError("the gzip file is cut off or damaged", where, "copy or download it again") from error
    except OSError as error:
        raise UserError(f"cannot be read ({(error.strerror or str(error)).lower()})", str(path)) from error
    if len(content) > MOST_BYTES:
        raise too_large
    return content


def decode(content: bytes, where: str = "") -> tuple[str, str]:
    """Text and its encoding: by the mark at its start, else UTF-8, else by its letters.

    Raises:
        UserError: it is no text.
    """
    marked = [encoding for mark, encoding in _MARKS if content.startswith(mark)]
    encoding = marked[0] if marked else _unmarked(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(f"the text is damaged: it is no valid {encoding}", where, "save it as UTF-8") from error
    strange = sum(map(text.count, _CONTROLS))
    if "\0" in text or strange > 0.001 * len(text) + 2:
        raise UserError("this is no text but a binary file", where, "give a CSV, TSV, .xlsx or parquet file")
    return text, encoding


_CONTROLS = [chr(code) for code in range(1, 32) if chr(code) not in "\t\n\r\f\v\x1a\x1c\x1d\x1e\x1f"]


def _unmarked(content: bytes) -> str:
    start = content[:4000]
    if b"\0" in start:
        odd, even = start[1::2].count(0), start[::2].count(0)
        if odd > 0.4 * len(start) / 2 and even == 0:
            return "utf-16-le"
        if even > 0.4 * len(start) / 2 and odd == 0:
            return "utf-16-be"
    try:
        content.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError:
        pass
    asian = _asian(content)
    if asian:
        return asian
    high = len(re.findall(rb"[\x80-\xff]", content[:200_000]))
    if sum(map(len, re.findall(rb"[\xc0-\xff]{4,}", content[:200_000]))) > 0.6 * high:
        return "cp1251"  # whole words of letters beyond ASCII: Cyrillic
    try:
        content.decode("cp1252")
        return "cp1252"
    except UnicodeDecodeError:
        return "latin-1"


def _asian(content: bytes) -> str:
    """A Chinese, Japanese or Korean encoding in which nearly all letters beyond ASCII are common ones; or empty."""
    sample = content[:200_000]
    high = [letters for letters in re.findall(rb"[\x80-\xff][\x40-\xff]?", sample) if len(letters) == 2]
    if len(high) < 2:
        return ""
    best, best_share = "", 0.9
    for encoding, common in _SCRIPTS:
        text = sample.decode(encoding, "ignore")
        letters = [letter for letter in text if not letter.isascii()]
        undone = len(sample) - len(text.encode(encoding, "ignore"))
        share = sum(map(common, letters)) / (len(letters) + undone + 1e-9)
        if share > best_share:
            best, best_share = encoding, share
    try:
        return best if best and content.decode(best) else ""
    except UnicodeDecodeError:
        return ""


def _kana(letter: str) -> bool:
    return "\u3040" <= letter <= "\u30ff" or letter in "、。「」（）％℃・ー"


def _level(encoding: str, first: int, last: int, marks: str = "") -> Any:
    """Whether a letter is of the common ones, which these encodings keep between two lead bytes."""

    def common(letter: str) -> bool:
        return letter in marks or first <= letter.encode(encoding, "replace")[0] <= last

    return common


_KANJI = _level("cp932", 0x88, 0x98, "±×μ°")
_MARKS_OF_TEXT = "，。、；：（）℃％°±×μ·～"
_SCRIPTS: tuple[tuple[str, Any], ...] = (
    ("euc_kr", _level("euc_kr", 0xB0, 0xC8, _MARKS_OF_TEXT)),
    ("gb2312", _level("gb2312", 0xB0, 0xD7, _MARKS_OF_TEXT)),
    ("big5", _level("big5", 0xA4, 0xC6, _MARKS_OF_TEXT)),
    ("cp932", lambda letter: _kana(letter) or _KANJI(letter)),
    ("euc_jp", lambda letter: _kana(letter) or 0xB0 <= letter.encode("euc_jp", "replace")[0] <= 0xCF),
)


def _parquet(content: bytes, where: str) -> Grid:
    import pandas as pd

    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except Exception as error:  # pyarrow raises many kinds for a damaged file
        raise UserError("the parquet file is cut off or damaged", where, "export it again") from error
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index(allow_duplicates=True)
    return grid_of_frame(frame, where)


def grid_of_frame(frame: Any, where: str) -> Grid:
    """A DataFrame as a grid; dates and truth values become text.

    Raises:
        UserError: it has no rows or no columns.
    """
    import pandas as pd

    if frame.shape[1] == 0 or len(frame) == 0:
        raise UserError("the table has no rows", where, "give at least one row")
    columns: list[Any] = []
    for place in range(frame.shape[1]):
        values = frame.iloc[:, place]
        dtype = values.dtype
        if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype) and dtype.kind != "c":
            columns.append(values.to_numpy("float64", na_value=math.nan))
        else:
            columns.append([_plain(cell) for cell in values.astype(object).where(values.notna(), None)])
    headings = [" ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in frame.columns]
    return named(headings, columns, list(range(2, len(frame) + 2)), [])


def _excel(content: bytes, sheet: str | None, where: str) -> Grid:
    import warnings

    import openpyxl

    broken = UserError("the Excel file is cut off or damaged", where, "open it in Excel and save it again")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            if "xl/workbook.xml" not in names:
                kind = "an OpenDocument sheet" if "mimetype" in names else "a zip archive"
                mend = "save it as .xlsx or CSV" if "mimetype" in names else "unpack it, and name the table in it"
                raise UserError(f"this is {kind}, not a table that can be read", where, mend)
            if sum(item.file_size for item in archive.infolist()) > MOST_BYTES:
                raise UserError("the Excel file unpacks to more than 2 GiB", where, "save it as CSV")
            parts = [archive.read(name) for name in names if name.startswith("xl/worksheets/sheet")]
        merged = any(b"<mergeCell " in part for part in parts)
        formulas = any(b"<f>" in part or b"<f " in part for part in parts)
        del parts
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Read-only is fast and small but does not know of merged cells.
            book = openpyxl.load_workbook(io.BytesIO(content), read_only=not merged, data_only=True)
            name, rows, notes = _sheet(book, sheet, where)
            if formulas:
                _unevaluated(openpyxl.load_workbook(io.BytesIO(content), read_only=True)[name], rows, notes)
    except UserError:
        raise
    except Exception as error:  # openpyxl raises whatever its parsers raise
        raise broken from error
    grid = grid_of_rows(rows, f"{where}, sheet '{name}'")
    grid.notes[:0] = notes
    return grid


def _sheet(book: Any, sheet: str | None, where: str) -> tuple[str, list[list[Any]], list[Note]]:
    sheets = {each.title: each for each in book.worksheets}
    if sheet is not None and sheet not in sheets:
        raise UserError(f"there is no sheet '{sheet}'", where, f"it has {', '.join(sheets)}")
    notes: list[Note] = []
    rows: list[list[Any]] = []
    for name in [sheet] if sheet is not None else sheets:
        rows = [[_plain(cell) for cell in row] for row in sheets[name].iter_rows(values_only=True)]
        if any(cell is not None for row in rows for cell in row):
            _spread(getattr(sheets[name], "merged_cells", None), rows, notes)
            break
    else:
        raise UserError(f"the sheet{'s are' if len(sheets) > 1 else ' is'} empty", where, "choose another sheet")
    if sheet is None and len(sheets) > 1:
        notes.insert(
            0, Note(f"sheet '{name}' is read; there are also {', '.join(each for each in sheets if each != name)}")
        )
    return name, rows, notes


def _spread(merged: Any, rows: list[list[Any]], notes: list[Note]) -> None:
    """Give all cells of a merged block its value; names in two rows become one heading."""
    wide = False
    for block in sorted(merged.ranges, key=lambda each: (each.min_row, each.min_col)) if merged is not None else ():
        value = rows[block.min_row - 1][block.min_col - 1]
        whole_row = block.max_col - block.min_col + 1 >= max(len(row) for row in rows)
        if value is None or (whole_row and block.min_row == block.max_row):
            continue  # a title over the whole table stays one cell
        wide = wide or (block.min_row == 1 and block.max_col > block.min_col)
        for row in range(block.min_row - 1, block.max_row):
            for place in range(block.min_col - 1, block.max_col):
                rows[row][place] = value
        notes.append(Note(f"the merged cells {block.coord} all get the value '{str(value)[:60]}'", row=block.min_row))
    names = wide and len(rows) > 2 and all(cell is None or isinstance(cell, str) for cell in rows[0] + rows[1])
    if names:
        rows[1] = [
            lower if upper in (None, lower) else upper if lower is None else f"{upper} {lower}"
            for upper, lower in zip(rows[0], rows[1], strict=True)
        ]
        rows[0] = []
        notes.append(Note("the heading has two rows, which are joined"))


def _unevaluated(sheet: Any, rows: list[list[Any]], notes: list[Note]) -> None:
    lost = 0
    for row, cells in zip(rows, sheet.iter_rows(values_only=True), strict=False):
        lost += sum(
            isinstance(cell, str) and cell.startswith("=") and value is None
            for cell, value in zip(cells, row, strict=False)
        )
    if lost:
        notes.append(
            Note(f"{lost} formulas have no stored result and are missing: open the file in Excel and save it again")
        )


def _plain(cell: Any) -> Any:
    """A cell of Excel or parquet as text, a number or ``None``."""
    if cell is None or isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ", "seconds")
    if isinstance(cell, (date, time)):
        return cell.isoformat()
    if isinstance(cell, (int, float, Decimal)):
        return float(cell) if not isinstance(cell, int) or abs(cell) > 1 << 62 else cell
    if hasattr(cell, "item") and getattr(cell, "ndim", 1) == 0:
        return _plain(cell.item())
    if isinstance(cell, Iterable) and not isinstance(cell, (bytes, dict)):
        return " ".join(map(str, cell))
    return str(cell)
