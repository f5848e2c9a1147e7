"""Write src/sozai/materials/known_phases.csv.gz: known materials of which only formula and energy are at hand.

    python scripts/build_known_phases.py --data materials_project_properties.parquet

Without them the hull misses competing phases and calls too much stable. Columns: material_id, pretty_formula,
formation_energy_per_atom (eV/atom, MP2020-corrected DFT); ids that the bundled library has are left out, and of
each formula only the lowest is kept.
"""

import argparse
from pathlib import Path

import pandas as pd
from pymatgen.core import Composition

from sozai.materials.known import known_materials

TARGET = Path(__file__).resolve().parents[1] / "src/sozai/materials/known_phases.csv.gz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    frame = pd.read_parquet(options.data)
    frame = frame[~frame["material_id"].isin(set(known_materials().table["id"]))]
    phases = pd.DataFrame(
        {
            "id": frame["material_id"],
            "formula": [Composition(formula).reduced_formula for formula in frame["pretty_formula"]],
            "formation_energy": frame["formation_energy_per_atom"].round(4),
        }
    )
    phases = phases.sort_values(["formation_energy", "id"]).drop_duplicates("formula").sort_values("id")
    phases.to_csv(TARGET, index=False, compression={"method": "gzip", "mtime": 0})
    print(f"{len(phases)} phases, {TARGET.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
