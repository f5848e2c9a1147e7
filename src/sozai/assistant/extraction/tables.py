"""Records of a document's tables: units in headers, materials in rows or columns, conditions in the caption."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sozai.assistant.documents.document import Document, DocumentTable, Span
from sozai.assistant.extraction.formula import resolve, unknowns
from sozai.assistant.extraction.materials import Names
from sozai.assistant.extraction.mentions import Mention
from sozai.assistant.extraction.quantities import Found, find_quantities
from sozai.assistant.extraction.record import Quantity, Record
from sozai.assistant.extraction.schema import Property
from sozai.assistant.extraction.units import CELSIUS, convert, plain_signs, read_unit

_MATERIAL_HEAD = re.compile(
    r"\b(?:sample|material|composition|compound|polymer|electrolyte|specimen|membrane|alloy|formula|name|code|system|phase|film|cathode|anode|ceramic)s?\b",
    re.IGNORECASE,
)
_POWER = re.compile(r"10\s?\^?\s?\{?\s?(-\s?\d{1,2}|\d{1,2})\s?\}?")
_REFERENCE = re.compile(r"\[\d+\]|\bref", re.IGNORECASE)
Grid = tuple[tuple[Span | None, ...], ...]


@dataclass(frozen=True)
class Column:
    """What a column's header says of the values below.

    Attributes:
        property: of the schema.
        unit: pint's expression, or ``None`` for a pure number.
        factor: the header's power of ten.
        temperature: stated in the header.
        doubt: why it may be read otherwise.
    """

    property: Property
    unit: str | None
    factor: float = 1.0
    temperature: Quantity | None = None
    doubt: str = ""


def records_of_tables(
    document: Document, names: Names, schema: Sequence[Property], others: Sequence[Property]
) -> list[Record]:
    """Records of all tables whose headers name a property of the schema; tables that lie on their side are turned."""
    out: list[Record] = []
    for table in document.tables:
        if place := span_of(table):
            out += _records(document, table, place, names, schema, others)
    return out


def span_of(table: DocumentTable) -> Span | None:
    """From the first to the last cell; ``None`` for an empty table."""
    cells = [cell for row in table.cells for cell in row if cell is not None]
    return Span(min(cell.start for cell in cells), max(cell.end for cell in cells)) if cells else None


def _records(
    document: Document,
    table: DocumentTable,
    place: Span,
    names: Names,
    schema: Sequence[Property],
    others: Sequence[Property],
) -> list[Record]:
    grid, heads = table.cells, max(1, table.header_rows)
    columns = _columns(document, grid, heads, schema, others, table.caption)
    if not columns:
        grid, heads = tuple(zip(*grid, strict=False)), 1
        columns = _columns(document, grid, heads, schema, others, table.caption)
    if not columns:
        return []
    wanted = {property_.name for property_ in schema}
    keys = _material_column(document, grid, heads, columns, names)
    variables = _variable_columns(document, grid, heads)
    captioned = _caption_mention(document, table, names, place)
    overall = _caption_temperature(document, table, place)
    out: list[Record] = []
    for row in grid[heads:]:
        mention = _row_mention(row, keys, names, document) or captioned
        values = _variables(document, row, variables)
        for number, column in columns.items():
            cell = row[number] if number < len(row) else None
            if cell is None or column.property.name not in wanted:
                continue
            quantity = read_cell(document, cell, column)
            if quantity is None:
                continue
            doubts = [column.doubt] if column.doubt else []
            material = ""
            if mention is None:
                doubts.append("no material is named near it")
            else:
                material = mention.text
                if unknowns(mention.text) and values:
                    material = resolve(mention.text, values) or mention.text
            heat = column.temperature or _row_temperature(document, row, grid, heads) or overall
            keeps = heat is not None and "temperature" in column.property.conditions
            conditions = {"temperature": heat} if keeps and heat is not None else {}
            span = Span(mention.start, mention.end) if mention is not None else Span(place.start, place.start)
            cited = next((document.quote(c) for c in row if c is not None and _REFERENCE.search(document.quote(c))), "")
            out.append(
                Record(
                    material, span, column.property.name, quantity, place, conditions, "", tuple(doubts), cited=cited
                )
            )
    return out


def read_cell(document: Document, cell: Span, column: Column) -> Quantity | None:
    """The number in a cell, in the property's unit, by what the header says; ``None`` when it holds no single number."""  # noqa: E501
    found = find_quantities(document.text, cell.start, cell.end)
    rest = document.quote(cell)
    if len(found) != 1 or len(re.sub(r"[\d\s.,()±×x·^{}eE+\-−–⁻⁰-⁹<>~≈%a-f*]", "", rest)) > 12:
        return None
    one = found[0]
    unit = one.unit or column.unit
    source = "kelvin" if unit == "(kelvin)" else unit
    target = column.property.unit

    def scaled(value: float | None) -> float | None:
        if value is None:
            return None
        number = float(f"{value * (1.0 if one.unit else column.factor):.10g}")
        return number if source is None or source == target else convert(number, source, target)

    value = scaled(one.value)
    if value is None or (source is None and target != ""):
        return None
    return Quantity(
        Span(one.start, one.end),
        document.text[one.start : one.end],
        value,
        target,
        scaled(one.low),
        scaled(one.high),
        one.relation,
    )


