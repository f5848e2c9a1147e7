"""``sozai train``: fit a generator on your data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sozai.cli.frame import AsJson, emit, progress, resume_with

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sozai.materials.crystal import Crystal

EXAMPLES = (
    "sozai train realnvp --data concrete.csv --out run/flow",
    "sozai train ddpm --data concrete.csv --given Strength --out run/ddpm --max-time 10m",
    "sozai train dcgan --data micrographs/ --size 64 --out run/dcgan",
    "sozai train vae --data formulas.csv --kind formulas --set beta=0.5 --out run/vae",
    "torchrun --nproc-per-node 2 -m sozai train vae --data concrete.csv --out run/vae",
    "sozai train wyckoff-gpt --data my_cifs.zip --epochs 200 --out run/mine",
)
COLUMNS = {
    "energy_above_hull": ("energy_above_hull", "e_above_hull"),
    "formation_energy": ("formation_energy", "formation_energy_per_atom"),
    "band_gap": ("band_gap",),
    "bulk_modulus": ("bulk_modulus", "K_VRH"),
}
"""Names under which a property is found in the data."""


def train(
    name: Annotated[str, typer.Argument(help="A system of 'sozai systems', or wyckoff-gpt for crystals.")],
    data: Annotated[
        list[Path],
        typer.Option(
            help="A table, folder of images, list of formulas, text, array; for wyckoff-gpt crystals (repeated)."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for weights, settings, log and checkpoint.")],
    kind: Annotated[str, typer.Option(help="table, images, formulas, text, array; auto: by the file's name.")] = "auto",
    given: Annotated[list[str] | None, typer.Option(help="A column that is a condition; may be repeated.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="A column to use; by default all. May be repeated.")] = None,
    size: Annotated[int, typer.Option(min=4, help="Pixels (edge) of image patches, characters of text windows.")] = 32,
    limit: Annotated[int | None, typer.Option(min=8, help="At most so many rows.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the system, NAME=VALUE; may be repeated.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of training; by default the system's.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the crystals, at most (30).")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Rows a step.")] = None,
    max_atoms: Annotated[int, typer.Option(min=1, max=64, help="Leave out crystals with larger primitive cells.")] = 20,
    max_time: Annotated[str | None, typer.Option(help="Stop after this time: 90s, 10m, 2h.")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also log for TensorBoard.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same weights (on the same device).")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Train a generator on your data.

    Any system of [bold]sozai systems[/bold] learns from a table, images, formulas, a text or an array, and
    [bold]wyckoff-gpt[/bold] from crystals (columns of a parquet file named energy_above_hull, formation_energy,
    band_gap or bulk_modulus are learned as targets). A part of the rows is held out to stop early.

    Checkpoints are written each minute and each round: Ctrl-C or a crash loses little, and the same command goes on.
    Sample with [bold]sozai generate FOLDER[/bold].
    """
    from sozai.errors import UserError
    from sozai.generators import distributed
    from sozai.generators.base import seconds_of
    from sozai.generators.catalog import CRYSTALS, recipe
    from sozai.trust.manifest import command_line

    settings = settings_of(set_ or [])
    if max_time is not None:
        seconds_of(max_time)
    resume_with(command_line())
    if name in CRYSTALS:
        if name != "wyckoff-gpt":
            raise UserError(f"'{name}' cannot be trained", mend="train wyckoff-gpt, or a system of 'sozai systems'")
        sizes = {"width": 128, "layers": 3, "dropout": 0.25} | settings
        _train_crystals(data, out, max_atoms, epochs or 30, batch_size or 128, sizes, max_time, seed, device, as_json)
        return
    sets = recipe(name).sets
    if recipe(name).needs and sets == 1:
        raise UserError(f"{name} cannot be trained on rows alone", "sozai train", f"it needs {recipe(name).needs}")
    if len(data) != sets:
        wanted = "two sets, between which it translates" if sets == 2 else "one file or folder"
        raise UserError(f"{name} learns from {wanted}, and {len(data)} are given", "--data")
    training = {"steps": steps, "batch_size": batch_size}
    training_given = {key: value for key, value in training.items() if value is not None}
    distributed.start()
    _train_system(
        name, data, out, (kind, given or [], column or [], size, limit), settings, training_given,
        max_time or "inf", tensorboard, seed, device, as_json or distributed.rank() > 0,
    )  # fmt: skip


def settings_of(pairs: list[str]) -> dict[str, Any]:
    """NAME=VALUE pairs; values are JSON, or texts.

    Raises:
        UserError: one has no ``=``.
    """
    import json

    from sozai.errors import UserError

    settings: dict[str, Any] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not (name and sign):
            raise UserError(f"'{pair}' is no setting", "--set", "write NAME=VALUE, such as width=64")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings


