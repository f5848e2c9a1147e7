"""The person's own problem on finer and finer meshes and steps: an error bar, and the order seen on the way.

The error bar is Richardson's: differences between three meshes, and between three numbers of steps, extrapolated
with the smaller of the seen and the theoretical order, times a factor of safety (Roache 1994: 1.25 where the order
is the theoretical one, 3 otherwise).
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sozai.assistant.equations.pde.discrete import Diverged
from sozai.assistant.equations.pde.form import Form
from sozai.assistant.equations.pde.orders import cells_of
from sozai.assistant.equations.pde.space import refine
from sozai.assistant.equations.pde.stepping import ORDERS, Run, compute

FRAMES = 20
"""Intervals between the states that are kept."""
SAFE, UNSAFE = 1.25, 3.0
NEAR = 0.5
"""How far the seen order may lie below the theoretical one to count as being in the range where theory holds."""
COARSEST = {1: 8, 2: 4, 3: 2}
MOST_NUMBERS = {1: 20_000, 2: 45_000, 3: 22_000}
"""Numbers at the nodes of a mesh, at most (memory)."""


@dataclass(frozen=True)
class Convergence:
    """Differences between runs of one field.

    Attributes:
        sizes: cells along the shortest axis, or steps, of the finer of each pair.
        gaps: largest difference between neighbours.
        order: that is seen; ``inf`` where the differences are rounding.
        theory: order that the scheme should have.
        error: estimated error of the finest.
        mean_order: the order seen in the mean square, less bound to single points.
    """

    sizes: list[int]
    gaps: list[float]
    order: float
    theory: int
    error: float
    mean_order: float

    @property
    def holds(self) -> bool:
        """Whether the order is near the theoretical one."""
        return max(self.order, self.mean_order) >= self.theory - NEAR


@dataclass
class Study:
    """All runs of a problem.

    Attributes:
        form: the weak form.
        degree: of the elements.
        scheme: in time.
        grading: of the time steps.
        runs: by cells and steps.
        cells, steps: of the finest run.
        in_space, in_time: convergence by unknown.
        scales: range of each unknown.
        reached: whether the tolerance was reached.
        why: why refinement ended, when the tolerance was not reached.
    """

    form: Form
    degree: int
    scheme: str
    grading: float = 1.0
    runs: dict[tuple[int, int], Run] = field(default_factory=dict)
    cells: int = 0
    steps: int = 0
    in_space: list[Convergence] = field(default_factory=list)
    in_time: list[Convergence] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)
    reached: bool = False
    why: str = ""

    @property
    def best(self) -> Run:
        """The finest run."""
        return self.runs[self.cells, self.steps]

    def error(self, j: int) -> float:
        """Estimated largest error of an unknown over all nodes and all frames after the start."""
        return self.in_space[j].error + (self.in_time[j].error if self.in_time else 0.0)

    def thinning(self) -> list[int]:
        """Every how manieth node of each axis is given in the solution: as many as a plot can show."""
        most = {1: 257, 2: 65, 3: 17}[len(self.form.space)]
        made = []
        for count in self.best.discrete.space.cells:
            step = 2 if self.form.lower else 1  # a pressure lives on the vertices alone
            while self.degree * count // step + 1 > most and (self.degree * count) % (2 * step) == 0:
                step *= 2
            made.append(step)
        return made


def study(
    form: Form,
    *,
    degree: int,
    scheme: str,
    tolerance: float,
    deadline: float,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> Study:
    """Refine until the error bar is below ``tolerance`` times the range of each unknown, or time is up.

    Args:
        form: the weak form.
        degree: of the elements.
        scheme: in time.
        tolerance: relative to each unknown's range.
        deadline: ``time.monotonic()`` after which nothing new begins.
        on_progress: told (levels done, levels foreseen, what).

    Raises:
        Diverged: no resolution gives finite numbers.
        TimeoutError: the deadline passed before there were three meshes.
    """
    made = Study(form, degree, scheme)
    steady = form.span is None
    cells = 4 * COARSEST[len(form.space)]
    steps = 1 if steady else 4 * FRAMES
    cells, steps = _begin(made, cells, steps, deadline)
    level = 0
    while True:
        made.cells, made.steps = cells, steps
        _converge(made)
        worst = [made.error(j) / made.scales[j] for j in range(form.shown)]
        level += 1
        if on_progress is not None:
            on_progress(level, level + 1, f"{cells} cells, {steps} steps: error bar {max(worst):.1e} of the range")
        if max(worst) <= tolerance:
            made.reached = True
            return made
        space = max(c.error / s for c, s in zip(made.in_space, made.scales, strict=True))
        stepping = max((c.error / s for c, s in zip(made.in_time, made.scales, strict=False)), default=0.0)
        if stepping > tolerance / 2 and level == 1 and _starts_abruptly(made):
            _regrade(made, cells, steps, deadline)
            continue
        finer = (2 * cells if space > tolerance / 2 else cells, 2 * steps if stepping > tolerance / 2 else steps)
        made.why = _too_much(made, finer, deadline)
        if made.why:
            return made
        try:
            _need(made, finer[0], finer[1], deadline)
        except TimeoutError:
            made.why = "the time was up"
            made.cells, made.steps = cells, steps
            return made
        cells, steps = finer


def _begin(made: Study, cells: int, steps: int, deadline: float) -> tuple[int, int]:
    """The first five runs; with more steps where few give no finite numbers."""
    for more in (1, 4, 16):
        try:
            _need(made, cells, steps * more, deadline)
        except Diverged:
            if made.form.span is None or more == 16:
                raise
        except TimeoutError:
            raise TimeoutError("the time was up before the first three meshes were solved") from None
        else:
            return cells, steps * more
    raise AssertionError


def _need(made: Study, cells: int, steps: int, deadline: float) -> None:
    """Compute what the estimate of this resolution needs."""
    pairs = [(cells // 4, steps), (cells // 2, steps), (cells, steps)]
    if made.form.span is not None:
        pairs += [(cells, steps // 4), (cells, steps // 2)]
    for pair in pairs:
        if pair not in made.runs:
            made.runs[pair] = compute(
                made.form,
                cells_of(made.form, pair[0]),
                pair[1],
                frames=FRAMES if made.form.span else 1,
                degree=made.degree,
                scheme=made.scheme,
                grading=made.grading,
                deadline=deadline,
            )


def _too_much(made: Study, finer: tuple[int, int], deadline: float) -> str:
    """Why the next refinement is not begun, or nothing."""
    dimension = len(made.form.space)
    ratio = finer[0] / made.cells
    numbers = made.best.discrete.size * ratio**dimension
    if numbers > MOST_NUMBERS[dimension]:
        return f"the next mesh has {numbers:,.0f} numbers, more than sozai takes on"
    cost = made.best.seconds * ratio ** (dimension * (1.5 if dimension > 1 else 1.0)) * (finer[1] / made.steps)
    if time.monotonic() + 2.0 * cost > deadline:
        return f"the next refinement would take about {2 * cost:.0f} s, more than is left of the time"
    return ""


def _converge(made: Study) -> None:
    """Orders and error bars of the finest resolution; the start itself is data, not a result."""
    first = 0 if made.form.span is None else 1
    cells, steps = made.cells, made.steps
    made.in_space, made.in_time = [], []
    made.scales = [scale_of(made.best.field(j)) for j in range(made.form.shown)]
    if made.form.traction:  # components of one vector share a scale
        moved = len(made.form.space)
        made.scales[:moved] = [max(made.scales[:moved])] * moved
    for j in range(made.form.shown):
        fields = [made.runs[n, steps].field(j)[first:] for n in (cells // 4, cells // 2, cells)]
        degree = made.runs[cells, steps].discrete.degrees[j]
        gaps = [_gap(refine(a, degree, 1), b) for a, b in itertools.pairwise(fields)]
        made.in_space.append(
            _estimate([cells // 2, cells], gaps, made.form.order_in_space(j, made.degree), made.scales[j])
        )
        if made.form.span is not None:
            fields = [made.runs[cells, m].field(j)[first:] for m in (steps // 4, steps // 2, steps)]
            gaps = [_gap(a, b) for a, b in itertools.pairwise(fields)]
            made.in_time.append(_estimate([steps // 2, steps], gaps, ORDERS[made.scheme], made.scales[j]))


def scale_of(values: np.ndarray) -> float:
    """The range of a field; where it hardly varies, its size."""
    real = np.stack([values.real, values.imag]) if np.iscomplexobj(values) else values
    return max(float(real.max() - real.min()), 1e-3 * float(np.abs(values).max()), 1e-300)


def _gap(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    difference = np.abs(a - b)
    return float(difference.max()), float(np.sqrt((difference**2).mean()))


def _estimate(sizes: list[int], gaps: list[tuple[float, float]], theory: int, scale: float) -> Convergence:
    (coarse, coarse_mean), (fine, fine_mean) = gaps
    rounding = 1e-9 * scale
    if fine <= rounding:
        return Convergence(sizes, [coarse, fine], math.inf, theory, SAFE * fine, math.inf)
    order = math.log2(coarse / fine) if coarse > 0 else 0.0
    mean_order = math.log2(coarse_mean / fine_mean) if coarse_mean > 0 else 0.0
    used = min(order, theory)
    factor = SAFE if order >= theory - NEAR else UNSAFE
    # Below order one half, three runs do not yet show where they lead to.
    error = factor * fine / (2 ** max(used, 0.5) - 1.0)
    return Convergence(sizes, [coarse, fine], order, theory, error, mean_order)


def _starts_abruptly(made: Study) -> bool:
    """Whether the first frames hold the largest part of the error in time: the start is not smooth."""
    for j in range(made.form.shown):
        fine, coarse = (made.runs[made.cells, m].field(j) for m in (made.steps, made.steps // 2))
        by_frame = np.abs(fine - coarse).reshape(len(fine), -1).max(1)
        if by_frame.max() > 0 and by_frame.argmax() <= 2 and by_frame[:3].max() > 3 * by_frame[5:].max():
            return True
    return False


def _regrade(made: Study, cells: int, steps: int, deadline: float) -> None:
    """Short steps at the start; kept only when the error in time is then smaller."""
    other = Study(made.form, made.degree, made.scheme, 3.0)
    try:
        _need(other, cells, steps, deadline)
    except (Diverged, TimeoutError):
        return
    other.cells, other.steps = cells, steps
    _converge(other)
    if max(c.error for c in other.in_time) < max(c.error for c in made.in_time):
        made.grading, made.runs = other.grading, other.runs
