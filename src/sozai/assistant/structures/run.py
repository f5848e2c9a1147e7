"""Runs of ``sozai cif``: check files, build from rules; run folders with everything judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sozai.assistant.structures.audit import Audit, audit_file
from sozai.errors import UserError
from sozai.files import atomic
from sozai.knowledge.crystals.structure.check import check_structure
from sozai.knowledge.crystals.structure.possible import impossible
from sozai.knowledge.crystals.structure.read import to_content, to_yaml
from sozai.knowledge.crystals.structure.rules import StructureRules
from sozai.knowledge.verdict import Verdict

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from sozai.assistant.structures.build import Built

Progress = Callable[[int, int, str], None]


@dataclass
class Judged:
    """One structure with all that was found out about it.

    Attributes:
        name: of the structure, or of the file's block.
        structure: ``None`` when none could be read or built.
        verdicts: of the rules.
        audit: of its file; ``None`` for what sozai wrote itself.
        file: where it is.
        problem: why there is no structure.
        facts: further numbers, for a person.
    """

    name: str
    structure: Structure | None
    verdicts: list[Verdict] = field(default_factory=list)
    audit: Audit | None = None
    file: str = ""
    problem: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every rule passes and the file has no error; what was not decided has not passed."""
        sound = self.audit is None or self.audit.sound
        return sound and not self.problem and all(verdict.passed is True for verdict in self.verdicts)

    @property
    def failed(self) -> list[str]:
        """Names of what failed."""
        rules = [verdict.rule for verdict in self.verdicts if verdict.passed is False]
        codes = [f.code for f in self.audit.findings if f.severity == "error"] if self.audit else []
        return list(dict.fromkeys([*rules, *codes, *(["unreadable"] if self.problem else [])]))

    @property
    def open(self) -> list[str]:
        """Names of rules that were not decided."""
        return [verdict.rule for verdict in self.verdicts if verdict.passed is None]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, without the structure: that is in the file."""
        return {
            "name": self.name,
            "file": self.file,
            "formula": self.structure.composition.reduced_formula if self.structure is not None else None,
            "n_sites": len(self.structure) if self.structure is not None else None,
            "passed": self.passed,
            "failed": self.failed,
            "undecided": self.open,
            "problem": self.problem,
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            "audit": self.audit.to_dict() if self.audit is not None else None,
            "facts": self.facts,
        }


def read_as(rules: StructureRules) -> dict[str, Any]:
    """The rules as they were understood, and why they are impossible where they are."""
    return {"rules": to_content(rules), "text": to_yaml(rules), "impossible": impossible(rules)}


def check_file(path: Path, rules: StructureRules | None) -> list[Judged]:
    """Audit a CIF and judge every structure in it by the rules.

    Raises:
        UserError: the file cannot be read.
    """
    from sozai.materials.cif_parser import parse_cif

    audit = audit_file(path)
    found: list[Judged] = []
    try:
        for name, structure, problem, notes in parse_cif(path.read_bytes().decode("utf-8", "replace")):
            item = Judged(name or path.stem, structure, audit=audit, file=str(path))
            item.facts = {"notes": notes} if notes else {}
            if structure is None:
                _without_structure(item, problem, rules)
            elif rules is not None:
                item.verdicts = check_structure(structure, rules)
            found.append(item)
    except ValueError as error:
        item = Judged(path.stem, None, audit=audit, file=str(path))
        _without_structure(item, str(error), rules)
        found.append(item)
    return found


def _without_structure(item: Judged, problem: str, rules: StructureRules | None) -> None:
    """Partial occupancy is no defect of a file, but the rules judge ordered structures only."""
    disordered = "partly occupied" in problem
    if rules is not None:
        told = f"Not judged: {problem}."
        item.verdicts = [Verdict("rules", None, told)]
    if not disordered:
        item.problem = problem
    else:
        item.facts["disordered"] = problem


def build_run(
    rules: StructureRules,
    out: Path,
    *,
    starts: int | None = None,
    relax: bool = True,
    potential: str = "chgnet",
    minutes: float | None = None,
    seed: int = 0,
    keep: int = 5,
    on_progress: Progress | None = None,
) -> list[Judged]:
    """Build structures and write each as a CIF whose first lines say whether it passed.

    What was computed is kept in the folder until the build has finished: one that was cut short or killed goes on when
    it is called again with the same rules and settings (``minutes`` may differ).

    Raises:
        UserError: no crystal can obey the rules, or none was found.
    """
    from sozai.assistant.structures.build import build
    from sozai.assistant.structures.build.journal import FILE_NAME

    made = build(
        rules, starts=starts, relax=relax, potential=potential, minutes=minutes, seed=seed, on_progress=on_progress,
        journal=out / FILE_NAME,
    )  # fmt: skip
    return write_built(made[:keep], out, "built")


def write_built(made: Sequence[Built], out: Path, stem: str) -> list[Judged]:
    """Write structures as numbered CIFs, the best first, each with its verdict in the first lines."""
    judged = []
    for place, one in enumerate(made, start=1):
        item = Judged(f"{stem}_{place}", one.structure, list(one.verdicts))
        item.facts = {
            "assignment": one.assignment,
            "misfit_angstrom": one.misfit,
            "energy_per_atom_ev": one.energy_per_atom,
            "relaxed": one.relaxed,
            "max_force_ev_per_angstrom": one.max_force,
            "force_limit_ev_per_angstrom": one.force_limit,
            "cpu_seconds": one.cpu_seconds,
            **{key: value for key, value in one.provenance.items() if key != "rules"},
        }
        item.file = write_marked(item, out / f"{item.name}.cif")
        judged.append(item)
    return judged


def write_marked(item: Judged, path: Path) -> str:
    """Write a structure; the file's first lines say whether it passed, and what failed."""
    from sozai.materials.crystal_writers import cif_text

    assert item.structure is not None
    with atomic(path) as stream:
        stream.write(mark(item) + cif_text(item.structure, item.name))
    return str(path)


def mark(item: Judged) -> str:
    """The first lines of a file that sozai writes: passed, failed or not decided."""
    by_rule = {verdict.rule: verdict for verdict in item.verdicts}
    if item.passed:
        return f"# sozai: PASSED all {len(item.verdicts)} checks\n"
    lines = []
    if item.failed:
        lines.append(
            f"# sozai: FAILED {len(item.failed)} of {max(len(item.verdicts), len(item.failed))} checks; "
            "do not use it as it is"
        )
        lines += [f"#   {name}: {by_rule[name].message}" if name in by_rule else f"#   {name}" for name in item.failed]
    else:
        lines.append("# sozai: NOT DECIDED; no check failed")
    lines += [f"#   undecided {name}: {by_rule[name].message}" for name in item.open]
    return "".join(" ".join(line.split("\n"))[:2000] + "\n" for line in lines)


def generate_from_text(
    conditions: dict[str, Any], out: Path, count: int, seed: int, on_progress: Progress | None = None
) -> list[Path]:
    """Draw crystals of wyckoff-gpt under conditions.

    Raises:
        UserError: no crystal was drawn, or the conditions contradict each other.
    """
    from sozai.generators.catalog import generator
    from sozai.knowledge.crystals.wish import CrystalWish
    from sozai.materials.crystal_writers import write_crystals

    crystals = generator("wyckoff-gpt").sample(count, CrystalWish.of(**conditions), seed=seed, on_progress=on_progress)
    if not crystals:
        raise UserError("no crystal fulfils these conditions", "--text", "ask for fewer at once")
    return write_crystals(crystals, out, stem="samples")
