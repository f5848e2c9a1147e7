"""Numbers of a CIF: their syntax, what is required, and what lies outside reason (cell, radiation, displacements)."""

from __future__ import annotations

import re

import numpy as np

from sozai.assistant.structures.cif_symmetry import Report
from sozai.assistant.structures.cif_text import Block, Value

LENGTHS = ("_cell_length_a", "_cell_length_b", "_cell_length_c")
ANGLES = ("_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma")
FRACTIONS = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")
CARTESIAN = ("_atom_site_cartn_x", "_atom_site_cartn_y", "_atom_site_cartn_z")
ANISOTROPIC = tuple(f"_atom_site_aniso_{kind}_{pair}" for kind in "ub" for pair in ("11", "22", "33", "12", "13", "23"))
_NUMERIC = frozenset([
    *LENGTHS, *ANGLES, *FRACTIONS, *CARTESIAN, *ANISOTROPIC, "_cell_volume", "_cell_formula_units_z",
    "_atom_site_occupancy", "_atom_site_u_iso_or_equiv", "_atom_site_b_iso_or_equiv",
    "_atom_site_symmetry_multiplicity", "_atom_site_site_symmetry_multiplicity", "_atom_type_oxidation_number",
    "_chemical_formula_weight", "_exptl_crystal_density_diffrn", "_diffrn_radiation_wavelength",
    "_diffrn_ambient_temperature", "_cell_measurement_temperature",
])  # fmt: skip
_CONDITIONS = frozenset([
    "_diffrn_radiation_wavelength", "_diffrn_ambient_temperature", "_cell_measurement_temperature",
])  # fmt: skip
_NUMBER = r"\d+(?:\.\d*)?(?:\(\d+\))?"
LINES = {
    "Cu": ("Cu", (1.5405, 1.5406, 1.54056, 1.5418, 1.5443, 1.3922)),
    "Mo": ("Mo", (0.7093, 0.7107, 0.7136, 0.6323)),
    "Ag": ("Ag", (0.5594, 0.5609, 0.5638)),
    "Co": ("Co", (1.7889, 1.7903, 1.7929, 1.6208)),
    "Fe": ("Fe", (1.9360, 1.9374, 1.9400)),
    "Cr": ("Cr", (2.2897, 2.2910, 2.2936)),
    "Ga": ("Ga", (1.3401, 1.3414, 1.3440)),
}
"""Wavelengths (angstrom) of X-ray tubes: K-alpha 1, mean, 2 and K-beta (International Tables C, 4.2.2)."""
WAVELENGTH_SLACK = 0.004
COORDINATE_LIMIT = 2.0
LARGE_U, LARGE_B = 0.6, 45.0  # square angstrom


def audit_numbers(block: Block, report: Report) -> None:
    """Every numeric item that sozai knows: a CIF number with a proper uncertainty in brackets?"""
    for tag, values in block.items.items():
        if tag not in _NUMERIC:
            continue
        told = 0
        for value in values:
            if value.unknown or value.number() is not None:
                continue
            told += 1
            if told > 3:
                break
            name = block.tags[tag][0]
            # "0.5-5.0" of a pulsed source or "293 to 295" is against the syntax, but spoils no structure.
            harmless = tag in _CONDITIONS and re.match(rf"{_NUMBER}\s*(?:-|to|\.\.+)\s*{_NUMBER}$", value.text.strip())
            told_ = f"'{value.text}' is no number of CIF."
            report("number-syntax", "warning" if harmless else "error", value.line, name, told_, _hint(value.text))
        for value in values:
            parsed = value.number()
            if parsed and parsed[1] is not None and tag not in ("_atom_site_symmetry_multiplicity",):
                if parsed[1] == 0 and "(0)" in value.text:
                    told_ = f"'{value.text}' has an uncertainty of zero."
                    report("zero-uncertainty", "note", value.line, block.tags[tag][0], told_, "Leave it out.")
                elif tag in (*LENGTHS, *ANGLES) and parsed[1] > 0.05 * abs(parsed[0]):
                    told_ = f"'{value.text}' has an uncertainty of {parsed[1]:g}."
                    mend = "The bracket holds the uncertainty of the last digits: 8.804(2)."
                    report("large-uncertainty", "warning", value.line, block.tags[tag][0], told_, mend)


