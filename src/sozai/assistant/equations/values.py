"""The numbers of a problem: ranges, parameters, and formulas that names stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sympy

from sozai.assistant.equations.boundary import Reader
from sozai.assistant.equations.draft import Draft
from sozai.assistant.equations.expression import read_expression
from sozai.assistant.equations.problem import Condition
from sozai.assistant.equations.scope import Scope
from sozai.assistant.equations.units import DimensionClash, check_dimensions, quantity, unit_text
from sozai.errors import UserError


class Values:
    """What a draft says of numbers.

    Args:
        draft: for its ranges and values.
        units: by name; filled while reading.
        renamed: parameters that went into others.
    """

    def __init__(self, draft: Draft, units: dict[str, Mapping[str, Any]], renamed: dict[str, str]):
        self.draft, self.units, self.renamed, self.notes = draft, units, renamed, draft.notes

    def number(self, text: str) -> tuple[float, Mapping[str, Any] | None]:
        """A quantity, or a formula of numbers that are known."""
        found = quantity(text)
        if found:
            return found
        scope = Scope({}, parameters=frozenset(self.draft.values))
        value = read_expression(text, scope)
        puts = {
            s: self.number(self.draft.values[s.name])[0]
            for s in value.free_symbols
            if s.name in self.draft.values and self.draft.values[s.name] != text
        }
        value = value.xreplace({k: sympy.Float(v) for k, v in puts.items()})
        if not value.is_number or not value.is_real:
            raise UserError(f"'{text}' is no number", mend="give it as a number, or give the names in it")
        return float(value), None

    def domain(self, scope: Scope, reader: Reader) -> tuple[dict[str, tuple[float, float]], bool]:
        """Ranges by coordinate, and whether the last end is open."""
        coordinates = next(iter(scope.unknowns.values()))
        domain: dict[str, tuple[float, float]] = {}
        open_end = False
        for c in coordinates:
            if c in self.draft.ranges:
                low, high = (self.number(text) for text in self.draft.ranges[c])
                dimension = high[1] or low[1]
                if low[1] and high[1] and dict(low[1]) != dict(high[1]):
                    raise UserError(
                        f"the two ends of {c} have different dimensions",
                        str(self.draft.ranges[c]),
                        "give both the same unit",
                    )
                if dimension:
                    self.units[c] = dimension
                domain[c] = (low[0], high[0])
            else:
                places = sorted(reader.places(c))
                if len(places) > 1:
                    domain[c] = (places[0], places[-1])
                elif places or (c == "t" or len(coordinates) == 1):
                    domain[c] = (places[0] if places else 0.0, float("nan"))
                    open_end = True
        return domain, open_end

    def numbers(self, scope: Scope) -> tuple[dict[str, float], dict[str, sympy.Expr]]:
        """Numbers, and formulas that names stand for."""
        numbers: dict[str, float] = {}
        formulas: dict[str, sympy.Expr] = {}
        for words, value in self.draft.spoken:
            raise UserError(
                f"it is not known which letter is the '{words}'",
                f"'{words} {value}'",
                f"write it as a letter of the equation, e.g. D = {value}",
            )
        for name, text in self.draft.values.items():
            if name in scope.unknowns:
                raise UserError(
                    f"'{name} = {text}' does not say where it holds",
                    mend=f"write {name}(0) = {text}, or 'at the start', 'on the boundary', 'at x = 0'",
                )
            if name in next(iter(scope.unknowns.values())):
                raise UserError(
                    f"{name} is a coordinate and has a number",
                    f"'{name} = {text}'",
                    f"give its range, e.g. {name} = 0..1",
                )
            found = quantity(text)
            if found:
                numbers[name] = found[0]
                if found[1]:
                    self.units[name] = found[1]
                continue
            formula = read_expression(text, scope)
            if formula.is_number and formula.is_real:
                numbers[name] = float(formula)
            else:
                formulas[name] = formula
        return numbers, formulas

    def defined(
        self,
        equations: list[sympy.Eq],
        conditions: list[Condition],
        formulas: dict[str, sympy.Expr],
        numbers: dict[str, float],
    ) -> tuple[list[sympy.Eq], list[Condition]]:
        """Put in what names stand for, as often as they stand for one another; a formula of numbers is a number."""
        formulas = dict(formulas)
        for _ in range(len(formulas)):
            for name, formula in list(formulas.items()):
                if (
                    formula.free_symbols
                    and all(s.name in numbers for s in formula.free_symbols)
                    and not formula.atoms(sympy.core.function.AppliedUndef)
                ):
                    value = formula.xreplace({s: sympy.Float(numbers[s.name]) for s in formula.free_symbols})
                    if value.is_real:
                        numbers[name] = float(value)
                        for symbol in formula.free_symbols:
                            self.renamed[symbol.name] = name
                        del formulas[name]
        puts = {sympy.Symbol(name): formula for name, formula in formulas.items()}
        if any(sympy.Symbol(name) in formula.free_symbols for name, formula in formulas.items()):
            raise UserError(
                "a name stands for a formula with itself in it",
                ", ".join(formulas),
                "give it as an equation with a derivative",
            )

        def put(expr: sympy.Expr | None) -> sympy.Expr | None:
            for _ in range(len(puts)):
                expr = None if expr is None else expr.subs(puts).doit()
            return expr

        made = [sympy.Eq(put(e.lhs), put(e.rhs), evaluate=False) for e in equations]
        return made, [replace(c, value=put(c.value), coefficient=put(c.coefficient)) for c in conditions]

    def check_units(self, equations: list[sympy.Eq]) -> None:
        """Refuse dimensions that clash, and tell what was turned into SI units."""
        if not self.units:
            return
        stated = set(self.units)
        try:
            for name, dimension in check_dimensions(tuple(equations), self.units).items():
                self.units.setdefault(name, dimension)
        except DimensionClash as clash:
            told = ", ".join(f"{name} in {unit_text(d) or '1'}" for name, d in self.units.items())
            raise UserError(
                f"the units do not go together: {clash.what} (with {told})", clash.where, clash.mend
            ) from clash
        bare = sorted(n for n in self.draft.values if n not in stated and quantity(self.draft.values[n]))
        self.notes.append(
            "All numbers were turned into SI units"
            + (f"; {', '.join(bare)} had none and was taken as it stands." if bare else ".")
        )
