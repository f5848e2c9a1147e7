"""Write src/sozai/materials/wyckoff_tables.npz from pyxtal's Wyckoff positions (International Tables A).

    python scripts/build_wyckoff_tables.py

One row a Wyckoff position (230 groups, standard setting: unique axis b, origin choice 2, hexagonal axes),
one row an operation. Translations are stored in 24ths, which is exact for every space group.
"""

from pathlib import Path

import numpy as np
from pyxtal.symmetry import Group

TARGET = Path(__file__).resolve().parents[1] / "src/sozai/materials/wyckoff_tables.npz"


def main() -> None:
    positions, operations, symbols, site_symmetries, halls, relabellings = [], [], [], [], [], []
    for number in range(1, 231):
        group = Group(number)
        symbols.append(group.symbol)
        halls.append(group.hall_number)
        # Moving the origin (or exchanging axes) to an equivalent choice permutes the letters.
        choices = {choice.replace(" ", "") for choice in group.get_alternatives()["Transformed WP"]}
        relabellings.append(" ".join(sorted(choices)))
        for position in reversed(list(group)):  # a, b, c, ...
            position.get_site_symmetry()
            matrices = np.array([op.affine_matrix for op in position.ops])
            in_24ths = matrices[:, :3, :].copy()
            in_24ths[:, :, 3] *= 24
            rounded = np.rint(in_24ths)
            assert np.abs(rounded - in_24ths).max() < 1e-6
            positions.append((number, ord(position.letter), len(matrices), len(operations)))
            site_symmetries.append(position.site_symm)
            operations.extend(rounded.astype(np.int8))
    np.savez_compressed(
        TARGET,
        positions=np.array(positions, dtype=np.int32),
        operations=np.array(operations, dtype=np.int8),
        site_symmetries=np.array(site_symmetries),
        symbols=np.array(symbols),
        halls=np.array(halls, dtype=np.int32),
        relabellings=np.array(relabellings),
    )
    print(f"{len(positions)} Wyckoff positions, {len(operations)} operations, {TARGET.stat().st_size} bytes")
    print(sorted(set(site_symmetries)), len(set(site_symmetries)))


if __name__ == "__main__":
    main()
