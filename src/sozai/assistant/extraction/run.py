"""Extraction of many documents into a folder: records with their places, a clean table, what a person said of them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sozai.assistant.documents.document import Document, Span
from sozai.assistant.extraction.compare import contradictions, duplicates
from sozai.assistant.extraction.extract import extract
from sozai.assistant.extraction.feedback import FILE_NAME, Decision, corrected, key_of, read_feedback, write_feedback
from sozai.assistant.extraction.record import Quantity, Record
from sozai.assistant.extraction.schema import Property
from sozai.assistant.extraction.verify import verified
from sozai.assistant.models.base import LanguageModel
from sozai.errors import UserError
from sozai.files import atomic, write_json

RECORDS = "records.json"
OnProgress = Callable[[int, int, str], None]
COUNTED = ("sure", "accepted", "corrected")
"""Standings of records that go into ``table.csv``."""


@dataclass
class Item:
    """A record with its document and standing: sure, flagged, accepted, corrected (of ``original``) or rejected."""

    record: Record
    document: Document
    standing: str
    key: str
    original: Record
    duplicate_of: int | None = None


@dataclass
class Extraction:
    """What was extracted.

    Attributes:
        items: records by number, from 1, in the order of documents and text.
        documents: read.
        problems: documents that could not be read, with the reason.
        refused: what a language model proposed and code did not find in the text.
        pairs: contradictions, by numbers of items.
        stopped: what ended the work before the last document (Ctrl-C, or a language model that could not be asked
            further); ``None`` when all were read. The documents until then are whole.
    """

    items: list[Item] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    stopped: BaseException | None = None

    def counts(self) -> dict[str, int]:
        """How many records of each standing."""
        out = {standing: 0 for standing in ("sure", "flagged", "accepted", "corrected", "rejected")}
        for item in self.items:
            out[item.standing] += 1
        return out


def extract_all(paths: Sequence[Path], schema: Sequence[Property], model: LanguageModel | None = None,
                decisions: Mapping[str, Decision] | None = None, on_progress: OnProgress | None = None,
                read: bool | None = None) -> Extraction:  # fmt: skip
    """Read documents and extract the schema's properties from them.

    Args:
        paths: files, or folders that are searched for documents.
        schema: wanted properties.
        model: may choose and add; see ``propose_records``. None: no model is asked.
        decisions: a person's, of earlier runs; applied to the same sentences.
        on_progress: called with documents done, all, and the name of the next.
        read: whether the network reads along; see ``extract``.

    Returns:
        what was extracted; also of the documents before one at which the work was stopped, with ``stopped`` set and
        told in ``problems``.

    Raises:
        UserError: there is no document, none can be read, or the model could not be asked about the first.
        KeyboardInterrupt: before the first document was done.
    """
    from sozai.assistant.documents.read import SUFFIXES

    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += [file for file in sorted(path.rglob("*")) if file.suffix.lower() in SUFFIXES]
        else:
            files.append(path)
    if not files:
        raise UserError(
            "there is no document here", str(paths[0]) if paths else "", f"name files that end in {', '.join(SUFFIXES)}"
        )
    out = Extraction()
    for done, file in enumerate(files):
        if on_progress is not None:
            on_progress(done, len(files), file.name)
        try:
            _extract_one(out, file, len(files) == 1, schema, model, decisions or {}, read)
        except (KeyboardInterrupt, UserError) as stop:
            if not out.documents:
                raise
            out.stopped = stop
            why = stop.sentence() if isinstance(stop, UserError) else "Interrupted."
            out.problems.append(f"stopped after {done} of {len(files)} documents: {why}")
            break
    if not out.documents:
        raise UserError("none of the documents could be read", str(files[0]), out.problems[0] if out.problems else "")
    _compare(out)
    return out


def _extract_one(out: Extraction, file: Path, alone: bool, schema: Sequence[Property], model: LanguageModel | None,
                 decisions: Mapping[str, Decision], read: bool | None) -> None:  # fmt: skip
    """Add the records of one document, or why it cannot be read; nothing of it when the work is stopped meanwhile."""
    from sozai.assistant.documents.read import read_document

    try:
        document = read_document(file)
    except UserError as error:
        if alone:
            raise
        out.problems.append(error.sentence())
        return
    records = extract(document, schema, read=read)
    refused: list[str] = []
    if model is not None:
        from sozai.assistant.extraction.ask_model import propose_records

        records, refused = propose_records(document, records, schema, model)
    items = [_item(record, document, schema, decisions) for record in records]
    out.documents.append(document)
    out.refused += [f"{file.name}: {reason}" for reason in refused]
    out.items += items


def _item(record: Record, document: Document, schema: Sequence[Property], decisions: Mapping[str, Decision]) -> Item:
    key = key_of(record, document)
    decision = decisions.get(key)
    if decision is None:
        return Item(record, document, "flagged" if record.doubts else "sure", key, record)
    if decision.verdict == "reject":
        return Item(record, document, "rejected", key, record)
    if decision.verdict == "accept":
        return Item(record, document, "accepted", key, record)
    return Item(
        replace(corrected(record, decision.changes, document, schema), by="a person"),
        document,
        "corrected",
        key,
        record,
    )


def _compare(made: Extraction) -> None:
    records = [item.record for item in made.items]
    same = duplicates(records, [item.document.source for item in made.items])
    for number, first in same.items():
        made.items[number].duplicate_of = first + 1
    counted = [n for n, item in enumerate(made.items) if item.standing in COUNTED and n not in same]
    made.pairs = [
        {"one": pair.one + 1, "other": pair.other + 1, "factor": pair.factor}
        for pair in contradictions(records, counted)
    ]


def rows_of(made: Extraction) -> list[dict[str, Any]]:
    """One row a record, with everything needed to find it again in its document."""
    names = sorted({name for item in made.items for name in item.record.conditions})
    rows = []
    for number, item in enumerate(made.items, 1):
        record, document = item.record, item.document
        quantity = record.quantity
        row: dict[str, Any] = {
            "number": number, "standing": item.standing, "material": record.material, "property": record.property,
            "value": quantity.value, "low": quantity.low, "high": quantity.high, "unit": quantity.unit, "relation": quantity.relation,  # noqa: E501
        }  # fmt: skip
        for name in names:
            condition = record.conditions.get(name)
            text = condition is not None and math.isnan(condition.value)
            label = name if text or name in ("atmosphere", "fuel") else f"{name} ({_unit_of(made, name)})"
            row[label] = None if condition is None else condition.text if text else condition.value
        row |= {
            "method": record.method, "probability": record.probability, "cited": record.cited, "doubts": "; ".join(record.doubts), "by": record.by,  # noqa: E501
            "duplicate_of": item.duplicate_of, "source": document.source, "page": document.page_of(quantity.span.start),
            "sentence": " ".join(document.quote(record.sentence).split())[:1000], "as_written": quantity.text,
            "temperature_said": _said_elsewhere(record.conditions.get("temperature"), record, document),
            "start": quantity.span.start, "end": quantity.span.end, "material_start": record.material_span.start,
            "material_end": record.material_span.end, "sentence_start": record.sentence.start, "sentence_end": record.sentence.end,  # noqa: E501
        }  # fmt: skip
        rows.append(row)
    return rows


def _said_elsewhere(condition: Quantity | None, record: Record, document: Document) -> str:
    """The sentence that tells a condition, where it is another than the record's."""
    if condition is None or record.sentence.start <= condition.span.start < record.sentence.end:
        return ""
    sentence = next((s for s in document.sentences if s.start <= condition.span.start < s.end), condition.span)
    return " ".join(document.quote(sentence).split())[:1000]


