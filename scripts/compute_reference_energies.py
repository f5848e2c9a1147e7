"""CHGNet energies of known materials for the bundled reference, relaxed near the hull.

    python scripts/compute_reference_energies.py --data materials_project.parquet --out energies.json

First a single point of every structure at its DFT geometry; then those within --window eV/atom of the DFT hull
(or of unknown distance) are relaxed, cell and positions, as candidates are, so that candidates and their
competitors are compared on the same footing. It can be interrupted and started again: finished energies are kept.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from pymatgen.core import Structure

from sozai.screening import potentials
from sozai.screening.relax import relax

CHUNK = 200


def structure_of(row) -> Structure:
    return Structure(np.reshape(row.lattice, (3, 3)), row.numbers, np.reshape(row.frac_coords, (-1, 3)).astype(float))


def save(path: Path, energies: dict) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(energies))
    temporary.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--window", type=float, default=0.03)
    parser.add_argument("--max-atoms", type=int, default=27, help="larger ones keep their single point")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    frame = pd.read_parquet(options.data).sort_values(["n_sites", "material_id"], kind="stable")
    points_file = options.out.with_suffix(".single_points.json")
    points = json.loads(points_file.read_text()) if points_file.exists() else {}
    todo = frame[~frame.material_id.isin(points)]
    potential = potentials.load("chgnet")
    for start in range(0, len(todo), CHUNK):
        chunk = todo.iloc[start : start + CHUNK]
        values = potential.energies([structure_of(row) for row in chunk.itertuples()])
        sizes = chunk.n_sites.to_numpy()
        for name, total, size in zip(chunk.material_id, values, sizes, strict=True):
            if np.isfinite(total):
                points[name] = float(total) / int(size)
        save(points_file, points)
        print(f"single points {start + len(chunk)}/{len(todo)}", flush=True)

    near = frame[~(frame.e_above_hull > options.window) & (frame.n_sites <= options.max_atoms)]
    near = near[near.material_id.isin(points)]
    relaxed = json.loads(options.out.read_text()) if options.out.exists() else {}
    todo = near[~near.material_id.isin(relaxed)]
    print(f"{len(near)} near the hull, {len(todo)} to relax", flush=True)
    started = time.monotonic()
    for start in range(0, len(todo), CHUNK):
        chunk = todo.iloc[start : start + CHUNK]
        results = relax(
            [structure_of(row) for row in chunk.itertuples()], fmax=0.05, max_steps=60, processes=options.processes
        )
        for name, result in zip(chunk.material_id, results, strict=True):
            # A few steps that did not converge still lower the energy: an upper bound either way.
            relaxed[name] = float(np.fmin(result.energy_per_atom, points[name]))
        save(options.out, relaxed)
        done = start + len(chunk)
        left = (time.monotonic() - started) / done * (len(todo) - done)
        print(f"relaxed {done}/{len(todo)}, {left / 60:.0f} min left", flush=True)
    save(options.out, {**points, **relaxed})


if __name__ == "__main__":
    main()
