"""Relax samples of wyckoff-gpt, as examples of what is not stable for the ranker.

    python scripts/relax_own_samples.py --count 2500 --out own_samples.jsonl

Writes JSON lines with "gene" and "energy_per_atom" (CHGNet, eV/atom). Seeds from 1000 on: benchmarks use others.
It can be interrupted and started again.
"""

import argparse
import json
from pathlib import Path

from sozai.generators.wyckoff_gpt.model import WyckoffGPT
from sozai.knowledge.crystals.wish import CrystalWish
from sozai.screening.relax import relax

CHUNK = 250


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=2500)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    done = len(options.out.read_text().splitlines()) if options.out.exists() else 0
    for number in range(done // CHUNK, -(-options.count // CHUNK)):
        # Every other chunk is guided towards the hull: the ranker must judge both kinds.
        targets = {"energy_above_hull": 0.0} if number % 2 else None
        model = WyckoffGPT.load(device="cpu")
        crystals = model.sample(CHUNK, CrystalWish.of(targets=targets), seed=1000 + number)
        results = relax([crystal.structure for crystal in crystals], processes=options.processes, max_steps=150)
        with options.out.open("a") as handle:
            for crystal, result in zip(crystals, results, strict=True):
                energy = result.energy_per_atom if result.converged else None
                handle.write(json.dumps({"gene": crystal.provenance["gene"], "energy_per_atom": energy}) + "\n")
        print(f"{(number + 1) * CHUNK} samples", flush=True)


if __name__ == "__main__":
    main()
