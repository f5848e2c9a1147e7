"""The page of an extraction: what was found, how sure it is, and the sentence each value stands in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from sozai.reports.page import Section, bullets, details, join, paragraph, render_page, table
from sozai.reports.words import counted

MOST = 400
"""Records shown in full; the files of the run hold all."""


def extraction_page(result: Mapping[str, Any], manifest: Mapping[str, Any] | None = None) -> str:
    """The page.

    Args:
        result: of ``sozai.assistant.extraction.run.result_of``.
        manifest: of the run.
    """
    records, counts = result["records"], result["counts"]
    kept = [row for row in records if row["standing"] in ("sure", "accepted", "corrected")]
    doubtful = [row for row in records if row["standing"] == "flagged"]
    rejected = [row for row in records if row["standing"] == "rejected"]
    sections = [
        Section("Values", "Each with the words it stands in; the value is marked.", _listing(kept)),
        Section(
            "To look at",
            "Not in the table until a person accepts or corrects them: "
            "sozai extract --review RUN --accept 3 --reject 5 --correct '7: value=1.2e-3'.",
            _listing(doubtful, True),
        ),
    ]
    if result["contradictions"]:
        rows = [
            [pair["one"], pair["other"], pair["factor"], *_pair(records, pair)] for pair in result["contradictions"]
        ]
        heads = ["record", "record", "differ by factor", "material", "property", "one", "other"]
        sections.append(
            Section("Contradictions", "The same material, property and temperature.", table(heads, rows, 100))
        )
    if rejected:
        sections.append(Section("Rejected by a person", "", _listing(rejected)))
    if result["refused"]:
        lead = "Values, materials or temperatures that a language model named and that do not stand in the text."
        sections.append(Section("Refused", lead, bullets(result["refused"][:100])))
    documents = [[entry["source"], entry["title"], "; ".join(entry["notes"])] for entry in result["documents"]]
    body = join(table(["file", "title", "notes"], documents), bullets(result["problems"]))
    sections.append(Section("Documents", "", body))
    given, read = counted(len(kept), "value"), counted(len(result["documents"]), "document")
    verdict = f"{given} from {read}; {counts['flagged']} more to look at."
    return render_page("Extraction", sections, verdict=verdict, good=bool(kept), manifest=manifest)


def _listing(rows: list[Mapping[str, Any]], doubts: bool = False) -> Markup:
    if not rows:
        return paragraph("None.", True)
    heads = [
        "no.",
        "material",
        "property",
        "value",
        "unit",
        "conditions",
        "probable",
        *(["why"] if doubts else []),
        "where",
    ]
    cells = []
    for row in rows[:MOST]:
        conditions = ", ".join(
            f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in _conditions(row)
        )
        value = f"{'' if row['relation'] == '=' else row['relation'] + ' '}{row['value']:.4g}"
        if row["low"] is not None:
            value += f" ({row['low']:.4g} to {row['high']:.4g})"
        page = f", page {row['page']}" if row["page"] else ""
        where = join(
            Markup("{}{} ").format(str(row["source"]).rpartition("/")[2], page), details("sentence", _quoted(row))
        )
        cells.append(
            [str(row["number"]), row["material"] or "?", row["property"].replace("_", " "), value, row["unit"], conditions,  # noqa: E501
             "" if row.get("probability") is None else f"{row['probability']:.0%}",
             *([row["doubts"]] if doubts else []), where]
        )  # fmt: skip
    left = paragraph(f"{len(rows) - MOST} more are in records.csv.", True) if len(rows) > MOST else Markup("")
    return join(table(heads, cells), left)


def _quoted(row: Mapping[str, Any]) -> Markup:
    sentence, written = str(row["sentence"]), " ".join(str(row["as_written"]).split())
    before, found, after = sentence.partition(written)
    quote = Markup("<p>{}<mark>{}</mark>{}</p>").format(escape(before), escape(found), escape(after))
    heat = row.get("temperature_said")
    return join(quote, Markup("<p>Its temperature: {}</p>").format(heat)) if heat else quote


def _conditions(row: Mapping[str, Any]) -> list[tuple[str, Any]]:
    names = [key for key in row if " (" in key or key in ("atmosphere", "fuel")]
    return [(name, row[name]) for name in names if row[name] is not None]


def _pair(records: list[Mapping[str, Any]], pair: Mapping[str, Any]) -> list[Any]:
    one, other = records[pair["one"] - 1], records[pair["other"] - 1]
    return [one["material"], one["property"], _short(one), _short(other)]


def _short(row: Mapping[str, Any]) -> str:
    return f"{row['value']:.4g} {row['unit']} ({str(row['source']).rpartition('/')[2]})"
