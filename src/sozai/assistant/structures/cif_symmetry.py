"""The symmetry of a CIF: are its operators a group, the one it names, and does the cell obey it?"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sozai.assistant.structures.cif_text import Block, Value
from sozai.assistant.structures.finding import Finding, Severity
from sozai.knowledge.crystals.structure.space_groups import named, near, symbol_of
from sozai.materials.wyckoff import CRYSTAL_SYSTEMS

OPERATORS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
NAMES = (
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m_ref",
    "_space_group_name_h-m_full",
)
HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
NUMBERS = ("_space_group_it_number", "_symmetry_int_tables_number")
SYSTEMS = ("_space_group_crystal_system", "_symmetry_cell_setting")
METRIC_ERROR, METRIC_WARNING = 4e-3, 6e-4
"""Relative misfit of the squared lengths (and of their mixed products) under an operator."""
Report = Callable[..., None]


@dataclass
class Symmetry:
    """Operators of the file as arrays, and what they are.

    Attributes:
        rotations: (n, 3, 3).
        translations: (n, 3), in [0, 1).
        number: space group; ``None`` when it could not be told.
        group: whether they form one.
    """

    rotations: np.ndarray
    translations: np.ndarray
    number: int | None
    group: bool


IDENTITY = Symmetry(np.eye(3)[None], np.zeros((1, 3)), 1, True)


def reporter(findings: list[Finding], block: str) -> Report:
    """A function that notes a finding."""

    def report(
        code: str, severity: Severity, line: int, where: str, message: str, mend: str = "", **numbers: float
    ) -> None:
        findings.append(Finding(code, severity, line, where, message, mend, numbers, block))

    return report


def audit_symmetry(block: Block, report: Report) -> Symmetry | None:
    """Check operators, names and number; ``None`` when the symmetry cannot be used."""
    values = block.column(*OPERATORS)
    name, hall, number = block.one(*NAMES), block.one(*HALL), block.one(*NUMBERS)
    stated = _stated_number(name, hall, number, block, report)
    if not values:
        return _from_names(name, hall, stated, block, report)
    operators = _parse(values, report)
    if operators is None:
        return None
    symmetry = _group(operators, values, report)
    if symmetry.group:
        _compare(symmetry, operators, name, hall, stated, values[0].line, report)
    system = block.one(*SYSTEMS)
    if system is not None and symmetry.number:
        _system(system, symmetry.number, report)
    return symmetry


def _stated_number(
    name: Value | None, hall: Value | None, number: Value | None, block: Block, report: Report
) -> int | None:
    by_number = None
    if number is not None:
        if not number.text.strip().isdecimal() or not 1 <= int(number.text) <= 230:
            told = f"'{number.text}' is no number of a space group."
            report("space-group-number", "error", number.line, "space group number", told, "Give one from 1 to 230.")
        else:
            by_number = int(number.text)
    by_name = None
    if name is not None:
        by_name = _number_of(name.text)
        if by_name is None:
            close = near(name.text)
            mend = f"Did you mean {' or '.join(close)}?" if close else "Give the Hermann-Mauguin symbol."
            told = f"'{name.text}' is no space group that is known."
            report("space-group-name", "warning", name.line, "space group name", told, mend)
    if by_number and by_name and by_number != by_name and number is not None and name is not None:
        told = f"the name '{name.text}' is number {by_name}, but the number given is {by_number}."
        report("space-group-number", "error", number.line, "space group number", told, "Mend the one that is wrong.",
               stated=by_number, named=by_name)  # fmt: skip
    return by_name or by_number


def _number_of(name: str) -> int | None:
    import gemmi

    found = gemmi.find_spacegroup_by_name(name.strip())
    if found is not None:
        return int(found.number)
    group = named(name)
    return group.number if group else None


def _parse(values: Sequence[Value], report: Report) -> list[Any] | None:
    import gemmi

    operators = []
    for value in values:
        try:
            operators.append(gemmi.Op(value.text.strip()).wrap())
        except (ValueError, RuntimeError):
            shifts = re.findall(r"\d+\s*/\s*(\d+)", value.text)
            odd = any(int(below) == 0 or 24 % int(below) for below in shifts)
            why = ": its shift is no multiple of 1/24" if odd else ""
            told = f"'{value.text}' is no symmetry operator{why}."
            report("operator-syntax", "error", value.line, "symmetry operator", told, "Write it as -y, x-y, z+1/3.")
    if len(operators) < len(values):
        return None
    for operator, value in zip(operators, values, strict=True):
        if abs(operator.det_rot()) != operator.DEN**3:
            told = f"'{value.text}' changes volumes: it is no symmetry operator."
            report("operator-syntax", "error", value.line, "symmetry operator", told, "Mend the operator.")
            return None
    return operators


def _group(operators: list[Any], values: Sequence[Value], report: Report) -> Symmetry:
    """Closed under products, with the identity and without repetition?"""
    import gemmi

    texts = [operator.triplet() for operator in operators]
    known = set(texts)
    good = True
    if len(known) < len(texts):
        place = next(i for i, text in enumerate(texts) if text in texts[:i])
        told = f"'{values[place].text}' stands twice."
        report("duplicate-operator", "error", values[place].line, "symmetry operator", told, "Remove one.")
        operators = [operator for i, operator in enumerate(operators) if texts[i] not in texts[:i]]
        good = False
    if "x,y,z" not in known:
        told = "the identity x, y, z is not among the operators."
        report("no-group", "error", values[0].line, "symmetry operators", told, "Add it; one operator may be wrong.")
        good = False
    missing: dict[str, tuple[str, str]] = {}
    for one in operators:
        for other in operators:
            product = (one * other).wrap().triplet()
            if product not in known and product not in missing:
                missing[product] = (one.triplet(), other.triplet())
        if len(missing) > 200:
            break
    if missing and good:
        product, (one_text, other_text) = next(iter(missing.items()))
        place = texts.index(one_text)
        told = (
            f"the {len(operators)} operators form no group: {one_text} after {other_text} gives {product}, which is "
            "not listed."
        )
        mend = "An operator is missing or wrong: list those of the space group again."
        report("no-group", "error", values[place].line, "symmetry operators", told, mend,
               operators=len(operators), missing=len(missing))  # fmt: skip
        good = False
    rotations = np.array([operator.rot for operator in operators], dtype=float) / operators[0].DEN
    translations = np.array([operator.tran for operator in operators], dtype=float) / operators[0].DEN % 1.0
    number = None
    if good:
        found = gemmi.find_spacegroup_by_ops(gemmi.GroupOps(operators))
        number = int(found.number) if found is not None else _by_spglib(rotations, translations)
    return Symmetry(rotations, translations, number, good)


def _by_spglib(rotations: np.ndarray, translations: np.ndarray) -> int | None:
    import spglib

    try:
        kind = spglib.get_spacegroup_type_from_symmetry(rotations.astype("intc"), translations)
    except Exception:  # newer spglib raises its own error where older ones return None
        return None
    return None if kind is None else int(kind.number)


def _compare(
    symmetry: Symmetry, operators: list[Any], name: Value | None, hall: Value | None, stated: int | None, line: int,
    report: Report,
) -> None:  # fmt: skip
    import gemmi

    listed = {operator.triplet() for operator in operators}
    if hall is not None:
        try:
            meant = {op.wrap().triplet() for op in gemmi.symops_from_hall(hall.text.strip())}
        except (ValueError, RuntimeError):
            told = f"'{hall.text}' is no Hall symbol."
            report("hall-symbol", "warning", hall.line, "Hall symbol", told, "Mend it or leave it out.")
        else:
            if meant != listed:
                told = f"the {len(meant)} operators of the Hall symbol '{hall.text}' are not the {len(listed)} listed."
                report("hall-symbol", "error", hall.line, "Hall symbol", told, "Mend the symbol or the operators.")
    if stated is None or symmetry.number is None:
        return
    if stated != symmetry.number:
        told = (
            f"the file names {symbol_of(stated)} ({stated}), but its {len(listed)} operators are those of "
            f"{symbol_of(symmetry.number)} ({symmetry.number})."
        )
        where = name.line if name is not None else line
        report("operators-not-of-group", "error", where, "space group", told, "Mend the name or the operators.",
               stated=stated, found=symmetry.number)  # fmt: skip
        return
    if name is None:
        return
    wanted = gemmi.find_spacegroup_by_name(name.text.strip())
    settings = [g for g in gemmi.spacegroup_table() if wanted is not None and g.hm == wanted.hm]
    if settings and not any({op.wrap().triplet() for op in group.operations()} == listed for group in settings):
        told = (
            f"the operators are of {symbol_of(stated)} ({stated}) in another setting than the name '{name.text}' tells."
        )
        report("operators-setting", "warning", name.line, "space group name", told, "Mend the name or the operators.")


def _from_names(
    name: Value | None, hall: Value | None, stated: int | None, block: Block, report: Report
) -> Symmetry | None:
    """Operators from the names, where the file lists none."""
    import gemmi

    if name is None and hall is None and stated is None:
        told = "the file tells no symmetry: neither operators nor a space group."
        report("no-symmetry", "warning", block.line, "symmetry", told, "List the operators, or name P 1.")
        return IDENTITY
    group = None
    if hall is not None:
        try:
            operators = list(gemmi.symops_from_hall(hall.text.strip()))
            return _group(operators, [Value(hall.text, hall.line)] * len(operators), report)
        except (ValueError, RuntimeError):
            told = f"'{hall.text}' is no Hall symbol."
            report("hall-symbol", "warning", hall.line, "Hall symbol", told, "Mend it or leave it out.")
    if name is not None:
        group = gemmi.find_spacegroup_by_name(name.text.strip())
    group = group or (gemmi.find_spacegroup_by_number(stated) if stated else None)
    if group is None:
        return None
    if group.number != 1:
        told = f"the operators are not listed; those of {group.xhm()} are taken."
        report("no-operators", "note", block.line, "symmetry operators", told, "List them: a name leaves origins open.")
    operators = [op.wrap() for op in group.operations()]
    return _group(operators, [Value("", block.line)] * len(operators), report)


def _system(system: Value, number: int, report: Report) -> None:
    actual = next(name for name, last in CRYSTAL_SYSTEMS if number <= last)
    stated = system.text.strip().lower()
    fits = {actual, *(("rhombohedral", "hexagonal") if actual == "trigonal" else ())}
    if stated not in fits:
        told = f"the crystal system '{system.text}' is not that of {symbol_of(number)} ({number}): {actual}."
        report("crystal-system", "error", system.line, "crystal system", told, "Mend the system or the space group.")


def audit_metric(matrix: np.ndarray, symmetry: Symmetry, lines: dict[str, int], report: Report) -> None:
    """Whether the cell is the same after every rotation."""
    metric = matrix @ matrix.T
    scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    worst, where = 0.0, (0, 0)
    for rotation in symmetry.rotations:
        off = np.abs(rotation.T @ metric @ rotation - metric) / scale
        if off.max() > worst:
            worst = float(off.max())
            where = tuple(int(i) for i in np.unravel_index(int(off.argmax()), (3, 3)))  # type: ignore[assignment]
    if worst < METRIC_WARNING:
        return
    names = ("a", "b", "c") if where[0] == where[1] else ("alpha", "beta", "gamma")
    item = names[where[0]] if where[0] == where[1] else names[3 - sum(where)]
    group = f"{symbol_of(symmetry.number)} ({symmetry.number})" if symmetry.number else "the operators"
    told = (
        f"the cell does not have the symmetry of {group}: {_values(matrix)}; the squared lengths differ by {worst:.2%}."
    )
    severity: Severity = "error" if worst > METRIC_ERROR else "warning"
    report("cell-symmetry", severity, lines.get(item, 0), "cell", told, "Mend the cell or the space group.",
           misfit=worst)  # fmt: skip


def _values(matrix: np.ndarray) -> str:
    lengths = np.linalg.norm(matrix, axis=1)
    cosines = [float(matrix[i] @ matrix[j] / lengths[i] / lengths[j]) for i, j in ((1, 2), (0, 2), (0, 1))]
    angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    return "a, b, c = {:.4g}, {:.4g}, {:.4g}, alpha, beta, gamma = {:.4g}, {:.4g}, {:.4g}".format(*lengths, *angles)
