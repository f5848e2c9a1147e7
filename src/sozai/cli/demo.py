"""``sozai demo``: a small real job, offline."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from sozai.cli.design import summary
from sozai.cli.frame import AsJson, emit, progress, resume_with

EXAMPLES = ("sozai demo", "sozai demo --out run/demo --minutes 4")
WISH = {"elements": "Mg,Mn,O", "targets": {"energy_above_hull": 0.0}}


def demo(
    out: Annotated[Path, typer.Option(help="Run folder to write; an unfinished demo there goes on.")] = Path(
        "run/demo"
    ),
    minutes: Annotated[float, typer.Option(help="Time for all of it.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Design oxides of magnesium and manganese (candidates for splitting water by light), as a first look at sozai.

    It is [bold]sozai design crystals --elements Mg,Mn,O[/bold] with everything at its default: 200 crystals
    generated, screened, relaxed, compared with the known ones, and told in report.html.
    """
    from sozai.design.crystals import design_crystals, resume_design

    resume_with(f"sozai demo --out {shlex.quote(str(out))}")
    begun = (out / "state" / "settings.json").exists()
    with progress("Designing", as_json) as on_progress:
        if begun:
            result = resume_design(out, minutes, on_progress)
        else:
            result = design_crystals(WISH, out, count=200, minutes=minutes, on_progress=on_progress)
    emit(result, as_json, lambda console: summary(result, out, console))
