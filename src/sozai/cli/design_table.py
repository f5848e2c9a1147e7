"""``sozai design table.csv``: goals in, candidates and the next experiments out."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sozai.cli import tables
from sozai.cli.frame import AsJson, emit, progress, refuse_others, resume_with
from sozai.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = (
    "sozai design concrete.csv --maximise Strength --given 'Water <= 180' --out run/",
    "sozai design concrete.csv --maximise Strength --minimise 'cost = 2*Cement + 8*Water' --out run/",
    "sozai design alloys.csv --target 'HV=600' --given 'Co <= 0.1' --ignore 'YS (MPa)' --out run/hv",
    "sozai design --resume run/",
    "sozai design --resume run/ --measured results.csv",
)
_GOAL, _TABLE, _BUDGET = "What is wanted", "The table", "The budget"


def table(
    context: typer.Context,
    path: Annotated[
        Path | None, typer.Argument(metavar="TABLE", show_default=False, help="CSV, TSV, Excel or parquet.")
    ] = None,
    maximise: Annotated[
        list[str] | None, typer.Option("--maximise", "--maximize", rich_help_panel=_GOAL, help="Column or formula.")
    ] = None,
    minimise: Annotated[
        list[str] | None, typer.Option("--minimise", "--minimize", rich_help_panel=_GOAL, help="Column or formula.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(rich_help_panel=_GOAL, help="A value to come near: 'strength=120'.")
    ] = None,
    given: Annotated[
        list[str] | None, typer.Option(rich_help_panel=_GOAL, help="What must hold: 'Water <= 180'.")
    ] = None,
    outcome: Annotated[
        list[str] | None,
        typer.Option(
            rich_help_panel=_TABLE, help="Column that is measured, not set (those that stand alone as a goal)."
        ),
    ] = None,
    ignore: tables.Ignore = None,
    rules: tables.Rules = None,
    kinds: tables.Kinds = None,
    units: tables.Units = None,
    schema: tables.Schema = None,
    sheet: tables.Sheet = None,
    count: Annotated[int, typer.Option(rich_help_panel=_BUDGET, min=1, help="Candidates to list.")] = 50,
    batch: Annotated[
        int | None, typer.Option(rich_help_panel=_BUDGET, min=0, help="Experiments to propose next (8).")
    ] = None,
    minutes: Annotated[float | None, typer.Option(rich_help_panel=_BUDGET, help="Time for all of it (5).")] = None,
    generator: Annotated[
        str, typer.Option(rich_help_panel=_BUDGET, help="Table generator; auto tries several.")
    ] = "auto",
    seed: Annotated[int, typer.Option(rich_help_panel=_BUDGET, min=0, help="Same seed, same result.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Run folder to write.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run: learn from what was measured.")] = None,
    measured: Annotated[
        Path | None, typer.Option(help="With --resume: results by id, or rows with the table's columns.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find new rows that reach your goals, and the experiments to do next.

    A generator learns the rows of your table; a model predicts the goals with intervals that are checked on held-out
    rows. Candidates obey every rule and --given; each says whether it is like your data and which measured row is
    nearest. Several goals give a Pareto front. Goals are columns or formulas ('2*cement + 8*superplasticizer').

    The run folder holds report.html, candidates.csv, proposed.csv (the lab sheet), history.json, result.json and
    manifest.json. Do the experiments, write the results into proposed.csv (or a file for --measured, or the table
    itself) and type --resume run/: the run learns from them and proposes the next ones.
    """
    if resume is not None:
        _resume(context, resume, path, measured, batch, minutes, as_json)
        return
    if measured is not None:
        raise UserError("results belong to a run", "--measured", "name the run with --resume")
    if path is None:
        raise UserError("no table is named", mend="type such as: sozai design table.csv --maximise strength --out run/")
    if out is None:
        raise UserError("no run folder is named", "--out", "say where to write, such as --out run/")
    if minutes is not None and not minutes > 0:
        raise UserError("the time must be more than 0", "--minutes")
    from sozai.design.tables import Goal, design_table

    goals = [Goal.read("maximise", text) for text in maximise or ()]
    goals += [Goal.read("minimise", text) for text in minimise or ()]
    goals += [Goal.target(text) for text in target or ()]
    with progress("Designing", as_json) as on_progress:
        result = design_table(
            path,
            out,
            goals,
            given=given or (),
            rules=rules,
            count=count,
            batch=8 if batch is None else batch,
            outcomes=outcome or (),
            ignore=ignore or (),
            kinds=tables.pairs(kinds, "--kinds", "Age=count"),
            units=tables.pairs(units, "--units", "Strength=MPa"),
            schema=schema,
            sheet=sheet,
            generator=generator,
            minutes=5.0 if minutes is None else minutes,
            seed=seed,
            on_progress=on_progress,
        )
    emit(result, as_json, lambda console: summary(result, out, console))


