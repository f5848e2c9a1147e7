"""Crystals out of CIF text, without the silent mending that CIF readers are used to.

pymatgen's parser guesses elements from odd labels, rescales occupancies, drops sites it does not
understand and reads a cut-off file as a smaller crystal. Each of these is a refusal here: a candidate
that is checked and counted must be the one that the file means.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymatgen.core import Structure

_BLOCK = re.compile(r"(?im)^[ \t]*data_(\S*)")
_TYPE_SYMBOL = re.compile(r"([A-Z][a-z]?)(\d*\.?\d*[+-]\d*)?$")
_GROUP_NAMES = ("_symmetry_space_group_name_H-M", "_space_group_name_H-M_alt", "_space_group_name_Hall")
_GROUP_NUMBERS = ("_space_group_IT_number", "_symmetry_Int_Tables_number")
_HARMLESS = ("rounded to ideal values", "1-line symmetry op P1", "Skipping relative stoichiometry")
FORMULA_TOLERANCE = 0.02
"""Largest difference of an atomic fraction between the stated formula and the listed atoms."""


def split_blocks(text: str) -> list[tuple[str, str]]:
    """Name and text of each ``data_`` block, in the file's order; equal names do not overwrite each other."""
    starts = list(_BLOCK.finditer(text))
    ends = [*(match.start() for match in starts), len(text)][1:]
    return [(match[1], text[match.start() : end]) for match, end in zip(starts, ends, strict=True)]


def parse_cif(text: str) -> Iterator[tuple[str, Structure | None, str, list[str]]]:
    """The crystals of a CIF.

    Yields:
        block name, structure (``None`` when the block cannot be used), the reason why not (else ``""``), and
        the parser's warnings that matter. Blocks without atoms (a journal's preamble) are passed over
        when another block has some.

    Raises:
        ValueError: nothing in the text is a CIF data block with atoms.
    """
    blocks = split_blocks(text)
    if not blocks:
        raise ValueError("it is no CIF: it has no data_ block")
    with_atoms = [(name, body) for name, body in blocks if re.search(r"(?i)_atom_site_(label|type_symbol|fract)", body)]
    if not with_atoms:
        raise ValueError("it lists no atoms; the file is cut off or holds something else than a structure")
    for name, body in with_atoms:
        try:
            structure, notes = _parse_block(body)
            yield name, structure, "", notes
        except ModuleNotFoundError:
            raise
        except Exception as error:  # the parser fails in many ways; each means that this block is unusable
            yield name, None, _reason(error), []


def _parse_block(body: str) -> tuple[Structure, list[str]]:
    from pymatgen.io.cif import CifParser

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are also collected in parser.warnings
        parser = CifParser.from_str(re.sub(_BLOCK, r"data_\1", body, count=1), check_cif=False)
        (data,) = parser.as_dict().values()
        _check_loops(data)
        _check_symbols(data)
        _check_occupancies(data)
        (structure,) = parser.parse_structures(primitive=False, on_error="raise")
    notes = [note for note in getattr(parser, "warnings", []) if not any(harmless in note for harmless in _HARMLESS)]
    for note in notes:
        if "parsed as" in note or "implicit hydrogens" in note.lower():
            raise ValueError(f"its atoms are not clearly named ({note})")
        if "Defaulting to P1" in note and _names_a_group(data):
            raise ValueError("its space group is not understood and it lists no symmetry operations")
    notes += _check_formula(data, structure)
    return structure, [note for note in notes if "Defaulting to P1" not in note]


def _check_loops(data: Mapping[str, Any]) -> None:
    for key in ("_cell_length_a", "_cell_length_b", "_cell_length_c", "_cell_angle_alpha"):
        if key not in data:
            raise ValueError(f"{key} is missing, so the cell is not known")
    for axis in "xyz":
        values = data.get(f"_atom_site_fract_{axis}")
        if values is None:
            raise ValueError("it gives no fractional coordinates")
        for index, value in enumerate(values if isinstance(values, list) else [values]):
            if value.strip() in (".", "?", ""):
                raise ValueError(f"atom {index + 1} has no {axis} coordinate")


