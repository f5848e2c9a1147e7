"""Write src/sozai/knowledge/crystals/elements.csv: the numbers by element that the crystal rules use.

    python scripts/build_element_table.py materials_project.parquet

Columns and sources:

- mass (g/mol): atomic mass, as in pymatgen.
- covalent_radius (angstrom): Cordero et al., Dalton Trans. 2008, 2832 (as in ase.data); it ends at curium.
- volume (cubic angstrom an atom): fitted here, robustly, on the crystals of the file: the sum over the
  atoms of a crystal is the volume of its cell. Empty for elements with fewer than five crystals.
- bv_r, bv_c: bond-valence parameters, O'Keeffe and Brese, J. Am. Chem. Soc. 1991, 113, 3226 (as in pymatgen).
- hhi_production, hhi_reserve: Herfindahl-Hirschman index, Gaultois et al., Chem. Mater. 2013, 25, 2911.
- price (US dollars a kilogram, 2013): pymatgen's cost database (mostly USGS).
- electronegativity: Pauling's scale, as in SMACT.
- radioactive: 1 for elements without a stable isotope (bismuth, with a half-life of 2e19 years, counts as
  stable; thorium and uranium count as radioactive).
"""

import csv
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import smact
from ase.data import covalent_radii
from pymatgen.analysis.cost import CostDBElements
from pymatgen.analysis.hhi import HHIModel
from pymatgen.core.bond_valence import BV_PARAMS
from pymatgen.core.periodic_table import Element
from scipy.optimize import least_squares
from scipy.sparse import csr_matrix

from sozai.knowledge.crystals.wish import SYMBOLS

TABLE = Path(__file__).parents[1] / "src/sozai/knowledge/crystals/elements.csv"
COLUMNS = [
    "symbol", "mass", "covalent_radius", "volume", "bv_r", "bv_c", "hhi_production", "hhi_reserve", "price",
    "electronegativity", "radioactive",
]  # fmt: skip
LEAST_COUNT = 5
# ase.data fills the elements behind Cordero's table with a placeholder.
HEAVIEST_RADIUS = 96
RADIOACTIVE = {"Tc", "Pm", *SYMBOLS[83:]}


def fit_volumes(frame: pd.DataFrame) -> dict[str, float]:
    """Volume of each element (cubic angstrom an atom), from a robust fit of the cell volumes' logarithms."""
    numbers = [Counter(int(z) for z in row) for row in frame["numbers"]]
    cell = np.array([abs(np.linalg.det(np.reshape(row, (3, 3)))) for row in frame["lattice"]])
    seen = Counter(z for counts in numbers for z in counts)
    start = np.array([np.pi * np.sqrt(32) * covalent_radii[z] ** 3 / (4 * np.pi / 3) for z in range(1, 104)])
    start = np.clip(start, 5, 80)
    rows = [k for k, counts in enumerate(numbers) for _ in counts]
    columns = [z - 1 for counts in numbers for z in counts]
    values = [n for counts in numbers for n in counts.values()]
    matrix = csr_matrix((values, (rows, columns)), shape=(len(numbers), 103))

    def residual(log_volume):
        return np.log(matrix @ np.exp(log_volume) / cell)

    def slope(log_volume):
        volume = np.exp(log_volume)
        return csr_matrix(matrix.multiply(volume[None, :]).multiply(1 / (matrix @ volume)[:, None]))

    fit = least_squares(residual, np.log(start), jac=slope, loss="soft_l1", f_scale=0.1, tr_solver="lsmr")
    spread = np.std(fit.fun)
    print(f"{len(cell)} crystals, standard deviation of ln(volume/fit) {spread:.3f}")
    return {symbol: float(np.exp(fit.x[k])) for k, symbol in enumerate(SYMBOLS) if seen[k + 1] >= LEAST_COUNT}


def main(path: str) -> None:
    volumes = fit_volumes(pd.read_parquet(path, columns=["numbers", "lattice"]))
    prices = CostDBElements()
    hhi = HHIModel().symbol_hhip_hhir
    with TABLE.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for number, symbol in enumerate(SYMBOLS, start=1):
            element = Element(symbol)
            valence = BV_PARAMS.get(element, {})
            production, reserve = hhi.get(symbol, ("", ""))
            # The database holds the cost of a mole.
            entry = next(iter(prices.get_entries([element])), None)
            price = f"{entry.energy / (float(element.atomic_mass) * 1e-3):.4g}" if entry else ""
            writer.writerow(
                [
                    symbol,
                    f"{float(element.atomic_mass):.4f}",
                    f"{covalent_radii[number]:.2f}" if number <= HEAVIEST_RADIUS else "",
                    f"{volumes[symbol]:.2f}" if symbol in volumes else "",
                    valence.get("r", ""),
                    valence.get("c", ""),
                    production,
                    reserve,
                    price,
                    "" if smact.Element(symbol).pauling_eneg is None else smact.Element(symbol).pauling_eneg,
                    int(symbol in RADIOACTIVE),
                ]
            )


if __name__ == "__main__":
    main(sys.argv[1])
