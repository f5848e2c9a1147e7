"""How often does each rule call a known material wrong, and how long does it take? Prints a Markdown table.

    python scripts/measure_rules.py --sample 10000

The known materials are those bundled with sozai (Materials Project). The default rules are used without a wish; a
share is of all the structures. "Catches" is the share that fails after a fault is put into each structure:
squeezed (lattice times 0.85), stretched (times 1.25), shuffled (elements put on random sites), random (atoms at random
positions of the same cell).
"""

import argparse
import time

import numpy as np
import pandas as pd
from pymatgen.core import Structure

from sozai.knowledge.crystals.ruleset import CrystalRules
from sozai.materials.known import known_materials

FAULTS = ("squeezed", "stretched", "shuffled", "random")


def spoil(structure: Structure, fault: str, rng: np.random.Generator) -> Structure:
    matrix, positions = structure.lattice.matrix, structure.frac_coords
    numbers = np.array(structure.atomic_numbers)
    if fault == "squeezed":
        matrix = matrix * 0.85
    elif fault == "stretched":
        matrix = matrix * 1.25
    elif fault == "shuffled":
        numbers = rng.permutation(numbers)
    else:
        positions = rng.random(positions.shape)
    return Structure(matrix, numbers, positions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=10_000)
    parser.add_argument("--full", type=int, default=1000, help="structures for the full level (coordination)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    known_structures = known_materials()
    rows = rng.permutation(len(known_structures))[: arguments.sample]
    structures = [known_structures.structure(int(row)) for row in rows]
    rules = CrystalRules.load()
    rules.check(structures[0])  # loads the tables

    def failures(items, level="fast"):
        start = time.perf_counter()
        rows = [{v.rule: v.passed for v in rules.check(item, level=level)} for item in items]
        return pd.DataFrame(rows), 1e3 * (time.perf_counter() - start) / len(items)

    known, fast = failures(structures)
    coordination, full = failures(structures[: arguments.full], "full")
    spoiled = {}
    for fault in FAULTS:
        spoiled[fault], _ = failures([spoil(item, fault, rng) for item in structures[:1000]])
    print(f"{len(structures)} structures (coordination: {len(coordination)}), seed {arguments.seed}\n")
    print("| rule | severity | fails | not judged | " + " | ".join(f"{fault}" for fault in FAULTS) + " |")
    print("|---|---|---|---|" + "---|" * len(FAULTS))
    for name, setting in rules.settings.items():
        # What was wished for has no false alarms, and no faults here.
        if name in ("composition", "number_of_atoms", "space_group"):
            continue
        column = coordination[name] if name == "coordination" else known[name]
        cells = [name, setting["severity"], f"{(column == False).mean():.2%}", f"{column.isna().mean():.1%}"]  # noqa: E712
        for fault in FAULTS:
            cells.append(f"{(spoiled[fault][name] == False).mean():.1%}" if name in spoiled[fault] else "")  # noqa: E712
        print("| " + " | ".join(cells) + " |")
    hard = [name for name, setting in rules.settings.items() if setting["severity"] == "hard" and name in known]
    anyhow = [f"{(frame[hard] == False).any(axis=1).mean():.1%}" for frame in (known, *spoiled.values())]  # noqa: E712
    print(f"| any hard rule | hard | {anyhow[0]} | | " + " | ".join(anyhow[1:]) + " |")
    print(f"\n{fast:.2f} ms a structure at the fast level, {full:.1f} ms at the full level (one core).")


if __name__ == "__main__":
    main()
