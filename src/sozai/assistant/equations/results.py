"""A solution as plain data, and the folder of a run."""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

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


def as_result(solution: Solution) -> dict[str, Any]:
    """Everything but the tables, as plain data."""
    axes = list(solution.axes)
    last = axes[-1] if axes else ""
    ends = []
    for name, values in solution.values.items():
        array = np.asarray(values)
        if len(axes) == 1:
            where = float(np.asarray(solution.axes[last])[-1 if solution.problem.time is not None else array.size // 2])
            value = array[-1 if solution.problem.time is not None else array.size // 2]
            ends.append({"what": f"{name}({where:g})", "value": float(value), "error": float(solution.error[name])})
        else:
            ends.append(
                {"what": f"largest {name}", "value": float(np.nanmax(array.real)), "error": float(solution.error[name])}
            )
    return {
        "problem": as_statement(solution.problem),
        "method": solution.method,
        "closed_form": dict(solution.closed_form),
        "at_the_end": ends,
        "error": dict(solution.error),
        "verdicts": [verdict.to_dict() for verdict in solution.verdicts],
        "proven": solution.proven,
        "shown": solution.shown,
        "notes": list(solution.notes),
        "extra": {key: value for key, value in solution.extra.items() if _is_small(value)},
    }


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
