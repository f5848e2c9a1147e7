"""Reads and writes crystals in the community's files, and says of each bad one why it cannot be used.

crystals, problems = read_crystals("candidates.zip")
write_crystals(crystals, "run/")
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote

from sozai.errors import UserError
from sozai.materials.crystal import Crystal, Problem
from sozai.materials.crystal_parsers import PARSERS, Found, format_of
from sozai.materials.crystal_writers import write_crystals
from sozai.materials.sources import Source, unpacked, walk

if TYPE_CHECKING:
    from pymatgen.core import Structure

__all__ = ["SHORTEST_DISTANCE", "read_crystals", "structure_fault", "write_crystals"]

SHORTEST_DISTANCE = 0.5
"""Two atoms closer than this (angstrom) are taken for a fault of the file; H-H in H2 is 0.74."""
HIGHEST_NUMBER = 103  # Lr; nothing heavier has a structure or a place in any potential
_READABLE = "CIF, POSCAR, extxyz, pymatgen JSON or parquet"


def read_crystals(
    path: str | Path,
    limit: int | None = None,
    max_atoms: int | None = None,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> tuple[list[Crystal], list[Problem]]:
    """Read every crystal in a file, a folder (with all folders in it) or a zip or tar archive.

    CIF (many blocks too), POSCAR, CONTCAR, ``*.vasp``, extended XYZ, pymatgen JSON and parquet are read,
    also gzipped. A crystal keeps the name it has in its file (``material_id``), else it gets the file's;
    a name met again gets a number. Oxidation states, magnetic moments and other site properties are left
    out; deuterium counts as hydrogen. What a reader had to assume stands in ``provenance["notes"]``.

    Args:
        path: what to read.
        limit: stop after this many usable crystals.
        max_atoms: crystals with more atoms in the cell are reported, not returned.
        on_progress: called as ``(done, total, note)`` after each file; ``total`` is 0 when not known.

    Returns:
        The usable crystals in a fixed order, and what could not be used, by name, with the reason.

    Raises:
        UserError: the path does not exist, or nothing in it is usable.
    """
    path = Path(path)
    for name, number in (("limit", limit), ("max_atoms", max_atoms)):
        if number is not None and number < 1:
            raise UserError(f"must be at least 1, not {number}", name)
    if not path.exists():
        raise UserError("there is no such file or folder", str(path), "check the spelling of the path")
    if not (path.is_file() or path.is_dir()):
        raise UserError("it is neither a file nor a folder", str(path))

    crystals: list[Crystal] = []
    problems: list[Problem] = []
    taken: set[str] = set()
    for done, source in enumerate(walk(path, lambda name: format_of(name) is not None), start=1):
        if isinstance(source, Problem):
            problems.append(source)
            continue
        for found, where in _crystals_of(source):
            problem = found if isinstance(found, Problem) else _fault_of(found, where, max_atoms)
            if problem:
                problems.append(problem)
                continue
            assert isinstance(found, Found)
            provenance = {"file": where} | ({"notes": found.notes} if found.notes else {})
            name = _unique(found.name or _stem(source.name), taken)
            crystals.append(Crystal(name, found.structure, found.properties, provenance))
            if limit is not None and len(crystals) >= limit:
                return crystals, problems
        if on_progress:
            on_progress(done, 0, source.name)
    if not crystals:
        raise _nothing_usable(path, problems)
    return crystals, problems


def structure_fault(structure: Structure, max_atoms: int | None = None) -> tuple[str, str] | None:
    """Why a structure cannot be a crystal that sozai works with, and how to mend it; ``None`` when it can."""
    import numpy as np
    from pymatgen.core import DummySpecies

    if not len(structure):
        return "it lists no atoms", ""
    if not (np.isfinite(structure.lattice.matrix).all() and np.isfinite(structure.frac_coords).all()):
        return "a lattice or atom coordinate is not a finite number", ""
    if structure.volume / len(structure) < 0.1:
        return f"its cell has almost no volume ({structure.volume:.3g} A^3 for {len(structure)} atoms)", ""
    if not structure.is_ordered:
        number, mixed = next((i, site) for i, site in enumerate(structure, start=1) if not site.is_ordered)
        return (
            f"site {number} ({mixed.species_string}) is partly occupied: the crystal is disordered",
            "choose an ordered model of it",
        )
    for index, site in enumerate(structure):
        if isinstance(site.specie, DummySpecies) or site.specie.Z > HIGHEST_NUMBER:
            return f"'{site.specie.symbol}' at site {index + 1} is not an element sozai knows", ""
    if max_atoms is not None and len(structure) > max_atoms:
        return f"it has {len(structure)} atoms in its cell, more than {max_atoms}", "raise the largest number of atoms"
    first, second, _, distances = structure.get_neighbor_list(SHORTEST_DISTANCE)
    if len(distances):
        worst = int(distances.argmin())
        sites = f"atoms {first[worst] + 1} and {second[worst] + 1}"
        pair = f"{structure[int(first[worst])].species_string}-{structure[int(second[worst])].species_string}"
        return f"{sites} ({pair}) overlap: they are {distances[worst]:.2f} A apart", "correct their coordinates"
    return None


def _crystals_of(source: Source) -> Iterator[tuple[Found | Problem, str]]:
    """What a file holds, each with its full place."""
    try:
        name, data = unpacked(source.name, source.read())
        kind = format_of(name, data)
        if kind is None:
            raise ValueError(f"it is in no format sozai reads ({_READABLE})")
        for item in PARSERS[kind](data):
            inner = item.where if isinstance(item, Problem) else item.name
            where = f"{source.name}, {inner}" if inner else source.name
            yield (Problem(where, item.reason, item.mend), where) if isinstance(item, Problem) else (item, where)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # parsers fail in many ways on damaged files; each is this file's problem
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        if isinstance(error, OSError):
            text = f"it cannot be read ({(error.strerror or text).lower()})"
        yield Problem(source.name, text), source.name


def _fault_of(found: Found, where: str, max_atoms: int | None) -> Problem | None:
    """Reduce a structure to plain elements, and say what is wrong with it."""
    from pymatgen.core import Structure

    structure = found.structure
    try:
        if fault := structure_fault(structure, max_atoms):
            return Problem(where, *fault)
        numbers = [site.specie.Z for site in structure]  # drops charges and turns deuterium into hydrogen
        found.structure = Structure(structure.lattice.matrix, numbers, structure.frac_coords)
    except Exception as error:
        return Problem(where, f"it is no valid structure ({(str(error) or type(error).__name__).splitlines()[0]})")
    return None


def _stem(name: str) -> str:
    """``folder/mp-1.cif.gz`` gives ``mp-1``; ``quartz/POSCAR`` gives ``quartz``."""
    path = PurePosixPath(name.removesuffix(".gz"))
    stem = re.sub(r"\.(cif|mcif|vasp|poscar|xyz|extxyz|json|parquet)$", "", path.name, flags=re.IGNORECASE)
    if stem.upper() in ("POSCAR", "CONTCAR") and path.parent.name:
        stem = path.parent.name
    return unquote(stem)  # write_crystals quotes what a file name cannot hold


def _unique(name: str, taken: set[str]) -> str:
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name}-{number}", number + 1
    taken.add(candidate)
    return candidate


def _nothing_usable(path: Path, problems: list[Problem]) -> UserError:
    if not problems:
        return UserError("it holds no crystal", str(path), f"give {_READABLE} files")
    first = problems[0]
    # The problem's place starts with the file's own name: "x.zip/a.cif", "x.xyz, frame 2".
    where = f"{path}{first.where[len(path.name) :]}" if path.is_file() else f"{path}: {first.where}"
    if len(problems) == 1:
        return UserError(first.reason, where, first.mend)
    return UserError(
        f"none of its crystals can be used ({len(problems)} problems; the first is {first.where}: {first.reason})",
        str(path),
        first.mend,
    )
