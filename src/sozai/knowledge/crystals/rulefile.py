"""Read a rule file (YAML) and say exactly what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from sozai.errors import UserError
from sozai.knowledge.crystals.chemistry import COMMONALITY
from sozai.knowledge.crystals.geometry import DIMENSIONS
from sozai.knowledge.crystals.wish import SYMBOLS

SEVERITIES = ("hard", "soft", "off")
WISH_KEYS = (
    "elements", "allowed", "required", "forbidden", "formula", "at_least", "space_group", "min_atoms", "max_atoms",
    "targets",
)  # fmt: skip

_BUNDLED = "sozai.knowledge.crystals"


class Loader(yaml.SafeLoader):
    """YAML in which only true and false are booleans (``off`` and ``No`` are words) and no key stands twice."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """As of a safe loader, but no key stands twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_rule_file(path: str | Path | None) -> tuple[dict[str, Any], str]:
    """The content of a rule file and its name for messages; ``None`` reads the bundled rules.

    Raises:
        UserError: the file is missing, unreadable, no YAML, or not a mapping of ``wish`` and ``rules``.
    """
    if path is None:
        return yaml.load(files(_BUNDLED).joinpath("rules.yaml").read_text(encoding="utf-8"), Loader), "rules.yaml"
    where = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError("there is no such rule file", where, "check the name of the file") from None
    except (OSError, UnicodeDecodeError) as fault:
        raise UserError(f"the rule file cannot be read ({fault})", where, "give a YAML text file") from None
    try:
        content = yaml.load(text, Loader)
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(fault, "problem", None) or "it is no YAML"
        raise UserError(f"the rule file cannot be read: {problem}", where + line, "mend the line") from None
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise UserError("the rule file has no 'wish' or 'rules' part", where, "see the bundled rules.yaml")
    return content, where


def nearest(name: object, allowed: Iterable[str]) -> str:
    """``did you mean 'x'? `` (when something is near) and the list of what is allowed."""
    options = list(allowed)
    close = difflib.get_close_matches(str(name), options, n=1)
    return (f"did you mean '{close[0]}'? " if close else "") + f"allowed: {', '.join(options)}"


# A check of one parameter: takes the value, gives it back in its final type or raises ValueError with what is allowed.
Parameter = Callable[[Any], Any]


def number(low: float, high: float) -> Parameter:
    """A number from ``low`` to ``high``."""

    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return float(value)

    return check


def whole(low: int, high: int) -> Parameter:
    """A whole number from ``low`` to ``high``."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return check


def yes_or_no(value: Any) -> bool:
    """A boolean."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def commonality(value: Any) -> str | float:
    """SMACT's name or a share in per cent."""
    if isinstance(value, str) and value in COMMONALITY:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise ValueError(f"{', '.join(COMMONALITY)}, or a number from 0 to 100 (per cent)")
    return float(value)


def dimensions(value: Any) -> list[int]:
    """A non-empty list of dimensions."""
    if not isinstance(value, list) or not value or not all(type(v) is int and v in DIMENSIONS for v in value):
        raise ValueError("a list of dimensions out of 0, 1, 2, 3, such as [2, 3]")
    return sorted(set(value))


def element_list(value: Any) -> list[str]:
    """A list of element symbols."""
    if not isinstance(value, list) or not all(isinstance(v, str) and v in SYMBOLS for v in value):
        raise ValueError("a list of element symbols, such as [He, Ne, Ar]")
    return sorted(set(value), key=SYMBOLS.index)


def pair_distances(value: Any) -> dict[str, float]:
    """Distances (angstrom) by pair of elements; the two symbols are put in alphabetical order."""
    pairs: dict[str, float] = {}
    for pair, distance in (value if isinstance(value, dict) else {"": 0}).items():
        symbols = sorted(str(pair).split("-"))
        good = isinstance(distance, int | float) and not isinstance(distance, bool) and 0 < distance <= 10
        if len(symbols) != 2 or not all(symbol in SYMBOLS for symbol in symbols) or not good:
            raise ValueError("distances up to 10 angstrom by pair, such as {O-O: 1.15}")
        pairs["-".join(symbols)] = float(distance)
    return pairs


PARAMETERS: Mapping[str, Mapping[str, Parameter]] = {
    "composition": {},
    "number_of_atoms": {},
    "space_group": {"tolerance": number(1e-5, 1)},
    "charge_neutrality": {"consensus": whole(1, 1000), "commonality": commonality, "exempt_alloys": yes_or_no},
    "electronegativity_order": {},
    "noble_gases": {"elements": element_list},
    "radioactivity": {},
    "interatomic_distances": {
        "factor": number(0, 2),
        "factor_non_metals": number(0, 2),
        "pairs": pair_distances,
    },
    "volume_per_atom": {"low": number(0, 10), "high": number(0, 100)},
    "dimensionality": {"allowed": dimensions, "bond_factor": number(0.5, 1.25)},
    "bond_valence": {"limit": number(0, 100)},
    "coordination": {"slack": whole(0, 20)},
    "scarcity": {"limit_production": number(0, 10_000), "limit_reserve": number(0, 10_000)},
    "element_cost": {"limit": number(0, 1e9)},
}
"""The rules, in the order in which they are checked, and the parameters of each."""


