"""``sozai generate``: samples of one generator, unscreened; or rows like those of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sozai.cli import tables, wishes
from sozai.cli.frame import AsJson, emit, progress

EXAMPLES = (
    "sozai generate wyckoff-gpt --count 100 --out run/samples",
    "sozai generate substitution --elements Mg,Mn,O --count 50 --out run/samples",
    "sozai generate --table concrete.csv --target Strength --given 'Strength >= 60' --count 500 --out run/rows",
    "sozai generate run/ddpm --given Strength=60 --count 500 --set steps=20 --out run/new",
)


def generate(
    out: Annotated[Path, typer.Option(help="Folder for the samples.")],
    name: Annotated[
        str, typer.Argument(help="wyckoff-gpt, substitution, random, or the folder of a generator; not with --table.")
    ] = "",
    table: Annotated[Path | None, typer.Option(help="A table (CSV, Excel, parquet): more rows like its own.")] = None,
    target: Annotated[str | None, typer.Option(help="With --table: the column that is to be predicted.")] = None,
    method: Annotated[str, typer.Option(help="With --table: a generator's name; auto tries them.")] = "auto",
    minutes: Annotated[float, typer.Option(help="With --table: time to try and fit in.")] = 2.0,
    ignore: tables.Ignore = None,
    rules: tables.Rules = None,
    kinds: tables.Kinds = None,
    units: tables.Units = None,
    schema: tables.Schema = None,
    sheet: tables.Sheet = None,
    missing: Annotated[str, typer.Option(help="With --table: keep blanks as they occur, or fill them.")] = "keep",
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
    given: Annotated[
        list[str] | None, typer.Option(help="For a trained system CONDITION=VALUE, for tables a condition; repeatable.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="For a trained system: a sampling option, NAME=VALUE.")
    ] = None,
    translate: Annotated[
        Path | None, typer.Option(help="For a trained cyclegan: the data to translate (all of it).")
    ] = None,
    domain: Annotated[str, typer.Option(help="With --translate: whose it is, a (the first trained on) or b.")] = "a",
    size: Annotated[int, typer.Option(min=4, help="With --translate: pixels (edge) of image patches.")] = 32,
    weights: Annotated[Path | None, typer.Option(help="Folder of your own 'sozai train'.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same samples.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Draw from one generator: crystals, neither relaxed nor screened, or what a system was trained on.

    With [bold]--table[/bold]: rows like those of a table, which obey its rules and the conditions under
    [bold]--given[/bold], by the generator that does best on rows held out.

    For a verified crystal use [bold]sozai design[/bold]; this is for those who compare generators.
    """
    from sozai.errors import UserError
    from sozai.files import output_folder
    from sozai.generators.catalog import CRYSTALS, generator
    from sozai.knowledge.crystals.wish import CrystalWish
    from sozai.materials.crystal_writers import write_crystals
    from sozai.trust.manifest import Manifest

    if count < 1:
        raise UserError(f"{count} samples cannot be generated", "--count", "give a number of 1 or more")
    if table is not None:
        if name:
            raise UserError(f"both a generator, '{name}', and a table are named", "--table", "give one of them")
        from sozai.cli.generate_table import generate_table

        generate_table(
            table, out, count, target=target, given=given or [], rules=rules, method=method, minutes=minutes,
            schema=schema, sheet=sheet, kinds=kinds or (), units=units or (), ignore=ignore or (), missing=missing,
            seed=seed, as_json=as_json,
        )  # fmt: skip
        return
    if not name:
        raise UserError(
            "no generator is named", "generator", f"give one of {', '.join(CRYSTALS)}, a folder, or --table"
        )
    if name not in CRYSTALS and (Path(name) / "rows.safetensors").exists():
        from sozai.cli.generate_table import generate_from

        generate_from(Path(name), out, count, given or [], seed, as_json)
        return
    if name not in CRYSTALS and Path(name).is_dir():
        _generate_system(Path(name), out, count, given or [], set_ or [], (translate, domain, size), seed, as_json)
        return
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
    if name not in CRYSTALS:
        raise UserError(
            f"there is no generator '{name}' of crystals, nor a folder of that name",
            "generator",
            f"use one of {', '.join(CRYSTALS)}, or the folder of a 'sozai train'",
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


def _generate_system(
    folder: Path,
    out: Path,
    count: int,
    given: list[str],
    options: list[str],
    source: tuple[Path | None, str, int],
    seed: int,
    as_json: bool,
) -> None:
    """Rows, images, formulas or texts of a trained system."""
    from sozai.cli.train import settings_of
    from sozai.errors import UserError
    from sozai.files import output_folder
    from sozai.generators.catalog import load
    from sozai.generators.saved import WEIGHTS
    from sozai.generators.system import System
    from sozai.materials.dataset import read_dataset
    from sozai.trust.manifest import Manifest

    path, domain, size = source
    system = load(folder)
    if not isinstance(system, System):
        raise UserError("this folder holds a generator of crystals", str(folder), f"use wyckoff-gpt --weights {folder}")
    if out.resolve() == folder.resolve():
        raise UserError("the samples would go among the weights", "--out", "name another folder")
    conditions, settings = settings_of(given), settings_of(options)
    recorded = {"generator": str(folder), "count": count, "given": conditions, "options": settings}
    recorded |= {} if path is None else {"translate": str(path), "domain": domain, "size": size}
    run = Manifest(
        output_folder(out), settings=recorded, seeds={"generator": seed}, weights=[folder / WEIGHTS], device="auto"
    )
    with run as manifest:
        manifest.record("generator", system.card())
        with progress("Generating", as_json) as on_progress:
            if path is None:
                made = system.sample(count, conditions, seed=seed, on_progress=on_progress, **settings)
            else:
                made = system.translate(read_dataset(path, size=size), domain, seed)
        written = system.material.write(made, out) if system.material else []
    count = len(next(iter(made.values()))) if path else len(made)
    result = {
        "generator": system.card(), "given": conditions, "written": count,
        "files": [str(path) for path in written],
        "seconds": manifest.cost()["seconds"],
    }  # fmt: skip
    emit(
        result,
        as_json,
        lambda console: console.print(
            f"{result['written']} samples of {system.name} in {written[0] if len(written) == 1 else out} "
            f"({result['seconds']:.0f} s)"
        ),
    )
