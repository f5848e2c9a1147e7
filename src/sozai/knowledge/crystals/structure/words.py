"""Read plain words about one crystal structure into rules; what is not understood is refused, never dropped.

"NaZr2(PO4)3, R-3c, Na on 6b, Zr on 12c, P on 18e, O on 36f twice; ZrO6 octahedra share all corners with PO4 tetrahedra"

Each kind of statement is a pattern that takes its words out of the text; words that no pattern has taken and that carry
meaning are quoted back.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from sozai.errors import UserError
from sozai.knowledge.crystals.element_names import ANIONS, OXO_ANIONS, symbols_for_names
from sozai.knowledge.crystals.structure.rulefile import ABOUT
from sozai.knowledge.crystals.structure.rules import Connection, Polyhedron, Site, StructureRules
from sozai.knowledge.crystals.structure.space_groups import NamedGroup, named
from sozai.knowledge.crystals.wish import SYMBOLS, parse_formula
from sozai.materials.wyckoff import CRYSTAL_SYSTEMS

TAKEN = "\u00a6"
"""Stands where words were understood."""
ELEMENT = "(?:" + "|".join(sorted(SYMBOLS, key=len, reverse=True)) + ")(?![a-z])"
NUMBER = r"\d+(?:\.\d+)?|\.\d+"
_UNIT = r"(?:\s*(?:angstroms?|Å|Å|A)(?![A-Za-z]))?"
_TO = r"\s*(?:-|to|and|\.\.\.?|,)\s*"
_SIGNS = str.maketrans("₀₁₂₃₄₅₆₇₈₉⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻–—−‐‑’×", "01234567890123456789+------'x")
_FILLER = frozenset(
    ["a", "an", "the", "with", "is", "are", "in", "of", "and", "has", "have", "having", "that", "which", "where", "at", "on", "as", "it", "its", "to", "be", "for", "there", "each", "structure", "structures", "crystal", "crystals", "compound", "material", "phase", "sites", "site", "atoms", "atom", "ions", "ion", "cations", "anions", "space", "group", "wyckoff", "position", "positions", "formula", "composition", "please", "make", "build", "want", "i", "need", "we", "charges", "charge", "oxidation", "states", "state", "angstrom", "consists", "consisting", "built", "made", "up", "from", "contains", "containing", "cell", "lattice", "parameter", "parameters", "constants", "occupied", "occupies", "occupy", "sits", "sit", "respectively", "bonds", "bond", "distances", "distance", "lengths", "length", "ordered"]
)
_EXAMPLE = "NaZr2(PO4)3, R-3c, Na on 6b, O on 36f twice; ZrO6 octahedra share 6 corners with PO4 tetrahedra"


@dataclass
class Reading:
    """What has been understood so far and the text that is left.

    Attributes:
        rest: the text, with ``TAKEN`` where words were understood.
        where: for messages.
        words: the text as it was.
    """

    rest: str
    where: str
    words: str = ""
    formula: str | None = None
    group: NamedGroup | None = None
    sites: list[Site] = field(default_factory=list)
    polyhedra: list[Polyhedron] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    oxidation: dict[str, float] = field(default_factory=dict)
    density: tuple[float, float] | None = None
    distances: dict[str, tuple[float, float]] = field(default_factory=dict)
    lengths: dict[str, float] = field(default_factory=dict)
    bond_valence: float | None = None
    cell: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, pattern: str, handle: Callable[[re.Match[str]], Any], flags: int = 0) -> None:
        """Hand every match to ``handle`` and take it out of the text unless that returns ``False``."""

        def replace(match: re.Match[str]) -> str:
            return match[0] if handle(match) is False else TAKEN * len(match[0])  # places stay what they were

        self.rest = re.sub(pattern, replace, self.rest, flags=flags)

    def refuse(self, quote: str, why: str, mend: str = f"say it as in: {_EXAMPLE}") -> Any:
        """Raise with the words that are meant."""
        raise UserError(f"'{' '.join(quote.split())}' {why}", self.where, mend)


def rules_of_words(text: str, where: str = "words") -> StructureRules:
    """The rules that plain English words state.

    Args:
        text: statements on formula, space group (any symbol or number), sites ("Zr on 12c", "two O on 36f"),
            polyhedra ("ZrO6 octahedra", "P is 4-coordinated by O"), how they share ("edge-sharing MnO6 octahedra"),
            distances, density, charges ("Zr4+"), cell and bond valence.
        where: for messages.

    Raises:
        UserError: a part is not understood (it is quoted), or two parts contradict each other.
    """
    from sozai.knowledge.crystals.structure.words_shapes import take_polyhedra

    words = " ".join(symbols_for_names(text.translate(_SIGNS).replace("\u0305", "\u0304")).split())
    if not words:
        raise UserError("there are no words to read", where, f"write for instance: {_EXAMPLE}")
    reading = Reading(words, where, words)
    _take_formula(reading)
    _take_group(reading)
    _take_ranges(reading)
    _take_charges(reading)
    _take_sites(reading)
    take_polyhedra(reading)
    _take_systems(reading)
    _take_names(reading)
    _take_units(reading)
    _refuse_rest(reading)
    return _rules(reading)


def number_range(first: str, second: str | None) -> tuple[float, float]:
    """Low and high; one number alone means about it."""
    low = float(first)
    if second is None:
        return low * (1 - ABOUT), low * (1 + ABOUT)
    return min(low, float(second)), max(low, float(second))


def is_formula(token: str) -> bool:
    """Whether a word is a chemical formula of more than one letter."""
    try:
        return bool(parse_formula(token)) and token[0].isupper()
    except UserError:
        return False


def _take_formula(reading: Reading) -> None:
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
        shape = re.match(r"\s+(octahed|tetrahed|polyhed|prism|cub|triang|pyramid|unit|group(?!\s*\d)|shar)", after)
        alone = match is tokens[0] and match.start(1) == 0 and seen_all
        several = is_formula(token) and (len(parse_formula(token)) > 1 or alone)
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


def _take_group(reading: Reading) -> None:
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

        reading.take(rf"(?<![\w(-]){name}(?![\w-]){tail}", bare)
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


def _take_ranges(reading: Reading) -> None:
    """Distances, density, bond valence and cell."""
    middle = r"(?:\W*(?:bonds?|distances?|lengths?|contacts?|is|are|be|of|at|from|between|in the range|range|within|[:=(]))*\s*"
    about = r"(?:about|around|approximately|ca\.?|near|~)\s*"
    least = r"(?:at least|above|over|more than|longer than|greater than|no (?:closer|shorter|less) than|>=?|≥)\s*"
    most = r"(?:at most|below|under|less than|shorter than|up to|no (?:longer|more) than|within|<=?|≤)\s*"
    pair = rf"(?P<a>{ELEMENT})\s*-\s*(?P<b>{ELEMENT})"

    def limits(match: re.Match[str]) -> Any:
        key = "-".join(sorted((match["a"], match["b"])))
        groups = match.groupdict()
        if groups.get("about"):
            reading.lengths[key] = float(match["about"])
            return True
        low, high = reading.distances.get(key, (0.0, inf))
        if groups.get("least"):
            low = float(match["least"])
        elif groups.get("most"):
            high = float(match["most"])
        else:
            low, high = number_range(match["low"], match["high"])
        if low >= high:
            reading.refuse(match[0], "is no range of distances", "give low and high in angstrom")
        reading.distances[key] = (low, high)
        return True

    reading.take(
        rf"(?i:no)\s+{pair}{middle}(?:(?i:closer|shorter|less|below)\s*(?:than)?)\s*(?P<least>{NUMBER}){_UNIT}", limits
    )
    reading.take(rf"{pair}{middle}(?P<low>{NUMBER}){_UNIT}{_TO}(?P<high>{NUMBER}){_UNIT}\)?", limits)
    reading.take(rf"{pair}{middle}{least}(?P<least>{NUMBER}){_UNIT}\)?", limits)
    reading.take(rf"{pair}{middle}{most}(?P<most>{NUMBER}){_UNIT}\)?", limits)
    reading.take(rf"{pair}{middle}(?:{about})?(?P<about>{NUMBER}){_UNIT}\)?", limits)

    def density(match: re.Match[str]) -> None:
        reading.density = number_range(match[1], match[2])

    unit = r"(?:\s*(?:g\s*/\s*cm\^?3|g\s*cm\^?-3|g/cc|g/mL))?"
    reading.take(
        rf"(?i:density)(?:\s*(?:of|is|from|between|about|:|=))*\s*({NUMBER}){unit}(?:{_TO}({NUMBER}))?{unit}", density
    )

    def valence(match: re.Match[str]) -> None:
        reading.bond_valence = float(match[1])

    reading.take(
        r"(?i:global instability index|GII|bond[- ]valence(?: index)?|instability index)(?:\s*\(GII\))?"
        rf"(?:\s*(?:of|is|:))*\s*{most}({NUMBER})(?:\s*(?:valence units|v\.?u\.?))?", valence,
    )  # fmt: skip

    def cell(match: re.Match[str]) -> None:
        reading.cell[match[1].lower()] = number_range(match[2], match[3])

    reading.take(
        rf"(?<![\w/-])(a|b|c|alpha|beta|gamma)\s*(?:=|:|is|of|between|from|about|~)+\s*(?:about\s*)?({NUMBER}){_UNIT}"
        rf"(?:{_TO.replace('|,', '')}({NUMBER}))?{_UNIT}(?:\s*(?:degrees|deg|°))?", cell,
    )  # fmt: skip


def _take_charges(reading: Reading) -> None:
    def charge(match: re.Match[str]) -> Any:
        size = float(match["size"] or 1)
        element, value = match["element"], -size if match["sign"] == "-" else size
        if abs(value) > 9 or reading.oxidation.get(element, value) != value:
            reading.refuse(match[0], "gives an element a second or an impossible charge", "state one each")
        reading.oxidation[element] = value
        return True

    end = r"(?![\w+-])"
    reading.take(rf"(?<![\w-])(?P<element>{ELEMENT})(?P<size>\d?)(?P<sign>[+-]){end}", charge)
    reading.take(
        rf"(?<![\w-])(?P<element>{ELEMENT})\s*\(?(?:(?i:is|has|oxidation state|charge|of)\s*)*(?P<sign>[+-])(?P<size>\d)\)?{end}",
        charge,
    )
    roman = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6, "VII": 7, "VIII": 8}

    def written(match: re.Match[str]) -> Any:
        if reading.oxidation.setdefault(match[1], float(roman[match[2]])) != roman[match[2]]:
            reading.refuse(match[0], "gives an element a second charge", "state one each")

    reading.take(rf"(?<!\w)({ELEMENT})\s?\((VIII|VII|VI|IV|V|III|II|I)\)", written)


TIMES = {"one": 1, "once": 1, "two": 2, "twice": 2, "three": 3, "thrice": 3, "four": 4, "five": 5, "six": 6,
         "seven": 7, "eight": 8, "nine": 9, "ten": 10, "twelve": 12}  # fmt: skip
COUNT = "(?:" + "|".join(TIMES) + r"|\d+)"


def how_many(word: str) -> int:
    """``"two"`` or ``"2"``."""
    return TIMES[word.lower()] if word.lower() in TIMES else int(word)


def _take_sites(reading: Reading) -> None:
    place = r"(?:Wyckoff\s+)?(?:positions?\s+|sites?\s+)?(\d{1,3})\s?([a-zA-Z])(?![\w])(?:\s+(?:positions?|sites?))?"
    times = rf"(?:\s*(?:\(?({COUNT})\s+times\)?|\(?(twice|once|thrice)\)?|[x*]\s?(\d)))?"
    at = rf"(?:\s*(?:at\s*)?\(\s*(-?(?:{NUMBER}))[\s,]+(-?(?:{NUMBER}))[\s,]+(-?(?:{NUMBER}))\s*\))?"
    spoken_counts = "|".join(word for word in TIMES)
    one = rf"(?:(\d+)\s*[x*]\s*|({spoken_counts})\s+)?{place}{at}{times}"
    label = rf"{ELEMENT}\d{{0,2}}(?!\w)"
    who = rf"(?:(?P<number>{COUNT})\s+)?(?P<who>{label}(?:\s*(?:,|and|,\s*and)\s*{label})*)"
    verb = r"\s*(?:atoms?|ions?|cations?|anions?|sites?|is|are|sits?|occup(?:y|ies|ying)|on|at|in|goes|placed|to|the|all|both|[:@=(])*\s*"

    def found(match: re.Match[str]) -> Any:
        labels = re.findall(ELEMENT, match["who"])
        places = list(re.finditer(one, match["places"]))
        elements = list(dict.fromkeys(labels))
        if len(elements) > 1:  # "Na and Zr on 6b and 12c, respectively"
            if len(places) != len(labels):
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


def _take_systems(reading: Reading) -> None:
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


def _take_units(reading: Reading) -> None:
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


def _take_names(reading: Reading) -> None:
    """A compound's name beside its formula repeats it ("sodium zirconium phosphate"); it is only compared."""

    def compound(match: re.Match[str]) -> Any:
        counts = parse_formula(reading.formula) if reading.formula else {}
        anion = ANIONS.get(match[2].lower()) or OXO_ANIONS.get(match[2].lower())
        return bool(anion) and {anion, *re.findall(ELEMENT, match[1])} <= set(counts)

    reading.take(rf"(?<![\w-])((?:{ELEMENT}\s+)*)([A-Za-z]+(?:ide|ate))\b", compound)


