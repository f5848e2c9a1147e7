"""A document's records: its sentences and tables read by rules, checked, and judged by what is plausible."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from sozai.assistant.documents.document import Document
from sozai.assistant.extraction.carried import LONG, Elsewhere
from sozai.assistant.extraction.materials import Names
from sozai.assistant.extraction.pairing import Context, Reading, Trace, records_of, with_doubt
from sozai.assistant.extraction.questions import Asker, Question
from sozai.assistant.extraction.ranking import weights
from sozai.assistant.extraction.reader import Answer, Reader, is_installed, load
from sozai.assistant.extraction.record import Record
from sozai.assistant.extraction.reread import odds, reread
from sozai.assistant.extraction.schema import Property, read_schema
from sozai.assistant.extraction.tables import records_of_tables
from sozai.assistant.extraction.verify import verified


class Reads(Protocol):
    """What can be asked: a ``Reader``, or what stands for one."""

    def answers(self, questions: Sequence[Question]) -> list[Answer]:
        """What it says of each question."""


LEAST_TOLD = 0.3
"""The chance from which on a number that the rules left is taken for a value, to be judged with all else."""
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
    document: Document,
    schema: Sequence[Property] | Sequence[str] | None = None,
    trace: Trace | None = None,
    read: Reader | bool | None = None,
) -> list[Record]:
    """Materials, properties, values and conditions that a document states.

    No language model is asked. Every record passes ``verified``; one that does not is left out, and one that is
    not sure keeps the reasons in ``doubts``.

    Args:
        document: from ``read_document``.
        schema: properties, or names of built-in ones; by default all built-in ones.
        trace: told what the rules chose each record of a sentence from, before any is left out.
        read: the network that looks for values that the rules left and reads all again, or whether the trained one of
            ``reader`` does; by default it does where it is installed.

    Returns:
        records in the order of the text; those of tables last.

    Raises:
        UserError: a name is no property.
    """
    wanted = _properties(schema)
    names = [property_.name for property_ in wanted]
    others = [property_ for property_ in read_schema() if property_.name not in names]
    known = Names(document.text)
    reader = read if isinstance(read, Reader) else load() if read or (read is None and is_installed()) else None
    readings, asker = readings_of(document, known, wanted, others, reader)
    if trace is not None:
        trace += readings
    if reader is None:
        found = [reading.record for reading in readings]
    else:
        found = _read_again(reader, asker, wanted, readings, elsewhere_of(document, known, readings, wanted))
    found += records_of_tables(document, known, wanted, others)
    return [_judged(record, wanted) for record in found if verified(record, document, wanted)[0]]


def readings_of(document: Document, known: Names, wanted: Sequence[Property], others: Sequence[Property],
                reader: Reads | None) -> tuple[list[Reading], Asker]:  # fmt: skip
    """What the rules make of every value in a document's sentences, also of those that a network finds besides.

    Args:
        document: from ``read_document``.
        known: its materials.
        wanted, others: the properties looked for, and those that are known too.
        reader: looks for values that the rules left; ``None``: nothing does.

    Returns:
        the readings, and what makes questions of them.
    """
    asker = Asker(document, known, [*wanted, *others])
    readings = _by_rules(document, known, wanted, others)
    if reader is not None and (told := _found_by(reader, asker, document, wanted, readings)):
        readings = _by_rules(document, known, wanted, others, told)
    return readings, asker


def _by_rules(document: Document, known: Names, wanted: Sequence[Property], others: Sequence[Property],
              told: Mapping[int, tuple[Property, float]] | None = None) -> list[Reading]:  # fmt: skip
    context, out = Context(), list[Reading]()
    for number in _read_sentences(document):
        records_of(document, number, known, wanted, others, context, out, told)
    return out


def _read_sentences(document: Document) -> list[int]:
    """Numbers of the sentences that are read: not those of references and the like."""
    return [n for n, one in enumerate(document.sentences) if not any(word in one.section.lower() for word in _SKIPPED)]


def _found_by(
    reader: Reads, asker: Asker, document: Document, wanted: Sequence[Property], readings: Sequence[Reading]
) -> dict[int, tuple[Property, float]]:
    """Numbers that the rules left and that are values as the network says, with their property and its odds."""
    taken = {reading.record.quantity.span.start for reading in readings}
    left = asker.left(_read_sentences(document), taken, {one.name for one in wanted})
    out = {}
    for one, answer in zip(left, reader.answers([one.question for one in left]), strict=True):
        best = max(range(len(one.properties)), key=lambda n: answer.materials[n])
        if answer.materials[best] >= math.log(LEAST_TOLD):
            out[one.start] = one.properties[best], odds(math.exp(answer.materials[best]))
    return out


def elsewhere_of(
    document: Document, known: Names, readings: Sequence[Reading], wanted: Sequence[Property]
) -> Elsewhere | None:
    """What weighs the temperatures of a whole document; ``None`` for a short one."""
    return Elsewhere(document, known, readings, wanted) if len(document.sentences) >= LONG else None


def _read_again(
    reader: Reader,
    asker: Asker,
    wanted: Sequence[Property],
    readings: Sequence[Reading],
    elsewhere: Elsewhere | None,
) -> list[Record]:
    questions = [asker.ask(reading) for reading in readings]
    device = {property_.name: property_.of == "device" for property_ in wanted}
    table = weights()["elsewhere"]
    return [
        reread(
            reading,
            question,
            answer,
            device[reading.record.property],
            elsewhere.carried(reading, table) if elsewhere else None,
        )
        for reading, question, answer in zip(readings, questions, reader.answers(questions), strict=True)
    ]


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
