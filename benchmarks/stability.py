"""How well energies above sozai's hull tell what is stable by DFT; fits the bundled calibration.

    python benchmarks/stability.py --data wbm_10k.parquet --dft materials_project.parquet \
        --dft materials_project_properties.parquet --count 3000 --cache stability.jsonl

The crystals judged are WBM's (H.-C. Wang, S. Botti, M. A. L. Marques, npj Comput. Mater. 7, 12 (2021)): hypothetical,
made by substitution, not in the potential's training data. Each is relaxed as a candidate would be and put against
sozai's hull; DFT's word is its formation energy above the hull of all DFT formation energies in the ``--dft`` files.

The files disagree in one point: Materials Project's formation energies carry the MP2020 corrections (A. Wang et al.,
Sci. Rep. 11, 15496 (2021)), WBM's lack those of the anions in ``MISSING``. ``anion_correction`` adds them, and
``offsets`` checks it by a potential trained on corrected energies: fitted element by element, its difference to DFT
must be the same in both files.
"""

from __future__ import annotations

import argparse
from collections import Counter
from functools import cache
from itertools import chain, combinations
from pathlib import Path

import common
import numpy as np
import pandas as pd
from common import Cache, Ticker

MISSING = {"Br": -0.534, "I": -0.379, "Se": -0.472, "Te": -0.422, "Sb": -0.192}
"""MP2020 corrections, eV an atom of the anion, that the WBM formation energies lack."""
ENOUGH = 20  # rows with an element, below which its fitted offset says little
CLASSES = {
    "oxides": {"O"},
    "halides": {"F", "Cl", "Br", "I"},
    "chalcogenides": {"S", "Se", "Te"},
    "pnictides": {"N", "P", "As", "Sb"},
}


@cache
def fractions(formula: str) -> dict[str, float]:
    """Atomic fractions by element."""
    from pymatgen.core import Composition

    composition = Composition(formula)
    return {element.symbol: amount / composition.num_atoms for element, amount in composition.items()}


def anion(formula: str) -> str:
    """The most electronegative element."""
    from pymatgen.core import Element

    values = {symbol: Element(symbol).X for symbol in fractions(formula)}
    return max(values, key=lambda symbol: np.nan_to_num(values[symbol]))


def anion_correction(formula: str) -> float:
    """What a WBM formation energy lacks, eV/atom."""
    symbol = anion(formula)
    return MISSING.get(symbol, 0.0) * fractions(formula)[symbol]


def kind_of(formula: str) -> str:
    """Class of a material by its most electronegative element."""
    return next((name for name, members in CLASSES.items() if anion(formula) in members), "intermetallics and others")


def read_dft(paths: list[Path]) -> pd.DataFrame:
    """``material_id``, ``formula``, ``formation_energy_per_atom`` of all files; the first row of an id counts."""
    tables = []
    for path in paths:
        table = pd.read_parquet(path).rename(columns={"pretty_formula": "formula"})
        tables.append(table[["material_id", "formula", "formation_energy_per_atom"]])
    return pd.concat(tables).dropna().drop_duplicates("material_id").reset_index(drop=True)


class DftHull:
    """Hull of DFT formation energies: the elements at zero, each compound at its lowest."""

    def __init__(self, rows: pd.DataFrame):
        from pymatgen.core import Composition

        self.by_system: dict[frozenset, dict[str, float]] = {}
        for formula, energy in zip(rows.formula, rows.formation_energy_per_atom, strict=True):
            phases = self.by_system.setdefault(frozenset(fractions(formula)), {})
            key = Composition(formula).reduced_formula
            phases[key] = min(energy, phases.get(key, energy))
        self.elements = {next(iter(system)) for system in self.by_system if len(system) == 1}
        self._diagram = cache(self._build)

    def above(self, formula: str, energy: float) -> float:
        """Distance of a formation energy (eV/atom) to the hull, negative below it; NaN if an element is missing."""
        from pymatgen.core import Composition

        system = frozenset(fractions(formula))
        if not system <= self.elements:
            return float("nan")
        return energy - self._diagram(system).get_hull_energy_per_atom(Composition(formula))

    def _build(self, system: frozenset):
        from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
        from pymatgen.core import Composition

        # The zero of formation energies is the element's ground state, whether or not that polymorph is in the files.
        entries = [PDEntry(Composition(element), 0.0) for element in system]
        subsets = chain.from_iterable(combinations(sorted(system), size) for size in range(2, len(system) + 1))
        for subset in subsets:
            for formula, energy in self.by_system.get(frozenset(subset), {}).items():
                composition = Composition(formula)
                entries.append(PDEntry(composition, energy * composition.num_atoms))
        return PhaseDiagram(entries)


def relax_missing(rows: pd.DataFrame, results: Cache) -> None:
    """Relax what is not in the cache yet."""
    from sozai.screening.relax import relax_stream

    todo = [row for row in rows.itertuples() if row.material_id not in results]
    tell = Ticker("relaxed")
    stream = relax_stream([common.structure_of(row) for row in todo], fmax=0.05, processes=1)
    for done, (index, result) in enumerate(stream, start=1):
        entry = {
            "energy": result.energy_per_atom if np.isfinite(result.energy_per_atom) else None,
            "converged": result.converged,
            "steps": result.steps,
            "max_force": round(min(result.max_force, 1e3), 4),
            "seconds": round(result.seconds, 3),
            "message": result.message,
        }
        results.add(todo[index].material_id, entry)
        tell(done, len(todo))


