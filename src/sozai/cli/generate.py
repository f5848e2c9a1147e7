"""``sozai generate``: samples of one generator, unscreened."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sozai.cli import wishes
from sozai.cli.frame import AsJson, emit, progress

EXAMPLES = (
    "sozai generate wyckoff-gpt --count 100 --out run/samples",
    "sozai generate substitution --elements Mg,Mn,O --count 50 --out run/samples",
)


def generate(
    name: Annotated[str, typer.Argument(help="wyckoff-gpt, substitution or random.")],
    out: Annotated[Path, typer.Option(help="Folder for samples.cif.zip, .extxyz, .parquet and .csv.")],
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
    count: Annotated[int, typer.Option(help="How many.")] = 100,
    weights: Annotated[Path | None, typer.Option(help="Folder of your own 'sozai train'.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same samples.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Draw crystals from one generator, neither relaxed nor screened.

    For a verified result use [bold]sozai design[/bold]; this is for those who compare generators.
    """
    from sozai.errors import UserError
    from sozai.files import output_folder
    from sozai.generators.catalog import generator
    from sozai.knowledge.crystals.wish import CrystalWish
    from sozai.materials.crystal_writers import write_crystals
    from sozai.trust.manifest import Manifest

    if count < 1:
        raise UserError(f"{count} crystals cannot be generated", "--count", "give a number of 1 or more")
    targets = {
        "energy_above_hull": energy_above_hull,
        "formation_energy": formation_energy,
        "band_gap": band_gap,
        "bulk_modulus": bulk_modulus,
    }
    wish = CrystalWish.of(
        **wishes.conditions(
            elements, allow, require, exclude, formula, at_least, space_group, min_atoms, max_atoms, targets
        )
    )
    source = generator(name, weights)
    settings = {"generator": name, "count": count, "wish": wish.to_dict()}
    with Manifest(output_folder(out), settings=settings, seeds={"generator": seed}) as manifest:
        manifest.record("generator", source.card())
        with progress("Generating", as_json) as on_progress:
            crystals = source.sample(count, wish, seed=seed, on_progress=on_progress)
        for crystal in crystals:
            crystal.properties = {
                **{key: crystal.provenance.get(key) for key in ("gene", "template", "method")},
            }
        written = write_crystals(crystals, out, stem="samples")
    result = {
        "generator": source.card(),
        "wish": wish.to_dict(),
        "asked": count,
        "written": len(crystals),
        "files": [str(path) for path in written],
        "seconds": manifest.cost()["seconds"],
    }
    emit(
        result,
        as_json,
        lambda console: console.print(f"{len(crystals)} crystals of {name} in {out} ({result['seconds']:.0f} s)"),
    )
