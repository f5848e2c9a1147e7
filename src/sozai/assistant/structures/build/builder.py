"""Structures from rules alone: search Wyckoff positions, fit distances, relax, judge, rank."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from sozai.assistant.structures.build.assignments import Search, assignments
from sozai.assistant.structures.build.finish import Built, built, relax_best
from sozai.assistant.structures.build.journal import Journal
from sozai.assistant.structures.build.search import preference, search
from sozai.assistant.structures.build.targets import Targets, presumed_shapes, targets_of
from sozai.errors import UserError
from sozai.knowledge.crystals.structure.check import unusual_shapes
from sozai.knowledge.crystals.structure.possible import refuse_impossible
from sozai.knowledge.crystals.structure.read import to_content
from sozai.knowledge.crystals.structure.rules import Polyhedron, StructureRules
from sozai.knowledge.crystals.wish import parse_formula, reduced

if TYPE_CHECKING:
    from sozai.screening.potentials import Potential

Progress = Callable[[int, int, str], None]


def build(
    rules: StructureRules,
    *,
    starts: int | None = None,
    relax: bool = True,
    potential: str | Potential = "chgnet",
    minutes: float | None = None,
    seed: int = 0,
    on_progress: Progress | None = None,
    best: int = 3,
    preview: int = 10,
    fmax: float = 0.05,
    journal: str | os.PathLike[str] | None = None,
) -> list[Built]:
    """Build crystals that obey the rules, the likeliest first.

    Wyckoff positions that are not stated are searched; free coordinates and cell are fitted to the wanted distances
    from many random starts (distance least squares, Meier and Villiger, Z. Kristallogr. 1969, 129, 411); distinct
    fits are relaxed with a potential, in their space group. Those that break a hard rule come last; among the
    others energy ranks.

    Args:
        rules: what the structure shall be; the formula is needed.
        starts: random starts in all; ``None``: by the number of assignments and free parameters.
        relax: whether to relax; without, the fit ranks.
        potential: a name or a loaded potential, see ``screening.potentials``.
        minutes: wall-clock limit; the search takes at most half of it. What is there then is returned.
        seed: same seed, same result (a time limit can cut it at another place).
        on_progress: called with done, total and a note.
        best: structures to relax to the force limit.
        preview: distinct structures that take a few steps of relaxation before the best are chosen.
        fmax: force limit, eV/angstrom, cell included.
        journal: a file that keeps what was computed. A build that was cut short or killed goes on from it when it is
            called again with the same rules, starts, potential and seed; it is removed when a build has finished.

    Returns:
        distinct structures. Ctrl-C ends the work early and keeps what is there; ``provenance["cut_short"]`` says so.

    Raises:
        UserError: no formula, rules that no crystal can obey, or no start gave a structure.
    """
    if starts is not None and starts < 1:
        raise UserError(f"the number of starts is {starts}", "starts", "give 1 or more")
    if minutes is not None and minutes <= 0:
        raise UserError(f"the time limit is {minutes} minutes", "minutes", "give a number above 0")
    refuse_impossible(rules)
    begun, now = time.process_time(), time.monotonic()
    halfway = None if minutes is None else now + 30 * minutes
    deadline = None if minutes is None else now + 60 * minutes
    targets = targets_of(replace(rules, formula=_reduced(rules)))
    plan = assignments(rules, targets)
    if not plan.found:
        raise UserError(
            f"no way was found to put {rules.formula} on Wyckoff positions"
            + (f" of space group {rules.space_group}" if rules.space_group else ""),
            rules.where,
            "state other sites, another space group, or none",
        )
    kept = None
    if journal is not None:
        name = potential if isinstance(potential, str) else potential.name
        kept = Journal(journal, [to_content(rules), starts, name if relax else None, seed, best, preview, fmax])
    try:
        items = _search_and_relax(
            rules, targets, plan, kept, starts=starts, seed=seed, search_until=halfway if relax else deadline,
            relax_until=deadline, potential=potential if relax else None, best=best, preview=preview, fmax=fmax,
            on_progress=on_progress, begun=begun,
        )  # fmt: skip
        if kept is not None:
            kept.close(finished=not any(item.provenance["cut_short"] for item in items))
            kept = None
        return items
    finally:
        if kept is not None:
            kept.close(finished=False)


def _search_and_relax(
    rules: StructureRules,
    targets: Targets,
    plan: Search,
    journal: Journal | None,
    *,
    starts: int | None,
    seed: int,
    search_until: float | None,
    relax_until: float | None,
    potential: str | Potential | None,
    best: int,
    preview: int,
    fmax: float,
    on_progress: Progress | None,
    begun: float,
) -> list[Built]:
    """The structures of one plan; ``potential`` is ``None`` where they are not to be relaxed."""
    found = search(
        rules,
        targets,
        plan,
        starts=starts,
        seed=seed,
        deadline=search_until,
        on_progress=on_progress,
        journal=journal,
    )
    if not found.candidates:
        if found.interrupted == "interrupted":
            raise KeyboardInterrupt  # nothing is there yet that could be kept
        raise UserError(
            f"no start gave a structure ({found.interrupted or f'{found.starts} starts'})",
            rules.where,
            "allow more starts or more minutes, or widen the rules",
        )
    items = [built(candidate, rules) for candidate in found.candidates]
    building, presumed = time.process_time() - begun, presumed_shapes(rules, targets)
    for item in items:
        item.cpu_seconds["building"] = building
        item.provenance |= {
            "starts": found.starts,
            "assignments": plan.told,
            "search_complete": plan.complete,
            "cut_short": found.interrupted,
            **({"presumed_shapes": ", ".join(map(_spell, presumed))} if presumed else {}),
        }
    items.sort(key=lambda item: (item.failed, *preference(item.provenance["fit_cost"], item.provenance["units"])))
    if potential is None or found.interrupted == "interrupted":
        return _with_unusual(items, presumed)
    items, cut = relax_best(
        items,
        rules,
        potential=potential,
        best=best,
        preview=preview,
        fmax=fmax,
        deadline=relax_until,
        on_progress=on_progress,
        journal=journal,
    )
    if cut:
        for item in items:
            item.provenance["cut_short"] = cut
    return _with_unusual(items, presumed)


def _with_unusual(items: list[Built], presumed: list[Polyhedron]) -> list[Built]:
    """The same, with verdicts on polyhedra of another shape than was presumed."""
    if presumed:
        for item in items:
            item.verdicts = [*item.verdicts, *unusual_shapes(item.structure, presumed)]
    return items


def _spell(rule: Polyhedron) -> str:
    return f"{rule.centre}({','.join(rule.ligands)}){rule.coordination} {rule.shape}"


def _reduced(rules: StructureRules) -> str | None:
    """The formula of one formula unit, reduced."""
    if not rules.formula:
        return None
    counts = reduced(parse_formula(rules.formula))
    return "".join(f"{element}{number if number > 1 else ''}" for element, number in counts.items())
