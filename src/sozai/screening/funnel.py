"""The funnel: which crystals survive, with counts, seconds and reasons at every stage.

valid -> unique -> novel -> ranked -> relaxed -> stable. Nothing is dropped without a word: whatever falls out is
in ``rejected`` with its stage and reason. After relaxation a crystal must be valid, unique and novel again.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sozai.errors import UserError
from sozai.knowledge.crystals.ruleset import CrystalRules
from sozai.knowledge.crystals.wish import CrystalWish
from sozai.knowledge.verdict import Verdict
from sozai.materials.crystal import Crystal
from sozai.materials.known import KnownMaterials, known_materials
from sozai.materials.wyckoff import Gene, WyckoffCrystal, WyckoffError, space_group
from sozai.screening.calibration import METASTABLE, bundled
from sozai.screening.hull import Hull
from sozai.screening.identity import MATCHER, Novelty, Seen, counts_of, formula_of
from sozai.screening.ranker import Ranker
from sozai.screening.relax import TIME_LIMIT, Relaxation, relax_stream
from sozai.screening.second_opinion import SecondOpinion

if TYPE_CHECKING:
    from pymatgen.core import Structure

Progress = Callable[[int, int, str], None]
MENDED_BY_RELAXATION = {"interatomic_distances": 0.6, "volume_per_atom": 20.0}
"""Faults (angstrom; cubic angstrom an atom) up to which a crystal is still worth relaxing; later none is allowed."""
SYMPREC = 0.1
"""Tolerance in angstrom for the space group named in results (the one the library was made with)."""


@dataclass
class Stage:
    """One stage: what came through, how long it took, why the others fell out."""

    stage: str
    count: int
    seconds: float
    dropped: Counter[str] = field(default_factory=Counter)
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "stage": self.stage,
            "count": self.count,
            "seconds": round(self.seconds, 3),
            "dropped": dict(self.dropped.most_common()),
            "note": self.note,
        }


@dataclass
class Screened:
    """What a funnel hands back: candidates (ranked records), rejected ones, and the stages."""

    candidates: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    stages: list[Stage]


class Funnel:
    """Screens crystals under a wish, within a budget.

    Args:
        rules: what must be true; the bundled rules by default.
        wish: what was asked for; it must still hold after relaxation.
        relax: relax at most this many, best ranked first; ``None`` for all.
        deadline: time of ``time.monotonic()`` after which no relaxation goes on.
        fmax: force limit of the relaxation, eV/angstrom.
        second_opinion: judge candidates also by SevenNet (if installed).
        novel: whether known materials fall out (else they are only named).
        known: library of known materials.
        hull: hull of these; made from ``known`` by default.
        journal: file that keeps finished relaxations, so that an interrupted run can go on.
        processes: workers for the relaxation.
        keep_above: candidates up to this energy above hull (eV/atom) are handed over.
        grace: seconds after the deadline that the second opinion may take.
    """

    def __init__(
        self,
        rules: CrystalRules | None = None,
        wish: CrystalWish | None = None,
        relax: int | None = 40,
        deadline: float | None = None,
        fmax: float = 0.05,
        second_opinion: bool = True,
        novel: bool = True,
        known: KnownMaterials | None = None,
        hull: Hull | None = None,
        ranker: Ranker | None = None,
        journal: Path | None = None,
        processes: int | None = None,
        keep_above: float = METASTABLE,
        grace: float = 60.0,
        on_progress: Progress | None = None,
    ):
        self.rules = rules or CrystalRules.load()
        self.wish = wish
        self.relax = relax
        self.deadline = deadline
        self.fmax = fmax
        self.second_opinion = second_opinion
        self.novel = novel
        self.known = known or known_materials()
        self.hull = hull or Hull(self.known)
        self.novelty = Novelty(self.known)
        self.ranker = ranker or Ranker.load()
        self.journal = journal
        self.processes = processes
        self.keep_above = keep_above
        self.grace = grace
        self.on_progress = on_progress or (lambda done, total, note: None)
        self._rejected: list[dict[str, Any]] = []

    def screen(self, crystals: Sequence[Crystal]) -> Screened:
        """Run all stages."""
        self._rejected = []
        stages = []
        for work in (self._valid, self._unique, self._novel, self._ranked):
            crystals, stage = self._timed(work, crystals)
            stages.append(stage)
        relaxed, stage = self._timed(self._relaxed, crystals)
        stages.append(stage)
        candidates, stage = self._timed(self._stable, relaxed)
        stages.append(stage)
        return Screened(candidates, self._rejected, stages)

    def _timed(self, work: Callable, items: Sequence) -> tuple[list, Stage]:
        started = time.monotonic()
        name = work.__name__.strip("_")
        dropped: Counter[str] = Counter()
        kept, note = work(items, dropped)
        return kept, Stage(name, len(kept), time.monotonic() - started, dropped, note)

    def _reject(self, dropped: Counter[str], crystal: Crystal, stage: str, kind: str, reason: str) -> None:
        dropped[kind] += 1
        self._rejected.append(
            {"id": crystal.id, "formula": formula_of(crystal.structure), "stage": stage, "reason": reason}
        )

    def _valid(self, crystals: Sequence[Crystal], dropped: Counter[str]) -> tuple[list[Crystal], str]:
        kept = []
        for number, crystal in enumerate(crystals):
            try:
                faults = [v for v in self.rules.check(crystal.structure, self.wish, "fast") if hopeless(v)]
            except UserError as error:  # a crystal that the rules cannot judge must not stop the others
                self._reject(dropped, crystal, "valid", "cannot be checked", str(error))
                continue
            if faults:
                self._reject(dropped, crystal, "valid", faults[0].rule, faults[0].message)
            else:
                kept.append(crystal)
            self.on_progress(number + 1, len(crystals), "checking the rules")
        return kept, "no hard rule broken (small faults of distance and volume are left to the relaxation)"

    def _unique(self, crystals: Sequence[Crystal], dropped: Counter[str]) -> tuple[list[Crystal], str]:
        seen, kept = Seen(), []
        for number, crystal in enumerate(crystals):
            twin = seen.twin(crystal.id, crystal.structure)
            if twin:
                self._reject(dropped, crystal, "unique", "the same as another", f"the same structure as {twin}")
            else:
                kept.append(crystal)
            self.on_progress(number + 1, len(crystals), "looking for duplicates")
        return kept, "StructureMatcher " + ", ".join(f"{key} {value}" for key, value in MATCHER.items())

    def _novel(self, crystals: Sequence[Crystal], dropped: Counter[str]) -> tuple[list[Crystal], str]:
        kept = []
        for number, crystal in enumerate(crystals):
            nearest = self.novelty.nearest(crystal.structure)
            crystal.properties["nearest_known"] = nearest
            if self.novel and nearest and nearest.same:
                self._reject(dropped, crystal, "novel", "known", f"known as {nearest.id} ({nearest.formula})")
            else:
                kept.append(crystal)
            self.on_progress(number + 1, len(crystals), "comparing with known materials")
        note = f"not among {len(self.known):,} known materials" if self.novel else "known materials are kept"
        return kept, note

    def _ranked(self, crystals: Sequence[Crystal], dropped: Counter[str]) -> tuple[list[Crystal], str]:
        genes = [gene_of(crystal) for crystal in crystals]
        predicted = np.full(len(crystals), np.nan)
        with_gene = [index for index, gene in enumerate(genes) if gene is not None]
        if with_gene:
            predicted[with_gene] = self.ranker.above_hull([genes[i] for i in with_gene], self.hull)  # type: ignore[misc]
        # What has no prediction stands in the middle: neither favoured nor lost.
        middle = float(np.nanmedian(predicted)) if np.isfinite(predicted).any() else 0.0
        order = np.argsort(np.where(np.isfinite(predicted), predicted, middle), kind="stable")
        kept = []
        for place, index in enumerate(order):
            crystal = crystals[index]
            if np.isfinite(predicted[index]):
                crystal.properties["predicted_above_hull"] = round(float(predicted[index]), 4)
            if self.relax is None or place < self.relax:
                kept.append(crystal)
            else:
                reason = f"place {place + 1} of the ranking; the budget allows {self.relax} relaxations"
                self._reject(dropped, crystal, "ranked", "beyond the budget", reason)
        return kept, "predicted energy above hull, best first"

    def _relaxed(self, crystals: Sequence[Crystal], dropped: Counter[str]) -> tuple[list, str]:
        done = self._read_journal()
        todo = [crystal for crystal in crystals if _key(crystal) not in done]
        finished = len(crystals) - len(todo)
        stream = relax_stream(
            [crystal.structure for crystal in todo],
            fmax=self.fmax,
            processes=self.processes,
            deadline=self.deadline,
        )
        for index, relaxation in stream:
            finished += 1
            if relaxation.message != TIME_LIMIT:
                done[_key(todo[index])] = relaxation
                self._write_journal(todo[index], relaxation)
            self.on_progress(finished, len(crystals), f"relaxing {formula_of(relaxation.structure)}")
        kept, seen = [], Seen()
        for crystal in crystals:
            if _key(crystal) not in done:
                self._reject(dropped, crystal, "relaxed", "time limit", "the time limit came before it was relaxed")
                continue
            relaxation = done[_key(crystal)]
            fault = self._fault_after(crystal, relaxation, seen)
            if fault:
                self._reject(dropped, crystal, "relaxed", *fault)
            else:
                kept.append((crystal, relaxation))
        return kept, f"CHGNet 0.3.0, cell and positions, to {self.fmax} eV/angstrom; valid, unique, novel afterwards"

    def _fault_after(self, crystal: Crystal, relaxation: Relaxation, seen: Seen) -> tuple[str, str] | None:
        if not relaxation.converged:
            why = relaxation.message or f"forces of {relaxation.max_force:.2f} eV/angstrom are left"
            return "not converged", f"not converged after {relaxation.steps} steps: {why}"
        for verdict in self.rules.check(relaxation.structure, self.wish, "fast"):
            if verdict.fatal:
                return f"{verdict.rule} after relaxation", verdict.message
        twin = seen.twin(crystal.id, relaxation.structure)
        if twin:
            return "the same as another after relaxation", f"relaxed into the same structure as {twin}"
        nearest = self.novelty.nearest(relaxation.structure)
        crystal.properties["nearest_known"] = nearest
        if self.novel and nearest and nearest.same:
            return "known after relaxation", f"relaxed into the known {nearest.id} ({nearest.formula})"
        return None

    def _stable(self, relaxed: Sequence[tuple[Crystal, Relaxation]], dropped: Counter[str]) -> tuple[list, str]:
        records: list[dict[str, Any]] = []
        for crystal, relaxation in relaxed:
            record = self._record(crystal, relaxation)
            above = record["energy_above_hull"]
            if above is not None and above > self.keep_above:
                reason = f"{above:.3f} eV/atom above the hull, more than {self.keep_above}"
                self._reject(dropped, crystal, "stable", "too far above the hull", reason)
                continue
            verdicts = self.rules.check(relaxation.structure, self.wish, "full")
            self.on_progress(len(records) + 1, len(relaxed), "all rules")
            fault = next((verdict for verdict in verdicts if verdict.fatal), None)
            if fault:  # the full level has rules that the fast one leaves out
                self._reject(dropped, crystal, "stable", fault.rule, fault.message)
            else:
                records.append({**record, "verdicts": [verdict.to_dict() for verdict in verdicts]})
        records.sort(key=lambda r: (-(r["probability_metastable"] or 0.0), r["energy_above_hull"] or 0.0, r["id"]))
        if self.second_opinion and records and SecondOpinion.available():
            opinions = SecondOpinion(self.known).judge(
                [record["structure"] for record in records],
                [record["decomposition"] for record in records],
                None if self.deadline is None else max(self.deadline, time.monotonic()) + self.grace,
                self.processes,
                lambda done, total, note: self.on_progress(done, total, f"second opinion on {note}"),
            )
            for record, opinion in zip(records, opinions, strict=True):
                record["second_opinion"] = opinion
            records.sort(key=_disputed)  # stable sort: within each part the order stays
        for place, record in enumerate(records):
            record["rank"] = place + 1
            record["structure"] = record["structure"].as_dict()
        unknown = sum(record["energy_above_hull"] is None for record in records)
        note = f"at most {self.keep_above} eV/atom above the hull of known materials (CHGNet)"
        if records:
            least = min(record["hull_references"] for record in records)
            note += f"; each hull rests on {least} or more known materials of its chemical system"
        return records, note + (f"; {unknown} with unknown hull are kept" if unknown else "")

    def _record(self, crystal: Crystal, relaxation: Relaxation) -> dict[str, Any]:
        structure = relaxation.structure
        distance = self.hull.distance(counts_of(structure), relaxation.energy_per_atom)
        above = None if distance.above is None else round(distance.above, 4)
        stability = "unknown"
        if above is not None:
            stability = "stable" if above <= 0 else "metastable" if above <= METASTABLE else "unstable"
        number, symbol = _space_group(structure)
        nearest = crystal.properties.get("nearest_known")
        probability = bundled().probability(above)
        predicted = crystal.properties.get("predicted_above_hull")
        return {
            "id": crystal.id,
            "rank": 0,
            "formula": formula_of(structure),
            "space_group": {"number": number, "symbol": symbol},
            "n_sites": len(structure),
            "energy_per_atom": round(relaxation.energy_per_atom, 5),
            "energy_above_hull": above,
            "hull_note": distance.note,
            "hull_references": distance.references,
            "stability": stability,
            "decomposition": distance.decomposition,
            "probability_metastable": None if probability is None else round(probability, 3),
            "second_opinion": None,
            "relaxation": {
                "steps": relaxation.steps,
                "converged": relaxation.converged,
                "max_force": round(relaxation.max_force, 4),
                "seconds": round(relaxation.seconds, 3),
                "space_group_before": relaxation.space_group_before,
                "space_group_after": relaxation.space_group_after,
                "symmetry_kept": relaxation.symmetry_kept,
            },
            "verdicts": [],
            "nearest_known": None
            if nearest is None
            else {
                "id": nearest.id,
                "formula": nearest.formula,
                "space_group": nearest.space_group,
                "note": nearest.note,
            },
            "properties": {
                "density": round(float(structure.density), 3),
                "volume_per_atom": round(structure.volume / len(structure), 3),
                **({} if predicted is None else {"predicted_above_hull": predicted}),
            },
            "provenance": crystal.provenance,
            "structure": structure,
        }

    def _write_journal(self, crystal: Crystal, relaxation: Relaxation) -> None:
        if self.journal is None:
            return
        entry = {
            **relaxation.__dict__,
            "structure": relaxation.structure.as_dict(),
            "key": _key(crystal),
            "fmax": self.fmax,
        }
        with self.journal.open("a") as handle:  # the line break first: the line before may have been cut off
            handle.write("\n" + json.dumps(entry))

    def _read_journal(self) -> dict[str, Relaxation]:
        from pymatgen.core import Structure

        done: dict[str, Relaxation] = {}
        if self.journal is None or not self.journal.exists():
            return done
        for line in self.journal.read_text(errors="replace").splitlines():
            try:
                entry = json.loads(line)
                key, fmax = entry.pop("key"), entry.pop("fmax")
                relaxation = Relaxation(**{**entry, "structure": Structure.from_dict(entry["structure"])})
            except (ValueError, LookupError, TypeError, AttributeError):
                continue  # the first line, or one that was being written when the run was stopped: relaxed again
            if fmax == self.fmax:
                done[key] = relaxation
        return done


def _disputed(record: Mapping[str, Any]) -> bool:
    """Whether the second potential puts a candidate beyond the limit: it stands behind those both agree on."""
    opinion = record["second_opinion"]
    above = opinion["energy_above_hull"] if opinion else None
    return above is not None and above > METASTABLE


def hopeless(verdict: Verdict) -> bool:
    """A fatal fault that relaxation cannot mend."""
    return verdict.fatal and verdict.amount > MENDED_BY_RELAXATION.get(verdict.rule, -1.0)


def gene_of(crystal: Crystal) -> Gene | None:
    """The gene of a crystal, by its symmetry; ``None`` if none is found."""
    try:
        return WyckoffCrystal.from_structure(crystal.structure).gene
    except WyckoffError:
        return None


def _space_group(structure: Structure) -> tuple[int, str]:
    import spglib

    cell = (structure.lattice.matrix, structure.frac_coords, [site.specie.Z for site in structure])
    try:
        dataset = spglib.get_symmetry_dataset(cell, symprec=SYMPREC)  # type: ignore[arg-type]
    except Exception:  # spglib raises where it used to return None; either way the crystal has no symmetry
        dataset = None
    number = 1 if dataset is None else int(dataset.number)
    return number, space_group(number).symbol


def _key(crystal: Crystal) -> str:
    """What identifies a start in the journal: its id and its geometry."""
    structure = crystal.structure
    numbers = np.r_[structure.lattice.matrix.ravel(), structure.frac_coords.ravel()].round(6) + 0.0
    text = f"{crystal.id} {[site.specie.symbol for site in structure]} {numbers.tolist()}"
    return sha256(text.encode()).hexdigest()[:24]
