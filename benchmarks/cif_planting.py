"""Defects to plant into CIFs, and a writer of CIFs as journals print them; for ``cif_audit.py`` and the tests."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Plant = Callable[[str, np.random.Generator], "str | bytes | None"]


@dataclass(frozen=True)
class Defect:
    """One kind of defect.

    Attributes:
        name: what was done.
        codes: findings of which at least one must come.
        plant: gives the spoilt text, or ``None`` where the file offers no place for it.
    """

    name: str
    codes: tuple[str, ...]
    plant: Plant


def journal_cif(structure, name: str) -> str | None:
    """A CIF with uncertainties, displacements, charges, density and Wyckoff letters; ``None`` without symmetry."""
    import spglib
    from pymatgen.core import Element

    from sozai.knowledge.crystals.chemistry import likely_states
    from sozai.knowledge.crystals.elements import element_table
    from sozai.knowledge.crystals.wish import reduced
    from sozai.materials.wyckoff import WyckoffCrystal, WyckoffError, space_group

    try:
        form = WyckoffCrystal.from_structure(structure, 0.01)
    except WyckoffError:
        return None
    group = space_group(form.space_group)
    hall = spglib.get_spacegroup_type(group.hall_number)
    whole = form.to_structure(primitive=False)
    counts = {e.symbol: int(n) for e, n in whole.composition.items()}
    unit = reduced(counts)
    z = next(iter(counts.values())) // unit[next(iter(counts))]
    weight = sum(element_table()[e].mass * n for e, n in unit.items())
    states = likely_states(unit)
    a, b, c, *angles = form.lattice
    reciprocal = np.linalg.inv(np.asarray(whole.lattice.matrix))
    dual = reciprocal.T @ reciprocal
    scale = np.sqrt(np.outer(np.diag(dual), np.diag(dual)))
    formula = " ".join(f"{e}{n}" for e, n in sorted(unit.items()))

    def length(value: float) -> str:
        return f"{value:.4f}(3)"

    def angle(value: float) -> str:
        return f"{value:.0f}" if abs(value - round(value)) < 1e-4 else f"{value:.3f}(2)"

    general = group.positions[-1]
    lines = [
        "# a crystal structure",
        f"data_{name}",
        "_audit_creation_method 'benchmark'",
        "_publ_section_comment",
        ";",
        "A comment of several lines; with 'quotes' in it.",
        ";",
        f"_chemical_formula_sum '{formula}'",
        f"_chemical_formula_weight {weight:.2f}",
        f"_cell_length_a {length(a)}",
        f"_cell_length_b {length(b)}",
        f"_cell_length_c {length(c)}",
        f"_cell_angle_alpha {angle(angles[0])}",
        f"_cell_angle_beta {angle(angles[1])}",
        f"_cell_angle_gamma {angle(angles[2])}",
        f"_cell_volume {whole.volume:.2f}(5)",
        f"_cell_formula_units_Z {z}",
        "_cell_measurement_temperature 293(2)",
        f"_space_group_crystal_system {group.crystal_system}",
        f"_space_group_name_H-M_alt '{hall.international_short}'",
        f"_space_group_IT_number {group.number}",
        f"_space_group_name_Hall '{hall.hall_symbol}'",
        f"_exptl_crystal_density_diffrn {weight * z * 1.66053907 / whole.volume:.3f}",
        "_diffrn_radiation_type MoK\\a",
        "_diffrn_radiation_wavelength 0.71073",
        "loop_",
        "_space_group_symop_id",
        "_space_group_symop_operation_xyz",
        *(
            f"{n} '{_xyz(r, t)}'"
            for n, (r, t) in enumerate(zip(general.rotations, general.translations, strict=True), 1)
        ),
    ]
    if states:
        lines += ["loop_", "_atom_type_symbol", "_atom_type_oxidation_number"]
        lines += [f"{e} {states[e]}" for e in unit]
    lines += [
        "loop_",
        *(f"_atom_site_{key}" for key in ("label", "type_symbol", "site_symmetry_multiplicity", "Wyckoff_symbol",
                                          "fract_x", "fract_y", "fract_z", "occupancy", "U_iso_or_equiv")),
    ]  # fmt: skip
    labels = []
    for number, site in enumerate(form.sites, start=1):
        position = group.by_letter[site.letter]
        point = position.orbit(site.parameters)[0]
        free = np.any(position.rotations[0] != 0, axis=1)
        xyz = " ".join(f"{v:.5f}(4)" if f else f"{v:.4f}" for v, f in zip(point, free, strict=True))
        labels.append((f"{site.element}{number}", 0.008 + 0.01 / np.sqrt(Element(site.element).Z)))
        lines.append(
            f"{labels[-1][0]} {site.element} {position.multiplicity} {site.letter} {xyz} 1 {labels[-1][1]:.4f}(2)"
        )
    tags = ("label", "U_11", "U_22", "U_33", "U_12", "U_13", "U_23")
    lines += ["loop_", *(f"_atom_site_aniso_{tag}" for tag in tags)]
    for label, u in labels:
        tensor = u * dual / scale
        values = (tensor[0, 0], tensor[1, 1], tensor[2, 2], tensor[0, 1], tensor[0, 2], tensor[1, 2])
        lines.append(" ".join([label, *(f"{value:.4f}(3)" for value in values)]))
    return "\n".join([*lines, "_refine_special_details", ";", "none", ";", "# end"]) + "\n"


def _xyz(rotation: np.ndarray, translation: np.ndarray) -> str:
    from fractions import Fraction

    parts = []
    for row, shift in zip(rotation, translation, strict=True):
        text = "".join(f"{'+' if v > 0 else '-'}{axis}" for v, axis in zip(row, "xyz", strict=True) if v)
        fraction = Fraction(float(shift)).limit_denominator(24)
        parts.append(text.removeprefix("+") + (f"+{fraction}" if fraction else ""))
    return ", ".join(parts)


# ---- places in a text


def _lines(text: str) -> list[str]:
    return text.split("\n")


def _find(text: str, beginning: str) -> int | None:
    return next((i for i, line in enumerate(_lines(text)) if line.strip().startswith(beginning)), None)


def _item(tag: str, change: Callable[[str], str]) -> Plant:
    """Change the value of an item."""

    def plant(text: str, rng: np.random.Generator) -> str | None:
        match = re.search(rf"(?m)^({re.escape(tag)}[ \t]+)(.*)$", text)
        return None if match is None else text[: match.start(2)] + change(match[2]) + text[match.end(2) :]

    return plant


def _rows(text: str, tag: str) -> tuple[list[int], list[str]] | None:
    """Line numbers of a loop's rows, and its columns."""
    lines = _lines(text)
    head = _find(text, tag)
    if head is None:
        return None
    first = head
    while lines[first - 1].strip().startswith("_"):
        first -= 1
    columns = []
    while lines[first].strip().startswith("_"):
        columns.append(lines[first].strip())
        first += 1
    rows = []
    while first < len(lines) and lines[first].strip() and not re.match(r"\s*(loop_|_|data_|#|;)", lines[first]):
        rows.append(first)
        first += 1
    return rows, columns


