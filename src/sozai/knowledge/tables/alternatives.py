"""Conditions taken apart into what a projection works on: alternatives of (in)equalities, grids and categories.

A condition holds where one of its alternatives does; an alternative where all of its parts do (the disjunctive normal
form, in which Stoian et al., "Beyond the convexity assumption: realistic tabular data generation under quantifier-free
real linear constraints", arXiv 2502.18237, treat constraints).
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sozai.knowledge.tables.expression import Columns, Expression, pairs

MOST_ALTERNATIVES = 64
"""A condition with more is only checked: rows that break it are drawn again."""
Sign = Literal["<=", "<", "="]


@dataclass(frozen=True)
class Linear:
    """``sum of coefficient x column + constant``, compared with zero.

    Args:
        coefficients: by column.
        constant: the rest.
        sign: how the sum compares with zero.
    """

    coefficients: Mapping[str, float]
    constant: float
    sign: Sign = "<="

    def value(self, frame: Columns) -> np.ndarray:
        """The sum, (rows,)."""
        total: Any = self.constant
        for name, by in self.coefficients.items():
            total = total + by * np.asarray(frame[name], float)
        return np.asarray(total, float)


@dataclass(frozen=True, eq=False)
class Comparison:
    """A number that must be at most, below or equal to zero.

    Args:
        columns: that it is computed from.
        sign: how it must compare with zero.
        value: computes it, (rows,).
        linear: the same as a linear form, where it is one.
    """

    columns: tuple[str, ...]
    sign: Sign
    value: Callable[[Columns], np.ndarray]
    linear: Linear | None = None

    @classmethod
    def of(cls, linear: Linear) -> Comparison:
        """That of a linear form."""
        return cls(tuple(linear.coefficients), linear.sign, linear.value, linear)


@dataclass(frozen=True)
class Member:
    """A category that must be one of these, or none of these.

    Args:
        column: of the category.
        levels: values.
        inside: whether it must be one of them.
    """

    column: str
    levels: frozenset[str]
    inside: bool = True


@dataclass(frozen=True)
class Grid:
    """A number that takes only some values.

    Args:
        column: of the number.
        values: in ascending order; empty for the whole numbers.
    """

    column: str
    values: tuple[float, ...] = ()

    def nearest(self, values: np.ndarray) -> np.ndarray:
        """The nearest allowed values; missing ones stay."""
        if not self.values:
            return np.rint(values)
        grid = np.asarray(self.values)
        place = np.searchsorted((grid[1:] + grid[:-1]) / 2, np.nan_to_num(values))
        return np.where(np.isnan(values), np.nan, grid[place])


Part = Comparison | Member | Grid
Alternative = tuple[Part, ...]


def alternatives_of(expression: Expression, negated: bool = False) -> list[Alternative] | None:
    """A condition (or its contrary) as alternatives; ``None`` where it cannot be so written or there are too many."""
    try:
        return _alternatives(expression.tree, expression, negated)
    except _NotSoError:
        return None


def all_of(each: Sequence[Sequence[Alternative]]) -> list[Alternative]:
    """The alternatives of several conditions that hold together."""
    count = 1
    for part in each:
        count *= len(part)
    if count > MOST_ALTERNATIVES:
        raise _NotSoError
    return [tuple(itertools.chain.from_iterable(chosen)) for chosen in itertools.product(*each)]


def linear_parts(expression: Expression) -> list[Linear] | None:
    """A condition as linear (in)equalities that must all hold; ``None`` where it is no such."""
    found = alternatives_of(expression)
    if found is None or len(found) != 1:
        return None
    made = [part.linear for part in found[0] if isinstance(part, Comparison)]
    if len(made) < len(found[0]) or any(each is None for each in made):
        return None
    return [each for each in made if each is not None]


def affine(node: ast.expr, expression: Expression) -> Linear | None:
    """A number as a linear form (its sign means nothing); ``None`` where it is none."""
    try:
        coefficients, constant = _affine(node, expression)
    except _NotSoError:
        return None
    return Linear(coefficients, constant, "=")


class _NotSoError(Exception):
    pass


_SIGNS: dict[type, Sign] = {ast.LtE: "<=", ast.GtE: "<=", ast.Lt: "<", ast.Gt: "<", ast.Eq: "="}
_CONTRARY: dict[type, type[ast.cmpop]] = {
    ast.LtE: ast.Gt, ast.GtE: ast.Lt, ast.Lt: ast.GtE, ast.Gt: ast.LtE, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


def _alternatives(node: ast.expr, expression: Expression, negated: bool) -> list[Alternative]:
    match node:
        case ast.UnaryOp(op=ast.Not()):
            return _alternatives(node.operand, expression, not negated)
        case ast.BoolOp():
            each = [_alternatives(part, expression, negated) for part in node.values]
            together = isinstance(node.op, ast.And) != negated
            return all_of(each) if together else [one for part in each for one in part]
        case ast.Compare():
            compared = [
                _comparison(left, _CONTRARY[type(op)]() if negated else op, right, expression)
                for left, op, right in pairs(node)
            ]
            return [one for part in compared for one in part] if negated else all_of(compared)
    raise _NotSoError


def _comparison(left: ast.expr, op: ast.cmpop, right: ast.expr, expression: Expression) -> list[Alternative]:
    if isinstance(op, ast.In | ast.NotIn):
        elements = right.elts  # type: ignore[attr-defined]
        constants: list[Any] = [each.value for each in elements if isinstance(each, ast.Constant)]
        if isinstance(left, ast.Name) and len(constants) == len(elements):
            column = expression.names[left.id]
            if all(isinstance(value, str) for value in constants):
                return [(Member(column, frozenset(constants), isinstance(op, ast.In)),)]
            if isinstance(op, ast.In) and not any(isinstance(value, str) for value in constants):
                return [(Grid(column, tuple(sorted({float(value) for value in constants}))),)]
        if isinstance(op, ast.In):
            return [one for each in elements for one in _comparison(left, ast.Eq(), each, expression)]
        return all_of([_comparison(left, ast.NotEq(), each, expression) for each in elements])
    sides = (left, right)
    texts = [side.value for side in sides if isinstance(side, ast.Constant) and isinstance(side.value, str)]
    names = [side for side in sides if isinstance(side, ast.Name)]
    if texts:
        if len(names) != 1 or not isinstance(op, ast.Eq | ast.NotEq):
            raise _NotSoError
        return [(Member(expression.names[names[0].id], frozenset(texts), isinstance(op, ast.Eq)),)]
    if isinstance(op, ast.NotEq):
        below = _comparison(left, ast.Lt(), right, expression)
        return [*below, *_comparison(left, ast.Gt(), right, expression)]
    return [(_number(left, op, right, expression),)]


def _number(left: ast.expr, op: ast.cmpop, right: ast.expr, expression: Expression) -> Comparison:
    """``left op right`` as a number compared with zero."""
    if isinstance(op, ast.Gt | ast.GtE):
        left, right = right, left
    sign = _SIGNS[type(op)]
    difference = ast.BinOp(left, ast.Sub(), right)
    form = affine(difference, expression)
    if form is not None:
        return Comparison.of(Linear(form.coefficients, form.constant, sign))
    within = {each.id for each in ast.walk(difference) if isinstance(each, ast.Name)}
    columns = tuple(name for key, name in expression.names.items() if key in within)
    return Comparison(columns, sign, lambda frame: expression.number(difference, frame))


def _affine(node: ast.expr, expression: Expression) -> tuple[dict[str, float], float]:
    match node:
        case ast.Name(id=name):
            return {expression.names[name]: 1.0}, 0.0
        case ast.Constant(value=int() | float() as value):
            return {}, float(value)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
            inner, constant = _affine(node.operand, expression)
            turn = -1.0 if isinstance(node.op, ast.USub) else 1.0
            return {name: turn * value for name, value in inner.items()}, turn * constant
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            (a, one), (b, two) = _affine(node.left, expression), _affine(node.right, expression)
            turn = -1.0 if isinstance(node.op, ast.Sub) else 1.0
            made = {name: a.get(name, 0.0) + turn * b.get(name, 0.0) for name in dict.fromkeys([*a, *b])}
            return {name: value for name, value in made.items() if value}, one + turn * two
        case ast.BinOp(op=ast.Mult()):
            (a, one), (b, two) = _affine(node.left, expression), _affine(node.right, expression)
            if a and b:
                raise _NotSoError
            inner, by = (a, two) if a else (b, one)
            return {name: value * by for name, value in inner.items() if by}, one * two
        case ast.BinOp(op=ast.Div()):
            (a, one), (b, two) = _affine(node.left, expression), _affine(node.right, expression)
            if b or two == 0:
                raise _NotSoError
            return {name: value / two for name, value in a.items()}, one / two
    raise _NotSoError