def _resume(
    context: typer.Context,
    folder: Path,
    path: Path | None,
    measured: Path | None,
    batch: int | None,
    minutes: float | None,
    as_json: bool,
) -> None:
    """The next round of a run."""
    changeable = ("resume", "path", "measured", "batch", "minutes", "as_json")
    refuse_others(context, changeable, "--batch, --minutes, --measured and the table can be changed")
    from sozai.design.tables import resume_table

    resume_with(f"sozai design --resume {shlex.quote(str(folder))}")
    with progress("Designing", as_json) as on_progress:
        result = resume_table(
            folder, table=path, measured=measured, batch=batch, minutes=minutes, on_progress=on_progress
        )
    emit(result, as_json, lambda console: summary(result, folder, console))


def summary(result: dict[str, Any], out: Path, console: Console) -> None:
    """The best candidates, the proposals and how far to trust them, for a terminal."""
    from rich.markup import escape
    from rich.table import Table

    goals = result["goals"]
    for entry in goals:
        best = result["best_measured"][entry["text"]]
        console.print(f"{escape(entry['words'])} [dim](best of {result['rows']} rows: {_number(best)})[/dim]")
    for title, rows in (("candidates", result["candidates"][:8]), ("next experiments", result["proposals"])):
        if not rows:
            continue
        shown = Table("", *(escape(goal["text"]) for goal in goals), "like the data", "what to set", box=None,
                      pad_edge=False, header_style="bold")  # fmt: skip
        for row in rows:
            values = [_interval(row["goals"][goal["text"]]) for goal in goals]
            shown.add_row(row["id"], *values, "yes" if row["inside"] else "no", escape(_settings(row["inputs"])))
        console.print(f"\n[bold]{title.capitalize()}[/bold]")
        console.print(shown)
    for name, splits in result["generalization"].items():
        words = "; ".join(
            f"{each['question']}: R2 {each['r2']:.2f}, {each['coverage']:.0%} in the {result['level']:.0%} interval"
            for each in splits
        )
        console.print(f"\n{escape(name)} predicted on held-out rows: {words}")
    if result["results"]:
        hits = sum(each["inside"] for each in result["results"])
        console.print(f"\nOf {len(result['results'])} results {hits} were inside their interval.")
    for note in result["notes"]:
        where = f"{note['column']}: " if note["column"] else ""
        console.print(f"[dim]{escape(where + note['what'])}[/dim]")
    console.print(
        f"\n{result['seconds']:.0f} s. Report: [bold]{escape(str(out / 'report.html'))}[/bold]", soft_wrap=True
    )
    if result["proposals"]:
        again = f"sozai design --resume {shlex.quote(str(out))}"
        console.print(
            f"Results go into [bold]{escape(str(out / 'proposed.csv'))}[/bold]; then: {escape(again)}", soft_wrap=True
        )


def _settings(inputs: dict[str, Any]) -> str:
    used = {name: value for name, value in inputs.items() if value not in (0.0, None)}
    return ", ".join(f"{name} {_number(v) if isinstance(v, float) else v}" for name, v in used.items())


def _interval(value: dict[str, float]) -> str:
    if value["low"] == value["high"]:
        return _number(value["mean"])
    return f"{_number(value['mean'])} ({_number(value['low'])} to {_number(value['high'])})"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"
