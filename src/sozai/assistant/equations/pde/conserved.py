"""What must be kept, or may only fall: mass, energy, the balance of fluxes, the range of values."""

from __future__ import annotations

import numpy as np
import sympy

from sozai.assistant.equations.pde.discrete import Region, compiled
from sozai.assistant.equations.pde.form import Form
from sozai.assistant.equations.pde.refine import Study
from sozai.assistant.equations.pde.stepping import Run
from sozai.knowledge.verdict import Verdict

ROUNDING = 1e-8
"""Relative change of a conserved quantity that the tolerance of Newton's method can make."""


def conservation(study: Study) -> list[Verdict]:
    """All laws that hold for this problem, judged on its finest run."""
    form, run = study.form, study.best
    made: list[Verdict] = []
    if form.span is None:
        made += _balances(study)
    else:
        made += [verdict for j in range(form.shown) for verdict in _mass(form, run, j)]
        made += _energy_verdicts(study)
        made += [verdict for j in range(form.shown) for verdict in _range(study, j)]
    return made


def integral(run: Run, expression: sympy.Expr, state: np.ndarray, t: float, region: int = 0) -> complex:
    """The integral of an expression in values, slopes and coordinates over the body."""
    place = run.discrete.regions[region]
    fields = run.discrete.parts(state)
    found = compiled([expression], place.arguments)(*place.at(t, fields, [0.0 * f for f in fields]))[0]
    return (place.points.weights * found).sum()


def _rate_alone(form: Form, row: int, j: int) -> sympy.Expr | None:
    """The factor of the rate, when it is a number and no other rate stands there."""
    factor = sympy.diff(form.rest[row], form.rates[j])
    others = [r for k, r in enumerate(form.rates) if k != j]
    if factor == 0 or factor.free_symbols or form.rest[row].has(*others):
        return None
    return factor


def _mass(form: Form, run: Run, j: int) -> list[Verdict]:
    factor = _rate_alone(form, j, j)
    if factor is None or sympy.expand(form.rest[j] - factor * form.rates[j]) != 0:
        return []
    if form.fixed[j] or any(sympy.simplify(flux) != 0 for flux in form.boundary[j].values()):
        return []
    if not any(form.flux[j]):
        return []
    value = form.values[j]
    amounts = np.array([integral(run, value, s, t) for s, t in zip(run.states, run.times, strict=True)])
    size = max(abs(integral(run, sympy.Abs(value), run.states[0], run.times[0])), 1e-300)
    drift = float(np.abs(amounts - amounts[0]).max() / size)
    kept = drift <= ROUNDING
    return [
        Verdict(
            "mass",
            kept,
            f"the integral of {form.names[j]} {'stays' if kept else 'does not stay'} what it was at the "
            f"start: relative change {drift:.1e}, with no flux through the boundary and no source",
            drift,
        )
    ]


def energy_density(form: Form) -> tuple[sympy.Expr, str, bool] | None:
    """Energy per volume, what it must do (``falls`` or ``stays``), and whether it is quadratic.

    Known for gradient flows (Allen-Cahn, Cahn-Hilliard, diffusion) and for waves of one unknown, with natural
    or constant boundary values; else ``None``.
    """
    if form.shown != 1 or form.complex or form.span is None:
        return None
    if any(sympy.simplify(f) != 0 for b in form.boundary for f in b.values()):
        return None
    if any(value.has(form.time) for faces in form.fixed for value in faces.values()):
        return None
    u, slopes = form.values[0], form.slopes[0]
    row = len(form.names) - 1 if form.second_order else 0
    fourth = form.fourth_order
    if fourth and form.second_order:
        return None
    moving = 1 if form.second_order else 0
    factor = _rate_alone(form, row, moving)
    if factor is None:
        return None
    rest = sympy.expand((form.rest[row] - factor * form.rates[moving]) / factor)
    flux = [sympy.expand(-f / factor) for f in form.flux[row]]
    if fourth:
        return _fourth_energy(form, rest, flux)
    damping = sympy.diff(rest, form.values[1]) if form.second_order else sympy.S.Zero
    force = sympy.expand(rest - damping * form.values[1]) if form.second_order else rest
    if damping.free_symbols or force.free_symbols - {u, *form.space} or (damping != 0 and damping < 0):
        return None
    stiff = [sympy.diff(f, s) for f, s in zip(flux, slopes, strict=True)]
    if any(s.free_symbols - set(form.space) for s in stiff):
        return None
    if any(sympy.expand(f - s * d) != 0 for f, s, d in zip(flux, stiff, slopes, strict=True)):
        return None
    potential = _integrated(force, u)
    if potential is None:
        return None
    density = sum(s * d**2 / 2 for s, d in zip(stiff, slopes, strict=True)) + potential
    quadratic = not sympy.diff(force, u).has(u)
    if form.second_order:
        return density + form.values[1] ** 2 / 2, "stays" if damping == 0 else "falls", quadratic
    return density, "falls", quadratic


def _fourth_energy(form: Form, rest: sympy.Expr, flux: list[sympy.Expr]) -> tuple[sympy.Expr, str, bool] | None:
    u, slopes, second = form.values[0], form.slopes[0], form.slopes[1]
    stiff = -sympy.diff(flux[0], second[0])
    curve = sympy.diff(flux[0], slopes[0])
    if rest != 0 or stiff.free_symbols or curve.free_symbols - {u} or form.fixed[0]:
        return None
    if any(sympy.expand(f - curve * a + stiff * b) != 0 for f, a, b in zip(flux, slopes, second, strict=True)):
        return None
    potential = _integrated(curve, u)
    potential = None if potential is None else _integrated(potential, u)
    if potential is None:
        return None
    return stiff * sum(s**2 for s in slopes) / 2 + potential, "falls", False


