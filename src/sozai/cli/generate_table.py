"""``sozai generate --table``: rows like those of a table, by the generator that suits it best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sozai.cli import tables
from sozai.cli.frame import emit, progress
from sozai.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from sozai.materials.tables.table import Table

SAMPLES, GENERATOR = "samples.csv", "generator"
PARTS = {
    "shapes": "shapes",
    "two_sample_auc": "two-sample AUC",
    "r2": "R2",
    "r2_real": "R2 real",
    "distance": "distance",
}


def generate_table(
    path: Path,
    out: Path,
    count: int,
    *,
    target: str | None = None,
    given: Sequence[str] = (),
    rules: Path | None = None,
    method: str = "auto",
    minutes: float = 2.0,
    schema: Path | None = None,
    sheet: str | None = None,
    kinds: Sequence[str] = (),
    units: Sequence[str] = (),
    ignore: Sequence[str] = (),
    missing: str = "keep",
    seed: int = 0,
    as_json: bool = False,
) -> None:
    """Fit on a table and draw rows; writes ``samples.csv``, ``result.json``, ``manifest.json`` and the generator.

    Raises:
        UserError: a file cannot be read, a name is unknown, or the conditions are out of reach.
    """
    from sozai.files import output_folder, write_json
    from sozai.generators.tables.choice import CANDIDATES, choose
    from sozai.generators.tables.given import Wish
    from sozai.generators.tables.names import TABLE_GENERATORS
    from sozai.knowledge.tables.ruleset import TableRules, rules_of
    from sozai.trust.manifest import Manifest

    if method != "auto" and method not in TABLE_GENERATORS:
        raise UserError(f"there is no generator of tables '{method}'", "--method",
                        f"use auto or one of {', '.join(TABLE_GENERATORS)}")  # fmt: skip
    if not (math.isfinite(minutes) and minutes > 0):
        raise UserError(f"{minutes:g} minutes are no time to work in", "--minutes", "give a number above 0")
    table = tables.read(path, schema, sheet, kinds, units)
    left_out = {table.column(name).name for name in ignore}
    table = table.select([name for name in table.columns if name not in left_out])
    target = None if target is None else table.column(target).name
    asked = rules_of(table)
    if rules is not None:
        asked = asked + TableRules.for_table(rules, table)
    Wish(list(given), table.select(table.modelled), asked)  # before minutes are spent
    settings = {"table": str(path), "target": target, "given": list(given), "count": count, "method": method,
                "minutes": minutes, "missing": missing, "kinds": list(kinds), "units": list(units),
                "ignore": list(ignore), "sheet": sheet}  # fmt: skip
    inputs = [each for each in (path, rules, schema) if each is not None]
    with Manifest(output_folder(out), settings=settings, seeds={"generator": seed}, data=inputs) as manifest:
        with progress("Choosing a generator" if method == "auto" else f"Fitting {method}", as_json) as on_progress:
            names = CANDIDATES if method == "auto" else [method]
            source, tried = choose(table, asked, target, minutes * 60, seed, on_progress, names=names, missing=missing)
            made = source.sample(count, given, seed=seed, on_progress=on_progress)
        source.save(out / GENERATOR)
        result = {
            "generator": source.card(),
            "given": list(given),
            "rules": [rule.words() for rule in asked.hard],
            "written": len(made),
            "broken": int((~asked.obeyed(made)).sum()) if set(table.columns) == set(made.columns) else None,
            "tried": tried,
            "left_out": [name for name in table.columns if name not in table.modelled],
            "files": [str(out / SAMPLES)],
            "seconds": manifest.cost()["seconds"],
        }
        _write(made, table, out / SAMPLES)
        write_json(out / "result.json", result)
    emit(result, as_json, lambda console: _render(result, console))


def generate_from(
    folder: Path, out: Path, count: int, given: Sequence[str] = (), seed: int = 0, as_json: bool = False
) -> None:
    """Draw rows of a generator of tables that was saved before.

    Raises:
        UserError: the files are damaged, or the conditions are out of reach.
    """
    from sozai.files import output_folder, write_json
    from sozai.generators.tables.names import load_table_generator
    from sozai.generators.tables.rows import RowGenerator
    from sozai.trust.manifest import Manifest

    source = load_table_generator(folder)
    assert isinstance(source, RowGenerator)
    if out.resolve() == folder.resolve():
        raise UserError("the samples would go among the weights", "--out", "name another folder")
    settings = {"generator": str(folder), "count": count, "given": list(given)}
    with Manifest(output_folder(out), settings=settings, seeds={"generator": seed}, data=[folder]) as manifest:
        with progress("Generating", as_json) as on_progress:
            made = source.sample(count, given, seed=seed, on_progress=on_progress)
        _write(made, source.known, out / SAMPLES)
        result = {"generator": source.card(), "given": list(given), "written": len(made),
                  "files": [str(out / SAMPLES)], "tried": [], "seconds": manifest.cost()["seconds"]}  # fmt: skip
        write_json(out / "result.json", result)
    emit(result, as_json, lambda console: _render(result, console))


def _write(made: pd.DataFrame, table: Table, path: Path) -> None:
    """Rows as the table writes them: counts without a decimal point, units in the headings."""
    from sozai.files import atomic

    rows = made.copy()
    for name in rows.columns:
        if table.columns[name].kind == "count":
            rows[name] = rows[name].round().astype("Int64")
    heads = {
        name: f"{name} [{table.columns[name].unit}]" if table.columns[name].unit else name for name in rows.columns
    }
    with atomic(path) as stream:
        # Twelve digits: fewer would break sums and formulas that hold exactly.
        rows.rename(columns=heads).to_csv(stream, index=False, float_format="%.12g")


def _render(result: dict[str, Any], console: Console) -> None:
    from rich.table import Table as Grid

    judged = [each for each in result["tried"] if each.get("score") is not None]
    if judged:
        console.print("Judged on rows that the generators had not seen:")
        grid = Grid("generator", "score", *PARTS.values(), "fit, CPU s", box=None, pad_edge=False, header_style="bold")
        for each in judged:
            numbers = [each["score"], *(each.get(key) for key in PARTS), each.get("fit_seconds")]
            grid.add_row(each["name"], *("-" if value is None else f"{value:.2f}" for value in numbers))
        console.print(grid)
    for each in result["tried"]:
        if each.get("score") is None:
            console.print(f"{each['name']}: {each['note']}", markup=False)
    card = result["generator"]
    if audit := card.get("audit"):
        console.print(f"Audit: {audit.get('sentence') or audit.get('note')}", markup=False)
    if result.get("left_out"):
        console.print(f"Not modelled: {', '.join(result['left_out'])}", markup=False)
    console.print(f"{result['written']} rows by {card['name']} in {result['files'][0]} ({result['seconds']:.0f} s)",
                  markup=False)  # fmt: skip