Cell = Callable[[str, np.random.Generator], str]


def _cell(tag: str, change: Cell, which: Callable[[list[str]], bool] = lambda row: True) -> Plant:
    """Change one value of a loop, in a row that fits."""

    def plant(text: str, rng: np.random.Generator) -> str | None:
        found = _rows(text, tag)
        if found is None:
            return None
        rows, columns = found
        lines = _lines(text)
        fits = [row for row in rows if which(_split(lines[row]))]
        if not fits:
            return None
        row = int(rng.choice(fits))
        values = _split(lines[row])
        values[columns.index(tag)] = change(values[columns.index(tag)], rng)
        lines[row] = " ".join(values)
        return "\n".join(lines)

    return plant


def _split(line: str) -> list[str]:
    return re.findall(r"'[^']*'|\S+", line)


def _drop(tag: str, most: int = 10_000) -> Plant:
    """Remove a row of a loop."""

    def plant(text: str, rng: np.random.Generator) -> str | None:
        found = _rows(text, tag)
        if found is None or not 2 <= len(found[0]) <= most:
            return None
        lines = _lines(text)
        del lines[int(rng.choice(found[0][1:]))]
        return "\n".join(lines)

    return plant


def _insert(before: str, line: Callable[[str], str | None]) -> Plant:
    def plant(text: str, rng: np.random.Generator) -> str | None:
        place, made = _find(text, before), line(text)
        if place is None or made is None:
            return None
        lines = _lines(text)
        return "\n".join([*lines[:place], made, *lines[place:]])

    return plant


def _number(text: str) -> float:
    return float(re.sub(r"\(.*", "", text))


