"""``sozai design``: a goal in, ranked verified candidates out, of crystals or, given a table, of its rows."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from sozai.cli import design_table, wishes
from sozai.cli.frame import AsJson, add_command, emit, progress, refuse_others, resume_with
from sozai.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = (
    "sozai design crystals --elements Li,P,S --count 200 --minutes 5 --out run/",
    "sozai design crystals --formula Li3PS4 --space-group 31 --count 20 --minutes 1 --out run/electrolyte",
    "sozai design crystals --require Mg,O --exclude Pb,Cd --band-gap 4 --max-atoms 12 --out run/gap",
    "sozai design crystals --resume run/",
)
_BUDGET, _METHOD = "The budget", "The method"


class TableOrCommand(TyperGroup):
    """``sozai design table.csv ...`` is ``sozai design table table.csv ...``: what is no command is a table."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the table's command before its arguments."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names and _names_a_table(args[0]):
            args = ["table", *args]
        return super().parse_args(ctx, args)


def _names_a_table(word: str) -> bool:
    """Whether it is an option of the table's command or looks like a file; else it is a command mistyped."""
    return word.startswith("-") or bool(Path(word).suffix) or Path(word).exists()


app = typer.Typer(
    cls=TableOrCommand,
    no_args_is_help=True,
    help=(
        "A goal in, ranked and verified candidates out.\n\n"
        "[bold]sozai design TABLE --maximise COLUMN --out run/[/bold] finds new rows of a table of experiments and "
        "proposes the next ones ('sozai design table --help' has its options); "
        "[bold]sozai design crystals[/bold] finds crystal structures."
    ),
)