def columns_of(document: Document, cell: Span, schema: Sequence[Property], others: Sequence[Property]) -> list[Column]:
    """What the headers over or beside a cell say, for checking a record of a table."""
    for table in document.tables:
        for grid, heads in ((table.cells, max(1, table.header_rows)), (tuple(zip(*table.cells, strict=False)), 1)):
            for row in grid[heads:]:
                for number, one in enumerate(row):
                    if one is not None and one.start <= cell.start and cell.end <= one.end:
                        columns = _columns(document, grid, heads, schema, others, table.caption)
                        if number in columns:
                            return [columns[number]]
    return []


def _columns(
    document: Document, grid: Grid, heads: int, schema: Sequence[Property], others: Sequence[Property], caption: str
) -> dict[int, Column]:
    out: dict[int, Column] = {}
    for number in range(max((len(row) for row in grid), default=0)):
        head = _head(document, grid, heads, number)
        column = _column(document, head, [*schema, *others]) if head else None
        if column is not None:
            out[number] = column
    return out


def _head(document: Document, grid: Grid, heads: int, number: int) -> list[Span]:
    cells: list[Span] = []
    for row in grid[:heads]:
        here = row[number] if number < len(row) else None
        for left in range(number, -1, -1):  # a merged cell stands at its first column
            if here is not None or (heads == 1):
                break
            here = row[left] if left < len(row) else None
        if here is not None:
            cells.append(here)
    return cells


def _column(document: Document, head: list[Span], properties: Sequence[Property]) -> Column | None:
    text = plain_signs(" ".join(document.quote(cell) for cell in head))
    fitting: list[tuple[int, Property, str | None, float, str]] = []
    for property_ in properties:
        match = property_.cue.search(text)
        if match is None:
            continue
        before = re.search(r"([A-Za-z]+)[\s-]+$", text[: match.start()])
        if before and before.group(1) in property_.without:
            continue
        unit, factor, doubt = _unit(text, match.end(), property_)
        if unit is not None or property_.unit == "":
            fitting.append((match.end() - match.start(), property_, unit, factor, doubt))
    if not fitting:
        return None
    _, property_, unit, factor, doubt = max(fitting, key=lambda one: one[0])
    heat = None
    for cell in head:
        for one in find_quantities(document.text, cell.start, cell.end):
            if one.unit in (CELSIUS, "(kelvin)"):
                heat = _temperature(document, one)
    return Column(property_, unit, factor, heat, doubt)


def _unit(text: str, place: int, property_: Property) -> tuple[str | None, float, str]:
    """The unit and power of ten in a header, such as "(10-4 S cm-1)"."""
    for opening in re.finditer(r"[(\[/,]\s?|\s(?=%|°|in\s)", text[place:]):
        start = place + opening.end()
        power = _POWER.match(text, start) or re.compile(r"[x×·]\s?" + _POWER.pattern).match(text, start)
        factor, doubt = 1.0, ""
        if power:
            exponent = int(power.group(1).replace(" ", ""))
            factor, start = 10.0**exponent, power.end()
            if exponent > 0:
                doubt = "the header's power of ten can be read in two ways"
        unit = read_unit(text, start)
        if unit is None:
            continue
        source = "kelvin" if unit.name == "(kelvin)" else unit.name
        if source == property_.unit or convert(1.0, source, property_.unit) is not None:
            outside = re.search(r"[x×·]\s?10\s?\^?\s?\{?\s?-?\s?\d", text[place : place + opening.start()])
            return unit.name, factor, "the header's power of ten can be read in two ways" if outside else doubt
    return None, 1.0, ""


