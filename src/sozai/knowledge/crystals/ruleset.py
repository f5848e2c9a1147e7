"""The rules for crystals: one file drives generation (as a wish), screening and ``sozai check``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sozai.errors import UserError
from sozai.knowledge.crystals import bonding, chemistry, geometry, supply
from sozai.knowledge.crystals.composition import composition, number_of_atoms, without_elements
from sozai.knowledge.crystals.contacts import Contacts, find_contacts
from sozai.knowledge.crystals.elements import atomic_numbers, element_counts, element_table
from sozai.knowledge.crystals.rulefile import (
    PARAMETERS,
    WISH_KEYS,
    nearest,
    read_rule_file,
    rule_settings,
    wish_conditions,
)
from sozai.knowledge.crystals.symmetry import Symmetry, find_symmetry, space_group
from sozai.knowledge.crystals.wish import CrystalWish
from sozai.knowledge.verdict import Verdict

if TYPE_CHECKING:
    from pymatgen.core import Structure

LEVELS = ("fast", "full")
"""``fast``: about a millisecond a crystal, and two more when symmetry was asked for; ``full``: symmetry and
coordination in any case, up to a second."""

COMPOSITION_RULES = (
    "composition", "charge_neutrality", "electronegativity_order", "noble_gases", "radioactivity", "scarcity",
    "element_cost",
)  # fmt: skip
"""Rules that need no structure."""

_STATED_DEFAULTS = {"min_atoms": 1, "max_atoms": 20}


@dataclass(frozen=True)
class CrystalRules:
    """A set of rules for crystals, with the conditions that its file states.

    Attributes:
        settings: by rule name: severity (``"hard"``, ``"soft"`` or ``"off"``), source and parameters.
        conditions: what the file wishes for, as keywords of ``CrystalWish.of``; only what it states.
        where: name of the file, for messages.

    Example:
        >>> rules = CrystalRules.load("my_rules.yaml")
        >>> [verdict.message for verdict in rules.check(structure, level="full") if verdict.passed is False]
        ['O (site 3) and O (site 4) are 0.91 angstrom apart; ...']
    """

    settings: Mapping[str, Mapping[str, Any]]
    conditions: Mapping[str, Any]
    where: str = "rules.yaml"

    @classmethod
    def load(cls, path: str | Path | None = None) -> CrystalRules:
        """Read a rule file; without one, the bundled rules.

        Raises:
            UserError: the file cannot be read, names an unknown rule, or holds a value that is not allowed.
        """
        bundled, name = read_rule_file(None)
        settings = rule_settings(bundled, name, {})
        content: Mapping[str, Any] = bundled
        if path is not None:
            content, name = read_rule_file(path)
            settings = rule_settings(content, name, settings)
        rules = cls(settings, wish_conditions(content, name), name)
        try:
            rules.wish()
        except UserError as fault:
            where = f"{name}, wish" + (f", {fault.where}" if fault.where else "")
            raise UserError(fault.what, where, fault.mend) from None
        return rules

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: ``{"wish": {...}, "rules": {...}}``, as a rule file has them."""
        rules = {name: dict(setting) for name, setting in self.settings.items()}
        return json.loads(json.dumps({"wish": dict(self.conditions), "rules": rules}))

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits that change whenever a rule, a parameter or a condition changes."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def forbidden_elements(self) -> dict[str, str]:
        """Elements that a hard rule excludes, each with the rule's name."""
        excluded = {}
        if self.settings["radioactivity"]["severity"] == "hard":
            excluded.update({s: "radioactivity" for s, row in element_table().items() if row.radioactive})
        if self.settings["noble_gases"]["severity"] == "hard":
            excluded.update({s: "noble_gases" for s in self.settings["noble_gases"]["elements"]})
        return excluded

    def wish(self) -> CrystalWish:
        """The wish of the file and of its hard rules about elements: what a generator must obey."""
        return self.merge({})

    def merge(self, wish: CrystalWish | Mapping[str, Any]) -> CrystalWish:
        """The wish in which the file's conditions and the caller's hold at once.

        Args:
            wish: the caller's conditions: keywords of ``CrystalWish.of``, or a wish, whose numbers of atoms count
                as not stated where they are ``CrystalWish``'s own defaults.

        Raises:
            UserError: the two contradict each other.
        """
        if isinstance(wish, CrystalWish):
            plain = {key: value for key, value in wish.to_dict().items() if _STATED_DEFAULTS.get(key) != value}
        else:
            plain = dict(wish)
            for key in plain:
                if key not in WISH_KEYS:
                    raise UserError(f"there is no condition '{key}'", "wish", nearest(key, WISH_KEYS))
        mine = CrystalWish.of(**self.conditions)
        theirs = CrystalWish.of(**plain)
        excluded = self.forbidden_elements()
        for symbol in sorted(mine.needed_elements() | theirs.needed_elements()):
            if symbol in excluded:
                raise UserError(
                    f"the wish needs {symbol}, which the rule '{excluded[symbol]}' forbids",
                    self.where,
                    f"set the severity of '{excluded[symbol]}' to soft or choose another element",
                )
        low = [stated["min_atoms"] for stated in (self.conditions, plain) if "min_atoms" in stated]
        high = [stated["max_atoms"] for stated in (self.conditions, plain) if "max_atoms" in stated]
        allowed = [names for names in (mine.allowed, theirs.allowed) if names is not None]
        return CrystalWish.of(
            elements=_same(mine.elements, theirs.elements, "elements", self.where),
            allowed=frozenset.intersection(*allowed) if allowed else None,
            required=mine.required | theirs.required,
            forbidden=mine.forbidden | theirs.forbidden | set(excluded),
            formula=_same(mine.formula, theirs.formula, "formulas", self.where),
            at_least={
                symbol: max(mine.at_least.get(symbol, 0.0), theirs.at_least.get(symbol, 0.0))
                for symbol in {**mine.at_least, **theirs.at_least}
            },
            space_group=_shared(mine.space_groups, theirs.space_groups, self.where) or None,
            min_atoms=max(low, default=_STATED_DEFAULTS["min_atoms"]),
            max_atoms=min(high, default=_STATED_DEFAULTS["max_atoms"]),
            targets={**mine.targets, **theirs.targets},
        )

    def check(self, structure: Structure, wish: CrystalWish | None = None, level: str = "fast") -> list[Verdict]:
        """Judge one structure by every rule that is not off.

        Args:
            structure: an ordered crystal structure.
            wish: the wish in force, e.g. from :meth:`merge`; without one, what the rule file states (a number of
                atoms that it does not state is then not limited).
            level: ``"fast"`` or ``"full"``.

        Returns:
            a verdict a rule, in the order of ``rulefile.PARAMETERS``.

        Raises:
            UserError: the structure is disordered or the level unknown.
        """
        if level not in LEVELS:
            raise UserError(f"there is no level '{level}'", "level", nearest(level, LEVELS))
        if not len(structure):
            raise UserError("the structure has no atoms", mend="give a structure with at least one")
        crystal = _Crystal(structure, self.settings)
        wish = wish or self._stated
        verdicts = []
        for name in PARAMETERS:
            if self.settings[name]["severity"] == "off" or (name == "coordination" and level == "fast"):
                continue
            if name in COMPOSITION_RULES:
                verdicts.append(self._composition_verdict(name, crystal.counts, wish))
            else:
                verdicts.append(self._structure_verdict(name, crystal, wish, level))
        return verdicts

    def check_composition(self, counts: Mapping[str, int], wish: CrystalWish | None = None) -> list[Verdict]:
        """Judge a composition, before there is a structure, by the rules that need none.

        Args:
            counts: atoms by element symbol.
            wish: the wish in force; without one, what the rule file states.
        """
        return [
            self._composition_verdict(name, counts, wish or self._stated)
            for name in COMPOSITION_RULES
            if self.settings[name]["severity"] != "off"
        ]

    @cached_property
    def _stated(self) -> CrystalWish | None:
        """The file's own wish, with no limit on the number of atoms unless it states one."""
        if not self.conditions:
            return None
        wish = CrystalWish.of(**self.conditions)
        return wish if "max_atoms" in self.conditions else replace(wish, max_atoms=10**9)

    def _options(self, name: str) -> dict[str, Any]:
        return {key: value for key, value in self.settings[name].items() if key != "source"}

    def _composition_verdict(self, name: str, counts: Mapping[str, int], wish: CrystalWish | None) -> Verdict:
        options = self._options(name)
        if name == "composition":
            return composition(counts, wish, options["severity"])
        if name == "charge_neutrality":
            return chemistry.charge_neutral(counts, **options)
        if name == "electronegativity_order":
            charges = {**self._options("charge_neutrality"), **options}
            return chemistry.electronegativity_order(counts, **charges)
        if name == "noble_gases":
            return without_elements(name, counts, options["elements"], "among the noble gases", options["severity"])
        if name == "radioactivity":
            radioactive = frozenset(symbol for symbol in counts if element_table()[symbol].radioactive)
            return without_elements(name, counts, radioactive, "radioactive", options["severity"])
        if name == "scarcity":
            return supply.scarcity(counts, **options)
        return supply.element_cost(counts, **options)

    def _structure_verdict(self, name: str, crystal: _Crystal, wish: CrystalWish | None, level: str) -> Verdict:
        options = self._options(name)
        if not crystal.sound:
            # Without a volume nothing else can be judged, and the crystal must not slip through.
            if name == "volume_per_atom":
                return Verdict(name, False, crystal.fault, 1.0, "angstrom^3/atom", options["severity"])
            wanted = name == "space_group" and wish is not None and wish.space_groups
            failed = name == "interatomic_distances" or wanted
            return Verdict(name, False if failed else None, crystal.fault, severity=options["severity"])
        if name == "number_of_atoms":
            low, high = (wish.min_atoms, wish.max_atoms) if wish else (None, None)
            sites = len(crystal.structure)
            # The primitive cell is never larger: the search for symmetry, by far the slowest part, can be spared.
            plain = level == "fast" and (wish is None or (wish.min_atoms == 1 and sites <= wish.max_atoms))
            atoms = sites if plain else crystal.symmetry.primitive_atoms
            return number_of_atoms(atoms, low, high, "cell" if plain else "primitive cell", options["severity"])
        if name == "space_group":
            wanted = wish.space_groups if wish else ()
            if level == "fast" and not wanted:
                return Verdict(name, None, "None was asked for.", severity=options["severity"])
            return space_group(crystal.symmetry, wanted, options["severity"])
        if name == "interatomic_distances":
            return geometry.interatomic_distances(crystal.contacts, **options)
        if name == "volume_per_atom":
            return geometry.volume_per_atom(crystal.structure, crystal.counts, **options)
        if name == "dimensionality":
            return geometry.dimensionality(crystal.contacts, **options)
        charges = {key: self.settings["charge_neutrality"][key] for key in ("consensus", "commonality")}
        if name == "bond_valence":
            return bonding.bond_valence(crystal.contacts, crystal.counts, **options, **charges)
        return bonding.coordination(crystal.structure, crystal.counts, **options, **charges)


