"""``sozai solve``: an equation in words, LaTeX or plain mathematics, solved, and the solution proven."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sozai.cli import models
from sozai.cli.frame import AsJson, emit, progress
from sozai.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from sozai.assistant.equations.problem import Problem, Solution
    from sozai.assistant.models import LanguageModel

EXAMPLES = (
    'sozai solve "du/dt + u^2 = 0, u(0) = 1"',
    "sozai solve \"x'' + 2*z*w*x' + w^2 x = 0, x(0)=1, x'(0)=0, z=0.1, w=2, t=0..20\" --out run/",
    'sozai solve "heat equation on a 1 m rod, ends at 0, u = sin(pi x) at the start, D = 1e-4 m2/s, for 1 h"',
    r"sozai solve '\frac{\partial u}{\partial t} = D \nabla^2 u, 0<x<1, u(0,t)=u(1,t)=0, u(x,0)=\sin(\pi x), t=0..1'"
    " --set D=0.1",
    "sozai solve problem.yaml --check --json",
)

_LONGEST_LINE = 150
"""Characters of a condition that is shown; result.json has all."""


def solve(
    equation: Annotated[
        str,
        typer.Argument(
            help="The equation with its conditions, range and numbers: in words, LaTeX or plain mathematics; or a YAML "
            "file with equation, conditions, domain, parameters and time."
        ),
    ],
    numbers: Annotated[
        list[str] | None, typer.Option("--set", help="A number by name, e.g. D=0.1 or 'D=1e-4 m2/s'; repeat for more.")
    ] = None,
    end: Annotated[float | None, typer.Option(help="End of the time.")] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=1e-12,
            max=0.1,
            help="Error that is allowed, relative to the largest value; 1e-8 of ordinary, 1e-3 of partial differential "
            "equations where none is given.",
        ),
    ] = None,
    points: Annotated[
        int, typer.Option(min=2, max=1_000_000, help="Ordinary equations: rows of the table of the solution.")
    ] = 401,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report, the numbers and the script that makes them.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Read, classify and check the problem; do not solve it.")
    ] = False,
    model: models.Model = None,
    endpoint: models.Endpoint = None,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Questions to the model for a script.")] = 3,
    minutes: Annotated[float, typer.Option(min=0.05, help="At most this long.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Of random initial data.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Solve an equation and prove the solution.

    Ordinary, differential-algebraic and partial differential equations. What is missing or contradictory is named
    before anything is computed (exit code 2). The solution is then put into the equation, the order of convergence
    observed, a second method asked, and conserved quantities and a closed form looked for: the verdicts, an error bar,
    and a sentence on what was not shown come with the numbers.

    With [bold]--out[/bold] a folder gets report.html, solution.csv, result.json, manifest.json and script.py, which
    makes the same numbers with numpy and scipy alone.

    A language model, where one is named, translates words that sozai cannot read into an equation, which is shown, and
    proposes a script for a problem that sozai cannot solve or prove. The script runs in a sandbox only, and its numbers
    count only when they pass a proof; otherwise they are marked NOT PROVEN.
    """
    from contextlib import nullcontext
    from functools import cache

    from sozai.assistant.equations.problem import ORDINARY, PARTIAL
    from sozai.trust.manifest import Manifest

    settings = {
        "equation": equation,
        "set": numbers or [],
        "end": end,
        "tolerance": tolerance,
        "points": points,
        "minutes": minutes,
        "seed": seed,
        "model": model,
        "endpoint": endpoint,
        "rounds": rounds,
    }

    @cache
    def connected() -> LanguageModel:
        """Only where it is needed."""
        from sozai.assistant.models import connect

        assert model is not None
        return connect(model, endpoint=endpoint)

    asked = connected if model is not None else None
    is_file = equation.endswith((".yaml", ".yml"))
    record = Manifest(out, settings, seeds={"noise": seed}, data=[equation] if is_file else []) if out else None
    with record or nullcontext():
        problem, translated = _read(equation, is_file, numbers, end, asked, record)
        if check:
            _emit_check(problem, translated, as_json)
            return
        if tolerance is None:
            tolerance = ORDINARY if problem.kind != "pde" else PARTIAL
            if record is not None:
                record.record("tolerance", tolerance)
        options: dict[str, Any] = {"tolerance": tolerance, "minutes": minutes, "seed": seed, "points": points}
        with progress("Solving", as_json) as on_progress:
            solution, told = _solution(problem, options, asked, rounds, out, record, on_progress)
        from sozai.assistant.equations.results import as_result, write_run

        result = as_result(solution) | ({"translated": translated} if translated else {}) | told
        if out is not None:
            result["files"] = write_run(solution, result, out) | told.get("proposed", {}).get("files", {})
    emit(result, as_json, lambda console: _print(result, console))


