"""Conditions and formulas over a table's columns, as a person types them.

Water <= 200                      a comparison
cement + slag >= 3 * water        arithmetic with + - * / ^, log, log10, exp, sqrt, abs, min, max
strength between 120 and 150      two at once
`curing (days)` in [7, 28]        any heading works as it is; backticks where it could be misread
family in [NASICON, garnet] or Phase = "FCC"

Column names are matched whole, without regard to case where that is unambiguous. Nothing else is
looked up or called: what a person types is never run as code.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from sozai.errors import UserError

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "log": np.log, "log10": np.log10, "exp": np.exp, "sqrt": np.sqrt, "abs": np.abs,
    "min": lambda *each: np.minimum.reduce(each), "max": lambda *each: np.maximum.reduce(each),
}  # fmt: skip
ARITHMETIC: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}  # fmt: skip
COMPARISONS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.LtE: operator.le, ast.GtE: operator.ge, ast.Lt: operator.lt, ast.Gt: operator.gt,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip
MANY = ("min", "max")
LONGEST = 2000
"""Characters of a condition."""
KEYWORDS = ("and", "or", "not", "in", "between")
_KIND = {"truth": "condition", "number": "number", "text": "text", "column": "column"}
Columns: TypeAlias = Mapping[str, Any] | pd.DataFrame
"""Values by column: a frame, or arrays of one length."""
TOLERANCE = 1e-5
"""Share of the numbers' size by which <=, >= and = may be missed: a row still obeys when it is printed with six digits
and read again. < and > are meant as they stand."""


class Expression:
    """A parsed condition or formula.

    Args:
        text: as typed.
        columns: the names that it may use.
        where: for error messages, the option or the place in the rule file.

    Raises:
        UserError: it cannot be read, or names a column that does not exist.
    """

    def __init__(self, text: str, columns: Sequence[str], where: str = ""):
        self.text, self.where = " ".join(str(text).split()), where or f"'{text}'"
        self.names: dict[str, str] = {}
        if len(self.text) > LONGEST:
            raise UserError(
                f"this has {len(self.text)} characters", self.where[:80] + "..'", "write several conditions"
            )
        source = _equals(_between(self._placed(self.text, columns)))
        try:
            self.tree: ast.expr = ast.parse(source.strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            raise UserError("this cannot be read as a condition", self.where, MEND) from error
        try:
            self._condition = self._check(self.tree) == "truth"
        except RecursionError:
            raise UserError("this is nested too deeply", self.where, "write it as several conditions") from None
        self.columns = tuple(dict.fromkeys(self.names.values()))

    @property
    def condition(self) -> bool:
        """Whether it is true or false of a row, rather than a number."""
        return self._condition

    def value(self, frame: Columns) -> np.ndarray:
        """Its value for each row, (rows,): float64, or bool of a condition; NaN (False) where a value is missing."""
        with np.errstate(all="ignore"):
            made = self._value(self.tree, frame)
        return np.broadcast_to(np.asarray(made), (_length(frame),)).copy()

    def number(self, node: ast.expr, frame: Columns) -> np.ndarray:
        """Value of a part of the tree that is a number, (rows,); NaN where a value is missing."""
        with np.errstate(all="ignore"):
            return np.broadcast_to(self._number(node, frame), (_length(frame),)).astype(float)

    def missing(self, frame: Columns) -> np.ndarray:
        """Rows in which a value that it needs is missing, (rows,)."""
        gone = np.zeros(_length(frame), bool)
        for name in self.columns:
            gone |= pd.isna(np.asarray(frame[name]))
        return gone

    def amounts(self, frame: Columns) -> np.ndarray:
        """By how much a condition is missed in each row, 0 where it holds and NaN where a value is missing.

        Of a comparison of numbers the difference of its sides; of two at once the larger; of alternatives the
        smaller; of names 1.
        """
        with np.errstate(all="ignore"):
            made = np.broadcast_to(self._amount(self.tree, frame), (_length(frame),)).astype(float)
        # A comparison that is not strict differs by zero where it holds exactly; one that has no value fails.
        made = np.where(np.isnan(made), 1.0, made)
        return np.where(self.missing(frame), np.nan, made)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    # Reading

    def _placed(self, text: str, columns: Sequence[str]) -> str:
        """Column names replaced by plain identifiers, texts in quotes left alone."""
        folded: dict[str, list[str]] = {}
        for name in columns:
            folded.setdefault(name.casefold(), []).append(name)
        # A column whose heading is a number is only meant where it stands in backticks.
        names = sorted((name for name in columns if name and not _is_number(name)), key=len, reverse=True)
        words = "|".join(re.escape(name) for name in names)
        # A name must not begin or end in the middle of a word.
        pattern = re.compile(rf"\"[^\"]*\"|'[^']*'|`([^`]*)`|(?<!\w)({words})(?!\w)" if words else r"`([^`]*)`", re.I)

        def place(match: re.Match[str]) -> str:
            typed = match.group(1) if match.group(1) is not None else (match.group(2) if words else None)
            if typed is None:
                return match.group(0)
            if typed in FUNCTIONS and text[match.end() : match.end() + 1] == "(" and match.group(1) is None:
                return typed
            exact = [name for name in columns if name == typed]
            if typed.lower() in KEYWORDS and match.group(1) is None and not (exact and typed not in KEYWORDS):
                return typed  # "in" is the word, not the column In (indium)
            found = exact or folded.get(typed.casefold(), [])
            if len(found) != 1:
                what = f"there is no column '{typed}'" if not found else f"'{typed}' could be {' or '.join(found)}"
                raise UserError(what, self.where, f"the columns are {', '.join(columns)}")
            key = f"_c{list(columns).index(found[0])}"
            self.names[key] = found[0]
            return key

        return pattern.sub(place, text)

    def _check(self, node: ast.expr) -> str:
        """What it is (number, text, truth, or a column of either kind); only what is listed here is allowed."""
        match node:
            case ast.Name(id=name) if name in self.names:
                return "column"
            case ast.Constant(value=str()):
                return "text"
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                if abs(value) > 1e300:
                    raise UserError("a number is too large", self.where, "use another unit")
                return "number"
            case ast.Name(id=name):
                known = ", ".join(self.names.values())
                raise UserError(
                    f"'{name}' is no column, number or quoted text",
                    self.where,
                    f"known here: {known or 'none'}; {MEND}",
                )
            case ast.BinOp(op=op) if type(op) in ARITHMETIC:
                self._expect(("number", "column"), node.left, node.right)
                return "number"
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                self._expect(("number", "column"), node.operand)
                return "number"
            case ast.UnaryOp(op=ast.Not()):
                self._expect(("truth",), node.operand)
                return "truth"
            case ast.BoolOp():
                self._expect(("truth",), *node.values)
                return "truth"
            case ast.Compare():
                for _, sign, each in pairs(node):
                    if isinstance(sign, ast.In | ast.NotIn):
                        if not isinstance(each, ast.List | ast.Tuple | ast.Set) or not each.elts:
                            raise UserError("'in' needs a list", self.where, "write it as in [a, b]")
                        each.elts = [_name_as_text(e) if isinstance(e, ast.Name) and e.id not in self.names else e
                                     for e in each.elts]  # fmt: skip
                        self._expect(("number", "text", "column"), *each.elts)
                    elif type(sign) in COMPARISONS:
                        self._expect(("number", "text", "column"), each)
                    else:
                        raise UserError("this comparison is not known", self.where, MEND)
                self._expect(("number", "text", "column"), node.left)
                return "truth"
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in FUNCTIONS and node.args:
                if (name in MANY) < (len(node.args) > 1):
                    raise UserError(f"{name} takes one number", self.where, f"write such as {name}(x)")
                self._expect(("number", "column"), *node.args)
                return "number"
        raise UserError("this cannot be read as a condition", self.where, MEND)

    def _expect(self, kinds: tuple[str, ...], *nodes: ast.expr) -> None:
        for node in nodes:
            found = self._check(node)
            if found not in kinds:
                wanted = "a condition" if kinds == ("truth",) else "a number" if "text" not in kinds else "a value"
                raise UserError(f"{wanted} is needed where a {_KIND[found]} stands", self.where, MEND)

    # Values

    def _value(self, node: ast.expr, frame: Columns) -> Any:
        match node:
            case ast.Name(id=name):
                column = np.asarray(frame[self.names[name]])
                return column.astype(float) if column.dtype.kind in "fiub" else column.astype(object)
            case ast.Constant(value=value):
                return value
            case ast.BinOp():
                return ARITHMETIC[type(node.op)](self._number(node.left, frame), self._number(node.right, frame))
            case ast.UnaryOp(op=ast.Not()):
                return np.logical_not(self._value(node.operand, frame))
            case ast.UnaryOp():
                inner = self._number(node.operand, frame)
                return -inner if isinstance(node.op, ast.USub) else inner
            case ast.Call():
                return FUNCTIONS[node.func.id](*(self._number(each, frame) for each in node.args))  # type: ignore[attr-defined]
            case ast.BoolOp():
                parts = [np.asarray(self._value(each, frame), bool) for each in node.values]
                return (np.logical_and if isinstance(node.op, ast.And) else np.logical_or).reduce(parts)
            case ast.Compare():
                return np.logical_and.reduce([self._compare(*each, frame) for each in pairs(node)])
        raise AssertionError(ast.dump(node))

    def _number(self, node: ast.expr, frame: Columns) -> Any:
        value = self._value(node, frame)
        if isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype == object):
            raise UserError("a text cannot be calculated with", self.where, "use a column of numbers")
        return np.asarray(value, float)

    def _compare(self, left: ast.expr, op: ast.cmpop, right: ast.expr, frame: Columns) -> np.ndarray:
        if isinstance(op, ast.In | ast.NotIn):
            any_of = np.logical_or.reduce(
                [self._compare(left, ast.Eq(), each, frame) for each in right.elts]  # type: ignore[attr-defined]
            )
            return ~any_of if isinstance(op, ast.NotIn) else any_of
        a, b = self._value(left, frame), self._value(right, frame)
        if _texts(a) or _texts(b):
            if not isinstance(op, ast.Eq | ast.NotEq):
                raise UserError("texts have no order", self.where, "compare them by = or !=")
            a, b = _as_text(a), _as_text(b)
            return np.asarray(COMPARISONS[type(op)](a, b), bool)
        a, b = np.asarray(a, float), np.asarray(b, float)
        if isinstance(op, ast.Lt | ast.Gt):
            return np.asarray(COMPARISONS[type(op)](a, b), bool)
        slack = TOLERANCE * (self.size(left, frame) + self.size(right, frame))
        if isinstance(op, ast.LtE | ast.GtE):
            over = a - b if isinstance(op, ast.LtE) else b - a
            return (over <= slack) & (over < np.inf)  # the slack of what is infinite is so too
        same = (np.abs(a - b) <= slack) & np.isfinite(a - b)
        return same if isinstance(op, ast.Eq) else ~same

    def size(self, node: ast.expr, frame: Columns) -> Any:
        """Size of the numbers that go into a value, which is what its rounding error grows with."""
        match node:
            case ast.BinOp(op=ast.Add() | ast.Sub()):
                return self.size(node.left, frame) + self.size(node.right, frame)
            case ast.BinOp(op=ast.Mult()):
                return self.size(node.left, frame) * self.size(node.right, frame)
            case ast.BinOp(op=ast.Div()):
                return self.size(node.left, frame) / np.abs(self._number(node.right, frame))
            case ast.UnaryOp():
                return self.size(node.operand, frame)
        return np.abs(self._number(node, frame))

    def _amount(self, node: ast.expr, frame: Columns) -> np.ndarray:
        match node:
            case ast.BoolOp():
                parts = np.broadcast_arrays(*(self._amount(each, frame) for each in node.values))
                return (np.maximum if isinstance(node.op, ast.And) else np.minimum).reduce(parts)
            case ast.UnaryOp(op=ast.Not()):
                return np.asarray(self._value(node.operand, frame), float)
            case ast.Compare():
                parts = np.broadcast_arrays(*(self._distance(*each, frame) for each in pairs(node)))
                return np.maximum.reduce(parts)
        raise UserError("this is a number, not a condition", self.where, MEND)

    def _distance(self, left: ast.expr, op: ast.cmpop, right: ast.expr, frame: Columns) -> np.ndarray:
        missed = ~self._compare(left, op, right, frame)
        if isinstance(op, ast.In):
            each = [self._distance(left, ast.Eq(), element, frame) for element in right.elts]  # type: ignore[attr-defined]
            return np.minimum.reduce(np.broadcast_arrays(*each))
        if isinstance(op, ast.NotEq | ast.NotIn):
            return missed.astype(float)
        a, b = self._value(left, frame), self._value(right, frame)
        if _texts(a) or _texts(b):
            return missed.astype(float)
        # Of a strict comparison the sides may be equal, and one may have no value: the row still fails.
        gap = np.abs(np.asarray(a, float) - b)
        return np.where(missed, np.where(np.isnan(gap), 1.0, np.maximum(gap, np.finfo(float).tiny)), 0.0)


MEND = 'write such as Water <= 200, Phase = "FCC", a + b < 2 * c, x between 1 and 2, or family in [a, b]'


def ticked(name: str) -> str:
    """A column as it is written in a condition: in backticks where it could be misread."""
    plain = re.fullmatch(r"[^\W\d]\w*(?: \w+)*", name) and not {*name.lower().split()} & {*KEYWORDS, *FUNCTIONS, "if"}
    return name if plain else f"`{name}`"


def _length(frame: Columns) -> int:
    return len(frame) if isinstance(frame, pd.DataFrame) else len(next(iter(frame.values())))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def pairs(node: ast.Compare) -> list[tuple[ast.expr, ast.cmpop, ast.expr]]:
    """A comparison, also a chained one, as comparisons of two sides."""
    sides = [node.left, *node.comparators]
    return list(zip(sides, node.ops, sides[1:], strict=False))


def _between(text: str) -> str:
    """``x between a and b`` as two comparisons."""
    if "between" not in text.lower():
        return text
    part = r"((?:(?!\band\b|\bor\b|\bif\b).)+?)"
    return re.sub(rf"{part}\s+between\s+{part}\s+and\s+([^\s)]+)", r"(\2 <= \1 <= \3)", text, flags=re.I)


def _equals(text: str) -> str:
    """A single = as ==, ^ as **, also the signs of print; texts in quotes left alone."""
    pieces = re.split(r"(\"[^\"]*\"|'[^']*')", text)
    signs = ((r"≤", "<="), (r"≥", ">="), (r"≠", "!="), (r"(?<![<>=!])=(?!=)", "=="), (r"\^", "**"))
    for place in range(0, len(pieces), 2):
        for old, new in signs:
            pieces[place] = re.sub(old, new, pieces[place])
        for word in ("AND", "OR", "NOT", "IN"):
            pieces[place] = re.sub(rf"\b{word}\b", word.lower(), pieces[place])
    return "".join(pieces)


def _name_as_text(node: ast.Name) -> ast.Constant:
    return ast.Constant(node.id)


def _texts(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype == object)


def _as_text(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return np.array(
            [text if isinstance(text, str) else "" if text is None or text != text else f"{text:g}" for text in value],
            object,
        )
    return value if isinstance(value, str) else f"{float(value):g}"