def _unit_of(made: Extraction, name: str) -> str:
    return next(item.record.conditions[name].unit for item in made.items if name in item.record.conditions)


def write_run(folder: Path, made: Extraction, decisions: Mapping[str, Decision]) -> list[Path]:
    """Write ``records.csv``, ``records.parquet``, ``table.csv``, ``feedback.jsonl`` and ``result.json``."""
    import pandas as pd

    rows = rows_of(made)
    frame = pd.DataFrame(rows)
    paths = [folder / "records.csv", folder / "records.parquet", folder / "table.csv", folder / "result.json"]
    with atomic(paths[0]) as stream:
        frame.to_csv(stream, index=False)
    with atomic(paths[1], "wb") as stream:
        frame.to_parquet(stream, index=False)
    with atomic(paths[2]) as stream:
        _table(frame).to_csv(stream, index=False)
    write_json(paths[3], result_of(made, rows))
    kept = [{"document": made.documents.index(item.document), **item.original.to_dict()} for item in made.items]
    write_json(folder / RECORDS, kept)
    write_feedback(folder / FILE_NAME, decisions)
    return [*paths, folder / RECORDS, folder / FILE_NAME]


def read_run(folder: Path, schema: Sequence[Property], decisions: Mapping[str, Decision]) -> Extraction:
    """A finished run with decisions applied; every record is verified against its document again.

    Raises:
        UserError: it is no run, or a document has changed since.
    """
    from sozai.assistant.documents.read import read_document

    try:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        stored = json.loads((folder / RECORDS).read_text(encoding="utf-8"))
        out = Extraction(problems=result["problems"], refused=result["refused"])
        sources = [(entry["source"], entry["hash"]) for entry in result["documents"]]
        records = [(entry["document"], _record(entry)) for entry in stored]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError("this is no run of sozai extract", str(folder), "name the folder given with --out") from error
    for source, digest in sources:
        document = read_document(source)
        if document.hash != digest:
            raise UserError("this document has changed since it was extracted", source, "extract it again")
        out.documents.append(document)
    for number, record in records:
        if verified(record, out.documents[number], tuple(schema))[0]:
            out.items.append(_item(record, out.documents[number], schema, decisions))
    _compare(out)
    return out


