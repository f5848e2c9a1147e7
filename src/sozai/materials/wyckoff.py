"""The Wyckoff form of a crystal: space group, occupied Wyckoff positions, lattice.

A crystal of space group *G* is fixed by a few independent sites, each on a Wyckoff position of *G* with at
most three free coordinates; the operations of *G* make the other atoms (International Tables for
Crystallography, volume A). The form is small, exact, and symmetric by construction. Setting: the standard
one of the Tables (unique axis b, origin choice 2, hexagonal axes for rhombohedral groups).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pymatgen.core import Structure

# Rows are the primitive vectors in units of the conventional ones.
_PRIMITIVE = {
    "P": np.eye(3),
    "A": np.array([[1, 0, 0], [0, 0.5, -0.5], [0, 0.5, 0.5]]),
    "C": np.array([[0.5, 0.5, 0], [-0.5, 0.5, 0], [0, 0, 1]]),
    "I": np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]]),
    "F": np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]),
    "R": np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3,
}

CRYSTAL_SYSTEMS = (
    ("triclinic", 2),
    ("monoclinic", 15),
    ("orthorhombic", 74),
    ("tetragonal", 142),
    ("trigonal", 167),
    ("hexagonal", 194),
    ("cubic", 230),
)
"""Crystal systems with the last space group of each."""


class WyckoffError(ValueError):
    """A structure that cannot be written in the Wyckoff form; the message says why."""


@dataclass(frozen=True)
class WyckoffPosition:
    """One Wyckoff position of one space group.

    Attributes:
        letter: a, b, c, ... (``A`` for the 27th of Pmmm).
        multiplicity: atoms in the conventional cell.
        site_symmetry: oriented symbol of the site's point group, e.g. ``"4mm"``.
        enumeration: index among the group's positions of the same site symmetry, from 0.
        rotations, translations: ``(multiplicity, 3, 3)`` and ``(multiplicity, 3)``; the orbit of free
            coordinates ``u`` is ``rotations @ u + translations``.
    """

    letter: str
    multiplicity: int
    site_symmetry: str
    enumeration: int
    rotations: np.ndarray
    translations: np.ndarray

    @cached_property
    def free(self) -> tuple[int, ...]:
        """Which of x, y, z are free."""
        return tuple(int(axis) for axis in np.flatnonzero(np.any(self.rotations[0] != 0, axis=0)))

    @property
    def degrees_of_freedom(self) -> int:
        """Number of free coordinates, 0 to 3."""
        return len(self.free)

    def orbit(self, parameters: Sequence[float]) -> np.ndarray:
        """Fractional coordinates ``(multiplicity, 3)`` in [0, 1) of the conventional cell."""
        coordinates = np.zeros(3)
        coordinates[list(self.free)] = parameters
        return (self.rotations @ coordinates + self.translations) % 1.0

    def parameters_of(self, points: np.ndarray) -> tuple[tuple[float, ...], float]:
        """Free coordinates of the orbit ``points`` and the largest misfit (fractional units).

        At least one point of an orbit lies on the position's first representative; its own coordinates are
        the free parameters there.
        """
        on_first = points @ self.rotations[0].T + self.translations[0]
        misfit = np.abs((on_first - points + 0.5) % 1.0 - 0.5).max(axis=1)
        best = float(misfit.min())
        # Of the equivalent choices, the smallest, so that equal crystals get equal forms.
        candidates = np.round(points[misfit <= best + 1e-3][:, list(self.free)] % 1.0, 9) % 1.0
        return tuple(min(map(tuple, candidates.tolist()))), best


@dataclass(frozen=True)
class SpaceGroup:
    """A space group with its Wyckoff positions, from the most special (a) to the general one."""

    number: int
    symbol: str
    hall_number: int
    positions: tuple[WyckoffPosition, ...]
    relabellings: tuple[str, ...]
    """Letters that a, b, c, ... become under the equivalent choices of origin and axes (Euclidean normaliser)."""

    @cached_property
    def by_letter(self) -> dict[str, WyckoffPosition]:
        """Positions by letter."""
        return {position.letter: position for position in self.positions}

    @property
    def centring(self) -> str:
        """P, A, C, I, F or R."""
        return self.symbol[0]

    @cached_property
    def lattice_points(self) -> int:
        """Lattice points in the conventional cell: 1, 2, 3 or 4."""
        return round(1 / abs(np.linalg.det(_PRIMITIVE[self.centring])))

    @property
    def crystal_system(self) -> str:
        """Triclinic to cubic."""
        return next(name for name, last in CRYSTAL_SYSTEMS if self.number <= last)

    def multiplicity(self, letter: str) -> int:
        """Atoms in the primitive cell on the position ``letter``."""
        return self.by_letter[letter].multiplicity // self.lattice_points


@cache
def _tables() -> dict[str, np.ndarray]:
    with (files("sozai.materials") / "wyckoff_tables.npz").open("rb") as handle:
        return dict(np.load(handle))


@cache
def space_group(number: int) -> SpaceGroup:
    """The space group with this international number (1 to 230)."""
    tables = _tables()
    rows = np.flatnonzero(tables["positions"][:, 0] == number)
    if not len(rows):
        raise WyckoffError(f"there is no space group {number}")
    seen: Counter[str] = Counter()
    positions = []
    for row in rows:
        _, letter, multiplicity, first = tables["positions"][row].tolist()
        operations = tables["operations"][first : first + multiplicity].astype(float)
        symmetry = str(tables["site_symmetries"][row])
        positions.append(
            WyckoffPosition(
                chr(letter), multiplicity, symmetry, seen[symmetry], operations[:, :, :3], operations[:, :, 3] / 24
            )
        )
        seen[symmetry] += 1
    return SpaceGroup(
        number,
        str(tables["symbols"][number - 1]),
        int(tables["halls"][number - 1]),
        tuple(positions),
        tuple(str(tables["relabellings"][number - 1]).split(" ")),
    )


@dataclass(frozen=True)
class Gene:
    """A crystal without its lengths: the space group and which element sits on which Wyckoff position.

    Attributes:
        space_group: international number.
        sites: ``(element, letter)`` pairs, sorted.
    """

    space_group: int
    sites: tuple[tuple[str, str], ...]

    @cached_property
    def counts(self) -> dict[str, int]:
        """Atoms by element in the primitive cell."""
        group = space_group(self.space_group)
        counts: Counter[str] = Counter()
        for element, letter in self.sites:
            counts[element] += group.multiplicity(letter)
        return dict(counts)

    @property
    def n_atoms(self) -> int:
        """Atoms in the primitive cell."""
        return sum(self.counts.values())

    @property
    def anonymous(self) -> str:
        """Fingerprint without the elements: space group and occupied letters, e.g. ``"221:abc"``."""
        return f"{self.space_group}:" + "".join(sorted(letter for _, letter in self.sites))

    @property
    def degrees_of_freedom(self) -> int:
        """Free coordinates of all sites."""
        by_letter = space_group(self.space_group).by_letter
        return sum(by_letter[letter].degrees_of_freedom for _, letter in self.sites)

    @cached_property
    def equivalents(self) -> tuple[Gene, ...]:
        """The same gene under every equivalent choice of origin and axes, this one first."""
        group = space_group(self.space_group)
        letters = [position.letter for position in group.positions]
        others = {self: None}
        for relabelled in group.relabellings:
            new = dict(zip(letters, relabelled, strict=True))
            sites = tuple(sorted((element, new[letter]) for element, letter in self.sites))
            others[Gene(self.space_group, sites)] = None
        return tuple(others)

    @cached_property
    def canonical(self) -> Gene:
        """One gene for all equivalent ones: that with the first letters."""
        return min(self.equivalents, key=lambda gene: (sorted(letter for _, letter in gene.sites), gene.sites))

    def fault(self) -> str | None:
        """Why the gene is formally impossible, or ``None``: unknown letters, a point occupied twice."""
        by_letter = space_group(self.space_group).by_letter
        used: Counter[str] = Counter(letter for _, letter in self.sites)
        if not used:
            return "it has no sites"
        for letter, count in used.items():
            if letter not in by_letter:
                return f"space group {self.space_group} has no Wyckoff position {letter}"
            if count > 1 and by_letter[letter].degrees_of_freedom == 0:
                return f"position {letter} has no free coordinate and is occupied {count} times"
        return None

    def __str__(self) -> str:
        sites = " ".join(f"{element}@{letter}" for element, letter in self.sites)
        return f"{self.space_group} {sites}"


@dataclass(frozen=True)
class WyckoffSite:
    """An element on a Wyckoff position with its free fractional coordinates."""

    element: str
    letter: str
    parameters: tuple[float, ...]


@dataclass(frozen=True)
class WyckoffCrystal:
    """A crystal in the Wyckoff form.

    Attributes:
        space_group: international number.
        sites: independent sites.
        lattice: a, b, c (angstrom) and alpha, beta, gamma (degrees) of the conventional cell.
    """

    space_group: int
    sites: tuple[WyckoffSite, ...]
    lattice: tuple[float, float, float, float, float, float]

    @cached_property
    def gene(self) -> Gene:
        """The form without coordinates and lattice."""
        return Gene(self.space_group, tuple(sorted((site.element, site.letter) for site in self.sites)))

    @classmethod
    def from_structure(cls, structure: Structure, symprec: float = 0.1) -> WyckoffCrystal:
        """Find the Wyckoff form of an ordered structure.

        Args:
            structure: ordered structure, any cell.
            symprec: tolerance in angstrom within which atoms count as symmetric (spglib).

        Raises:
            WyckoffError: a disordered site, no symmetry found, or sites that do not fit the tables.
        """
        if not structure.is_ordered:
            raise WyckoffError("a site is disordered or partly occupied")
        cell = (
            structure.lattice.matrix,
            structure.frac_coords,
            [site.specie.Z for site in structure],
        )
        return cls._from_cell(cell, symprec)

    @classmethod
    def _from_cell(cls, cell: tuple, symprec: float) -> WyckoffCrystal:
        import spglib
        from pymatgen.core import Element, Lattice

        try:
            dataset = spglib.get_symmetry_dataset(cell, symprec=symprec)
            if dataset is not None:
                hall = space_group(dataset.number).hall_number
                if dataset.hall_number != hall:
                    dataset = spglib.get_symmetry_dataset(cell, symprec=symprec, hall_number=hall)
        except Exception as error:  # newer spglib raises its own error where older ones return None
            raise WyckoffError(f"spglib found no symmetry at {symprec} angstrom ({error})") from error
        if dataset is None:
            raise WyckoffError(f"spglib found no symmetry at {symprec} angstrom")
        group = space_group(dataset.number)
        # Orbit and letter of each atom of the standard cell, by way of the primitive cell.
        first_input = {int(p): i for i, p in reversed(list(enumerate(dataset.mapping_to_primitive)))}
        owners = [first_input[int(p)] for p in dataset.std_mapping_to_primitive]
        orbits: dict[int, list[int]] = {}
        for atom, owner in enumerate(owners):
            orbits.setdefault(int(dataset.crystallographic_orbits[owner]), []).append(atom)
        sites = []
        for members in orbits.values():
            letter = dataset.wyckoffs[owners[members[0]]]
            position = group.by_letter.get(letter)
            if position is None or position.multiplicity != len(members):
                raise WyckoffError(f"an orbit of {len(members)} atoms does not fit position {letter}")
            parameters, misfit = position.parameters_of(dataset.std_positions[members])
            if misfit > 0.02:
                raise WyckoffError(f"an atom lies {misfit:.3f} cell lengths off its position {letter}")
            element = Element.from_Z(int(dataset.std_types[members[0]])).symbol
            sites.append(WyckoffSite(element, letter, parameters))
        lengths = Lattice(dataset.std_lattice).parameters
        sites.sort(key=lambda site: (site.element, site.letter, site.parameters))
        return cls(group.number, tuple(sites), tuple(float(value) for value in lengths))  # type: ignore[arg-type]

    def arrays(self, primitive: bool = True) -> tuple[np.ndarray, list[str], np.ndarray]:
        """Lattice rows (3, 3) in angstrom, element symbols, fractional coordinates (n, 3)."""
        from pymatgen.core import Lattice

        group = space_group(self.space_group)
        rows = Lattice.from_parameters(*self.lattice).matrix
        elements: list[str] = []
        points = []
        for site in self.sites:
            orbit = group.by_letter[site.letter].orbit(site.parameters)
            if primitive and group.lattice_points > 1:
                orbit = _one_per_lattice_point(orbit, _PRIMITIVE[group.centring], group.lattice_points)
            points.append(orbit)
            elements += [site.element] * len(orbit)
        if primitive:
            rows = _PRIMITIVE[group.centring] @ rows
        return rows, elements, np.concatenate(points)

    def to_structure(self, primitive: bool = True) -> Structure:
        """The structure in its primitive (default) or conventional cell."""
        from pymatgen.core import Lattice, Structure

        rows, elements, points = self.arrays(primitive)
        return Structure(Lattice(rows), elements, points)


def _one_per_lattice_point(orbit: np.ndarray, basis: np.ndarray, points: int) -> np.ndarray:
    """The orbit in primitive fractional coordinates, each atom once."""
    primitive = (orbit @ np.linalg.inv(basis)) % 1.0
    kept: list[np.ndarray] = []
    for candidate in primitive:
        if all(np.abs((candidate - other + 0.5) % 1.0 - 0.5).max() > 1e-5 for other in kept):
            kept.append(candidate)
    if len(kept) * points != len(orbit):  # two atoms of the orbit coincide: keep one of each group
        kept = list(primitive[: len(orbit) // points])
    return np.array(kept)