def _refuse_rest(reading: Reading) -> None:
    """Quote the first stretch of words that nothing has taken, with what stands around it."""
    for piece in re.finditer(rf"[^;,{TAKEN}]+", reading.rest):
        words = re.findall(r"[^\s:()'\"]+", piece[0])
        if any(word.lower().strip(".,;:!?-") not in _FILLER and re.search(r"[\w<>=%]", word) for word in words):
            start = max(reading.words.rfind(sign, 0, piece.start() + 1) for sign in ";,") + 1
            whole = re.split("[;,]", reading.words[start:], maxsplit=1)[0].strip(" .")
            quote = " ".join(piece[0].split()).strip(" .")
            inside = f" in '{whole}'" if whole != quote else ""
            understood = "formula, space group, sites, polyhedra, sharing, charges, distances, density, cell"
            mend = f"say it another way or leave it out (understood: {understood})"
            raise UserError(f"'{quote}'{inside} is not understood", reading.where, mend)


def _rules(reading: Reading) -> StructureRules:
    if reading.group is not None and not reading.group.standard:
        reading.sites = [_standard(site, reading) for site in reading.sites]
        if reading.cell:
            mend = "give the cell in the standard setting, and name the space group so"
            reading.refuse("cell", "is given in another setting than the Tables'", mend)
    polyhedra = []
    for rule in reading.polyhedra:
        keys = ["-".join(sorted((rule.centre, ligand))) for ligand in rule.ligands]
        limits = [reading.distances[key] for key in keys if key in reading.distances]
        length = next((reading.lengths[key] for key in keys if key in reading.lengths), rule.length)
        low, high = rule.low, rule.high
        if limits and len(limits) == len(keys) and all(top < inf for _, top in limits):
            low, high = min(one for one, _ in limits), max(top for _, top in limits)
        polyhedra.append(Polyhedron(rule.centre, rule.ligands, rule.coordination, low, high, length))
    used = {"-".join(sorted((rule.centre, ligand))) for rule in polyhedra for ligand in rule.ligands}
    for pair, value in reading.lengths.items():  # a length of no polyhedron is a distance
        if pair not in used:
            reading.distances.setdefault(pair, (value * (1 - ABOUT), value * (1 + ABOUT)))
    return StructureRules(
        reading.formula,
        reading.group.number if reading.group else None,
        tuple(reading.sites),
        tuple(dict.fromkeys(polyhedra)),
        tuple(dict.fromkeys(reading.connections)),
        reading.oxidation,
        reading.density,
        reading.distances,
        reading.bond_valence,
        reading.cell,
        reading.where,
    )


def _standard(site: Site, reading: Reading) -> Site:
    assert reading.group
    if site.coordinates is not None:
        told = "are coordinates in another setting of the space group than the Tables'"
        reading.refuse(str(site.coordinates), told, "state them in the standard setting, or leave them")
    if reading.group.choice == "R" and site.multiplicity:
        return Site(site.element, 3 * site.multiplicity, site.letter)
    return site
