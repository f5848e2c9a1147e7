"""The order of the very code that solves, on the very same operator, measured on manufactured solutions.

The error of a manufactured solution is known exactly, and it must fall with the order that theory gives (Roache 2002,
doi:10.1115/1.1436090).
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import sympy

from sozai.assistant.equations.pde.discrete import Diverged, compiled
from sozai.assistant.equations.pde.form import Form
from sozai.assistant.equations.pde.manufactured import manufacture
from sozai.assistant.equations.pde.spans import suited
from sozai.assistant.equations.pde.stepping import ORDERS, Run, compute, scheme_of
from sozai.assistant.equations.problem import Problem
from sozai.knowledge.verdict import Verdict

ORDER_TOLERANCE = 0.3
"""How far below the theoretical order a measured one may lie."""


@dataclass(frozen=True)
class Orders:
    """Errors under refinement.

    Attributes:
        sizes: of the elements or steps.
        errors: by unknown, relative to the size of the function; in the L2 norm.
        theory: order by unknown.
        kind: ``"space"`` or ``"time"``.
        span: share of the person's time that the function was followed for.
    """

    sizes: list[float]
    errors: dict[str, list[float]]
    theory: dict[str, int]
    kind: str
    span: float = 1.0

    def measured(self, name: str) -> float:
        """The order between the two finest."""
        errors = self.errors[name]
        if errors[-1] <= 1e-13 or errors[-2] <= 1e-13:
            return math.inf  # exact
        return math.log(errors[-2] / errors[-1]) / math.log(self.sizes[-2] / self.sizes[-1])

    def holds(self, name: str) -> bool:
        """Whether the order is the theoretical one."""
        return self.measured(name) >= self.theory[name] - ORDER_TOLERANCE

    def verdict(self, scheme: str) -> Verdict:
        """What was shown."""
        wrong = [name for name in self.errors if not self.holds(name)]
        parts = []
        for name in self.errors:
            found = self.measured(name)
            words = "exact" if math.isinf(found) else f"{found:.2f}"
            parts.append(f"{name} {words} (theory {self.theory[name]}, last error {self.errors[name][-1]:.1e})")
        says = "falls as theory says" if not wrong else "does not fall as theory says"
        amount = max((self.theory[name] - self.measured(name) for name in wrong), default=0.0)
        return Verdict(
            f"order_in_{self.kind}",
            not wrong,
            f"the error in {self.kind} of a manufactured solution of the same operator {says}, {scheme}: order of "
            + ", ".join(parts)
            + (
                ""
                if self.span == 1.0
                else f"; over the first {self.span:.2g} of the time, so that what grows by itself stays small"
                " and the fastest vibration on the mesh is followed"
            ),
            amount,
        )


def cells_of(form: Form, shortest: int) -> list[int]:
    """Elements along each axis: nearly cubes, at most four times as many along a long axis."""
    lengths = [high - low for low, high in form.box]
    return [shortest * int(min(4, max(1, round(length / min(lengths))))) for length in lengths]


def measure_space(
    problem: Problem,
    form: Form,
    *,
    degree: int,
    scheme: str,
    cells: Sequence[int],
    seed: int = 0,
    deadline: float | None = None,
) -> Orders:
    """Errors of the manufactured solution on meshes with ``cells`` elements along the shortest axis."""
    known, exact = manufacture(problem, form, "space", seed)
    errors: dict[str, list[float]] = {name: [] for name in form.names[: form.shown]}
    for count in cells:
        run = _patient(known, cells_of(form, count), 4, degree, scheme, deadline)
        for j, name in enumerate(errors):
            errors[name].append(error_of(run, j, exact[j]))
    theory = {name: form.order_in_space(j, degree) for j, name in enumerate(errors)}
    return Orders([1.0 / count for count in cells], errors, theory, "space")


def _patient(form: Form, cells: list[int], steps: int, degree: int, scheme: str, deadline: float | None) -> Run:
    """Solve; with more steps where Newton's method finds no way with few."""
    for more in (1, 4):
        try:
            return compute(form, cells, steps * more, degree=degree, scheme=scheme, deadline=deadline)
        except Diverged:
            if form.span is None:
                raise
    return compute(form, cells, steps * 32, degree=degree, scheme=scheme, deadline=deadline)


