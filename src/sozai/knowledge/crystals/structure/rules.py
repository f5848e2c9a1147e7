"""The rules of one crystal structure, as a person or a language model states them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Sharing = Literal["corner", "edge", "face", "none"]


@dataclass(frozen=True)
class Site:
    """Atoms on one Wyckoff position.

    Attributes:
        element: symbol.
        multiplicity: atoms in the conventional cell; ``None``: not stated.
        letter: Wyckoff letter; ``None``: not stated (it is searched).
        coordinates: of one atom, fractional; ``None``: not stated.
    """

    element: str
    multiplicity: int | None = None
    letter: str | None = None
    coordinates: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Polyhedron:
    """Each atom of ``centre`` has ``coordination`` atoms of ``ligands`` around it.

    Several polyhedra of one centre and the same ligands are alternatives (Fe in FeO4 and in FeO6: each Fe has one of
    them, and each of them occurs); with other ligands they hold together (a P with three O and one S).

    Attributes:
        centre: element symbol.
        ligands: element symbols.
        coordination: how many in all.
        low, high: range of the bonds, angstrom; ``None``: not stated.
        length: wanted mean bond, angstrom; ``None``: not stated (then from ionic radii or bond valence).
        shape: a name of ``shapes.SHAPES``; ``None``: not stated.
    """

    centre: str
    ligands: tuple[str, ...]
    coordination: int
    low: float | None = None
    high: float | None = None
    length: float | None = None
    shape: str | None = None


@dataclass(frozen=True)
class Connection:
    """How polyhedra around ``first`` share ligands with those around ``second``.

    Closer sharing than stated is excluded (corner-sharing polyhedra share no edges) unless another connection of the
    same two states it; looser sharing is not.

    Attributes:
        first, second: centres (element symbols).
        how: by one common ligand (``"corner"``), two (``"edge"``), three or more (``"face"``), or ``"none"``.
        count: polyhedra of ``second`` that each one of ``first`` shares so; ``None``: at least one.
    """

    first: str
    second: str
    how: Sharing
    count: int | None = None


@dataclass(frozen=True)
class StructureRules:
    """What a structure shall be; every part may be left out.

    Attributes:
        formula: of the crystal, e.g. ``"NaZr2(PO4)3"``.
        space_group: international number, 1 to 230.
        sites: occupied Wyckoff positions (standard setting of the Tables: unique axis b, origin choice 2, hexagonal
            axes), see ``sozai.materials.wyckoff``.
        polyhedra, connections: coordination, and how it shares.
        oxidation: charge by element.
        density: g/cm3, low and high.
        distances: by pair ``"A-B"`` in alphabetical order: low and high, angstrom: no A and B are closer than low, and
            each atom of the rarer of the two has the other within high (infinity: no such limit).
        bond_valence: largest global instability index, valence units.
        cell: by name (``a``, ``b``, ``c``, ``alpha``, ``beta``, ``gamma``): low and high, angstrom or degrees.
        where: the file or words they come from, for messages.
    """

    formula: str | None = None
    space_group: int | None = None
    sites: tuple[Site, ...] = ()
    polyhedra: tuple[Polyhedron, ...] = ()
    connections: tuple[Connection, ...] = ()
    oxidation: Mapping[str, float] = field(default_factory=dict)
    density: tuple[float, float] | None = None
    distances: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    bond_valence: float | None = None
    cell: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    where: str = "rules"
