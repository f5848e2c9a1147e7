"""Numbers with units made consistent (SI, by pint), and equations whose dimensions cannot agree found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import sympy
from sympy.core.function import AppliedUndef

from sozai.errors import UserError
from sozai.materials.units import in_words, registry

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:\s*[eE][-+]?\d+|\s*(?:\*|x|×)\s*10\s*\^?\s*\(?[-+]?\d+\)?)?"
_UNIT = r"(?:%|°\s*[CF]|[A-Za-zµμΩÅ]++)(?:\s*(?:\^|\*\*)?\s*\(?-?\d\)?)?"
_BELOW = rf"/\s*\((?:{_UNIT}(?:\s*[*·]\s*|\s+)?)+\)"
QUANTITY = re.compile(rf"^\s*({_NUMBER})\s*((?:{_UNIT}(?:\s*[/*·]\s*|\s+)?)*(?:1/)?(?:{_UNIT})?(?:{_BELOW})?)\s*$")
BASES = ("[length]", "[time]", "[mass]", "[temperature]", "[substance]", "[current]", "[luminosity]")
Dimension = dict[str, sympy.Rational]
_SI = {"[length]": "m", "[time]": "s", "[mass]": "kg", "[temperature]": "K", "[substance]": "mol", "[current]": "A"}


def quantity(text: str) -> tuple[float, Dimension | None] | None:
    """A number with its unit in SI base units, and its dimension; ``None`` where the text is no such thing.

    A number alone has the dimension ``None``: it is not known.

    Raises:
        UserError: the unit is not known to pint.
    """
    match = QUANTITY.match(text)
    if match is None:
        return None
    number = float(re.sub(r"\s*(?:\*|x|×)\s*10\s*\^?\s*\(?([-+]?\d+)\)?", r"e\1", match[1]).replace(" ", ""))
    unit = match[2].strip()
    if not unit:
        return number, None
    units = registry()
    try:
        parsed = units.Quantity(number, units.parse_units(in_words("degC" if unit == "C" else unit)))
        value = parsed.to_base_units()
    except Exception as error:  # pint raises tokenizer, attribute and value errors alike for what is no unit
        raise UserError(f"'{unit}' is no unit", text.strip(), "write it as in 1e-4 m^2/s") from error
    powers = {base: sympy.nsimplify(power) for base, power in value.dimensionality.items()}
    size, short = float(value.magnitude), float(f"{value.magnitude:.12g}")
    # 1 mol/l is 1000 mol/m^3, without the dust of floating point.
    return short if abs(short - size) <= 1e-15 * abs(size) else size, powers


def with_unit(text: str) -> tuple[float, Dimension] | None:
    """As ``quantity``, of a number with a unit; ``None`` for all else, a formula such as ``2 a*b`` too."""
    try:
        found = quantity(text)
    except UserError:
        return None
    return None if found is None or found[1] is None else (found[0], found[1])


def unit_text(dimension: Mapping[str, Any]) -> str:
    """The SI unit of a dimension, e.g. ``m^2/s``."""
    above = [_SI.get(b, b) + (f"^{p}" if p != 1 else "") for b, p in dimension.items() if p > 0]
    below = [_SI.get(b, b) + (f"^{-p}" if p != -1 else "") for b, p in dimension.items() if p < 0]
    if not above and not below:
        return ""
    return ("*".join(above) or "1") + "".join(f"/{b}" for b in below)


class DimensionClash(UserError):
    """Dimensions cannot agree, whatever those of the names without a unit are; ``what`` says where."""


class _Unifier:
    """Dimensions as linear forms over unknown ones, solved term by term; a contradiction is a clash."""

    def __init__(self) -> None:
        self.equations: list[tuple[dict[Any, sympy.Rational], str]] = []

    def demand(self, form: dict[Any, Any], why: str) -> None:
        self.equations.append(({k: sympy.nsimplify(v) for k, v in form.items() if v != 0}, why))

    def solve(self) -> dict[str, Dimension]:
        """Gauss elimination over the unknown dimensions; what is left of known ones must vanish.

        Returns the dimensions that follow.

        Raises:
            DimensionClash: nothing follows, because two things demanded contradict each other.
        """
        rows: list[dict[Any, Any]] = []
        for form, why in self.equations:
            row = dict(form)
            for done in rows:
                pivot = next(iter(k for k in done if not isinstance(k, str)))
                if pivot in row:
                    factor = row[pivot] / done[pivot]
                    for key, value in done.items():
                        row[key] = row.get(key, 0) - factor * value
            row = {k: v for k, v in row.items() if v != 0}
            unknown = [k for k in row if not isinstance(k, str)]
            if unknown:
                ordered = {unknown[0]: row.pop(unknown[0])}
                rows.append({**ordered, **row})
            elif row:
                raise DimensionClash(why, mend="mend the unit, or leave all units out")
        found: dict[Any, Dimension] = {}
        for row in reversed(rows):
            pivot, *others = (key for key in row if not isinstance(key, str))
            if all(other in found for other in others):
                form = {key: value for key, value in row.items() if isinstance(key, str)}
                for other in others:
                    for key, value in found[other].items():
                        form[key] = form.get(key, 0) + row[other] * value
                found[pivot] = {key: -value / row[pivot] for key, value in form.items() if value != 0}
        return {name: form for (_, name), form in found.items()}


def check_dimensions(equations: tuple[sympy.Eq, ...], known: Mapping[str, Mapping[str, Any]]) -> dict[str, Dimension]:
    """Dimensions of names without a unit, as far as they follow from the equations and the names that have one.

    Args:
        equations: with functions of coordinates.
        known: dimension by name (parameters, coordinates, unknowns). Plain numbers in sums count as any dimension,
            since their unit was not said.

    Raises:
        DimensionClash: the dimensions cannot agree, whatever those of the names without a unit are; says where.
    """
    unifier = _Unifier()

    def of(expr: sympy.Expr, why: str) -> dict[Any, Any] | None:
        """Linear form; ``None``: any dimension."""
        if expr.is_number:
            return None if not isinstance(expr, sympy.Pow) else {}
        if isinstance(expr, sympy.Derivative):
            form = dict(of(expr.expr, why) or {})
            for variable, count in expr.variable_count:
                for key, value in (of(variable, why) or {}).items():
                    form[key] = form.get(key, 0) - count * value
            return form
        if isinstance(expr, sympy.Symbol | AppliedUndef):
            name = expr.name if isinstance(expr, sympy.Symbol) else expr.func.__name__
            return dict(known[name]) if name in known else {("of", name): sympy.Integer(1)}
        if isinstance(expr, sympy.Mul):
            product: dict[Any, Any] = {}
            for factor in expr.args:
                for key, value in (of(factor, why) or {}).items():
                    product[key] = product.get(key, 0) + value
            return product
        if isinstance(expr, sympy.Pow) and expr.exp.is_number:
            return {key: value * expr.exp for key, value in (of(expr.base, why) or {}).items()}
        if isinstance(expr, sympy.Add):
            forms = [(term, of(term, why)) for term in expr.args]
            stated = [(term, form) for term, form in forms if form is not None]
            for term, form in stated[1:]:
                demand(stated[0][1], form, f"{stated[0][0]} and {term} are added and have different dimensions")
            return stated[0][1] if len(stated) == len(forms) and stated else None
        if isinstance(expr, sympy.Function) and expr.args and expr.func not in (sympy.Abs, sympy.Min, sympy.Max):
            for argument in expr.args:
                inner = of(argument, why)
                if inner:
                    unifier.demand(inner, f"{expr} takes a number without a unit")
            return {}
        return None

    def demand(one: dict[Any, Any], two: dict[Any, Any], why: str) -> None:
        unifier.demand({k: one.get(k, 0) - two.get(k, 0) for k in {**one, **two}}, why)

    for equation in equations:
        of(sympy.expand(equation.lhs - equation.rhs), str(equation))
    return unifier.solve()
