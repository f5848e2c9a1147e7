"""``sozai extract``: measured values out of papers, with the place each one stands at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sozai.cli import models
from sozai.cli.frame import AsJson, emit, progress, resume_with
from sozai.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = (
    "sozai extract paper.pdf --property ionic_conductivity --out run/",
    "sozai extract papers/ --property tg --property tensile_strength --out run/",
    "sozai extract paper.html --schema my_properties.yaml --out run/",
    "sozai extract --review run/ --accept 3 --reject 5 --correct '7: value=1.2e-3'",
    "sozai extract --list",
)
SHOWN = 25


def extract(
    papers: Annotated[
        list[Path] | None, typer.Argument(help="PDF, HTML, JATS XML, DOCX, Markdown or text files, or folders of them.")
    ] = None,
    properties: Annotated[
        list[str] | None,
        typer.Option("--property", help="What to look for; may be given several times. By default all."),
    ] = None,
    schema: Annotated[Path | None, typer.Option(help="A YAML file with properties of your own.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the table, the report and your decisions.")] = Path(
        "run_extract"
    ),
    feedback: Annotated[
        list[Path] | None,
        typer.Option(help="Decisions of earlier runs (their folder or feedback.jsonl), applied again."),
    ] = None,
    review: Annotated[
        Path | None,
        typer.Option(
            help="A finished run whose records you decide on, with the three options below.", rich_help_panel="Review"
        ),
    ] = None,
    accept: Annotated[
        list[int] | None, typer.Option(help="Numbers of right records.", rich_help_panel="Review")
    ] = None,
    reject: Annotated[
        list[int] | None, typer.Option(help="Numbers of wrong records.", rich_help_panel="Review")
    ] = None,
    correct: Annotated[
        list[str] | None,
        typer.Option(help='A record set right: "7: value=1.2e-3", "4: material=LLZO".', rich_help_panel="Review"),
    ] = None,
    rules_only: Annotated[
        bool, typer.Option("--rules-only", help="Leave the small network out that reads along where it is installed.")
    ] = False,
    model: models.Model = None,
    endpoint: models.Endpoint = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the built-in properties and end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Extract materials, properties, values and conditions from papers into a table.

    Everything keeps its place: file, page, sentence and characters. Rules read formulas (also with x-ranges and dopants),
    quantities, lists with "respectively", table headers; units are converted. What is [bold]not sure[/bold] is flagged
    with the reason and stays out of table.csv until you accept or correct it. With the extra small-models a small
    network on this machine reads along: whose a value is, at what temperature, and which values the rules left.

    A language model may choose among readings and add some; what it says counts only where code finds value, unit,
    material and condition in the text. Your decisions are kept in feedback.jsonl and hold for the same sentence in the
    next run.

    Ctrl-C writes what was read until then. The same command goes on: a model is asked nothing that it answered before.
    """  # noqa: E501
    if list_:
        _list(as_json)
        return
    decisions_given = bool(accept or reject or correct)
    if review is not None:
        if papers or schema or properties or model:
            raise UserError("a review is of a finished run", "--review", "leave papers, properties and model out")
        _review(review, accept or [], reject or [], correct or [], as_json)
        return
    if decisions_given:
        raise UserError("which run is meant?", "--accept, --reject, --correct", "name it with --review run/")
    if not papers:
        raise UserError("no paper is named", "sozai extract", "name files or folders, or --review run/")
    from sozai.assistant.extraction.reader import is_installed

    settings = {
        "papers": [str(path) for path in papers],
        "properties": list(properties or []),
        "schema": str(schema) if schema else None,
        "model": model,
        "endpoint": endpoint,
        "feedback": [str(path) for path in feedback or []],
        "network": not rules_only and is_installed(),
    }
    _run(settings, out, as_json)


def _run(settings: dict[str, Any], out: Path, as_json: bool) -> None:
    from sozai.assistant.extraction.reader import is_installed
    from sozai.assistant.extraction.run import earlier_decisions, extract_all, result_of, rows_of, write_run
    from sozai.assistant.extraction.schema import read_schema
    from sozai.files import output_folder, write_json
    from sozai.trust.manifest import Manifest, command_line

    wanted = read_schema(settings["properties"], settings["schema"])
    asked = None
    if settings["model"]:
        from sozai.assistant.models import connect

        asked = connect(settings["model"], settings["endpoint"])
    folder = output_folder(out)
    kept = None
    if asked is not None:
        from sozai.assistant.models.kept import FILE_NAME, KeptReplies

        names = ("model", "endpoint", "papers", "properties", "schema")
        kept = KeptReplies(folder / FILE_NAME, {name: settings[name] for name in names})
        asked.keep(kept)
    resume_with(command_line())
    decisions = earlier_decisions(*(Path(path) for path in settings["feedback"]), folder)
    papers = [Path(path) for path in settings["papers"]]
    data = [path for path in papers if path.exists()]
    with Manifest(folder, settings=settings, data=data, resume=kept is not None and kept.count > 0) as manifest:
        if kept is not None:
            kept.tell_ledger()
        with progress("Reading", as_json) as on_progress:
            made = extract_all(papers, wanted, asked, decisions, on_progress, settings["network"])
        write_run(folder, made, decisions)
        if kept is not None:
            write_json(folder / "transcript.json", kept.transcript())
        result = result_of(made, rows_of(made))
        _page(folder, result, manifest.content)
        if made.stopped is not None:  # what there is, is written; manifest and exit code say that it is not all
            raise _cut_short(made.stopped, len(made.documents))
    if kept is not None:
        kept.close(finished=True)
    emit({**result, "folder": str(folder)}, as_json, lambda console: _print(console, result, folder))
    if not is_installed() and not as_json:
        typer.echo("More values, and more of them right, with: pip install 'sozai[small-models]'")