def measure_time(
    problem: Problem,
    form: Form,
    *,
    degree: int,
    scheme: str,
    steps: Sequence[int],
    cells: int,
    seed: int = 0,
    deadline: float | None = None,
) -> Orders:
    """Errors of the manufactured solution with more and more steps on one coarse mesh.

    Where the mesh cannot represent the function (periodic axes, fourth order), the differences of the last run to
    those with fewer steps take the place of the errors.
    """
    known, exact = manufacture(problem, form, "time", seed)
    fourth = form.fourth_order
    inexact = fourth or any(form.periodic)
    names = [name for j, name in enumerate(form.names[: form.shown]) if form.start[j] is not None]
    errors: dict[str, list[float]] = {name: [] for name in names}
    runs = [
        compute(known, cells_of(form, cells), count, degree=degree, scheme=scheme, deadline=deadline) for count in steps
    ]
    for name in names:
        j = form.names.index(name)
        if inexact:
            scale = float(np.abs(runs[-1].field(j)[-1]).max())
            ends = [run.field(j)[-1] for run in runs]
            gaps = [float(np.abs(a - b).max()) / scale for a, b in itertools.pairwise(ends)]
            errors[name] = gaps
        else:
            errors[name] = [error_of(run, j, exact[j]) for run in runs]
    sizes = [1.0 / count for count in (steps[:-1] if inexact else steps)]
    return Orders(sizes, errors, {name: ORDERS[scheme] for name in names}, "time")


def error_of(run: Run, j: int, exact: sympy.Expr) -> float:
    """Relative L2 error of a field at the end, at the quadrature points; a free constant does not count."""
    discrete = run.discrete
    body, form = discrete.regions[0].points, discrete.form
    end = form.span[1] if form.span else 0.0  # of the manufactured form
    numbers = discrete.parts(run.states[-1])[j]
    found = body.value[discrete.degrees[j]] @ numbers
    wanted = np.broadcast_to(compiled([exact], [*form.space, form.time])(*body.where, end)[0], found.shape)
    if j in form.mean_free:
        wanted = wanted - (body.weights @ wanted) / body.weights.sum()
    scale = math.sqrt(body.weights @ np.abs(wanted) ** 2)
    return math.sqrt(body.weights @ np.abs(found - wanted) ** 2) / (scale or 1.0)


def verify(
    problem: Problem,
    form: Form,
    *,
    degree: int = 2,
    scheme: str | None = None,
    seed: int = 0,
    deadline: float | None = None,
) -> list[Orders]:
    """Orders in space and, of problems in time, in time; finer meshes follow where the coarse ones do not show it.

    Raises:
        Diverged: the manufactured problem could not be solved.
        TimeoutError: the deadline passed.
    """
    scheme = scheme or scheme_of(form)
    ladders = {1: [(8, 16, 32), (32, 64, 128)], 2: [(4, 8, 16), (8, 16, 32)], 3: [(2, 4, 6), (4, 6, 8)]}
    found = []
    coarse = ladders[len(form.space)][0][0]
    calm, share = suited(problem, manufacture(problem, form, "space", seed)[0], cells_of(form, coarse), degree, False)
    for cells in ladders[len(form.space)]:
        space = measure_space(calm, form, degree=degree, scheme=scheme, cells=cells, seed=seed, deadline=deadline)
        if all(space.holds(name) for name in space.errors):
            break
    found.append(replace(space, span=share))
    if form.span is not None:
        coarse = 3 if len(form.space) == 1 else 2
        turning = scheme == "midpoint" and (form.fourth_order or any(form.periodic))
        known = manufacture(problem, form, "time", seed)[0]
        calm, share = suited(problem, known, cells_of(form, coarse), degree, turning)
        for first in (8, 32):
            steps = [first, 2 * first, 4 * first, 8 * first]
            stepping = measure_time(
                calm,
                form,
                degree=degree,
                scheme=scheme,
                steps=steps,
                cells=coarse,
                seed=seed,
                deadline=deadline,
            )
            if all(stepping.holds(name) for name in stepping.errors):
                break
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError
        found.append(replace(stepping, span=share))
    return found