def judge(rows: pd.DataFrame, results: Cache, phases: pd.DataFrame, known) -> tuple[pd.DataFrame, Counter]:
    """Sozai's distance and DFT's for every row that can be judged; and why the others cannot.

    ``dft`` is the distance to the hull of all DFT phases, ``dft_library`` to that of those in the library only.
    """
    from sozai.screening.hull import Hull
    from sozai.screening.identity import Novelty, counts_of

    hull, novelty = Hull(known), Novelty(known)
    whole, shared = DftHull(phases), DftHull(phases[phases.material_id.isin(known.table["id"])])
    left_out: Counter[str] = Counter()
    judged = []
    for row in rows.itertuples():
        found, structure = results[row.material_id], common.structure_of(row)
        if not found["converged"]:
            left_out["relaxation not converged"] += 1
            continue
        energy = row.formation_energy_per_atom + anion_correction(row.formula)
        label = whole.above(row.formula, energy)
        if not np.isfinite(label):
            left_out["an element without pure DFT reference"] += 1
            continue
        ours = hull.distance(counts_of(structure), found["energy"])
        if ours.above is None:
            left_out["sozai abstains: hull " + ("of too few materials" if "only" in ours.note else "unknown")] += 1
            continue
        nearest = novelty.nearest(structure)
        if nearest and nearest.same:
            left_out["the same as a material of the library"] += 1
            continue
        judged.append(
            {
                "formula": row.formula,
                "n_elements": len(fractions(row.formula)),
                "kind": kind_of(row.formula),
                "ours": ours.above,
                "dft": label,
                "dft_library": shared.above(row.formula, energy),
            }
        )
    return pd.DataFrame(judged), left_out


def offsets(formulas, differences: np.ndarray) -> dict[str, float]:
    """Least-squares share of each element in potential energy minus DFT formation energy, eV an atom of it."""
    rows = [fractions(formula) for formula in formulas]
    count = Counter(chain.from_iterable(rows))
    elements = sorted(count)
    matrix = np.array([[row.get(element, 0.0) for element in elements] for row in rows])
    values = np.linalg.lstsq(matrix, differences, rcond=None)[0]
    return {e: float(v) for e, v in zip(elements, values, strict=True) if count[e] >= ENOUGH}


def check_correction(rows: pd.DataFrame, results: Cache, dft: pd.DataFrame, known) -> list[list[str]]:
    """Disagreement of the element offsets between WBM and Materials Project, without and with the correction."""
    energies = dict(zip(known.table["id"], known.table["energy"], strict=True))
    reference = dft.assign(energy=dft.material_id.map(energies)).dropna()
    theirs = offsets(reference.formula, (reference.energy - reference.formation_energy_per_atom).to_numpy())
    rows = rows[[results[name]["energy"] is not None for name in rows.material_id]]
    raw = np.array([results[name]["energy"] for name in rows.material_id]) - rows.formation_energy_per_atom.to_numpy()
    added = np.array([anion_correction(formula) for formula in rows.formula])
    lines = []
    for name, difference in (("as in the file", raw), ("with the missing corrections", raw - added)):
        ours = offsets(rows.formula, difference)
        gaps = {element: ours[element] - theirs[element] for element in ours if element in theirs}
        named = ", ".join(f"{element} {gaps[element]:+.2f}" for element in MISSING if element in gaps)
        worst = max((e for e in gaps), key=lambda e: abs(gaps[e]))
        rms = np.sqrt(np.mean(np.square(list(gaps.values()))))
        lines.append([name, named, f"{rms:.3f}", f"{worst} {gaps[worst]:+.2f}", len(gaps)])
    return lines


def main() -> None:
    from stability_scores import report

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="parquet file of the crystals to judge")
    parser.add_argument("--dft", type=Path, action="append", required=True, help="parquet of DFT formation energies")
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--most-sites", type=int, default=20)
    parser.add_argument("--cache", type=Path, required=True, help="JSON-lines file of finished relaxations")
    parser.add_argument("--energies", type=Path, help="JSON file of energies (eV/atom) by id instead of the library's")
    parser.add_argument("--calibration", type=Path, default=Path("src/sozai/screening/calibration.json"))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/stability.md"))
    options = parser.parse_args()
    known = common.library(options.energies)
    data = common.read_crystals(options.data, options.most_sites, ["formation_energy_per_atom"])
    # A longer choice begins with the shorter one, so that the cache serves both.
    rows = data.iloc[np.random.default_rng(0).permutation(len(data))[: options.count]]
    results = Cache(options.cache)
    relax_missing(rows, results)
    dft = read_dft(options.dft)
    judged, left_out = judge(rows, results, dft, known)
    check = check_correction(rows, results, dft, known)
    phases = len(dft), int(dft.material_id.isin(known.table["id"]).sum())
    report(judged, left_out, check, len(rows), phases, options)


if __name__ == "__main__":
    main()