def _material_column(document: Document, grid: Grid, heads: int, columns: dict[int, Column], names: Names) -> list[int]:
    """Columns that name the row's material: by what stands in them, then by their header."""
    scores: dict[int, float] = {}
    for number in range(max(len(row) for row in grid)):
        if number in columns:
            continue
        cells = [row[number] for row in grid[heads:] if number < len(row) and row[number] is not None]
        named = sum(bool(_whole(cell, names)) for cell in cells if cell is not None)
        head = " ".join(document.quote(cell) for cell in _head(document, grid, heads, number))
        scores[number] = (named / len(cells) if cells else 0.0) + (0.6 if _MATERIAL_HEAD.search(head) else 0.0)
    ranked = sorted(
        (number for number, score in scores.items() if score >= 0.5), key=lambda number: (-scores[number], number)
    )
    return ranked[:1]


def _whole(cell: Span, names: Names) -> Mention | None:
    found = [mention for mention in names.find(cell.start, cell.end) if mention.kind not in ("generic", "device")]
    return found[0] if found else None


def _row_mention(row: Sequence[Span | None], keys: list[int], names: Names, document: Document) -> Mention | None:
    for number in keys:
        cell = row[number] if number < len(row) else None
        if cell is None:
            continue
        found = _whole(cell, names)
        if found is not None and found.end - found.start >= 0.6 * (cell.end - cell.start):
            return found
        text = document.quote(cell)
        return Mention(cell.start, cell.end, text, "label", text)
    return None


def _caption(document: Document, table: DocumentTable, place: Span) -> Span | None:
    """The caption's place: where the reader found it, else the line "Table 1 ..." right above."""
    start = document.text.rfind(table.caption, 0, place.start) if table.caption else -1
    if start >= 0:
        return Span(start, start + len(table.caption))
    above = list(re.finditer(r"\bTable\s\w{1,4}[.:]?\s[^\n|]+", document.text[max(0, place.start - 300) : place.start]))
    offset = max(0, place.start - 300)
    return Span(offset + above[-1].start(), offset + above[-1].end()) if above else None


def _caption_mention(document: Document, table: DocumentTable, names: Names, place: Span) -> Mention | None:
    caption = _caption(document, table, place)
    if caption is None:
        return None
    start, end = caption.start, caption.end
    found = [m for m in names.find(start, end) if m.kind not in ("generic", "device", "gas")]
    return found[0] if len({mention.meaning for mention in found}) == 1 else None


def _caption_temperature(document: Document, table: DocumentTable, place: Span) -> Quantity | None:
    caption = _caption(document, table, place)
    if caption is None:
        return None
    start, end = caption.start, caption.end
    found = [one for one in find_quantities(document.text, start, end) if one.unit in (CELSIUS, "(kelvin)")]
    made = re.search(r"sinter|anneal|calcin|prepared|heat", document.text[start:end], re.IGNORECASE)
    return _temperature(document, found[0]) if len(found) == 1 and not made else None


def _row_temperature(document: Document, row: Sequence[Span | None], grid: Grid, heads: int) -> Quantity | None:
    """A column of measuring temperatures: T (°C), Temperature / K."""
    for number, cell in enumerate(row):
        head = plain_signs(" ".join(document.quote(one) for one in _head(document, grid, heads, number)))
        match = re.match(
            r"(?:T|[Tt]emperature|[Mm]easuring temperature|[Tt]est temperature)\s?[(/\[,]\s?(°\s?C|ºC|K|degC)", head
        )
        if cell is None or match is None:
            continue
        found = find_quantities(document.text, cell.start, cell.end)
        if len(found) == 1 and found[0].unit is None:
            value = found[0].value if "C" in match.group(1) else round(found[0].value - 273.15, 6)
            return Quantity(
                Span(found[0].start, found[0].end), document.text[found[0].start : found[0].end], value, CELSIUS
            )
    return None


def _temperature(document: Document, one: Found) -> Quantity:
    value = one.value if one.unit == CELSIUS else round(one.value - 273.15, 6)
    return Quantity(Span(one.start, one.end), document.text[one.start : one.end], value, CELSIUS, relation=one.relation)


def _variable_columns(document: Document, grid: Grid, heads: int) -> dict[int, str]:
    out = {}
    for number in range(max(len(row) for row in grid)):
        head = " ".join(document.quote(cell) for cell in _head(document, grid, heads, number)).strip()
        if head in ("x", "y", "z"):
            out[number] = head
    return out


def _variables(document: Document, row: Sequence[Span | None], columns: dict[int, str]) -> dict[str, float]:
    out = {}
    for number, name in columns.items():
        cell = row[number] if number < len(row) else None
        found = find_quantities(document.text, cell.start, cell.end) if cell is not None else []
        if len(found) == 1:
            out[name] = found[0].value
    return out
