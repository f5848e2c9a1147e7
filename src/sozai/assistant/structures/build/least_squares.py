"""Distance least squares: the free parameters whose distances come nearest to the wanted ones.

W. M. Meier and H. Villiger, Z. Kristallogr. 1969, 129, 411. Residuals are bonds, ligand-ligand distances of
polyhedra, contacts that are too close, centres that should share ligands and the volume, each over its tolerance.
Which ligands a centre is bound to is chosen anew in rounds; inside a round the problem is smooth and is solved
with the analytic Jacobian.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from sozai.assistant.structures.build.parameters import Parameters
from sozai.assistant.structures.build.targets import Bond, Targets

REACH = 4.6  # angstrom: pairs farther apart are not looked at, unless a rule asks for longer ones
_CLOSE, _EDGE, _SHARE, _OUTER = 0.10, 0.25, 0.20, 0.15  # tolerances in angstrom
_ROOM = 0.97  # of a polyhedron's shortest edge, that its ligands may come near each other
_ROUGH = 0.92  # of a contact: edges that are this near to it are left to press, as in PO4 and SiO4
_BOND = 0.03  # of a bond of strength one; weaker bonds may deviate more


@dataclass(frozen=True)
class Choice:
    """Pairs of one round; rows of the arrays are residuals.

    A residual compares the distance of ``end`` and ``start`` (atoms; ``shift`` is the lattice translation of
    ``end``) with ``want``: both ways (``side`` 0), only when shorter (-1), only when longer (+1).
    """

    start: np.ndarray
    end: np.ndarray
    shift: np.ndarray
    want: np.ndarray
    weight: np.ndarray
    side: np.ndarray
    bond: np.ndarray
    signature: frozenset


@dataclass
class Solution:
    """One fitted set of parameters.

    Attributes:
        values: free parameters.
        cost: half the sum of squared residuals a formula unit.
        misfit: root mean square deviation of stated bonds from the wanted lengths, angstrom.
    """

    values: np.ndarray
    cost: float
    misfit: float


class Problem:
    """The distances of one assignment.

    Args:
        parameters: what can vary.
        targets: what is wanted.
        ranges: stated ranges of the cell.
        deal: bonds of each (orbit, bond rule) to each orbit, see ``balance.bond_counts``; the nearest ligands
            of whatever orbit where a centre is not listed.
    """

    def __init__(
        self,
        parameters: Parameters,
        targets: Targets,
        ranges: Mapping[str, tuple[float, float]],
        deal: Mapping[tuple[int, int], tuple[int, ...]] | None = None,
    ):
        self.parameters, self.targets, self.deal = parameters, targets, dict(deal or {})
        self.limits = parameters.bounds(ranges)
        self.volume = tuple(parameters.assignment.units * value for value in targets.volume)
        self.elements = [element for element, _ in parameters.assignment.sites]
        longest = [bond.outer for bond in targets.bonds] + [share.high for share in targets.shared]
        self.reach = max(REACH, *longest, *targets.least.values()) + 0.2
        names = sorted(set(self.elements))
        self.kind = np.array([names.index(element) for element in self.elements])
        self.least = np.zeros((len(names), len(names)))
        for i, one in enumerate(names):
            for j, other in enumerate(names):
                first, second = sorted((one, other))
                self.least[i, j] = targets.least[(first, second)]
        self.share_of_unit = np.sqrt(parameters.multiplicities / parameters.assignment.units)

    @cached_property
    def scale(self) -> np.ndarray:
        """Size of a change of each parameter that moves atoms by about an angstrom."""
        scale = np.full(self.parameters.size, 0.15)
        edge = (self.volume[0] * self.volume[1]) ** (1 / 6)
        scale[: self.parameters.coordinates] = 1.0 / edge
        return scale

    def points(self, values: np.ndarray) -> np.ndarray:
        """Fractional coordinates of all atoms, ``(atoms, 3)``, not wrapped."""
        matrix, offset = self.parameters.linear
        return matrix @ values[: self.parameters.coordinates] + offset

    def overlap(self, values: np.ndarray) -> float:
        """How much atoms are too close: a cheap measure to compare random starts by."""
        points = self.points(values)
        tensor, _ = self.parameters.metric(values)
        gaps = points[None] - points[self.parameters.first][:, None]
        gaps -= np.round(gaps)
        distance = np.sqrt(np.maximum(np.einsum("raj,jk,rak->ra", gaps, tensor, gaps), 0.0))
        distance[np.arange(len(gaps)), self.parameters.first] = 9.0
        least = 0.8 * self.least[self.kind[:, None], self.kind[self.parameters.owner][None]]
        return float(np.sum(self.share_of_unit[:, None] ** 2 * np.maximum(least - distance, 0.0) ** 2))

    def choose(self, values: np.ndarray) -> Choice:
        """Bonds, edges, contacts and shared polyhedra of the present geometry."""
        orbit, atom, shift, distance = self.neighbours(values)
        first = self.parameters.first
        owner = self._owner_of_pair = self.parameters.owner[atom]
        rows: list[tuple[Any, ...]] = []  # start, end, shift, want, weight, side, is a stated bond
        free = np.ones(len(orbit), bool)  # not a bond
        least = self.least[self.kind[orbit], self.kind[owner]].copy()
        signature = []

        def add(start: Any, end: Any, moved: np.ndarray, want: Any, weight: Any, side: int, bond: bool) -> None:
            n = len(moved)
            rows.append(
                (
                    np.broadcast_to(start, n), np.broadcast_to(end, n), moved, np.broadcast_to(want, n),
                    np.broadcast_to(weight, n), np.full(n, side), np.full(n, bond),
                )
            )  # fmt: skip

        for centre, element in enumerate(self.elements):
            mine = np.flatnonzero(orbit == centre)
            near = {}
            for index, bond in enumerate(self.targets.bonds):
                if bond.centre == element:
                    is_ligand = np.array([symbol in bond.ligands for symbol in self.elements])
                    ligands = mine[is_ligand[owner[mine]]]
                    near[index] = ligands[np.argsort(distance[ligands], kind="stable")]
            for index, picked in self._wanted(centre, near, distance):
                bond = self.targets.bonds[index]
                weight = self.share_of_unit[centre] / (_BOND / max(bond.strength, 0.15))
                if not bond.stated:
                    weight = 0.4 * weight
                add(first[centre], atom[picked], shift[picked], bond.length, weight, 0, bond.stated)
                signature += [(centre, int(atom[k]), *map(int, shift[k])) for k in picked]
                free[picked] = False
                if bond.stated:
                    others = near[index][free[near[index]]]
                    least[others] = np.maximum(least[others], bond.outer)
                    edges = self._edges(bond, centre, atom[picked], shift[picked], values, add)
                    for one, other, length, room in edges:
                        # The same edge by symmetry: between the same orbits at the same distance.
                        same = ((orbit == one) & (owner == other)) | ((orbit == other) & (owner == one))
                        same &= np.abs(distance - length) < 1e-4
                        least[same] = np.minimum(least[same], room)
            for share in self.targets.shared:
                if share.first != element:
                    continue
                others = mine[np.array([self.elements[k] == share.second for k in owner[mine]], dtype=bool)]
                others = others[np.argsort(distance[others], kind="stable")][: share.count]
                weight = self.share_of_unit[centre] / _SHARE
                add(first[centre], atom[others], shift[others], share.high, weight, 1, False)
                least[others] = np.minimum(least[others], share.low)
        close = np.flatnonzero(free & (distance < least + 0.5))
        tolerance = np.where(
            least[close] > self.least[self.kind[orbit[close]], self.kind[owner[close]]], _OUTER, _CLOSE
        )
        rows.append(
            (
                first[orbit[close]], atom[close], shift[close], least[close],
                self.share_of_unit[orbit[close]] / tolerance / 2**0.5, np.full(len(close), -1),
                np.zeros(len(close), bool),
            )
        )  # fmt: skip
        start, end, moved, want, weights, side, bonds = (np.concatenate(column) for column in zip(*rows, strict=True))
        return Choice(start, end, moved, want, weights, side, bonds, frozenset(signature))

    def _wanted(self, centre: int, near: dict[int, np.ndarray], distance: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Bond rules that hold for one centre with the ligands they take; of alternatives, that which fits best."""
        groups: dict[tuple[str, ...], list[tuple[float, int, np.ndarray]]] = {}
        for index, ligands in near.items():
            bond = self.targets.bonds[index]
            deal = self.deal.get((centre, index))
            if deal is None:
                picked = ligands[: bond.count]
            else:
                owner = self._owner_of_pair[ligands]
                picked = np.concatenate([ligands[owner == k][:n] for k, n in enumerate(deal)] or [ligands[:0]])
            outside = distance[np.setdiff1d(ligands, picked)]
            off = float(np.mean(np.abs(distance[picked] - bond.length))) if len(picked) else 9.0
            off += max(bond.outer - float(outside.min()), 0.0) if len(outside) else 0.0
            groups.setdefault(tuple(sorted(bond.ligands)), []).append((off, index, picked))
        return [min(group, key=lambda item: item[:2])[1:] for group in groups.values()]

    def _edges(
        self,
        bond: Bond,
        centre: int,
        atoms: np.ndarray,
        shifts: np.ndarray,
        values: np.ndarray,
        add: Any,
    ) -> list[tuple[int, int, float, float]]:
        """Residuals of the ligand-ligand distances inside one polyhedron.

        Returns:
            edges that may be shorter than contacts of the same elements (C-O is so short that O-O in CO3 is 2.2
            angstrom): the two orbits, the distance, and what is allowed; each kind once.
        """
        i, j = np.triu_indices(len(atoms), 1)
        if not len(i):
            return []
        moved = shifts[j] - shifts[i]
        weight = self.share_of_unit[centre] / (_EDGE / max(bond.strength, 0.5 if bond.shape_stated else 0.15))
        shape = bond.shape
        if shape is not None and len(atoms) == shape.coordination:
            points = self.points(values)
            tensor, _ = self.parameters.metric(values)
            gaps = points[atoms[j]] + moved - points[atoms[i]]
            order = np.argsort(np.einsum("nj,jk,nk->n", gaps, tensor, gaps), kind="stable")
            want = np.empty(len(i))
            want[order] = bond.length * np.array(shape.edges)
            add(atoms[i], atoms[j], moved, want, weight, 0, False)
            room = _ROOM * bond.length * shape.edges[0]
            owners = np.sort(self.parameters.owner[np.stack([atoms[i], atoms[j]])], axis=0)
            contact = self.least[self.kind[owners[0]], self.kind[owners[1]]]
            short = np.flatnonzero(_ROUGH * contact > bond.length * shape.edges[0])
            lengths = np.sqrt(np.einsum("nj,jk,nk->n", gaps[short], tensor, gaps[short]))
            kinds = {(int(a), int(b), round(float(d), 5)) for a, b, d in zip(*owners[:, short], lengths, strict=True)}
            return [(*kind, room) for kind in sorted(kinds)]
        add(atoms[i], atoms[j], moved, bond.apart, weight, -1, False)
        return []

    def neighbours(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Pairs (orbit, atom, translation) within reach of the first atom of each orbit, and their distances."""
        points = self.points(values)
        tensor, _ = self.parameters.metric(values)
        heights = 1.0 / np.sqrt(np.diag(np.linalg.inv(tensor)))
        spans = np.floor(self.reach / heights + 0.5).astype(int)
        spans = np.minimum(spans, 4)
        images = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in spans], indexing="ij"), -1).reshape(-1, 3)
        gaps = points[None] - points[self.parameters.first][:, None]
        base = np.round(gaps)
        inside = gaps - base
        # |g + n|^2 = |g|^2 + 2 g.G.n + |n|^2: one product for all images.
        square = (
            np.einsum("raj,jk,rak->ra", inside, tensor, inside)[:, :, None]
            + 2 * (inside @ tensor) @ images.T
            + np.einsum("nj,jk,nk->n", images, tensor, images)
        )
        orbit, atom, image = np.nonzero(square < self.reach**2)
        shift = images[image] - base[orbit, atom]
        itself = (atom == self.parameters.first[orbit]) & ~np.any(shift != 0, axis=1)
        keep = ~itself
        distance = np.sqrt(np.maximum(square[orbit, atom, image][keep], 1e-6))
        return orbit[keep], atom[keep], shift[keep], distance

    def residuals(
        self, values: np.ndarray, choice: Choice, slopes: bool = True
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Residuals ``(m + 1,)``, the volume last, and with ``slopes`` their Jacobian ``(m + 1, size)``."""
        n = self.parameters.coordinates
        matrix, offset = self.parameters.linear
        points = matrix @ values[:n] + offset
        tensor, by_cell = self.parameters.metric(values)
        gaps = points[choice.end] + choice.shift - points[choice.start]
        lowered = gaps @ tensor
        distance = np.sqrt(np.maximum(np.einsum("nj,nj->n", lowered, gaps), 1e-4))
        off = distance - choice.want
        active = (choice.side == 0) | (off * choice.side > 0)
        weight = np.where(active, choice.weight, 0.0)
        result = np.empty(len(off) + 1)
        result[:-1] = weight * off
        determinant = max(float(np.linalg.det(tensor)), 1e-6)
        logarithm = 0.5 * np.log(determinant)
        low, high = np.log(self.volume[0]), np.log(self.volume[1])
        width = 0.01 if self.targets.stated_volume else 0.05
        beyond = min(logarithm - low, 0.0) + max(logarithm - high, 0.0)
        result[-1] = beyond / width
        if not slopes:
            return result, None
        factor = (weight / distance)[:, None]
        jacobian = np.empty((len(result), self.parameters.size))
        jacobian[:-1, :n] = factor * np.einsum("nj,njk->nk", lowered, matrix[choice.end] - matrix[choice.start])
        jacobian[:-1, n:] = 0.5 * factor * np.einsum("nj,cjk,nk->nc", gaps, by_cell, gaps)
        inverse = np.linalg.inv(tensor)
        by_volume = 0.5 * np.einsum("jk,cjk->c", inverse, by_cell) / width
        jacobian[-1, :n] = 0.0
        jacobian[-1, n:] = by_volume if beyond else 0.0
        return result, jacobian

    def solve(self, values: np.ndarray, rounds: int = 24, evaluations: int = 8) -> Solution:
        """Fit from these values: choose pairs, fit, choose again until nothing changes."""
        from scipy.optimize import least_squares

        low, high = self.limits
        margin = 1e-10
        values = np.clip(values, low + margin, high - margin)
        before: frozenset = frozenset()
        last = np.inf
        for _ in range(rounds):
            choice = self.choose(values)
            settled = choice.signature == before
            fit = least_squares(
                partial(self._residuals_only, choice=choice),
                values,
                jac=partial(self._jacobian_only, choice=choice),
                bounds=(low, high),
                x_scale=self.scale,
                max_nfev=evaluations * (3 if settled else 1),
                method="trf",
                ftol=1e-6,
                xtol=1e-6,
                gtol=1e-8,
            )
            values = fit.x
            if settled and abs(last - fit.cost) < 1e-4 * (1 + fit.cost):
                break
            last = fit.cost
            before = choice.signature
        choice = self.choose(values)
        result, _ = self.residuals(values, choice, False)
        rows = np.flatnonzero(choice.bond)
        off = result[:-1][rows] / choice.weight[rows]
        counts = self.parameters.multiplicities[self.parameters.owner[choice.start[rows]]]
        misfit = float(np.sqrt(np.average(off**2, weights=counts))) if len(rows) else float("nan")
        return Solution(values, 0.5 * float(result @ result), misfit)

    def _residuals_only(self, values: np.ndarray, choice: Choice) -> np.ndarray:
        return self.residuals(values, choice, False)[0]

    def _jacobian_only(self, values: np.ndarray, choice: Choice) -> np.ndarray | None:
        return self.residuals(values, choice)[1]
