"""The rule file of tables: YAML that an engineer reads and writes.

rules:
  - Water + Superplasticizer <= 300                 # a condition; hard, as all rules where not said
  - condition: Water / Cement <= 0.8
    name: workable mix
    severity: soft                                  # hard: no generated row breaks it; soft: it is told
    source: EN 206, table F.1
  - bounds: Age
    min: 1
    max: 365
    whole: true                                     # whole numbers; or values: [7, 28, 90]
  - sum: [SiO2, Al2O3, CaO]                         # parts of a whole, none below 0
    total: 100
    tolerance: 1
  - derived: w_c = Water / Cement                   # computed again in generated rows
  - if: Superplasticizer > 0
    then: Water < 200
  - any: [Water < 150, Cement > 500]                # at least one holds
  - combinations: [Phase, Process]                  # no others
    allowed: [[FCC, cast], [BCC, sintered]]
  - monotone: Strength                              # where all other columns (or those under given) are equal
    rises_with: Age                                 # or falls_with
    tolerance: 2                                    # scatter of the measurement
  - duplicates: Strength                            # rows equal in all other columns (or given) agree
    tolerance: 0.1                                  # within this share of their mean
    severity: soft
  - correlation: [w_c, Strength]                    # always soft
    sign: negative
    at_least: 0.2
  - unit: Cement
    is: kg/m^3
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sozai.errors import UserError
from sozai.files import atomic, plain
from sozai.knowledge.tables.columns import Bounds, Combinations, Unit
from sozai.knowledge.tables.conditions import AnyOf, Condition, IfThen
from sozai.knowledge.tables.rule import SEVERITIES, Rule
from sozai.knowledge.tables.sums import Derived, Sum
from sozai.knowledge.tables.trends import Correlation, Duplicates, Monotone

COMMON = ("name", "severity", "source")
KEYS: Mapping[str, tuple[str, ...]] = {
    "condition": (),
    "bounds": ("min", "max", "values", "whole"),
    "sum": ("total", "tolerance"),
    "derived": ("tolerance",),
    "if": ("then",),
    "any": (),
    "combinations": ("allowed",),
    "monotone": ("rises_with", "falls_with", "given", "tolerance"),
    "correlation": ("sign", "at_least"),
    "duplicates": ("given", "tolerance"),
    "unit": ("is",),
}
"""The kinds of rules by the key that names them, and what else each may say."""


def read_rules(path: str | Path, columns: Sequence[str]) -> list[Rule]:
    """The rules of a file.

    Args:
        path: YAML.
        columns: of the table.

    Raises:
        UserError: it cannot be read, or a rule is wrong; names the file and the rule.
    """
    where = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError("there is no such rule file", where, "check the name of the file") from None
    except (OSError, UnicodeDecodeError) as fault:
        raise UserError(f"the rule file cannot be read ({fault})", where, "give a YAML text file") from None
    try:
        content = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as fault:
        mark = getattr(fault, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(fault, "problem", None) or "it is no YAML"
        mend = "mend the line; put a condition with special signs in quotes"
        raise UserError(f"the rule file cannot be read: {problem}", where + line, mend) from None
    return rules_from(content, columns, where)


def rules_from(content: Any, columns: Sequence[str], where: str = "rules") -> list[Rule]:
    """Rules from plain content: ``{"rules": [...]}`` or the list itself; see the top of this module.

    Raises:
        UserError: a rule is wrong; names it.
    """
    if isinstance(content, Mapping):
        for part in content:
            if part != "rules":
                raise UserError(f"'{part}' is no part of a rule file", where, "list the rules under 'rules:'")
        content = content.get("rules")
    if content is None:
        content = []
    if not isinstance(content, list):
        raise UserError("the rules are no list", where, "write 'rules:' and each rule after a dash")
    made = [one_rule(entry, columns, f"{where}, rule {number}") for number, entry in enumerate(content, 1)]
    seen: dict[str, int] = {}
    for number, rule in enumerate(made, 1):
        if rule.name in seen:
            raise UserError(
                f"rules {seen[rule.name]} and {number} are both called '{rule.name}'", where, "rename or remove one"
            )
        seen[rule.name] = number
    return made


def one_rule(entry: Any, columns: Sequence[str], where: str = "rule") -> Rule:
    """One rule from plain content: a condition as text, or a mapping whose key names the kind.

    Raises:
        UserError: it is wrong; says how to mend it.
    """
    if isinstance(entry, str):
        return Condition(entry, columns, where=where)
    if not isinstance(entry, Mapping):
        raise UserError("this is no rule", where, f"write a condition in quotes, or one of {', '.join(KEYS)}")
    if isinstance(entry.get("name"), str):
        where = f"{where} ('{entry['name']}')"
    kinds = [key for key in entry if key in KEYS]
    if len(kinds) != 1:
        unknown = [str(key) for key in entry if key not in COMMON]
        what = f"it is of two kinds: {', '.join(kinds)}" if kinds else f"it is of no known kind: {', '.join(unknown)}"
        near = _near(unknown[0], KEYS) if unknown and not kinds else ""
        raise UserError(what, where, f"{near}give one of {', '.join(KEYS)}")
    kind = kinds[0]
    allowed = (kind, *KEYS[kind], *COMMON)
    for key in entry:
        if key not in allowed:
            raise UserError(
                f"'{kind}' has no '{key}'", where, f"{_near(key, allowed)}it takes {', '.join(allowed[1:])}"
            )
    given = _Entry(entry, columns, where)
    made = _MAKERS[kind](given)
    return made


class _Entry:
    """The content of one rule, each part checked as it is read."""

    def __init__(self, entry: Mapping[str, Any], columns: Sequence[str], where: str):
        self.entry, self.columns, self.where = entry, columns, where

    def common(self, severity: str = "hard") -> dict[str, Any]:
        severity = self.entry.get("severity", severity)
        if severity not in SEVERITIES:
            raise UserError(f"'{severity}' is no severity", self.where, "write hard or soft")
        texts = {key: self.entry.get(key) for key in ("name", "source")}
        return {**{key: str(text) if text is not None else "" for key, text in texts.items()},
                "severity": severity, "where": self.where}  # fmt: skip

    def text(self, key: str) -> str:
        value = self.entry.get(key)
        if isinstance(value, bool) or not isinstance(value, str | int | float) or str(value).strip() == "":
            raise UserError(f"'{key}' needs a text", self.where, f"write it after '{key}:', in quotes")
        return str(value)

    def column(self, key: str) -> str:
        return self._known(self.text(key))

    def _known(self, typed: Any) -> str:
        name = str(typed)
        if name in self.columns:
            return name
        folded = [column for column in self.columns if column.casefold() == name.casefold()]
        if len(folded) == 1:
            return folded[0]
        mend = f"{_near(name, self.columns)}the columns are {', '.join(self.columns)}"
        raise UserError(f"there is no column '{name}'", self.where, mend)

    def columns_of(self, key: str, least: int = 0) -> list[str]:
        value = self.entry.get(key, [])
        if not isinstance(value, list) or len(value) < least:
            raise UserError(f"'{key}' needs a list of columns", self.where, f"write {key}: [a, b]")
        return [self._known(name) for name in value]

    def number(self, key: str) -> float | None:
        value = self.entry.get(key)
        if value is None:
            return None
        if isinstance(value, str):  # YAML reads 1e-10 as a text
            with contextlib.suppress(ValueError):
                value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
            raise UserError(f"'{key}: {value}' is no number", self.where, f"write such as {key}: 10")
        return float(value)

    def number_or(self, key: str, default: float) -> float:
        value = self.number(key)
        if value is not None and value < 0:
            raise UserError(f"'{key}: {value:g}' is below 0", self.where, f"write such as {key}: {default:g}")
        return default if value is None else value

    def listed(self, key: str) -> list[Any]:
        value = self.entry.get(key, [])
        if not isinstance(value, list) or any(isinstance(each, Mapping) or each is None for each in value):
            raise UserError(f"'{key}' needs a list of values", self.where, f"write {key}: [a, b]")
        return value

    def flag(self, key: str) -> bool:
        value = self.entry.get(key, False)
        if not isinstance(value, bool):
            raise UserError(f"'{key}: {value}' is neither true nor false", self.where, f"write {key}: true")
        return value


def _bounds(given: _Entry) -> Rule:
    column = given.column("bounds")
    values = given.listed("values")
    if any(isinstance(value, str) for value in values):
        values = [str(value) for value in values]
    elif any(isinstance(value, list | bool) for value in values):
        raise UserError("'values' needs numbers or names", given.where, "write values: [7, 28] or values: [FCC, BCC]")
    return Bounds(column, given.number("min"), given.number("max"), values, given.flag("whole"), **given.common())


def _monotone(given: _Entry) -> Rule:
    ways = [key for key in ("rises_with", "falls_with") if key in given.entry]
    if len(ways) != 1:
        raise UserError("it does not say with what", given.where, "give either rises_with or falls_with")
    return Monotone(
        given.column("monotone"), given.column(ways[0]), ways[0] == "rises_with", given.columns_of("given"),
        given.number_or("tolerance", 0.0), **given.common(),
    )  # fmt: skip


def _correlation(given: _Entry) -> Rule:
    names = given.columns_of("correlation", 2)
    sign = given.entry.get("sign", "positive")
    if len(names) != 2 or sign not in ("positive", "negative"):
        raise UserError("it needs two columns and a sign", given.where, "correlation: [a, b], sign: negative")
    return Correlation(names[0], names[1], sign, given.number_or("at_least", 0.0), **given.common("soft"))


def _combinations(given: _Entry) -> Rule:
    names, allowed = given.columns_of("combinations", 2), given.listed("allowed")
    if not all(isinstance(each, list) for each in allowed):
        raise UserError("'allowed' needs lists", given.where, "write allowed: [[FCC, cast], [BCC, sintered]]")
    return Combinations(names, allowed, **given.common())


def _any(given: _Entry) -> Rule:
    texts = [str(each) for each in given.listed("any")]
    return AnyOf(texts, given.columns, **given.common())


_MAKERS: Mapping[str, Callable[[_Entry], Rule]] = {
    "condition": lambda given: Condition(given.text("condition"), given.columns, **given.common()),
    "bounds": _bounds,
    "sum": lambda given: Sum(
        given.columns_of("sum", 2), given.number_or("total", 100.0), given.number_or("tolerance", 0.0), **given.common()
    ),
    "derived": lambda given: Derived(
        given.text("derived"), given.columns, given.number_or("tolerance", 0.0), **given.common()
    ),
    "if": lambda given: IfThen(given.text("if"), given.text("then"), given.columns, **given.common()),
    "any": _any,
    "combinations": _combinations,
    "monotone": _monotone,
    "correlation": _correlation,
    "duplicates": lambda given: Duplicates(
        given.column("duplicates"), given.columns_of("given"), given.number_or("tolerance", 0.1), **given.common("soft")
    ),
    "unit": lambda given: Unit(given.column("unit"), given.text("is"), **given.common()),
}


def write_rules(rules: Iterable[Rule], path: str | Path) -> None:
    """Write a rule file, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    entries = [plain(rule.to_dict()) for rule in rules]
    with atomic(path) as stream:
        stream.write("# hard: no generated row breaks the rule; soft: it is told\n")
        yaml.safe_dump({"rules": entries}, stream, sort_keys=False, allow_unicode=True, width=110)


def _near(name: object, allowed: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(name), [str(each) for each in allowed], n=1)
    return f"did you mean '{close[0]}'? " if close else ""


class _Loader(yaml.SafeLoader):
    """YAML in which only true and false are booleans (``no`` and ``off`` may be categories), without double keys and
    without dates."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [
            (tag, pattern)
            for tag, pattern in resolvers
            if tag != "tag:yaml.org,2002:timestamp" and (tag != "tag:yaml.org,2002:bool" or first in "tTfF")
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, "a key is a list or stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
