"""A crystal as something to look at: atoms, bonds and cell for the 3-D view, and a flat SVG picture.

The browser turns the compact scene into Plotly meshes (spheres and sticks); spelling the meshes out here
would cost a hundred times the space. The flat picture stands in where WebGL is missing, and on paper.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from sozai.reports.svg import colour, figure, text

if TYPE_CHECKING:
    from pymatgen.core import Structure

BOND_SLACK = 1.15
"""Two atoms are drawn bonded up to this many times the sum of their covalent radii."""

RADIUS_SCALE = 0.5
"""Drawn radius of an atom, in covalent radii."""

EYE = np.array([1.0, 0.42, 0.36])
"""Where both views look from (the c axis points up)."""

_BORDER = 0.02  # fractional distance to a face within which an atom is repeated on the opposite face


@dataclass(frozen=True)
class Cell:
    """The cell that is drawn and tabulated.

    Attributes:
        structure: conventional cell where symmetry was found, else the structure as given.
        conventional: whether it is the conventional cell.
        number, symbol: space group found, at ``symprec`` angstrom; ``None`` when the search failed.
        sites: one row an orbit: element, Wyckoff letter with multiplicity, fractional coordinates.
        labels: one label a site of ``structure``, such as ``"S, 4c"``.
    """

    structure: Structure
    conventional: bool
    number: int | None
    symbol: str | None
    sites: list[dict[str, Any]]
    labels: list[str]


def drawn_cell(structure: Structure, symprec: float = 0.1, max_sites: int = 100) -> Cell:
    """The conventional cell of a structure with its symmetry-distinct sites.

    Args:
        structure: any ordered crystal.
        symprec: tolerance of the symmetry search, angstrom.
        max_sites: conventional cells with more atoms are not drawn; the given cell is.
    """
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    number, symbol = None, None
    chosen, conventional = structure, False
    bare = structure.copy()
    bare.remove_oxidation_states()  # an oxidation state must not split equal sites
    try:
        analyzer = SpacegroupAnalyzer(bare, symprec=symprec)
        number, symbol = analyzer.get_space_group_number(), analyzer.get_space_group_symbol()
        standard = analyzer.get_conventional_standard_structure()
        if len(standard) <= max_sites:
            chosen, conventional = standard, True
        symmetric = SpacegroupAnalyzer(chosen, symprec=symprec).get_symmetrized_structure()
    except Exception:  # spglib finds nothing in a badly distorted cell: show it as it is
        rows = [_row(site.specie.symbol, "", site.frac_coords) for site in bare]
        return Cell(bare, False, number, symbol, rows, [site.specie.symbol for site in bare])
    rows, labels = [], [""] * len(chosen)
    for indices, wyckoff in zip(symmetric.equivalent_indices, symmetric.wyckoff_symbols, strict=True):
        first = symmetric[indices[0]]
        rows.append(_row(first.specie.symbol, wyckoff, first.frac_coords))
        for index in indices:
            labels[index] = f"{first.specie.symbol}, {wyckoff}"
    return Cell(chosen, conventional, number, symbol, rows, labels)


def _row(element: str, wyckoff: str, coordinates: np.ndarray) -> dict[str, Any]:
    return {"element": element, "wyckoff": wyckoff, "xyz": [round(float(c) % 1.0, 4) % 1.0 for c in coordinates]}


def scene(cell: Cell) -> dict[str, Any]:
    """What the 3-D view draws, in plain JSON types, angstrom, centred on the cell.

    Returns:
        ``elements``: list of {symbol, colour, radius (drawn, angstrom), count}; ``atoms``: list of
        [x, y, z, element index, label index], with images on cell borders; ``sticks``: half bonds
        [x, y, z, x, y, z, element index]; ``labels``; ``cell``: the three lattice vectors; ``origin``.
    """
    from ase.data import atomic_numbers, covalent_radii
    from ase.data.colors import jmol_colors

    structure = cell.structure
    symbols = [site.specie.symbol for site in structure]
    order = [element.symbol for element in sorted(structure.composition.elements)]  # by electronegativity
    index_of = {symbol: position for position, symbol in enumerate(order)}
    counts = Counter(symbols)
    radii = {symbol: float(covalent_radii[atomic_numbers[symbol]]) for symbol in order}
    elements = [
        {
            "symbol": symbol,
            "colour": "#" + "".join(f"{round(255 * c):02x}" for c in jmol_colors[atomic_numbers[symbol]]),
            "radius": round(RADIUS_SCALE * radii[symbol], 3),
            "count": counts[symbol],
        }
        for symbol in order
    ]
    matrix = np.asarray(structure.lattice.matrix, dtype=float)
    centre = matrix.sum(axis=0) / 2
    fractional = np.asarray(structure.frac_coords, dtype=float) % 1.0
    fractional[fractional > 1 - 1e-6] = 0.0
    owners, images = _with_border_images(fractional)
    positions = (fractional[owners] + images) @ matrix
    sticks = _half_bonds(structure, fractional, owners, images, symbols, radii)
    return {
        "elements": elements,
        "labels": cell.labels,
        "atoms": [
            [*_rounded(xyz - centre), index_of[symbols[owner]], int(owner)]
            for xyz, owner in zip(positions, owners, strict=True)
        ],
        "sticks": [[*_rounded(a - centre), *_rounded(b - centre), index_of[s]] for a, b, s in sticks],
        "cell": [_rounded(vector) for vector in matrix],
        "origin": _rounded(-centre),
    }


def _rounded(vector: np.ndarray) -> list[float]:
    return [round(float(v), 3) for v in vector]


def _with_border_images(fractional: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Site index and whole-cell shift of every drawn atom: the cell's own and those on opposite faces."""
    owners, images = [], []
    for owner, coordinates in enumerate(fractional):
        shifts = [(0, 1) if value < _BORDER else (0, -1) if value > 1 - _BORDER else (0,) for value in coordinates]
        for shift in product(*shifts):
            owners.append(owner)
            images.append(shift)
    return np.array(owners), np.array(images)