@dataclass
class _Crystal:
    """A structure and what several rules need of it, each worked out once and only when needed."""

    structure: Structure
    settings: Mapping[str, Mapping[str, Any]]
    fault = "The cell has no volume or a coordination is not a number; give a sound cell."

    @cached_property
    def sound(self) -> bool:
        return bool(
            np.isfinite(self.structure.lattice.matrix).all()
            and np.isfinite(self.structure.frac_coords).all()
            and self.structure.volume > 1e-6
        )

    @cached_property
    def numbers(self) -> list[int]:
        return atomic_numbers(self.structure)

    @cached_property
    def counts(self) -> dict[str, int]:
        return element_counts(self.numbers)

    @cached_property
    def contacts(self) -> Contacts:
        limits = self.settings["interatomic_distances"]
        least = geometry.greatest_least_distance(
            self.numbers, limits["factor"], limits["factor_non_metals"], limits["pairs"]
        )
        return find_contacts(self.structure, self.numbers, least)

    @cached_property
    def symmetry(self) -> Symmetry:
        return find_symmetry(self.structure, self.numbers, self.settings["space_group"]["tolerance"])


def _same(mine: Any, theirs: Any, what: str, where: str) -> Any:
    if mine and theirs and mine != theirs:
        raise UserError(f"the rule file and the wish name different {what}", where, "state them in one place only")
    return theirs or mine


def _shared(mine: tuple[int, ...], theirs: tuple[int, ...], where: str) -> tuple[int, ...]:
    if not mine or not theirs:
        return mine or theirs
    shared = tuple(group for group in mine if group in theirs)
    if not shared:
        raise UserError(
            "the rule file and the wish have no space group in common", where, "state them in one place only"
        )
    return shared
