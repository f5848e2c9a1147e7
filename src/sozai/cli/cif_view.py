"""How ``sozai cif`` prints what it judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from sozai.assistant.structures.run import Judged

_FINDINGS = {"error": "[red]NO[/red]", "warning": "[yellow]hm[/yellow]", "note": "[dim]-[/dim]"}
_VERDICTS = {True: "[green]ok[/green]", False: "[red]NO[/red]", None: "[dim]-[/dim]"}


def sentence(result: dict[str, Any], judged: Sequence[Judged]) -> str:
    """The one sentence that a person should take away."""
    cut = f" It was cut short ({result['cut_short']}): the same command goes on." if result.get("cut_short") else ""
    if not judged:
        return f"No structure came of it.{cut}"
    best = judged[0]
    if result["kind"] != "check":
        word = (
            "passes every check"
            if best.passed
            else f"FAILED: {', '.join(best.failed)}"
            if best.failed
            else "is undecided"
        )
        more = f"; undecided: {', '.join(best.open)}" if best.open and not best.passed else ""
        others = " The others are for comparison." if len(judged) > 1 else ""
        return f"The best structure {word}{more}.{others}{cut}"
    failed = [item for item in judged if not item.passed]
    if not failed:
        notes = any(f.alarm for item in judged if item.audit for f in item.audit.findings)
        return "Every check passed." if not notes else "Every check passed; there are warnings."
    names = dict.fromkeys(name for item in failed for name in item.failed)
    undecided = dict.fromkeys(name for item in failed for name in item.open)
    parts = [f"failed: {', '.join(names)}"] if names else []
    parts += [f"undecided: {', '.join(undecided)}"] if undecided else []
    return f"{len(failed)} of {len(judged)} did not pass ({'; '.join(parts)})."


def render(result: Mapping[str, Any], judged: Sequence[Judged], folder: Path | None, console: Console) -> None:
    """Files: each in full. Built or proposed structures: the best in full, the others in a line."""
    from rich.markup import escape

    if result.get("not_read"):
        console.print(f"[yellow]The words were not read as rules:[/yellow] {escape(result['not_read'])}")
    for place, item in enumerate(judged):
        _heading(item, console)
        if result["kind"] == "check" or place == 0:
            _details(item, console)
        elif not item.passed:
            console.print(f"  {escape(', '.join([*item.failed, *(f'{name} (undecided)' for name in item.open)]))}")
    if result.get("transcript"):
        told = result["transcript"]
        console.print(f"{len(told['rounds'])} rounds with {escape(told['model'])}: {escape(told['stopped'])}")
    console.print(f"[bold]{escape(result['verdict'])}[/bold]")
    if folder is not None:
        console.print(f"Report: {folder / 'report.html'}", soft_wrap=True)


def _heading(item: Judged, console: Console) -> None:
    from rich.markup import escape

    word = "[red]FAILED[/red]" if item.failed else "[yellow]undecided[/yellow]"
    parts = []
    if item.structure is not None:
        parts.append(f"{item.structure.composition.reduced_formula}, {len(item.structure)} atoms")
    energy = item.facts.get("energy_per_atom_ev")
    if energy is not None and energy == energy:
        force, limit = item.facts["max_force_ev_per_angstrom"], item.facts["force_limit_ev_per_angstrom"]
        parts.append(f"{energy:.4f} eV/atom, largest force {force:.3f} eV/angstrom (limit {limit:g})")
    if "relaxed_energy_ev_per_atom" in item.facts:
        parts.append("as fitted: its relaxation was taken back, see the report")
    told = f"  {'; '.join(parts)}" if parts else ""
    console.print(f"[bold]{escape(item.name)}[/bold]{told}: {'[green]passed[/green]' if item.passed else word}")
    if item.problem:
        console.print(f"  [red]unreadable[/red]  {escape(item.problem)}")
    if "disordered" in item.facts:
        console.print(f"  [dim]{escape(item.facts['disordered'])}; that is no defect of a file[/dim]")


def _details(item: Judged, console: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    grid = Table.grid(padding=(0, 1))
    for finding in item.audit.findings if item.audit else ():
        grid.add_row(" ", _FINDINGS[finding.severity], finding.code, escape(finding.sentence()))
    if item.audit is not None and not item.audit.findings:
        grid.add_row(" ", _VERDICTS[True], "file", "No defect was found in the file itself.")
    for verdict in item.verdicts:
        grid.add_row(" ", _VERDICTS[verdict.passed], verdict.rule, escape(verdict.message))
    console.print(grid)
