"""Genes as tokens: space group, then per site element, site symmetry and enumeration.

The factorisation (element, site symmetry, enumeration) with the space group as start token is that of
WyFormer (N. Kazeev et al., ICML 2025, arXiv 2503.02407): the same site symmetry means the same surrounding
in any group, so groups with few examples learn from the others. Sites come in one canonical order, by
electronegativity of the element and then by Wyckoff letter, so that every gene is exactly one sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from sozai.knowledge.crystals.elements import element_table
from sozai.knowledge.crystals.wish import SYMBOLS
from sozai.materials.wyckoff import CRYSTAL_SYSTEMS, Gene, space_group

N_ELEMENTS = len(SYMBOLS)
STOP = N_ELEMENTS
"""Index of the stop token among the elements."""
INDEX = {symbol: index for index, symbol in enumerate(SYMBOLS)}
LATTICE_SIZE = 6


@cache
def element_order() -> tuple[int, ...]:
    """Rank of each element (by index) in the canonical order: from electropositive to electronegative."""
    table = element_table()

    def key(index: int) -> tuple[float, int]:
        value = table[SYMBOLS[index]].electronegativity
        return (9.0 if value is None else value, index)  # elements without a Pauling value come last

    ranks = np.empty(N_ELEMENTS, dtype=int)
    ranks[sorted(range(N_ELEMENTS), key=key)] = np.arange(N_ELEMENTS)
    return tuple(ranks.tolist())


@cache
def element_features() -> np.ndarray:
    """Group, row, electronegativity, radius, oxidation states and block of each element, (elements, features)."""
    from pymatgen.core import Element

    rows = []
    for symbol, numbers in element_table().items():
        element = Element(symbol)
        radius = numbers.covalent_radius or 1.7
        electronegativity = numbers.electronegativity or 0.0
        states = element.common_oxidation_states or (0,)
        block = [float(element.block == name) for name in "spdf"]
        rows.append(
            [
                element.group / 18,
                element.row / 7,
                electronegativity / 4,
                radius / 2,
                min(states) / 4,
                max(states) / 7,
                element.mendeleev_no / 103,
                *block,
            ]
        )
    return np.array(rows, dtype=np.float32)


@cache
def site_symmetries() -> dict[str, int]:
    """Index of every site-symmetry symbol of the 230 groups."""
    symbols = {position.site_symmetry for number in range(1, 231) for position in space_group(number).positions}
    return {symbol: index for index, symbol in enumerate(sorted(symbols))}


@cache
def n_enumerations() -> int:
    """One more than the largest enumeration."""
    return 1 + max(p.enumeration for number in range(1, 231) for p in space_group(number).positions)


@cache
def letter_table(number: int) -> list[tuple[str, int, int, int, bool]]:
    """Per position of a group: letter, site-symmetry index, enumeration, atoms in the primitive cell, fixed."""
    group = space_group(number)
    return [
        (
            position.letter,
            site_symmetries()[position.site_symmetry],
            position.enumeration,
            position.multiplicity // group.lattice_points,
            position.degrees_of_freedom == 0,
        )
        for position in group.positions
    ]


@cache
def space_group_features() -> np.ndarray:
    """Crystal system, centring, and size of the point group, one row a group (row 0 is space group 1)."""
    rows = []
    for number in range(1, 231):
        group = space_group(number)
        system = [float(group.crystal_system == name) for name, _ in CRYSTAL_SYSTEMS]
        centring = [float(group.centring == letter) for letter in "PACIFR"]
        order = group.positions[-1].multiplicity / group.lattice_points
        rows.append([*system, *centring, np.log2(order) / 6, number / 230])
    return np.array(rows, dtype=np.float32)


@cache
def symmetry_masks() -> tuple[np.ndarray, np.ndarray]:
    """Which site symmetries a group has (230, S), and which enumerations within them (230, S, E)."""
    enumerations = np.zeros((230, len(site_symmetries()), n_enumerations()), dtype=bool)
    for number in range(1, 231):
        for _, symmetry, enumeration, _, _ in letter_table(number):
            enumerations[number - 1, symmetry, enumeration] = True
    return np.any(enumerations, axis=-1), enumerations


def encode(gene: Gene) -> np.ndarray:
    """Sites of a gene in canonical order: (sites, 4) of element, site symmetry, enumeration, multiplicity."""
    table = {row[0]: (place, *row[1:4]) for place, row in enumerate(letter_table(gene.space_group))}
    order = element_order()
    sites = sorted((order[INDEX[element]], table[letter], INDEX[element]) for element, letter in gene.sites)
    return np.array([(element, *place[1:]) for _, place, element in sites], dtype=np.int64)


def padded(sequences: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Encoded genes as one array ``(genes, longest, 4)``, with zeros behind, and which of its sites are real."""
    longest = max(map(len, sequences))
    sites = np.zeros((len(sequences), longest, 4), dtype=np.int64)
    mask = np.zeros((len(sequences), longest), dtype=bool)
    for row, of_row in enumerate(sequences):
        sites[row, : len(of_row)], mask[row, : len(of_row)] = of_row, True
    return sites, mask


def decode(number: int, sites: Sequence[Sequence[int]]) -> Gene:
    """The gene of encoded sites (element, site symmetry, enumeration, ...)."""
    letters = {(symmetry, enumeration): letter for letter, symmetry, enumeration, _, _ in letter_table(number)}
    return Gene(number, tuple(sorted((SYMBOLS[s[0]], letters[s[1], s[2]]) for s in sites)))


def encode_lattice(lattice: Sequence[float], n_atoms_conventional: int) -> np.ndarray:
    """Lattice as numbers of order one: log volume per atom, log b/a, log c/a, three scaled angle cosines."""
    a, b, c, *angles = lattice
    cosines = np.cos(np.radians(angles))
    volume = a * b * c * np.sqrt(max(1e-9, 1 - np.sum(cosines**2) + 2 * np.prod(cosines)))
    return np.array(
        [np.log(volume / n_atoms_conventional) - 3.0, np.log(b / a), np.log(c / a), *(2 * cosines)], dtype=np.float32
    )


def decode_volume(log_volume: np.ndarray) -> np.ndarray:
    """Volume per atom in cubic angstrom of the first number of ``encode_lattice``."""
    return np.exp(np.asarray(log_volume) + 3.0)


@cache
def lattice_mask(number: int) -> tuple[bool, ...]:
    """Which of the six lattice numbers are free in a group."""
    system = space_group(number).crystal_system
    return {
        "triclinic": (True, True, True, True, True, True),
        "monoclinic": (True, True, True, False, True, False),
        "orthorhombic": (True, True, True, False, False, False),
        "tetragonal": (True, False, True, False, False, False),
        "trigonal": (True, False, True, False, False, False),
        "hexagonal": (True, False, True, False, False, False),
        "cubic": (True, False, False, False, False, False),
    }[system]
