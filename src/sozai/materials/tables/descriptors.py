"""Formula columns as numbers that learners and generators can use.

Statistics of element properties over a composition follow Magpie (L. Ward et al., npj Comput. Mater. 2, 16028, 2016,
doi:10.1038/npjcompumats.2016.28); those of alloys follow Zhang et al. (Adv. Eng. Mater. 10, 534, 2008: radius mismatch,
mixing entropy) and Guo et al. (J. Appl. Phys. 109, 103505, 2011: valence electron concentration). The properties are
pymatgen's, covalent radii Cordero's (2008).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd

from sozai.errors import UserError
from sozai.knowledge.crystals.elements import element_table
from sozai.knowledge.crystals.wish import SYMBOLS
from sozai.materials.tables.compositions import matrix_of
from sozai.materials.tables.table import Column, Group, Note, Table

PROPERTIES = {
    "atomic number": "", "Mendeleev number": "", "group": "", "row": "", "atomic mass": "u", "electronegativity": "",
    "covalent radius": "Å", "atomic radius": "Å", "melting temperature": "K", "ionization energy": "eV",
    "electron affinity": "eV", "valence electrons": "",
}  # fmt: skip
"""Element properties and their units."""
STATISTICS = ("mean", "deviation", "min", "max", "range")
"""Weighted mean, weighted mean absolute deviation, and smallest, largest and their difference over the elements."""
ALLOY = {"mixing entropy": "J/K/mol", "radius mismatch": "%", "electronegativity mismatch": ""}
_GAS_CONSTANT = 8.31446
_ROWS_AT_ONCE = 20_000


def with_descriptors(table: Table, column: str, *, statistics: bool = True, fractions: bool = True) -> Table:
    """A table with numbers that describe a formula column.

    New columns: the statistics of each element property (``"mean electronegativity"``), three numbers for alloys
    (``ALLOY``), and the atomic fractions (``"x_Fe"``), which are a group that sums to 1. The formula column stays.
    Where names clash with columns that are there, the formula column's name goes before them.

    Args:
        table: with a column of kind ``formula``.
        column: its name.
        statistics: whether to add the statistics.
        fractions: whether to add the atomic fractions.

    Raises:
        UserError: the column is no formula column.
    """
    own = table.column(column)
    if own.kind != "formula":
        raise UserError(f"it is of kind {own.kind}, not formula", f"column '{own.name}'", "choose a formula column")
    formulas = [text if isinstance(text, str) else None for text in table.frame[own.name]]
    amounts, elements = matrix_of(formulas)
    if not elements:
        raise UserError("it holds no formulas", f"column '{own.name}'", "choose a formula column")
    parts = amounts / amounts.sum(1, keepdims=True)
    made: dict[str, np.ndarray] = {}
    units: dict[str, str] = {}
    if statistics:
        made |= _in_blocks(parts, elements)
        units = {f"{each} {name}": unit for name, unit in PROPERTIES.items() for each in STATISTICS} | ALLOY
    shares = {f"x_{element}": parts[:, place] for place, element in enumerate(elements)} if fractions else {}
    made |= shares
    before = f"{own.name}: " if any(name in table.columns for name in made) else ""
    added = pd.DataFrame({before + name: values for name, values in made.items()}, index=table.frame.index)
    columns = {
        before + name: Column(before + name, "continuous", units.get(name, ""), why=f"computed from {own.name}")
        for name in made
    }
    without = sorted({element for element in elements if np.isnan(_properties()[SYMBOLS.index(element)]).any()})
    notes = list(table.notes)
    if statistics and without:
        notes.append(Note(f"some descriptors are missing where there is {', '.join(without)}", own.name))
    groups = (*table.groups, Group(tuple(before + name for name in shares), 1.0)) if len(shares) > 1 else table.groups
    return replace(
        table,
        frame=pd.concat([table.frame, added], axis=1),
        columns={**table.columns, **columns},
        groups=groups,
        notes=notes,
    )


def describe_formulas(formulas: Sequence[str]) -> pd.DataFrame:
    """The statistics of formulas, (formulas, descriptors); NaN in the rows of texts that are no formulas."""
    amounts, elements = matrix_of(list(formulas))
    if not elements:
        names = [f"{each} {name}" for name in PROPERTIES for each in STATISTICS] + list(ALLOY)
        return pd.DataFrame(np.nan, index=range(len(formulas)), columns=names)
    return pd.DataFrame(_in_blocks(amounts / amounts.sum(1, keepdims=True), elements))


def _in_blocks(parts: np.ndarray, elements: Sequence[str]) -> dict[str, np.ndarray]:
    """``_statistics`` over blocks of rows: the memory does not grow with their number."""
    blocks = [
        _statistics(parts[start : start + _ROWS_AT_ONCE], elements) for start in range(0, len(parts), _ROWS_AT_ONCE)
    ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _statistics(parts: np.ndarray, elements: Sequence[str]) -> dict[str, np.ndarray]:
    """Descriptors by name, (rows,) each, of atomic fractions (rows, elements)."""
    table = _properties()[[SYMBOLS.index(element) for element in elements]]
    absent = ~(parts > 0)
    none = absent.all(1)
    out: dict[str, np.ndarray] = {}
    means = {}
    for place, name in enumerate(PROPERTIES):
        values = table[:, place]
        shown = np.where(absent, 0.0, values)  # the property of an element that is absent does not count, NaN or not
        mean = (np.where(absent, 0.0, parts) * shown).sum(1)
        spread = np.where(absent, 0.0, parts * np.abs(shown - mean[:, None])).sum(1)
        least = np.where(absent, np.inf, shown).min(1)
        most = np.where(absent, -np.inf, shown).max(1)
        statistics = (mean, spread, least, most, np.where(none, np.nan, most) - np.where(none, np.nan, least))
        for each, column in zip(STATISTICS, statistics, strict=True):
            out[f"{each} {name}"] = np.where(none, np.nan, column)
        means[name] = out[f"mean {name}"]
    logs = np.log(np.where(absent, 1.0, parts))
    out["mixing entropy"] = np.where(none, np.nan, -_GAS_CONSTANT * np.where(absent, 0.0, parts * logs).sum(1) + 0.0)
    for name, of, relative in (
        ("radius mismatch", "atomic radius", True),
        ("electronegativity mismatch", "electronegativity", False),
    ):
        values = table[:, list(PROPERTIES).index(of)]
        mean = means[of][:, None]
        off = np.where(absent, 0.0, (values / mean - 1 if relative else values - mean))
        out[name] = np.sqrt(np.where(absent, 0.0, parts * off**2).sum(1)) * (100 if relative else 1)
        out[name][none] = np.nan
    return out


@cache
def _properties() -> np.ndarray:
    """Properties in the order of ``PROPERTIES`` of all elements in ``SYMBOLS``, (103, properties); NaN if unknown."""
    import warnings

    from pymatgen.core import Element

    own = element_table()
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen tells of each property that an element lacks
        for symbol in SYMBOLS:
            element = Element(symbol)
            rows.append(
                [
                    element.Z, element.mendeleev_no, element.group, element.row, element.atomic_mass,
                    own[symbol].electronegativity, own[symbol].covalent_radius, element.atomic_radius,
                    element.melting_point, element.ionization_energy, element.electron_affinity,
                    valence_electrons(element.Z, element.group),
                ]
            )  # fmt: skip
    return np.array([[math.nan if value is None else float(value) for value in row] for row in rows])


def valence_electrons(number: int, group: int) -> int:
    """Electrons outside the noble-gas core that alloys count: s and d of metals, s and p of the main groups.

    Lanthanides and actinides count 3.
    """
    if number == 2:
        return 2
    return group if group <= 12 else group - 10
