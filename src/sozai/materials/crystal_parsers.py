"""One parser a file format: bytes in, named structures or the reason why not out."""

from __future__ import annotations

import io
import json
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sozai.materials.cif_parser import parse_cif
from sozai.materials.crystal import Problem

if TYPE_CHECKING:
    from pymatgen.core import Structure

STRUCTURE_COLUMNS = ("material_id", "formula", "n_sites", "elements", "lattice", "numbers", "frac_coords")
"""Parquet columns that make the structure; all others are properties."""
_NAMES = ("material_id", "id", "name", "entry_id")

# ase turns a name like "007" into a number, so names are read from the comment line itself.
_XYZ_NAME = re.compile(rf"""(?:^|\s)({"|".join(_NAMES)})=(?:"((?:[^"\\]|\\.)*)"|([^"\s]\S*))""")


@dataclass
class Found:
    """A structure as the file has it, before sozai checked it."""

    name: str
    """Its own name in the file, ``""`` when it has none."""
    structure: Structure
    properties: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


Parser = Callable[[bytes], Iterator[Found | Problem]]
"""``Problem.where`` is the place inside the file here, e.g. ``"row 12"``. Raises for a file as a whole."""


def format_of(name: str, data: bytes | None = None) -> str | None:
    """``"cif"``, ``"poscar"``, ``"xyz"``, ``"json"`` or ``"parquet"`` by the file's name, else by its content."""
    lower = name.lower().removesuffix(".gz").rsplit("/", 1)[-1]
    for ending, kind in _ENDINGS.items():
        if lower.endswith(ending):
            return kind
    if re.match(r"(poscar|contcar)([._-]|$)", lower):
        return "poscar"
    if data is None:
        return None
    head = data[:4000].lstrip()
    if head.startswith(b"PAR1"):
        return "parquet"
    if head[:1] in (b"{", b"["):
        return "json"
    if re.search(rb"(?im)^\s*(data_|_cell_length_a)", data[:100000]):
        return "cif"
    rows = [line.split() for line in head.decode("utf-8", "replace").splitlines()[1:5]]
    if len(rows) == 4 and len(rows[0]) == 1 and all(len(row) == 3 for row in rows[1:]):
        return "poscar"
    return None


def parse_cif_file(data: bytes) -> Iterator[Found | Problem]:
    """Every data block of a CIF."""
    blocks = list(parse_cif(_text(data)))
    for name, structure, reason, notes in blocks:
        where = f"block {name}" if len(blocks) > 1 else ""
        if structure is None:
            mend = "choose an ordered model of it" if "disordered" in reason else ""
            yield Problem(where, reason, mend or ("export it again" if "cut off" in reason else ""))
        else:
            yield Found(name if len(blocks) > 1 else "", structure, notes=notes)


def parse_poscar(data: bytes) -> Iterator[Found | Problem]:
    """The one structure of a VASP POSCAR or CONTCAR (version 5 and later: with element symbols)."""
    import numpy as np
    from pymatgen.io.vasp import Poscar

    text = _text(data)
    lines = text.splitlines()
    if len(lines) < 8:
        raise ValueError("it has fewer lines than a POSCAR needs; the file is cut off or something else")
    try:
        scale = float(lines[1].split()[0])
        cell = np.array([[float(part) for part in line.split()[:3]] for line in lines[2:5]])
    except (ValueError, IndexError) as error:
        raise ValueError(f"lines 2 to 5 do not hold a scale and three lattice vectors ({error})") from error
    if scale < 0:  # a volume; pymatgen would scale Cartesian coordinates by the negative number
        lines[1] = repr(float((-scale / max(abs(np.linalg.det(cell)), 1e-12)) ** (1 / 3)))
        text = "\n".join(lines)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            structure = Poscar.from_str(text, read_velocities=False).structure
        except IndexError as error:
            raise ValueError("it lists fewer atoms than it announces; the file is cut off") from error
    if any("cannot be determined" in str(warning.message) for warning in caught):
        raise ValueError("it does not name its elements (VASP 4 style); add a line of symbols above the counts")
    yield Found("", structure)


def parse_xyz(data: bytes) -> Iterator[Found | Problem]:
    """Every frame of an extended XYZ file; each needs a ``Lattice``."""
    lines = _text(data).splitlines()
    start, frame = 0, 0
    while start < len(lines):
        if not lines[start].strip():
            start += 1
            continue
        frame += 1
        where = f"frame {frame}"
        try:
            count = int(lines[start])
        except ValueError as error:
            raise ValueError(f"line {start + 1} should be a number of atoms, not '{lines[start][:40]}'") from error
        body = lines[start : start + count + 2]
        if count < 0 or len(body) < count + 2:
            yield Problem(where, f"it announces {count} atoms but lists fewer; the file is cut off")
            return
        try:
            yield _xyz_frame("\n".join(body) + "\n")
        except ModuleNotFoundError:
            raise
        except Exception as error:
            yield Problem(where, _first_line(error))
        start += count + 2