def crystals(
    context: typer.Context,
    elements: wishes.Elements = None,
    allow: wishes.Allow = None,
    require: wishes.Require = None,
    exclude: wishes.Exclude = None,
    formula: wishes.Formula = None,
    at_least: wishes.AtLeast = None,
    space_group: wishes.SpaceGroup = None,
    min_atoms: wishes.MinAtoms = None,
    max_atoms: wishes.MaxAtoms = None,
    energy_above_hull: wishes.EnergyAboveHull = None,
    formation_energy: wishes.FormationEnergy = None,
    band_gap: wishes.BandGap = None,
    bulk_modulus: wishes.BulkModulus = None,
    count: Annotated[int, typer.Option(rich_help_panel=_BUDGET, help="Crystals to generate.")] = 200,
    minutes: Annotated[float | None, typer.Option(rich_help_panel=_BUDGET, help="Time for all of it (5).")] = None,
    relax: Annotated[
        int | None, typer.Option(rich_help_panel=_BUDGET, help="Relax at most this many, best ranked first.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(rich_help_panel=_BUDGET, min=1, help="Relaxation workers (one a core).")
    ] = None,
    generator: Annotated[
        str, typer.Option(rich_help_panel=_METHOD, help="wyckoff-gpt, substitution or random.")
    ] = "wyckoff-gpt",
    weights: Annotated[
        Path | None, typer.Option(rich_help_panel=_METHOD, help="Folder of your own 'sozai train'.")
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(rich_help_panel=_METHOD, help="How strongly targets steer wyckoff-gpt (2).")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(rich_help_panel=_METHOD, help="Lower: more typical crystals; higher: bolder (0.7).")
    ] = None,
    rules: Annotated[Path | None, typer.Option(rich_help_panel=_METHOD, help="Your own rule file (YAML).")] = None,
    seed: Annotated[int, typer.Option(rich_help_panel=_METHOD, min=0, help="Same seed, same result.")] = 0,
    second_opinion: Annotated[
        bool, typer.Option(rich_help_panel=_METHOD, help="Judge candidates by SevenNet too, if installed.")
    ] = True,
    out: Annotated[Path | None, typer.Option(help="Run folder to write.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the interrupted run in this folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Generate new crystals for a wish, screen them, rank them, and write a report.

    Elements, formula, space group and number of atoms are [bold]exact[/bold]: every candidate obeys them,
    also after relaxation. Energies, band gap and bulk modulus are [bold]aims[/bold]: they steer the generator.

    The run folder holds report.html (open it in a browser, no network needed), candidates.csv,
    candidates.cif.zip, .extxyz and .parquet (same ids, same order), result.json and manifest.json. Ctrl-C loses
    nothing: go on with --resume.
    """
    from sozai.design.crystals import design_crystals, resume_design

    if resume is not None:
        refuse_others(context, ("resume", "minutes", "as_json"), "only --minutes can be changed")
        resume_with(f"sozai design crystals --resume {shlex.quote(str(resume))}")
        with progress("Designing", as_json) as on_progress:
            result = resume_design(resume, minutes, on_progress)
        emit(result, as_json, lambda console: summary(result, resume, console))
        return
    if out is None:
        raise UserError("no run folder is named", "--out", "say where to write, such as --out run/")
    targets = {
        "energy_above_hull": energy_above_hull,
        "formation_energy": formation_energy,
        "band_gap": band_gap,
        "bulk_modulus": bulk_modulus,
    }
    if energy_above_hull is None and generator == "wyckoff-gpt":
        targets["energy_above_hull"] = 0.0  # whoever designs a material wants one that holds together
    conditions = wishes.conditions(
        elements, allow, require, exclude, formula, at_least, space_group, min_atoms, max_atoms, targets
    )
    resume_with(f"sozai design crystals --resume {shlex.quote(str(out))}")
    with progress("Designing", as_json) as on_progress:
        result = design_crystals(
            conditions,
            out,
            count=count,
            minutes=5.0 if minutes is None else minutes,
            relax=relax,
            generator=generator,
            weights=weights,
            guidance=guidance,
            temperature=temperature,
            rules=rules,
            seed=seed,
            second_opinion=second_opinion,
            processes=processes,
            on_progress=on_progress,
        )
    emit(result, as_json, lambda console: summary(result, out, console))


def summary(result: dict[str, Any], out: Path, console: Console) -> None:
    """The funnel and the best candidates, for a terminal."""
    from rich.table import Table

    table = Table("stage", "left", "seconds", "fell out", box=None, pad_edge=False, header_style="bold")
    for stage in result["funnel"]:
        reasons = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in stage["dropped"].items())
        table.add_row(stage["stage"], str(stage["count"]), f"{stage['seconds']:.1f}", reasons)
    console.print(table)
    best = Table(
        "", "formula", "space group", "above hull", "p(<0.1)", "SevenNet", "nearest known",
        box=None, pad_edge=False, header_style="bold",
    )  # fmt: skip
    for record in result["candidates"][:10]:
        opinion = (record["second_opinion"] or {}).get("energy_above_hull")
        nearest = record["nearest_known"]
        best.add_row(
            str(record["rank"]),
            record["formula"],
            f"{record['space_group']['symbol']} ({record['space_group']['number']})",
            _number(record["energy_above_hull"]),
            _number(record["probability_metastable"], "{:.2f}"),
            _number(opinion),
            f"{nearest['id']}, {nearest['note']}" if nearest else "no known material of this formula",
        )
    if result["candidates"]:
        many = len(result["candidates"])
        console.print(f"\n[bold]{many} candidate{'s' if many > 1 else ''}[/bold] (eV/atom above the hull)")
        console.print(best)
    else:
        console.print("\n[bold]No candidate is left.[/bold] The report tells where each one fell out.")
    energy = "" if result.get("energy_wh") is None else f", {result['energy_wh']:.2f} Wh"
    console.print(f"\n{result['seconds']:.0f} s{energy}. Report: [bold]{out / 'report.html'}[/bold]", soft_wrap=True)


def _number(value: float | None, form: str = "{:.3f}") -> str:
    return "unknown" if value is None else form.format(value)


add_command(app, crystals, *EXAMPLES)
add_command(app, design_table.table, *design_table.EXAMPLES)