def _integrated(expression: sympy.Expr, symbol: sympy.Symbol) -> sympy.Expr | None:
    made = sympy.integrate(expression, symbol)
    return None if made.has(sympy.Integral) else made


def _energy_verdicts(study: Study) -> list[Verdict]:
    found = energy_density(study.form)
    if found is None:
        return []
    density, what, quadratic = found
    run = study.best
    energies = np.array([integral(run, density, s, t) for s, t in zip(run.states, run.times, strict=True)])
    size = max(float(np.abs(energies).max()), float(energies.max() - energies.min()), 1e-300)
    if what == "stays":
        drift = float(np.abs(energies - energies[0]).max() / size)
        allowed = ROUNDING if quadratic else 1e-2
        return [
            Verdict(
                "energy",
                drift <= allowed,
                f"the energy {'stays' if drift <= allowed else 'does not stay'} what it was: "
                f"relative change {drift:.1e} (at most {allowed:.0e} is allowed)",
                drift,
            )
        ]
    rise = float(max(np.diff(energies).max(), 0.0) / size)
    fell = rise <= ROUNDING
    return [
        Verdict(
            "energy",
            fell,
            f"the energy {'never rises' if fell else 'rises'}: from {energies[0]:.6g} to "
            f"{energies[-1]:.6g}, largest relative rise between two frames {rise:.1e}",
            rise,
        )
    ]


def _balances(study: Study) -> list[Verdict]:
    """Steady problems: what flows out through the boundary is what the sources give."""
    made = []
    form = study.form
    for row in range(form.shown):
        if not any(form.flux[row]) or study.form.complex or form.names[row].endswith("_laplacian"):
            continue
        cells = [study.cells // 2, study.cells]
        gaps, size = zip(*[_imbalance(study.runs[n, study.steps], row) for n in cells], strict=True)
        if size[-1] == 0:
            continue
        last = gaps[-1] / size[-1]
        holds = last <= ROUNDING or (last <= 0.05 and gaps[-1] <= 0.6 * gaps[0])
        made.append(
            Verdict(
                "flux_balance",
                holds,
                f"the flux of {form.names[row]} through the boundary and the sources inside "
                f"{'balance' if holds else 'do not balance'}: relative gap {last:.1e} on {cells[1]} cells, "
                f"{gaps[0] / size[0]:.1e} on {cells[0]}",
                last,
            )
        )
    return made


def _imbalance(run: Run, row: int) -> tuple[float, float]:
    discrete = run.discrete
    form, fields = discrete.form, discrete.parts(run.states[-1])
    zero = [0.0 * f for f in fields]
    total, size = 0.0, 0.0
    for face, points in [(None, discrete.space.body), *discrete.space.faces.items()]:
        if face is None:
            flow = form.rest[row]
        elif face in form.fixed[row]:
            flow = face[1] * form.flux[row][face[0]]
        else:
            flow = form.boundary[row].get(face, sympy.S.Zero)
        if flow == 0:
            continue
        assert points is not None
        region = Region(form, points, [(row, -1, flow)], discrete.degrees)
        value = points.weights * region.call(*region.at(0.0, fields, zero))[0]
        total, size = total + float(np.sum(value)), size + float(np.abs(value).sum())
    return abs(total), size


def _range(study: Study, j: int) -> list[Verdict]:
    """Diffusion and transport without sources make no new largest or smallest value."""
    form, run = study.form, study.best
    factor = _rate_alone(form, j, j) if not form.second_order and not form.complex else None
    if factor is None or len(form.names) > form.shown or any(sympy.simplify(f) != 0 for f in form.boundary[j].values()):
        return []
    rest = sympy.expand(form.rest[j] - factor * form.rates[j])
    carried = sum(sympy.diff(rest, s) * s for s in form.slopes[j])
    if (
        sympy.expand(rest - carried) != 0
        or any(
            sympy.diff(f, s) != 0
            for f in form.flux[j]
            for k, slopes in enumerate(form.slopes)
            if k != j
            for s in slopes
        )
        or not any(form.flux[j])
    ):
        return []
    axes = [form.space[k] for k in range(len(form.space))]
    for speed in (sympy.diff(rest, s) for s in form.slopes[j]):
        if speed.free_symbols & {*form.slopes[j], *form.rates}:
            return []
    field = run.field(j)
    seen = [field[0].ravel()]
    grid = np.meshgrid(*run.axes(j), indexing="ij")
    for face, value in form.fixed[j].items():
        on = [np.take(g, 0 if face[1] < 0 else -1, axis=face[0]).ravel() for g in grid]
        call = compiled([value], [*axes, form.time])
        seen += [np.broadcast_to(call(*on, t)[0], on[0].shape) for t in np.linspace(run.times[0], run.times[-1], 101)]
    data = np.concatenate(seen)
    beyond = max(float(field.max() - data.max()), float(data.min() - field.min()), 0.0)
    allowed = max(2 * study.error(j), 1e-9 * study.scales[j])
    holds = beyond <= allowed
    return [
        Verdict(
            "maximum_principle",
            holds,
            f"{form.names[j]} {'stays' if holds else 'does not stay'} between its smallest and "
            f"largest initial and boundary value, up to {beyond:.1e}",
            beyond,
            severity="soft",
        )
    ]
