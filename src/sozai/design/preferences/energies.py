"""Energies of the crystals that a generator draws for formulas: the reward of one potential, the verdict of another."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sozai.errors import UserError
from sozai.generators.wyckoff_gpt.model import WyckoffGPT
from sozai.generators.wyckoff_gpt.sampling import DrawnGene
from sozai.knowledge.crystals.ruleset import CrystalRules
from sozai.knowledge.crystals.wish import CrystalWish
from sozai.materials.wyckoff import Gene
from sozai.screening.funnel import hopeless
from sozai.screening.relax import relax_stream

if TYPE_CHECKING:
    from pymatgen.core import Structure

FMAX = 0.1
"""eV/angstrom: differences between arrangements are far larger than what is left below it."""
MAX_STEPS = 40
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Drawn:
    """A gene drawn for a formula.

    Attributes:
        formula: asked for.
        gene: what was drawn.
        structure: before relaxation; ``None`` where none could be built.
        energy: eV/atom; NaN where it could not be built, breaks a hard rule, or did not relax.
        reason: why there is no energy.
    """

    formula: str
    gene: Gene
    structure: Structure | None
    energy: float = math.nan
    reason: str = ""


def genes_for(
    generator: WyckoffGPT, formulas: Sequence[str], each: int, max_atoms: int, seed: int, distinct: bool
) -> list[tuple[str, DrawnGene]]:
    """So many genes for each formula; formulas that the generator cannot write are passed over."""
    rows: list[tuple[str, DrawnGene]] = []
    for number, formula in enumerate(formulas):
        wish = CrystalWish.of(formula=formula, max_atoms=max_atoms)
        try:
            genes = generator.sample_genes(each, wish, seed=seed + number, distinct=distinct)
        except UserError:
            continue
        rows += [(formula, gene) for gene in genes]
    return rows


def draw(
    generator: WyckoffGPT, formulas: Sequence[str], each: int, max_atoms: int, seed: int, distinct: bool
) -> list[Drawn]:
    """So many genes for each formula, built."""
    rows = genes_for(generator, formulas, each, max_atoms, seed, distinct)
    # Each gene is built once: the same one drawn again is the same crystal.
    single = {gene.gene.canonical: gene for _, gene in rows}
    built = {}
    for crystal in generator.build(list(single.values()), seed):
        built[crystal.provenance["gene"]] = crystal.structure
    rules = CrystalRules.load()
    faults = {text: _fault(rules, structure) for text, structure in built.items()}
    found = []
    for formula, gene in rows:
        text = str(single[gene.gene.canonical].gene)
        reason = faults.get(text, "no crystal could be built")
        found.append(Drawn(formula, gene.gene, None if reason else built[text], math.nan, reason))
    return found


def _fault(rules: CrystalRules, structure: Structure) -> str:
    """The hard rule it breaks beyond what relaxation mends."""
    return next((f"{each.rule}: {each.message}" for each in rules.check(structure, level="fast") if hopeless(each)), "")


def with_energies(
    drawn: Sequence[Drawn],
    potential: str,
    journal: Path | None = None,
    deadline: float | None = None,
    processes: int | None = None,
    on_progress: Progress | None = None,
) -> list[Drawn]:
    """The same with relaxed energies by a potential; each gene is relaxed once.

    Args:
        journal: file that keeps finished energies, so that an interrupted run can go on.
        deadline: time of ``time.monotonic()``; what is not done then has no energy, and says so.
    """
    known: dict[str, float] = {}
    if journal is not None and journal.exists():
        for line in journal.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
                known[entry["gene"]] = math.nan if entry["energy"] is None else float(entry["energy"])
            except (ValueError, KeyError, TypeError):
                continue  # cut off by an interruption: done again
    wanted = {
        str(row.gene.canonical): row.structure
        for row in drawn
        if row.structure is not None and str(row.gene.canonical) not in known
    }
    names = list(wanted)
    stream = relax_stream(
        [wanted[name] for name in names], potential, FMAX, MAX_STEPS, processes, deadline, on_progress=on_progress
    )
    for index, relaxation in stream:
        energy = relaxation.energy_per_atom if relaxation.message == "" or relaxation.steps >= MAX_STEPS else math.nan
        known[names[index]] = energy
        if journal is not None:
            with journal.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"gene": names[index], "energy": energy if math.isfinite(energy) else None}))
                file.write("\n")
    found = []
    for row in drawn:
        energy = known.get(str(row.gene.canonical), math.nan) if row.structure is not None else math.nan
        reason = row.reason or ("" if math.isfinite(energy) else "it did not relax")
        found.append(Drawn(row.formula, row.gene, row.structure, energy, reason))
    return found
