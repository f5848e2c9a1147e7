"""A problem's equations as expressions in plain symbols: one for each unknown and each of its derivatives."""

from __future__ import annotations

from dataclasses import dataclass, field

import sympy
from sympy.core.function import AppliedUndef

from sozai.assistant.equations.problem import Problem
from sozai.errors import UserError

NOT_SOLVED = "sozai cannot solve this equation"


@dataclass
class Terms:
    """Equations (all terms on one side: ``residual = 0``) in plain symbols.

    Attributes:
        problem: they belong to.
        names: of the unknowns.
        space: symbols of the space variables.
        time: symbol of time; one of its own when the problem is steady.
        residuals: left side minus right side of each equation.
        symbols: by (unknown, time derivatives, space derivatives along each axis): the symbol that stands for it.
    """

    problem: Problem
    names: tuple[str, ...]
    space: tuple[sympy.Symbol, ...]
    time: sympy.Symbol
    residuals: list[sympy.Expr] = field(default_factory=list)
    symbols: dict[tuple[int, int, tuple[int, ...]], sympy.Symbol] = field(default_factory=dict)

    @property
    def dimension(self) -> int:
        """Number of space variables."""
        return len(self.space)

    def value(self, unknown: int) -> sympy.Symbol:
        """The symbol of the unknown itself."""
        return self.symbol(unknown, 0, (0,) * self.dimension)

    def rate(self, unknown: int, order: int = 1) -> sympy.Symbol:
        """The symbol of a time derivative."""
        return self.symbol(unknown, order, (0,) * self.dimension)

    def slope(self, unknown: int, *axes: int) -> sympy.Symbol:
        """The symbol of the derivative along one axis after the other."""
        counts = [0] * self.dimension
        for axis in axes:
            counts[axis] += 1
        return self.symbol(unknown, 0, tuple(counts))

    def symbol(self, unknown: int, time: int, space: tuple[int, ...]) -> sympy.Symbol:
        """The symbol of a derivative, made on first use."""
        key = (unknown, time, space)
        if key not in self.symbols:
            letters = "".join(str(axis) * count for axis, count in zip(self.space, space, strict=True))
            mark = "t" * time + letters
            self.symbols[key] = sympy.Symbol(f"{self.names[unknown]}_{mark}" if mark else self.names[unknown])
        return self.symbols[key]

    def expression(self, raw: sympy.Expr, where: str) -> sympy.Expr:
        """An expression of the problem with numbers for parameters and plain symbols for unknowns.

        Raises:
            UserError: a term has no meaning here or a number is missing.
        """
        made = sympy.expand(self._numbers(sympy.sympify(raw)).doit())
        swaps: dict[sympy.Basic, sympy.Basic] = {}
        for derivative in made.atoms(sympy.Derivative):
            swaps[derivative] = self._derivative(derivative, where)
        made = made.xreplace(swaps)
        made = made.xreplace({call: self._call(call, where) for call in made.atoms(AppliedUndef)})
        self._known(made, where)
        return made

    def _numbers(self, raw: sympy.Expr) -> sympy.Expr:
        known = {str(symbol): symbol for symbol in (*self.space, self.time)}
        swaps = {}
        for symbol in raw.free_symbols:
            if symbol.name in known:
                swaps[symbol] = known[symbol.name]
            elif symbol.name in self.problem.parameters:
                swaps[symbol] = sympy.Rational(str(self.problem.parameters[symbol.name]))
        return raw.xreplace(swaps)

    def _call(self, call: AppliedUndef, where: str) -> sympy.Symbol:
        name = call.func.__name__
        if name not in self.names:
            raise UserError(f"{NOT_SOLVED}: the function {name} is not among the unknowns", where, "define it")
        if {str(part) for part in call.args} - {str(s) for s in (*self.space, self.time)}:
            raise UserError(f"{NOT_SOLVED}: the term {call} is taken elsewhere than at the point itself", where)
        return self.value(self.names.index(name))

    def _derivative(self, derivative: sympy.Derivative, where: str) -> sympy.Symbol:
        if not isinstance(derivative.expr, AppliedUndef):
            raise UserError(f"{NOT_SOLVED}: the term {derivative} could not be expanded", where)
        unknown = self.names.index(str(self._call(derivative.expr, where)))
        time, space = 0, [0] * self.dimension
        for variable, count in derivative.variable_count:
            if str(variable) == str(self.time):
                time += int(count)
            else:
                space[[str(s) for s in self.space].index(str(variable))] += int(count)
        total = sum(space)
        if time and total:
            raise UserError(f"{NOT_SOLVED}: the term {derivative} mixes time and space derivatives", where)
        if time > 2 or total > 4:
            raise UserError(f"{NOT_SOLVED}: the term {derivative} is of too high an order", where)
        if total == 3:
            raise UserError(
                f"{NOT_SOLVED}: the term {derivative} is of third order in space",
                where,
                "write a fourth-order equation with variable mobility as two equations of second order",
            )
        return self.symbol(unknown, time, tuple(space))

    def _known(self, made: sympy.Expr, where: str) -> None:
        allowed = {*self.space, self.time, *self.symbols.values()}
        missing = sorted(symbol.name for symbol in made.free_symbols - allowed)
        if missing:
            raise UserError(f"no number is given for {', '.join(missing)}", where, "give its value")
        found = made.atoms(sympy.Integral, sympy.DiracDelta, sympy.Subs)
        if found:
            raise UserError(f"{NOT_SOLVED}: it has no way to treat the term {next(iter(found))}", where)


def read_terms(problem: Problem) -> Terms:
    """The equations of a problem in plain symbols.

    Raises:
        UserError: what cannot be solved, naming the term.
    """
    if not 1 <= len(problem.space) <= 3:
        raise UserError(f"{NOT_SOLVED}: it has {len(problem.space)} space variables, not one to three")
    if len(problem.equations) != len(problem.unknowns):
        raise UserError(
            f"there are {len(problem.equations)} equations for {len(problem.unknowns)} unknowns",
            mend="give one equation for each unknown",
        )
    time = problem.time if problem.time is not None else sympy.Symbol("t_none")
    terms = Terms(problem, tuple(problem.unknowns), tuple(problem.space), time)
    for number in range(len(problem.unknowns)):  # names must not depend on the order in which terms are met
        terms.value(number)
    for place, equation in enumerate(problem.equations):
        residual = terms.expression(equation.lhs - equation.rhs, f"equation {place + 1}")
        if residual == 0:
            raise UserError("this equation says 0 = 0", f"equation {place + 1}")
        terms.residuals.append(residual)
    return terms
