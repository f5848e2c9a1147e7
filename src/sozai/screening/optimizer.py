"""A quasi-Newton step for one crystal: cell and positions together, within its symmetry.

Variables. A displacement ``u`` of the atoms and a symmetric logarithmic strain ``U`` give the crystal
``r = F (r0 + u)``, ``F = exp(U)`` (Tadmor et al., Phys. Rev. B 59, 235 (1999); the Frechet cell filter of ASE).
They are expressed in an orthonormal basis of what the start's space group allows, so symmetry is kept exactly and
a symmetric crystal has few variables.

Hessian. It starts as that of springs between neighbours, stiffer the closer they are (in the spirit of Lindh et al.,
Chem. Phys. Lett. 241, 423 (1995) and Packwood et al., J. Chem. Phys. 144, 164109 (2016)), strain included, and learns
by damped BFGS updates (Powell 1978; Nocedal and Wright, Numerical Optimization, ch. 18). Steps are restricted to a
trust radius that follows how well the quadratic model predicts the energy; a step that raises the energy is
taken back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sozai.screening.potentials import Cell, Evaluation
from sozai.screening.symmetry import STRAINS, SymmetricCell, symmetric_cell

MAX_MOVE = 0.35  # angstrom an atom may move in one step
MAX_STRAIN = 0.12  # strain in one step
NOISE = 2e-6  # eV an atom: rounding of 32-bit energies, no reason to take a step back
STIFFNESS = 5.0  # eV/angstrom^2 of a spring at the sum of radii
DECAY = 4.0  # how fast springs soften with distance
LATERAL = 0.1  # stiffness across a spring, relative to along it
FLOOR = 0.6  # eV/angstrom^2: the softest direction of the first Hessian


@dataclass
class State:
    """One crystal on its way to its minimum. Made by ``start``, advanced by ``advance``.

    Attributes:
        symmetry: primitive cell, symmetry and the way back to the cell as given.
        x: the variables, ``(d,)``: amplitudes of allowed displacements, then of allowed strains (both angstrom).
        trial: the variables to evaluate next.
        hessian: approximate second derivatives, ``(d, d)``.
        radius: trust radius in angstrom.
        energy: eV of the primitive cell at ``x``.
        gradient: of the energy at ``x``, ``(d,)``.
        max_force: largest row of forces and scaled cell forces at ``x``, eV/angstrom (the criterion of ASE).
        steps: evaluations after the first.
        message: why the crystal cannot go on; empty while it can.
        converged: whether ``max_force`` fell below the limit.
    """

    symmetry: SymmetricCell
    x: np.ndarray
    trial: np.ndarray
    hessian: np.ndarray
    scale: float
    radius: float
    energy: float = np.nan
    gradient: np.ndarray = field(default_factory=lambda: np.empty(0))
    max_force: float = np.inf
    steps: int = 0
    rejected: int = 0
    message: str = ""
    converged: bool = False


def start(cell: Cell) -> State:
    """Begin the relaxation of a crystal."""
    symmetry = symmetric_cell(cell.numbers, cell.lattice, cell.positions)
    n = len(symmetry.numbers)
    scale = abs(np.linalg.det(symmetry.lattice)) ** (1 / 3)
    d = symmetry.displacements.shape[1] + symmetry.strains.shape[1]
    return State(
        symmetry=symmetry,
        x=np.zeros(d),
        trial=np.zeros(d),
        hessian=spring_hessian(symmetry, scale),
        scale=scale,
        radius=0.25 * n**0.5,
    )


def unpack(state: State, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Displacements ``(n, 3)`` in angstrom and logarithmic strain ``(3, 3)`` of the variables."""
    d = state.symmetry.displacements.shape[1]
    displacement = (state.symmetry.displacements @ x[:d]).reshape(-1, 3)
    strain = np.einsum("k,kab->ab", state.symmetry.strains @ x[d:] / state.scale, STRAINS)
    return displacement, strain


def exponential(strain: np.ndarray) -> np.ndarray:
    """Deformation gradient of a symmetric logarithmic strain."""
    values, axes = np.linalg.eigh(strain)
    return (axes * np.exp(values)) @ axes.T


def trial_cell(state: State) -> Cell:
    """The primitive cell to evaluate next."""
    displacement, strain = unpack(state, state.trial)
    deformation = exponential(strain)
    known = state.symmetry
    return Cell(
        numbers=known.numbers,
        lattice=known.lattice @ deformation.T,
        positions=(known.positions + displacement) @ deformation.T,
        symmetry=(known.rotations, known.permutations) if len(known.rotations) > 1 else None,
    )


