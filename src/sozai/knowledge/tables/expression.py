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
from dataclasses import dataclass
from typing import Any

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
_SIGN = {ast.LtE: "<=", ast.GtE: ">=", ast.Lt: "<", ast.Gt: ">", ast.Eq: "=", ast.NotEq: "!="}


@dataclass(frozen=True)
class Linear:
    """``sum of coefficient x column + constant``, compared with zero.

    Args:
        coefficients: by column.
        constant: the rest.
        sign: ``"<="``, ``"<"`` or ``"="``: how the sum compares with zero.
    """

    coefficients: Mapping[str, float]
    constant: float
    sign: str = "<="


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
        self._names: dict[str, str] = {}
        source = _equals(_between(self._placed(self.text, columns)))
        try:
            self.tree: ast.expr = ast.parse(source.strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            raise UserError("this cannot be read as a condition", self.where, MEND) from error
        self._check(self.tree)
        self.columns = tuple(dict.fromkeys(self._names.values()))

    @property
    def condition(self) -> bool:
        """Whether it is true or false of a row, rather than a number."""
        if isinstance(self.tree, ast.UnaryOp):
            return isinstance(self.tree.op, ast.Not)
        return isinstance(self.tree, ast.Compare | ast.BoolOp)

    def value(self, frame: pd.DataFrame) -> np.ndarray:
        """Its value for each row, (rows,): float64, or bool of a condition; NaN (False) where a value is missing."""
        with np.errstate(all="ignore"):
            made = self._value(self.tree, frame)
        return np.broadcast_to(np.asarray(made), (len(frame),)).copy()

    def missing(self, frame: pd.DataFrame) -> np.ndarray:
        """Rows in which a value that it needs is missing, (rows,)."""
        return frame[list(self.columns)].isna().any(axis=1).to_numpy() if self.columns else np.zeros(len(frame), bool)

    def amounts(self, frame: pd.DataFrame) -> np.ndarray:
        """By how much a condition is missed in each row, 0 where it holds and NaN where a value is missing.

        Of a comparison of numbers the difference of its sides; of two at once the larger; of alternatives the
        smaller; of names 1.
        """
        with np.errstate(all="ignore"):
            made = np.broadcast_to(self._amount(self.tree, frame), (len(frame),)).astype(float)
        # A comparison that is not strict differs by zero where it holds exactly; one that has no value fails.
        made = np.where(np.isnan(made), 1.0, made)
        return np.where(self.missing(frame), np.nan, made)

    def linear(self) -> list[Linear] | None:
        """The condition as linear (in)equalities that must all hold; ``None`` where it is no such."""
        try:
            return self._linear(self.tree)
        except _NotLinearError:
            return None

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    # Reading

    def _placed(self, text: str, columns: Sequence[str]) -> str:
        """Column names replaced by plain identifiers, texts in quotes left alone."""
        folded: dict[str, list[str]] = {}
        for name in columns:
            folded.setdefault(name.casefold(), []).append(name)
        names = sorted(columns, key=len, reverse=True)
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
            found = exact or folded.get(typed.casefold(), [])
            if len(found) != 1:
                what = f"there is no column '{typed}'" if not found else f"'{typed}' could be {' or '.join(found)}"
                raise UserError(what, self.where, f"the columns are {', '.join(columns)}")
            key = f"_c{list(columns).index(found[0])}"
            self._names[key] = found[0]
            return key

        return pattern.sub(place, text)

    def _check(self, node: ast.expr) -> None:
        """Only what is listed here is allowed."""
        match node:
            case ast.Name(id=name) if name in self._names:
                return
            case ast.Constant(value=value) if isinstance(value, int | float | str) and not isinstance(value, bool):
                return
            case ast.Name(id=name):
                known = ", ".join(self._names.values())
                raise UserError(
                    f"'{name}' is no column, number or quoted text",
                    self.where,
                    f"known here: {known or 'none'}; {MEND}",
                )
            case ast.BinOp(op=op) if type(op) in ARITHMETIC:
                self._check(node.left)
                self._check(node.right)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not()):
                self._check(node.operand)
            case ast.BoolOp():
                for each in node.values:
                    self._check(each)
            case ast.Compare():
                for _, sign, each in _pairs(node):
                    if isinstance(sign, ast.In | ast.NotIn):
                        if not isinstance(each, ast.List | ast.Tuple | ast.Set) or not each.elts:
                            raise UserError("'in' needs a list", self.where, "write it as in [a, b]")
                        each.elts = [_name_as_text(e) if isinstance(e, ast.Name) and e.id not in self._names else e
                                     for e in each.elts]  # fmt: skip
                        for element in each.elts:
                            self._check(element)
                    elif type(sign) in COMPARISONS:
                        self._check(each)
                    else:
                        raise UserError("this comparison is not known", self.where, MEND)
                self._check(node.left)
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in FUNCTIONS and node.args:
                for each in node.args:
                    self._check(each)
            case _:
                raise UserError("this cannot be read as a condition", self.where, MEND)

    # Values

    def _value(self, node: ast.expr, frame: pd.DataFrame) -> Any:
        match node:
            case ast.Name(id=name):
                column = frame[self._names[name]]
                return column.to_numpy(float) if pd.api.types.is_numeric_dtype(column) else column.to_numpy(object)
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
                return np.logical_and.reduce([self._compare(*each, frame) for each in _pairs(node)])
        raise AssertionError(ast.dump(node))

    def _number(self, node: ast.expr, frame: pd.DataFrame) -> Any:
        value = self._value(node, frame)
        if isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype == object):
            raise UserError("a text cannot be calculated with", self.where, "use a column of numbers")
        return np.asarray(value, float)

    def _compare(self, left: ast.expr, op: ast.cmpop, right: ast.expr, frame: pd.DataFrame) -> np.ndarray:
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
        if isinstance(op, ast.Eq | ast.NotEq):  # numbers that were calculated are equal to a few last digits
            same = np.isclose(a, b, rtol=1e-9, atol=1e-12)
            return same if isinstance(op, ast.Eq) else ~same
        return np.asarray(COMPARISONS[type(op)](a, b), bool)

    def _amount(self, node: ast.expr, frame: pd.DataFrame) -> np.ndarray:
        match node:
            case ast.BoolOp():
                parts = np.broadcast_arrays(*(self._amount(each, frame) for each in node.values))
                return (np.maximum if isinstance(node.op, ast.And) else np.minimum).reduce(parts)
            case ast.UnaryOp(op=ast.Not()):
                return np.asarray(self._value(node.operand, frame), float)
            case ast.Compare():
                parts = np.broadcast_arrays(*(self._distance(*each, frame) for each in _pairs(node)))
                return np.maximum.reduce(parts)
        raise UserError("this is a number, not a condition", self.where, MEND)

    def _distance(self, left: ast.expr, op: ast.cmpop, right: ast.expr, frame: pd.DataFrame) -> np.ndarray:
        missed = ~self._compare(left, op, right, frame)
        if isinstance(op, ast.In):
            each = [self._distance(left, ast.Eq(), element, frame) for element in right.elts]  # type: ignore[attr-defined]
            return np.minimum.reduce(np.broadcast_arrays(*each))
        a, b = self._value(left, frame), self._value(right, frame)
        if _texts(a) or _texts(b) or isinstance(op, ast.NotEq | ast.NotIn):
            return missed.astype(float)
        # Of a strict comparison the sides may be equal: the row still fails.
        return np.where(missed, np.maximum(np.abs(np.asarray(a, float) - b), np.finfo(float).tiny), 0.0)

    # Linear parts

    def _linear(self, node: ast.expr) -> list[Linear]:
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
            return [each for part in node.values for each in self._linear(part)]
        if not isinstance(node, ast.Compare):
            raise _NotLinearError
        made = []
        for left, op, right in _pairs(node):
            if isinstance(op, ast.NotEq | ast.In | ast.NotIn):
                raise _NotLinearError
            (a, constant), (b, other) = self._affine(left), self._affine(right)
            sign = _SIGN[type(op)]
            turn = -1.0 if sign.startswith(">") else 1.0
            names = dict.fromkeys([*a, *b])
            coefficients = {name: turn * (a.get(name, 0.0) - b.get(name, 0.0)) for name in names}
            made.append(
                Linear(
                    {name: value for name, value in coefficients.items() if value},
                    turn * (constant - other),
                    sign.replace(">", "<"),
                )
            )
        return made

    def _affine(self, node: ast.expr) -> tuple[dict[str, float], float]:
        match node:
            case ast.Name(id=name):
                return {self._names[name]: 1.0}, 0.0
            case ast.Constant(value=int() | float() as value):
                return {}, float(value)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                inner, constant = self._affine(node.operand)
                turn = -1.0 if isinstance(node.op, ast.USub) else 1.0
                return {name: turn * value for name, value in inner.items()}, turn * constant
            case ast.BinOp(op=ast.Add() | ast.Sub()):
                (a, one), (b, two) = self._affine(node.left), self._affine(node.right)
                turn = -1.0 if isinstance(node.op, ast.Sub) else 1.0
                return {n: a.get(n, 0.0) + turn * b.get(n, 0.0) for n in dict.fromkeys([*a, *b])}, one + turn * two
            case ast.BinOp(op=ast.Mult() | ast.Div()):
                (a, one), (b, two) = self._affine(node.left), self._affine(node.right)
                if isinstance(node.op, ast.Div):
                    if b or two == 0:
                        raise _NotLinearError
                    return {name: value / two for name, value in a.items()}, one / two
                if a and b:
                    raise _NotLinearError
                inner, by = (a, two) if a else (b, one)
                return {name: value * by for name, value in inner.items()}, one * two
        raise _NotLinearError


MEND = 'write such as Water <= 200, Phase = "FCC", a + b < 2 * c, x between 1 and 2, or family in [a, b]'


class _NotLinearError(Exception):
    pass


def _pairs(node: ast.Compare) -> list[tuple[ast.expr, ast.cmpop, ast.expr]]:
    sides = [node.left, *node.comparators]
    return list(zip(sides, node.ops, sides[1:], strict=False))


def _between(text: str) -> str:
    """``x between a and b`` as two comparisons."""
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
            [text if isinstance(text, str) else "" if text is None or text != text else str(text) for text in value],
            object,
        )
    return str(value)
