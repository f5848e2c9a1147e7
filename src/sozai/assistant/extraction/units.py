"""Units as papers write them, read into pint's.

``S cm-1``, ``S·cm⁻¹``, ``mS/cm``, ``cm^{3}(STP) cm/(cm^{2} s cmHg)``, ``Ω cm2``, ``°C``, ``wt%`` are read token by token;
what is no unit ends the reading.
"""  # noqa: E501

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sozai.materials.units import registry

CELSIUS = "degC"
_PREFIXED = {  # symbol as written: pint's name; these take prefixes
    "S": "siemens", "V": "volt", "A": "ampere", "W": "watt", "Wh": "watt_hour", "Ah": "ampere_hour", "m": "meter",
    "g": "gram", "s": "second", "Pa": "pascal", "N": "newton", "J": "joule", "eV": "electron_volt", "mol": "mole",
    "Hz": "hertz", "T": "tesla", "F": "farad", "L": "liter", "l": "liter", "K": "kelvin", "bar": "bar",
    "Ω": "ohm", "\u2126": "ohm", "ohm": "ohm", "Ohm": "ohm", "cal": "calorie", "C": "coulomb", "Da": "gram/mole", "emu": "emu",  # noqa: E501
    "eq": "mole", "equiv": "mole", "P": "poise", "mho": "siemens", "M": "molar", "h": "hour",
}  # fmt: skip
_PREFIXES = {"": "", "k": "kilo", "M": "mega", "G": "giga", "T": "tera", "d": "deci", "c": "centi", "m": "milli"}
_PREFIXES |= {"μ": "micro", "µ": "micro", "u": "micro", "n": "nano", "p": "pico", "f": "femto"}
_WHOLE = {
    "hr": "hour", "hrs": "hour", "hour": "hour", "hours": "hour", "min": "minute", "mins": "minute", "kN": "kilonewton",
    "minute": "minute", "minutes": "minute", "sec": "second", "seconds": "second", "day": "day", "days": "day",
    "d": "day", "week": "week", "weeks": "week", "months": "month", "month": "month", "years": "year",
    "year": "year", "yr": "year", "y": "year", "a": "year", "atom": "", "angstrom": "angstrom", "angstroms": "angstrom",
    "pC": "picocoulomb", "nC": "nanocoulomb", "µC": "microcoulomb", "μC": "microcoulomb",
    "Å": "angstrom", "\u212b": "angstrom", "Angstrom": "angstrom", "micron": "micrometer", "microns": "micrometer",
    "atm": "atm", "psi": "psi", "Torr": "torr", "torr": "torr", "mmHg": "mmHg", "cmHg": "cmHg", "mbar": "millibar",
    "%": "percent", "percent": "percent", "ppm": "ppm", "barrer": "barrer", "Barrer": "barrer", "barrers": "barrer",
    "Barrers": "barrer", "GPU": "GPU", "gpu": "GPU", "LMH": "LMH", "kgf": "kilogram_force", "HV": "vickers",
    "Hv": "vickers", "Oe": "oersted", "meq": "millimole", "mequiv": "millimole", "kDa": "kilogram/mole",
    "kelvin": "kelvin", "KPa": "kilopascal", "Kpa": "kilopascal", "Mpa": "megapascal", "volts": "volt", "dyn": "dyne", "cc": "centimeter**3", "liter": "liter", "liters": "liter",  # noqa: E501
    "mw": "milliwatt",
    "decades": "", "Wm": "", "cd": "candela", "dtex": "dtex", "denier": "denier", "tex": "tex", "kg": "kilogram",
}  # fmt: skip
_TEMPERATURES = (
    "°C",
    "ºC",
    "◦C",
    "˚C",
    "° C",
    "º C",
    "℃",
    "oC",
    "o C",
    "^oC",
    "^{o}C",
    "^{°}C",
    "∘C",
    "°c",
    "degC",
    "deg C",
    "degrees C",
)
_DEGREES = ("degrees", "degree", "deg", "°", "º")
_SHARES = re.compile(r"(?:wt|mol|vol|at|mass|weight|volume)\.?[\s-]*%|%\s*RH\b|%\s*\(?(?:w/w|v/v|w/v)\)?")
_EXPONENT = re.compile(r"\s?\^?\s?\{?\s?([-+]\s?[1-4](?:\.\d)?|[1-4](?:\.5)?|0\.5)(?:\s?\})?(?![\d.]*\d)")
_GAP = re.compile(
    r"[ \u00a0\u2009\u202f]?[·⋅∙•*.×x][ \u00a0\u2009\u202f]?(?=[A-Za-zΩμµÅ°])|[ \u00a0\u2009\u202f\n]{1,2}|(?=[A-Za-zΩμµ])"  # noqa: E501
)
_PER_DEGREE = re.compile(r"\s?(?:/|per)\s?(?:\^?\{?[°ºo]\}?\s?C|degC)\b|\s?[°º]\s?C\s?\^?\{?\s?-\s?1\s?\}?")
_LETTERS = re.compile(r"[A-Za-zΩΩμµÅÅ%]+|%")
_AS_ONE = (
    (re.compile(r"(?P<p>[kmμµ]?)W\s?/\s?\(?m\s?[-·⋅∙ ]?\s?K(?![A-Za-z\d^-])\)?"), "({p}watt)*(meter)**-1*(kelvin)**-1"),
    (
        re.compile(r"(?P<p>[kMG]?)Pa\s?[·⋅∙*.]?\s?(?:m\s?\^?\{?\s?1\s?/\s?2\s?\}?|√\s?\(?m\)?|m½)"),
        "({p}pascal)*(meter)**0.5",
    ),
    (re.compile(r"(?P<p>[kM])Oe\b"), "{p}oersted"),
    (re.compile(r"(?P<p>)HV_?\{?\d{1,2}(?:\.\d+)?\}?(?![\w.])"), "{p}vickers"),
)
"""Units that are not read word by word: ``W/mK`` is no millikelvin."""
_LONE = {
    "C",
    "P",
    "M",
    "d",
    "F",
    "T",
    "l",
    "f",
    "y",
    "a",
    "yr",
    "year",
    "atom",
}  # alone they are more often something else


