"""From fitted structures to results: relaxed with a potential, judged by the rules, ranked."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sozai.assistant.structures.build.journal import Journal
from sozai.assistant.structures.build.search import Candidate
from sozai.knowledge.crystals.structure.check import check_structure
from sozai.knowledge.crystals.structure.rules import StructureRules
from sozai.knowledge.verdict import Verdict
from sozai.materials.wyckoff import WyckoffCrystal, WyckoffSite

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from sozai.screening.potentials import Potential

Progress = Callable[[int, int, str], None]

_PREVIEW_STEPS = 12
"""Steps that all distinct structures get before the best are relaxed to the end."""


@dataclass
class Built:
    """A structure made from rules.

    Attributes:
        structure: pymatgen structure, conventional cell in the standard setting of the Tables.
        crystal: the same in Wyckoff form, with the space group it was built in.
        assignment: elements on Wyckoff positions, in words.
        misfit: root mean square deviation of the stated bonds from the wanted lengths after the fit, angstrom.
        energy_per_atom: eV by the potential; NaN when it was not relaxed.
        relaxed: whether the largest force is below the limit.
        max_force: eV/angstrom, cell included; NaN when it was not relaxed.
        force_limit: eV/angstrom.
        verdicts: of every rule, on ``structure``.
        cpu_seconds: by part: ``"building"`` (the whole search) and ``"relaxing"`` (this structure).
        provenance: rules, seed, start, how often the search ended here, potential, and what cut it short.
    """

    structure: Structure
    crystal: WyckoffCrystal
    assignment: str
    misfit: float
    energy_per_atom: float = float("nan")
    relaxed: bool = False
    max_force: float = float("nan")
    force_limit: float = float("nan")
    verdicts: list[Verdict] = field(default_factory=list)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether a hard rule fails."""
        return any(verdict.fatal for verdict in self.verdicts)

    @property
    def passed(self) -> bool:
        """Whether every rule passes; one that could not be decided does not count as passed."""
        return all(verdict.passed is True for verdict in self.verdicts)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; the structure as its Wyckoff form."""
        return {
            "assignment": self.assignment,
            "space_group": self.crystal.space_group,
            "lattice": self.crystal.lattice,
            "sites": [[site.element, site.letter, list(site.parameters)] for site in self.crystal.sites],
            "misfit_angstrom": self.misfit,
            "energy_per_atom_ev": self.energy_per_atom,
            "relaxed": self.relaxed,
            "max_force_ev_per_angstrom": self.max_force,
            "force_limit_ev_per_angstrom": self.force_limit,
            "passed": self.passed,
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            "cpu_seconds": self.cpu_seconds,
            "provenance": self.provenance,
        }


def built(candidate: Candidate, rules: StructureRules) -> Built:
    """A fitted structure, judged but not relaxed."""
    crystal = candidate.parameters.crystal(candidate.solution.values)
    structure = crystal.to_structure(primitive=False)
    return Built(
        structure=structure,
        crystal=crystal,
        assignment=str(candidate.assignment),
        misfit=candidate.solution.misfit,
        verdicts=check_structure(structure, rules),
        provenance={
            "rules": rules.where,
            "seed": candidate.start[0],
            "assignment_number": candidate.start[1],
            "start_number": candidate.start[2],
            "times_found": candidate.times,
            "fit_cost": candidate.solution.cost,
            "units": candidate.assignment.units,
            "free_coordinates": candidate.parameters.coordinates,
            "free_cell_parameters": candidate.parameters.cell_size,
        },
    )


def ranked(items: Sequence[Built]) -> list[Built]:
    """Those that break a hard rule last, before them those that are only the fit; else by energy, then by fit.

    The number of rules a structure passes does not count: among those that break none, energy ranks.
    """

    def key(item: Built) -> tuple:
        taken_back = item.provenance.get("relaxed_energy_ev_per_atom")
        energy = item.energy_per_atom if taken_back is None else taken_back
        energy = energy if np.isfinite(energy) else np.inf
        unfinished = not item.relaxed and np.isfinite(energy)
        return item.failed, taken_back is not None, unfinished, round(energy, 4), item.provenance["fit_cost"]

    return sorted(items, key=key)


def relax_best(
    items: list[Built],
    rules: StructureRules,
    *,
    potential: str | Potential = "chgnet",
    best: int = 3,
    preview: int = 10,
    fmax: float = 0.05,
    max_steps: int = 150,
    deadline: float | None = None,
    on_progress: Progress | None = None,
    journal: Journal | None = None,
) -> tuple[list[Built], str]:
    """Relax the structures with the lowest energies, keeping their space groups.

    The first ``preview`` (in the order given, those that break a hard rule last) take a few steps; the ``best``
    of them by energy go on to the force limit. Where the relaxed structure breaks a hard rule that the fit obeyed (a
    potential without dispersion drives layers apart), the relaxation is taken back, and the provenance says so.

    Returns:
        all items ranked, those that were not relaxed after the others, and what cut it short (``""``,
        ``"time limit"``, ``"interrupted"``).
    """
    from sozai.screening import potentials

    loaded = potentials.load(potential, "cpu") if isinstance(potential, str) else potential
    order = sorted(items, key=lambda item: item.failed)
    first, rest = order[:preview], order[preview:]
    cut = ""
    steps = _PREVIEW_STEPS if len(first) > best else max_steps
    total = len(first) + (best if len(first) > best else 0)
    done: list[Built] = []
    finished: list[Built] = []
    fits = {id(item): (item.structure, item.crystal, item.verdicts) for item in first if not item.failed}
    try:
        for item in first:
            _relax_one(item, rules, loaded, fmax, steps, deadline, journal)
            done.append(item)
            if on_progress:
                on_progress(len(done), total, f"{item.energy_per_atom:.3f} eV/atom")
        done = _distinct(done)
        if len(first) > best:
            for item in sorted(done, key=_promise)[:best]:
                if not item.relaxed:
                    _relax_one(item, rules, loaded, fmax, max_steps, deadline, journal)
                finished.append(item)
                if on_progress:
                    on_progress(len(first) + len(finished), total, f"{item.energy_per_atom:.3f} eV/atom")
    except KeyboardInterrupt:
        cut = "interrupted"
    if not cut and deadline is not None and time.monotonic() > deadline:
        cut = "time limit"
    others = [item for item in first if not np.isfinite(item.energy_per_atom)]
    judged = _distinct([item for item in done if np.isfinite(item.energy_per_atom)])
    for item in judged:
        if item.relaxed and item.failed and id(item) in fits:
            _take_back(item, *fits[id(item)])
    return ranked(judged) + others + rest, cut


def _promise(item: Built) -> tuple:
    # A hard failure before relaxation may still mend itself: it costs 50 meV/atom, not the place in the list.
    return item.energy_per_atom + 0.05 * item.failed if np.isfinite(item.energy_per_atom) else np.inf, item.assignment


def _relax_one(
    item: Built,
    rules: StructureRules,
    potential: Potential,
    fmax: float,
    max_steps: int,
    deadline: float | None,
    journal: Journal | None,
) -> None:
    """Relax in place."""
    from pymatgen.core import Structure

    from sozai.screening.relax import TIME_LIMIT

    begun = time.process_time()
    # The same start may end in another fit of the same structure when more starts were done.
    places = hashlib.sha256(
        repr((item.structure.lattice.matrix.tolist(), item.structure.frac_coords.tolist())).encode()
    )
    key = f"relaxed {places.hexdigest()[:24]} {max_steps}"
    known = journal.get(key) if journal is not None else None
    if known is None:
        known = _relaxation(item.structure, potential, fmax, max_steps, deadline)
        if journal is not None and known["message"] != TIME_LIMIT:
            journal.put(key, known)
    item.structure = Structure(known["lattice"], item.structure.species, known["places"])
    item.cpu_seconds["relaxing"] = item.cpu_seconds.get("relaxing", 0.0) + time.process_time() - begun
    item.crystal = _followed(item.crystal, item.structure)
    item.energy_per_atom = known["energy"]
    item.relaxed = known["converged"]
    item.max_force = known["force"]
    item.force_limit = fmax
    item.provenance["potential"] = potential.name
    item.provenance["relaxation"] = known["message"] or f"converged in {known['steps']} steps"
    item.verdicts = check_structure(item.structure, rules)


def _relaxation(
    structure: Structure, potential: Potential, fmax: float, max_steps: int, deadline: float | None
) -> dict[str, Any]:
    """A relaxation in plain types."""
    from sozai.screening.relax import relax

    (outcome,) = relax([structure], potential, fmax, max_steps, processes=1, deadline=deadline)
    return {
        "lattice": outcome.structure.lattice.matrix.tolist(),
        "places": outcome.structure.frac_coords.tolist(),
        "energy": outcome.energy_per_atom,
        "force": outcome.max_force,
        "converged": outcome.converged,
        "steps": outcome.steps,
        "message": outcome.message,
    }


def _take_back(item: Built, structure: Structure, crystal: WyckoffCrystal, verdicts: list[Verdict]) -> None:
    """Back to the fit, which obeys the rules that the relaxed structure breaks."""
    broken = "; ".join(f"{verdict.rule}: {verdict.message}" for verdict in item.verdicts if verdict.fatal)
    item.provenance["relaxation"] = (
        f"taken back, because the relaxed structure broke a rule that the fit obeys: {broken}"
    )
    item.provenance["relaxed_energy_ev_per_atom"] = item.energy_per_atom
    item.structure, item.crystal, item.verdicts = structure, crystal, verdicts
    item.relaxed, item.energy_per_atom, item.max_force = False, float("nan"), float("nan")


def _followed(crystal: WyckoffCrystal, structure: Structure) -> WyckoffCrystal:
    """The Wyckoff form after a relaxation that kept the order of the atoms and the space group."""
    from sozai.materials.wyckoff import space_group

    by_letter = space_group(crystal.space_group).by_letter
    sites, start = [], 0
    points = np.asarray(structure.frac_coords)
    for site in crystal.sites:
        position = by_letter[site.letter]
        first = points[start]  # the orbit's first atom lies on the first representative
        sites.append(WyckoffSite(site.element, site.letter, tuple(float(first[k] % 1.0) for k in position.free)))
        start += position.multiplicity
    lattice = tuple(float(value) for value in structure.lattice.parameters)
    return WyckoffCrystal(crystal.space_group, tuple(sites), lattice)  # type: ignore[arg-type]


def _distinct(items: list[Built]) -> list[Built]:
    """Without those that relaxed into one that is there already; the smaller cell stays, then the better fit."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher = StructureMatcher(ltol=0.05, stol=0.1, angle_tol=2)
    kept: list[Built] = []
    for item in sorted(items, key=lambda one: one.provenance["units"]):
        twin = None
        for other in kept:
            near = abs(item.energy_per_atom - other.energy_per_atom) < 0.003
            if near and matcher.fit(item.structure, other.structure):
                twin = other
                break
        if twin is None:
            kept.append(item)
        else:
            twin.provenance["times_found"] += item.provenance["times_found"]
            twin.cpu_seconds["relaxing"] += item.cpu_seconds.get("relaxing", 0.0)
    return kept