def _sites(text: str) -> list[list[str]]:
    found = _rows(text, "_atom_site_fract_x")
    return [_split(_lines(text)[row]) for row in found[0]] if found else []


def _add_site(make: Callable[[list[list[str]], np.random.Generator], list[str] | None]) -> Plant:
    def plant(text: str, rng: np.random.Generator) -> str | None:
        found = _rows(text, "_atom_site_fract_x")
        row = make(_sites(text), rng)
        if found is None or row is None:
            return None
        lines = _lines(text)
        return "\n".join([*lines[: found[0][-1] + 1], " ".join(row), *lines[found[0][-1] + 1 :]])

    return plant


def _image(sites: list[list[str]], rng: np.random.Generator) -> list[str]:
    row = list(sites[int(rng.integers(len(sites)))])
    row[0] = re.sub(r"\d+", "", row[0]) + "99"
    row[4] = f"{_number(row[4]) + 1:.5f}"
    return row


def _other(sites: list[list[str]], rng: np.random.Generator) -> list[str]:
    row = list(sites[int(rng.integers(len(sites)))])
    row[0], row[1], row[7] = ("Hf99", "Hf", "0.3") if row[1] != "Hf" else ("Zr99", "Zr", "0.3")
    return row


def _collide(text: str, rng: np.random.Generator) -> str | None:
    """A row is put half an angstrom or so from another atom."""
    sites = _sites(text)
    found = _rows(text, "_atom_site_fract_x")
    if len(sites) < 2 or found is None:
        return None
    lines = _lines(text)
    a = _number(re.search(r"_cell_length_a\s+(\S+)", text)[1])  # type: ignore[index]
    row, other = sites[1], sites[0]
    row[4], row[5], row[6] = f"{_number(other[4]) + 0.7 / a:.5f}", other[5], other[6]
    lines[found[0][1]] = " ".join(row)
    return "\n".join(lines)


def _symmetric_axes(text: str) -> bool:
    number = re.search(r"_space_group_IT_number\s+(\d+)", text)
    return bool(number) and int(number[1]) >= 75  # type: ignore[index]


def _only(fits: Callable[[str], bool], plant: Plant) -> Plant:
    return lambda text, rng: plant(text, rng) if fits(text) else None


def _cut(where: Callable[[str], int | None]) -> Plant:
    def plant(text: str, rng: np.random.Generator) -> str | None:
        place = where(text)
        return None if place is None else text[:place]

    return plant


