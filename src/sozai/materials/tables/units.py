"""Units of measurement: read from headings and cells, and converted, by pint.

A heading's unit is believed only when it is one that laboratories use (``LABORATORY``): "w/c" is no division by the
speed of light, and "(Total)" no unit. Where pint is not installed no unit is believed, and headings stay whole.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np

from sozai.errors import UserError
from sozai.knowledge.crystals.wish import SYMBOLS
from sozai.materials.units import in_words, registry

PARTS = {"wt%": "wt", "at%": "at", "mol%": "mol", "vol%": "vol", "wppm": "wt"}
"""Parts of a whole and what they are parts of: weight percents do not convert to atomic percents."""
_LABORATORY_UNITS = """meter gram liter second minute hour day week year month kelvin degree_Celsius degree_Fahrenheit
    pascal bar standard_atmosphere torr pound_force_per_square_inch kip_per_square_inch newton force_kilogram force_gram
    force_pound pound ounce inch foot joule electron_volt calorie watt volt ampere ampere_hour watt_hour siemens ohm
    farad henry coulomb tesla gauss oersted weber hertz revolutions_per_minute mole molar percent ppm ppb weight_percent
    atomic_percent mole_percent volume_percent weight_ppm angstrom micron degree radian poise stokes lumen lux candela
    gray sievert becquerel metric_ton atom formula_unit cycle_count hartree rydberg bohr darcy dalton
    unified_atomic_mass_unit count cubic_centimeter
    delta_degree_Celsius delta_degree_Fahrenheit emu phr denier tex dyne erg decibel"""
LABORATORY = frozenset(_LABORATORY_UNITS.split())
_BRACKETS = re.compile(
    r"^(?P<name>.*\S)\s*(?:\[(?P<square>[^\[\]]+)\]|\((?P<round>(?:[^()]|\([^()]*\))+)\)|\{(?P<curly>[^{}]+)\})\s*$"
)
_SLASH = re.compile(r"^(?P<name>.*\S)\s+/\s+(?P<unit>\S.*)$|^(?P<symbol>[A-Za-zα-ωΑ-Ω_]{1,12})/(?P<tight>[^/]+)$")
_COMMA = re.compile(r"^(?P<name>.*\S)\s*,\s*(?P<unit>\S+(?: \S+)?)$")
_UNDERSCORE = re.compile(r"^(?P<name>.*[^_\s])_(?P<unit>[A-Za-z%°µμΩÅ/^0-9]+)$")
_TIGHT_UNITS = "K °C MPa GPa Pa kPa nm µm mm cm m g kg s min h eV meV V mV mA J kJ N kN Hz Å % wt% at% mol%"
_TIGHT = frozenset(_TIGHT_UNITS.split())
_TEMPERATURE = re.compile(r"(?i)(?:\btemp|temperature|\bT[a-z]?$|^T\b|\btherm|anneal|sinter|calcin|melting)")
_LENGTHS = re.compile(r"(?i)(?:\b[abc]$|lattice|bond|radius|spacing|distance)")
_LETTERS = (
    ("C", _TEMPERATURE, "degC"),
    ("F", _TEMPERATURE, "degF"),
    ("A", _LENGTHS, "angstrom"),
    ("C", re.compile(r"(?i)charge|\bQ\b"), "coulomb"),
    ("F", re.compile(r"(?i)capacitance"), "farad"),
    ("A", re.compile(r"(?i)current|\bI\b"), "ampere"),
    ("M", re.compile(r"(?i)conc|molar|solution|precursor"), "molar"),
    ("T", re.compile(r"(?i)field|flux|induction|magnet|\b[BHM]"), "tesla"),
    ("S", re.compile(r"(?i)conduct|\bG\b"), "siemens"),
    ("H", re.compile(r"(?i)inductance"), "henry"),
    ("a", re.compile(r"(?i)\bage\b|time"), "year"),
)
"""Letters that are units only of certain quantities."""
_DOUBTFUL = frozenset("CFAMTSHaBPRbcekntuxyz")
_PURE = frozenset(["-", "–", "—", "1", "dimensionless", "unitless"])
_SYMBOLS = frozenset(symbol for symbol in SYMBOLS if len(symbol) == 2)
_ELEMENT = re.compile(
    r"(?i)\b(?:carbon|nitrogen|potassium|vanadium|tungsten|wolfram|sul(?:f|ph)ur|hydrogen|fluorine|boron|uranium|iodine"
    r"|phosphorus|oxygen|yttrium)$"
)


class Heading(NamedTuple):
    """A heading taken apart."""

    name: str
    unit: str = ""


def heading_of(text: str) -> Heading:
    """Name and unit of a heading: ``strength [MPa]``, ``Age (days)``, ``T / K``, ``Load, kN``, ``time_h``."""
    found = _BRACKETS.match(text)
    if found:
        inside = found["square"] or found["round"] or found["curly"]
        if inside.strip() in _PURE:
            return Heading(found["name"])
        unit = believed(inside, found["name"])
        return Heading(found["name"], unit) if unit else Heading(text)
    found = _SLASH.match(text)
    if found:
        name, unit_text = (found["name"], found["unit"]) if found["name"] else (found["symbol"], found["tight"])
        if not found["name"] and not _sure(unit_text):
            return Heading(text)
        unit = believed(unit_text, name) if found["name"] is None or unit_text not in ("c", "C") else ""
        return Heading(name, unit) if unit else Heading(text)
    for found in (_COMMA.match(text), _UNDERSCORE.match(text)):
        if found and (found.re is _COMMA or _sure(found["unit"])):
            unit = believed(found["unit"], found["name"])
            if unit:
                return Heading(found["name"], unit)
    if text.endswith("%") and len(text) > 1:
        words = re.match(r"^(?P<name>.*\S)\s+(?P<unit>(?:wt|at|mol|vol|mass|weight|atomic)?\.?[ -]?%)$", text)
        if words:
            return Heading(words["name"], believed(words["unit"], words["name"]))
    return Heading(text)


def _sure(unit: str) -> bool:
    """Whether letters after an underscore are meant as a unit, not as an index (``x_m``, ``E_a``)."""
    return (unit in _TIGHT and unit not in ("m", "s", "g", "N", "V", "J", "h")) or unit in (
        "C", "hours", "hrs", "days", "wt%", "at%", "mol%", "degC", "um", "ksi", "psi", "ppm", "wppm", "rpm", "hr",
    )  # fmt: skip


def believed(text: str, name: str = "") -> str:
    """The unit that a text in a heading or cell says, as ``Column.unit`` holds it; empty when it is none.

    Args:
        text: e.g. ``S cm-1`` or ``g/cm$^3$``.
        name: what it belongs to: it tells degrees Celsius from coulombs.
    """
    text = text.strip()
    if not text or len(text) > 40 or text.isdigit() or (text in _SYMBOLS and text != "Pa") or _ELEMENT.search(name):
        return ""
    for letter, quantity, meant in _LETTERS:
        if text == letter and quantity.search(name):
            text = meant
            break
    else:
        if text in _DOUBTFUL:
            return ""
    try:
        unit = registry().parse_units(in_words(text))
    except Exception:  # pint raises tokenizer, attribute and value errors alike for what is no unit
        return ""
    roots = {_root(each) for each in dict(unit._units)}
    return spelled(unit) if roots and roots <= LABORATORY else ""


def _root(name: str) -> str:
    """``megapascal`` without its prefix."""
    [(_, root, _)] = registry().parse_unit_name(name)[:1] or [("", name, "")]
    return root


def spelled(unit: Any) -> str:
    """A pint unit in short: ``g/cm³``, ``°C``, ``wt%``."""
    text = f"{unit:~P}".replace("Δ", "")  # a difference in degrees, as in °C/min
    return text if "⋅" not in text else f"{unit:~C}".replace("**", "^").replace("delta_", "")


def unit_of(text: str, column: str) -> str:
    """A unit that a person gave.

    Raises:
        UserError: there is no such unit; names the column.
    """
    if not text.strip():
        return ""
    try:
        return believed(text, column) or spelled(registry().parse_units(in_words(text)))
    except ModuleNotFoundError:
        raise
    except Exception as error:  # see ``believed``
        raise UserError(
            f"'{text}' is no unit", f"column '{column}'", "write it like MPa, g/cm^3, S/cm, degC, wt%, h"
        ) from error


def convert(values: np.ndarray, unit: str, to: str, column: str) -> np.ndarray:
    """Numbers in another unit.

    Args:
        values: numbers in ``unit``, any shape.
        unit, to: as ``Column.unit`` holds them.
        column: for messages.

    Raises:
        UserError: the units measure different things.
    """
    import pint

    if unit == to:
        return values
    of, into = PARTS.get(unit, ""), PARTS.get(to, "")
    try:
        if of and into and of != into:
            raise pint.DimensionalityError(unit, to)
        units = registry()
        quantity = units.Quantity(np.asarray(values, float), units.parse_units(in_words(unit)))
        return np.asarray(quantity.to(units.parse_units(in_words(to))).magnitude)
    except pint.DimensionalityError as error:
        raise UserError(
            f"its unit {unit} cannot be converted to {to}", f"column '{column}'", "give a unit of the same quantity"
        ) from error
