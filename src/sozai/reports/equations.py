"""A solved equation as one page: the answer with its error bar, pictures, a film, the proof and the script."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from sozai.assistant.equations.results import as_statement, at_the_end
from sozai.reports import charts
from sozai.reports.equations_pictures import pictures, unit_of
from sozai.reports.page import (
    Section,
    beside,
    bullets,
    details,
    heading,
    join,
    paragraph,
    picture,
    render_page,
    table,
    write_page,
)

if TYPE_CHECKING:
    from sozai.assistant.equations.problem import Solution

_PEOPLE = (
    *("Fick", "Fisher", "Gray", "Scott", "Allen", "Cahn", "Hilliard", "Laplace", "Poisson", "Helmholtz"),
    *("Burgers", "Stokes", "Nernst", "Planck"),
)
_EQUATIONS = ("heat", "wave", "fisher", "allen", "cahn", "laplace", "poisson", "helmholtz", "burgers")
LONGEST_VALUE = 200
"""Characters of a condition's value that is shown whole."""


def solution_report(solution: Solution, path: str | Path, manifest: Mapping[str, Any] | None = None) -> Path:
    """Write the page of a solution of an ordinary or partial differential equation.

    Args:
        solution: numbers, error bar and verdicts.
        path: the file, or a folder that gets ``report.html``.
        manifest: ``manifest.json`` of the run.

    Raises:
        UserError: the file cannot be written.
    """
    target = Path(path)
    target = target if target.suffix == ".html" else target / "report.html"
    failed = [v for v in solution.verdicts if v.passed is False and v.severity == "hard"]
    unreached = [v for v in solution.verdicts if v.passed is not True and v.rule == "tolerance"]
    if failed:
        verdict = f"Not proven: {failed[0].message}."
    elif unreached:
        verdict = f"Solved, but: {unreached[0].message}."
    elif solution.proven:
        verdict = f"Solved and proven: {sum(v.passed is True for v in solution.verdicts)} checks held, none failed."
    else:
        verdict = "Solved, but nothing could be checked."
    facts = {
        f"{row['what']} ({row['where']})" if "where" in row else row["what"]: _with_error(row)
        for row in at_the_end(solution)
    }
    sections = [_statement(solution), *pictures(solution), _proof(solution)]
    orders = _orders(solution)
    sections += [orders] if orders is not None else []
    sections.append(_script(solution))
    page = render_page(
        _title(solution),
        sections,
        lead=solution.method,
        verdict=verdict,
        good=solution.proven and not unreached,
        facts=dict(list(facts.items())[:4]),
        manifest=manifest,
    )
    return write_page(target, _allowed(page))


def _allowed(page: str) -> str:
    """The page with its own films, and no other script, allowed by its content security policy."""
    bodies = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    sums = dict.fromkeys(base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in bodies)
    if not sums:
        return page
    sources = " ".join(f"'sha256-{each}'" for each in sums)
    return page.replace("default-src 'none';", f"default-src 'none'; script-src {sources};", 1)


def _title(solution: Solution) -> str:
    problem = solution.problem
    if problem.name == "fick":
        return "Fick's second law"
    if not problem.name:
        kind = {"ode": "Ordinary differential", "dae": "Differential-algebraic", "pde": "Partial differential"}
        return f"{kind[problem.kind]} equation{'s' * (len(problem.equations) > 1)}"
    by_name = {name.lower(): name for name in _PEOPLE} | {"kpp": "KPP"}
    words = problem.name.split("-")
    mark = "-" if words[0] in by_name else " "
    name = mark.join(by_name.get(word, word) for word in words)
    equation = " equation" if words[0] in _EQUATIONS else ""
    return f"{name[0].upper()}{name[1:]}{equation}"


def _with_error(row: Mapping[str, Any]) -> str:
    """A value with as many digits as its error bar lets stand, and one more; seven at most."""
    value, error = row["value"], row["error"]
    digits = 10 if not error or not value else math.floor(math.log10(abs(value))) - math.floor(math.log10(error)) + 2
    unit = f" {row['unit']}" if "unit" in row else ""
    return f"{value:.{min(max(digits, 2), 7)}g} ± {error:.1e}{unit}"


