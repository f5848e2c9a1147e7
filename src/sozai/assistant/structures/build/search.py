"""Many random starts over the plausible assignments: the distinct structures that fit the rules best."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sozai.assistant.structures.build.assignments import Assignment, Search
from sozai.assistant.structures.build.balance import bond_counts
from sozai.assistant.structures.build.journal import Journal
from sozai.assistant.structures.build.least_squares import Problem, Solution
from sozai.assistant.structures.build.parameters import Parameters
from sozai.assistant.structures.build.targets import Targets
from sozai.knowledge.crystals.structure.rules import StructureRules

Progress = Callable[[int, int, str], None]

DRAWS = 12
"""Random cells a start is chosen from: that with the least overlap of atoms."""
_SAME = 0.12  # greatest difference of two fingerprints of one structure
_GRID = np.arange(1.0, 4.6, 0.08)


@dataclass
class Candidate:
    """A structure that distance least squares found.

    Attributes:
        parameters: what could vary.
        solution: the fitted values, their cost and misfit.
        fingerprint: smoothed pair distances by pair of elements.
        times: how many starts ended here.
        start: seed, number of the assignment and number of the start that found it first.
    """

    parameters: Parameters
    solution: Solution
    fingerprint: np.ndarray
    times: int
    start: tuple[int, int, int]

    @property
    def assignment(self) -> Assignment:
        """Elements on Wyckoff positions."""
        return self.parameters.assignment


@dataclass
class Found:
    """What a search found.

    Attributes:
        candidates: distinct structures, the best fit first.
        starts: random starts done.
        interrupted: whether it ended early: ``""``, ``"time limit"`` or ``"interrupted"``.
    """

    candidates: list[Candidate] = field(default_factory=list)
    starts: int = 0
    interrupted: str = ""


@dataclass
class _Lane:
    """One assignment with its problems (one a way to deal the bonds) and its best cost so far."""

    index: int
    parameters: Parameters
    problems: list[Problem]
    done: int = 0
    best: float = np.inf


def search(
    rules: StructureRules,
    targets: Targets,
    plan: Search,
    *,
    starts: int | None = None,
    seed: int = 0,
    deadline: float | None = None,
    on_progress: Progress | None = None,
    keep: int = 60,
    journal: Journal | None = None,
) -> Found:
    """Fit random starts; a few for every assignment, then more for the promising ones.

    Args:
        rules: for the ranges of the cell.
        targets: wanted distances.
        plan: assignments to try.
        starts: random starts in all; ``None``: by the number of assignments and free parameters. Fewer are done
            when the best structure was found again and again.
        seed: same seed, same result.
        deadline: ``time.monotonic()`` at which to stop.
        on_progress: called with starts done, starts in all and a note.
        keep: distinct structures to keep.
        journal: fits of an earlier attempt, which are not computed again.
    """
    found = Found()
    lanes = [_lane(index, assignment, rules, targets) for index, assignment in enumerate(plan.found)]
    if not lanes:
        return found
    size = max(lane.parameters.size for lane in lanes[:10])  # the plausible ones; later ones may be huge
    total = starts if starts is not None else 25 * size + (4 * len(lanes) if len(lanes) > 1 else 0)
    try:
        # Rounds: everyone gets some starts, then the best third of those still in, and so on.
        alive = lanes
        while found.starts < total:
            share = max(1, (total - found.starts) // max(2 * len(alive), 1)) if len(alive) > 1 else total
            share = min(share, 4 + 2 * size) if len(alive) > 4 else share
            for _ in range(share):
                for lane in alive:  # in turn, so that a time limit does not leave the last ones out
                    if found.starts >= total:
                        break
                    if deadline is not None and found.candidates and time.monotonic() > deadline:
                        found.interrupted = "time limit"
                        return _sorted(found, keep)
                    _start(lane, found, seed, journal)
                    if on_progress and found.candidates:
                        best = min(found.candidates, key=lambda item: item.solution.cost)
                        on_progress(found.starts, total, f"best misfit {best.solution.misfit:.3f} angstrom")
                    if len(alive) == 1 and _settled(found, lane):
                        return _sorted(found, keep)
            alive = sorted(alive, key=lambda lane: lane.best)[: max(1, -(-len(alive) // 3))]
    except KeyboardInterrupt:
        found.interrupted = "interrupted"
    return _sorted(found, keep)


def _lane(index: int, assignment: Assignment, rules: StructureRules, targets: Targets) -> _Lane:
    parameters = Parameters(assignment)
    problems = [Problem(parameters, targets, rules.cell)]
    deals = bond_counts(assignment.space_group, assignment.sites, targets)
    if deals:
        limit = deals[0][0] + 0.15
        problems += [Problem(parameters, targets, rules.cell, deal) for off, deal in deals if deal and off <= limit]
    return _Lane(index, parameters, problems)


def _start(lane: _Lane, found: Found, seed: int, journal: Journal | None) -> None:
    """One random start of one assignment."""
    key = f"start {lane.index} {lane.done}"
    known = journal.get(key) if journal is not None else None
    if known is None:
        solution = _fit(lane, seed)
        if journal is not None:
            journal.put(key, [solution.values.tolist(), solution.cost, solution.misfit])
    else:
        solution = Solution(np.array(known[0]), known[1], known[2])
    lane.done += 1
    found.starts += 1
    _take(lane, found, solution, seed)


def _fit(lane: _Lane, seed: int) -> Solution:
    """The fit of the lane's next start."""
    rng = np.random.default_rng([seed, lane.index, lane.done])
    # Every other start lets each centre take the nearest ligands, the others deal the bonds evenly.
    free = lane.done % 2 == 0 or len(lane.problems) == 1
    problem = lane.problems[0 if free else 1 + (lane.done // 2) % (len(lane.problems) - 1)]
    volume = problem.volume
    draws = [lane.parameters.draw(rng, (volume[0], volume[1]), problem.limits) for _ in range(DRAWS)]
    values = min(draws, key=problem.overlap)
    solution = problem.solve(values)
    if problem.deal:  # judged without the deal: ligands of it that are out of reach would cost nothing
        solution = lane.problems[0].solve(solution.values)
    return solution


def _take(lane: _Lane, found: Found, solution: Solution, seed: int) -> None:
    """Add a fit to what was found, or count it to the one it is equal to."""
    if not np.isfinite(solution.cost):
        return
    lane.best = min(lane.best, solution.cost)
    mark = fingerprint(lane.problems[0], solution.values)
    for other in found.candidates:
        close = abs(other.solution.cost - solution.cost) < 0.05 * (1 + solution.cost)
        if close and np.abs(other.fingerprint - mark).max() < _SAME:
            other.times += 1
            if solution.cost < other.solution.cost and other.assignment == lane.parameters.assignment:
                other.solution = solution
            elif lane.parameters.assignment.units < other.assignment.units:  # the same in a smaller cell
                other.parameters, other.solution, other.fingerprint = lane.parameters, solution, mark
                other.start = (seed, lane.index, lane.done - 1)
            return
    start = (seed, lane.index, lane.done - 1)
    found.candidates.append(Candidate(lane.parameters, solution, mark, 1, start))
    if len(found.candidates) > 400:
        _sorted(found, 200)


def _settled(found: Found, lane: _Lane) -> bool:
    """Whether the best structure came up so often that a better one is unlikely."""
    if found.starts < 8 * lane.parameters.size:
        return False
    best = min(found.candidates, key=lambda item: item.solution.cost)
    return best.times >= 6


def preference(cost: float, units: int) -> tuple[float, int, float]:
    """Sorts structures: the better fit first; of those that fit alike, the smaller cell.

    Frameworks that can fold fit in many ways, and those with more free parameters fit a trace better for no reason.
    """
    return round(cost, 1), units, cost


def _rank(item: Candidate) -> tuple[float, int, float]:
    return preference(item.solution.cost, item.assignment.units)


def _sorted(found: Found, keep: int) -> Found:
    found.candidates.sort(key=_rank)
    del found.candidates[keep:]
    return found


def fingerprint(problem: Problem, values: np.ndarray) -> np.ndarray:
    """Smoothed histograms of distances by pair of elements, a formula unit; alike for equivalent descriptions."""
    orbit, atom, _, distance = problem.neighbours(values)
    owner = problem.parameters.owner[atom]
    kinds = int(problem.kind.max()) + 1
    pair = problem.kind[orbit] * kinds + problem.kind[owner]
    weight = (problem.share_of_unit**2)[orbit]
    spread = np.exp(-0.5 * ((_GRID[None] - distance[:, None]) / 0.12) ** 2) * weight[:, None]
    spread *= np.clip((4.4 - distance[:, None]) / 0.4, 0.0, 1.0)  # atoms must not drop in and out at the edge
    marks = np.zeros((kinds * kinds, len(_GRID)))
    np.add.at(marks, pair, spread)
    # Relative to the atoms of the first element, so that pairs weigh alike.
    amount = np.bincount(problem.kind, problem.share_of_unit**2, kinds)
    return marks / np.repeat(amount, kinds)[:, None]