def _check_symbols(data: Mapping[str, Any]) -> None:
    from pymatgen.core import Element

    for symbol in data.get("_atom_site_type_symbol", ()):
        match = _TYPE_SYMBOL.match(symbol)
        if not match or not Element.is_valid_symbol(match[1]):
            raise ValueError(f"'{symbol}' is not an element")
    if "_atom_site_type_symbol" not in data:
        for label in data["_atom_site_label"]:
            letters = re.match(r"[A-Za-z]*", label)[0]  # type: ignore[index]
            # "Fe1", "O1A" and "CA2" name an element; "Xx1" and "OH2" (which pymatgen drops) do not.
            if (
                not re.match(r"[A-Z]", label)
                or re.match("OH|Wat|NO3", label)
                or not any(Element.is_valid_symbol(part.title()) for part in (letters[:2], letters[:1]))
            ):
                raise ValueError(f"the atom label '{label}' names no element")
            if len(letters) > 1 and letters[1].islower() and not Element.is_valid_symbol(letters[:2]):
                raise ValueError(f"the atom label '{label}' names no element")


def _check_occupancies(data: Mapping[str, Any]) -> None:
    values = data.get("_atom_site_occupancy", ())
    for index, value in enumerate(values):
        text = re.sub(r"\(.*", "", value).strip()
        if text in (".", "?", ""):
            continue  # the CIF dictionary: 1 when not given
        occupancy = float(text)
        if abs(occupancy - 1) > 1e-3:
            labels = data.get("_atom_site_label", ())
            site = f" ({labels[index]})" if index < len(labels) else ""
            over = "more than full" if occupancy > 1 else "partly occupied"
            raise ValueError(f"atom {index + 1}{site} is {over} (occupancy {text}): the crystal is disordered")


def _names_a_group(data: Mapping[str, Any]) -> bool:
    names = [re.sub(r"[\s'\"_]", "", str(data.get(key, ""))) for key in _GROUP_NAMES]
    numbers = [str(data.get(key, "")).strip() for key in _GROUP_NUMBERS]
    return any(name not in ("", "P1", "?", ".") for name in names) or any(
        number not in ("", "1", "?", ".") for number in numbers
    )


def _check_formula(data: Mapping[str, Any], structure: Structure) -> list[str]:
    """Compare the atoms with the formula: another composition is refused, another number of atoms is told."""
    from pymatgen.core import Composition

    stated = str(data.get("_chemical_formula_sum") or "").strip("'\" ")
    if stated in ("", "?", "."):
        return []
    try:
        formula = Composition(stated).element_composition
        meant, units = formula.fractional_composition, float(data.get("_cell_formula_units_Z") or 1)
    except Exception:
        return []  # a formula that cannot be read proves nothing against the atoms
    found = structure.composition.element_composition.fractional_composition
    if any(abs(meant[element] - found[element]) > FORMULA_TOLERANCE for element in {*meant, *found}):
        listed = structure.composition.element_composition.reduced_formula
        raise ValueError(
            f"the listed atoms make {listed} but its formula says {' '.join(stated.split())}; "
            "the file is cut off or incomplete"
        )
    # Some programs write the formula of the whole cell and Z beside it, so both readings are right.
    possible = {round(formula.num_atoms), round(formula.num_atoms * units)}
    if "_cell_formula_units_Z" in data and len(structure) not in possible:
        return [f"it lists {len(structure)} atoms where its formula and Z make {max(possible)}"]
    return []


def _reason(error: Exception) -> str:
    text = str(error).strip().removeprefix("No structure parsed for section 1 in CIF.").strip() or type(error).__name__
    if isinstance(error, KeyError):
        return f"{text} is missing"
    if isinstance(error, ZeroDivisionError | IndexError) or "multiple of" in text or "zip() argument" in text:
        return "a table in it stops in the middle of a row; the file is cut off"
    if "thickness" in text or "Singular" in text:
        return "its cell is flat or has no volume"
    if "Occupancy" in text:
        return "two atoms share one place (total occupancy above 1)"
    if "could not convert" in text or "cannot be converted" in text:
        return f"a number in it cannot be read ({text.splitlines()[0]})"
    return text.splitlines()[0]