def _half_bonds(
    structure: Structure,
    fractional: np.ndarray,
    owners: np.ndarray,
    images: np.ndarray,
    symbols: list[str],
    radii: dict[str, float],
) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Sticks from an atom to the middle of a bond. A bond that leaves the cell is drawn to its middle only
    from atoms inside the cell, so that the atoms on its borders do not bristle.
    """
    from pymatgen.core import Element
    from pymatgen.core.structure import Structure as PymatgenStructure

    matrix = np.asarray(structure.lattice.matrix, dtype=float)
    metal = {symbol: Element(symbol).is_metal for symbol in radii}
    mixed = len(set(metal.values())) > 1  # in a salt, contacts between two metal ions are no bonds
    wrapped = PymatgenStructure(structure.lattice, symbols, fractional)
    reach = 2 * BOND_SLACK * max(radii.values())
    centres, points, offsets, distances = wrapped.get_neighbor_list(reach)
    shown = {(int(owner), *map(int, image)) for owner, image in zip(owners, images, strict=True)}
    inside = np.all((fractional > _BORDER) & (fractional < 1 - _BORDER), axis=1)
    neighbours: dict[int, list[tuple[int, np.ndarray]]] = {}
    for i, j, offset, distance in zip(centres, points, offsets, distances, strict=True):
        a, b = symbols[i], symbols[j]
        if mixed and metal[a] and metal[b]:
            continue
        if 0.4 < distance <= BOND_SLACK * (radii[a] + radii[b]):
            neighbours.setdefault(int(i), []).append((int(j), np.asarray(offset, dtype=int)))
    sticks = []
    for owner, image in zip(owners, images, strict=True):
        start = (fractional[owner] + image) @ matrix
        for other, offset in neighbours.get(int(owner), []):
            target = image + offset
            if (other, *map(int, target)) in shown or inside[owner]:
                end = (fractional[other] + target) @ matrix
                sticks.append((start, (start + end) / 2, symbols[owner]))
    return sticks


def candidate_svg(structure: Structure, standalone: bool = False, prefix: str = "c") -> Markup:
    """A flat picture of a crystal's conventional cell, for the README or where there is no WebGL.

    Args:
        structure: the crystal.
        standalone: make a picture that can live in a file of its own.
        prefix: start of the ids inside the picture; must be unique on a page with several pictures.
    """
    cell = drawn_cell(structure)
    return scene_svg(scene(cell), structure.composition.reduced_formula, standalone, prefix)


def scene_svg(view: dict[str, Any], label: str, standalone: bool = False, prefix: str = "c") -> Markup:
    """Project a scene along ``EYE`` and draw it from back to front (painter's algorithm)."""
    width, height, margin = 420.0, 380.0, 36.0
    towards = EYE / np.linalg.norm(EYE)
    right = np.cross([0.0, 0.0, 1.0], towards)
    right /= np.linalg.norm(right)
    frame = np.array([right, np.cross(towards, right), towards])  # rows: right, up, towards the eye

    vectors, origin = np.array(view["cell"]), np.array(view["origin"])
    corners = np.array([origin + np.array(c) @ vectors for c in product((0, 1), repeat=3)]) @ frame.T
    atoms = np.array([atom[:3] for atom in view["atoms"]]).reshape(-1, 3) @ frame.T
    kinds = [atom[3] for atom in view["atoms"]]
    sizes = np.array([view["elements"][kind]["radius"] for kind in kinds])
    low = np.minimum(corners[:, :2].min(0), (atoms[:, :2] - sizes[:, None]).min(0))
    high = np.maximum(corners[:, :2].max(0), (atoms[:, :2] + sizes[:, None]).max(0))
    scale = min((width - 2 * margin) / (high[0] - low[0]), (height - 2 * margin) / (high[1] - low[1]))
    middle = (low + high) / 2

    def place(point: np.ndarray) -> tuple[float, float]:
        return width / 2 + scale * (point[0] - middle[0]), height / 2 - scale * (point[1] - middle[1])

    tokens = [re.sub(r"[^A-Za-z0-9]", "", f"{prefix}{element['symbol']}") for element in view["elements"]]
    drawn: list[tuple[float, str]] = []
    for (x, y, depth), kind, size in zip(atoms, kinds, sizes, strict=True):
        px, py = place(np.array([x, y]))
        mark = f'<circle cx="{px:.1f}" cy="{py:.1f}" r="{size * scale:.1f}" fill="url(#{tokens[kind]})"/>'
        drawn.append((depth, mark))
    for stick in view["sticks"]:
        ends = np.array(stick[:6]).reshape(2, 3) @ frame.T
        (x0, y0), (x1, y1) = place(ends[0]), place(ends[1])
        mark = (f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="{view["elements"][stick[6]]["colour"]}" '
                f'stroke-width="{0.16 * scale:.1f}"/>')  # fmt: skip
        # A stick starts at its atom's centre: a little behind its middle keeps it under the atom's disc.
        drawn.append((float(ends[:, 2].mean()) - 0.05, mark))
    drawn.extend(_edges(corners, place, atoms, sizes))
    drawn.sort(key=lambda item: item[0])
    balls = [_ball(token, element["colour"]) for token, element in zip(tokens, view["elements"], strict=True)]
    body = f"<defs>{''.join(balls)}</defs>"
    body += f'<g style="stroke-linecap:round">{"".join(mark for _, mark in drawn)}</g>'
    for name, vector in zip("abc", vectors, strict=True):
        tip = (origin + vector) @ frame.T
        start = origin @ frame.T
        away = tip[:2] - start[:2]
        length = float(np.linalg.norm(away))
        if length > 0.3:  # an axis that points at the reader has no place for its letter
            corner_atom = sizes[np.linalg.norm(atoms - tip, axis=1) < sizes]  # the letter keeps clear of it
            px, py = place(tip[:2] + away / length * (max(corner_atom, default=0.0) + 12 / scale))
            body += text(px, py + 4, name, 14, "soft", "middle", 'font-style="italic"')
    return figure(width, height, f"Crystal structure of {label}", body, standalone)


def _ball(token: str, fill: str) -> str:
    red, green, blue = (int(fill[i : i + 2], 16) for i in (1, 3, 5))
    light = "#" + "".join(f"{round(c + (255 - c) * 0.7):02x}" for c in (red, green, blue))
    dark = "#" + "".join(f"{round(c * 0.58):02x}" for c in (red, green, blue))
    return (
        f'<radialGradient id="{token}" cx=".36" cy=".32" r=".72"><stop offset="0" stop-color="{light}"/>'
        f'<stop offset=".5" stop-color="{fill}"/><stop offset="1" stop-color="{dark}"/></radialGradient>'
    )


def _edges(corners: np.ndarray, place: Any, atoms: np.ndarray, sizes: np.ndarray) -> list[tuple[float, str]]:
    """The twelve edges of the cell, in short pieces so that atoms can hide parts of them."""
    pieces = 12
    marks = []
    indices = list(product((0, 1), repeat=3))
    for first, second in ((i, j) for i in range(8) for j in range(i + 1, 8)):
        if sum(abs(a - b) for a, b in zip(indices[first], indices[second], strict=True)) != 1:
            continue
        line = np.linspace(corners[first], corners[second], pieces + 1)
        for start, end in pairwise(line):
            if np.any(np.linalg.norm(atoms - (start + end) / 2, axis=1) < sizes):
                continue  # inside an atom
            (x0, y0), (x1, y1) = place(start[:2]), place(end[:2])
            mark = (f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" '
                    f'style="stroke:{colour("soft")};stroke-width:1.3"/>')  # fmt: skip
            marks.append((float((start[2] + end[2]) / 2), mark))
    return marks
