"""Plain words about a kind of crystal into conditions for a generator: "a layered lithium cobalt oxide".

By code alone. Words that no rule understands are listed, not dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

from sozai.assistant.structures.families import FAMILIES, Family
from sozai.errors import UserError
from sozai.knowledge.crystals.element_names import ANIONS, OXO_ANIONS, symbols_for_names
from sozai.knowledge.crystals.structure.reading import ELEMENT, NUMBER, TAKEN, is_formula
from sozai.knowledge.crystals.structure.space_groups import named, symbol_of
from sozai.knowledge.crystals.wish import SYMBOLS, TARGETS, CrystalWish, parse_formula
from sozai.materials.wyckoff import CRYSTAL_SYSTEMS

_LAYERED_OXIDES = (1, 1, 2)
_STABLE = {"stable": 0.0, "thermodynamically stable": 0.0, "metastable": 0.05}
_FILLER = frozenset(
    [
        "a",
        "an",
        "the",
        "with",
        "of",
        "and",
        "is",
        "are",
        "be",
        "in",
        "for",
        "that",
        "has",
        "have",
        "having",
        "some",
        "any",
        "new",
        "novel",
        "material",
        "materials",
        "compound",
        "compounds",
        "crystal",
        "crystals",
        "structure",
        "structures",
        "structured",
        "type",
        "phase",
        "made",
        "please",
        "give",
        "find",
        "generate",
        "me",
        "i",
        "want",
        "need",
        "like",
        "similar",
        "to",
        "based",
        "on",
        "containing",
        "contains",
        "which",
        "about",
        "around",
        "ordered",
        "inorganic",
        "solid",
        "candidates",
        "candidate",
    ]
)


@dataclass
class TextWish:
    """What was understood.

    Attributes:
        conditions: keywords of ``CrystalWish.of``.
        reasons: what each condition comes from, for a person.
        ignored: words that no rule understood.
    """

    conditions: dict[str, Any] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    @property
    def wish(self) -> CrystalWish:
        """The conditions, checked.

        Raises:
            UserError: they contradict each other.
        """
        return CrystalWish.of(**self.conditions)

    def options(self) -> list[str]:
        """The same as options of ``sozai generate`` and ``sozai design``."""
        names = {"elements": "--elements", "required": "--require", "forbidden": "--exclude", "formula": "--formula",
                 "max_atoms": "--max-atoms", "min_atoms": "--min-atoms"}  # fmt: skip
        options: list[str] = []
        for key, value in self.conditions.items():
            if key == "space_group":
                options += [part for number in value for part in ("--space-group", str(number))]
            elif key == "targets":
                options += [p for name, aim in value.items() for p in (f"--{name.replace('_', '-')}", f"{aim:g}")]
            else:
                options += [names[key], ",".join(value) if isinstance(value, list) else str(value)]
        return options


def wish_of_text(text: str) -> TextWish:
    """Conditions from words.

    Args:
        text: e.g. ``"a stable cubic lithium sulfide without tin, band gap about 3 eV"``.

    Raises:
        UserError: nothing in it is a condition, or conditions contradict each other.
    """
    found = TextWish()
    rest = " ".join(symbols_for_names(text).split())

    def take(pattern: str, handle: Callable[[re.Match[str]], Any]) -> None:
        nonlocal rest
        rest = re.sub(pattern, lambda m: m[0] if handle(m) is False else f" {TAKEN} ", rest)

    _take_targets(found, take)
    _take_forbidden(found, take)
    family = _take_families(found, take)
    _take_symmetry(found, take)
    elements, exact = _take_elements(found, take)
    if family is not None and family.elements:
        elements = list(dict.fromkeys([*elements, *family.elements]))
    if "formula" not in found.conditions and elements:
        clash = [e for e in elements if e in found.conditions.get("forbidden", [])]
        if clash:
            raise UserError(
                f"{', '.join(clash)} is asked for and excluded at the same time", "text", "drop one of the two"
            )
        found.conditions["elements" if exact else "required"] = elements
        found.reasons.append(f"elements: {'exactly' if exact else 'at least'} {', '.join(elements)}")
        if exact and family is not None:
            _guess_formula(found, family, elements)
    found.ignored = [
        word for word in re.findall(r"[^\s,;.!?()]+", rest) if word.lower() not in _FILLER and re.search(r"\w", word)
    ]
    if not found.conditions:
        raise UserError(
            f"no condition is understood in '{text}'", "--text",
            "name elements, a family (perovskite, spinel, garnet, layered ...), a crystal system or a property",
        )  # fmt: skip
    _ = found.wish
    return found


def _take_targets(found: TextWish, take: Callable[..., None]) -> None:
    aims: dict[str, float] = {}
    about = r"\s*(?:of|about|around|near|is|=|:|~|\s)*\s*"

    def aim(name: str, value: float, words: str) -> None:
        aims[name] = value
        found.reasons.append(f"'{words.strip()}': aim at {name.replace('_', ' ')} {value:g} {TARGETS[name]}")

    take(rf"(?i)(?:with (?:a )?)?band[- ]?gap{about}({NUMBER})\s*eV", lambda m: aim("band_gap", float(m[1]), m[0]))
    take(rf"(?i)({NUMBER})[\s-]*eV\s+(?:band[- ]?)?gap", lambda m: aim("band_gap", float(m[1]), m[0]))
    take(rf"(?i)bulk modulus{about}({NUMBER})\s*GPa", lambda m: aim("bulk_modulus", float(m[1]), m[0]))
    take(rf"(?i)formation energy{about}(-?(?:{NUMBER}))\s*eV(?:\s*/\s*atom)?",
         lambda m: aim("formation_energy", float(m[1]), m[0]))  # fmt: skip
    take(r"(?i)\b(metastable|thermodynamically stable|(?<!un)(?<!not )stable)\b",
         lambda m: aim("energy_above_hull", _STABLE[m[1].lower()], m[0]))  # fmt: skip
    take(r"(?i)\b(metallic|metal(?= compound))\b", lambda m: aim("band_gap", 0.0, m[0]))
    if aims:
        found.conditions["targets"] = aims

    def atoms(key: str, value: int, words: str) -> None:
        found.conditions[key] = value
        found.reasons.append(f"'{words.strip()}': {key.replace('_', ' ')} {value}")

    cell = r"\s*(\d+)\s*atoms(?: (?:in|per) (?:the )?(?:primitive |unit )?cell)?"
    take(rf"(?i)(?:at most|up to|no more than){cell}", lambda m: atoms("max_atoms", int(m[1]), m[0]))
    take(rf"(?i)(?:fewer than|under|below){cell}", lambda m: atoms("max_atoms", int(m[1]) - 1, m[0]))
    take(rf"(?i)at least{cell}", lambda m: atoms("min_atoms", int(m[1]), m[0]))


def _take_forbidden(found: TextWish, take: Callable[..., None]) -> None:
    forbidden: list[str] = []

    def exclude(match: re.Match[str]) -> None:
        forbidden.extend(e for e in re.findall(ELEMENT, match[0].replace("-free", "")) if e not in forbidden)

    several = rf"{ELEMENT}(?:\s*(?:,|or|and|nor)\s*{ELEMENT})*(?![\w-])"
    take(rf"(?:(?i:without|no|not|free of|excluding|except)\s+(?:any\s+)?){several}", exclude)
    take(rf"(?<!\w){ELEMENT}-free", exclude)
    if forbidden:
        found.conditions["forbidden"] = forbidden
        found.reasons.append(f"without {', '.join(forbidden)}")


def _take_families(found: TextWish, take: Callable[..., None]) -> Family | None:
    families: list[tuple[str, Family]] = []
    for name, family in FAMILIES.items():
        pattern = re.escape(name).replace(r"\ ", r"[\s-]").replace(r"\-", r"[\s-]")
        take(rf"(?i)\b{pattern}s?(?:[\s-]type)?\b", lambda m, n=name, f=family: families.append((n, f)))
    if not families:
        return None
    groups = list(families[0][1].groups)
    for name, family in families[1:]:
        both = [number for number in groups if number in family.groups]
        if not both:
            told = f"'{families[0][0]}' and '{name}' have no space group in common"
            raise UserError(told, "--text", "name one family")
        groups = both
    found.conditions["space_group"] = groups
    names = " and ".join(name for name, _ in families)
    found.reasons.append(f"'{names}': space groups {', '.join(f'{symbol_of(n)} ({n})' for n in groups)}")
    return families[-1][1] if families[-1][0] != "layered" else families[0][1]


def _take_symmetry(found: TextWish, take: Callable[..., None]) -> None:
    def groups(numbers: list[int], words: str) -> None:
        before = found.conditions.get("space_group")
        both = numbers if before is None else [n for n in before if n in numbers]
        if not both:
            told = f"'{words.strip()}' leaves none of the space groups {', '.join(map(str, before or []))}"
            raise UserError(told, "--text", "drop one of the two")
        found.conditions["space_group"] = both
        shown = ", ".join(str(n) for n in both[:6]) + (f" ... {both[-1]}" if len(both) > 6 else "")
        found.reasons.append(f"'{words.strip()}': space group {shown}")

    def one(match: re.Match[str]) -> Any:
        group = named(match[1])
        return False if group is None else groups([group.number], match[0])

    take(r"(?i:space[- ]group\s*(?:number|no\.?|#)?\s*)([A-Za-z0-9_/-]+)", one)
    take(r"(?<![\w(-])([PABCFIR]-?[1-6][\w/-]*|[PABCFIR][a-z-][\w/-]*)(?![\w-])",
         lambda m: False if is_formula(m[1]) else one(m))  # fmt: skip
    first = 1
    for name, last in CRYSTAL_SYSTEMS:
        numbers = list(range(first, last + 1))
        first = last + 1
        take(rf"(?i)\b{name}\b(?: (?:symmetry|system))?", lambda m, n=numbers: groups(n, m[0]))
    take(r"(?i)\brhombohedral\b", lambda m: groups([146, 148, 155, 160, 161, 166, 167], m[0]))


def _take_elements(found: TextWish, take: Callable[..., None]) -> tuple[list[str], bool]:
    """Elements, and whether they are all there are."""
    elements: list[str] = []
    exact: list[bool] = []
    anion = "|".join(sorted({*ANIONS, *OXO_ANIONS}, key=len, reverse=True))

    def formula(match: re.Match[str]) -> Any:
        if not is_formula(match[0]) or len(parse_formula(match[0])) < 2 or "formula" in found.conditions:
            return False
        found.conditions["formula"] = match[0]
        found.reasons.append(f"formula {match[0]}")
        return True

    def add(symbols: list[str]) -> None:
        elements.extend(symbol for symbol in symbols if symbol not in elements)

    def several(match: re.Match[str], whole: bool) -> None:
        add(re.findall(ELEMENT, match[1]))
        exact.append(whole)

    def compound(match: re.Match[str]) -> None:
        cations = re.findall(ELEMENT, match[1] or "")
        add(cations)
        for name in re.findall(rf"(?i)(?:{anion})", match[2]):
            low = name.lower()
            add([ANIONS[low]] if low in ANIONS else [OXO_ANIONS[low], "O"])
        if re.match(r"(?i)oxy", match[2]):
            add(["O"])
        exact.append(bool(cations))

    take(r"(?<![\w-])[A-Z][A-Za-z0-9()]*\d[A-Za-z0-9()]*(?![\w-])|(?<![\w-])(?:[A-Z][a-z]?){2,}(?![\w-])", formula)
    take(rf"(?<![\w-])({ELEMENT}(?:-(?:{ELEMENT}))+)(?![\w-])(?:\s+(?:system|chemical system))?",
         lambda m: several(m, True))  # fmt: skip
    one = rf"(?i:(?:oxy|thio|hydroxy)?(?:{anion})s?)"
    take(rf"(?<![\w-])((?:{ELEMENT}(?:\s+|\s*-\s*|\s*,\s*|\s+and\s+))*)({one}(?:\s+{one})*)(?![\w-])", compound)
    take(rf"(?<![\w-])({ELEMENT})(?:[- ](?i:containing|based|rich|bearing))?(?![\w-])",
         lambda m: several(m, False))  # fmt: skip
    found_exact = bool(exact) and all(exact)
    return sorted(elements, key=SYMBOLS.index), found_exact


def _guess_formula(found: TextWish, family: Family, elements: list[str]) -> None:
    """The formula, where the family's ratios and the charges leave only one."""
    from sozai.knowledge.crystals.chemistry import likely_states, rare_states

    ratios = family.ratios
    if not ratios and family is FAMILIES["layered"] and len(elements) == 3 and "O" in elements:
        ratios = _LAYERED_OXIDES
    if len(ratios) != len(elements) or len(elements) < 2:
        return
    from sozai.knowledge.crystals.elements import element_table

    by_pull = sorted(elements, key=lambda symbol: element_table()[symbol].electronegativity or 0.0)
    cations, last = by_pull[:-1], by_pull[-1]
    fits: dict[str, dict[str, int]] = {}
    for order in permutations(cations):
        counts = dict(zip((*order, last), ratios, strict=True))
        states = likely_states(counts)
        if states and not rare_states(states):
            text = "".join(
                f"{symbol}{n if n > 1 else ''}"
                for symbol, n in sorted(counts.items(), key=lambda i: by_pull.index(i[0]))
            )
            fits[text] = counts
    if len(fits) == 1:
        found.conditions.pop("elements", None)
        found.conditions["formula"] = next(iter(fits))
        found.reasons.append(
            f"formula {found.conditions['formula']}: of the ratios that the family has, the one whose charges cancel"
        )
    elif fits:
        found.reasons.append(f"formulas of the family that could be neutral: {', '.join(fits)}; none was chosen")
