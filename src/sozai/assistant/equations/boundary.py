"""Conditions at places, told apart: initial values, and values, slopes or both on the faces of the domain."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import sympy

from sozai.assistant.equations.draft import Draft, Said
from sozai.assistant.equations.expression import read_equation, read_expression
from sozai.assistant.equations.problem import Condition
from sozai.assistant.equations.scope import Point, Scope
from sozai.assistant.equations.units import quantity
from sozai.errors import UserError


class Reader:
    """Collects statements with places and turns them into conditions once the domain is known.

    Args:
        draft: for its conditions and numbers.
        scope: of the equations.
        units: by name; conditions with a unit add that of their unknown.
    """

    def __init__(self, draft: Draft, scope: Scope, units: dict[str, Mapping[str, Any]]):
        self.draft, self.scope, self.units = draft, scope, units
        self.stated: list[tuple[sympy.Expr, str, Said | None]] = []
        self.bare: list[Said] = []
        for said in draft.conditions:
            if said.bare:
                self.bare.append(said)
            else:
                self.stated.append((self._expression(said), said.source, said))

    def add(self, expression: sympy.Expr, text: str) -> None:
        """A statement that the expression, which holds places, is zero."""
        self.stated.append((expression, text, None))

    def _expression(self, said: Said) -> sympy.Expr:
        """Left minus right, the unknowns in it as points at the place that was said."""
        left, _, right = said.text.partition("=")
        found = quantity(right)
        name = left.strip()
        if found and found[1] and name in self.scope.unknowns:
            self.units.setdefault(name, found[1])
            text = f"{name} = {found[0]!r}"
        else:
            text = said.text
        one, two = read_equation(text, self.scope)
        expression = sympy.sympify(one - two)
        place = {name: self._where(value) for name, value in said.at.items()}
        puts: dict[Any, Any] = {}
        for atom in expression.atoms(sympy.Derivative):
            orders = tuple(str(v) for v, count in atom.variable_count for _ in range(count))
            puts[atom] = self.scope.point(atom.expr.func.__name__, orders, place)
        for symbol, point in self._points(expression).items():
            if not point.place and place:  # du/dn, which itself tells no place
                puts[symbol] = self.scope.point(point.unknown, point.orders, place)
        expression = expression.xreplace(puts)
        puts = {
            f: self.scope.point(f.func.__name__, (), place)
            for f in expression.atoms(sympy.core.function.AppliedUndef)
            if f.func.__name__ in self.scope.unknowns
        }
        return expression.xreplace(puts)

    def _where(self, text: str) -> sympy.Expr:
        """A place; with a unit it becomes the SI number."""
        found = quantity(text) if re.search(r"\d\s+[A-Za-zµμ]", text) else None
        return sympy.Float(found[0]) if found and found[1] else read_expression(text, self.scope)

    def _number(self, value: sympy.Expr, text: str) -> float:
        """A place as a number, with the numbers that were given put in."""
        puts = {}
        for symbol in value.free_symbols:
            found = quantity(self.draft.values.get(symbol.name, ""))
            if found is None:
                raise UserError(f"the place '{value}' is no number", f"'{text}'", f"give {symbol} a number")
            puts[symbol] = sympy.Float(found[0])
        made = sympy.sympify(value).xreplace(puts)
        if not made.is_real:
            raise UserError(f"the place '{value}' is no number", f"'{text}'")
        return float(made)

    def _points(self, expression: sympy.Expr) -> dict[sympy.Symbol, Point]:
        return {s: self.scope.points[s] for s in expression.free_symbols if s in self.scope.points}

    def _named(self, expression: sympy.Expr, text: str) -> dict[sympy.Symbol, Point]:
        """The unknowns at places that a condition is about; there is one at least."""
        points = self._points(expression)
        if not points:
            raise UserError(
                "no unknown is in this condition", f"'{text}'", f"the unknowns are {', '.join(self.scope.unknowns)}"
            )
        return points

    def places(self, coordinate: str) -> set[float]:
        """Values of a coordinate at which something was said."""
        return {
            self._number(point.place[coordinate], text)
            for expression, text, _ in self.stated
            for point in self._points(expression).values()
            if coordinate in point.place
        } | {self._number(self._where(said.at[coordinate]), said.source) for said in self.bare if coordinate in said.at}

    def conditions(self, domain: Mapping[str, tuple[float, float]], ordinary: bool) -> list[Condition]:
        """All that was said, as conditions; ``boundary`` is written out in faces.

        Raises:
            UserError: a place that is no face of the domain, or a condition of a kind that is not known.
        """
        made: list[Condition] = []
        for expression, text, said in self.stated:
            if said and "other" in said.faces:
                continue  # until it is known which are left
            points = self._named(expression, text)
            faces = [face for name in (said.faces if said else ()) for face in self._faces(name, domain)]
            for face in faces or [self._place(points, text, domain, ordinary)]:
                made += self._condition(expression, points, face, text, ordinary)
        for said in self.bare:
            if "other" in said.faces:
                continue
            for face in (f for name in said.faces for f in self._faces(name, domain)):
                made += self._bare(said, face)
            for axis, value in said.at.items():  # no flux at x = 2 mm
                point = {sympy.Dummy("at"): Point(next(iter(self.scope.unknowns)), (), {axis: self._where(value)})}
                made += self._bare(said, self._place(point, said.source, domain, ordinary))
        taken = {condition.where for condition in made}
        rest = [face for face in self._faces("boundary", domain) if face not in taken]
        for expression, text, said in self.stated:
            if said and "other" in said.faces:
                for face in rest:
                    made += self._condition(expression, self._named(expression, text), face, text, ordinary)
        for said in self.bare:
            if "other" in said.faces:
                for face in rest:
                    made += self._bare(said, face)
        return made

    def _axes(self) -> list[str]:
        return [c for c in next(iter(self.scope.unknowns.values())) if c != "t"]

    def _faces(self, name: str, domain: Mapping[str, tuple[float, float]]) -> list[str]:
        axes = self._axes()
        if name == "boundary" and self.draft.round:
            return ["x+"]  # its other end is the centre
        if name == "boundary":
            return [f"{axis}{side}" for axis in axes for side in "-+"]
        if name == "t":
            return ["t"]
        if len(axes) == 3 and name[0] in "yz":  # bottom and top are z of a body, y of a plate
            name = {"y": "z", "z": "y"}[name[0]] + name[1]
        if name[0] not in axes:
            raise UserError(
                f"there is no face {name} in {len(axes)} dimension{'s' * (len(axes) > 1)}",
                mend=f"the coordinates are {', '.join(axes)}",
            )
        return [name]

    def _place(
        self, points: Mapping[sympy.Symbol, Point], text: str, domain: Mapping[str, tuple[float, float]], ordinary: bool
    ) -> str:
        places = {
            tuple(sorted((c, self._number(v, text)) for c, v in point.place.items())) for point in points.values()
        }
        if len(places) == 2:
            return self._two_places(points, places, text, domain)
        (place,) = places if len(places) == 1 else (None,)
        if not place or len(place) != 1:
            raise UserError(
                "a condition holds at one place, on one face", f"'{text}'", "write u(0,t) = 1, or u = 1 on the boundary"
            )
        coordinate, value = place[0]
        low, high = domain.get(coordinate, (value, float("nan")))
        reach = 1e-9 * max(1.0, abs(low), abs(high) if high == high else 1.0)
        if abs(value - low) <= reach:
            return "t" if coordinate == "t" and not ordinary else f"{coordinate}-"
        if abs(value - high) <= reach and not (coordinate == "t" and not ordinary):
            return f"{coordinate}+"
        raise UserError(
            f"the condition is at {coordinate} = {value:g}, which is no end of the domain ({low:g} to {high:g})",
            f"'{text}'",
            f"give it at {coordinate} = {low:g}"
            + (f" or {high:g}" if coordinate != "t" else "")
            + ", or change the range",
        )

    def _two_places(
        self, points: Mapping[sympy.Symbol, Point], places: Any, text: str, domain: Mapping[str, tuple[float, float]]
    ) -> str:
        """``u(0,t) = u(1,t)``: periodic."""
        coordinates = {place[0][0] for place in places if len(place) == 1}
        if len(points) == 2 and len(coordinates) == 1 and len({p.unknown for p in points.values()}) == 1:
            coordinate = next(iter(coordinates))
            if {round(place[0][1], 12) for place in places} == {round(v, 12) for v in domain.get(coordinate, ())}:
                return f"{coordinate}="
        raise UserError(
            "this condition ties two places together in a way that is not solved",
            f"'{text}'",
            "only periodic ones, u(0) = u(1), are",
        )

    def _condition(
        self, expression: sympy.Expr, points: Mapping[sympy.Symbol, Point], face: str, text: str, ordinary: bool
    ) -> list[Condition]:
        unknown = next(iter(points.values())).unknown
        if face.endswith("="):
            if not sympy.expand(sympy.Add(*[sympy.diff(expression, s) for s in points])) == 0:
                raise UserError("this condition ties two places together in a way that is not solved", f"'{text}'")
            if any(point.orders for point in points.values()):
                return []  # the slopes of a periodic function agree anyway
            return [Condition("periodic", unknown, f"{face[0]}{side}") for side in "-+"]
        if len({point.unknown for point in points.values()}) > 1:
            raise UserError("a condition on several unknowns at once is not solved", f"'{text}'", "give one for each")
        factors = {s: sympy.diff(expression, s) for s in points}
        if any(f.free_symbols & set(points) for f in factors.values()):
            raise UserError(
                "this condition is not linear in the unknown",
                f"'{text}'",
                "only values, slopes and their sums are known",
            )
        rest = sympy.expand(expression - sympy.Add(*(f * s for s, f in factors.items())))
        axis = face[0] if face != "t" else "t"
        if (face != "t" and not ordinary and face[:-1] not in self._axes()) or face != "t":
            axis = face[:-1]
        by_order: dict[int, sympy.Expr] = {}
        for symbol, factor in factors.items():
            orders = points[symbol].orders
            if orders and set(orders) != {axis} and set(orders) != {"n"}:
                raise UserError(
                    f"the derivative in this condition is not along {axis}",
                    f"'{text}'",
                    "only the derivative across a face is known",
                )
            sign = (-1) ** len(orders) if face.endswith("-") and "n" not in orders else 1
            by_order[len(orders)] = by_order.get(len(orders), 0) + sign * factor
        if len(by_order) == 1:
            (order,) = by_order
            value = sympy.simplify(-rest / by_order[order]) if by_order[order] != 0 else None
            if value is None:
                raise UserError("the unknown falls out of this condition", f"'{text}'")
            if face == "t":
                return [Condition("initial", unknown, "t", value, order)]
            if order > 1 or (ordinary and order):
                return [Condition("neumann" if order % 2 else "dirichlet", unknown, face, value, order)]
            return [Condition("neumann" if order else "dirichlet", unknown, face, value)]
        if face != "t" and set(by_order) == {0, 1}:
            slope = by_order[1]
            return [Condition("robin", unknown, face, -rest / slope, 0, by_order[0] / slope)]
        raise UserError("this kind of condition is not known", f"'{text}'", "values, slopes, and slope plus value are")

    def _bare(self, said: Said, face: str) -> list[Condition]:
        """A value without the unknown's name: of the only one, or zero of all."""
        names = list(self.scope.unknowns)
        if said.kind == "periodic":
            return [Condition("periodic", name, face) for name in names]
        found = quantity(said.text)
        if found and found[1] and len(names) == 1:
            self.units.setdefault(names[0], found[1])
        value = (
            sympy.nsimplify(repr(found[0]), rational=True)
            if found
            else read_expression(re.sub(r"^value\s+", "", said.text), self.scope)
        )
        if value.free_symbols & set(self.scope.points):
            raise UserError("this value is not understood", f"'{said.source}'")
        if len(names) > 1 and value != 0:
            raise UserError("it is not said of which unknown", f"'{said.source}'", f"name one of {', '.join(names)}")
        if (
            len(names) > 1
            and said.kind in ("initial", "dirichlet")
            and said.source.split()[0] not in ("no-slip", "fixed", "clamped")
        ):
            known = self.draft.known.name if self.draft.known else ""
            if known not in ("stokes", "linear-elasticity"):
                raise UserError(
                    "it is not said of which unknown", f"'{said.source}'", f"name one of {', '.join(names)}"
                )
        if self.draft.known and self.draft.known.name == "stokes":
            names = [name for name in names if name != "p"]
        made = [Condition(said.kind, name, face, value, said.derivative) for name in names]  # type: ignore[arg-type]
        if said.kind == "neumann" and self.draft.known and self.draft.known.name == "cahn-hilliard":
            made += [Condition("neumann", name, face, value, 3) for name in names]
        return made
