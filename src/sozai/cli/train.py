"""``sozai train``: fit a generator on your data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sozai.cli.frame import AsJson, emit, progress, resume_with

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sozai.materials.crystal import Crystal

EXAMPLES = (
    "sozai train wyckoff-gpt --data materials_project.parquet --data mp_elasticity.parquet --out run/weights",
    "sozai train wyckoff-gpt --data my_cifs.zip --epochs 200 --out run/mine",
    "sozai design crystals --weights run/mine --elements Li,P,S --out run/",
)
COLUMNS = {
    "energy_above_hull": ("energy_above_hull", "e_above_hull"),
    "formation_energy": ("formation_energy", "formation_energy_per_atom"),
    "band_gap": ("band_gap",),
    "bulk_modulus": ("bulk_modulus", "K_VRH"),
}
"""Names under which a property is found in the data."""


def train(
    name: Annotated[str, typer.Argument(help="The generator: wyckoff-gpt (the others learn nothing).")],
    data: Annotated[
        list[Path], typer.Option(help="Crystals: parquet, CIFs, extxyz, a folder or a zip; may be repeated.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for weights, settings and checkpoint.")],
    max_atoms: Annotated[int, typer.Option(min=1, max=64, help="Leave out crystals with larger primitive cells.")] = 20,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the data, at most.")] = 30,
    batch_size: Annotated[int, typer.Option(min=1, help="Crystals a step.")] = 128,
    width: Annotated[int, typer.Option(min=8, help="Width of the network.")] = 128,
    layers: Annotated[int, typer.Option(min=1, help="Layers of the network.")] = 3,
    dropout: Annotated[float, typer.Option(min=0, max=0.9, help="Dropout; more for less data.")] = 0.25,
    minutes: Annotated[float | None, typer.Option(help="Stop after this time.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same weights (on the same device).")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Train a generator on your crystals; properties found in the data become targets to aim at.

    Columns of a parquet file (or properties of an extxyz) named energy_above_hull, formation_energy, band_gap or
    bulk_modulus are learned as targets. A 20th of the crystals is held out to stop early.

    Every epoch is saved: Ctrl-C loses nothing, and the same command goes on. Sample with
    [bold]sozai design crystals --weights[/bold].
    """
    from sozai.errors import UserError
    from sozai.generators.wyckoff_gpt.model import WyckoffGPT
    from sozai.materials.crystal_files import read_crystals
    from sozai.materials.wyckoff import WyckoffCrystal, WyckoffError
    from sozai.trust.manifest import Manifest, command_line

    if name != "wyckoff-gpt":
        raise UserError(f"'{name}' cannot be trained", mend="train wyckoff-gpt")
    if minutes is not None and not minutes > 0:
        raise UserError(f"{minutes:g} minutes are no time to train in", "--minutes", "give a number above 0")
    resume_with(command_line())
    settings = {
        "generator": name, "max_atoms": max_atoms, "epochs": epochs, "batch_size": batch_size, "width": width,
        "layers": layers, "dropout": dropout, "minutes": minutes, "device": device,
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
                width=width,
                layers=layers,
                dropout=dropout,
                seed=seed,
                device=device,
                max_seconds=float("inf") if minutes is None else 60 * minutes,
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