def rule_settings(content: Mapping[str, Any], where: str, base: Mapping[str, dict]) -> dict[str, dict[str, Any]]:
    """The ``rules`` part of a rule file laid over ``base``.

    Args:
        content: the whole file.
        where: its name for messages.
        base: settings by rule that hold where the file is silent.

    Returns:
        by rule name: severity, source and parameters.

    Raises:
        UserError: an unknown part, rule or parameter, or a value that is not allowed.
    """
    for part in content:
        if part not in ("wish", "rules"):
            raise UserError(f"'{part}' is no part of a rule file", where, nearest(part, ("wish", "rules")))
    rules = content.get("rules") or {}
    if not isinstance(rules, dict):
        raise UserError("'rules' is not a list of rules by name", where, "see the bundled rules.yaml")
    settings = {name: dict(base.get(name, {})) for name in PARAMETERS}
    for name, given in rules.items():
        if name not in PARAMETERS:
            raise UserError(f"there is no rule '{name}'", where, nearest(name, PARAMETERS))
        at = f"{where}, rule '{name}'"
        if isinstance(given, str):  # short for {severity: given}
            given = {"severity": given}
        if not isinstance(given, dict):
            raise UserError("it has no severity or parameters", at, f"write for instance {name}: {{severity: soft}}")
        for key, value in given.items():
            settings[name][key] = _setting(name, key, value, at, settings[name].get(key))
    volume = settings["volume_per_atom"]
    if volume["low"] >= volume["high"]:
        raise UserError(
            f"low ({volume['low']:g}) is not below high ({volume['high']:g})",
            f"{where}, rule 'volume_per_atom'",
            "give a range such as low: 0.7, high: 2.0",
        )
    return settings


def _setting(name: str, key: Any, value: Any, at: str, before: Any) -> Any:
    allowed = PARAMETERS[name]
    if key == "severity":
        if value not in SEVERITIES:
            raise UserError(f"'{value}' is no severity", at, nearest(value, SEVERITIES))
        return value
    if key == "source":
        return str(value)
    if key not in allowed:
        raise UserError(f"it has no parameter '{key}'", at, nearest(key, ("severity", "source", *allowed)))
    try:
        checked = allowed[key](value)
    except ValueError as fault:
        raise UserError(f"'{key}: {value}' is not allowed", at, f"{key} takes {fault}") from None
    # Pairs add to the ones that hold already; every other value replaces.
    return {**before, **checked} if isinstance(checked, dict) and before else checked


def wish_conditions(content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The ``wish`` part of a rule file, as keywords of ``CrystalWish.of``; only what the file states.

    Raises:
        UserError: an unknown condition, or a value of the wrong kind.
    """
    wish = content.get("wish") or {}
    at = f"{where}, wish"
    if not isinstance(wish, dict):
        raise UserError("the wish is not a list of conditions by name", at, nearest("", WISH_KEYS))
    for key, value in wish.items():
        if key not in WISH_KEYS:
            raise UserError(f"there is no condition '{key}'", at, nearest(key, WISH_KEYS))
        kind = _wrong_kind(key, value)
        if kind:
            raise UserError(f"'{key}: {value}' is not allowed", at, f"{key} takes {kind}")
    return {key: value for key, value in wish.items() if value is not None}


def _wrong_kind(key: str, value: Any) -> str:
    """What ``key`` takes, when ``value`` is of another kind; else empty."""

    def is_whole(item: Any) -> bool:
        return isinstance(item, int) and not isinstance(item, bool)

    def are(items: Any, kind: Callable[[Any], bool]) -> bool:
        return isinstance(items, list) and all(kind(item) for item in items)

    if value is None:
        return ""
    if key in ("elements", "allowed", "required", "forbidden"):
        return "" if isinstance(value, str) or are(value, lambda v: isinstance(v, str)) else "a list such as [Li, P]"
    if key == "formula":
        return "" if isinstance(value, str) else "a formula such as Li3PS4"
    if key == "space_group":
        return "" if is_whole(value) or are(value, is_whole) else "numbers from 1 to 230, such as [62, 225]"
    if key in ("min_atoms", "max_atoms"):
        return "" if is_whole(value) else "a whole number"
    numbers = isinstance(value, dict) and all(
        isinstance(k, str) and isinstance(v, int | float) and not isinstance(v, bool) for k, v in value.items()
    )
    return "" if numbers else "numbers by name, such as {Li: 0.2}"
