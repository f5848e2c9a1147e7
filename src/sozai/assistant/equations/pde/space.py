"""Finite elements on a box as matrices: from numbers at the nodes to values and slopes at the quadrature points.

Lagrange elements of scikit-fem on lines, quadrilaterals and hexahedra (degree 1 or 2). The nodes of a field form a
lattice, so that fields are arrays; a periodic axis is closed by letting its last nodes be its first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp


@dataclass
class Points:
    """Quadrature points of the body or of one face.

    Attributes:
        where: coordinates, one array an axis.
        weights: of the points.
        value, slopes: by degree: matrices from a field's numbers to its values and derivatives along each axis there.
    """

    where: list[np.ndarray]
    weights: np.ndarray
    value: dict[int, sp.csr_matrix] = field(default_factory=dict)
    slopes: dict[int, list[sp.csr_matrix]] = field(default_factory=dict)


class Space:
    """Fields on a box.

    Args:
        box: ends of each axis.
        cells: number of elements along each axis.
        periodic: by axis.
        degrees: of the elements that are used.
    """

    def __init__(
        self, box: Sequence[tuple[float, float]], cells: Sequence[int], periodic: Sequence[bool], degrees: Sequence[int]
    ):
        import skfem

        self.box, self.cells, self.periodic = list(box), list(cells), list(periodic)
        corners = [np.linspace(low, high, count + 1) for (low, high), count in zip(box, cells, strict=True)]
        kind = (skfem.MeshLine, skfem.MeshQuad, skfem.MeshHex)[len(cells) - 1]
        mesh = kind(corners[0]) if len(cells) == 1 else kind.init_tensor(*corners)
        elements = {
            1: (skfem.ElementLineP1, skfem.ElementQuad1, skfem.ElementHex1)[len(cells) - 1],
            2: (skfem.ElementLineP2, skfem.ElementQuad2, skfem.ElementHex2)[len(cells) - 1],
        }
        order = 2 * max(degrees) + 1
        faces = {
            (axis, side): mesh.facets_satisfying(
                lambda x, axis=axis, side=side: np.isclose(
                    x[axis], box[axis][side > 0], rtol=0, atol=1e-9 * (box[axis][1] - box[axis][0])
                ),
                boundaries_only=True,
            )
            for axis in range(len(cells))
            if not periodic[axis]
            for side in (-1, 1)
        }
        self.shape = {p: tuple(p * n + 1 for n in cells) for p in set(degrees)}
        self._closed = {p: self._closing(p) for p in set(degrees)}
        self.size = {p: int(self._closed[p].max()) + 1 for p in set(degrees)}
        self.body: Points | None = None
        self.faces: dict[tuple[int, int], Points] = {}
        for p in sorted(set(degrees)):
            basis = skfem.Basis(mesh, elements[p](), intorder=order)
            self.body = self._points(basis, p, self.body)
            for face, facets in faces.items():
                edge = skfem.FacetBasis(mesh, elements[p](), facets=facets, intorder=order)
                self.faces[face] = self._points(edge, p, self.faces.get(face))

    def _closing(self, p: int) -> np.ndarray:
        """Number of each lattice node, with the last nodes of a periodic axis being its first."""
        open_shape = [count - 1 if wrap else count for count, wrap in zip(self.shape[p], self.periodic, strict=True)]
        places = np.meshgrid(
            *[np.arange(count) % wide for count, wide in zip(self.shape[p], open_shape, strict=True)], indexing="ij"
        )
        return np.ravel_multi_index([place.ravel() for place in places], open_shape)

    def _points(self, basis, p: int, earlier: Points | None) -> Points:
        lattice = [
            np.rint((spot - low) / (high - low) * (count - 1)).astype(int)
            for spot, (low, high), count in zip(basis.doflocs, self.box, self.shape[p], strict=True)
        ]
        number = self._closed[p][np.ravel_multi_index(lattice, self.shape[p])]
        dx = np.asarray(basis.dx)
        where = np.asarray(basis.global_coordinates().value)
        made = earlier or Points([w.ravel() for w in np.broadcast_to(where, (len(self.cells), *dx.shape))], dx.ravel())
        rows = np.arange(dx.size).reshape(dx.shape)
        columns = number[basis.element_dofs]

        def matrix(parts: list[np.ndarray]) -> sp.csr_matrix:
            data = np.stack([np.broadcast_to(part, dx.shape) for part in parts])
            across = np.broadcast_to(columns[:, :, None], data.shape)
            down = np.broadcast_to(rows, data.shape)
            shape = (dx.size, self.size[p])
            return sp.csr_matrix((data.ravel(), (down.ravel(), across.ravel())), shape=shape)

        made.value[p] = matrix([np.asarray(f[0].value) for f in basis.basis])
        made.slopes[p] = [matrix([np.asarray(f[0].grad)[k] for f in basis.basis]) for k in range(len(self.cells))]
        return made

    def axes(self, p: int) -> list[np.ndarray]:
        """Coordinates of the lattice along each axis, both ends included."""
        return [np.linspace(low, high, count) for (low, high), count in zip(self.box, self.shape[p], strict=True)]

    def nodes(self, p: int) -> list[np.ndarray]:
        """Coordinates of the numbers of a field of degree ``p``."""
        first = np.unique(self._closed[p], return_index=True)[1]
        return [grid.ravel()[first] for grid in np.meshgrid(*self.axes(p), indexing="ij")]

    def lattice(self, numbers: np.ndarray, p: int) -> np.ndarray:
        """A field's numbers as an array over the lattice, both ends of periodic axes included."""
        return numbers[..., self._closed[p]].reshape(*numbers.shape[:-1], *self.shape[p])

    def on_face(self, face: tuple[int, int], p: int) -> np.ndarray:
        """Numbers that lie on a face."""
        axis, side = face
        grid = self._closed[p].reshape(self.shape[p])
        return np.unique(np.take(grid, 0 if side < 0 else -1, axis=axis))


def refine(values: np.ndarray, p: int, first: int) -> np.ndarray:
    """A field on the lattice of a mesh with half the cell size: the same function, at more nodes.

    Args:
        values: its lattice axes begin at axis ``first``.
        p: degree of the elements.
        first: number of leading axes to leave.
    """
    for axis in range(first, values.ndim):
        values = _refine_axis(values, p, axis)
    return values


def _refine_axis(values: np.ndarray, p: int, axis: int) -> np.ndarray:
    old = np.moveaxis(values, axis, -1)
    new = np.empty((*old.shape[:-1], 2 * old.shape[-1] - 1), old.dtype)
    new[..., ::2] = old
    if p == 1:
        new[..., 1::2] = (old[..., :-1] + old[..., 1:]) / 2
    else:  # three nodes an element: the parabola through them at its quarters
        left, middle, right = old[..., :-2:2], old[..., 1::2], old[..., 2::2]
        new[..., 1::4] = 0.375 * left + 0.75 * middle - 0.125 * right
        new[..., 3::4] = -0.125 * left + 0.75 * middle + 0.375 * right
    return np.moveaxis(new, -1, axis)
