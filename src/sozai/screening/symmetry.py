"""The symmetry of a crystal as a constraint: which displacements and strains keep its space group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

SYMPREC = 0.01  # angstrom: how far an atom may be from its symmetric place to count as symmetric

# Orthonormal (Mandel) basis of the symmetric 3x3 matrices, (6, 3, 3).
STRAINS = np.zeros((6, 3, 3))
for _k, (_i, _j) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
    STRAINS[_k, _i, _j] += 0.5 if _i == _j else 0.5**0.5
    STRAINS[_k, _j, _i] += 0.5 if _i == _j else 0.0
    STRAINS[_k, _j, _i] = STRAINS[_k, _i, _j]
for _k in range(3):
    STRAINS[_k, _k, _k] = 1.0


@dataclass
class SymmetricCell:
    """A primitive cell, made exactly symmetric, and the way back to the cell it was cut from.

    Attributes:
        numbers: atomic numbers, ``(n,)``.
        lattice: rows a, b, c in angstrom, ``(3, 3)``.
        positions: Cartesian in angstrom, ``(n, 3)``.
        rotations: Cartesian rotations of the space group, ``(g, 3, 3)``.
        permutations: ``permutations[k, i]`` is the atom that operation k brings atom i to, ``(g, n)``.
        displacements: orthonormal columns: the displacements that keep the symmetry and the centre of the
            atoms, ``(3 n, d)``.
        strains: orthonormal columns: the symmetric strains (in the basis ``STRAINS``) that keep it, ``(6, s)``.
        full_lattice, full_positions: the cell as it was given, made symmetric, ``(3, 3)`` and ``(m, 3)``.
        member: the primitive atom that each given atom is a translated copy of, ``(m,)``.
    """

    numbers: np.ndarray
    lattice: np.ndarray
    positions: np.ndarray
    rotations: np.ndarray
    permutations: np.ndarray
    displacements: np.ndarray
    strains: np.ndarray
    full_lattice: np.ndarray
    full_positions: np.ndarray
    member: np.ndarray

    def expand(self, displacement: np.ndarray, deformation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The given cell after a displacement of the primitive atoms and a deformation gradient.

        Args:
            displacement: in angstrom, before the deformation, ``(n, 3)``.
            deformation: F of ``r' = F r``, ``(3, 3)``.

        Returns:
            Lattice ``(3, 3)`` and Cartesian positions ``(m, 3)`` in angstrom.
        """
        moved = self.full_positions + displacement[self.member]
        return self.full_lattice @ deformation.T, moved @ deformation.T


