"""Units of measurement by pint: one registry for tables, papers and equations."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_DEFINITIONS = """
weight_percent = 0.01 = wt%
atomic_percent = 0.01 = at%
mole_percent = 0.01 = mol%
volume_percent = 0.01 = vol%
weight_ppm = 1e-6 = wppm
atom = 1
formula_unit = 1 = f.u.
cycle_count = 1 = cycles
phr = 0.01
emu = 1e-3 * ampere * meter ** 2
cm3_stp = 4.461e-5 mole
barrer = 1e-10 * cm3_stp * centimeter / centimeter**2 / second / cmHg
GPU = 1e-6 * cm3_stp / centimeter**2 / second / cmHg
LMH = liter / meter**2 / hour
vickers = kilogram_force / millimeter**2
"""
_WORDS = {
    "hrs": "hour", "hr": "hour", "h": "hour", "hours": "hour", "mins": "minute", "min": "minute", "sec": "second",
    "secs": "second", "d": "day", "days": "day", "yr": "year", "yrs": "year", "wk": "week", "mo": "month",
    "mpa": "megapascal", "Mpa": "megapascal", "MPA": "megapascal", "gpa": "gigapascal", "Gpa": "gigapascal",
    "GPA": "gigapascal", "kpa": "kilopascal", "Kpa": "kilopascal", "KPa": "kilopascal", "KN": "kilonewton",
    "kn": "kilonewton", "Kg": "kilogram", "KG": "kilogram", "Kgs": "kilogram", "gm": "gram", "gms": "gram",
    "cc": "cubic_centimeter", "ml": "milliliter", "uL": "microliter", "ul": "microliter", "um": "micrometer",
    "micron": "micrometer", "microns": "micrometer", "MM": "millimeter", "CM": "centimeter", "hz": "hertz",
    "degC": "degree_Celsius", "degF": "degree_Fahrenheit", "oC": "degree_Celsius", "°C": "degree_Celsius",
    "°F": "degree_Fahrenheit", "°": "degree", "deg": "degree", "celsius": "degree_Celsius", "Celsius": "degree_Celsius",
    "wt%": "weight_percent", "at%": "atomic_percent", "mol%": "mole_percent", "vol%": "volume_percent",
    "%": "percent", "wppm": "weight_ppm", "cycles": "cycle_count", "f.u.": "formula_unit", "fu": "formula_unit",
    "atoms": "atom", "Ohm": "ohm", "Ohms": "ohm", "Psi": "psi", "PSI": "psi", "KSI": "ksi", "RPM": "rpm",
    "Å": "angstrom", "Ang": "angstrom", "Angstrom": "angstrom", "angstroms": "angstrom", "AA": "angstrom",
}  # fmt: skip
_LATEX = {r"\mu": "µ", r"\Omega": "ohm ", r"\circ": "°", r"\AA": "Å", r"\angstrom": "Å", r"\cdot": "*", r"\%": "%",
          r"\mathrm": "", r"\text": "", r"\rm": "", r"\degree": "°", r"\times": "*", r"\,": " "}  # fmt: skip
_SIGNS: dict[int, str] = {**dict.fromkeys(map(ord, "${}"), ""), **dict.fromkeys(map(ord, "·⋅×•"), "*")}
_POWERS: dict[int, str] = {
    ord(sign): power for sign, power in zip("⁻¹²³⁴", ("^-", "^1", "^2", "^3", "^4"), strict=True)
}


@cache
def registry() -> Any:
    """Pint's units, with the parts of a whole, and units of membranes and hardness, that laboratories use."""
    import pint

    units: Any = pint.UnitRegistry(cache_folder=None)
    for line in _DEFINITIONS.strip().splitlines():
        units.define(line)
    return units


def in_words(text: str) -> str:
    """A unit as laboratories write it (``W/mK``, ``S cm-1``, ``$^\\circ$C``, ``wt.%``) as pint reads it."""
    text = text.replace("μ", "µ").replace("º", "°").replace("℃", "°C").replace("−", "-").replace("\u2126", "Ω")
    text = re.sub(r"Ω(?=[A-Za-zµ])", "ohm ", text).replace("Ω", "ohm")
    text = re.sub(r"√\(?([a-z]+)\)?", r" \1^0.5", text)
    text = re.sub(r"(?<=[a-z])\^?\(?1/2\)?$", "^0.5", text)
    for latex, sign in _LATEX.items():
        text = text.replace(latex, sign)
    text = text.translate(_SIGNS).replace("^°", "°")
    text = re.sub(r"(?i)^in\s+(?=\S)", "", text.strip())
    text = re.sub(r"(?i)^(?:wt|weight|mass|w)\.?[ -]?(?:%|percent|pct)$", "wt%", text)
    text = re.sub(r"(?i)^(?:at|atomic|atom)\.?[ -]?(?:%|percent|pct)$", "at%", text)
    text = re.sub(r"(?i)^(?:mol|mole|molar)\.?[ -]?(?:%|percent|pct)$", "mol%", text)
    text = re.sub(r"(?i)^(?:vol|volume|v)\.?[ -]?(?:%|percent|pct)$", "vol%", text)
    text = re.sub(r"(?i)^%\s*\(?(wt|at|mol|vol)\.?\)?$", lambda found: f"{found[1].lower()}%", text)
    text = re.sub(
        r"(?i)^deg(?:rees?)?\.?[ -]?(c|f)(?:elsius|ahrenheit)?$", lambda found: f"deg{found[1].upper()}", text
    )
    text = re.sub(r"° +(?=[CF])", "°", text)
    text = re.sub(r"\bW/mK\b", "W/(m*K)", text)
    text = text.translate(_POWERS).replace("^-^", "^-")
    # cm-1 and m3 are powers; 1/cm and 10^3 are not touched.
    text = re.sub(r"(?<=[A-Za-zµ°Å])(-?\d)(?![\d.])", r"^\1", text)
    # In "J/mol K" all after the stroke is below it.
    text = re.sub(r"/\s*([^\s/()*]+)[ *]+([^\s/()*]+)$", r"/(\1*\2)", text)
    text = re.sub(r"(?<=[^\W\d_])-(?=[^\W\d_])", "*", text)
    return re.sub(r"(?:[^\W\d_]|[%°.])+%?", lambda found: _WORDS.get(found[0], found[0]), text)
