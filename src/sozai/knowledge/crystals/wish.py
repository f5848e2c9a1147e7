"""What a person wants of a crystal, in the form that generators and screening both understand.

Exact conditions (elements, formula, space group, number of atoms) hold in every candidate handed over;
targets (energy above hull, band gap, ...) steer the generator and are checked where a number can be had.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from math import gcd, isfinite
from typing import Any

from sozai.errors import UserError

TARGETS = {
    "energy_above_hull": "eV/atom",
    "formation_energy": "eV/atom",
    "band_gap": "eV",
    "bulk_modulus": "GPa",
}
"""Properties a wish may aim at, with their units."""

# fmt: off
SYMBOLS: tuple[str, ...] = (
    "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K",
    "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr", "Rb",
    "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe", "Cs",
    "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta",
    "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa",
    "U", "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr",
)
# fmt: on
"""Element symbols by atomic number, from 1 (``SYMBOLS[0] == "H"``) to 103."""

_KNOWN = frozenset(SYMBOLS)
_TOKEN = re.compile(r"([A-Z][a-z]?)(\d*)|(\()|(\))(\d*)")


def parse_formula(text: str) -> dict[str, int]:
    """Element counts of a formula with whole numbers and round brackets, e.g. ``"Ca3(PO4)2"``.

    Raises:
        UserError: the text is no formula, or names an unknown element.
    """
    stack: list[dict[str, int]] = [{}]
    position = 0
    cleaned = text.strip().replace(" ", "")
    while position < len(cleaned):
        match = _TOKEN.match(cleaned, position)
        if not match:
            raise UserError(
                f"'{text}' is not a chemical formula (stuck at '{cleaned[position:]}')",
                mend="write it with element symbols and whole numbers, such as Li3PS4 or Ca3(PO4)2",
            )
        symbol, count, opening, closing, factor = match.groups()
        if symbol:
            if symbol not in _KNOWN:
                raise UserError(f"'{symbol}' in the formula '{text}' is not an element")
            stack[-1][symbol] = stack[-1].get(symbol, 0) + int(count or 1)
        elif opening:
            stack.append({})
        elif closing:
            if len(stack) == 1:
                raise UserError(f"the formula '{text}' closes a bracket it never opened")
            for inner, number in stack.pop().items():
                stack[-1][inner] = stack[-1].get(inner, 0) + number * int(factor or 1)
        position = match.end()
    if len(stack) > 1:
        raise UserError(f"the formula '{text}' opens a bracket it never closes")
    counts = {symbol: count for symbol, count in stack[0].items() if count > 0}
    if not counts:
        raise UserError("the formula is empty", mend="write one such as Li3PS4")
    return counts


def reduced(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts divided by their greatest common divisor."""
    divisor = reduce(gcd, counts.values())
    return {symbol: count // divisor for symbol, count in counts.items()}


def _symbols(names: Iterable[str] | None, option: str) -> frozenset[str] | None:
    if names is None:
        return None
    if isinstance(names, str):
        names = [part for part in re.split(r"[,\s;-]+", names) if part]
    symbols = [str(name).strip() for name in names]
    unknown = [name for name in symbols if name not in _KNOWN]
    if unknown:
        raise UserError(f"'{unknown[0]}' is not an element", option, "use symbols such as Li, P, S")
    return frozenset(symbols)


@dataclass(frozen=True)
class CrystalWish:
    """Exact conditions and targets for crystals.

    Attributes:
        elements: the chemical system: all of these elements and no others.
        allowed: only these elements (not all of them needed).
        required: at least these elements.
        forbidden: none of these elements.
        formula: reduced element counts, e.g. ``{"Li": 3, "P": 1, "S": 4}``; every candidate has this
            reduced formula.
        at_least: least atomic fraction by element, e.g. ``{"Li": 0.2}``.
        space_groups: allowed international numbers (1-230); empty for any.
        min_atoms, max_atoms: atoms in the primitive cell.
        targets: wanted property values (keys of ``TARGETS``).
    """

    elements: frozenset[str] | None = None
    allowed: frozenset[str] | None = None
    required: frozenset[str] = frozenset()
    forbidden: frozenset[str] = frozenset()
    formula: Mapping[str, int] | None = None
    at_least: Mapping[str, float] = field(default_factory=dict)
    space_groups: tuple[int, ...] = ()
    min_atoms: int = 1
    max_atoms: int = 20
    targets: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        elements: str | Iterable[str] | None = None,
        allowed: str | Iterable[str] | None = None,
        required: str | Iterable[str] | None = None,
        forbidden: str | Iterable[str] | None = None,
        formula: str | Mapping[str, int] | None = None,
        at_least: Mapping[str, float] | None = None,
        space_group: int | Iterable[int] | None = None,
        min_atoms: int = 1,
        max_atoms: int = 20,
        targets: Mapping[str, float] | None = None,
    ) -> CrystalWish:
        """Build a wish from what people write (``"Li,P,S"``, ``"Li3PS4"``, ``225``) and check that it can hold.

        Raises:
            UserError: an unknown element, space group or target, or conditions that contradict each other.
        """
        counts = parse_formula(formula) if isinstance(formula, str) else formula
        groups = () if space_group is None else ((space_group,) if isinstance(space_group, int) else tuple(space_group))
        wish = cls(
            elements=_symbols(elements, "elements"),
            allowed=_symbols(allowed, "allowed"),
            required=_symbols(required, "required") or frozenset(),
            forbidden=_symbols(forbidden, "forbidden") or frozenset(),
            formula=reduced(counts) if counts else None,
            at_least=dict(at_least or {}),
            space_groups=tuple(groups),
            min_atoms=min_atoms,
            max_atoms=max_atoms,
            targets=dict(targets or {}),
        )
        wish._check()
        return wish

    def _check(self) -> None:
        for group in self.space_groups:
            if not isinstance(group, int) or not 1 <= group <= 230:
                raise UserError(f"space group {group} does not exist", "space_group", "use 1 to 230")
        if self.min_atoms < 1 or self.max_atoms < self.min_atoms:
            raise UserError(
                f"no crystal has between {self.min_atoms} and {self.max_atoms} atoms",
                "number of atoms",
                "give a least number of 1 or more and a largest number not below it",
            )
        for name, value in self.targets.items():
            if name not in TARGETS:
                raise UserError(f"'{name}' is not a property sozai can aim at", mend=f"use {', '.join(TARGETS)}")
            if not isfinite(value):
                raise UserError(f"{value} is no aim", name, f"give a number in {TARGETS[name]}")
        _symbols(self.at_least, "at_least")
        if any(not 0 <= share <= 1 for share in self.at_least.values()) or sum(self.at_least.values()) > 1:
            raise UserError("the least atomic fractions must lie in 0 to 1 and add up to at most 1", "at_least")
        if self.elements is not None and not self.elements:
            raise UserError("the list of elements is empty", "elements", "name at least one, such as Li,P,S")
        if self.formula and self.elements and set(self.formula) != self.elements:
            raise UserError(
                f"the formula has {', '.join(sorted(self.formula))} but the elements are "
                f"{', '.join(sorted(self.elements))}",
                "formula",
                "give one of the two",
            )
        needed = self.needed_elements()
        possible = self.possible_elements()
        missing = sorted(needed - possible)
        if missing:
            raise UserError(
                f"the wish needs {', '.join(missing)} and forbids it at the same time",
                "elements",
                "drop one of the two",
            )

    def needed_elements(self) -> frozenset[str]:
        """Elements that every candidate must contain."""
        needed = set(self.required) | {symbol for symbol, share in self.at_least.items() if share > 0}
        return frozenset(needed | set(self.elements or ()) | set(self.formula or ()))

    def possible_elements(self) -> frozenset[str]:
        """Elements that a candidate may contain."""
        possible = set(_KNOWN) if self.elements is None else set(self.elements)
        if self.allowed is not None:
            possible &= self.allowed
        if self.formula is not None:
            possible &= set(self.formula)
        return frozenset(possible - self.forbidden)

    def composition_fault(self, counts: Mapping[str, int]) -> str | None:
        """Why element counts break the wish, or ``None`` when they fulfil it."""
        present = set(counts)
        extra = sorted(present - self.possible_elements())
        if extra:
            return f"contains {', '.join(extra)}, which the wish does not allow"
        missing = sorted(self.needed_elements() - present)
        if missing:
            return f"lacks {', '.join(missing)}"
        if self.formula is not None and reduced(counts) != dict(self.formula):
            return "has another formula than the one asked for"
        total = sum(counts.values())
        for symbol, share in self.at_least.items():
            if counts.get(symbol, 0) / total < share - 1e-9:
                return f"holds {counts.get(symbol, 0) / total:.0%} {symbol}, less than the {share:.0%} asked for"
        return None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; empty conditions are left out."""
        plain = {
            "elements": sorted(self.elements) if self.elements is not None else None,
            "allowed": sorted(self.allowed) if self.allowed is not None else None,
            "required": sorted(self.required) or None,
            "forbidden": sorted(self.forbidden) or None,
            "formula": dict(self.formula) if self.formula else None,
            "at_least": dict(self.at_least) or None,
            "space_group": list(self.space_groups) or None,
            "min_atoms": self.min_atoms,
            "max_atoms": self.max_atoms,
            "targets": dict(self.targets) or None,
        }
        return {key: value for key, value in plain.items() if value is not None}
