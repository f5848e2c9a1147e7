"""A solution as plain data, and the folder of a run."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import sympy

from sozai.assistant.equations.problem import Condition, Problem, Solution
from sozai.files import atomic, output_folder, write_json


def as_statement(problem: Problem) -> dict[str, Any]:
    """The problem as lines a person can read."""
    arguments = ", ".join(map(str, [*problem.space, *([problem.time] if problem.time is not None else [])]))
    domain = [f"{low:g} < {name} < {high:g}{_unit(problem, name)}" for name, (low, high) in problem.domain.items()]
    return {
        "text": problem.text,
        "kind": problem.kind,
        "name": problem.name,
        "equations": [f"{e.lhs} = {e.rhs}".replace(f"({arguments})", "") for e in problem.equations],
        "conditions": [_line(condition, problem) for condition in problem.conditions],
        "domain": domain,
        "parameters": [f"{name} = {value:g}{_unit(problem, name)}" for name, value in problem.parameters.items()],
        "notes": list(problem.notes),
    }


def _unit(problem: Problem, name: str) -> str:
    return f" {problem.units[name]}" if name in problem.units else ""


def _line(condition: Condition, problem: Problem) -> str:
    name, where = condition.unknown, condition.where
    condition = replace(condition, value=_decimal(condition.value), coefficient=_decimal(condition.coefficient))
    if where == "t" and problem.time is not None:
        start = problem.domain[str(problem.time)][0]
        return f"{name}{chr(39) * condition.derivative} = {condition.value} at {problem.time} = {start:g}"
    axis, side = where[:-1], where[-1]
    place = f"{axis} = {problem.domain[axis]['-+'.index(side)]:g}" if axis in problem.domain else where
    if condition.kind == "periodic":
        return f"{name} periodic in {axis} (at {place})"
    if condition.kind == "robin":
        return f"d{name}/dn + ({condition.coefficient})*{name} = {condition.value} at {place}"
    if condition.derivative > 1:
        return f"d^{condition.derivative}{name}/dn^{condition.derivative} = {condition.value} at {place}"
    return f"{'d' + name + '/dn' if condition.kind == 'neumann' else name} = {condition.value} at {place}"


def _decimal(value: sympy.Expr | None) -> sympy.Expr | None:
    """293.15 instead of 5863/20; a third stays one."""
    if value is None:
        return None
    short = [r for r in value.atoms(sympy.Rational) if r.q > 2 and not set(sympy.factorint(r.q)) - {2, 5}]
    return value.xreplace({r: sympy.Symbol(f"{float(r):.12g}") for r in short})


def as_result(solution: Solution) -> dict[str, Any]:
    """Everything but the tables, as plain data."""
    return {
        "problem": as_statement(solution.problem),
        "method": solution.method,
        "closed_form": dict(solution.closed_form),
        "at_the_end": at_the_end(solution),
        "error": dict(solution.error),
        "verdicts": [verdict.to_dict() for verdict in solution.verdicts],
        "proven": solution.proven,
        "shown": solution.shown,
        "notes": list(solution.notes),
        "extra": {key: value for key, value in solution.extra.items() if _is_small(value)},
    }


def at_the_end(solution: Solution) -> list[dict[str, Any]]:
    """What a person asks first: the values at the end of time, of fields the least and the largest and where.

    Of a boundary value problem the value in the middle, of a steady field the least and the largest.
    """
    problem, rows = solution.problem, []
    time = str(problem.time) if problem.time is not None else ""
    for name, values in solution.values.items():
        array, error = np.asarray(values), float(solution.error[name])
        unit = {"unit": problem.units[name]} if name in problem.units else {}
        axes = {axis: np.asarray(places) for axis, places in solution.axes.items()}
        if len(axes) == 1:
            ((_, places),) = axes.items()
            at = -1 if time else array.size // 2
            rows.append({"what": f"{name}({places[at]:g})", "value": float(array[at].real), "error": error, **unit})
            continue
        when = ""
        if time in axes:
            when = f" at {time} = {axes[time][-1]:g}"
            array = np.take(array, -1, list(axes).index(time))
            del axes[time]
        for what, place in (("least", np.nanargmin(array.real)), ("largest", np.nanargmax(array.real))):
            where = np.unravel_index(place, array.shape)
            spot = ", ".join(f"{axis} = {places[k]:g}" for (axis, places), k in zip(axes.items(), where, strict=True))
            value = float(array.real[where])
            rows.append({"what": f"{what} {name}{when}", "where": spot, "value": value, "error": error, **unit})
    return rows


def _is_small(value: Any) -> bool:
    return isinstance(value, bool | int | float | str | type(None)) or (
        isinstance(value, Mapping) and all(map(_is_small, value.values()))
    )


def table(solution: Solution) -> str:
    """An ordinary equation's solution as CSV, with the error bar of each unknown in a column of its own."""
    (axis, places) = next(iter(solution.axes.items()))
    heads = [axis, *(column for name in solution.values for column in (name, f"{name}_error"))]
    columns = [np.asarray(places)]
    for name, values in solution.values.items():
        columns += [np.asarray(values), np.full(len(places), solution.error[name])]
    stream = io.StringIO()
    np.savetxt(stream, np.column_stack(columns), delimiter=",", header=",".join(heads), comments="", fmt="%.17g")
    return stream.getvalue()


def write_run(solution: Solution, result: Mapping[str, Any], folder: str | Path) -> dict[str, str]:
    """Write solution, result, script and, where the report's package is installed, report.

    Returns:
        path by kind.
    """
    out = output_folder(folder)
    files = {"result": out / "result.json", "script": out / "script.py"}
    write_json(files["result"], result)
    with atomic(files["script"]) as stream:
        stream.write(solution.script)
    if len(solution.axes) == 1:
        files["solution"] = out / "solution.csv"
        with atomic(files["solution"]) as stream:
            stream.write(table(solution))
    else:
        files["solution"] = out / "solution.npz"
        with atomic(files["solution"], "wb") as stream:
            arrays: dict[str, Any] = {f"axis_{k}": v for k, v in solution.axes.items()} | dict(solution.values)
            np.savez_compressed(stream, **arrays)
    if find_spec("jinja2") and find_spec("sozai.reports.equations"):
        from sozai.reports.equations import solution_report

        files["report"] = out / "report.html"
        solution_report(solution, files["report"])
    return {kind: str(path) for kind, path in files.items()}
