"""The weak form of a problem: what is integrated, what is prescribed, what is not known."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import sympy

Face = tuple[int, int]
"""Axis and side: (0, -1) is ``x-``, (1, 1) is ``y+``."""


@dataclass
class Form:
    """A weak form; rows and fields are paired: row ``i`` is tested where field ``i`` is not prescribed.

    Attributes:
        names: of the fields: the unknowns, then auxiliary ones.
        shown: how many of them are the person's unknowns.
        space, time: symbols.
        box: ends of each axis.
        span: start and end of time, or ``None``.
        values, rates: symbols of the fields and their time derivatives.
        slopes: symbols of their derivatives by axis.
        flux: by row and axis.
        rest: by row.
        boundary: by row and face: the outward flux in values, slopes, coordinates; missing ones are zero.
        fixed: by field and face: the prescribed value.
        start: by field: initial value, or ``None`` where an equation without rate decides it.
        periodic: by axis.
        mean_free: fields that only matter up to a constant.
        lower: fields to be approximated one degree lower (the pressure).
        traction: whether boundary values are tractions (elasticity, Stokes).
        second_order: whether time derivatives were of second order.
        auxiliary: kind (``"velocity"`` or ``"laplacian"``), unknown and field of what was added.
        notes: what was assumed.
    """

    names: list[str]
    shown: int
    space: tuple[sympy.Symbol, ...]
    time: sympy.Symbol
    box: list[tuple[float, float]]
    span: tuple[float, float] | None
    values: list[sympy.Symbol]
    rates: list[sympy.Symbol]
    slopes: list[list[sympy.Symbol]]
    flux: list[list[sympy.Expr]]
    rest: list[sympy.Expr]
    boundary: list[dict[Face, sympy.Expr]]
    fixed: list[dict[Face, sympy.Expr]]
    start: list[sympy.Expr | None]
    periodic: list[bool]
    mean_free: list[int] = field(default_factory=list)
    lower: list[int] = field(default_factory=list)
    traction: bool = False
    second_order: bool = False
    auxiliary: list[tuple[str, int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def unknowns(self) -> list[sympy.Symbol]:
        """Values, slopes and rates: all that stands for unknown numbers."""
        return [*self.values, *itertools.chain(*self.slopes), *self.rates]

    @property
    def expressions(self) -> list[sympy.Expr]:
        """Everything that is integrated."""
        return [*itertools.chain(*self.flux), *self.rest, *itertools.chain(*(b.values() for b in self.boundary))]

    def order_in_space(self, j: int, degree: int) -> int:
        """Order of the error in the mean square that theory gives a field with elements of a degree.

        One above the degree; the degree itself where a flux through a face is made of the numbers' own slope there
        (an ion's stated slope in a field that is prescribed): that slope is no better than this.
        """
        slopes_on_faces = any(
            flux.has(*[slopes[face[0]] for slopes in self.slopes])
            for faces in self.boundary
            for face, flux in faces.items()
        )
        return degree + (0 if j in self.lower or slopes_on_faces else 1)

    @property
    def fourth_order(self) -> bool:
        """Whether a biharmonic term was halved."""
        return any(kind == "laplacian" for kind, _, _ in self.auxiliary)

    @property
    def linear(self) -> bool:
        """Whether the unknowns enter to the first power with coefficients free of them."""
        hidden = set(self.unknowns)
        return all(
            not (sympy.diff(e, s).free_symbols & hidden) for e in self.expressions for s in e.free_symbols & hidden
        )

    @property
    def complex(self) -> bool:
        """Whether the imaginary unit stands anywhere."""
        given = [*self.expressions, *itertools.chain(*(f.values() for f in self.fixed)), *(s for s in self.start if s)]
        return any(e.has(sympy.I) for e in given)


def stress_sign(form: Form, row: int, owner: int, axis: int) -> int:
    """1 where the flux of a row is the stress, -1 where it is minus the stress."""
    other = (axis + 1) % len(form.space)
    strength = sympy.diff(form.flux[row][other], form.slopes[owner][other])
    middle = {symbol: (low + high) / 2 for symbol, (low, high) in zip(form.space, form.box, strict=True)}
    return -1 if float(strength.subs({**middle, form.time: 0})) < 0 else 1