def _row_end(text: str, share: float, inside: bool) -> int | None:
    found = _rows(text, "_atom_site_fract_x")
    if found is None or len(found[0]) < 2:
        return None
    lines = _lines(text)
    row = found[0][max(0, int(len(found[0]) * share) - 1)]
    start = sum(len(line) + 1 for line in lines[:row])
    return start + (len(lines[row]) // 2 if inside else len(lines[row]) + 1)


def _column_gone(text: str, rng: np.random.Generator) -> str | None:
    found = _rows(text, "_atom_site_fract_z")
    if found is None:
        return None
    lines = _lines(text)
    place = found[1].index("_atom_site_fract_z")
    for row in found[0]:
        values = _split(lines[row])
        del values[place]
        lines[row] = " ".join(values)
    return "\n".join(line for line in lines if line.strip() != "_atom_site_fract_z")


def _loop_gone(text: str, rng: np.random.Generator) -> str | None:
    found, aniso = _rows(text, "_atom_site_fract_x"), _rows(text, "_atom_site_aniso_label")
    if found is None or aniso is None:
        return None
    lines = _lines(text)
    gone = {*found[0], *aniso[0]}
    kept = [line for i, line in enumerate(lines) if i not in gone and not line.strip().startswith("_atom_site_")]
    return re.sub(r"(loop_\n)+(?=loop_|_refine)", "", "\n".join(kept))


def _special(row: list[str]) -> bool:
    """A row with a fixed coordinate of 0 or 1/2 on a position of several atoms."""
    return len(row) == 9 and row[4] in ("0.0000", "0.5000")


def _scaled(factor: float) -> Plant:
    def plant(text: str, rng: np.random.Generator) -> str | None:
        for axis in "abc":
            text = re.sub(
                rf"(_cell_length_{axis} )(\S+)", lambda m: f"{m[1]}{_number(m[2]) * factor:.4f}", text
            )  # fmt: skip
        return re.sub(r"(?m)^_cell_volume.*\n", "", text)

    return plant


_FRACTION = "_atom_site_fract_x"
_OPERATOR = "_space_group_symop_operation_xyz"
DEFECTS: tuple[Defect, ...] = (
    Defect(
        "an operator is missing",
        ("no-group", "operators-not-of-group"),
        _only(lambda t: t.count("'x") > 0, _drop(_OPERATOR)),
    ),
    Defect(
        "a sign in an operator is wrong",
        ("no-group", "duplicate-operator", "operators-not-of-group", "operator-syntax"),
        _cell(
            _OPERATOR,
            lambda v, r: v.replace("-x", "x", 1) if "-x" in v else v.replace("x", "-x", 1),
            lambda row: row[0] != "1",
        ),
    ),
    Defect(
        "a shift in an operator is wrong",
        ("no-group", "hall-symbol", "operators-not-of-group"),
        _cell(_OPERATOR, lambda v, r: v.replace("+1/2", "+1/4", 1), lambda row: "+1/2" in row[1]),
    ),
    Defect(
        "an operator stands twice",
        ("duplicate-operator",),
        _cell(_OPERATOR, lambda v, r: "'x, y, z'", lambda row: row[0] != "1"),
    ),
    Defect("an operator cannot be read", ("operator-syntax",), _cell(_OPERATOR, lambda v, r: v.replace("z", "q", 1))),
    Defect(
        "the identity is missing",
        ("no-group",),
        lambda text, rng: text.replace("1 'x, y, z'\n", "", 1) if text.count("\n2 '") else None,
    ),
    Defect(
        "another space group is named",
        ("space-group-number", "operators-not-of-group"),
        _item("_space_group_name_H-M_alt", lambda v: "'Pnma'" if "Pnma" not in v else "'Pbca'"),
    ),
    Defect(
        "another number is given",
        ("space-group-number",),
        _item("_space_group_IT_number", lambda v: str(int(v) % 230 + 1)),
    ),
    Defect("the number is above 230", ("space-group-number",), _item("_space_group_IT_number", lambda v: "231")),
    Defect(
        "name and number are of another group",
        ("operators-not-of-group",),
        _only(
            lambda t: "_IT_number 19\n" not in t,
            lambda text, rng: re.sub(
                r"(?m)^_space_group_IT_number.*$",
                "_space_group_IT_number 19",
                re.sub(r"(?m)^_space_group_name_H-M_alt.*$", "_space_group_name_H-M_alt 'P 21 21 21'", text),
            ),
        ),
    ),
    Defect(
        "no space group has the name",
        ("space-group-name",),
        _item("_space_group_name_H-M_alt", lambda v: v[:-1] + "x'"),
    ),
    Defect(
        "the Hall symbol is another's",
        ("hall-symbol",),
        _item("_space_group_name_Hall", lambda v: "'-P 2ac 2n'" if "2ac" not in v else "'P 1'"),
    ),
    Defect(
        "another crystal system is named",
        ("crystal-system",),
        _item("_space_group_crystal_system", lambda v: "monoclinic" if v != "monoclinic" else "cubic"),
    ),
    Defect(
        "the name is of another setting",
        ("operators-setting", "operators-not-of-group"),
        _only(lambda t: "_IT_number 62\n" in t, _item("_space_group_name_H-M_alt", lambda v: "'P b n m'")),
    ),
    Defect(
        "a and b differ",
        ("cell-symmetry",),
        _only(_symmetric_axes, _item("_cell_length_b", lambda v: f"{_number(v) * 1.01:.4f}(3)")),
    ),
    Defect(
        "gamma is off",
        ("cell-symmetry",),
        _only(_symmetric_axes, _item("_cell_angle_gamma", lambda v: f"{_number(v) + 1:.2f}(1)")),
    ),
    Defect("the volume is wrong", ("cell-volume",), _item("_cell_volume", lambda v: f"{_number(v) * 1.03:.2f}(5)")),
    Defect("a cell length is missing", ("missing-cell",), _item("_cell_length_c", lambda v: "?")),
    Defect("a decimal comma", ("number-syntax",), _item("_cell_length_a", lambda v: v.replace(".", ","))),
    Defect(
        "an uncertainty with a point",
        ("number-syntax",),
        _item("_cell_length_a", lambda v: v.replace("(3)", "(0.0003)")),
    ),
    Defect("a bracket is not closed", ("number-syntax",), _item("_cell_length_a", lambda v: v.replace(")", ""))),
    Defect("a plus-minus sign", ("number-syntax",), _item("_cell_length_a", lambda v: v.replace("(3)", "+-0.0003"))),
    Defect("a letter O for a zero", ("number-syntax",), _cell(_FRACTION, lambda v, r: v.replace("0", "O", 1))),
    Defect(
        "an uncertainty larger than the number",
        ("large-uncertainty",),
        _item("_cell_length_a", lambda v: v.replace("(3)", "(90000)")),
    ),
    Defect("an angle of 190 degrees", ("cell-value",), _item("_cell_angle_beta", lambda v: "190")),
    Defect("a negative cell length", ("cell-value",), _item("_cell_length_a", lambda v: "-" + v)),
    Defect("an angle in radians", ("cell-value",), _item("_cell_angle_beta", lambda v: "1.5708")),
    Defect("the cell in nanometres", ("cell-value", "short-contact"), _scaled(0.1)),
    Defect("the cell in picometres", ("cell-value", "packing", "density"), _scaled(100.0)),
    Defect(
        "an atom is off its special position",
        ("off-special-position", "short-contact"),
        _cell(_FRACTION, lambda v, r: f"{_number(v) + 0.02:.4f}", _special),
    ),
    Defect("a coordinate is unknown", ("missing-coordinates",), _cell(_FRACTION, lambda v, r: "?")),
    Defect(
        "a coordinate lacks its point",
        ("coordinate-value",),
        _cell(_FRACTION, lambda v, r: v.replace("0.", "", 1), lambda row: bool(re.match(r"0\.\d*[1-9]", row[4]))),
    ),
    Defect("a column of coordinates is missing", ("missing-coordinates",), _column_gone),
    Defect("an atom is too near another", ("short-contact", "off-special-position"), _collide),
    Defect("an atom is listed twice", ("duplicate-site",), _add_site(_image)),
    Defect("a shared site is overfull", ("overfull-site",), _add_site(_other)),
    Defect("an occupancy of 1.2", ("occupancy-above-one",), _cell("_atom_site_occupancy", lambda v, r: "1.2")),
    Defect("an occupancy of 11 (SHELX)", ("occupancy-above-one",), _cell("_atom_site_occupancy", lambda v, r: "11.0")),
    Defect("a negative occupancy", ("negative-occupancy",), _cell("_atom_site_occupancy", lambda v, r: "-0.5")),
    Defect("an occupancy of zero", ("zero-occupancy",), _cell("_atom_site_occupancy", lambda v, r: "0")),
    Defect(
        "an atom is half occupied unlike the formula",
        ("formula",),
        _only(lambda t: len({row[1] for row in _sites(t)}) > 1, _cell("_atom_site_occupancy", lambda v, r: "0.5")),
    ),
    Defect(
        "an atom is left out", ("formula",), _only(lambda t: len({row[1] for row in _sites(t)}) > 1, _drop(_FRACTION))
    ),
    Defect("no element has the symbol", ("unknown-element",), _cell("_atom_site_type_symbol", lambda v, r: "Xx")),
    Defect("a symbol in small letters", ("unknown-element",), _cell("_atom_site_type_symbol", lambda v, r: v.lower())),
    Defect(
        "label and symbol name two elements",
        ("label-and-type",),
        _cell("_atom_site_type_symbol", lambda v, r: "Lu" if v != "Lu" else "Tb"),
    ),
    Defect(
        "two atoms have one label",
        ("duplicate-label",),
        _add_site(lambda sites, rng: [sites[0][0], *_image(sites, rng)[1:]]),
    ),
    Defect(
        "a multiplicity is wrong",
        ("multiplicity",),
        _cell("_atom_site_site_symmetry_multiplicity", lambda v, r: str(2 * int(v))),
    ),
    Defect(
        "a Wyckoff letter that the group lacks",
        ("wyckoff-letter",),
        _only(lambda t: "_IT_number 47\n" not in t, _cell("_atom_site_Wyckoff_symbol", lambda v, r: "z")),
    ),
    Defect(
        "the formula has one atom too many",
        ("formula", "formula-weight"),
        _item("_chemical_formula_sum", lambda v: re.sub(r"(\d+)'$", lambda m: f"{int(m[1]) + 1}'", v)),
    ),
    Defect(
        "the formula lacks an element",
        ("formula",),
        _only(
            lambda t: len(re.findall(r"[A-Z][a-z]?\d", re.search(r"_formula_sum '(.*)'", t)[1])) > 1,  # type: ignore[index]
            _item("_chemical_formula_sum", lambda v: "'" + v.strip("'").split(" ", 1)[1] + "'"),
        ),
    ),
    Defect(
        "the formula cannot be read",
        ("formula-syntax",),
        _item("_chemical_formula_sum", lambda v: "'Qq2 " + v.strip("'") + "'"),
    ),
    Defect("Z is wrong", ("formula-units",), _item("_cell_formula_units_Z", lambda v: str(int(v) + 1))),
    Defect(
        "the formula weight is wrong",
        ("formula-weight",),
        _item("_chemical_formula_weight", lambda v: f"{float(v) * 1.05:.2f}"),
    ),
    Defect(
        "the density is wrong", ("density",), _item("_exptl_crystal_density_diffrn", lambda v: f"{float(v) * 1.1:.3f}")
    ),
    Defect("a negative U", ("negative-displacement",), _cell("_atom_site_U_iso_or_equiv", lambda v, r: "-0.0100(2)")),
    Defect("an absurd U", ("large-displacement",), _cell("_atom_site_U_iso_or_equiv", lambda v, r: "1.2000(2)")),
    Defect(
        "a tensor that is not positive definite",
        ("negative-displacement",),
        _cell("_atom_site_aniso_U_33", lambda v, r: "-0.0100(3)"),
    ),
    Defect("a tensor of no atom", ("displacement-of-no-atom",), _cell("_atom_site_aniso_label", lambda v, r: "Qq1")),
    Defect("a charge is wrong", ("charge",), _cell("_atom_type_oxidation_number", lambda v, r: str(int(v) + 2))),
    Defect(
        "the wavelength of copper with molybdenum",
        ("wavelength",),
        _item("_diffrn_radiation_wavelength", lambda v: "1.54184"),
    ),
    Defect("a wavelength in picometres", ("wavelength",), _item("_diffrn_radiation_wavelength", lambda v: "71.073")),
    Defect(
        "a temperature below zero kelvin", ("temperature",), _item("_cell_measurement_temperature", lambda v: "-73")
    ),
    Defect("cut off within a row of atoms", ("ragged-loop", "formula"), _cut(lambda t: _row_end(t, 0.7, True))),
    Defect(
        "cut off between two rows of atoms",
        ("formula",),
        _only(
            # H that are not among the atoms are no defect: it must be another element that is cut off.
            lambda t: _sites(t)[0][1] != _sites(t)[-1][1] != "H",
            _cut(lambda t: _row_end(t, 0.5, False)),
        ),
    ),
    Defect("cut off within the operators", ("no-atoms",), _cut(lambda t: t.index(_OPERATOR) + 60)),
    Defect("cut off within a text", ("unterminated-text",), _cut(lambda t: t.rindex("none"))),
    Defect("a quote is not closed", ("unterminated-quote",), _item("_chemical_formula_sum", lambda v: v[:-1])),
    Defect(
        "a byte that is no UTF-8", ("encoding",), lambda text, rng: text.encode().replace(b"benchmark", b"benchm\xe4rk")
    ),
    Defect("a NUL sign", ("control-character",), lambda text, rng: text.replace("benchmark", "bench\x00mark")),
    Defect(
        "an item stands twice", ("duplicate-item",), _insert("_cell_length_b", lambda t: "_cell_length_a 9.9999(3)")
    ),
    Defect("an item has no value", ("missing-value",), _item("_cell_formula_units_Z", lambda v: "")),
    Defect("the data_ line is missing", ("no-data-block",), lambda text, rng: re.sub(r"(?m)^data_.*\n", "", text)),
    Defect("a row has a value too many", ("ragged-loop",), _cell(_FRACTION, lambda v, r: v + " 0.5")),
    Defect("a value without an item", ("stray-value",), _insert("_cell_length_b", lambda t: "9.8765(2)")),
    Defect("no atoms are listed", ("no-atoms",), _loop_gone),
    Defect(
        "no symmetry is told",
        ("no-symmetry", "formula-units", "formula", "multiplicity"),
        lambda text, rng: re.sub(
            r"(?m)^(_space_group_(IT|name|crystal).*|loop_\n_space_group_symop_id\n_space_group_symop_op.*\n"
            r"(\d+ '.*\n)+)",
            "",
            text,
        ),
    ),
)
"""Kinds of defects, each with the findings that count as having seen it."""
