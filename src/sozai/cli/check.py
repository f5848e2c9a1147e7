"""``sozai check``: crystals against the rules of materials science."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sozai.cli.frame import AsJson, emit, progress

if TYPE_CHECKING:
    from rich.console import Console

    from sozai.knowledge.verdict import Verdict
    from sozai.materials.crystal import Crystal, Problem

EXAMPLES = (
    "sozai check quartz.cif",
    "sozai check candidates.zip --level full",
    "sozai check my_folder/ --rules my_rules.yaml --json > verdicts.json",
)
SHOWN = 20  # crystals whose verdicts are printed one by one; a summary tells of the rest


def check(
    path: Annotated[
        Path, typer.Argument(help="A crystal file (CIF, POSCAR, extxyz, pymatgen JSON, parquet), a folder or a zip.")
    ],
    rules: Annotated[Path | None, typer.Option(help="Your own rule file (YAML); by default sozai's.")] = None,
    level: Annotated[
        Literal["fast", "full"],
        typer.Option(help="full: also the slower rules, such as bond valences and coordination."),
    ] = "full",
    limit: Annotated[int | None, typer.Option(min=1, help="Check only the first this many crystals.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check crystals against the rules: charge balance, distances, volume, symmetry, and more.

    Each rule gives a verdict: passed, failed (with the amount and what to do about it), or not decided.
    A [bold]hard[/bold] failure would remove the crystal from the funnel; a [bold]soft[/bold] one is told.
    A file that cannot be read is named with the reason, and the others are checked. The exit code is 0
    whatever the verdicts: read them in the output; it is 2 when nothing could be checked.
    """
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
