"""Writes crystals as CIF, extended XYZ, parquet and CSV: the same ids in the same order in each."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable, Iterable, Sequence
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sozai.errors import UserError
from sozai.files import atomic, output_folder, plain
from sozai.materials.crystal import Crystal

if TYPE_CHECKING:
    from pymatgen.core import Structure
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

SYMMETRY_TOLERANCE = 0.01
"""symprec (angstrom) with which the symmetry in a CIF is found."""


_OWN_COLUMNS = ("material_id", "formula", "n_sites", "elements", "lattice", "numbers", "frac_coords", "volume")


def write_crystals(
    crystals: Sequence[Crystal],
    folder: str | Path,
    formats: Iterable[str] = ("cif", "extxyz", "parquet", "csv"),
    columns: Sequence[str] | None = None,
    stem: str = "candidates",
) -> list[Path]:
    """Write crystals into a folder, each file whole or not at all.

    ``candidates.cif.zip`` holds one CIF a crystal, named by its id, in the conventional cell with its
    symmetry; the others hold the cell as it is. ``candidates.csv`` has no coordinates.

    Args:
        crystals: with unique ids.
        folder: made when missing.
        formats: any of ``"cif"``, ``"extxyz"``, ``"parquet"``, ``"csv"``.
        columns: properties to write and their order; by default all that any crystal has.
        stem: the files' name.

    Returns:
        The files written, in the order of ``formats``.

    Raises:
        UserError: the folder cannot be written in, an id is there twice, or a format is unknown.
    """
    formats = list(formats)
    if unknown := [name for name in formats if name not in _WRITERS]:
        raise UserError(f"'{unknown[0]}' is no format to write crystals in", mend=f"use {', '.join(_WRITERS)}")
    ids = [crystal.id for crystal in crystals]
    if len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise UserError(f"the id '{twice}' names more than one crystal", mend="give each its own")
    if columns is None:
        columns = list(dict.fromkeys(key for crystal in crystals for key in crystal.properties))
    columns = [name for name in columns if name not in _OWN_COLUMNS]  # what the files themselves say of a crystal
    target = output_folder(folder)
    written = []
    for name in formats:
        ending, writer = _WRITERS[name]
        written.append(target / f"{stem}{ending}")
        writer(crystals, written[-1], columns)
    return written


def cif_text(structure: Structure, name: str, symprec: float | None = SYMMETRY_TOLERANCE) -> str:
    """One CIF block: the conventional cell with its space group, or the cell as it is where none is found.

    Not pymatgen's ``CifWriter``: that one lets angles differ by 5 degrees when it looks for symmetry, and so
    writes a slightly sheared cell as an unsheared one.

    Args:
        structure: ordered.
        name: the block's name; characters that a CIF name cannot hold are quoted.
        symprec: tolerance in angstrom, ``None`` for the cell as it is, in P1.
    """
    symbol, number, operations = "P 1", 1, ["x, y, z"]
    sites = [(site, 1) for site in structure]
    analyzer = None if symprec is None else _symmetry(structure, symprec)
    if analyzer is not None:
        structure = analyzer.get_symmetrized_structure()  # type: ignore[assignment]
        symbol, number = analyzer.get_space_group_symbol(), analyzer.get_space_group_number()
        operations = [operation.as_xyz_str() for operation in analyzer.get_symmetry_operations()]
        sites = [(orbit[0], len(orbit)) for orbit in structure.equivalent_sites]  # type: ignore[attr-defined]
    counts = {element.symbol: round(amount) for element, amount in structure.composition.items()}  # type: ignore[union-attr]
    units = gcd(*counts.values())
    formula = " ".join(f"{element}{count // units}" for element, count in sorted(counts.items()))
    lattice = structure.lattice
    lines = [
        "# written by sozai",
        f"data_{_file_name(name)}",
        f"_symmetry_space_group_name_H-M   '{symbol}'",
        f"_symmetry_Int_Tables_number   {number}",
        *(f"_cell_length_{axis}   {length:.10f}" for axis, length in zip("abc", lattice.abc, strict=True)),
        *(
            f"_cell_angle_{angle}   {degrees:.10f}"
            for angle, degrees in zip(("alpha", "beta", "gamma"), lattice.angles, strict=True)
        ),
        f"_cell_volume   {lattice.volume:.6f}",
        f"_cell_formula_units_Z   {units}",
        f"_chemical_formula_sum   '{formula}'",
        "loop_",
        " _symmetry_equiv_pos_site_id",
        " _symmetry_equiv_pos_as_xyz",
        *(f"  {index}  '{operation}'" for index, operation in enumerate(operations, start=1)),
        "loop_",
        " _atom_site_label",
        " _atom_site_type_symbol",
        " _atom_site_symmetry_multiplicity",
        " _atom_site_fract_x",
        " _atom_site_fract_y",
        " _atom_site_fract_z",
        " _atom_site_occupancy",
    ]
    for index, (site, multiplicity) in enumerate(sites, start=1):
        place = "  ".join(f"{number:.10f}" for number in site.frac_coords)
        element = site.specie.symbol
        lines.append(f"  {element}{index}  {element}  {multiplicity}  {place}  1")
    return "\n".join(lines) + "\n"


def _symmetry(structure: Structure, symprec: float) -> SpacegroupAnalyzer | None:
    """The symmetry of the conventional cell; ``None`` where spglib finds none or loses an atom."""
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    try:
        first = SpacegroupAnalyzer(structure, symprec, angle_tolerance=-1)
        refined = first.get_refined_structure()
        second = SpacegroupAnalyzer(refined, symprec, angle_tolerance=-1)
        same = first.get_space_group_number() == second.get_space_group_number()
        return second if same and len(refined) % len(first.find_primitive()) == 0 else None  # type: ignore[arg-type]
    except Exception:  # of several kinds, all meaning that spglib finds no symmetry in a strange cell
        return None


def _file_name(name: str) -> str:
    """The id with every character quoted (%2F) that a file name or a CIF block name cannot hold."""
    quoted = quote(name, safe="+(),=")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted  # no hidden files


def _cif(crystals: Sequence[Crystal], path: Path, columns: Sequence[str]) -> None:
    with atomic(path, "wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for crystal in crystals:  # a fixed date: the same crystals give the same bytes
            info = zipfile.ZipInfo(f"{_file_name(crystal.id)}.cif", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, cif_text(crystal.structure, crystal.id))


def _extxyz(crystals: Sequence[Crystal], path: Path, columns: Sequence[str]) -> None:
    with atomic(path) as stream:
        for crystal in crystals:
            structure = crystal.structure
            lattice = " ".join(repr(float(number)) for number in structure.lattice.matrix.flat)
            items = {"material_id": crystal.id} | {key: crystal.properties.get(key) for key in columns}
            info = " ".join(f"{key}={_extxyz_value(value)}" for key, value in items.items() if _is_scalar(value))
            stream.write(f'{len(structure)}\nLattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T" {info}\n')
            for site in structure:
                place = " ".join(repr(float(number)) for number in site.coords)
                stream.write(f"{site.specie.symbol} {place}\n")


def _parquet(crystals: Sequence[Crystal], path: Path, columns: Sequence[str]) -> None:
    import pandas as pd

    rows = []
    for crystal in crystals:
        structure = crystal.structure
        symbols = sorted({site.specie.symbol for site in structure})
        rows.append(
            {
                "material_id": crystal.id,
                "formula": structure.composition.reduced_formula,
                "n_sites": len(structure),
                "elements": "-".join(symbols),
                "lattice": structure.lattice.matrix.ravel().tolist(),
                "numbers": [site.specie.Z for site in structure],
                "frac_coords": structure.frac_coords.ravel().tolist(),
            }
            | {key: _scalar(crystal.properties.get(key)) for key in columns}
        )
    names = [*_OWN_COLUMNS[:7], *columns]
    with atomic(path, "wb") as stream:
        pd.DataFrame(rows, columns=names).to_parquet(stream, index=False)


def _csv(crystals: Sequence[Crystal], path: Path, columns: Sequence[str]) -> None:
    with atomic(path) as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["material_id", "formula", "n_sites", "volume", *columns])
        for crystal in crystals:
            structure = crystal.structure
            own = [crystal.id, structure.composition.reduced_formula, len(structure), round(structure.volume, 4)]
            table.writerow([*own, *(_scalar(crystal.properties.get(key)) for key in columns)])


_WRITERS: dict[str, tuple[str, Callable[[Sequence[Crystal], Path, Sequence[str]], None]]] = {
    "cif": (".cif.zip", _cif),
    "extxyz": (".extxyz", _extxyz),
    "parquet": (".parquet", _parquet),
    "csv": (".csv", _csv),
}


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | bool | int | float) or hasattr(value, "item")


def _scalar(value: Any) -> Any:
    """A cell of a table: a number, a text or nothing; other values as JSON text."""
    value = plain(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _extxyz_value(value: Any) -> str:
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, int | float):
        return repr(value)
    text = " ".join(str(value).split())
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