def _xyz_frame(text: str) -> Found:
    from ase.io import read
    from pymatgen.core import Structure

    atoms: Any = read(io.StringIO(text), format="extxyz")
    if abs(atoms.cell.volume) == 0:
        raise ValueError('it has no Lattice="...", so it is a molecule or cluster, not a crystal')
    if not all(atoms.pbc):
        raise ValueError('it is not periodic in all three directions; write pbc="T T T" if it should be')
    properties = {key: value for key, value in atoms.info.items() if _is_scalar(value)}
    if atoms.calc is not None:
        properties |= {key: value for key, value in atoms.calc.results.items() if _is_scalar(value)}
    own = {key: value for key, quoted, value in _XYZ_NAME.findall(text.splitlines()[1]) for value in [quoted or value]}
    name = next((re.sub(r"\\(.)", r"\1", own[key]) for key in _NAMES if key in own), "")
    properties = {key: value for key, value in properties.items() if key not in own}
    structure = Structure(atoms.cell.array, atoms.numbers, atoms.get_scaled_positions(wrap=False))
    return Found(name, structure, _plain(properties))


def parse_json(data: bytes) -> Iterator[Found | Problem]:
    """pymatgen JSON: a Structure, an entry with one, or a list or dictionary of these."""
    try:
        document = json.loads(_text(data))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"it is no whole JSON document ({error}); the file is cut off or damaged") from error
    if isinstance(document, Mapping) and not _holder(document):
        named = [(str(key), item) for key, item in document.items() if isinstance(item, Mapping)]
    else:
        named = [("", item) for item in (document if isinstance(document, list) else [document])]
    if not any(isinstance(item, Mapping) and _holder(item) for _, item in named):
        raise ValueError("it holds no pymatgen structure (no 'lattice' and 'sites')")
    for index, (name, item) in enumerate(named):
        where = (name or f"item {index + 1}") if len(named) > 1 else ""
        if not isinstance(item, Mapping) or not (holder := _holder(item)):
            yield Problem(where, "it holds no pymatgen structure")
            continue
        try:
            yield _json_item(item, holder, name)
        except ModuleNotFoundError:
            raise
        except Exception as error:
            yield Problem(where, f"it is no valid structure ({_first_line(error)})")


def _holder(item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The part of an item that is a Structure dictionary."""
    if "lattice" in item and "sites" in item:
        return item
    inner = item.get("structure")
    return inner if isinstance(inner, Mapping) and "lattice" in inner and "sites" in inner else None


def _json_item(item: Mapping[str, Any], holder: Mapping[str, Any], name: str) -> Found:
    from pymatgen.core import Structure

    structure = Structure.from_dict(dict(holder))
    extra = dict(item.get("data") or {}) if isinstance(item.get("data"), Mapping) else {}
    extra |= {key: value for key, value in item.items() if item is not holder and not key.startswith("@")}
    own = item.get("properties") if item is holder else None
    extra |= dict(own) if isinstance(own, Mapping) else {}
    properties = {key: value for key, value in extra.items() if _is_scalar(value)}
    found = next((str(properties.pop(key)) for key in _NAMES if properties.get(key)), "")
    return Found(name or found, structure, _plain(properties))


def parse_parquet(data: bytes) -> Iterator[Found | Problem]:
    """Rows with lattice (9 numbers, rows a b c, angstrom), numbers and frac_coords (3 N)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pymatgen.core import Structure

    try:
        table = pq.ParquetFile(io.BytesIO(data))
        names = table.schema_arrow.names
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"it is no parquet file or is cut off ({_first_line(error)})") from error
    if missing := [name for name in ("lattice", "numbers", "frac_coords") if name not in names]:
        raise ValueError(f"it has no column '{missing[0]}'; lattice, numbers and frac_coords are needed")
    row = 0
    for batch in table.iter_batches(batch_size=1024):
        for record in batch.to_pylist():
            row += 1
            name = str(record.get("material_id") or "")
            where = f"row {row}" + (f" ({name})" if name else "")
            try:
                lattice = np.array(record["lattice"], dtype=float)
                numbers = np.array(record["numbers"], dtype=int)
                coords = np.array(record["frac_coords"], dtype=float)
                if lattice.size != 9 or coords.size != 3 * numbers.size:
                    raise ValueError(
                        f"{lattice.size} lattice numbers and {coords.size} coordinates for {numbers.size} atoms"
                    )
                if numbers.size and not 1 <= numbers.min() <= numbers.max() <= 118:
                    raise ValueError("an atomic number is not between 1 and 118")
                structure = Structure(lattice.reshape(3, 3), numbers.tolist(), coords.reshape(-1, 3))
            except Exception as error:
                yield Problem(where, f"it is no valid structure ({_first_line(error)})")
                continue
            properties = {key: value for key, value in record.items() if key not in STRUCTURE_COLUMNS}
            yield Found(name, structure, _plain(properties))


PARSERS: dict[str, Parser] = {
    "cif": parse_cif_file,
    "poscar": parse_poscar,
    "xyz": parse_xyz,
    "json": parse_json,
    "parquet": parse_parquet,
}
_ENDINGS = {
    ".cif": "cif",
    ".mcif": "cif",
    ".vasp": "poscar",
    ".poscar": "poscar",
    ".xyz": "xyz",
    ".extxyz": "xyz",
    ".json": "json",
    ".parquet": "parquet",
}


def _text(data: bytes) -> str:
    if not data.strip():
        raise ValueError("it is empty")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    if b"\0" in data[:100000]:
        raise ValueError("it is a binary file, not text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # old CIFs: authors' names


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | bool | int | float) or getattr(value, "shape", None) == ()


def _plain(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Python scalars, without those that say nothing (None, NaN)."""
    kept = {}
    for key, value in properties.items():
        value = value.item() if hasattr(value, "item") and not isinstance(value, list | dict) else value
        if value is not None and not (isinstance(value, float) and math.isnan(value)):
            kept[str(key)] = value
    return kept


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
