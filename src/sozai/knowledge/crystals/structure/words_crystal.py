"""Words about formula, space group, sites, and what repeats them."""

from __future__ import annotations

import re
from typing import Any

from sozai.knowledge.crystals.element_names import ANIONS, OXO_ANIONS
from sozai.knowledge.crystals.structure.reading import (
    COUNT,
    ELEMENT,
    NUMBER,
    TAKEN,
    TIMES,
    Reading,
    how_many,
    is_formula,
)
from sozai.knowledge.crystals.structure.rules import Site
from sozai.knowledge.crystals.structure.shapes import NAMES, shape_named
from sozai.knowledge.crystals.structure.space_groups import named
from sozai.knowledge.crystals.wish import parse_formula
from sozai.materials.wyckoff import CRYSTAL_SYSTEMS


def take_formula(reading: Reading) -> None:
    """The formula: what is called so, or the first word that is one and no polyhedron."""
    tokens = list(re.finditer(r"(?:formula|composition)\W+([A-Z][\w()\[\].]*)", reading.rest, re.IGNORECASE))
    stated, seen_all = bool(tokens), False
    tokens = tokens or list(re.finditer(r"(?<![\w(])([A-Z](?:[\w()\[\]]|\.\d)*)", reading.rest))
    # An element alone is a formula only where it begins the text and nothing else is one.
    for match in tokens if stated else [*tokens, *(t for t in tokens if t.start(1) == 0)]:
        token = match[1].rstrip(".")
        token = token[:-1] if token.count(")") > token.count("(") else token
        if "." in token or "[" in token:
            reading.refuse(token, "is no formula with whole numbers", "an ordered crystal needs whole numbers")
        after = reading.rest[match.start(1) + len(token) :]
        shape = re.match(rf"\s+(?:(?i:{NAMES})(?![\w-])|polyhed|unit|group(?!\s*\d)|shar)", after)
        before = re.search(rf"(?<![\w-])(?i:{NAMES})\s+$", reading.rest[: match.start(1)])
        if before and re.fullmatch(rf"{ELEMENT}{ELEMENT}\d+", token):  # square planar PdO4; but not cubic ZrO2
            named = shape_named(before[0].replace("-", " "))
            shape = shape or (before if named and token.endswith(str(named.coordination)) else None)
        alone = match is tokens[0] and match.start(1) == 0 and seen_all and re.match(r"\s*([,;.]|$)", after)
        several = is_formula(token) and bool(len(parse_formula(token)) > 1 or alone)
        several = several and not re.fullmatch(rf"{ELEMENT}\([IV]+\)", token)
        seen_all = seen_all or match is tokens[-1]
        if stated and not is_formula(token):
            reading.refuse(token, "is not a chemical formula")
        if (several and not shape and not re.match(r"\s*[-+]", after)) or stated:
            reading.formula = token
            start = match.start() if stated else match.start(1)
            end = match.start(1) + len(token)
            reading.rest = reading.rest[:start] + TAKEN * (end - start) + reading.rest[end:]
            return