def _record(entry: Mapping[str, Any]) -> Record:
    def quantity(value: Mapping[str, Any]) -> Quantity:
        number = math.nan if value["value"] is None else value["value"]
        return Quantity(**{**value, "span": Span(**value["span"]), "value": number})

    fields = {key: value for key, value in entry.items() if key != "document"}
    return Record(
        **{
            **fields,
            "material_span": Span(**entry["material_span"]),
            "sentence": Span(**entry["sentence"]),
            "quantity": quantity(entry["quantity"]),
            "conditions": {name: quantity(value) for name, value in entry["conditions"].items()},
            "doubts": tuple(entry["doubts"]),
        }
    )


def _table(frame: Any) -> Any:
    """The records that count, with a column of values for each property: what ``sozai check`` reads."""
    import pandas as pd

    if frame.empty:
        return pd.DataFrame({"material": [], "source": []})
    kept = frame[frame.standing.isin(COUNTED) & frame.duplicate_of.isna()]
    columns: dict[str, Any] = {"material": kept.material}
    for name, unit in kept[["property", "unit"]].drop_duplicates().itertuples(index=False):
        columns[f"{name} ({unit})" if unit else name] = kept.value.where(kept.property == name)
    for column in kept.columns:
        if " (" in column or column in ("atmosphere", "fuel"):
            columns[column] = kept[column]
    return pd.DataFrame({**columns, "number": kept.number, "source": kept.source}).dropna(axis=1, how="all")


def result_of(made: Extraction, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What ``result.json`` holds."""
    return {
        "counts": made.counts(),
        "documents": [
            {"source": d.source, "title": d.title, "hash": d.hash, "notes": list(d.notes)} for d in made.documents
        ],
        "problems": made.problems,
        "refused": made.refused,
        "contradictions": made.pairs,
        "records": list(rows),
    }


def decide(made: Extraction, schema: Sequence[Property], accept: Sequence[int], reject: Sequence[int],
           correct: Sequence[tuple[int, Mapping[str, str]]]) -> dict[str, Decision]:  # fmt: skip
    """A person's decisions on records by number, checked.

    Raises:
        UserError: there is no record of that number, two decisions on one, or a correction that is not in the text.
    """
    out: dict[str, Decision] = {}
    asked: list[tuple[int, str, dict[str, str]]] = (
        [(n, "accept", {}) for n in accept]
        + [(n, "reject", {}) for n in reject]
        + [(n, "correct", dict(c)) for n, c in correct]
    )
    seen: set[int] = set()
    for number, verdict, changes in asked:
        if not 1 <= number <= len(made.items):
            raise UserError(f"there is no record {number}", f"--{verdict}", f"there are 1 to {len(made.items)}")
        if number in seen:
            raise UserError(f"two decisions on record {number}", f"--{verdict}", "say one")
        seen.add(number)
        item = made.items[number - 1]
        if verdict == "correct":
            corrected(item.original, changes, item.document, schema)
        sentence = " ".join(item.document.quote(item.record.sentence).split())[:300]
        out[item.key] = Decision(item.key, verdict, changes, sentence)
    return out


def earlier_decisions(*folders_or_files: Path) -> dict[str, Decision]:
    """Decisions of earlier runs, the later ones winning."""
    out: dict[str, Decision] = {}
    for path in folders_or_files:
        out |= read_feedback(path / FILE_NAME if path.is_dir() else path)
    return out
