"""``sozai augment``: whether synthetic rows help, measured without leaks."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sozai.cli import tables
from sozai.cli.frame import AsJson, emit, progress, resume_with
from sozai.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = (
    "sozai augment uhpc.csv --target CS --minutes 10 --out run/",
    "sozai augment concrete.csv --target Strength --learner boosting --out run/concrete",
    "sozai augment alloys.csv --target 'PROPERTY: HV' --ignore 'PROPERTY: YS (MPa)' --out run/hardness",
)
AUGMENTED = "augmented.csv"


def augment(
    path: Annotated[Path, typer.Argument(metavar="TABLE", help="CSV, TSV, Excel or parquet.")],
    target: Annotated[str, typer.Option(help="Column to predict.")],
    out: Annotated[Path, typer.Option(help="Run folder; the same command goes on with an interrupted run there.")],
    minutes: Annotated[float, typer.Option(help="Time for all of it.")] = 10.0,
    learner: Annotated[
        list[str] | None,
        typer.Option(
            "--learner",
            "--learners",
            help="boosting, forest, gaussian-process, ridge, ensemble; may be repeated. Of one, the verdict is whether "
            "synthetic rows help it; of several, what is best of all.",
        ),
    ] = None,
    generator: Annotated[
        list[str] | None,
        typer.Option(
            "--generator",
            "--generators",
            help="taught, smote, or a name as of 'sozai generate --table'; may be repeated.",
        ),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write the augmented table even where the verdict is against it.")
    ] = False,
    feature: Annotated[
        list[str] | None, typer.Option("--feature", rich_help_panel="The table", help="Use these columns only.")
    ] = None,
    ignore: tables.Ignore = None,
    rules: tables.Rules = None,
    kinds: tables.Kinds = None,
    units: tables.Units = None,
    schema: tables.Schema = None,
    sheet: tables.Sheet = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same splits and rows.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure whether synthetic rows help to predict a column of your table, and say so in one sentence.

    Nested cross-validation: generator, number of rows and filter are chosen inside each training fold, and judged once
    on rows that nothing was fitted on. Copies, the same mix at other ages and the same formula are never parted. The
    report also shows leave-one-cluster-out, leave-one-element-out and extrapolation splits.

    The run folder holds report.html, result.json, manifest.json, folds.jsonl (finished splits) and, where the verdict
    is to use them or with --write, augmented.csv: real and synthetic rows, told apart by the column 'origin', with the
    weight of each for a learner's sample_weight.
    """
    if not (math.isfinite(minutes) and minutes > 0):
        raise UserError(f"{minutes:g} minutes are no time to work in", "--minutes", "give a number above 0")
    begun = time.monotonic()
    from sozai.evaluation.tables.augmentation import GENERATORS, augmentation_study
    from sozai.evaluation.tables.learners import LEARNERS
    from sozai.evaluation.tables.prepare import prepare
    from sozai.evaluation.tables.synthetic import augmented, synthetic_quality
    from sozai.files import atomic, output_folder, write_json
    from sozai.reports.page import write_page
    from sozai.reports.tables_augment import augmentation_page
    from sozai.trust.manifest import Manifest, command_line

    table = tables.read(path, schema, sheet, kinds or (), units or ())
    prepared = prepare(table, target, drop=ignore or (), features=feature or (), seed=seed)
    learners, generators = _names(learner, LEARNERS), _names(generator, GENERATORS)
    kept, notes = _rules(prepared, table, rules)
    settings = {
        "table": str(path), "target": prepared.target, "minutes": minutes, "learners": learners,
        "generators": generators, "features": list(feature or ()), "ignore": list(ignore or ()),
        "kinds": list(kinds or ()), "units": list(units or ()), "sheet": sheet,
    }  # fmt: skip
    inputs = [each for each in (path, rules, schema) if each is not None]
    folder = output_folder(out)
    resume_with(command_line())
    run = Manifest(folder, settings=settings, seeds={"study": seed}, data=inputs, resume=True)
    with run as manifest:
        # A tenth, or 20 seconds, is for the quality of the rows and the report.
        left = max(0.01, minutes - max(minutes / 10, 1 / 3) - (time.monotonic() - begun) / 60)
        with progress("Seconds", as_json) as on_progress:
            study = augmentation_study(
                prepared, learners=learners, generators=generators, rules=kept, minutes=left, seed=seed,
                folder=folder, on_progress=on_progress,
            )  # fmt: skip
        study.notes.extend(notes)
        files = ["report.html", "result.json"]
        if study.recipe is not None and not study.stopped:
            study.quality = synthetic_quality(prepared, study.recipe, dict(study.fits), kept, seed)
            if study.verdict.use or write:
                rows = augmented(prepared, study.recipe, dict(study.fits), seed=seed)
                with atomic(folder / AUGMENTED) as stream:
                    rows.to_csv(stream, index=False)
                files.append(AUGMENTED)
        result = {**study.to_dict(), "files": [str(folder / name) for name in files]}
        write_json(folder / "result.json", result)
        write_page(folder / "report.html", augmentation_page(study, table.source, {**manifest.content}))
        if study.stopped:
            raise KeyboardInterrupt  # what is done is written; the exit code tells
    emit(result, as_json, lambda console: _render(result, out, console))


def _names(given: Sequence[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    """Names from repeated options, which may hold several with commas; in the order given, each once."""
    names = [name.strip() for text in given or () for name in text.split(",") if name.strip()]
    return tuple(dict.fromkeys(names)) or tuple(known)


def _rules(prepared: Any, table: Any, path: Path | None) -> tuple[Any, list[str]]:
    """Hard rules on the study's columns: those of the schema, and the person's."""
    from sozai.knowledge.tables.ruleset import TableRules, rules_of

    notes: list[str] = []
    columns = set(prepared.table.columns)
    # The schema's rule on the target is of the column as written, as is the person's.
    found = list(rules_of(table.select([name for name in table.columns if name in columns])).hard)
    if path is not None:
        for rule in TableRules.for_table(path, table).hard:
            if columns.issuperset(rule.columns):
                found.append(rule)
            else:
                notes.append(f"The rule '{rule.name}' needs columns that the study does not use, and was not applied.")
    return TableRules(found), notes


def _render(result: dict[str, Any], out: Path, console: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    verdict = result["verdict"]
    console.print(f"[bold]{escape(verdict['sentence'])}[/bold]", soft_wrap=True)
    table = Table(
        "learner", "real rows", "with synthetic", "gain to expect", "95% interval", box=None, header_style="bold"
    )
    shown = verdict["gains"]
    if verdict["best"] and verdict["best"] not in shown:
        shown = [verdict["best"], *shown]
    for gain in shown:
        table.add_row(
            gain["learner"], f"{gain['real']:.3f}", f"{gain['augmented']:.3f}", f"{gain['expected']:+.3f}",
            f"{gain['low']:+.3f} to {gain['high']:+.3f}",
        )  # fmt: skip
    console.print(table)
    for note in result["notes"]:
        console.print(f"[dim]{escape(note)}[/dim]", soft_wrap=True)
    for name, why in result["failed"].items():
        console.print(f"[yellow]{escape(name)} was left out: {escape(why)}[/yellow]", soft_wrap=True)
    console.print(f"Report: {escape(str(out / 'report.html'))}", soft_wrap=True)
