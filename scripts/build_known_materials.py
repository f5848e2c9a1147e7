"""Write src/sozai/materials/known_materials.parquet, the bundled library of known materials.

    python scripts/build_known_materials.py --data materials_project.parquet --energies energies.json

``--data`` has the columns material_id, lattice, numbers, frac_coords (and, where known, e_above_hull,
formation_energy_per_atom, band_gap); ``--energies`` is the output of scripts/compute_reference_energies.py:
CHGNet energies (eV/atom) by material_id, relaxed where the material lies near the hull. Elements without a pure
material in the data get one from fcc, bcc or hcp, relaxed by CHGNet.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from pymatgen.core import Element, Lattice, Structure

from sozai.materials.known import KnownMaterials
from sozai.materials.wyckoff import WyckoffCrystal, WyckoffError
from sozai.screening.relax import relax

TARGET = Path(__file__).resolve().parents[1] / "src/sozai/materials/known_materials.parquet"
PROPERTIES = {
    "e_above_hull": "energy_above_hull",
    "formation_energy_per_atom": "formation_energy",
    "band_gap": "band_gap",
}


def missing_elements(rows: list) -> list:
    """Pure elements that the data lack: the lowest of fcc, bcc and hcp, relaxed by CHGNet (the hull needs them)."""
    present = {element for _, crystal, _ in rows for element in crystal.gene.counts}
    pure = {next(iter(crystal.gene.counts)) for _, crystal, _ in rows if len(crystal.gene.counts) == 1}
    added = []
    for symbol in sorted(present - pure):
        side = (4 * Element(symbol).atomic_radius ** 3 * 8) ** (1 / 3) * 0.9
        cells = {
            "fcc": Structure.from_spacegroup("Fm-3m", Lattice.cubic(side), [symbol], [[0, 0, 0]]),
            "bcc": Structure.from_spacegroup("Im-3m", Lattice.cubic(side * 0.8), [symbol], [[0, 0, 0]]),
            "hcp": Structure.from_spacegroup(
                "P6_3/mmc", Lattice.hexagonal(side * 0.707, side * 1.15), [symbol], [[1 / 3, 2 / 3, 0.25]]
            ),
        }
        starts = [cell.get_primitive_structure() for cell in cells.values()]
        results = relax(starts, fmax=0.05, processes=1)
        energy, name, result = min(zip([r.energy_per_atom for r in results], cells, results, strict=True))
        crystal = WyckoffCrystal.from_structure(result.structure)
        added.append((f"sozai-{symbol}-{name}", crystal, {"energy": np.float32(energy)}))
        print(f"added {symbol} as {name}, {energy:.3f} eV/atom")
    return added


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--energies", type=Path)
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    energies = json.loads(options.energies.read_text()) if options.energies else {}
    frame = pd.read_parquet(options.data).sort_values("material_id", kind="stable")
    rows, failed = [], []
    for row in frame.itertuples():
        structure = Structure(
            np.reshape(row.lattice, (3, 3)), row.numbers, np.reshape(row.frac_coords, (-1, 3)).astype(float)
        )
        try:
            crystal = WyckoffCrystal.from_structure(structure)
        except WyckoffError as error:
            failed.append((row.material_id, str(error)))
            continue
        properties = {new: np.float32(getattr(row, old)) for old, new in PROPERTIES.items()}
        properties["energy"] = np.float32(energies.get(row.material_id, np.nan))
        rows.append((row.material_id, crystal, properties))
    if energies:
        rows += missing_elements(rows)
    source = {
        "materials": "Materials Project (https://materialsproject.org), CC BY 4.0; A. Jain et al., "
        "APL Materials 1, 011002 (2013)",
        "energy": "CHGNet 0.3.0 (eV/atom); relaxed by CHGNet for materials near the hull, single point at the "
        "DFT geometry for the others",
        "symprec": 0.1,
        "command": "python scripts/build_known_materials.py",
    }
    KnownMaterials.from_crystals(rows, source).write(options.out)
    size = f"{options.out.stat().st_size / 1e6:.2f} MB"
    print(f"{len(rows)} materials, {size}; {len(failed)} without a Wyckoff form")
    for identifier, reason in failed:
        print(f"  {identifier}: {reason}")


if __name__ == "__main__":
    main()
