"""``sozai screen``: the funnel on anybody's crystals."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from sozai.cli import wishes
from sozai.cli.design import summary
from sozai.cli.frame import AsJson, emit, progress, resume_with

EXAMPLES = (
    "sozai screen mattergen_output/ --out run/screened",
    "sozai screen colleague.cif.zip --relax 40 --minutes 5 --out run/screened",
    "sozai screen structures.extxyz --elements Li,P,S --keep-known --out run/screened",
)


def screen(
    path: Annotated[
        Path, typer.Argument(help="A crystal file (CIF, POSCAR, extxyz, pymatgen JSON, parquet), a folder or a zip.")
    ],
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    elements: wishes.Elements = None,
    require: wishes.Require = None,
    exclude: wishes.Exclude = None,
    formula: wishes.Formula = None,
    space_group: wishes.SpaceGroup = None,
    min_atoms: wishes.MinAtoms = None,
    max_atoms: wishes.MaxAtoms = None,
    relax: Annotated[int | None, typer.Option(help="Relax at most this many, best ranked first.")] = None,
    minutes: Annotated[float, typer.Option(help="Time for all of it.")] = 5.0,
    rules: Annotated[Path | None, typer.Option(help="Your own rule file (YAML).")] = None,
    keep_known: Annotated[
        bool, typer.Option("--keep-known", help="Do not drop known materials, only name them.")
    ] = False,
    second_opinion: Annotated[bool, typer.Option(help="Judge candidates by SevenNet too, if installed.")] = True,
    processes: Annotated[int | None, typer.Option(min=1, help="Relaxation workers (one a core).")] = None,
    as_json: AsJson = False,
) -> None:
    """Screen crystals from anywhere: valid, unique, novel, relaxed, stable; with counts and reasons.

    Files from MatterGen, CDVAE or a colleague go through the same funnel as sozai's own crystals, and get the
    same report. A file that cannot be read is named with the reason, and the others go on.

    The same command again goes on where it was interrupted: finished relaxations are kept in the run folder.
    """
    from sozai.design.crystals import screen_crystals
    from sozai.materials.crystal_files import read_crystals
    from sozai.trust.manifest import command_line

    conditions = wishes.conditions(elements, None, require, exclude, formula, None, space_group, min_atoms, max_atoms)
    resume_with(command_line())
    with progress("Screening", as_json) as on_progress:
        began = time.monotonic()
        crystals, problems = read_crystals(path, on_progress=on_progress)
        result = screen_crystals(
            crystals,
            problems,
            out,
            read_seconds=time.monotonic() - began,
            conditions=conditions,
            relax=relax,
            minutes=minutes,
            rules=rules,
            novel=not keep_known,
            second_opinion=second_opinion,
            processes=processes,
            source=path,
            on_progress=on_progress,
        )
    emit(result, as_json, lambda console: summary(result, out, console))
