"""Partial differential equations with known solutions: orders measured, errors against what is known, conservation.

python benchmarks/equations_pde.py [--cache FILE] [--only NAME ...]

Each case goes through ``solve_pde`` as a person's problem would; the known solution is used afterwards alone, to
measure the true error, which must lie within the error bar.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from common import Cache, Ticker, machine, table, write_fragment  # first: it sets threads

# isort: split
import numpy as np
import sympy as S

from sozai.assistant.equations.problem import Condition as C
from sozai.assistant.equations.problem import Problem

x, y, z, t = S.symbols("x y z t")
R, pi, exp, sin, cos, sqrt, tanh = S.Rational, S.pi, S.exp, S.sin, S.cos, S.sqrt, S.tanh
COORDINATES = (x, y, z)


def lap(function, dimension):
    return sum(function.diff(axis, 2) for axis in COORDINATES[:dimension])


def grad_dot(a, b, dimension):
    return sum(a.diff(axis) * b.diff(axis) for axis in COORDINATES[:dimension])


class Case:
    """A problem with its known solution by unknown."""

    def __init__(self, name, exact, equations, box, span=None, kinds="dirichlet", family="", share=None):
        """``equations``: a function of the unknowns that gives expressions that vanish, without sources.

        ``kinds``: of the condition on every face, or by face. What the exact solution leaves of an equation is its
        source; conditions follow from it.
        """
        dimension = len(box)
        space = COORDINATES[:dimension]
        self.name, self.exact = name, {k: S.sympify(v) for k, v in exact.items()}
        self.dimension = dimension
        coordinates = (*space, t) if span else space
        functions = {k: S.Function(k)(*coordinates) for k in exact}
        written = equations(*functions.values())
        left = []
        for expression in written:
            swapped = expression.subs({functions[k]: v for k, v in self.exact.items()}).doit()
            left.append(S.simplify(swapped) if swapped != 0 else swapped)
        self.manufactured = any(source != 0 for source in left)
        conditions = []
        order = 2 if any(e.has(*[f.diff(t, 2) for f in functions.values()]) for e in written) and span else 1
        for k, function in functions.items():
            rated = span and any(e.has(function.diff(t), function.diff(t, 2)) for e in written)
            for number in range(order if rated else 0):
                conditions.append(
                    C(
                        "initial",
                        k,
                        "t",
                        self.exact[k].diff(t, number).subs(t, span[0]) if number else self.exact[k].subs(t, span[0]),
                        number,
                    )
                )
            for axis, ends in zip(space, box, strict=True):
                for mark, end, side in (("-", ends[0], -1), ("+", ends[1], 1)):
                    conditions += self._face(k, axis, mark, end, side, kinds, share)
        domain = {str(a): b for a, b in zip(space, box, strict=True)} | ({"t": span} if span else {})
        self.problem = Problem(
            name,
            "pde",
            family,
            tuple(S.Eq(e, s) for e, s in zip(written, left, strict=True)),
            tuple(exact),
            t if span else None,
            space,
            domain,
            tuple(conditions),
        )

    def _face(self, k, axis, mark, end, side, kinds, share):
        kind = (
            kinds.get((k, f"{axis}{mark}"), kinds.get(f"{axis}{mark}", kinds.get(k, "dirichlet")))
            if isinstance(kinds, dict)
            else kinds
        )
        value = self.exact[k].subs(axis, end)
        slope = (side * self.exact[k].diff(axis)).subs(axis, end)
        made = []
        for each in kind.split("+"):
            where = f"{axis}{mark}"
            if each == "periodic":
                made.append(C("periodic", k, where))
            elif each == "dirichlet":
                made.append(C("dirichlet", k, where, value))
            elif each == "neumann":
                made.append(C("neumann", k, where, S.simplify(slope)))
            elif each == "robin":
                made.append(C("robin", k, where, S.simplify(slope + share * value), 0, S.sympify(share)))
        return made


def cases() -> list[Case]:
    """All cases, in the order of the table."""
    unit = (0, 1)
    made = [
        Case("heat 1-D", {"u": exp(-(pi**2) * t) * sin(pi * x)}, lambda u: [u.diff(t) - lap(u, 1)], [unit], (0, 0.1)),
        Case(
            "heat 2-D",
            {"u": exp(-2 * pi**2 * t) * sin(pi * x) * sin(pi * y)},
            lambda u: [u.diff(t) - lap(u, 2)],
            [unit] * 2,
            (0, 0.05),
        ),
        Case(
            "heat 3-D",
            {"u": exp(-3 * pi**2 * t) * sin(pi * x) * sin(pi * y) * sin(pi * z)},
            lambda u: [u.diff(t) - lap(u, 3)],
            [unit] * 3,
            (0, 0.02),
        ),
        Case(
            "Fick, flux through both ends",
            {"c": x + exp(-(pi**2) * t / 5) * cos(pi * x)},
            lambda c: [c.diff(t) - lap(c, 1) / 5],
            [unit],
            (0, 1),
            "neumann",
        ),
        Case(
            "Fick, no flux",
            {"c": 1 + exp(-5 * pi**2 * t / 2) * cos(pi * x) * cos(2 * pi * y) / 2},
            lambda c: [c.diff(t) - lap(c, 2) / 2],
            [unit] * 2,
            (0, 0.1),
            "neumann",
        ),
        Case(
            "diffusivity that depends on c",
            {"c": 1 + exp(-t) * cos(x) / 2},
            lambda c: [c.diff(t) - ((1 + c**2) * c.diff(x)).diff(x)],
            [(0, 2)],
            (0, 1),
            {"x-": "neumann"},
        ),
        Case(
            "heat, Robin",
            {"u": exp(-t) * cos(x)},
            lambda u: [u.diff(t) - lap(u, 1)],
            [unit],
            (0, 1),
            {"x-": "neumann", "x+": "robin"},
            share=2,
        ),
        Case(
            "heat, boundary in time (Stokes' second problem)",
            {"u": exp(-2 * x) * cos(8 * t - 2 * x)},
            lambda u: [u.diff(t) - lap(u, 1)],
            [(0, 2)],
            (0, 1),
        ),
        Case(
            "Fisher, travelling wave",
            {"u": (1 + exp((x - 5 * t / sqrt(6)) / sqrt(6))) ** -2},
            lambda u: [u.diff(t) - lap(u, 1) - u * (1 - u)],
            [(-10, 20)],
            (0, 4),
        ),
        Case(
            "Nagumo, travelling wave",
            {"u": 1 / (1 + exp((x - sqrt(2) * t / 4) / sqrt(2)))},
            lambda u: [u.diff(t) - lap(u, 1) - u * (1 - u) * (u - R(1, 4))],
            [(-10, 15)],
            (0, 8),
        ),
        Case(
            "Gray-Scott 2-D, manufactured",
            {
                "u": 1 - cos(pi * x) * cos(pi * y) * exp(-t) / 3,
                "v": R(1, 4) + cos(pi * x) * cos(2 * pi * y) * sin(1 + t) / 5,
            },
            lambda u, v: [
                u.diff(t) - lap(u, 2) / 50 + u * v**2 - R(4, 100) * (1 - u),
                v.diff(t) - lap(v, 2) / 100 - u * v**2 + R(1, 10) * v,
            ],
            [unit] * 2,
            (0, 1),
            "neumann",
        ),
        Case(
            "Allen-Cahn, tanh front",
            {"u": tanh(x / (sqrt(2) * R(1, 10)))},
            lambda u: [u.diff(t) - lap(u, 1) / 100 - u + u**3],
            [(-1, 1)],
            (0, 1),
        ),
        Case(
            "Allen-Cahn 2-D, manufactured",
            {"u": cos(pi * x) * cos(pi * y) * exp(-t)},
            lambda u: [u.diff(t) - lap(u, 2) / 20 - u + u**3],
            [unit] * 2,
            (0, 0.5),
            "neumann",
        ),
        Case(
            "Cahn-Hilliard 1-D, tanh front",
            {"c": tanh(x / (sqrt(2) * R(1, 5)))},
            lambda c: [c.diff(t) - lap(c**3 - c - lap(c, 1) / 25, 1)],
            [(-1, 1)],
            (0, 0.2),
            "dirichlet+neumann",
        ),
        Case(
            "Cahn-Hilliard 2-D, manufactured",
            {"c": R(1, 5) + cos(pi * x) * cos(pi * y) * exp(-t) / 5},
            lambda c: [c.diff(t) - lap(c**3 - c - lap(c, 2) / 50, 2)],
            [unit] * 2,
            (0, 0.5),
            "neumann",
        ),
        Case("Poisson 1-D", {"u": x * exp(-2 * x)}, lambda u: [-lap(u, 1)], [unit]),
        Case("Poisson 2-D", {"u": sin(pi * x) * sin(pi * y)}, lambda u: [-lap(u, 2)], [unit] * 2),
        Case(
            "Poisson 2-D, flux given all round",
            {"u": cos(pi * x) * cos(pi * y) + x * y**2},
            lambda u: [-lap(u, 2)],
            [unit] * 2,
            None,
            "neumann",
        ),
        Case("Poisson 3-D", {"u": sin(pi * x) * sin(pi * y) * exp(z)}, lambda u: [-lap(u, 3)], [unit] * 3),
        Case(
            "Poisson, conductivity 1 + x y",
            {"u": sin(2 * x) * cos(y)},
            lambda u: [-sum(((1 + x * y) * u.diff(a)).diff(a) for a in (x, y))],
            [unit] * 2,
        ),
        Case("Helmholtz 2-D", {"u": sin(3 * x) * cos(2 * y)}, lambda u: [lap(u, 2) + 25 * u], [unit] * 2),
        Case(
            "Helmholtz, complex, absorbing end",
            {"u": exp(5 * S.I * x)},
            lambda u: [lap(u, 1) + 25 * u],
            [unit],
            None,
            {"x+": "robin"},
            share=-5 * S.I,
        ),
        Case("wave 1-D", {"u": cos(pi * t) * sin(pi * x)}, lambda u: [u.diff(t, 2) - lap(u, 1)], [unit], (0, 1)),
        Case(
            "wave 2-D",
            {"u": cos(sqrt(2) * pi * t) * cos(pi * x) * cos(pi * y)},
            lambda u: [u.diff(t, 2) - lap(u, 2)],
            [unit] * 2,
            (0, 0.5),
            "neumann",
        ),
        Case(
            "Burgers, travelling wave",
            {"u": (1 - tanh((x - t / 2) * R(5, 2))) / 2},
            lambda u: [u.diff(t) + u * u.diff(x) - lap(u, 1) / 10],
            [(-2, 3)],
            (0, 1),
        ),
        Case(
            "advection-diffusion, periodic",
            {"u": 1 + exp(-(pi**2) * t / 25) * sin(2 * pi * (x - t))},
            lambda u: [u.diff(t) + u.diff(x) - lap(u, 1) / 100],
            [unit],
            (0, 1),
            "periodic",
        ),
        Case(
            "advection-diffusion, boundary layer",
            {"u": (exp(20 * x) - 1) / (exp(S.Integer(20)) - 1)},
            lambda u: [u.diff(x) - lap(u, 1) / 20],
            [unit],
        ),
        Case(
            "Schroedinger, periodic",
            {"u": exp(S.I * (2 * pi * x - 4 * pi**2 * t))},
            lambda u: [S.I * u.diff(t) + lap(u, 1)],
            [unit],
            (0, 0.1),
            "periodic",
        ),
        Case(
            "elasticity 2-D",
            {"u": sin(pi * x) * y**2, "v": x * cos(y) * exp(x) / 3},
            lambda u, v: elastic([u, v], R(6, 5), R(4, 5)),
            [unit] * 2,
            None,
            {("u", "x+"): "dirichlet"},
            "linear-elasticity",
        ),
        Case(
            "elasticity 3-D",
            {"u": sin(x + y) * z, "v": x * y * exp(z), "w": cos(x) * sin(y + z)},
            lambda u, v, w: elastic([u, v, w], R(6, 5), R(4, 5)),
            [unit] * 3,
            None,
            "dirichlet",
            "linear-elasticity",
        ),
        Case(
            "Stokes 2-D",
            {
                "u": sin(pi * x) ** 2 * sin(2 * pi * y),
                "v": -sin(2 * pi * x) * sin(pi * y) ** 2,
                "p": cos(pi * x) * sin(pi * y),
            },
            lambda u, v, p: [-lap(u, 2) + p.diff(x), -lap(v, 2) + p.diff(y), u.diff(x) + v.diff(y)],
            [unit] * 2,
            None,
            {"p": ""},
            "stokes",
        ),
        Case(
            "Poisson-Nernst-Planck 1-D, manufactured",
            {
                "a": 1 + cos(pi * x) * exp(-t) / 3,
                "b": 1 - cos(pi * x) * exp(-t) / 4,
                "phi": (1 - x) * cos(t) + x**2 / 2,
            },
            lambda a, b, phi: [
                a.diff(t) - (a.diff(x) + a * phi.diff(x)).diff(x),
                b.diff(t) - (b.diff(x) - b * phi.diff(x)).diff(x),
                -lap(phi, 1) / 5 - a + b,
            ],
            [unit],
            (0, 0.5),
            {"a": "neumann", "b": "neumann"},
        ),
    ]
    return made


def elastic(moved, lame, shear):
    """Navier's equations by components."""
    space = COORDINATES[: len(moved)]
    opened = sum(u.diff(a) for u, a in zip(moved, space, strict=True))
    return [
        S.expand((shear * lap(u, len(moved)) + (lame + shear) * opened.diff(a)).doit())
        for u, a in zip(moved, space, strict=True)
    ]