def take_group(reading: Reading) -> None:
    """The space group, by symbol or number, with notes on its setting."""
    setting = (
        r"(?:\s+symmetry)?"
        r"(?:[\s,(]*(?:(?:in\s+)?(?:the\s+)?(hexagonal|rhombohedral)\s+(?:axes|setting)|origin(?:\s+choice)?\s+([12]))\)?)?"
    )
    number = r"(?:[\s,(]*(?:no\.?|number|nr\.?|#)\s*(\d{1,3})\)?|\s*\((\d{1,3})\))?"

    def found(match: re.Match[str], name: str) -> Any:
        stated = match["n1"] or match["n2"]
        choice = match["s1"] or (f"origin choice {match['s2']}" if match["s2"] else "")
        group = named(f"{name} ({choice})" if choice and "origin" not in choice else f"{name} {choice}".strip())
        if group is None:
            return False
        if stated and int(stated) != group.number:
            reading.refuse(match[0], f"is contradictory: {name} has the number {group.number}", "mend one of the two")
        if reading.group is not None and reading.group.number != group.number:
            reading.refuse(match[0], f"is a second space group beside number {reading.group.number}", "name one")
        reading.group = group
        return True

    tail = number.replace("(\\d{1,3})", "(?P<n1>\\d{1,3})", 1).replace("(\\d{1,3})", "(?P<n2>\\d{1,3})", 1)
    tail += setting.replace("(hexagonal", "(?P<s1>hexagonal", 1).replace("([12])", "(?P<s2>[12])", 1)
    part = r"[A-Za-z0-9_/\u0304{}\\-]+(?::[12HR])?"
    prefix = r"(?:space[\s-]*group|SG|symmetry)\W{0,2}\s*(?:is|of|symbol|no\.?|number|#)?\s*"
    for size in (5, 4, 3, 2, 1):  # "R -3 2/c" before "R"
        name = rf"(?P<name>{part}(?:\s+{part}){{{size - 1}}})"
        reading.take(rf"(?i:{prefix}){name}(?!\w){tail}", lambda match: found(match, match["name"]))
    for size in (4, 3, 2, 1):
        name = rf"(?P<name>[PABCFIR]{part if size == 1 else ''}(?:\s+{part}){{{size - 1}}})"

        def bare(match: re.Match[str]) -> Any:
            word = match["name"].strip()
            one = re.match(ELEMENT, word)
            if is_formula(word) and one and (reading.formula is None or one[0] in parse_formula(reading.formula)):
                return False  # C2 in a carbide is no space group unless called so
            return found(match, word)

        reading.take(rf"(?<![\w-]){name}(?![\w-]){tail}", bare)
    reading.take(
        r"(?i:(?:space group\s*)?(?:no\.|number|#))\s*(?P<name>\d{1,3})(?P<n1>)(?P<n2>)(?P<s1>)(?P<s2>)",
        lambda match: found(match, match["name"]),
    )
    if reading.group is None:
        reading.take(
            r"(?<=[,;\u00a6])\s*(?P<name>\d{1,3})\s*(?=[,;]|$)(?P<n1>)(?P<n2>)(?P<s1>)(?P<s2>)",
            lambda match: found(match, match["name"]),
        )
    wrong = re.search(rf"(?i:{prefix})([^,;{TAKEN}]+)", reading.rest)
    if wrong and reading.group is None:
        reading.refuse(wrong[0], "names no space group", "give its number, 1 to 230, or its symbol, such as R-3c")