def _hint(text: str) -> str:
    if re.fullmatch(r"[+-]?\d+,\d+(\(\d+\))?", text):
        return "Write a point, not a comma, before the decimals."
    if re.search(r"\(\d+\.\d*\)|\(\d*\.\d+\)", text):
        return "The bracket holds whole units of the last digit: 8.804(2), not 8.804(0.002)."
    if text.count("(") != text.count(")"):
        return "Close the bracket: 8.804(2)."
    if "±" in text or "+-" in text or "+/-" in text:
        return "Write the uncertainty in brackets after the number: 8.804(2)."
    if re.match(r"[+-]?\d+\.\d+\.\d+", text):
        return "It has two decimal points."
    if re.match(r"[+-]?[\d.]*[OolI][\d.OolI]*", text):
        return "A letter stands for a digit (O for 0, l for 1)."
    return "Write a number such as 8.804 or 8.804(2)."


def number_of(value: Value | None) -> float | None:
    """The number of a value, or ``None``."""
    parsed = value.number() if value is not None and not value.unknown else None
    return parsed[0] if parsed else None


def audit_cell(block: Block, report: Report) -> tuple[np.ndarray, dict[str, int]] | None:
    """The cell as rows of vectors and the lines of its items, or ``None`` when it cannot be used."""
    parameters: list[float] = []
    lines: dict[str, int] = {}
    good = True
    for place, tag in enumerate((*LENGTHS, *ANGLES)):
        name = tag.rsplit("_", 1)[1]
        value = block.one(tag)
        if value is None:
            good = False
            report("missing-cell", "error", block.line, tag, "The item is missing or unknown.", "State the cell.")
            continue
        lines[name] = value.line
        number = number_of(value)
        if number is None:
            good = False  # told by audit_numbers
        elif place < 3 and not 0 < number < 1000:
            good = False
            told = f"A cell length of {number:g} angstrom."
            report("cell-value", "error", value.line, tag, told, "Mend it.", value=number)
        elif place < 3 and not 1.8 <= number <= 250:
            told = f"A cell length of {number:g} angstrom is outside reason."
            report("cell-value", "warning", value.line, tag, told, "Mend it; the unit is angstrom.", value=number)
            parameters.append(number)
        elif place >= 3 and not 0 < number < 180:
            good = False
            told = f"A cell angle of {number:g} degrees."
            report("cell-value", "error", value.line, tag, told, "Mend it.", value=number)
        elif place >= 3 and not 3.2 <= number <= 176.8:  # narrower ones occur in primitive cells of long rhombohedra
            told = f"A cell angle of {number:g} degrees is outside reason."
            if number < np.pi:
                told += " It may be in radians."
            report("cell-value", "warning", value.line, tag, told, "Mend it; the unit is degrees.", value=number)
            parameters.append(number)
        else:
            parameters.append(number)
    if not good:
        return None
    a, b, c, *angles = parameters
    cos = np.cos(np.radians(angles))
    squared = 1 - float(cos @ cos) + 2 * float(np.prod(cos))
    if squared <= 1e-8:
        told = "The three angles cannot be those of one cell: it has no volume."
        report("cell-value", "error", lines["alpha"], "cell angles", told, "Mend them.")
        return None
    sine = np.sin(np.radians(angles[2]))
    matrix = np.array([
        [a, 0, 0],
        [b * cos[2], b * sine, 0],
        [c * cos[1], c * (cos[0] - cos[1] * cos[2]) / sine, c * np.sqrt(squared) / sine],
    ])  # fmt: skip
    volume, stated = float(np.linalg.det(matrix)), block.one("_cell_volume")
    said = number_of(stated)
    if said is not None and stated is not None:
        uncertainty = (stated.number() or (0, 0))[1] or 0.0
        slack = max(0.003 * volume, 5 * uncertainty)
        if abs(said - volume) > slack:
            told = f"The volume stated is {said:g} cubic angstrom; the cell has {volume:.2f}."
            report("cell-volume", "error", stated.line, "_cell_volume", told, "Mend the volume or the cell.",
                   stated=said, found=volume)  # fmt: skip
    return matrix, lines