def true_error(case: Case, solution) -> dict[str, float]:
    """Largest error by unknown over the given nodes and frames."""
    names = list(solution.axes)
    grids = np.meshgrid(*solution.axes.values(), indexing="ij")
    symbols = [S.Symbol(name) for name in names]
    found = {}
    for name, exact in case.exact.items():
        wanted = np.broadcast_to(np.asarray(S.lambdify(symbols, exact, "numpy")(*grids)), grids[0].shape)
        if name in solution.values:
            ours = solution.values[name]
        else:
            ours = solution.values[f"Re({name})"] + 1j * solution.values[f"Im({name})"]
        if name == "p" or "all round" in case.name:  # known up to a constant
            weight = simpson_weights(solution)
            ours = ours - (weight * ours).sum() / weight.sum()
            wanted = wanted - (weight * wanted).sum() / weight.sum()
        found[name] = float(np.abs(ours - wanted).max())
    return found


def simpson_weights(solution) -> np.ndarray:
    made = np.ones(1)
    for spots in solution.axes.values():
        weight = np.full(len(spots), 2.0)
        weight[1::2] = 4.0
        weight[[0, -1]] = 1.0
        made = np.multiply.outer(made, weight)
    return made[0]


def measure(case: Case, minutes: float) -> dict:
    """One row."""
    from sozai.assistant.equations.pde import solve_pde

    began = time.process_time()
    solution = solve_pde(case.problem, minutes=minutes)
    spent = time.process_time() - began
    errors = true_error(case, solution)
    bars = {name: solution.error.get(name, solution.error.get(f"Re({name})", 0.0)) for name in errors}
    scales = {
        name: float(np.ptp(np.abs(solution.values.get(name, solution.values.get(f"Re({name})")))) or 1.0)
        for name in errors
    }
    laws = ("mass", "energy", "flux_balance", "maximum_principle")
    return {
        "proven": solution.proven,
        "method": f"{solution.extra['scheme']}, Q{solution.extra['degree']}",
        "resolution": f"{'x'.join(map(str, solution.extra['cells']))}"
        + (f", {solution.extra['steps']} steps" if solution.extra["scheme"] != "steady" else ""),
        "orders": [{k: o[k] for k in ("kind", "theory", "measured")} for o in solution.extra["orders"]],
        "error": max(errors[n] / scales[n] for n in errors),
        "bar": max(bars[n] / scales[n] for n in errors),
        "within": all(errors[n] <= max(bars[n], 1e-9 * scales[n]) for n in errors),
        "laws": {v.rule: [v.passed, v.amount] for v in solution.verdicts if v.rule in laws},
        "second": next(v.passed for v in solution.verdicts if v.rule == "second_method"),
        "residual": next((v.passed for v in solution.verdicts if v.rule == "residual"), None),
        "closed": next((v.passed for v in solution.verdicts if v.rule == "closed_form"), None),
        "failed": [v.rule for v in solution.verdicts if v.passed is False],
        "seconds": spent,
    }