def _read(
    equation: str,
    is_file: bool,
    numbers: list[str] | None,
    end: float | None,
    asked: Callable[[], LanguageModel] | None,
    record: Any,
) -> tuple[Problem, dict[str, Any] | None]:
    """The problem, and how a language model wrote it where one was needed."""
    from sozai.assistant.equations.parse import read_problem, read_problem_file

    pairs = {}
    for text in numbers or []:
        name, sign, value = text.partition("=")
        if not sign or not name.strip() or not value.strip():
            raise UserError("a number is given as NAME=VALUE", f"--set {text}", "e.g. --set D=0.1")
        pairs[name.strip()] = value.strip()
    if is_file:
        return read_problem_file(Path(equation), parameters=pairs, end=end), None
    if asked is None:
        return read_problem(equation, parameters=pairs, end=end), None
    from sozai.assistant.equations.translate import translate

    try:
        return read_problem(equation, parameters=pairs, end=end), None  # a model is asked only where it is needed
    except UserError as error:
        problem, told = translate(equation, asked(), str(error), parameters=pairs, end=end)
        if record is not None:
            record.record("translated", told)
        return problem, told


def _solution(
    problem: Problem,
    options: dict[str, Any],
    asked: Callable[[], LanguageModel] | None,
    rounds: int,
    out: Path | None,
    record: Any,
    on_progress: Any,
) -> tuple[Solution, dict[str, Any]]:
    """The solution, and what came of asking a language model for a script where one was."""
    if asked is None:
        from sozai.assistant.equations.solve import solve as work

        return work(problem, **options, on_progress=on_progress), {}
    from sozai.assistant.equations.proposed import keep, solve_or_propose

    solution, made, reason = solve_or_propose(problem, asked, **options, rounds=rounds, on_progress=on_progress)
    told: dict[str, Any] = {}
    if made is not None:
        talk = made.to_dict()
        told = {"model": talk["model"], "reason": reason, "passed": made.proven, "rounds": talk["rounds"]}
        told |= {"isolation": [ran["isolation"] for runs in talk["runs"] for ran in runs], "summary": made.sentence()}
        if record is not None and out is not None:
            told["files"] = keep(made, problem, out)
            record.record("proposed", {key: told[key] for key in ("model", "reason", "passed", "summary", "isolation")})
    if solution is None:
        assert made is not None
        raise UserError(
            f"sozai's own methods: {reason.rstrip('.')}. {made.sentence()}",
            mend="see the scripts and verdicts in the run folder" if out else "keep the scripts with --out FOLDER",
        )
    return solution, {"proposed": told} if told else {}


def _emit_check(problem: Problem, translated: dict[str, Any] | None, as_json: bool) -> None:
    from sozai.assistant.equations.classify import classify
    from sozai.assistant.equations.results import as_statement
    from sozai.assistant.equations.wellposed import refuse_ill_posed

    soft = refuse_ill_posed(problem)
    result: dict[str, Any] = {
        "problem": as_statement(problem),
        "classified": classify(problem),
        "warnings": [v.message for v in soft if v.passed is False],
    }
    if translated:
        result["translated"] = translated

    def show(console: Console) -> None:
        _print_problem(result["problem"], console)
        console.print(
            "  ".join(f"{key}: {value}" for key, value in result["classified"].items()), style="dim", markup=False
        )
        for warning in result["warnings"]:
            console.print(f"! {warning}", markup=False)
        console.print("Nothing speaks against one solution; it was not computed (--check).")

    emit(result, as_json, show)


def _print_problem(statement: dict[str, Any], console: Console) -> None:
    for line in statement["equations"]:
        console.print(f"  {line}", markup=False)
    for line in statement["conditions"]:
        if len(line) > _LONGEST_LINE:  # such as the waves of a random start
            line = f"{line[:_LONGEST_LINE].rsplit(' ', 1)[0]} … {line[line.rfind(' at ') :].strip()}"
        console.print(f"  {line}", style="dim", markup=False)
    rest = [*statement["domain"], *statement["parameters"]]
    if rest:
        console.print("  " + ", ".join(rest), style="dim", markup=False)
    for note in statement["notes"]:
        console.print(f"  note: {note}", style="dim", markup=False)


def _print(result: dict[str, Any], console: Console) -> None:
    """The equation as it was understood, the solution, the verdicts, and what was shown."""
    if "translated" in result:
        console.print(f"Translated by {result['translated']['model']}; check that this is what you mean:", markup=False)
    _print_problem(result["problem"], console)
    console.print()
    if "proposed" in result:
        console.print(f"sozai's own methods: {result['proposed']['reason']}", markup=False)
        console.print(result["proposed"]["summary"], markup=False)
        console.print()
    for name, form in result["closed_form"].items():
        console.print(f"[bold]closed form[/bold]  {name} = ", end="")
        console.print(form, markup=False)
    for row in result["at_the_end"]:
        unit = f" {row['unit']}" if "unit" in row else ""
        where = f"  ({row['where']})" if "where" in row else ""
        console.print(f"{row['what']} = {row['value']:.10g}  ± {row['error']:.1e}{unit}{where}", markup=False)
    console.print(result["method"], style="dim", markup=False)
    console.print()
    marks = {True: "[green]held[/green]    ", False: "[red]FAILED[/red]  ", None: "[yellow]open[/yellow]    "}
    for verdict in result["verdicts"]:
        console.print(marks[verdict["passed"]], end=" ")
        console.print(f"{verdict['rule'].replace('_', ' ')}: {verdict['message']}", markup=False)
    console.print()
    for note in result["notes"]:
        if note not in result["problem"]["notes"]:
            console.print(f"note: {note}", markup=False)
    console.print(result["shown"], style="bold" if result["proven"] else "bold red", markup=False)
    if "files" in result:
        console.print("Written: " + ", ".join(result["files"].values()), markup=False)