def take_sites(reading: Reading) -> None:
    """Sites: "Zr on 12c", "two O on 36f", "Na and Cl on 4a and 4b"."""
    place = r"(?:Wyckoff\s+)?(?:positions?\s+|sites?\s+)?(\d{1,3})\s?([a-zA-Z])(?![\w])(?:\s+(?:positions?|sites?))?"
    times = rf"(?:\s*(?:\(?({COUNT})\s+times\)?|\(?(twice|once|thrice)\)?|[x*]\s?(\d)))?"
    at = rf"(?:\s*(?:at\s*)?\(\s*(-?(?:{NUMBER}))[\s,]+(-?(?:{NUMBER}))[\s,]+(-?(?:{NUMBER}))\s*\))?"
    spoken_counts = "|".join(word for word in TIMES)
    one = rf"(?:(\d+)\s*[x*]\s*|({spoken_counts})\s+)?{place}{at}{times}"
    label = rf"{ELEMENT}\d{{0,2}}(?!\w)"
    who = rf"(?:(?P<number>{COUNT})\s+)?(?P<who>{label}(?:\s*(?:,|and|,\s*and)\s*{label})*)"
    verb = (
        r"\s*(?:atoms?|ions?|cations?|anions?|sites?|is|are|sits?|occup(?:y|ies|ying)|on|at|in|goes|placed|to|the|all|"
        r"both|[:@=(])*\s*"
    )

    def found(match: re.Match[str]) -> Any:
        labels = re.findall(ELEMENT, match["who"])
        places = list(re.finditer(one, match["places"]))
        elements = list(dict.fromkeys(labels))
        if len(elements) > 1 and len(places) != len(labels):  # "Na and Zr on 6b and 12c, respectively"
            reading.refuse(match[0], "leaves open which element is where", "write one element at a time")
        for nth, spot in enumerate(places):
            number = how_many(spot[1] or spot[2]) if spot[1] or spot[2] else 1
            number *= how_many(spot[8] or spot[9] or spot[10]) if spot[8] or spot[9] or spot[10] else 1
            multiplicity, letter = int(spot[3]), spot[4] if spot[4] == "A" else spot[4].lower()
            spoken = how_many(match["number"]) if match["number"] else 1
            if len(places) == 1 and spoken not in (1, multiplicity):
                number *= spoken
            elif match["number"] and len(places) not in (1, spoken) and spoken != multiplicity:
                reading.refuse(match[0], "has another number of sites than of atoms", "write one site at a time")
            if len(elements) == 1 and len(labels) > 1 and len(places) == 1:
                number *= len(labels)  # "O1 and O2 on 36f"
            xyz = None if spot[5] is None else (float(spot[5]), float(spot[6]), float(spot[7]))
            if xyz is not None and number > 1:
                reading.refuse(match[0], "puts several sites on one place", "give each its own")
            element = labels[nth] if len(elements) > 1 else elements[0]
            reading.sites += [Site(element, multiplicity, letter, xyz)] * number
        return True

    plain = re.sub(r"\((?!\?)", "(?:", one.replace(r"\(", "\x01")).replace("\x01", r"\(")
    listing = rf"(?P<places>{plain}(?:\s*(?:,\s*and|and|,|\+)\s*{plain})*)\)?(?:\s*,?\s*respectively)?"
    reading.take(rf"(?<![\w-]){who}{verb}{listing}", found)


def take_systems(reading: Reading) -> None:
    """A crystal system is only a repetition of the space group; a wrong one is told."""

    def system(match: re.Match[str]) -> Any:
        if reading.group is None:
            return False
        number = reading.group.number
        actual = next(name for name, last in CRYSTAL_SYSTEMS if number <= last)
        stated = match[1].lower()
        if stated == actual or (stated == "rhombohedral" and actual == "trigonal"):
            return True
        if stated == "hexagonal" and actual == "trigonal":
            return True  # of its axes
        return reading.refuse(match[0], f"contradicts space group {number}, which is {actual}", "mend one of the two")

    names = "|".join([*(name for name, _ in CRYSTAL_SYSTEMS), "rhombohedral"])
    reading.take(rf"(?i)\b({names})\b(?:\s+(?:system|symmetry|axes|setting|cell))?", system)


def take_units(reading: Reading) -> None:
    """The number of formula units repeats what the sites say; it is only compared."""

    def units(match: re.Match[str]) -> Any:
        counts = parse_formula(reading.formula) if reading.formula else {}
        for element in dict.fromkeys(site.element for site in reading.sites):
            if element in counts:
                atoms = sum(site.multiplicity or 0 for site in reading.sites if site.element == element)
                if atoms == counts[element] * int(match[1] or match[2]):
                    return True
                reading.refuse(match[0], f"does not go with {atoms} {element} in the cell", "mend one of the two")
        return False

    reading.take(r"\bZ\s*=\s*(\d+)|(?i:\b(\d+)\s+formula units(?:\s+(?:in|per)\s+(?:the\s+)?(?:unit\s+)?cell)?)", units)


def take_names(reading: Reading) -> None:
    """A compound's name beside its formula repeats it ("sodium zirconium phosphate"); it is only compared."""

    def compound(match: re.Match[str]) -> Any:
        counts = parse_formula(reading.formula) if reading.formula else {}
        anion = ANIONS.get(match[2].lower()) or OXO_ANIONS.get(match[2].lower())
        return bool(anion) and {anion, *re.findall(ELEMENT, match[1])} <= set(counts)

    reading.take(rf"(?<![\w-])((?:{ELEMENT}\s+)*)([A-Za-z]+(?:ide|ate))\b", compound)