def shown(orders: list[dict], kind: str, what: str) -> str:
    for entry in orders:
        if entry["kind"] == kind:
            return "/".join(f"{v:.2f}" if what == "measured" else str(v) for v in entry[what].values())
    return "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="Not needed: the cases are known solutions.")
    parser.add_argument("--cache", type=Path, help="JSON lines; cases in it are not solved again.")
    parser.add_argument("--only", nargs="*", help="Names of cases.")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/equations_pde.md"))
    arguments = parser.parse_args()
    cache = Cache(arguments.cache)
    chosen = [case for case in cases() if not arguments.only or case.name in arguments.only]
    ticker = Ticker("cases")
    for number, case in enumerate(chosen):
        if case.name not in cache:
            try:
                cache.add(case.name, measure(case, arguments.minutes))
            except Exception as error:  # a case that fails is a row that says so
                cache.add(case.name, {"broken": f"{type(error).__name__}: {error}"})
                print(case.name, cache[case.name]["broken"], flush=True)
        ticker(number + 1, len(chosen))
    rows, proven, within, right = [], 0, 0, 0
    word = {True: "yes", False: "NO", None: "–"}
    for case in chosen:
        row = cache[case.name]
        if "broken" in row:
            rows.append([case.name, row["broken"], *["–"] * 10])
            continue
        good = all(o["measured"][n] >= o["theory"][n] - 0.3 for o in row["orders"] for n in o["theory"])
        proven, within, right = proven + row["proven"], within + row["within"], right + good
        laws = ", ".join(f"{k.replace('_', ' ')} {v[1]:.0e}{'' if v[0] else ' FAILED'}" for k, v in row["laws"].items())
        rows.append(
            [
                case.name + (" *" if case.manufactured else ""),
                f"{row['method']}; {row['resolution']}",
                shown(row["orders"], "space", "theory"),
                shown(row["orders"], "space", "measured"),
                shown(row["orders"], "time", "theory"),
                shown(row["orders"], "time", "measured"),
                f"{row['error']:.1e}",
                f"{row['bar']:.1e}",
                laws or "–",
                word[row["second"]],
                word[row["proven"]],
                f"{row['seconds']:.1f}",
            ]
        )
    head = [
        "case",
        "method; cells",
        "order in space: theory",
        "measured",
        "order in time: theory",
        "measured",
        "true error",
        "error bar",
        "laws kept (change)",
        "second method agrees",
        "proven",
        "CPU s",
    ]
    total = sum(cache[case.name].get("seconds", 0.0) for case in chosen)
    summary = (
        f"{len(chosen)} cases: {right} with every order right (no more than 0.3 below theory), {within} with the true "
        f"error within the error bar, {proven} proven as a whole; {total:.0f} CPU seconds on one core. Wanted: 1e-3 of "
        "the range of each unknown. Errors and bars are relative to that range; the true error is the largest over all "
        "given nodes and times, against the known solution, which the solver is not told. `*`: the source that the "
        "known solution needs is part of the problem. A dash under `second method`: there was none."
    )
    write_fragment(arguments.out, "Partial differential equations with known solutions", [summary, table(head, rows)])
    print(machine())


if __name__ == "__main__":
    main()