def result_cell(state: State) -> tuple[np.ndarray, np.ndarray]:
    """Lattice and Cartesian positions of the best cell so far, in the setting that was given."""
    displacement, strain = unpack(state, state.x)
    return state.symmetry.expand(displacement, exponential(strain))


def generalized_forces(state: State, result: Evaluation) -> tuple[np.ndarray, float]:
    """Gradient by the variables, and the largest force that ASE's Frechet filter would see, at the trial."""
    symmetry = state.symmetry
    cell = trial_cell(state)
    _, strain = unpack(state, state.trial)
    values, axes = np.linalg.eigh(strain)
    deformation = (axes * np.exp(values)) @ axes.T
    on_atoms = result.forces @ deformation
    virial = -abs(np.linalg.det(cell.lattice)) * result.stress
    on_deformation = virial @ np.linalg.inv(deformation).T
    # Derivative of the matrix exponential at a symmetric matrix (Daleckii and Krein).
    gap = values[:, None] - values[None]
    same = np.abs(gap) < 1e-9
    slope = np.exp(values)[:, None] - np.exp(values)[None]
    kernel = np.where(same, np.exp(values)[:, None], slope / np.where(same, 1.0, gap))
    on_strain = axes @ (kernel * (axes.T @ on_deformation @ axes)) @ axes.T
    by_displacement = symmetry.displacements.T @ on_atoms.ravel()
    by_strain = symmetry.strains.T @ np.einsum("kab,ab->k", STRAINS, on_strain)
    # The forces once more, now without what breaks the symmetry.
    atoms = (symmetry.displacements @ by_displacement).reshape(-1, 3)
    lattice = np.einsum("k,kab->ab", symmetry.strains @ by_strain, STRAINS) / len(symmetry.numbers)
    largest = max(np.linalg.norm(atoms, axis=1).max(), np.linalg.norm(lattice, axis=1).max())
    return -np.concatenate([by_displacement, by_strain / state.scale]), float(largest)


def advance(state: State, result: Evaluation, fmax: float) -> None:
    """Take the evaluation of ``trial_cell(state)`` in: accept or take back the step, learn, choose the next.

    Sets ``converged`` or ``message`` when there is nothing more to do.
    """
    first = not np.isfinite(state.energy)
    if not first:
        state.steps += 1
    if result.problem or not np.isfinite(result.forces).all():
        problem = result.problem or "a force is not a number"
        if first or state.rejected >= 6:
            state.message = problem
        else:
            _take_back(state, 0.25)
        return
    gradient, largest = generalized_forces(state, result)
    if first:
        state.energy, state.gradient, state.max_force = result.energy, gradient, largest
    else:
        step = state.trial - state.x
        predicted = state.gradient @ step + step @ state.hessian @ step / 2
        actual = result.energy - state.energy
        noise = NOISE * len(state.symmetry.numbers) * max(1.0, abs(result.energy) / 1000)
        _learn(state, step, gradient - state.gradient)
        if largest >= fmax and actual > noise and not _flat(actual, predicted, noise, largest, state.max_force):
            if state.rejected >= 12:
                state.message = "no step lowers the energy any more"
                return
            _take_back(state, 0.4)
            return
        length = float(np.linalg.norm(step))
        ratio = actual / predicted if predicted < -noise else 1.0
        if ratio > 0.6:
            state.radius = max(state.radius, 2.0 * length)
        elif ratio < 0.2:
            state.radius = 0.5 * length
        state.x, state.energy, state.gradient = state.trial, result.energy, gradient
        state.max_force, state.rejected = largest, 0
    state.message = _collapse(state)
    if state.max_force < fmax:
        state.converged = not state.message
    elif not state.message:
        state.trial = state.x + _step(state)


def _flat(actual: float, predicted: float, noise: float, largest: float, before: float) -> bool:
    """Whether an energy that rose by no more than rounding may be accepted, because the forces fell."""
    return actual < 10 * noise and abs(predicted) < 10 * noise and largest < before


def _take_back(state: State, factor: float) -> None:
    """Stay where the state is and choose a shorter step."""
    state.rejected += 1
    state.radius = factor * float(np.linalg.norm(state.trial - state.x))
    state.trial = state.x + _step(state)


