"""Which properties to look for: names, unit, plausible range, the conditions that belong to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sozai.assistant.extraction.units import CELSIUS, pint_unit
from sozai.errors import UserError

BUILT_IN = Path(__file__).with_name("properties.yaml")
CONDITIONS = {
    "temperature": CELSIUS,
    "pressure": "MPa",
    "frequency": "Hz",
    "time": "h",
    "humidity": "%",
    "voltage": "V",
    "current_density": "mA/cm^2",
    "wavelength": "nm",
    "magnetic_field": "T",
    "heating_rate": "K/min",
    "strain_rate": "1/s",
    "load": "N",
    "power_density": "W/kg",
    "atmosphere": "",
    "fuel": "",
    "method": "",
}
"""Conditions a property may have, with the unit they are converted to."""
_KEYS = {"names", "symbols", "unit", "range", "source", "conditions", "bare", "of", "not", "loose"}


@dataclass(frozen=True)
class Property:
    """What is looked for under one name; see the head of ``properties.yaml``."""

    name: str
    names: tuple[str, ...]
    symbols: tuple[str, ...] = ()
    unit: str = ""
    range: tuple[float, float] | None = None
    source: str = ""
    conditions: tuple[str, ...] = ()
    bare: bool = False
    of: str = "material"
    without: tuple[str, ...] = ()
    loose: bool = False

    @property
    def cue(self) -> re.Pattern[str]:
        """Finds its names in a text of ``plain_signs``."""
        return _cue(self.names, self.symbols)


def read_schema(properties: Sequence[str] = (), path: str | Path | None = None) -> tuple[Property, ...]:
    """The properties of these names, out of the built-in ones and those of a file.

    Args:
        properties: names; none means all of the file, or all built-in ones when there is no file.
        path: a YAML file of the form of ``properties.yaml``; its properties replace built-in ones of the same name.

    Raises:
        UserError: the file or a name is wrong.
    """
    own = _read(Path(path)) if path is not None else {}
    known = built_in() | own
    if not properties:
        return tuple((own or known).values())
    wanted = []
    for name in properties:
        key = name.strip().lower().replace(" ", "_").replace("-", "_")
        key = _SHORT.get(key, key)
        if key not in known:
            import difflib

            near = difflib.get_close_matches(key, known, 3, 0.5)
            raise UserError(
                f"there is no property '{name}'",
                "--property",
                (f"did you mean {' or '.join(near)}? " if near else "")
                + "Describe it in a YAML file (--schema); `sozai extract --list` shows the built-in ones",
            )
        wanted.append(known[key])
    return tuple(dict.fromkeys(wanted))


_SHORT = {
    "tc": "critical_temperature", "tg": "glass_transition_temperature", "tm": "melting_temperature", "melting_point": "melting_temperature",  # noqa: E501
    "bandgap": "band_gap", "conductivity": "ionic_conductivity", "ea": "activation_energy", "young's_modulus": "elastic_modulus",  # noqa: E501
    "youngs_modulus": "elastic_modulus", "ocv": "open_circuit_voltage", "operating_temperature": "working_temperature",
    "permeability": "gas_permeability", "separation_factor": "selectivity", "asr": "area_specific_resistance",
    "electrical_conductivity": "electronic_conductivity",
}  # fmt: skip


@lru_cache(maxsize=1)
def built_in() -> dict[str, Property]:
    """The properties of ``properties.yaml`` by name."""
    return _read(BUILT_IN)


def _read(path: Path) -> dict[str, Property]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError("the schema cannot be read", str(path)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"this is not YAML ({' '.join(str(error).split())[:200]})", str(path)) from error
    if not isinstance(content, dict) or not content:
        raise UserError("a schema is a list of properties by name", str(path), "see docs/extraction.md for an example")
    return {str(name): _property(str(name), entry, f"{path}, property '{name}'") for name, entry in content.items()}


def _property(name: str, entry: Any, where: str) -> Property:
    if not isinstance(entry, dict):
        raise UserError("has no settings", where, "give it at least names and unit")
    if unknown := sorted(set(entry) - _KEYS):
        raise UserError(
            f"'{unknown[0]}' is no setting of a property", where, f"settings are {', '.join(sorted(_KEYS))}"
        )
    names = _texts(entry.get("names", []), "names", where)
    symbols = _texts(entry.get("symbols", []), "symbols", where)
    if not names and not symbols:
        raise UserError("has no names", where, "write what papers call it: names: [ionic conductivity]")
    unit = str(entry.get("unit", ""))
    if pint_unit(unit.replace("^", "**")) is None and unit not in (CELSIUS, "%", "1e-6/K"):
        raise UserError(f"'{unit}' is no unit", where, "write it as pint does, e.g. S/cm, mW/cm^2, degC")
    limits = entry.get("range")
    if limits is not None:
        good = isinstance(limits, list) and len(limits) == 2 and all(_is_number(item) for item in limits)
        if not good or float(limits[0]) >= float(limits[1]):
            raise UserError("the range is not [lowest, highest]", where, f"two numbers in {unit or 'no unit'}")
        limits = (float(limits[0]), float(limits[1]))
    conditions = _texts(entry.get("conditions", []), "conditions", where)
    if strange := [item for item in conditions if item not in CONDITIONS]:
        raise UserError(f"'{strange[0]}' is no condition sozai can read", where, f"there are {', '.join(CONDITIONS)}")
    kind = str(entry.get("of", "material"))
    if kind not in ("material", "device"):
        raise UserError(f"'of: {kind}' is not known", where, "write material or device")
    return Property(
        name, names, symbols, unit, limits, str(entry.get("source", "")), conditions, bool(entry.get("bare", False)), kind,  # noqa: E501
        _texts(entry.get("not", []), "not", where), bool(entry.get("loose", False)),
    )  # fmt: skip


def _texts(value: Any, key: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise UserError(f"'{key}' is not a list of words", where, f"write {key}: [one, another]")
    return tuple(value)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, bool)


@lru_cache(maxsize=500)
def _cue(names: Iterable[str], symbols: Iterable[str]) -> re.Pattern[str]:
    words = []
    for name in sorted(names, key=len, reverse=True):
        pattern = r"[\s-]{1,2}".join(_word(word) for word in re.split(r"[\s-]+", name))
        words.append(rf"(?i:(?<![A-Za-z]){pattern}(?![A-Za-z]))")
    for symbol in sorted(symbols, key=len, reverse=True):
        parts = [symbol] if symbol.startswith("_") else re.split(r"(_[^\W_%]+%?)", symbol)
        written = "".join(
            rf"[_\s]?\{{?\s?{re.escape(part[1:])}\s?\}}?" if part.startswith("_") and len(part) > 1 else re.escape(part)
            for part in parts
        )
        end = r"(?:s\b|'s)?(?![A-Za-z\d{])" if "_" in symbol else r"(?![A-Za-z\d])"
        words.append(rf"(?<![A-Za-z\d]){written}{end}")
    return re.compile("|".join(words))


def _word(word: str) -> str:
    if word.endswith("y") and len(word) > 3:
        return re.escape(word[:-1]) + r"(?:y|ies)"
    if word.endswith("us") and len(word) > 4:
        return re.escape(word[:-2]) + r"(?:us|i)"
    if re.fullmatch(r"[A-Z]+\d", word):  # CO2 is also written CO_{2}
        return re.escape(word[:-1]) + r"_?\{?\s?" + word[-1] + r"\s?\}?"
    return re.escape(word).replace("'", "['’]") + r"(?:s|es)?"
