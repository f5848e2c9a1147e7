"""Relax crystals to their nearest minimum: cell and positions, in batches, over processes.

Each crystal keeps the space group it starts with (the forces that would break it are zero by symmetry; see
``symmetry``), takes few steps (see ``optimizer``) and each step is cheap (see ``chgnet_fast``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sozai.errors import UserError
from sozai.screening import potentials
from sozai.screening.potentials import Cell, Potential
from sozai.screening.relax_batch import TIME_LIMIT, Outcome, relax_cells
from sozai.screening.relax_workers import relax_over_processes

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ["TIME_LIMIT", "Relaxation", "relax", "relax_stream"]

WORTH_A_PROCESS = 30  # crystals that repay the seconds a worker needs to start

Progress = Callable[[int, int, str], None]


@dataclass
class Relaxation:
    """One crystal after its relaxation.

    Attributes:
        structure: the relaxed structure, sites in the order of the input; the input itself if nothing was done.
        energy_per_atom: eV, NaN when the potential could not evaluate the structure.
        converged: the largest force (cell included) is below the limit and nothing is wrong with the structure.
        steps: evaluations after the first.
        max_force: eV/angstrom: largest of the forces on atoms and the cell forces a site, as ASE's
            ``FrechetCellFilter`` defines them.
        seconds: its share of the computing time.
        space_group_before, space_group_after: numbers (spglib, 0.01 angstrom), 0 when none was found.
        message: empty, or why it failed or stopped.
    """

    structure: Structure
    energy_per_atom: float
    converged: bool
    steps: int
    max_force: float
    seconds: float
    space_group_before: int
    space_group_after: int
    message: str = ""

    @property
    def symmetry_kept(self) -> bool:
        """Whether the space group is still the one it started with."""
        return self.space_group_before == self.space_group_after


def relax(
    structures: Sequence[Structure],
    potential: str | Potential = "chgnet",
    fmax: float = 0.05,
    max_steps: int = 250,
    processes: int | None = None,
    deadline: float | None = None,
    on_progress: Progress | None = None,
    device: str = "auto",
) -> list[Relaxation]:
    """Relax structures; the result is in the order of the input.

    Args:
        structures: ordered crystals.
        potential: a name (see ``potentials.load``) or a loaded potential (then in this process only).
        fmax: limit of the largest force in eV/angstrom, cell included (0.05 is tight, 0.1 usual).
        max_steps: evaluations after the first before a structure is given up as not converged.
        processes: workers of one thread each; ``None`` chooses by the number of structures and cores, 1 stays in
            this process. A GPU is always served by this process.
        deadline: a time of ``time.monotonic()``; what is unfinished then comes back with ``converged`` false,
            the message ``TIME_LIMIT`` and the structure as far as it came.
        on_progress: called with done, total and a note.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.

    Returns:
        One ``Relaxation`` a structure. A structure that cannot be relaxed (shared sites, isolated atoms, unknown
        element, a cell that explodes) says so in its message.

    Raises:
        UserError: wrong arguments, or a potential that cannot be loaded.
    """
    results: list[Relaxation | None] = [None] * len(structures)
    stream = relax_stream(
        structures, potential, fmax, max_steps, processes, deadline, on_progress=on_progress, device=device
    )
    for index, relaxation in stream:
        results[index] = relaxation
    return [result for result in results if result is not None]


def relax_stream(
    structures: Sequence[Structure],
    potential: str | Potential = "chgnet",
    fmax: float = 0.05,
    max_steps: int = 250,
    processes: int | None = None,
    deadline: float | None = None,
    on_progress: Progress | None = None,
    device: str = "auto",
) -> Iterator[tuple[int, Relaxation]]:
    """As ``relax``, but yields ``(index, relaxation)`` as each structure ends, so that a caller can save it.

    Closing the iterator (or an exception, such as Ctrl-C, in the loop over it) ends the workers.
    """
    _check(structures, fmax, max_steps, processes)
    cells: list[tuple[int, Cell]] = []
    done, total = 0, len(structures)

    def tell(relaxation: Relaxation) -> Relaxation:
        nonlocal done
        done += 1
        if on_progress:
            note = relaxation.message or f"{relaxation.structure.composition.reduced_formula}"
            on_progress(done, total, note)
        return relaxation

    for index, structure in enumerate(structures):
        try:
            cells.append((index, potentials.cell_of(structure)))
        except UserError as error:
            yield index, tell(Relaxation(structure, float("nan"), False, 0, float("inf"), 0.0, 0, 0, error.what))
    if not cells:
        return
    for index, outcome in _outcomes(cells, potential, fmax, max_steps, processes, deadline, device):
        yield index, tell(_relaxation(structures[index], outcome))


def _outcomes(
    cells: list[tuple[int, Cell]],
    potential: str | Potential,
    fmax: float,
    max_steps: int,
    processes: int | None,
    deadline: float | None,
    device: str,
) -> Iterator[tuple[int, Outcome]]:
    """Relax here or over processes, whichever fits."""
    if isinstance(potential, str):
        if potential not in potentials.NAMES:
            potentials.load(potential, device)  # says what is wrong
        chosen = potentials.best_device() if device == "auto" else device
        if processes is None:
            processes = min(_cores(), 1 + len(cells) // WORTH_A_PROCESS)
        if chosen == "cpu" and min(processes, len(cells)) > 1:
            settings = {
                "potential": potential,
                "device": chosen,
                "fmax": fmax,
                "max_steps": max_steps,
                "deadline": deadline,
            }
            yield from relax_over_processes(cells, settings, min(processes, len(cells)))
            return
        potential = potentials.load(potential, chosen)
    waiting = list(reversed(cells))

    def more(count: int) -> list[tuple[int, Cell]]:
        count = len(waiting) if count < 0 else min(count, len(waiting))
        return [waiting.pop() for _ in range(count)]

    outcomes = relax_cells(more, potential, fmax, max_steps, deadline)
    while True:
        with potentials.one_thread():
            item = next(outcomes, None)
        if item is None:
            return
        yield item


def _cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _relaxation(structure: Structure, outcome: Outcome) -> Relaxation:
    """An outcome as a pymatgen structure with the input's species and site properties."""
    if outcome.steps or outcome.energy_per_atom == outcome.energy_per_atom:
        relaxed = type(structure)(
            outcome.cell.lattice,
            structure.species,
            outcome.cell.positions,
            coords_are_cartesian=True,
            site_properties=structure.site_properties,
        )
    else:
        relaxed = structure.copy()
    return Relaxation(
        structure=relaxed,
        energy_per_atom=outcome.energy_per_atom,
        converged=outcome.converged,
        steps=outcome.steps,
        max_force=outcome.max_force,
        seconds=outcome.seconds,
        space_group_before=outcome.space_group_before,
        space_group_after=outcome.space_group_after,
        message=outcome.message,
    )


def _check(structures: Sequence[Structure], fmax: float, max_steps: int, processes: int | None) -> None:
    from pymatgen.core import Structure as Crystal

    if isinstance(structures, Crystal):
        raise UserError("one structure was given where a list is expected", "relax", "write [structure]")
    for index, structure in enumerate(structures):
        if not isinstance(structure, Crystal):
            kind = type(structure).__name__
            raise UserError(f"item {index} is a {kind}, not a pymatgen Structure", "relax", "read the files first")
    if not fmax > 0:
        raise UserError(f"the force limit is {fmax}", "fmax", "give a number above 0, such as 0.05 (eV/angstrom)")
    if max_steps < 0:
        raise UserError(f"the number of steps is {max_steps}", "max_steps", "give 0 or more")
    if processes is not None and processes < 1:
        raise UserError(f"the number of processes is {processes}", "processes", "give 1 or more")
