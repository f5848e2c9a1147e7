"""From the clauses of a text to a ``Problem``: which names are unknowns, coordinates, numbers, and what they obey."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

import sympy

from sozai.assistant.equations.boundary import Reader
from sozai.assistant.equations.draft import Draft
from sozai.assistant.equations.expression import read_equation
from sozai.assistant.equations.named import dimension_of, template
from sozai.assistant.equations.problem import Condition, Problem
from sozai.assistant.equations.scope import FUNCTIONS, Scope
from sozai.assistant.equations.tokens import COORDINATES, derived, same_name, tokenise
from sozai.assistant.equations.units import quantity, unit_text, with_unit
from sozai.assistant.equations.values import Values
from sozai.errors import UserError

_OPERATOR = re.compile(r"\b(?:laplacian|Laplacian|laplace|lap|grad|gradient|div|divergence)\b")
DEFAULT_END = 10.0
"""End of an initial value problem that names none; it is told."""


class Assembly:
    """Gives the names of a draft their meaning.

    Args:
        draft: what the text says, clause by clause.
    """

    def __init__(self, draft: Draft):
        self.draft = draft
        self.notes = draft.notes
        self.units: dict[str, Mapping[str, Any]] = {}
        self.renamed: dict[str, str] = {}
        self.template_unknowns: tuple[str, ...] = ()

    def problem(self) -> Problem:
        """The problem; it need not be well-posed.

        Raises:
            UserError: what was not understood, or does not go together, is named.
        """
        draft = self.draft
        self._subscripted_numbers()
        if draft.known and not self._has_equation():
            name = draft.known.name
            listed, self.template_unknowns, renamed = template(draft, draft.known)
            texts, self.renamed = list(listed), self.renamed | renamed
        else:
            name, texts = "", []
            if draft.known:
                self.notes.append(f"The equation as written is solved; '{draft.known.name}' was taken as its title.")
        body = [*draft.equations, *self._equations_among_values()]
        found = self._derived([*texts, *body])
        unknowns = self._unknowns(found, [*texts, *body])
        coordinates = self._coordinates(found, unknowns, name)
        scope = self._scope(found, unknowns, coordinates)
        equations, reader = self._read(texts, body, scope)
        if not equations:
            raise UserError(
                "there is no equation",
                f"'{draft.text[:80]}'",
                "give one, such as du/dt = -2*u, or the name of a known one",
            )
        if not scope.unknowns:
            raise UserError(
                "no function is asked for: there is no derivative in the equations",
                f"'{draft.text[:80]}'",
                "write them with derivatives, such as du/dt or u_xx",
            )
        scope, equations = self._algebraic(scope, equations)
        values = Values(draft, self.units, self.renamed)
        domain, open_end = values.domain(scope, reader)
        ordinary = len(coordinates) == 1 and not name_is_partial(draft) and not any(map(_OPERATOR.search, body))
        conditions = reader.conditions(domain, ordinary)
        time = "t" if "t" in coordinates else None
        if ordinary:
            time = None if any(c.where.endswith("+") for c in conditions) else coordinates[0]
        conditions = [_renamed_where(c, time) for c in conditions]
        if time and time not in domain:
            raise UserError(f"it is not known over what range {time} runs", mend=f"write {time} from 0 to 10")
        if open_end and time and ordinary:
            start = domain[time][0]
            domain[time] = (start, start + DEFAULT_END)
            self.notes.append(f"No end was given: {time} runs from {start:g} to {start + DEFAULT_END:g}.")
        parameters, definitions = values.numbers(scope)
        equations, conditions = values.defined(equations, conditions, definitions, parameters)
        values.check_units(equations)
        used = {s.name for e in equations for s in e.free_symbols} | {
            s.name
            for c in conditions
            for part in (c.value, c.coefficient)
            if part is not None
            for s in part.free_symbols
        }
        for spare in sorted(set(parameters) - used):
            if spare not in self.renamed and not any(spare in text for pair in draft.ranges.values() for text in pair):
                self.notes.append(f"{spare} = {parameters[spare]:g} is not in the equation and was not used.")
        return Problem(
            text=draft.text,
            kind="ode" if ordinary else "pde",
            name=name,
            equations=tuple(equations),
            unknowns=tuple(scope.unknowns),
            time=sympy.Symbol(time) if time else None,
            space=tuple(sympy.Symbol(c) for c in coordinates if c != time),
            domain=domain,
            conditions=tuple(conditions),
            parameters={k: v for k, v in parameters.items() if k in used},
            units={
                k: text
                for k, d in self.units.items()
                if (text := unit_text(d)) and (k in used or k in coordinates or k in scope.unknowns)
            },
            notes=tuple(dict.fromkeys(self.notes)),
        )

    # What there is

    def _subscripted_numbers(self) -> None:
        """``D_x = 3`` is a number, ``u_t = 3`` an equation: of the latter's name something else is said too."""
        for text in list(self.draft.equations):
            match = re.fullmatch(r"\s*([A-Za-z]\w*)_([xyzt]+)\s*=\s*(.+)", text)
            if match and quantity(match[3]):
                others = " ".join(
                    [*(e for e in self.draft.equations if e is not text), *(c.text for c in self.draft.conditions)]
                )
                if not re.search(rf"(?<![A-Za-z_]){match[1]}(?:\s*\(|_(?!{match[2]}\b)[xyzt]+\b|'|\s*=)", others):
                    self.draft.equations.remove(text)
                    self.draft.values[f"{match[1]}_{match[2]}"] = match[3]

    def _has_equation(self) -> bool:
        """Whether an equation is written out: one with a derivative and no place."""
        for text in self.draft.equations:
            if _OPERATOR.search(text):
                return True
            for place, token in enumerate(tokens := tokenise(text)):
                after = tokens[min(place + 1, len(tokens) - 1)]
                if token.text in ("diff", "Derivative"):
                    return True
                base, _, suffix = token.text.rpartition("_")
                if token.kind == "name" and base and len(suffix) > 1 and set(suffix) <= set(COORDINATES):
                    return True
                if token.kind == "derivative" and (token.text == "" or after.text != "(") and "n" not in token.orders:
                    return True
        return any(name != "u" and re.search(r"^[A-Za-z]\w*'+\s*=", text) for name, text in self.draft.values.items())

    def _derived(self, texts: list[str]) -> list[tuple[str, tuple[str, ...]]]:
        draft = self.draft
        everything = [*texts, *(c.text.replace("°", "") for c in draft.conditions if not c.bare)]
        found = [pair for text in everything for pair in derived(text)]
        whole = ", ".join(everything) + ", " + ", ".join(f"{k} = {v}" for k, v in draft.values.items())
        return [*dict.fromkeys([*found, *derived(whole)])]

    def _equations_among_values(self) -> list[str]:
        """``x = ...`` clauses that are equations: with a derivative in them."""
        taken = [name for name, text in self.draft.values.items() if derived(text) or _OPERATOR.search(text)]
        return [f"{name} = {self.draft.values.pop(name)}" for name in taken]

    def _unknowns(self, found: list[tuple[str, tuple[str, ...]]], texts: list[str]) -> tuple[str, ...]:
        names = [*self.template_unknowns, *(name for name, _ in found)]
        for text in texts:
            for token, after in _pairs_of(tokenise(text)):
                if token.kind == "name" and _OPERATOR.fullmatch(token.text):
                    inner = re.findall(rf"{token.text}\s*\(?\s*([A-Za-z]\w*)", text)
                    names += [
                        n
                        for n in inner
                        if not _OPERATOR.fullmatch(n) and n not in self.draft.values and n not in FUNCTIONS
                    ]
                del after
        strange = [name for name in dict.fromkeys(names) if name not in ("d",) and not _OPERATOR.fullmatch(name)]
        return tuple(strange)

    def _coordinates(
        self, found: list[tuple[str, tuple[str, ...]]], unknowns: tuple[str, ...], name: str
    ) -> tuple[str, ...]:
        """Space in order, then time."""
        draft = self.draft
        by = {c for _, orders in found for c in orders if c not in ("'", "n")}
        by |= {c for c in draft.ranges if c not in unknowns and c not in draft.values}
        clash = by & set(unknowns)
        if clash:
            one = sorted(clash)[0]
            raise UserError(
                f"{one} is differentiated, and is a coordinate too",
                f"'{draft.text[:80]}'",
                "give one of them another name",
            )
        texts = [*draft.equations, *(c.source for c in draft.conditions)]
        if name and draft.known and draft.known.partial:
            by |= set("xyz"[: dimension_of(self.draft)]) | (set() if draft.known.steady else {"t"})
            if draft.known.steady:
                by.discard("t")
        elif any(_OPERATOR.search(text) for text in texts):
            by |= set("xyz"[: dimension_of(self.draft)])
        self.prime = self._prime(by, unknowns, texts)
        if any("'" in orders for _, orders in found) or not by:
            by.add(self.prime)
        by |= {c for said in draft.conditions for c in said.at if c not in unknowns}
        if len(by) > 4:
            raise UserError(
                f"there are {len(by)} coordinates ({', '.join(sorted(by))})", mend="at most three of space, and time"
            )
        return tuple(sorted(by - {"t"})) + (("t",) if "t" in by else ())

    def _prime(self, by: set[str], unknowns: tuple[str, ...], texts: list[str]) -> str:
        """The coordinate of ``u'``: the only one there is, else t, else a free x."""
        if len(by) == 1:
            return next(iter(by))
        free = " ".join(texts + list(self.draft.values.values()))
        if (
            "x" not in unknowns
            and "t" not in by
            and re.search(r"(?<![A-Za-z_])x(?![A-Za-z_\d])", free)
            and not re.search(r"(?<![A-Za-z_])t(?![A-Za-z_\d])", free)
        ):
            return "x" if "x" not in self.draft.values else "t"
        return "t"

    def _scope(
        self, found: list[tuple[str, tuple[str, ...]]], unknowns: tuple[str, ...], coordinates: tuple[str, ...]
    ) -> Scope:
        space = tuple(c for c in coordinates if c != "t") or coordinates
        return Scope(dict.fromkeys(unknowns, coordinates), self.prime, space, frozenset(self.draft.values))

    # What is said of it

    def _read(self, texts: list[str], body: list[str], scope: Scope) -> tuple[list[sympy.Eq], Reader]:
        """Equations and, of those at a place, conditions."""
        for name in self._condition_names(body, scope):
            scope.unknowns = {**scope.unknowns, name: next(iter(scope.unknowns.values()), ("t",))}
        reader = Reader(self.draft, scope, self.units)
        equations = []
        for text in [*texts, *body]:
            text = self._without_unit(text)
            left, right = read_equation(text, scope)
            pairs = zip(left, right, strict=True) if isinstance(left, sympy.MatrixBase) else [(left, right)]  # type: ignore[arg-type]
            for one, two in pairs:
                if (one - two).free_symbols & set(scope.points):
                    reader.add(one - two, text)
                elif (one - two) == 0:
                    raise UserError("both sides of this equation are equal", f"'{text}'", "leave it out")
                else:
                    equations.append(sympy.Eq(one, two, evaluate=False))
        return equations, reader

    def _without_unit(self, text: str) -> str:
        """``u(0) = 20 cm`` in SI units."""
        match = re.fullmatch(r"\s*(([A-Za-z]\w*)('*)(?:_\w+)?\s*\([^()]*\))\s*=\s*(.+)", text)
        found = with_unit(match[4]) if match else None
        if match is None or found is None:
            return text
        if not match[3] and "_" not in match[1]:
            self.units.setdefault(same_name(match[2]), found[1])
        return f"{match[1]} = {found[0]!r}"

    def _condition_names(self, body: list[str], scope: Scope) -> list[str]:
        """Names with a value at a place (``y(0) = 1``) that have no derivative: unknowns of an algebraic equation."""
        names = []
        for text in body:
            match = re.match(r"\s*([A-Za-z]\w*)\s*\(\s*-?[\d.]+\s*\)\s*=", text)
            name = same_name(match[1]) if match else ""
            if name and name not in scope.unknowns and name not in FUNCTIONS and name not in self.draft.values:
                others = " ".join(other for other in body if other is not text)
                if not re.search(rf"(?<![A-Za-z_]){re.escape(name)}(?![A-Za-z_\d])", others):
                    raise UserError(
                        f"a condition is given for {name}, which is in no equation",
                        f"'{text}'",
                        f"the unknowns are {', '.join(scope.unknowns) or 'none'}",
                    )
                names.append(name)
        return names

    def _algebraic(self, scope: Scope, equations: list[sympy.Eq]) -> tuple[Scope, list[sympy.Eq]]:
        """Symbols without a number become unknowns where there are as many equations more than unknowns."""
        spare = len(equations) - len(scope.unknowns)
        if spare <= 0:
            return scope, equations
        coordinates = next(iter(scope.unknowns.values()))
        free = {s.name for e in equations for s in e.free_symbols} - set(coordinates) - set(self.draft.values)
        if len(free) != spare:
            return scope, equations
        scope.unknowns = {**scope.unknowns, **dict.fromkeys(sorted(free), coordinates)}
        puts = {sympy.Symbol(name): scope.function(name) for name in free}
        self.notes.append(
            f"{', '.join(sorted(free))} has no derivative and no number: it was read as an unknown of an "
            f"algebraic equation."
        )
        return scope, [sympy.Eq(e.lhs.xreplace(puts), e.rhs.xreplace(puts), evaluate=False) for e in equations]


def name_is_partial(draft: Draft) -> bool:
    """Whether the text names a partial differential equation."""
    return bool(draft.known and draft.known.partial)


def _pairs_of(tokens: list[Any]) -> list[tuple[Any, Any]]:
    return list(itertools.pairwise(tokens))


def _renamed_where(condition: Condition, time: str | None) -> Condition:
    """Of an initial value problem the independent variable is its time, whatever its name: ``where`` is ``t``."""
    from dataclasses import replace

    if time and condition.where == f"{time}-" and condition.kind in ("dirichlet", "neumann", "initial"):
        sign = (-1) ** condition.derivative if condition.derivative else 1
        return replace(
            condition, kind="initial", where="t", value=None if condition.value is None else sign * condition.value
        )
    return condition
