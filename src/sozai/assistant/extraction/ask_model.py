"""A language model chooses and adds; what it says counts only where code finds it in the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sozai.assistant.documents.document import Document, Sentence, Span
from sozai.assistant.extraction.clauses import clauses
from sozai.assistant.extraction.conditions import ROOM, is_making
from sozai.assistant.extraction.materials import Names
from sozai.assistant.extraction.quantities import Found, find_quantities
from sozai.assistant.extraction.record import Quantity, Record
from sozai.assistant.extraction.schema import Property
from sozai.assistant.extraction.units import CELSIUS, convert
from sozai.assistant.extraction.verify import verified
from sozai.assistant.models import RULE, LanguageModel, Message, ReplyError, fence, read_json

ANSWER = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {key: {"type": "string"} for key in ("material", "property", "value", "temperature")},
        "required": ["material", "property", "value"],
    },
}
_TASK = (
    "You read one passage of a paper on materials and list the measured values in it. Answer with a JSON list of "
    'objects {{"material": ..., "property": ..., "value": ..., "temperature": ...}}. Copy material, value (the number with '  # noqa: E501
    "its unit) and temperature letter by letter from the passage; leave temperature empty where none belongs to the "
    "value. A temperature of sintering, annealing or drying does not belong to it. property is one of: {names}. If there "  # noqa: E501
    "is nothing, answer []. {rule}"
)


def propose_records(document: Document, records: Sequence[Record], schema: Sequence[Property], model: LanguageModel,
                    on_progress: Callable[[int, int, str], None] | None = None) -> tuple[list[Record], list[str]]:  # fmt: skip  # noqa: E501
    """The rules' records with a model's: it may settle whose a doubtful value is and add records.

    A record that the model adds is flagged as its proposal. A doubtful record of the rules whose material the model
    names too keeps its flag, with a note that the model agrees. A proposal whose value, unit, material or temperature
    does not stand in the sentence is left out and told.

    Args:
        document: they come from.
        records: of the rules.
        schema: wanted properties.
        model: is asked once a sentence that holds a number with a fitting unit.
        on_progress: called with sentences done, all, and a note.

    Returns:
        records, and what was left out with the reason.

    Raises:
        UserError: the model cannot be reached.
    """
    names = Names(document.text)
    passages = [number for number, sentence in enumerate(document.sentences) if _promising(document, sentence, schema)]
    out, refused = list(records), []
    system = Message("system", _TASK.format(names=", ".join(p.name for p in schema), rule=RULE))
    for done, number in enumerate(passages):
        if on_progress is not None:
            on_progress(done, len(passages), model.name)
        sentence = document.sentences[number]
        before = document.sentences[number - 1].start if number else sentence.start
        passage = document.text[before : sentence.end]
        reply = model.complete(
            [system, Message("user", fence(passage, document.source))], schema=ANSWER, max_tokens=700
        )
        try:
            answer = read_json(reply.text, ANSWER).value
        except ReplyError as error:
            refused.append(f"{model.name} gave no list: {error}")
            continue
        for entry in answer:
            made, why = _checked(entry, document, sentence, before, schema, names, model.name)
            if made is None:
                refused.append(f"{entry}: {why}")
            else:
                _join(out, made)
    return out, refused


def _promising(document: Document, sentence: Sentence, schema: Sequence[Property]) -> bool:
    found = find_quantities(document.text, sentence.start, sentence.end)
    return any(
        (
            one.unit is None
            and property_.unit == ""
            and property_.cue.search(document.text, sentence.start, sentence.end)
        )
        or (one.unit is not None and convert(one.value, _source(one), property_.unit) is not None)
        for one in found
        for property_ in schema
    )


def _checked(
    entry: Any,
    document: Document,
    sentence: Sentence,
    before: int,
    schema: Sequence[Property],
    names: Names,
    model: str,
) -> tuple[Record | None, str]:
    if not isinstance(entry, dict) or not all(
        isinstance(entry.get(key), str) for key in ("material", "property", "value")
    ):
        return None, "it is no record"
    wanted = next((property_ for property_ in schema if property_.name == entry["property"]), None)
    if wanted is None:
        return None, "it is no property of the schema"
    one = _at(document, sentence, entry["value"])
    if one is None:
        return None, "the value does not stand in the sentence"
    value = one.value if one.unit is None and wanted.unit == "" else convert(one.value, _source(one), wanted.unit)
    if value is None:
        return None, "its unit is not one of that property"
    place = document.text.find(entry["material"], before, sentence.end) if entry["material"].strip() else -1
    if place < 0:
        return None, "the material does not stand in the passage"
    if not any(m.start < place + len(entry["material"]) and place < m.end for m in names.find(before, sentence.end)):
        return None, "what it calls a material is none that code can read as one"
    conditions = {}
    written = entry.get("temperature") or ""
    if written.strip():
        heat = _at(document, sentence, written)
        degrees = convert(heat.value, _source(heat), CELSIUS) if heat is not None and heat.unit else None
        at = document.text.find(written, sentence.start, sentence.end)
        if degrees is not None and heat is not None:
            pieces = clauses(names.plain, sentence.start, sentence.end)
            if is_making(names.plain, sentence.start, heat.start, pieces):
                return None, "the temperature is one at which the sample was made"
            span = Span(heat.start, heat.end)
            conditions["temperature"] = Quantity(span, document.quote(span), degrees, CELSIUS, relation=heat.relation)
        elif at >= 0 and "temperature" in written.lower():
            conditions["temperature"] = Quantity(Span(at, at + len(written)), written, ROOM, CELSIUS, relation="~")
        else:
            return None, "the temperature does not stand in the sentence"
    low, high = (None if v is None else convert(v, _source(one), wanted.unit) for v in (one.low, one.high))
    span = Span(one.start, one.end)
    quantity = Quantity(span, document.quote(span), value, wanted.unit, low, high, one.relation)
    record = Record(
        entry["material"], Span(place, place + len(entry["material"])), wanted.name, quantity, Span(sentence.start, sentence.end),  # noqa: E501
        conditions, doubts=(f"proposed by {model}; the rules do not find it",), by=model,
    )  # fmt: skip
    good, why = verified(record, document, tuple(schema))
    return (record, "") if good else (None, why)


def _join(records: list[Record], made: Record) -> None:
    for at, old in enumerate(records):
        if old.quantity.span.start == made.quantity.span.start and old.property == made.property:
            same = old.material == made.material
            if old.doubts and same:
                records[at] = replace(old, doubts=(*old.doubts, f"{made.by} reads it the same way"))
            elif not same:
                records[at] = replace(old, doubts=(*old.doubts, f"{made.by} takes it for a value of {made.material}"))
            return
    records.append(made)


def _at(document: Document, sentence: Sentence, written: str) -> Found | None:
    """The quantity that begins where the quoted text stands in the sentence."""
    for one in find_quantities(document.text, sentence.start, sentence.end):
        text = document.text[one.start : one.end]
        quoted = written.strip()
        if quoted and (
            text == quoted
            or text.startswith(quoted)
            or quoted in document.text[max(sentence.start, one.start - 3) : one.end]
        ):
            return one
    return None


def _source(one: Found) -> str:
    return "kelvin" if one.unit == "(kelvin)" else one.unit or ""
