"""What a person says of records, kept and applied when the same sentence is read again."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sozai.assistant.documents.document import Document, Span
from sozai.assistant.extraction.materials import Names
from sozai.assistant.extraction.quantities import find_quantities
from sozai.assistant.extraction.record import Quantity, Record
from sozai.assistant.extraction.schema import Property, read_schema
from sozai.assistant.extraction.tables import columns_of, read_cell, span_of
from sozai.assistant.extraction.units import convert
from sozai.assistant.extraction.verify import verified
from sozai.errors import UserError
from sozai.files import atomic

FILE_NAME = "feedback.jsonl"
FIELDS = ("value", "unit", "material", "property", "temperature")


@dataclass(frozen=True)
class Decision:
    """A person's word on one record.

    Attributes:
        key: of the record, see ``key_of``.
        verdict: ``"accept"``, ``"reject"`` or ``"correct"``.
        changes: of a correction, by field.
        sentence: it was about, for a reader of the file.
    """

    key: str
    verdict: str
    changes: Mapping[str, str]
    sentence: str = ""


def key_of(record: Record, document: Document) -> str:
    """The same for the same value in the same sentence, wherever the sentence stands."""
    sentence = " ".join(document.quote(record.sentence).split())
    place = record.quantity.span.start - record.sentence.start
    text = f"{sentence}\0{place}\0{record.quantity.text}\0{record.property}\0{record.material}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def read_feedback(path: Path) -> dict[str, Decision]:
    """Decisions by key; the last one of a key holds.

    Raises:
        UserError: a line is damaged.
    """
    out: dict[str, Decision] = {}
    if not path.exists():
        return out
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            decision = Decision(
                entry["key"], entry["verdict"], dict(entry.get("changes", {})), entry.get("sentence", "")
            )
            if decision.verdict not in ("accept", "reject", "correct"):
                raise ValueError
        except (ValueError, KeyError, TypeError) as error:
            raise UserError("this line is no feedback", f"{path}, line {number}", "mend or remove the line") from error
        out[decision.key] = decision
    return out


def write_feedback(path: Path, decisions: Mapping[str, Decision]) -> None:
    """Write all decisions, one a line."""
    with atomic(path) as stream:
        for one in decisions.values():
            entry = {"key": one.key, "verdict": one.verdict, "changes": dict(one.changes), "sentence": one.sentence}
            stream.write(json.dumps(entry, ensure_ascii=False) + "\n")


def parse_correction(text: str) -> tuple[int, dict[str, str]]:
    """Read ``"7: value=1.2e-3, material=LLZO"``.

    Raises:
        UserError: it is not of that form.
    """
    number, colon, rest = text.partition(":")
    changes: dict[str, str] = {}
    for part in rest.split(";") if ";" in rest else rest.split(", "):
        name, equals, value = part.partition("=")
        if equals and name.strip() in FIELDS and value.strip():
            changes[name.strip()] = value.strip()
        else:
            changes.clear()
            break
    if not colon or not number.strip().isdecimal() or not changes:
        raise UserError(
            f"'{text}' is no correction", "--correct", f'write "7: value=1.2e-3", with any of {", ".join(FIELDS)}'
        )
    return int(number), changes


def corrected(record: Record, changes: Mapping[str, str], document: Document, schema: Sequence[Property]) -> Record:
    """A record with a person's changes; each must stand in the record's sentence.

    Raises:
        UserError: it does not stand there, or is no property, number or unit.
    """
    known = {property_.name: property_ for property_ in schema}
    new = record
    if "property" in changes:
        if changes["property"] not in known:
            raise UserError(
                f"'{changes['property']}' is no property of the schema", "--correct", f"there are {', '.join(known)}"
            )
        new = replace(new, property=changes["property"])
    unit = known[new.property].unit
    if "value" in changes or "unit" in changes or "property" in changes:
        new = replace(new, quantity=_stated(changes.get("value"), changes.get("unit") or unit, unit, new, document))
    if "temperature" in changes:
        heat = _stated(changes["temperature"], "degC", "degC", new, document)
        new = replace(new, conditions={**new.conditions, "temperature": heat})
    if "material" in changes:
        name = changes["material"]
        start = document.text.rfind(name, 0, record.sentence.end)
        inside = document.text.find(name, record.sentence.start, record.sentence.end)
        start = inside if inside >= 0 else start
        if start < 0:
            near = [m.text for m in Names(document.text).find(record.sentence.start, record.sentence.end)]
            raise UserError(
                f"'{name}' stands neither in the sentence nor before it",
                "--correct",
                f"it names {near or 'no material'}",
            )
        new = replace(new, material=name, material_span=Span(start, start + len(name)))
    good, why = verified(new, document, tuple(schema))
    if not good:
        raise UserError(f"the correction does not hold: {why}", "--correct", "see the sentence in the report")
    return new


def _of_table(record: Record, document: Document, target: str) -> list[Quantity]:
    """Quantities in a table's cells that are in this unit, when the record is of a table."""
    known = read_schema()
    out = []
    for table in document.tables:
        if span_of(table) == record.sentence:
            for cell in [cell for row in table.cells for cell in row if cell is not None]:
                for column in columns_of(document, cell, known, ()):
                    quantity = read_cell(document, cell, column) if column.property.unit == target else None
                    out += [quantity] if quantity is not None else []
    return out


def _stated(value: str | None, unit: str, target: str, record: Record, document: Document) -> Quantity:
    found = find_quantities(document.text, record.sentence.start, record.sentence.end)
    try:
        number = float(value) if value is not None else record.quantity.value
    except ValueError:
        raise UserError(f"'{value}' is no number", "--correct", "write it as 1.2e-3") from None
    stated = number if unit == target else convert(number, "kelvin" if unit == "K" else unit, target)
    if stated is None:
        raise UserError(f"'{unit}' cannot be converted to {target}", "--correct")
    seen = []
    for quantity in _of_table(record, document, target):
        seen.append(f"{quantity.value:g}")
        if math.isclose(quantity.value, stated, rel_tol=1e-6, abs_tol=1e-15):
            return quantity
    for one in [] if seen else found:
        source = "kelvin" if one.unit == "(kelvin)" else one.unit
        here = one.value if source in (None, target) else convert(one.value, source or "", target)
        if here is not None:
            seen.append(f"{here:g}")
            if math.isclose(here, stated, rel_tol=1e-6, abs_tol=1e-15):
                text = document.text[one.start : one.end]
                return Quantity(Span(one.start, one.end), text, here, target, one.low, one.high, one.relation)
    raise UserError(
        f"{stated:g} {target} does not stand in the sentence",
        "--correct",
        f"there stand {', '.join(seen) or 'no such numbers'}",
    )
