"""A script that solves the same problem with scikit-fem, numpy and scipy alone, to be read and run by a person."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import sympy
from sympy.printing.numpy import SciPyPrinter

from sozai.assistant.equations.pde.discrete import slope_of
from sozai.assistant.equations.pde.form import Form
from sozai.assistant.equations.pde.refine import FRAMES, Study
from sozai.assistant.equations.pde.stepping import follows

_BODY = Path(__file__).parent / "script_body.txt"


def script_of(form: Form, study: Study, words: str) -> str:
    """Python text that computes the numbers of the finest run and writes them to ``solution.npz``.

    Args:
        form: the weak form.
        study: its runs.
        words: the problem as the person wrote it.
    """
    discrete = study.best.discrete
    head = [
        '"""' + _clean(words) + '"""',
        "",
        "import numpy as np",
        "import scipy.sparse as sp",
        "import scipy.special",
        "import skfem",
        "from scipy.sparse.linalg import splu",
        "",
        f"FIELDS = {form.names!r}",
        f"SHOWN = {form.shown}  # the unknowns of the problem; what follows them is auxiliary",
        f"DEGREES = {discrete.degrees!r}  # of the elements",
        f"BOX = {[tuple(map(float, ends)) for ends in form.box]!r}",
        f"CELLS = {list(map(int, discrete.space.cells))!r}",
        f"PERIODIC = {form.periodic!r}",
        f"TIME = {tuple(map(float, form.span)) if form.span else None!r}",
        f"STEPS, FRAMES, GRADING = {study.steps}, {FRAMES}, {study.grading}",
        f"SCHEME = {study.scheme!r}",
        f"LINEAR = {form.linear and discrete.constant!r}  # one factorisation serves all steps of the same length",
        f"MEAN_ZERO = {form.mean_free!r}  # fields that only matter up to a constant",
        f"DTYPE = {'complex' if form.complex else 'float'}",
        f"SOLVE_FOR_START = {follows(form)!r}  # fields without a rate are solved for at the start",
        f"THIN = {study.thinning()!r}  # every how manieth node of each axis is written",
        "",
        "# Integrals of (row, kind, values): kind -1 times the test function, kind k times its slope along axis k.",
        "# Derivatives of the values follow as (row, kind, field, what, values): what is -1 for the field's value,",
        "# -2 for its time derivative, k for its slope along axis k.",
    ]
    inside = [
        *((i, k, -form.flux[i][k]) for i in range(len(form.names)) for k in range(len(form.space))),
        *((i, -1, form.rest[i]) for i in range(len(form.names))),
    ]
    text = head + _functions("inside", form, [part for part in inside if part[2] != 0])
    faces = []
    for face in sorted(discrete.space.faces):
        outside = [(i, -1, form.boundary[i][face]) for i in range(len(form.names)) if face in form.boundary[i]]
        if outside:
            name = f"on_{form.space[face[0]]}_{'end' if face[1] > 0 else 'begin'}"
            text += _functions(name, form, outside)
            faces.append(f"    {face!r}: ({name}, {name}_derivatives),")
    text += ["", "", "ON_FACES = {", *faces, "}", ""]
    text += ["# (field, axis, side, value) of what is prescribed.", "PRESCRIBED = ["]
    place = ", ".join([*(str(s) for s in form.space), str(form.time)])
    for j, fixed in enumerate(form.fixed):
        for (axis, side), value in fixed.items():
            text.append(f"    ({j}, {axis}, {side}, lambda {place}: {_code(value)}),")
    text += ["]", "START = ["]
    for value in form.start:
        text.append(
            f"    lambda {place}: {_code(value)}," if value is not None else "    None,  # follows from the others"
        )
    text += ["]", ""]
    return "\n".join(text) + "\n" + _BODY.read_text(encoding="utf-8")


def _clean(words: str) -> str:
    words = words.replace("\\", "\\\\").replace('"', "'")
    return f"{words}\n\nFinite elements and implicit steps by scikit-fem, numpy and scipy; writes solution.npz.\n"


def _code(expression: sympy.Expr) -> str:
    printer = SciPyPrinter({"fully_qualified_modules": True})
    return printer.doprint(sympy.sympify(expression)).replace("numpy.", "np.")


def _functions(name: str, form: Form, tested: list[tuple[int, int, sympy.Expr]]) -> list[str]:
    """Two functions as lines: what is integrated, and its derivatives."""
    arguments = [*form.space, form.time, *form.values, *itertools.chain(*form.slopes), *form.rates]
    signature = ", ".join(str(symbol) for symbol in arguments)
    rows = [f"        ({row}, {kind}, {_code(value)})," for row, kind, value in tested]
    entries = []
    for row, kind, value in tested:
        for j, symbol in enumerate(form.values):
            parts: Iterable[tuple[int, sympy.Symbol]] = [(-1, symbol), (-2, form.rates[j]), *enumerate(form.slopes[j])]
            for what, by in parts:
                strength = slope_of(value, by)
                if strength != 0:
                    entries.append(f"        ({row}, {kind}, {j}, {what}, {_code(strength)}),")
    return [
        "",
        "",
        f"def {name}({signature}):",
        "    return [",
        *rows,
        "    ]",
        "",
        "",
        f"def {name}_derivatives({signature}):",
        "    return [",
        *entries,
        "    ]",
    ]
