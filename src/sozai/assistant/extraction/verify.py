"""What must hold of a record before it enters the table, whoever proposed it."""

from __future__ import annotations

import math
import re

from sozai.assistant.documents.document import Document, Span
from sozai.assistant.extraction.quantities import Found, find_quantities
from sozai.assistant.extraction.record import Quantity, Record
from sozai.assistant.extraction.schema import Property
from sozai.assistant.extraction.tables import columns_of, read_cell, span_of
from sozai.assistant.extraction.units import convert


def verified(record: Record, document: Document, schema: tuple[Property, ...] | None = None) -> tuple[bool, str]:
    """Whether everything a record says stands in the document where the record says it stands.

    The number is read again from the text at its span, its unit is converted again, the material's and the
    conditions' spans must hold their texts, and all must be in the sentence or, of the material, before its end.

    Args:
        record: of rules, of a model, of a person.
        document: it is said to come from.
        schema: the properties; by default the built-in ones.

    Returns:
        whether it holds, and if not, why.
    """
    from sozai.assistant.extraction.schema import read_schema

    known = {property_.name: property_ for property_ in schema or read_schema()}
    if record.property not in known:
        return False, f"'{record.property}' is no property of the schema"
    if not (
        0 <= record.sentence.start <= record.quantity.span.start
        and record.quantity.span.end <= record.sentence.end <= len(document.text)
    ):
        return False, "the value stands outside the sentence it cites"
    if record.sentence in tables_of(document):
        column = columns_of(document, record.quantity.span, tuple(known.values()), ())
        again = read_cell(document, record.quantity.span, column[0]) if column else None
        if again is None or column[0].property.name != record.property or not _same(again, record.quantity):
            return False, "the value is not what the table's cell and header say"
    else:
        good, why = _holds(record.quantity, document, known[record.property].unit)
        if not good:
            return False, f"the value {why}"
    if record.material and record.sentence in tables_of(document):
        written = document.quote(record.material_span)
        if not written.strip() or not _names(record.material, written, document):
            return False, "the material is not named where the record says"
    elif record.material:
        written = document.quote(record.material_span)
        if not written.strip() or record.material_span.start >= record.sentence.end:
            return False, "the material is not named where the record says"
        if not _names(record.material, written, document):
            return False, f"'{record.material}' does not stand where the record says; there stands '{written}'"
    for name, condition in record.conditions.items():
        in_table = record.sentence in tables_of(document)
        good, why = _holds(condition, document, condition.unit, in_table)
        if not good:
            return False, f"the {name.replace('_', ' ')} {why}"
    return True, ""


def _holds(quantity: Quantity, document: Document, unit: str, in_table: bool = False) -> tuple[bool, str]:
    written = document.quote(quantity.span)
    if quantity.text != written:
        return False, f"'{quantity.text}' does not stand where the record says; there stands '{written}'"
    if quantity.unit == "text":
        return bool(written.strip()), "is empty"
    from sozai.assistant.extraction.conditions import ROOM

    if not any(letter.isdigit() for letter in written):
        return (quantity.value == ROOM and "temp" in written.lower()) or written == "RT", "is no number"
    if quantity.unit != unit:
        return False, f"is in {quantity.unit or 'no unit'}, not in {unit or 'no unit'}"
    if in_table and read_at(document, quantity.span) and read_at(document, quantity.span)[0].unit is None:
        bare = read_at(document, quantity.span)[0].value  # its unit stands in the header
        return any(
            math.isclose(quantity.value, number, abs_tol=1e-6) for number in (bare, bare - 273.15)
        ), "is another number"
    return _reads_as(quantity, document, unit)


def _reads_as(quantity: Quantity, document: Document, unit: str) -> tuple[bool, str]:
    found = read_at(document, quantity.span)
    if not found:
        return False, "is no number with a unit"
    for one in found:
        source = "kelvin" if one.unit == "(kelvin)" else one.unit
        number = one.value if source is None or source == unit else convert(one.value, source, unit)
        if number is not None and math.isclose(number, quantity.value, rel_tol=1e-6, abs_tol=1e-12):
            return True, ""
    return False, f"{quantity.value:g} {unit} is not what '{quantity.text}' says"


def read_at(document: Document, span: Span) -> list[Found]:
    """Quantities that begin where a span begins and end in it; the text around decides how they are read."""
    lead = max(0, span.start - 130)
    stop = next(
        (s.end for s in document.sentences if s.start <= span.start < s.end), min(len(document.text), span.end + 60)
    )
    around = next((s.start for s in document.sentences if s.start <= span.start < s.end), lead)
    found = [one for one in find_quantities(document.text, around, stop) if one.start == span.start]
    return found or [one for one in find_quantities(document.text, span.start, span.end) if one.start == span.start]


def tables_of(document: Document) -> list[Span]:
    """Places of the document's tables."""
    return [place for table in document.tables if (place := span_of(table)) is not None]


def _same(one: Quantity, other: Quantity) -> bool:
    return one.text == other.text and one.unit == other.unit and math.isclose(one.value, other.value, rel_tol=1e-9)


def _names(material: str, written: str, document: Document) -> bool:
    """Whether a name is what stands there, or that formula with numbers for its variables."""
    if material == written:
        return True
    from sozai.assistant.extraction.formula import elements, is_formula, unknowns
    from sozai.assistant.extraction.materials import Names

    formula = written if unknowns(written) else Names(document.text).meanings.get(written, "")
    if not is_formula(written) and written not in Names(document.text).meanings:
        return False
    if not re.fullmatch(r"[\w.()\[\]{}+δ±–−-]+", material):
        return False  # more words than a formula has
    return bool(unknowns(formula)) and not unknowns(material) and set(elements(material)) <= set(elements(formula))
