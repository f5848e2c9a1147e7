"""``sozai check`` on a table: the rows against rules, against each other, and against what the columns predict."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sozai.cli import tables
from sozai.cli.frame import emit, progress
from sozai.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from sozai.knowledge.tables.propose import Proposal
    from sozai.knowledge.tables.quality.changes import Apply, Change
    from sozai.knowledge.tables.quality.examine import Examination
    from sozai.materials.tables.table import Table

ENDINGS = (".csv", ".tsv", ".tab", ".txt", ".dat", ".xlsx", ".xlsm", ".xls", ".ods")
SHOWN = 15
MOST_ELEMENTS = 12


def is_table(path: Path) -> bool:
    """Whether a file is a table of experiments rather than crystals; of parquet its columns decide."""
    endings = [ending.lower() for ending in path.suffixes]
    last = endings[-2] if endings and endings[-1] == ".gz" and len(endings) > 1 else endings[-1] if endings else ""
    if last == ".parquet" and path.is_file():
        import pyarrow.parquet

        try:
            names = set(pyarrow.parquet.read_schema(path).names)
        except (OSError, ValueError):
            return False
        return not ({"lattice", "numbers", "frac_coords"} <= names or names & {"cif", "structure"})
    return last in ENDINGS


def check_table(
    path: Path,
    *,
    rules: Path | None,
    target: str | None,
    kinds: Sequence[str],
    units: Sequence[str],
    schema: Path | None,
    sheet: str | None,
    out: Path | None,
    apply: Apply,
    minutes: float,
    seed: int,
    as_json: bool,
) -> None:
    """Check one table; see ``sozai check --help``."""
    from contextlib import ExitStack

    from sozai.knowledge.tables.propose import propose
    from sozai.knowledge.tables.quality.changes import changes_of
    from sozai.knowledge.tables.quality.examine import examine
    from sozai.knowledge.tables.ruleset import TableRules
    from sozai.materials.tables.table import find
    from sozai.trust.manifest import Manifest

    begun = time.monotonic()
    with ExitStack() as stack:
        settings = {"target": target, "kinds": list(kinds), "units": list(units), "apply": apply, "sheet": sheet}
        manifest = None
        table = tables.read(path, schema, sheet, kinds, units)
        if target is not None:
            target = find(target, table.columns, "--target")
            if not table.columns[target].numeric:
                raise UserError(f"'{target}' holds no numbers", "--target", "name a column of numbers")
        given = TableRules()
        if rules is not None:
            given = TableRules.for_table(rules, table)
        if out is not None:
            inputs = [each for each in (path, rules, schema) if each is not None]
            manifest = stack.enter_context(Manifest(out, settings, seeds={"check": seed}, data=inputs))
        proposals = propose(table)
        with progress("Checking", as_json) as on_progress:
            examined = examine(
                table,
                given,
                found_rules=[proposal.rule for proposal in proposals if proposal.rule.severity == "soft"],
                target=target,
                context=_context(table),
                seed=seed,
                seconds=60 * minutes - (time.monotonic() - begun),
                on_progress=on_progress,
            )
        changes = changes_of(examined.findings, apply)
        result = result_of(table, examined, proposals, changes)
        files = write(out, table, examined, proposals, changes, result, manifest) if out is not None else []
        emit(
            result | {"files": [str(file) for file in files]},
            as_json,
            lambda console: render(console, table, examined, proposals, changes, files),
        )


def _context(table: Table) -> np.ndarray | None:
    """Shares of the commonest elements of formula columns: what an alloy is made of says what it should be like."""
    import numpy as np

    from sozai.materials.tables.compositions import matrix_of

    parts = []
    for name, column in table.columns.items():
        if column.kind == "formula":
            texts = [text if isinstance(text, str) else None for text in table.frame[name]]
            amounts, _ = matrix_of(texts)
            with np.errstate(invalid="ignore", divide="ignore"):
                shares = amounts / amounts.sum(1, keepdims=True)
            common = np.argsort(-np.nansum(shares > 0, axis=0), kind="stable")[:MOST_ELEMENTS]
            parts.append(shares[:, np.sort(common)])
    return np.column_stack(parts) if parts else None


def result_of(
    table: Table, examined: Examination, proposals: Sequence[Proposal], changes: Sequence[Change]
) -> dict[str, Any]:
    """``result.json``."""
    from dataclasses import asdict

    from sozai.knowledge.tables.quality.detector import THRESHOLD
    from sozai.materials.tables.read import description

    return {
        "source": table.source,
        "rows": len(table),
        "target": examined.target,
        "columns": description(table),
        "reading": [asdict(note) for note in table.notes],
        "notes": examined.notes,
        "threshold": THRESHOLD,
        "found": len(examined.told),
        "findings": [finding.to_dict() for finding in examined.findings],
        "changes": [asdict(change) for change in changes],
        "proposed_rules": [proposal.to_dict() for proposal in proposals],
    }


def write(
    folder: Path,
    table: Table,
    examined: Examination,
    proposals: Sequence[Proposal],
    changes: Sequence[Change],
    result: dict[str, Any],
    manifest: Any,
) -> list[Path]:
    """All files of the run; gives their paths."""
    from sozai.files import atomic, write_json
    from sozai.knowledge.tables.quality.changes import changed, log_of
    from sozai.knowledge.tables.ruleset import TableRules
    from sozai.materials.tables.read import write_schema
    from sozai.reports.page import write_page
    from sozai.reports.tables_check import check_page

    headings = {name: column.heading or name for name, column in table.columns.items()}
    with atomic(folder / "cleaned.csv") as stream:
        changed(table.frame, changes).rename(columns=headings).to_csv(stream, index=False)
    with atomic(folder / "changes.csv") as stream:
        log_of(changes).to_csv(stream, index=False)
    write_schema(table, folder / "schema.yaml")
    TableRules([proposal.rule for proposal in proposals]).save(folder / "proposed_rules.yaml")
    write_json(folder / "result.json", result)
    write_page(
        folder / "report.html", check_page(table, examined, proposals, changes, manifest.content if manifest else None)
    )
    names = ("report.html", "cleaned.csv", "changes.csv", "schema.yaml", "proposed_rules.yaml", "result.json")
    return [folder / name for name in names]


def render(
    console: Console,
    table: Table,
    examined: Examination,
    proposals: Sequence[Proposal],
    changes: Sequence[Change],
    files: Sequence[Path],
) -> None:
    """What a terminal shows."""
    from rich.markup import escape
    from rich.table import Table as Grid

    from sozai.knowledge.tables.quality.finding import STEPS
    from sozai.materials.tables.read import description

    console.print(f"[bold]{escape(table.source)}[/bold]  {len(table):,} rows, {len(table.columns)} columns")
    grid = Grid("column", "kind", "unit", "values", "missing", box=None, pad_edge=False, header_style="bold")
    for row in description(table):
        values = f"{row['range'][0]} to {row['range'][1]}" if row["range"] else ", ".join(row["levels"][:4])
        if row["range"] and not isinstance(row["range"][0], str):
            values = f"{row['range'][0]:.4g} to {row['range'][1]:.4g}"
        if len(row["levels"]) > 4:
            values += f" and {len(row['levels']) - 4} more"
        missing = str(row["missing"]) if row["missing"] else ""
        grid.add_row(escape(row["column"]), row["kind"], escape(row["unit"]), escape(values), missing)
    console.print(grid)
    console.print("[dim]Wrong? Correct it by --kinds COLUMN=KIND, --units COLUMN=UNIT or a --schema file.[/dim]")
    for note in examined.notes:
        console.print(f"[dim]{escape(note)}[/dim]")
    if examined.target:
        console.print(f"measured column: [bold]{escape(examined.target)}[/bold] [dim](--target names another)[/dim]")
    told = examined.told
    console.print(f"\n[bold]{len(told)} findings[/bold]" + (", most certain first" if told else ""))
    for step, words in STEPS.items():
        mine = [finding for finding in told if finding.step == step]
        if not mine:
            continue
        console.print(f"[bold]{words}[/bold] ({len(mine)})")
        twice = [finding for finding in mine if finding.kind == "duplicate"]
        if len(twice) > 2:
            mine = [finding for finding in mine if finding.kind != "duplicate"]
            rows = ", ".join("=".join(map(str, (each.row, *each.others))) for each in twice[:SHOWN])
            more = f" and {len(twice) - SHOWN} more sets" if len(twice) > SHOWN else ""
            console.print(
                f"  {len(twice)} sets of rows are equal in all columns: {rows}{more}; keep each on one side of a split"
            )
        for finding in mine[:SHOWN]:
            repair = ""
            if finding.repair is not None:
                new = ", ".join(
                    f"{name} {_shown(value)}" for name, value in zip(finding.columns, finding.repair, strict=True)
                )
                repair = f" [green]-> {escape(new)}[/green]"
            console.print(
                f"  row {finding.row}  [yellow]{escape(finding.kind)}[/yellow] {finding.confidence:.0%}  "
                f"{escape(finding.why)}{repair}"
            )
        if len(mine) > SHOWN:
            console.print(f"  ... and {len(mine) - SHOWN} more in the report")
    less = len(examined.findings) - len(told)
    if less:
        console.print(f"[dim]{less} weaker doubts are in the report and in --json.[/dim]")
    if proposals:
        console.print(f"\n[bold]{len(proposals)} rules that the rows suggest[/bold] (accept them by --rules)")
        for proposal in proposals[:8]:
            console.print(f"  {escape(proposal.rule.words())}  [dim]{escape(proposal.sentence)}[/dim]")
        if len(proposals) > 8:
            console.print(f"  ... and {len(proposals) - 8} more")
    cells = "1 cell is" if len(changes) == 1 else f"{len(changes)} cells are"
    where = "repaired in cleaned.csv, each with its record" if files else "evident enough to be repaired by --out"
    console.print(f"\n{cells} {where}; your file is untouched.")
    for file in files:
        console.print(f"  {escape(str(file))}")
    if not files:
        console.print("[dim]--out FOLDER writes the report, the cleaned table and the change log.[/dim]")


def _shown(value: Any) -> str:
    return "blank" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
