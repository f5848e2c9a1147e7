"""A document's records: its sentences and tables read by rules, checked, and judged by what is plausible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sozai.assistant.documents.document import Document
from sozai.assistant.extraction.materials import Names
from sozai.assistant.extraction.pairing import Context, Trace, records_of, with_doubt
from sozai.assistant.extraction.record import Record
from sozai.assistant.extraction.schema import Property, read_schema
from sozai.assistant.extraction.tables import records_of_tables
from sozai.assistant.extraction.verify import verified

_SKIPPED = (
    "references",
    "acknowledg",
    "author contribution",
    "competing interest",
    "conflict",
    "funding",
    "bibliography",
)


def extract(
    document: Document, schema: Sequence[Property] | Sequence[str] | None = None, trace: Trace | None = None
) -> list[Record]:
    """Materials, properties, values and conditions that a document states.

    No language model is asked. Every record passes ``verified``; one that does not is left out, and one that is
    not sure keeps the reasons in ``doubts``.

    Args:
        document: from ``read_document``.
        schema: properties, or names of built-in ones; by default all built-in ones.
        trace: told what each record of a sentence was chosen from, before any is left out.

    Returns:
        records in the order of the text; those of tables last.

    Raises:
        UserError: a name is no property.
    """
    wanted = _properties(schema)
    names = [property_.name for property_ in wanted]
    others = [property_ for property_ in read_schema() if property_.name not in names]
    known = Names(document.text)
    context = Context()
    found: list[Record] = []
    for number, sentence in enumerate(document.sentences):
        if any(word in sentence.section.lower() for word in _SKIPPED):
            continue
        found += records_of(document, number, known, wanted, others, context, trace)
    found += records_of_tables(document, known, wanted, others)
    return [_judged(record, wanted) for record in found if verified(record, document, wanted)[0]]


def _properties(schema: Sequence[Property] | Sequence[str] | None) -> tuple[Property, ...]:
    if schema is None:
        return read_schema()
    named = [item for item in schema if isinstance(item, str)]
    return (*[item for item in schema if isinstance(item, Property)], *(read_schema(named) if named else ()))


def _judged(record: Record, schema: Sequence[Property]) -> Record:
    limits = next(property_.range for property_ in schema if property_.name == record.property)
    if limits is None:
        return record
    values = [
        value for value in (record.quantity.low, record.quantity.value, record.quantity.high) if value is not None
    ]
    if min(values) < limits[0] or max(values) > limits[1]:
        return with_doubt(
            record,
            f"outside of what is plausible ({limits[0]:g} to {limits[1]:g} {record.quantity.unit})".replace(" )", ")"),
        )
    return replace(record)