@dataclass(frozen=True)
class Unit:
    """A unit in the text.

    Attributes:
        end: place behind its last letter.
        name: pint's expression; ``"degC"`` for a temperature scale, ``"share"`` for wt%, mol% and the like.
    """

    end: int
    name: str


def plain_signs(text: str) -> str:
    """The text with one kind of minus sign, digit and space; places in it stay the same."""
    return text.translate(_SAME)


_SAME = {ord(sign): "-" for sign in "−–‐‑‒⁻—"}
_SAME |= {ord(sign): str(digit) for digit, sign in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
_SAME |= {ord(sign): str(digit) for digit, sign in enumerate("₀₁₂₃₄₅₆₇₈₉")}
_SAME |= {ord(sign): " " for sign in "\u00a0\u2009\u202f\u2002\u2003\u200a\n\t"} | {
    ord("⁺"): "+",
    ord("∼"): "~",
    ord("≈"): "~",
}


def read_unit(text: str, place: int) -> Unit | None:
    """The unit that begins at a place (after one space or hyphen), in text of ``plain_signs``."""
    start = place
    if text[start : start + 1] in (" ", "-") and text[start : start + 2].strip() != "":
        start += 1
    for written in _TEMPERATURES:
        if text.startswith(written, start) and not text[start + len(written) : start + len(written) + 1].isalpha():
            return Unit(start + len(written), CELSIUS)
    share = _SHARES.match(text, start)
    if share:
        return Unit(share.end(), "share")
    for pattern, known in _AS_ONE:
        if (one := pattern.match(text, start)) is not None:
            return Unit(one.end(), known.format(p=_PREFIXES[one["p"]]))
    parts: list[str] = []
    here, sign, brackets, explicit = start, 1, 0, False
    while True:
        token = _token(text, here)
        if token is None:
            break
        end, name, scale = token
        power = _EXPONENT.match(text, end)
        exponent = 1.0
        if power and _is_power(text, end, power):
            exponent = float(power.group(1).replace(" ", ""))
            end = power.end()
        elif (
            parts
            and not explicit
            and not brackets
            and text[here - 1 : here] == " "
            and not _compound(parts[-1], name)
            and not (sign < 0 and name in ("hour", "second", "bar", "day"))  # "L/m2 h" is per m2 and per h
        ):
            break  # "5 V s": a space alone joins only what carries a power or is known to go together
        parts.append(f"({name})**{sign * exponent:g}" if name else "1")
        here, explicit = end, False
        standard = re.compile(r"\s?\(?STP\)?\s?").match(text, here)
        if standard and parts[-1] == "(centimeter)**3":
            parts[-1] = "cm3_stp"
            here, explicit = standard.end(), True
            if _token(text, here) is not None:
                continue
        degrees = _PER_DEGREE.match(text, here)
        if degrees:
            parts.append("(kelvin)**-1")
            here = degrees.end()
            break
        ahead = re.compile(r"\s?/\s?(\()?|\s?per\s(?=[a-zA-Zµμ])()|\s?\)").match(text, here)
        if ahead and ")" not in ahead.group() and _token(text, ahead.end()):
            sign, explicit, here = -1, True, ahead.end()
            brackets += bool(ahead.group(1))
            continue
        if ahead and ")" in ahead.group() and brackets:
            brackets -= 1
            here = ahead.end()
            break
        gap = _GAP.match(text, here)
        if gap is None or _token(text, gap.end()) is None:
            break
        here, explicit = gap.end(), gap.group().strip() != ""
        del scale
    if not parts:
        if any(text.startswith(word, start) for word in _DEGREES):
            word = next(word for word in _DEGREES if text.startswith(word, start))
            return Unit(start + len(word), "degree")
        return None
    while text[here - 1] in " ·⋅*." and here > start:
        here -= 1
    name = "*".join(part.removesuffix("**1") for part in parts)
    written = text[start:here].strip()
    if written == "C":
        return Unit(here, CELSIUS) if text[start - 1] in " 0123456789" else None
    if written in _LONE:
        return None
    return Unit(here, name) if pint_unit(name) is not None else None


def _token(text: str, place: int) -> tuple[int, str, int] | None:
    letters = _LETTERS.match(text, place)
    if letters is None:
        return None
    word = letters.group()
    for length in range(len(word), 0, -1):
        name = _symbol(word[:length])
        whole = length == len(word) or _split(word, length) or word[length:] == "%"
        if name is not None and whole:
            return place + length, name, length
    return None


def _split(word: str, length: int) -> bool:
    """Whether the rest of glued letters is a unit too: ``mWcm``, ``Scm``, ``Acm``, ``Ωcm``."""
    return _symbol(word[length:]) is not None and word[length:] in ("cm", "m", "g", "K", "h", "kg", "mol", "mm", "s")


@lru_cache(maxsize=2000)
def _symbol(word: str) -> str | None:
    if word in _WHOLE:
        return _WHOLE[word]
    for prefix, name in _PREFIXES.items():
        rest = word[len(prefix) :]
        if word.startswith(prefix) and rest in _PREFIXED and not (prefix and rest in ("C", "P", "h")):
            unit = _PREFIXED[rest]
            return name + unit if "/" not in unit else {"k": "kilogram/mole", "M": "megagram/mole"}.get(prefix, unit)
    if word == "cP":
        return "centipoise"
    return "kilohour" if word == "kh" else None


def _is_power(text: str, end: int, power: re.Match[str]) -> bool:
    """``cm-1`` and ``cm2`` are powers; in ``5 h 2 min`` and ``0.7 V 800 °C`` the number is another one."""
    written = power.group()
    return not written.startswith(" ") or "-" in written or "^" in written or "{" in written


def _compound(last: str, name: str) -> bool:
    pair = (last.strip("()").split(")")[0], name)
    return pair in {
        ("ohm", "centimeter"), ("ohm", "meter"), ("ampere", "hour"), ("milliampere", "hour"), ("watt", "hour"),
        ("pascal", "second"), ("newton", "meter"), ("kilowatt", "hour"), ("millipascal", "second"),
        ("milliohm", "centimeter"), ("microohm", "centimeter"), ("kiloohm", "centimeter"),
    }  # fmt: skip


@lru_cache(maxsize=4000)
def pint_unit(name: str) -> Any:
    """Pint's unit of an expression; ``None`` when there is none."""
    try:
        if name == "1e-6/K":
            return (registry()("ppm/kelvin")).units
        return registry().parse_units(name) if name else registry().dimensionless
    except Exception:  # pint raises many kinds for text that is no unit
        return None


@lru_cache(maxsize=4000)
def factor(source: str, target: str) -> float | None:
    """What a value in ``source`` is multiplied by to be in ``target``; ``None`` when the dimensions differ.

    Energies per mole and per particle are converted by Avogadro's number.
    """
    if source == target:
        return 1.0
    if "share" in (source, target):
        return 1.0 if {source, target} <= {"share", "%", "percent"} else None
    if source == CELSIUS or target == CELSIUS:
        return None  # a scale: see ``convert``
    if target == "" or target == "degree" or source == "degree":
        return 1.0 if source == target else None
    left, right = pint_unit(source), pint_unit(target)
    if left is None or right is None:
        return None
    units = registry()
    for scale in (1, 1 / units.avogadro_constant, units.avogadro_constant):
        try:
            if source == "" or _is_ratio(target) != _is_ratio(source):
                return None
            return float((1.0 * left * scale).to(right).magnitude)
        except Exception:  # other dimensions
            continue
    return None


def _is_ratio(source: str) -> bool:
    return (
        source in ("%", "1e-6/K", "%/kh")
        or "percent" in source
        or "ppm" in source
        or "share" in source
        or source.startswith("(kelvin)**-1")
    )


def convert(value: float, source: str, target: str) -> float | None:
    """A value in another unit, without the dust of floating point; ``None`` when the dimensions differ."""
    if {source, target} == {CELSIUS, "kelvin"} or {source, target} == {CELSIUS, "K"}:
        return round(value - 273.15, 6) if target == CELSIUS else round(value + 273.15, 6)
    times = factor(source, target)
    return None if times is None else float(f"{value * times:.10g}")