def audit_radiation(block: Block, report: Report) -> None:
    """Wavelength against the tube, and temperatures."""
    wavelength = block.one("_diffrn_radiation_wavelength")
    value = number_of(wavelength)
    if wavelength is not None and value is not None:
        kind = block.one("_diffrn_radiation_type", "_diffrn_source_target")
        probe = block.one("_diffrn_radiation_probe")
        words = f"{kind.text if kind else ''} {probe.text if probe else ''}".lower()
        tube = re.match(r"\s*(cu|mo|ag|co|fe|cr|ga)(?![a-z])|\s*(cu|mo|ag|co|fe|cr|ga)\s*k", words) if kind else None
        if not 0.01 <= value <= 15:
            told = f"A wavelength of {value:g} angstrom is outside reason."
            report(
                "wavelength", "error", wavelength.line, "_diffrn_radiation_wavelength", told, "Mend it.", value=value
            )
        elif tube and kind is not None:
            name, known = LINES[(tube[1] or tube[2]).title()]
            if min(abs(value - line) for line in known) > WAVELENGTH_SLACK:
                told = f"{value:g} angstrom is no line of '{kind.text}': {name} has {known[1]:g}."
                report("wavelength", "error", wavelength.line, "_diffrn_radiation_wavelength", told,
                       "Mend the wavelength or the radiation.", value=value, expected=known[1])  # fmt: skip
    for tag in ("_diffrn_ambient_temperature", "_cell_measurement_temperature"):
        temperature = block.one(tag)
        value = number_of(temperature)
        if temperature is not None and value is not None and not 0 < value <= 3000:
            told = f"A temperature of {value:g} K."
            report("temperature", "error", temperature.line, tag, told, "It is in kelvin.", value=value)


def audit_displacements(block: Block, matrix: np.ndarray | None, report: Report) -> None:
    """Displacement parameters: negative, absurd, not positive definite, of no atom."""
    labels = block.column("_atom_site_label")
    for tag, large in (("_atom_site_u_iso_or_equiv", LARGE_U), ("_atom_site_b_iso_or_equiv", LARGE_B)):
        for place, value in enumerate(block.items.get(tag, [])):
            number = number_of(value)
            if number is None:
                continue
            where = labels[place].text if place < len(labels) else tag
            if number < 0:
                told = f"The displacement parameter {number:g} is negative."
                mend = "Refine it again; the element or occupancy may be wrong."
                report("negative-displacement", "error", value.line, where, told, mend, value=number)
            elif number > large:
                told = f"The displacement parameter {number:g} square angstrom is absurd."
                mend = "Check the element, the occupancy and whether it is U or B."
                report("large-displacement", "warning", value.line, where, told, mend, value=number)
    known = {label.text for label in labels}
    for kind, factor, large in (("u", 1.0, LARGE_U), ("b", 1.0, LARGE_B)):
        columns = [block.items.get(f"_atom_site_aniso_{kind}_{pair}") for pair in ("11", "22", "33", "12", "13", "23")]
        if any(column is None for column in columns):
            continue
        owners = block.column("_atom_site_aniso_label")
        for place, owner in enumerate(owners):
            if owner.text not in known:
                told = f"There is no atom '{owner.text}' for this displacement tensor."
                report("displacement-of-no-atom", "error", owner.line, owner.text, told, "Mend the label.")
            row = [
                number_of(column[place]) if place < len(column) else None for column in columns if column is not None
            ]
            if any(number is None for number in row) or matrix is None:
                continue
            u11, u22, u33, u12, u13, u23 = (float(number or 0.0) * factor for number in row)
            tensor = np.array([[u11, u12, u13], [u12, u22, u23], [u13, u23, u33]])
            lowest = float(np.linalg.eigvalsh(_cartesian(tensor, matrix)).min())
            if lowest < -1e-4 * (1 if kind == "u" else 79):
                told = f"The displacement tensor is not positive definite (least mean square {lowest:.4f})."
                mend = "Refine it again; the atom may be isotropic, or split."
                report("negative-displacement", "error", owner.line, owner.text, told, mend, value=lowest)
            elif max(u11, u22, u33) > large:
                told = f"A mean square displacement of {max(u11, u22, u33):g} square angstrom is absurd."
                report("large-displacement", "warning", owner.line, owner.text, told, "Check element and occupancy.",
                       value=max(u11, u22, u33))  # fmt: skip


def _cartesian(tensor: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Mean square displacements along Cartesian axes, square angstrom, of a tensor U in the CIF's convention."""
    reciprocal = np.linalg.norm(np.linalg.inv(matrix), axis=0)
    inner = tensor * np.outer(reciprocal, reciprocal)
    return matrix.T @ inner @ matrix
