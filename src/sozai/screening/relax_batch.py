"""Many relaxations advanced together in one process: each round is one call of the potential."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sozai.screening import optimizer
from sozai.screening.potentials import Cell, Potential
from sozai.screening.symmetry import SYMPREC

BATCH = {"cpu": 8, "cuda": 128, "mps": 32}  # crystals a round; a CPU gains nothing from more
ATOMS = {"cpu": 200, "cuda": 4000, "mps": 800}  # atoms a round, unless one crystal alone has more
COLLISION = 0.5  # of the sum of covalent radii: atoms nearer than this are an artefact of the potential
TIME_LIMIT = "stopped by the time limit"


@dataclass
class Outcome:
    """The end of one relaxation, as bare arrays that travel between processes.

    Attributes:
        cell: the relaxed cell, in the setting that was given.
        energy_per_atom: eV; NaN when the potential could not evaluate the crystal.
        converged: whether the largest force is below the limit.
        steps: evaluations after the first.
        max_force: eV/angstrom, cell included.
        seconds: its share of the computing time.
        space_group_before, space_group_after: numbers by spglib, 0 when it finds none.
        message: empty, or why the relaxation failed or stopped.
    """

    cell: Cell
    energy_per_atom: float
    converged: bool
    steps: int
    max_force: float
    seconds: float
    space_group_before: int
    space_group_after: int
    message: str


@dataclass
class _Running:
    index: int
    cell: Cell
    state: optimizer.State
    seconds: float


def space_group(cell: Cell) -> int:
    """Space group number at ``SYMPREC``, 0 when spglib finds none."""
    import spglib

    if not (np.isfinite(cell.positions).all() and np.isfinite(cell.lattice).all()):
        return 0
    scaled = cell.positions @ np.linalg.inv(cell.lattice)
    data: Any = spglib.get_symmetry_dataset((cell.lattice, scaled, cell.numbers), symprec=SYMPREC)  # type: ignore[arg-type]
    return 0 if data is None else int(data.number)


def not_started(cell: Cell, message: str) -> Outcome:
    """The outcome of a crystal that never had its turn or cannot have one."""
    return Outcome(cell, np.nan, False, 0, np.inf, 0.0, space_group(cell), space_group(cell), message)


def relax_cells(
    more: Callable[[int], list[tuple[int, Cell]]],
    potential: Potential,
    fmax: float,
    max_steps: int,
    deadline: float | None = None,
) -> Iterator[tuple[int, Outcome]]:
    """Relax crystals as they come, yield each as it ends.

    Args:
        more: called with the number of free places; returns that many new crystals or fewer, none when there are
            no more.
        potential: what gives energies and forces.
        fmax: eV/angstrom.
        max_steps: evaluations after the first.
        deadline: ``time.monotonic()`` at which to stop; what is unfinished is yielded as it stands.
    """
    kind = potential.device.split(":")[0]
    places, atoms_a_round = BATCH.get(kind, 8), ATOMS.get(kind, 200)
    running: list[_Running] = []
    exhausted = False
    while True:
        if not exhausted and len(running) < places:
            fresh = more(places - len(running))
            exhausted = not fresh
            for index, cell in fresh:
                begun = time.perf_counter()
                try:
                    state = optimizer.start(cell)
                except (ValueError, np.linalg.LinAlgError) as error:
                    yield index, not_started(cell, f"the relaxation could not start ({error})")
                    continue
                running.append(_Running(index, cell, state, time.perf_counter() - begun))
        if not running:
            if exhausted:
                return
            continue
        if deadline is not None and time.monotonic() >= deadline:
            for item in running:
                yield item.index, _outcome(item, item.state.message or TIME_LIMIT)
            for index, cell in more(-1):
                yield index, not_started(cell, TIME_LIMIT)
            return
        for group in _groups(running, atoms_a_round):
            begun = time.perf_counter()
            results = potential.evaluate_cells([optimizer.trial_cell(item.state) for item in group])
            for item, result in zip(group, results, strict=True):
                optimizer.advance(item.state, result, fmax)
            total = sum(len(item.state.symmetry.numbers) for item in group)
            spent = time.perf_counter() - begun
            for item in group:
                item.seconds += spent * len(item.state.symmetry.numbers) / total
        left: list[_Running] = []
        for item in running:
            state = item.state
            if state.converged or state.message:
                yield item.index, _outcome(item, state.message)
            elif state.steps >= max_steps:
                yield item.index, _outcome(item, f"not converged in {max_steps} steps")
            else:
                left.append(item)
        running = left


def _groups(running: list[_Running], atoms: int) -> Iterator[list[_Running]]:
    """Cut the running crystals into calls of at most so many atoms."""
    group: list[_Running] = []
    count = 0
    for item in running:
        n = len(item.state.symmetry.numbers)
        if group and count + n > atoms:
            yield group
            group, count = [], 0
        group.append(item)
        count += n
    yield group


def _outcome(item: _Running, message: str) -> Outcome:
    state = item.state
    cell = Cell(item.cell.numbers, *optimizer.result_cell(state))
    if not message:
        message = collision(cell)
    return Outcome(
        cell=cell,
        energy_per_atom=float(state.energy) / len(state.symmetry.numbers),
        converged=state.converged and not message,
        steps=state.steps,
        max_force=state.max_force,
        seconds=item.seconds,
        space_group_before=space_group(item.cell),
        space_group_after=space_group(cell),
        message=message,
    )


def collision(cell: Cell) -> str:
    """What to say of atoms that came closer than ``COLLISION`` allows; empty when none did."""
    from ase.data import covalent_radii
    from pymatgen.optimization.neighbors import find_points_in_spheres

    positions, lattice = np.ascontiguousarray(cell.positions), np.ascontiguousarray(cell.lattice)
    center, neighbor, image, distance = find_points_in_spheres(
        positions, positions, r=3.0, pbc=np.ones(3, dtype=np.int64), lattice=lattice, tol=1e-8
    )
    apart = (center != neighbor) | np.any(image != 0, axis=1)
    radii = covalent_radii[cell.numbers]
    close = apart & (distance < COLLISION * (radii[center] + radii[neighbor]))
    return f"atoms collided: two are {distance[close].min():.2f} angstrom apart" if close.any() else ""
