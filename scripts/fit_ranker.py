"""Fit the bundled gene ranker: src/sozai/screening/ranker_weights.

    python scripts/fit_ranker.py --data wbm_10k.parquet --energies wbm_energies.json --generated generated.jsonl

Learns CHGNet formation energies from genes: of the bundled library (known, mostly stable materials), of
hypothetical ones (--data with their CHGNet energies by material_id, eV/atom) and of sozai's own relaxed
samples (--generated: JSON lines with "gene" and "energy_per_atom", as benchmarks/generation.py caches them).
A tenth of the hypothetical and generated ones is held out.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from pymatgen.core import Structure

from sozai.generators.wyckoff_gpt.model import WyckoffGPT
from sozai.materials.known import known_materials
from sozai.materials.wyckoff import Gene, WyckoffCrystal, WyckoffError
from sozai.screening.hull import Hull, mean_element_energy
from sozai.screening.ranker import Ranker

TARGET = Path(__file__).resolve().parents[1] / "src/sozai/screening/ranker_weights"
MAX_ATOMS = 20


def parse_gene(text: str) -> Gene:
    number, *sites = text.split(" ")
    return Gene(int(number), tuple(sorted(tuple(site.split("@")) for site in sites)))


def hypothetical(path: Path, energies: dict[str, float]) -> list[tuple[Gene, float]]:
    found = []
    for row in pd.read_parquet(path).itertuples():
        if row.n_sites > MAX_ATOMS or row.material_id not in energies:
            continue
        structure = Structure(np.reshape(row.lattice, (3, 3)), row.numbers, np.reshape(row.frac_coords, (-1, 3)))
        try:
            found.append((WyckoffCrystal.from_structure(structure).gene, energies[row.material_id]))
        except WyckoffError:
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--energies", type=Path)
    parser.add_argument("--generated", type=Path, nargs="*", default=[])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--work", type=Path, default=Path("run/ranker"))
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    known = known_materials()
    elements = Hull(known).element_energies

    def formation(rows: list[tuple[Gene, float]]) -> list[tuple[Gene, float]]:
        values = [(gene.canonical, energy - mean_element_energy(gene.counts, elements)) for gene, energy in rows]
        return [(gene, float(value)) for gene, value in values if np.isfinite(value) and abs(value) < 6]

    energies = known.table["energy"].to_numpy()
    small = np.flatnonzero(known.table["n_atoms"].to_numpy() <= MAX_ATOMS)
    stable = formation([(known.gene(row), float(energies[row])) for row in small])
    other = hypothetical(options.data, json.loads(options.energies.read_text())) if options.data else []
    for path in options.generated:
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if entry.get("energy_per_atom") is not None:
                other.append((parse_gene(entry["gene"]), entry["energy_per_atom"]))
    other = formation(other)
    order = np.random.default_rng(0).permutation(len(other))
    cut = len(other) // 10
    held_out = [other[index] for index in order[:cut]]
    training = stable + [other[index] for index in order[cut:]]
    print(f"{len(stable)} known, {len(other)} hypothetical or generated, {cut} of these held out", flush=True)
    ranker = Ranker.fit(
        training,
        WyckoffGPT.load(device="cpu").network,
        options.work,
        held_out=held_out,
        epochs=options.epochs,
        on_progress=lambda done, total, note: print(f"{done}/{total} {note}", flush=True),
        command="python scripts/fit_ranker.py",
    )
    ranker.save(options.out)
    print(ranker.settings)


if __name__ == "__main__":
    main()
