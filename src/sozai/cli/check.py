"""``sozai check``: crystals against the rules of materials science; a table is handed to ``check_table``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sozai.cli import tables
from sozai.cli.frame import AsJson, emit, progress

if TYPE_CHECKING:
    from rich.console import Console

    from sozai.knowledge.verdict import Verdict
    from sozai.materials.crystal import Crystal, Problem

EXAMPLES = (
    "sozai check quartz.cif",
    "sozai check candidates.zip --level full",
    "sozai check my_folder/ --rules my_rules.yaml --json > verdicts.json",
    "sozai check concrete.csv --target Strength --out run/",
    'sozai check uhpc.xlsx --rules mix_rules.yaml --units "W=kg/m^3"',
)
SHOWN = 20  # crystals whose verdicts are printed one by one; a summary tells of the rest


def check(
    path: Annotated[
        Path,
        typer.Argument(
            help="A crystal file (CIF, POSCAR, extxyz, pymatgen JSON, parquet), a folder or a zip of them; or a table "
            "of experiments (CSV, TSV, Excel, parquet)."
        ),
    ],
    rules: tables.Rules = None,
    level: Annotated[
        Literal["fast", "full"],
        typer.Option(help="Crystals: full: also the slower rules, such as bond valences and coordination."),
    ] = "full",
    limit: Annotated[int | None, typer.Option(min=1, help="Crystals: check only the first this many.")] = None,
    target: Annotated[
        str | None, typer.Option(help="Table: the measured column; by default a guess, which is told.")
    ] = None,
    kinds: tables.Kinds = None,
    units: tables.Units = None,
    schema: tables.Schema = None,
    sheet: tables.Sheet = None,
    out: Annotated[
        Path | None, typer.Option(help="Table: folder for the report, the cleaned table and the change log.")
    ] = None,
    apply: Annotated[
        Literal["sure", "all", "blank", "none"],
        typer.Option(
            help="Table: which repairs cleaned.csv holds: sure: evident slips; all: all proposed ones; blank: these, "
            "and doubtful values without a repair are emptied."
        ),
    ] = "sure",
    minutes: Annotated[
        float, typer.Option(min=0.1, help="Table: at most this long; a table that needs longer is judged in part.")
    ] = 10.0,
    seed: Annotated[int, typer.Option(help="Table: of all random choices.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Check crystals against the rules of materials science, or a table of experiments for errors.

    Of a crystal each rule (charge balance, distances, volume, symmetry, and more) gives a verdict: passed, failed
    (with the amount and what to do about it), or not decided.
    A [bold]hard[/bold] failure would remove the crystal from the funnel; a [bold]soft[/bold] one is told.

    Of a table every row is checked in three steps: single values (typos, unit slips, codes for missing ones), several
    columns together (exchanged columns, broken rules and sums, values that do not fit their row), whole samples
    (duplicates, contradictions, rows that stand alone). Each finding names row, column, reason and confidence, and a
    repair where one can be justified. Your file is never changed: repairs go to a cleaned copy, each with its record.

    A file that cannot be read is named with the reason, and the others are checked. The exit code is 0
    whatever the verdicts: read them in the output; it is 2 when nothing could be checked.
    """
    from sozai.cli.check_table import check_table, is_table

    if is_table(path):
        check_table(
            path,
            rules=rules,
            target=target,
            kinds=kinds or (),
            units=units or (),
            schema=schema,
            sheet=sheet,
            out=out,
            apply=apply,
            minutes=minutes,
            seed=seed,
            as_json=as_json,
        )
        return
    from sozai.knowledge.crystals.ruleset import CrystalRules
    from sozai.materials.crystal_files import read_crystals

    ruleset = CrystalRules.load(rules)
    with progress("Reading", as_json) as on_progress:
        crystals, problems = read_crystals(path, limit=limit, on_progress=on_progress)
    judged: list[tuple[Crystal, list[Verdict]]] = []
    with progress("Checking", as_json) as on_progress:
        for done, crystal in enumerate(crystals, start=1):
            judged.append((crystal, ruleset.check(crystal.structure, None, level)))
            on_progress(done, len(crystals), crystal.id)
    emit(_result(judged, problems), as_json, lambda console: _render(judged, problems, console))


def _result(judged: Sequence[tuple[Crystal, Sequence[Verdict]]], problems: Sequence[Problem]) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "crystals": [
            {
                "id": crystal.id,
                "file": crystal.provenance.get("file", ""),
                "formula": crystal.structure.composition.reduced_formula,
                "n_sites": len(crystal.structure),
                "sound": not any(verdict.fatal for verdict in verdicts),
                "notes": crystal.provenance.get("notes", []),
                "verdicts": [verdict.to_dict() for verdict in verdicts],
            }
            for crystal, verdicts in judged
        ],
        "problems": [asdict(problem) for problem in problems],
    }


def _render(judged: Sequence[tuple[Crystal, Sequence[Verdict]]], problems: Sequence[Problem], console: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    for crystal, verdicts in judged[:SHOWN]:
        structure = crystal.structure
        sound = not any(verdict.fatal for verdict in verdicts)
        word = "[green]sound[/green]" if sound else "[red]unsound[/red]"
        console.print(
            f"[bold]{escape(crystal.id)}[/bold]  {structure.composition.reduced_formula}, "
            f"{len(structure)} atoms: {word}"
        )
        for note in crystal.provenance.get("notes", []):
            console.print(f"  [yellow]read with care[/yellow]  {escape(note)}")
        table = Table.grid(padding=(0, 1))
        for verdict in verdicts:
            table.add_row(" ", _mark(verdict), verdict.rule, escape(verdict.message))
        console.print(table)
    if len(judged) > SHOWN:
        console.print(f"... and {len(judged) - SHOWN} more; --json gives the verdicts on all.")
    console.print("[dim]ok passed, NO failed a hard rule, hm failed a soft one, - not asked for or not decided[/dim]")
    if len(judged) > 1:
        _summary(judged, console)
    if problems:
        console.print(f"\n[bold]{len(problems)} could not be used[/bold]")
        for problem in problems[:SHOWN]:
            console.print(f"  {escape(problem.sentence())}")
        if len(problems) > SHOWN:
            console.print(f"  ... and {len(problems) - SHOWN} more; --json names all.")


def _mark(verdict: Verdict) -> str:
    if verdict.passed is None:
        return "[dim]-[/dim]"
    if verdict.passed:
        return "[green]ok[/green]"
    return "[red]NO[/red]" if verdict.severity == "hard" else "[yellow]hm[/yellow]"


def _summary(judged: Sequence[tuple[Crystal, Sequence[Verdict]]], console: Console) -> None:
    from rich.table import Table

    passed, failed, open_ = Counter[str](), Counter[str](), Counter[str]()
    severity: dict[str, str] = {}
    for _, verdicts in judged:
        for verdict in verdicts:
            severity[verdict.rule] = verdict.severity
            counter = open_ if verdict.passed is None else passed if verdict.passed else failed
            counter[verdict.rule] += 1
    sound = sum(not any(verdict.fatal for verdict in verdicts) for _, verdicts in judged)
    console.print(f"\n[bold]{sound} of {len(judged)} crystals are sound[/bold]")
    table = Table("rule", "", "passed", "failed", "not decided", box=None, pad_edge=False, header_style="bold")
    for rule, kind in severity.items():
        table.add_row(rule, kind, str(passed[rule]), str(failed[rule]), str(open_[rule]))
    console.print(table)
