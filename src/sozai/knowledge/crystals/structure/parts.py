"""The parts of a structure's rules, each read from plain types and refused with file, line and key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, get_args

from sozai.errors import UserError
from sozai.knowledge.crystals.rulefile import nearest
from sozai.knowledge.crystals.structure.rules import Connection, Polyhedron, Sharing, Site
from sozai.knowledge.crystals.structure.shapes import SHAPES, Shape, shape_named, shapes_of
from sozai.knowledge.crystals.structure.space_groups import NamedGroup, named_or_refused, symbol_of
from sozai.knowledge.crystals.wish import SYMBOLS, parse_formula

SHARINGS: tuple[str, ...] = get_args(Sharing)
CELL = ("a", "b", "c", "alpha", "beta", "gamma")
ABOUT = 0.02
"""A single number where a range belongs means this share of it to both sides."""
_POSITION = re.compile(r"(\d+)?\s*([a-zA-Z])$")
_PAIR = re.compile(r"([A-Z][a-z]?)\s*[-–]\s*(?:\(?\s*([A-Z][a-z]?(?:\s*[,/]\s*[A-Z][a-z]?)*)\s*\)?)$")
_SHORT = re.compile(r"([A-Z][a-z]?)([A-Z][a-z]?)(\d+)$")
Place = tuple[str | int, ...]
"""Keys and indices that lead to a value."""


@dataclass(frozen=True)
class Parts:
    """The content of a rule file, its name, and the line of each key where known."""

    content: Mapping[str, Any]
    where: str
    lines: Mapping[Place, int]

    def refuse(self, path: Place, what: str, mend: str) -> Any:
        """Raise the error with file, line and key."""
        line = next((self.lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.lines), None)
        key = " ".join(str(part + 1) if isinstance(part, int) else part for part in path)
        raise UserError(what, ", ".join([self.where, *([f"line {line}"] if line else []), key]), mend)

    def formula(self) -> str | None:
        """The formula, checked to be one."""
        given = self.content.get("formula")
        if given is None:
            return None
        if not isinstance(given, str):
            self.refuse(("formula",), f"'{given}' is no formula", "write one such as NaZr2(PO4)3")
        try:
            parse_formula(given)
        except UserError as fault:
            self.refuse(("formula",), fault.what, fault.mend or "write one such as NaZr2(PO4)3")
        return given

    def space_group(self) -> NamedGroup | None:
        """The space group with its setting."""
        given = self.content.get("space_group")
        path: Place = ("space_group",)
        if given is None:
            return None
        if isinstance(given, Mapping):
            for key in given:
                if key not in ("number", "symbol", "setting"):
                    self.refuse((*path, key), f"'{key}' is unknown", nearest(key, ("number", "symbol", "setting")))
            name = given.get("symbol", given.get("number"))
            group = self._group(path, name)
            if "number" in given and given["number"] != group.number:
                told = f"'{name}' is number {group.number}, not {given['number']}"
                self.refuse((*path, "number"), told, "mend the one that is wrong")
            if "setting" not in given:
                return group
            setting = str(given["setting"]).lower()
            if setting in ("standard", "conventional"):
                return NamedGroup(group.number, "", True)
            origin = re.fullmatch(r"origin(?: choice)? ([12])", setting)
            return self._group((*path, "setting"), f"{name if isinstance(name, str) else symbol_of(group.number)}"
                               f" ({origin[0] if origin else setting})")  # fmt: skip
        return self._group(path, given)

    def _group(self, path: Place, name: Any) -> NamedGroup:
        if isinstance(name, bool) or not isinstance(name, str | int):
            self.refuse(path, f"'{name}' names no space group", "give a number or symbol, such as 167 or R-3c")
        try:
            return named_or_refused(name, "")
        except UserError as fault:
            return self.refuse(path, fault.what, fault.mend)

    def sites(self, group: NamedGroup | None) -> tuple[Site, ...]:
        """Sites, in the standard setting."""
        given = self.content.get("sites")
        path: Place = ("sites",)
        if given is None:
            return ()
        found: list[Site] = []
        if isinstance(given, Mapping):  # {Na: 6b, O: [36f, 36f]}
            for element, positions in given.items():
                for position in positions if isinstance(positions, list) else [positions]:
                    found.append(self._site((*path, element), {"element": element, "position": position}))
        elif isinstance(given, list):
            for place, item in enumerate(given):
                found += self._one_or_more((*path, place), item)
        else:
            self.refuse(path, f"'{given}' is no list of sites", "write [Na 6b, O 36f, O 36f]")
        return tuple(self._standard(site, group) for site in found)

    def _one_or_more(self, path: Place, item: Any) -> list[Site]:
        if isinstance(item, str):
            element, _, position = item.strip().partition(" ")
            return [self._site(path, {"element": element, **({"position": position} if position else {})})]
        if isinstance(item, Mapping) and "element" not in item and len(item) == 1:
            ((element, position),) = item.items()
            places = position if isinstance(position, list) else [position]
            return [self._site(path, {"element": element, "position": one}) for one in places]
        return [self._site(path, item)]

    def _site(self, path: Place, item: Any) -> Site:
        if not isinstance(item, Mapping):
            self.refuse(path, f"'{item}' is no site", "write it as Na 6b")
        for key in item:
            if key not in ("element", "position", "at"):
                self.refuse((*path, key), f"a site has no '{key}'", nearest(key, ("element", "position", "at")))
        element = self.element(path, item.get("element"))
        multiplicity: int | None = None
        letter, at = None, item.get("at")
        if item.get("position") is not None:
            match = _POSITION.match(str(item["position"]).strip())
            if match is None and str(item["position"]).strip().isdecimal():
                multiplicity = int(item["position"])
            elif match is None:
                self.refuse(path, f"'{item['position']}' is no Wyckoff position", "write it as 6b")
            else:
                multiplicity, letter = int(match[1]) if match[1] else None, _letter(match[2])
        if at is not None:
            good = isinstance(at, list) and len(at) == 3 and all(_is_number(value) for value in at)
            if not good:
                self.refuse((*path, "at"), f"'{at}' is no place", "give three fractions such as [0, 0, 0.25]")
            at = tuple(float(value) for value in at)
        return Site(element, multiplicity, letter, at)

    def _standard(self, site: Site, group: NamedGroup | None) -> Site:
        """Multiplicities and coordinates are those of the standard setting."""
        if group is None or group.standard:
            return site
        if site.coordinates is not None:
            told = f"coordinates in another setting of space group {group.number} than the Tables' are not understood"
            mend = "state them in the standard setting (unique axis b, origin choice 2, hexagonal axes), or leave them"
            self.refuse(("sites",), told, mend)
        if group.choice == "R" and site.multiplicity:  # the rhombohedral cell has a third of the hexagonal one's atoms
            return Site(site.element, 3 * site.multiplicity, site.letter)
        return site

    def polyhedra(self) -> tuple[Polyhedron, ...]:
        """Coordination polyhedra."""
        return tuple(self._polyhedron(("polyhedra", place), item) for place, item in self._list("polyhedra"))

    def _polyhedron(self, path: Place, item: Any) -> Polyhedron:
        example = "write for instance {Zr-O: 6, range: [1.9, 2.35]}"
        if isinstance(item, str):
            short = _SHORT.match(item.strip())
            if short is None:
                self.refuse(path, f"'{item}' is no polyhedron", example)
            else:
                item = {f"{short[1]}-{short[2]}": int(short[3])}
        if not isinstance(item, Mapping):
            self.refuse(path, f"'{item}' is no polyhedron", example)
        known = ("centre", "ligands", "coordination", "range", "length", "d0", "shape")
        pairs = [key for key in item if isinstance(key, str) and _PAIR.match(key)]
        for key in item:
            if key not in known and key not in pairs:
                self.refuse((*path, str(key)), f"'{key}' is unknown here", nearest(key, (*known, "Zr-O")))
        if len(pairs) + ("centre" in item) != 1:
            self.refuse(path, "it does not name one centre and its ligands", example)
        if pairs:
            match = _PAIR.match(pairs[0])
            centre, ligands = match[1], re.split(r"\s*[,/]\s*", match[2])  # type: ignore[index]
            coordination = item[pairs[0]]
        else:
            given = item.get("ligands")
            centre, ligands = item["centre"], [given] if isinstance(given, str) else given or []
            coordination = item.get("coordination")
        centre = self.element(path, centre)
        ligands = [self.element(path, ligand) for ligand in ligands]
        if not ligands:
            self.refuse(path, "it names no ligands", example)
        shape = self._shape(path, item)
        if coordination is None and shape is not None:
            coordination = shape.coordination
        if isinstance(coordination, bool) or not isinstance(coordination, int) or not 1 <= coordination <= 24:
            self.refuse(path, f"'{coordination}' is no coordination number", "give a whole number from 1 to 24")
        if shape is not None and shape.coordination != coordination:
            told = f"{centre} has {coordination} ligands, '{shape.name}' is of {shape.coordination}"
            fits = " or ".join(one.name for one in shapes_of(coordination))
            self.refuse((*path, "shape"), told, f"write {fits}" if fits else "leave the shape out")
        low, high = None, None
        if item.get("range") is not None:
            low, high = self.range((*path, "range"), item["range"], "angstrom")
        length = item.get("length", item.get("d0"))
        if length is not None and not (_is_number(length) and 0 < length < 10):
            self.refuse(path, f"'{length}' is no bond length", "give angstroms, such as 2.07")
        if length is not None and low is not None and high is not None and not low <= length <= high:
            self.refuse(path, f"the length {length} is outside its range {low} to {high}", "mend one of them")
        length = None if length is None else float(length)
        return Polyhedron(centre, tuple(ligands), coordination, low, high, length, shape.name if shape else None)

    def _shape(self, path: Place, item: Mapping[str, Any]) -> Shape | None:
        given = item.get("shape")
        if given is None:
            return None
        shape = shape_named(str(given))
        if shape is None:
            self.refuse((*path, "shape"), f"'{given}' is no shape", nearest(str(given), list(SHAPES)))
        return shape

    def connections(self) -> tuple[Connection, ...]:
        """How polyhedra share."""
        return tuple(self._connection(("connect", place), item) for place, item in self._list("connect"))

    def _connection(self, path: Place, item: Any) -> Connection:
        example = "write for instance {Zr-P: corner, count: 6}"
        if not isinstance(item, Mapping):
            self.refuse(path, f"'{item}' tells no sharing", example)
        known = ("first", "second", "how", "count")
        pairs = [key for key in item if isinstance(key, str) and _PAIR.match(key)]
        for key in item:
            if key not in known and key not in pairs:
                self.refuse((*path, str(key)), f"'{key}' is unknown here", nearest(key, (*known, "Zr-P")))
        if len(pairs) + ("first" in item) != 1:
            self.refuse(path, "it does not name two centres", example)
        first, second = re.split(r"\s*[-–]\s*", pairs[0]) if pairs else (item["first"], item.get("second"))
        how = item[pairs[0]] if pairs else item.get("how")
        if how not in SHARINGS:
            self.refuse(path, f"'{how}' is no way to share", nearest(how, SHARINGS))
        count = item.get("count")
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 48):
            self.refuse((*path, "count"), f"'{count}' is no number of neighbours", "give a whole number from 1 to 48")
        if count is not None and how == "none":
            self.refuse((*path, "count"), "polyhedra that share nothing have no count", "leave the count out")
        return Connection(self.element(path, first), self.element(path, second), how, count)

    def oxidation(self) -> dict[str, float]:
        """Charges by element."""
        given = self.content.get("oxidation")
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            self.refuse(("oxidation",), f"'{given}' is no list of charges", "write {Na: 1, O: -2}")
        for element, charge in given.items():
            self.element(("oxidation", element), element)
            if not (_is_number(charge) and -8 <= charge <= 9):
                self.refuse(("oxidation", element), f"'{charge}' is no oxidation state", "give one from -8 to 9")
        return {element: float(charge) for element, charge in given.items()}

    def distances(self) -> dict[str, tuple[float, float]]:
        """Low and high by pair."""
        given = self.content.get("distances")
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            self.refuse(("distances",), f"'{given}' is no list of distances", "write {Zr-O: [1.9, 2.35]}")
        found = {}
        for pair, limits in given.items():
            path = ("distances", str(pair))
            symbols = [self.element(path, part) for part in re.split(r"\s*[-–]\s*", str(pair))]
            if len(symbols) != 2:
                self.refuse(path, f"'{pair}' is no pair of elements", "write it as Zr-O")
            found["-".join(sorted(symbols))] = self.range(path, limits, "angstrom")
        return found

    def bond_valence(self) -> float | None:
        """Largest global instability index."""
        given = self.content.get("bond_valence")
        if given is not None and not (_is_number(given) and 0 < given <= 5):
            told = f"'{given}' is no instability index"
            self.refuse(("bond_valence",), told, "give the largest one allowed in valence units, such as 0.2")
        return None if given is None else float(given)

    def cell(self, group: NamedGroup | None) -> dict[str, tuple[float, float]]:
        """Low and high by name."""
        given = self.content.get("cell")
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            self.refuse(("cell",), f"'{given}' is no cell", "write {a: [8.6, 9.0], c: [22, 23]}")
        if group is not None and not group.standard:
            told = f"a cell in another setting of space group {group.number} than the Tables' is not understood"
            self.refuse(("cell",), told, "give it in the standard setting, and name the space group so")
        for name in given:
            if name not in CELL:
                self.refuse(("cell", str(name)), f"a cell has no '{name}'", nearest(name, CELL))
        units = {name: "angstrom" if name in "abc" else "degrees" for name in CELL}
        return {name: self.range(("cell", name), value, units[name]) for name, value in given.items()}

    def range(self, path: Place, value: Any, unit: str) -> tuple[float, float]:
        """Low and high; one end may be null; one number alone means ``ABOUT`` it."""
        if _is_number(value) and value > 0:
            return value * (1 - ABOUT), value * (1 + ABOUT)
        ends = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
        if len(ends) == 2 and ends != [None, None] and all(end is None or _is_number(end) for end in ends):
            low, high = 0.0 if ends[0] is None else float(ends[0]), inf if ends[1] is None else float(ends[1])
            if 0 <= low < high:
                return low, high
        return self.refuse(path, f"'{value}' is no range", f"give low and high in {unit}, such as [1.9, 2.35]")

    def element(self, path: Place, symbol: Any) -> str:
        """An element symbol."""
        if symbol not in SYMBOLS:
            close = [s for s in SYMBOLS if s.lower() == str(symbol).lower()]
            mend = f"did you mean {close[0]}? " if close else ""
            self.refuse(path, f"'{symbol}' is not an element", f"{mend}use symbols such as Na, Zr, O")
        return symbol

    def _list(self, key: str) -> list[tuple[int, Any]]:
        given = self.content.get(key)
        if given is None:
            return []
        if not isinstance(given, list):
            self.refuse((key,), f"'{given}' is no list", "begin each entry with a dash, or write [...]")
        return list(enumerate(given))


def _letter(letter: str) -> str:
    """Wyckoff letters are small; only Pmmm has a 27th, A (alpha in the Tables)."""
    return letter if letter == "A" else letter.lower()


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and isfinite(value)
