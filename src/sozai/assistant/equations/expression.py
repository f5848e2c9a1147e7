"""Formulas read into sympy by a small parser of our own: sympy's parser evaluates text as Python, this one never does.

Only the functions named here exist, a power of two numbers has a limit, and nesting has one.
"""

from __future__ import annotations

import sympy

from sozai.assistant.equations.calculus import Calculus, scalar
from sozai.assistant.equations.scope import CONSTANTS, DERIVATIVES, FUNCTIONS, OPERATORS, PIECES, Scope
from sozai.errors import UserError

_DEEPEST = 60
_LARGEST_POWER = 200


def read_expression(text: str, scope: Scope) -> sympy.Expr:
    """A normalised formula as sympy.

    Raises:
        UserError: it is no formula: what was expected is said, with the place.
    """
    parser = _Parser(text, scope)
    value = parser.sum()
    parser.expect("end")
    return scalar(value, text)


def read_equation(text: str, scope: Scope) -> tuple[sympy.Expr, sympy.Expr]:
    """Both sides of ``left = right`` or ``Eq(left, right)``; a single side equals 0.

    Raises:
        UserError: as of ``read_expression``; more than one equals sign.
    """
    parser = _Parser(text, scope)
    if parser.now.text == "Eq" and parser.after.text == "(":
        parser.skip(2)
        left = parser.sum()
        parser.take(",")
        right = parser.sum()
        parser.take(")")
    else:
        left, right = parser.sum(), sympy.Integer(0)
        if parser.now.text in ("=", "=="):
            parser.skip(1)
            right = parser.sum()
    if parser.now.text in ("=", "=="):
        raise UserError("there is more than one equals sign", text.strip()[:80], "separate equations by commas")
    parser.expect("end")
    left, right = _matched(left, right)
    return scalar(left, text), scalar(right, text)


