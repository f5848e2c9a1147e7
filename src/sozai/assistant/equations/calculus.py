"""What differentiates in a formula, and unknowns at a place: the part of the parser that knows coordinates."""

from __future__ import annotations

from abc import ABC, abstractmethod

import sympy

from sozai.assistant.equations.cursor import Cursor
from sozai.assistant.equations.scope import FUNCTIONS, OPERATORS
from sozai.assistant.equations.tokens import Token
from sozai.errors import UserError

_KNOWN = tuple(f for f in {*FUNCTIONS.values()} if isinstance(f, type))


def scalar(value: sympy.Expr, text: str) -> sympy.Expr:
    """The value, which must be no vector."""
    if isinstance(value, sympy.MatrixBase):
        raise UserError(
            "this is a vector where a number is needed", text.strip()[:80], "write it in components, or take its div"
        )
    return value


class Calculus(Cursor, ABC):
    """Operators, derivatives and unknowns, over the arithmetic of a subclass."""

    @abstractmethod
    def sum(self) -> sympy.Expr:
        """Terms added."""

    @abstractmethod
    def power(self) -> sympy.Expr:
        """One factor with its exponent."""

    @abstractmethod
    def starts_factor(self) -> bool:
        """Whether a factor stands here without a sign before it."""

    @abstractmethod
    def arguments(self) -> list[sympy.Expr]:
        """What is in brackets, between commas."""

    def operator(self, name: str) -> sympy.Expr:
        """``grad``, ``div`` or a Laplacian of what follows."""
        value = self.power()
        while name not in ("grad", "gradient") and self.starts_factor() and self.now.text not in OPERATORS:
            value = value * self.power()
        axes = [sympy.Symbol(c) for c in self.scope.space]
        if not axes:
            raise self.fail(f"{name} needs space coordinates")
        if name in ("grad", "gradient"):
            scalar(value, self.text)
            return sympy.Matrix([sympy.diff(value, axis) for axis in axes])
        if name in ("div", "divergence"):
            if not isinstance(value, sympy.MatrixBase):
                if len(axes) == 1:
                    return sympy.diff(value, axes[0])
                raise self.fail("div is taken of a number; it needs a vector such as grad(u)")
            return sympy.Add(*(sympy.diff(part, axis) for part, axis in zip(value, axes, strict=True)))
        if isinstance(value, sympy.MatrixBase):
            return value.applyfunc(lambda part: sympy.Add(*(sympy.diff(part, axis, 2) for axis in axes)))
        return sympy.Add(*(sympy.diff(value, axis, 2) for axis in axes))

    def diff(self, value: sympy.Expr) -> sympy.Expr:
        """``..., t)``, ``..., t, 2)`` or ``..., x, x)``, after the comma."""
        by: list[sympy.Symbol] = []
        while True:
            token = self.now
            self.skip(1)
            if token.kind == "op" and token.text == "(" and self.now.kind == "name":  # Derivative(u(t), (t, 2))
                name = self.now.text
                self.skip(1)
                self.take(",")
                by += [sympy.Symbol(name)] * self._count()
                self.take(")")
            elif token.kind == "name":
                by.append(sympy.Symbol(token.text))
            elif token.kind == "number" and by:
                self.at -= 1
                by += [by[-1]] * (self._count() - 1)
            else:
                raise self.fail("a coordinate to differentiate by is missing")
            if self.now.text != ",":
                break
            self.skip(1)
        self.take(")")
        return sympy.diff(scalar(value, self.text), *by)

    def _count(self) -> int:
        token = self.now
        self.skip(1)
        if token.kind != "number" or not token.text.isdecimal() or not 1 <= int(token.text) <= 10:
            raise self.fail("an order of differentiation is a whole number from 1 to 10")
        return int(token.text)

    def derivative(self, token: Token) -> sympy.Expr:
        """``du/dt``, ``u_xx``, or ``d/dx`` of what follows."""
        if token.text and token.text not in self.scope.unknowns:
            raise self.fail(f"'{token.text}' has a derivative and is no unknown")
        if token.text:
            return self.unknown(token.text, token.orders)
        value = self.power()
        while self.starts_factor():
            value = value * self.power()
        return sympy.diff(scalar(value, self.text), *(sympy.Symbol(c) for c in token.orders))

    def outer_derivative(self) -> sympy.Expr:
        """``d(k du/dx)/dx``, after the d."""
        self.take("(")
        value = self.sum()
        self.take(")")
        self.take("/")
        name = self.now.text
        if self.now.kind != "name" or not name.startswith("d") or len(name) < 2:
            raise self.fail("after d(...) a coordinate such as /dx is missing")
        self.skip(1)
        return sympy.diff(scalar(value, self.text), sympy.Symbol(name[1:]))

    def unknown(self, name: str, orders: tuple[str, ...]) -> sympy.Expr:
        """The unknown or its derivative; with brackets: at a place, or times what is in them."""
        own = self.scope.unknowns[name]
        if self.now.kind == "op" and self.now.text == "(":
            before = self.at
            values = self.arguments()
            functions = any(value.atoms(sympy.Function) - value.atoms(*_KNOWN) for value in values)
            if len(values) == 1 and (
                functions or any(p in value.free_symbols for value in values for p in self.scope.points)
            ):
                self.at = before  # u (1 - u)
            else:
                place = self._place(name, values)
                if place:
                    return self.scope.point(name, orders, place)
        stranger = next((c for c in orders if c not in own and c != "n"), None)
        if stranger is not None:
            raise self.fail(f"{name} does not depend on {stranger}")
        if "n" in orders:
            return self.scope.point(name, orders, {})
        made = self.scope.function(name)
        return sympy.diff(made, *(sympy.Symbol(c) for c in orders)) if orders else made

    def _place(self, name: str, values: list[sympy.Expr]) -> dict[str, sympy.Expr]:
        """Coordinates with a value, of the arguments; those that stand for themselves are left out."""
        own = self.scope.unknowns[name]
        if len(values) > len(own):
            raise self.fail(f"{name} has {len(values)} arguments and depends on {', '.join(own)}")
        if len(values) < len(own):
            raise self.fail(f"{name} depends on {', '.join(own)}: {len(own)} arguments are needed")
        left = [c for c in own if sympy.Symbol(c) not in values]
        fixed = [value for value in values if str(value) not in own]
        if len(fixed) != len(left):
            raise self.fail(f"{name} is given the same coordinate twice")
        for value in fixed:
            if any(str(symbol) in own for symbol in value.free_symbols):
                raise self.fail(f"{name}({value}) is the unknown at another place: delay equations are not solved")
        return dict(zip(left, fixed, strict=True))