def _train_system(
    name: str,
    paths: list[Path],
    out: Path,
    reading: tuple[str, list[str], list[str], int, int | None],
    settings: dict[str, Any],
    training: dict[str, Any],
    max_time: str,
    tensorboard: bool,
    seed: int,
    device: str,
    quiet: bool,
) -> None:
    from contextlib import nullcontext

    from sozai.generators import distributed
    from sozai.generators.catalog import recipe
    from sozai.generators.system import System
    from sozai.materials.dataset import join_domains, read_dataset
    from sozai.trust.manifest import Manifest

    kind, given, columns, size, limit = reading
    recorded = {
        "system": name, "kind": kind, "given": given, "columns": columns, "size": size, "limit": limit,
        "settings": settings, "training": training, "max_time": max_time, "device": device,
        "processes": distributed.world(),
    }  # fmt: skip
    read = [read_dataset(path, kind, given, columns, size, limit) for path in paths]
    dataset = read[0] if len(read) == 1 else join_domains(*read)
    system = System(recipe(name), **settings)
    first = distributed.rank() == 0
    manifest = Manifest(out, settings=recorded, seeds={"training": seed}, data=paths, resume=True) if first else None
    hashes = list(manifest.content["data"].values()) if manifest else []
    with manifest or nullcontext():
        with progress("Training", quiet) as on_progress:
            system.fit(
                dataset, on_progress, folder=out, seed=seed, device=device, max_time=max_time, tensorboard=tensorboard,
                card={"files": [path.name for path in paths], "hashes": hashes}, **training,
            )  # fmt: skip
        if manifest is not None:
            manifest.record("generator", system.card())
    if system.log["interrupted"]:
        raise KeyboardInterrupt
    if not first:
        return
    log = system.log
    result = {
        **system.card(), "folder": str(out), "seconds": log["seconds"], "best_step": log["best_step"],
        "held_out_loss": log["best_held_out"], "steps": log["rounds"][-1]["step"],
    }  # fmt: skip
    held_out = (
        ""
        if log["best_held_out"] is None
        else f"; best held-out loss {log['best_held_out']:.4g} at step {log['best_step']}"
    )
    emit(
        result,
        quiet,
        lambda console: console.print(
            f"Trained {name} on {len(dataset)} rows, {result['steps']} steps, {log['seconds']:.0f} s{held_out}. "
            f"Weights in {out}; draw with: sozai generate {out} --count 100 --out {out}/new"
        ),
    )


def _train_crystals(
    data: list[Path],
    out: Path,
    max_atoms: int,
    epochs: int,
    batch_size: int,
    sizes: dict[str, Any],
    max_time: str | None,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    from sozai.errors import UserError
    from sozai.generators.wyckoff_gpt.model import WyckoffGPT
    from sozai.materials.crystal_files import read_crystals
    from sozai.materials.wyckoff import WyckoffCrystal, WyckoffError
    from sozai.trust.manifest import Manifest

    if unknown := sizes.keys() - {"width", "layers", "dropout"}:
        raise UserError(f"wyckoff-gpt has no setting '{min(unknown)}'", "--set", "use width, layers or dropout")
    settings = {
        "generator": "wyckoff-gpt", "max_atoms": max_atoms, "epochs": epochs, "batch_size": batch_size, **sizes,
        "max_time": max_time, "device": device,
    }  # fmt: skip
    with Manifest(out, settings=settings, seeds={"training": seed}, data=data, resume=True) as manifest:
        crystals: list[Crystal] = []
        unreadable = 0
        with progress("Reading", as_json) as on_progress:
            for path in data:
                found, problems = read_crystals(path, on_progress=on_progress)
                crystals += found
                unreadable += len(problems)
        rows = []
        with progress("Finding symmetry", as_json) as on_progress:
            for number, crystal in enumerate(merged(crystals)):
                try:
                    rows.append((WyckoffCrystal.from_structure(crystal.structure), crystal.properties))
                except WyckoffError:
                    unreadable += 1
                on_progress(number + 1, len(crystals), crystal.id)
        with progress("Training", as_json) as on_progress:
            model = WyckoffGPT().fit(
                rows,
                on_progress,
                folder=out,
                max_atoms=max_atoms,
                epochs=epochs,
                batch_size=batch_size,
                seed=seed,
                device=device,
                max_time=max_time or "inf",
                **sizes,
                card={"data": [path.name for path in data], "data_hashes": list(manifest.content["data"].values())},
            )
    card = {**model.card(), "left_out": unreadable, "folder": str(out)}
    if model.settings["interrupted"]:
        raise KeyboardInterrupt
    emit(
        card,
        as_json,
        lambda console: console.print(
            f"Trained on {card['crystals']} crystals, {card['epochs']} epochs, {card['seconds']} s; best at epoch "
            f"{card['best_epoch']}: {card['held_out_nats']:.2f} nats a crystal on held-out ones. Weights in {out}"
        ),
    )


def merged(crystals: Iterable[Crystal]) -> list[Crystal]:
    """One crystal an id: properties of the same id in several files are put together."""
    by_id: dict[str, Crystal] = {}
    for crystal in crystals:
        properties = {
            target: float(crystal.properties[column])
            for target, columns in COLUMNS.items()
            for column in columns
            if crystal.properties.get(column) is not None
        }
        if crystal.id in by_id:
            by_id[crystal.id].properties.update(properties)
        else:
            crystal.properties = properties
            by_id[crystal.id] = crystal
    return list(by_id.values())