def _matched(left: sympy.Expr, right: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """A vector equals 0: the number stands for the zero vector, which one component can only be."""
    for side in (left, right):
        if isinstance(side, sympy.MatrixBase) and side.shape == (1, 1):
            return tuple(s[0] if isinstance(s, sympy.MatrixBase) else s for s in (left, right))  # type: ignore[return-value]
    return left, right


class _Parser(Calculus):
    """Recursive descent: sum, product, sign, power, postfix, atom."""

    def sum(self) -> sympy.Expr:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.fail(f"brackets are nested more than {_DEEPEST} deep")
        value = self.product()
        while self.now.kind == "op" and self.now.text in "+-":
            minus = self.now.text == "-"
            self.skip(1)
            term = self.product()
            if isinstance(value, sympy.MatrixBase) != isinstance(term, sympy.MatrixBase):
                raise self.fail("a vector and a number are added")
            value = value - term if minus else value + term
        self.depth -= 1
        return value

    def product(self) -> sympy.Expr:
        value = self.signed()
        while True:
            if self.now.kind == "op" and self.now.text in ("*", "/"):
                divide = self.now.text == "/"
                self.skip(1)
                factor = self.signed()
                if divide and factor == 0:
                    raise self.fail("there is a division by zero")
                value = self._times(value, factor, divide)
            elif self.starts_factor():
                value = self._times(value, self.power(), False)
            else:
                return value

    def _times(self, value: sympy.Expr, factor: sympy.Expr, divide: bool) -> sympy.Expr:
        vectors = [isinstance(each, sympy.MatrixBase) for each in (value, factor)]
        if all(vectors) or (divide and vectors[1]):
            raise self.fail("a vector is multiplied or divided by a vector")
        return value / factor if divide else value * factor

    def starts_factor(self) -> bool:
        return self.now.kind in ("name", "number", "derivative") or (
            self.now.kind == "op" and self.now.text in ("(", "[")
        )

    def signed(self) -> sympy.Expr:
        minus = False
        while self.now.kind == "op" and self.now.text in ("+", "-"):
            minus ^= self.now.text == "-"
            self.skip(1)
        return -self.power() if minus else self.power()

    def power(self) -> sympy.Expr:
        base = self.postfix()
        if self.now.kind == "op" and self.now.text in ("^", "**"):
            self.skip(1)
            self.depth += 1
            if self.depth > _DEEPEST:
                raise self.fail(f"powers are nested more than {_DEEPEST} deep")
            exponent = self.signed()
            self.depth -= 1
            return self.raised(base, exponent)
        return base

    def raised(self, base: sympy.Expr, exponent: sympy.Expr) -> sympy.Expr:
        if isinstance(base, sympy.MatrixBase):
            if exponent != 2:
                raise self.fail("a vector has no such power")
            return base.dot(base)
        if exponent.is_number and abs(exponent) > _LARGEST_POWER:
            raise self.fail(f"a power above {_LARGEST_POWER} is not read")
        return base**exponent

    def postfix(self) -> sympy.Expr:
        value = self.atom()
        while self.now.kind == "op" and self.now.text == "." and self.after.text == "diff":
            self.skip(2)
            self.take("(")
            value = self.diff(value)
        return value

    def atom(self) -> sympy.Expr:
        token = self.now
        self.skip(1)
        if token.kind == "number":
            if abs(int(token.text.lower().partition("e")[2] or 0)) > 300:
                raise self.fail(f"{token.text} is out of the range of numbers")
            return sympy.Rational(token.text)
        if token.kind == "derivative":
            return self.derivative(token)
        if token.kind == "op" and token.text in ("(", "["):
            value = self.sum()
            self.take(")" if token.text == "(" else "]")
            return value
        if token.kind == "op" and token.text == "|":
            value = self.sum()
            self.take("|")
            return sympy.Abs(value)
        if token.kind == "name":
            return self._name(token.text)
        raise self.fail(f"'{token.text or 'the end'}' was not expected here")

    def _name(self, name: str) -> sympy.Expr:
        primes = 0
        if self.now.kind == "op" and self.now.text.startswith("'"):
            primes = len(self.now.text)
            self.skip(1)
        if primes and name not in self.scope.unknowns:
            raise self.fail(f"'{name}' has a prime and is no unknown")
        if name in self.scope.unknowns:
            return self.unknown(name, (self.scope.prime,) * primes)
        opens = self.now.kind == "op" and self.now.text == "("
        if name in OPERATORS:
            return self.operator(name)
        if name in DERIVATIVES and opens:
            self.skip(1)
            value = self.sum()
            self.take(",")
            return self.diff(value)
        if name in PIECES and opens:
            return self._pieces()
        if name in FUNCTIONS and name not in self.scope.parameters:
            return self._function(name)
        if name == "d" and opens and "d" not in self.scope.parameters:
            return self.outer_derivative()
        if name in CONSTANTS and name not in self.scope.parameters:
            return CONSTANTS[name]
        if name.startswith("_"):
            raise self.fail(f"'{name}' is no name of mathematics")
        if opens and len(name) > 1 and name not in self.scope.parameters:
            raise self.fail(f"there is no function '{name}'")
        product = self._letters(name)
        if product is not None:
            return product
        return sympy.Symbol(name)

    def _letters(self, name: str) -> sympy.Expr | None:
        """``xy`` where x and y are unknowns: a product, as it is typeset."""
        known = {*self.scope.unknowns, *self.scope.parameters}
        if not (
            1 < len(name) < 4 and name not in known and set(name) <= known and set(name) & set(self.scope.unknowns)
        ):
            return None
        return sympy.Mul(
            *(self.scope.function(one) if one in self.scope.unknowns else sympy.Symbol(one) for one in name)
        )

    def _function(self, name: str) -> sympy.Expr:
        power = None
        if self.now.kind == "op" and self.now.text in ("^", "**"):  # sin^2 x
            self.skip(1)
            power = self.postfix()
        if self.now.kind == "op" and self.now.text == "(":
            values = self.arguments()
        else:
            value = self.power()
            while self.starts_factor() and self.now.text not in FUNCTIONS:
                value = value * self.power()
            values = [value]
        for value in values:
            scalar(value, self.text)
        try:
            made = FUNCTIONS[name](*values)
        except TypeError as error:
            raise self.fail(f"{name} does not take {len(values)} arguments") from error
        if made.has(sympy.zoo, sympy.nan, sympy.oo):
            raise self.fail(f"{name} has no value there")
        return made if power is None else self.raised(made, power)

    def arguments(self) -> list[sympy.Expr]:
        self.take("(")
        values = [self.sum()]
        while self.now.text == "," and self.now.kind == "op":
            self.skip(1)
            values.append(self.sum())
        self.take(")")
        return values

    def _pieces(self) -> sympy.Expr:
        """``if(x < 1/2, a, b)``."""
        self.take("(")
        left = self.sum()
        sign = self.now.text
        if sign not in ("<", ">", "<=", ">="):
            raise self.fail("a comparison such as x < 1/2 is missing")
        self.skip(1)
        right = self.sum()
        self.take(",")
        yes = self.sum()
        self.take(",")
        no = self.sum()
        self.take(")")
        test = {"<": sympy.Lt, ">": sympy.Gt, "<=": sympy.Le, ">=": sympy.Ge}[sign](left, right)
        return sympy.Piecewise((yes, test), (no, True))