def symmetric_cell(
    numbers: np.ndarray, lattice: np.ndarray, positions: np.ndarray, symprec: float = SYMPREC
) -> SymmetricCell:
    """Find the symmetry, cut out the primitive cell and put every atom exactly on its symmetric place.

    A crystal in which spglib finds nothing is treated as P1.

    Args:
        numbers: atomic numbers, ``(m,)``.
        lattice: rows in angstrom, ``(3, 3)``.
        positions: Cartesian in angstrom, ``(m, 3)``.
        symprec: tolerance of spglib in angstrom.
    """
    import spglib

    frac = positions @ np.linalg.inv(lattice)
    data: Any = spglib.get_symmetry_dataset((lattice, frac, numbers), symprec=symprec)  # type: ignore[arg-type]
    if data is None or len(data.rotations) == 1:
        return _without_symmetry(numbers, lattice, positions)
    member: np.ndarray = np.asarray(data.mapping_to_primitive)
    primitive = np.asarray(data.primitive_lattice)
    kept: np.ndarray = np.unique(member, return_index=True)[1]
    if len(kept) < len(numbers):
        member = np.searchsorted(np.unique(member), member)
        small: Any = spglib.get_symmetry_dataset(
            (primitive, positions[kept] @ np.linalg.inv(primitive), numbers[kept]),  # type: ignore[arg-type]
            symprec=symprec,
        )
        if small is None or small.number != data.number or len(small.std_types) == 0:
            kept, member, primitive, small = np.arange(len(numbers)), np.arange(len(numbers)), lattice, data
    else:
        kept, member, primitive, small = np.arange(len(numbers)), np.arange(len(numbers)), lattice, data

    rotations, translations = np.asarray(small.rotations, float), np.asarray(small.translations)
    cell_frac = positions[kept] @ np.linalg.inv(primitive)
    permutations = _permutations(numbers[kept], cell_frac, primitive, rotations, translations)
    if permutations is None:
        return _without_symmetry(numbers, lattice, positions)

    # Lattice: average the metric over the group and take the smallest deformation that gives it.
    metric = primitive @ primitive.T
    metric = np.mean([r.T @ metric @ r for r in rotations], axis=0)
    inverse = np.linalg.inv(primitive)
    values, axes = np.linalg.eigh(inverse @ metric @ inverse.T)
    stretch = (axes * np.sqrt(values)) @ axes.T
    exact = primitive @ stretch
    # Positions: average over the group. Its translations carry the same small errors, so they are averaged too.
    for _ in range(20):
        image = np.einsum("gab,nb->gna", rotations, cell_frac)
        target = cell_frac[permutations]
        gap = target - image
        gap -= np.round(gap - translations[:, None])
        translations = gap.mean(axis=1)
        moved = np.zeros_like(cell_frac)
        offset = image + translations[:, None] - target
        offset -= np.round(offset)
        for k in range(len(rotations)):
            moved[permutations[k]] += offset[k]
        moved /= len(rotations)
        cell_frac = cell_frac + moved
        if np.abs(moved).max() < 1e-12:
            break
    cartesian = np.array([exact.T @ r @ np.linalg.inv(exact.T) for r in rotations])
    full = positions @ stretch + (cell_frac @ exact - positions[kept] @ stretch)[member]
    displacements, strains = _invariants(cartesian, permutations, len(kept))
    return SymmetricCell(
        numbers=numbers[kept],
        lattice=exact,
        positions=cell_frac @ exact,
        rotations=cartesian,
        permutations=permutations,
        displacements=displacements,
        strains=strains,
        full_lattice=np.round(lattice @ inverse) @ exact,
        full_positions=full,
        member=member,
    )


def _without_symmetry(numbers: np.ndarray, lattice: np.ndarray, positions: np.ndarray) -> SymmetricCell:
    n = len(numbers)
    rotations, permutations = np.eye(3)[None], np.arange(n)[None]
    displacements, strains = _invariants(rotations, permutations, n)
    return SymmetricCell(
        numbers, lattice, positions, rotations, permutations, displacements, strains, lattice, positions,
        np.arange(n),
    )  # fmt: skip


def _permutations(
    numbers: np.ndarray, frac: np.ndarray, lattice: np.ndarray, rotations: np.ndarray, translations: np.ndarray
) -> np.ndarray | None:
    """Where each operation brings each atom; None when an operation fails to map the atoms one to one."""
    found = []
    for rotation, translation in zip(rotations, translations, strict=True):
        gap = (frac @ rotation.T + translation)[:, None] - frac[None]
        gap -= np.round(gap)
        distance = np.linalg.norm(gap @ lattice, axis=2)
        distance[numbers[:, None] != numbers[None]] = np.inf
        nearest = distance.argmin(axis=1)
        if len(set(nearest)) < len(numbers) or distance.min(axis=1).max() > 0.2:
            return None
        found.append(nearest)
    return np.array(found)


def _invariants(rotations: np.ndarray, permutations: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Bases of the displacements and strains that every operation leaves as they are."""
    projector = np.zeros((n, 3, n, 3))
    for rotation, permutation in zip(rotations, permutations, strict=True):
        projector[permutation, :, np.arange(n), :] += rotation
    projector = projector.reshape(3 * n, 3 * n) / len(rotations)
    shift = np.tile(np.eye(3), (n, 1)) / n**0.5
    projector -= projector @ shift @ shift.T
    values, vectors = np.linalg.eigh((projector + projector.T) / 2)
    turned = np.einsum("gab,kbc,gdc->gkad", rotations, STRAINS, rotations).mean(axis=0)
    strain_values, strain_vectors = np.linalg.eigh(np.einsum("jab,kab->jk", STRAINS, turned))
    return vectors[:, values > 0.5], strain_vectors[:, strain_values > 0.5]