def _statement(solution: Solution) -> Section:
    problem = solution.problem
    parts = [heading("As it was asked"), Markup("<pre>{}</pre>").format(problem.text)]
    parts += [heading("As it was read"), bullets([f"{_short(e.lhs)} = {_short(e.rhs)}" for e in problem.equations])]
    if problem.conditions:
        parts += [heading("Conditions"), bullets([_first_terms(line) for line in as_statement(problem)["conditions"]])]
    numbers = [[name, value, unit_of(solution, name)] for name, value in problem.parameters.items()]
    numbers += [[name, f"{low:g} to {high:g}", unit_of(solution, name)] for name, (low, high) in problem.domain.items()]
    if numbers:
        parts.append(table(["name", "number", "unit"], numbers))
    for name, text in solution.closed_form.items():
        parts += [heading(f"Closed form of {name}"), Markup("<pre>{}</pre>").format(text)]
    notes = list(dict.fromkeys([*problem.notes, *solution.notes]))
    if notes:
        parts += [heading("What was assumed, and warnings"), bullets(notes)]
    return Section("The problem", "", join(*parts))


def _first_terms(line: str) -> str:
    """A condition; of a long one, such as the waves of a random start, its beginning."""
    if len(line) <= LONGEST_VALUE:
        return line
    return f"{line[: LONGEST_VALUE // 2]} ... {line[-40:]} (all of it is in result.json)"


def _short(expression: Any) -> str:
    """An expression with ``u_xx`` for a second derivative and ``u`` for ``u(x, t)``."""
    import sympy
    from sympy.core.function import AppliedUndef

    def swap(part: Any) -> Any:
        if isinstance(part, AppliedUndef):
            return sympy.Symbol(part.func.__name__)
        if isinstance(part, sympy.Derivative):
            letters = "".join(str(variable) * int(count) for variable, count in part.variable_count)
            inner = swap(part.expr)
            return sympy.Symbol(f"{inner}_{letters}" if inner.is_Symbol else f"({inner})_{letters}")
        return part.func(*(swap(each) for each in part.args)) if part.args else part

    return str(swap(sympy.sympify(expression)))


def _proof(solution: Solution) -> Section:
    marks = {True: "held", False: "FAILED", None: "not decided"}
    rows = [[v.rule.replace("_", " "), marks[v.passed], v.message] for v in solution.verdicts]
    body = join(paragraph(solution.shown), table(["check", "outcome", "what was found"], rows))
    return Section("What was shown", "", body)


def _script(solution: Solution) -> Section:
    body = details("the script", Markup("<pre>{}</pre>").format(solution.script))
    return Section("A script that makes the same numbers", "It needs the named libraries alone, not sozai.", body)


def _orders(solution: Solution) -> Section | None:
    """Convergence plots with the slope of theory."""
    drawn = []
    for entry in solution.extra.get("orders", ()):
        if not isinstance(entry, Mapping) or "errors" not in entry or "sizes" not in entry:
            continue
        drawn.append(_order_picture(entry))
    if not drawn:
        return None
    lead = "Errors of a manufactured solution of the same operator against the size of cells or steps; theory is drawn "
    return Section("Order of convergence", lead + "through the last point.", beside(*drawn))


def _order_picture(entry: Mapping[str, Any]) -> Markup:
    sizes = np.asarray(entry["sizes"], float)
    series = {name: (sizes, np.asarray(errors, float)) for name, errors in entry["errors"].items()}
    seen: set[int] = set()
    for name, order in entry["theory"].items():
        errors = np.asarray(entry["errors"][name], float)
        if order not in seen and errors[-1] > 0:
            series[f"theory: order {order}"] = (sizes, errors[-1] * (sizes / sizes[-1]) ** order)
            seen.add(order)
    label = "size of the cells" if entry["kind"] == "space" else "size of the time steps"
    measured = ", ".join(f"{name}: {order:.2f}" for name, order in entry["measured"].items())
    drawn = charts.lines(series, label, "relative error", log_x=True, log_y=True)
    return picture(drawn, f"Order in {entry['kind']}: {measured}.")