def _cut_short(stopped: BaseException, done: int) -> BaseException:
    """Why the work ended early, for a person: with what is there, and how to go on."""
    if not isinstance(stopped, UserError):
        return stopped
    mend = f"{stopped.mend}; then the same command goes on" if stopped.mend else "the same command goes on"
    return UserError(f"{stopped.what}; what the {done} documents before gave is written", stopped.where, mend)


def _page(folder: Path, result: dict[str, Any], manifest: dict[str, Any]) -> None:
    from sozai.reports.extraction import extraction_page
    from sozai.reports.page import write_page

    write_page(folder / "report.html", extraction_page(result, manifest))


def _review(folder: Path, accept: list[int], reject: list[int], correct: list[str], as_json: bool) -> None:
    from sozai.assistant.extraction.feedback import parse_correction
    from sozai.assistant.extraction.run import decide, earlier_decisions, read_run, result_of, rows_of, write_run
    from sozai.assistant.extraction.schema import read_schema

    try:
        content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        settings = content["settings"]
        wanted = read_schema(settings["properties"], settings["schema"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError("this is no run of sozai extract", str(folder), "name the folder given with --out") from error
    kept = earlier_decisions(*(Path(path) for path in settings.get("feedback", [])), folder)
    made = read_run(folder, wanted, kept)
    if accept or reject or correct:
        kept |= decide(made, wanted, accept, reject, [parse_correction(text) for text in correct])
        made = read_run(folder, wanted, kept)
        write_run(folder, made, kept)
        _page(folder, result_of(made, rows_of(made)), content)
    result = result_of(made, rows_of(made))
    emit({**result, "folder": str(folder)}, as_json, lambda console: _print(console, result, folder, True))


def _list(as_json: bool) -> None:
    from sozai.assistant.extraction.schema import read_schema

    known = read_schema()
    rows: list[dict[str, Any]] = [
        {"property": p.name, "unit": p.unit, "names": list(p.names[:3]), "range": list(p.range) if p.range else None}
        for p in known
    ]

    def render(console: Console) -> None:
        from rich.table import Table

        shown = Table("property", "unit", "also called")
        for row in rows:
            shown.add_row(row["property"], row["unit"], ", ".join(row["names"]))
        console.print(shown)

    emit({"properties": rows}, as_json, render)


def _print(console: Console, result: dict[str, Any], folder: Path, flagged_too: bool = False) -> None:
    from rich.table import Table
    from rich.text import Text

    from sozai.reports.words import counted

    counts = result["counts"]
    sure = counts["sure"] + counts["accepted"] + counts["corrected"]
    given, read = counted(sure, "value"), counted(len(result["documents"]), "document")
    console.print(f"{given} from {read}, {counts['flagged']} more to look at.", style="bold")
    rows = [row for row in result["records"] if row["standing"] not in ("flagged", "rejected")]
    doubtful = [row for row in result["records"] if row["standing"] == "flagged"]
    for title, chosen in (("", rows), ("To look at", doubtful)):
        if not chosen:
            continue
        shown = Table(
            "no.", "material", "property", "value", "unit", "T (degC)", *(["why"] if title else []), title=title or None
        )
        for row in chosen[:SHOWN]:
            heat = row.get("temperature (degC)")
            cells = [
                str(row["number"]),
                row["material"] or "?",
                row["property"],
                f"{row['value']:.4g}",
                row["unit"],
                "" if heat is None else f"{heat:g}",
            ]
            shown.add_row(*(Text(cell) for cell in (*cells, *([row["doubts"]] if title else []))))
        console.print(shown)
        if len(chosen) > SHOWN:
            console.print(f"... and {len(chosen) - SHOWN} more in records.csv")
    for problem in result["problems"]:
        console.print(f"Not read: {problem}", style="yellow", markup=False)
    if result["contradictions"]:
        console.print(f"{len(result['contradictions'])} contradictions: see the report.")
    console.print(f"Written to {folder}: table.csv (for sozai check), records.csv, report.html", markup=False)
    if doubtful and not flagged_too:
        console.print(f"Decide with: sozai extract --review {folder} --accept 3 --reject 5", markup=False)
