"""Words about coordination polyhedra and how they share corners, edges and faces."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from sozai.knowledge.crystals.structure.reading import COUNT, ELEMENT, Reading, how_many
from sozai.knowledge.crystals.structure.rules import Connection, Polyhedron, Sharing
from sozai.knowledge.crystals.structure.shapes import NAMES, Shape, shape_named

_THINGS = r"(?:polyhedra|polyhedron|units?|groups?|coordination)"
_SHAPE = rf"(?:(?P<{{0}}shape>(?i:{NAMES}))(?![\w-])(?:\s+{_THINGS})?|{_THINGS})"
_POLY = (
    r"(?:(?i:each|every|all|one|of|the|other|neighbouring|neighboring|isolated)\s+)*"
    rf"(?:(?P<{{0}}count>{COUNT})\s+(?:(?:different|other)\s+)?)?"
    rf"(?:(?P<{{0}}adjective>(?!(?i:cubic))(?i:{NAMES}))\s+)?"  # a cubic crystal, not its polyhedra
    rf"(?P<{{0}}centre>{ELEMENT})(?:(?P<{{0}}ligand>{ELEMENT})(?P<{{0}}n>\d{{1,2}})(?!\w))?(?:\s+{_SHAPE})?(?![\w-])"
)
_HOW = r"(?:corners?|vertices|vertex|edges?|faces?|apices|oxygens?|ligands|anything|nothing|anions?)"
_WORDS: dict[str, Sharing] = {"corner": "corner", "vert": "corner", "apic": "corner", "edge": "edge", "face": "face"}


def take_polyhedra(reading: Reading) -> None:
    """Take out what is said on polyhedra and on how they share."""
    _take_sharing(reading)
    _take_coordination(reading)
    reading.take(_poly("p"), lambda match: match["pligand"] is not None and _polyhedron(reading, match, "p"))


def _poly(name: str) -> str:
    return _POLY.replace("{0}", name)


def _polyhedron(reading: Reading, match: re.Match[str], name: str) -> str:
    """Note the polyhedron that a match speaks of; gives its centre."""
    centre, ligand, number = match[f"{name}centre"], match[f"{name}ligand"], match[f"{name}n"]
    named = [words for part in ("adjective", "shape") if (words := match[f"{name}{part}"])]
    shapes = {_named(words) for words in named}
    if len(shapes) > 1:
        reading.refuse(match[0], "names two shapes", "mend one of the two")
    shape = shapes.pop() if shapes else None
    if ligand is not None:
        if shape is not None and int(number) != shape.coordination:
            told = f"{centre}{ligand}{number} has {number} ligands, {named[0].lower()} have {shape.coordination}"
            reading.refuse(match[0], f"is contradictory: {told}", "mend one of the two")
        _add(reading, Polyhedron(centre, (ligand,), int(number), shape=shape.name if shape else None), match[0])
    elif shape is not None:
        size = shape.coordination
        known = [rule for rule in reading.polyhedra if rule.centre == centre and rule.coordination == size]
        later = re.search(rf"{centre}({ELEMENT}){size}(?!\w)", reading.rest)
        if not known and later is None:
            told = f"does not say what is around {centre}"
            reading.refuse(match[0], told, f"write it as {centre}O{size} {named[0].lower()}")
        for ligands in [rule.ligands for rule in known] or [(later[1] if later else "",)]:
            _add(reading, Polyhedron(centre, ligands, size, shape=shape.name), match[0])
    return centre


def _named(words: str) -> Shape:
    shape = shape_named(words.replace("-", " ")) or shape_named(words)
    assert shape is not None  # NAMES are its words
    return shape


def _add(reading: Reading, rule: Polyhedron, quote: str) -> None:
    for place, known in enumerate(reading.polyhedra):
        if (known.centre, known.ligands, known.coordination) == (rule.centre, rule.ligands, rule.coordination):
            if known.shape and rule.shape and known.shape != rule.shape:
                reading.refuse(quote, f"is contradictory: it was a {known.shape} before", "mend one of the two")
            if rule.shape:
                reading.polyhedra[place] = replace(known, shape=rule.shape)
            return
    reading.polyhedra.append(rule)


def _sharings(words: str) -> list[Sharing]:
    found = [how for start, how in _WORDS.items() if re.search(rf"\b{start}", words.lower())]
    return list(dict.fromkeys(found))


def _one_pair(reading: Reading, match: re.Match[str]) -> None:
    """Refuse a list of polyhedra of which only one would be read."""
    after, before = reading.rest[match.end() :], reading.rest[: match.start()]
    more = re.match(rf"\s*,?\s*(?:and|or)\s+{_poly('x')}(?!\s+(?:shar|are|is|do|does|which|that|must))", after)
    if (more and more["xligand"]) or re.search(rf"{_poly('x')}\s*,?\s*(?:and|or)\s*$", before):
        words = f"{match[0]}{more[0] if more else ''}"
        reading.refuse(words, "speaks of several polyhedra at once", "write how each pair shares by itself")


def _take_sharing(reading: Reading) -> None:
    def coordination(centre: str) -> int | None:
        stated = [rule.coordination for rule in reading.polyhedra if rule.centre == centre]
        return stated[0] if len(stated) == 1 else None

    def connect(match: re.Match[str], hows: list[Sharing], count: int | None = None, all_of_them: bool = False) -> Any:
        _one_pair(reading, match)
        first = _polyhedron(reading, match, "p")
        groups = match.groupdict()
        second = _polyhedron(reading, match, "q") if groups.get("qcentre") else first
        if groups.get("qcount"):
            count = how_many(match["qcount"])
        if all_of_them and count is None:
            count = coordination(first)
            if count is None:
                told = f"does not tell how many corners {first} has"
                reading.refuse(match[0], told, f"write the polyhedron as {first}O6")
            if hows == ["edge"] or hows == ["face"]:
                reading.refuse(match[0], "leaves open how many polyhedra that makes", "give their number")
        for how in hows:
            reading.connections.append(Connection(first, second, how, count if how != "none" else None))
        return True

    own = r"(?:\s+(?:with|to|among|between)\s+(?:each other|one another|themselves|its neighbours|their neighbours))?"
    with_q = rf"(?:\s+(?:with|to)\s+{_poly('q')}|{own})"
    which = r"\s+(?:which|that|are|is|do|does|must|shall|should|may|will|only|\s)*"
    kinds = rf"(?P<how>{_HOW}(?:\s*(?:,|and|or)\s*{_HOW})*)"
    between = (
        rf"\s*(?:only\s+)?(?:by|via|through|at|over)\s+(?P<all>all (?:their |its )?|common |shared |only )?{kinds}"
    )

    def negative(match: re.Match[str]) -> Any:
        hows = _sharings(match["how"])
        pair = (match["pcentre"], match.groupdict().get("qcentre") or match["pcentre"])
        if hows and "corner" not in hows:
            stated = any({c.first, c.second} == set(pair) and c.how == "corner" for c in reading.connections)
            if not stated:
                why = "leaves open whether corners are shared"
                reading.refuse(match[0], why, "say also whether they share corners or nothing")
            _polyhedron(reading, match, "p")
            return True  # corner-sharing excludes closer sharing
        return connect(match, ["none"])

    def positive(match: re.Match[str]) -> Any:
        words = (match.groupdict().get("all") or "").lower()
        hows = _sharings(match["how"])
        if not hows:
            if "nothing" in match["how"].lower():
                return connect(match, ["none"])
            return False
        number = match.groupdict().get("number")
        if number and len(hows) > 1:
            reading.refuse(match[0], "leaves open which number is meant", "write one kind of sharing at a time")
        return connect(match, hows, how_many(number) if number else None, "all" in words)

    no = (
        r"(?:\s+(?:do|does|must|shall|should|may|can))?\s*(?:not|never|n't)\s+share\s+(?:any\s+)?|"
        r"\s+shar(?:e|es|ing)\s+no\s+|\s+without\s+(?:shared|common)\s+"
    )
    reading.take(rf"{_poly('p')}(?:{no}){kinds}{with_q}", negative)
    named = "(?:corner|vertex|edge|face)s?"
    kind = rf"(?P<how>{named}(?:(?:\s*(?:,|and|or)\s*|-\s*and\s*-?\s*){named})*)"
    shared = r"[\s-]+(?:sharing|shared|connected|linked|joined)"
    both = rf"{_poly('p')}\s+and\s+{_poly('q')}"  # "ZrO6 octahedra and PO4 tetrahedra share corners"
    reading.take(rf"{kind}{shared}\s+{both}(?!\s+(?:shar|are|is|do|does|which|that)){own}", positive)
    alone_with = r"\b(?!\s+(?:with|to|by|via|through)\b)"
    reading.take(rf"{both}{which}shar(?:e|es|ing)\s+{kinds}{own}{alone_with}", positive)
    reading.take(rf"{both}{which}{kind}{shared}{own}{alone_with}", positive)
    reading.take(rf"{kind}{shared}\s+{_poly('p')}{with_q}", positive)
    amount = r"(?:(?P<all>all(?: (?:of )?(?:their|its|the))?|only|their|its|common|some|a|an|the)\s+)?"
    amount += rf"(?:(?P<number>{COUNT})\s+)?"
    reading.take(rf"{_poly('p')}{which}shar(?:e|es|ing)\s+{amount}{kinds}(?:\s+only)?{with_q}(?:\s+only)?", positive)
    reading.take(rf"{_poly('p')}{which}{kind}{shared}{with_q}", positive)
    reading.take(rf"{_poly('p')}{which}(?:connected|linked|joined){with_q}{between}", positive)
    alone = r"(?:isolated|separate|separated|unconnected|discrete|not connected|not linked)"

    def none(match: re.Match[str]) -> Any:
        return connect(match, ["none"])

    reading.take(rf"\b{alone}\s+{_poly('p')}", none)
    reading.take(rf"{_poly('p')}{which}{alone}(?:\s+from\s+(?:each other|one another|{_poly('q')}))?", none)


def _take_coordination(reading: Reading) -> None:
    number = rf"(?P<number>{COUNT})(?:\s*-?\s*(?:fold))?"
    ligands = rf"(?P<ligands>{ELEMENT}(?:\s*(?:,|and|or|/)\s*{ELEMENT})*)(?![\w-])"
    ligands += r"(?:\s+(?:atoms?|ions?|anions?|ligands?|neighbou?rs?))?"
    centre = rf"(?<![\w-])(?P<centre>{ELEMENT})(?![\w-])(?:\s+(?:atoms?|ions?|cations?))?"
    verb = r"\s*(?:is|are|has|have|with|in|being|:|\s)*\s*(?:a |an )?"

    def found(match: re.Match[str]) -> Any:
        groups = match.groupdict()
        shape = _named(groups["shape"]) if groups.get("shape") else None
        size = how_many(groups["number"]) if groups.get("number") else shape.coordination if shape else 0
        if shape is not None and size != shape.coordination:
            told = f"is contradictory: {size} ligands, but {shape.name} is of {shape.coordination}"
            reading.refuse(match[0], told, "mend one of the two")
        ligands = tuple(re.findall(ELEMENT, match["ligands"]))
        _add(reading, Polyhedron(match["centre"], ligands, size, shape=shape.name if shape else None), match[0])
        return True

    by = r"\s*(?:by|with|to|of|from)\s+(?:the\s+)?"
    reading.take(rf"{centre}{verb}{number}[\s-]*(?:coordinated|coordination|coordinate|bonded){by}{ligands}", found)
    reading.take(
        rf"{centre}{verb}(?P<shape>(?i:{NAMES}))[\s-]+(?:coordinated|coordination|surrounded|sites?|environment){by}{ligands}",
        found,
    )
    within = r"(?:in|at the (?:cent(?:re|er)s?|middles?) of)\s+(?:a |an )?"
    kind = rf"(?P<shape>(?i:{NAMES}))(?:\s+{_THINGS})?"
    reading.take(rf"{centre}{verb}{within}{kind}{by}{ligands}", found)  # Mo in trigonal prisms of S
    reading.take(rf"{centre}{verb}(?:bonded|coordinated|surrounded){by}{number}\s+{ligands}\s+{within}{kind}", found)
    reading.take(rf"{centre}{verb}coordination (?:number )?(?:of )?{number}(?:{by}){ligands}", found)
    reading.take(rf"{centre}{verb}(?:coordinated|surrounded|bonded){by}{number}\s+{ligands}", found)
    reading.take(
        rf"{centre}{verb}{number}\s+(?P<ligands>{ELEMENT})\s+(?:neighbou?rs|atoms around it|ligands|around it)", found
    )