def _collapse(state: State) -> str:
    """Volume out of all proportion."""
    _, strain = unpack(state, state.x)
    growth = float(np.exp(np.trace(strain)))
    if growth > 3.0:
        return f"the cell flew apart: {growth:.1f} times its first volume"
    if growth < 0.25:
        return f"the cell collapsed to {growth:.2f} of its first volume"
    return ""


def _learn(state: State, step: np.ndarray, change: np.ndarray) -> None:
    """Damped BFGS update of the Hessian; the first one also sets its scale."""
    image = state.hessian @ step
    curvature = step @ image
    if curvature < 1e-12:
        return
    observed = step @ change
    if state.steps == 1:
        factor = float(np.clip(observed / curvature, 0.3, 3.0))
        state.hessian = state.hessian * factor
        image, curvature = image * factor, curvature * factor
    if observed < 0.2 * curvature:  # Powell's damping keeps the Hessian positive
        mix = 0.8 * curvature / (curvature - observed)
        change = mix * change + (1 - mix) * image
        observed = step @ change
    state.hessian = state.hessian - np.outer(image, image) / curvature + np.outer(change, change) / observed


def _step(state: State) -> np.ndarray:
    """The step that minimises the quadratic model within the trust radius and the limits on atoms and cell."""
    values, vectors = np.linalg.eigh(state.hessian)
    values = np.maximum(np.abs(values), 1e-3)
    along = vectors.T @ state.gradient
    step = along / values
    if np.linalg.norm(step) > state.radius:
        low, high = 0.0, float(np.linalg.norm(along)) / state.radius
        for _ in range(50):
            shift = (low + high) / 2
            if np.linalg.norm(along / (values + shift)) > state.radius:
                low = shift
            else:
                high = shift
        step = along / (values + high)
    step = -vectors @ step
    displacement, strain = unpack(state, step)
    worst = max(
        np.linalg.norm(displacement, axis=1).max() / MAX_MOVE, np.abs(np.linalg.eigvalsh(strain)).max() / MAX_STRAIN
    )
    return step / max(1.0, worst)


def spring_hessian(symmetry: SymmetricCell, scale: float) -> np.ndarray:
    """Hessian of springs between neighbours, in the variables of ``State``, ``(d, d)`` in eV/angstrom^2."""
    from ase.data import covalent_radii
    from pymatgen.optimization.neighbors import find_points_in_spheres

    n = len(symmetry.numbers)
    positions, lattice = np.ascontiguousarray(symmetry.positions), np.ascontiguousarray(symmetry.lattice)
    center, neighbor, image, distance = find_points_in_spheres(
        positions, positions, r=6.0, pbc=np.ones(3, dtype=np.int64), lattice=lattice, tol=1e-8
    )
    apart = distance > 0.3
    center, neighbor, image, distance = center[apart], neighbor[apart], image[apart], distance[apart]
    radii = covalent_radii[symmetry.numbers]
    natural = radii[center] + radii[neighbor]
    spring = STIFFNESS * np.exp(-DECAY * np.clip(distance / natural - 1, -0.25, None))
    vectors = positions[neighbor] + image @ lattice - positions[center]
    units = vectors / distance[:, None]
    block = spring[:, None, None] * (
        (1 - LATERAL) * units[:, :, None] * units[:, None] + LATERAL * np.eye(3)
    )  # each pair is met twice, once from either end, so half of it counts
    full = np.zeros((3 * n + 6, 3 * n + 6))
    atoms = full[: 3 * n, : 3 * n].reshape(n, 3, n, 3)
    for a in range(3):
        for b in range(3):
            np.add.at(atoms[:, a, :, b], (center, center), block[:, a, b])
            np.add.at(atoms[:, a, :, b], (center, neighbor), -block[:, a, b])
    stretched = np.einsum("kab,eb->eka", STRAINS, vectors) / scale  # change of each vector by each strain
    loads = np.einsum("eab,ekb->eak", block, stretched)
    cross = np.zeros((n, 3, 6))
    np.add.at(cross, center, -loads)
    full[: 3 * n, 3 * n :] = cross.reshape(3 * n, 6)
    full[3 * n :, : 3 * n] = full[: 3 * n, 3 * n :].T
    full[3 * n :, 3 * n :] = np.einsum("eka,eal->kl", stretched, loads) / 2
    d, s = symmetry.displacements.shape[1], symmetry.strains.shape[1]
    basis = np.zeros((3 * n + 6, d + s))
    basis[: 3 * n, :d] = symmetry.displacements
    basis[3 * n :, d:] = symmetry.strains
    return basis.T @ full @ basis + FLOOR * np.eye(d + s)
