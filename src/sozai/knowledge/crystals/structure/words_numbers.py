"""Words about distances, density, bond valence, cell and charges."""

from __future__ import annotations

import re
from math import inf
from typing import Any

from sozai.knowledge.crystals.structure.reading import ELEMENT, NUMBER, TO, UNIT, Reading, number_range


def take_ranges(reading: Reading) -> None:
    """Distances, density, bond valence and cell."""
    middle = (
        r"(?:\W*(?:bonds?|distances?|lengths?|contacts?|is|are|be|of|at|from|between|in the range|range|within|"
        r"[:=(]))*\s*"
    )
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
        rf"(?i:no)\s+{pair}{middle}(?:(?i:closer|shorter|less|below)\s*(?:than)?)\s*(?P<least>{NUMBER}){UNIT}", limits
    )
    reading.take(rf"{pair}{middle}(?P<low>{NUMBER}){UNIT}{TO}(?P<high>{NUMBER}){UNIT}\)?", limits)
    reading.take(rf"{pair}{middle}{least}(?P<least>{NUMBER}){UNIT}\)?", limits)
    reading.take(rf"{pair}{middle}{most}(?P<most>{NUMBER}){UNIT}\)?", limits)
    reading.take(rf"{pair}{middle}(?:{about})?(?P<about>{NUMBER}){UNIT}\)?", limits)

    def density(match: re.Match[str]) -> None:
        reading.density = number_range(match[1], match[2])

    unit = r"(?:\s*(?:g\s*/\s*cm\^?3|g\s*cm\^?-3|g/cc|g/mL))?"
    reading.take(
        rf"(?i:density)(?:\s*(?:of|is|from|between|about|:|=))*\s*({NUMBER}){unit}(?:{TO}({NUMBER}))?{unit}", density
    )

    def valence(match: re.Match[str]) -> None:
        reading.bond_valence = float(match[1])

    reading.take(
        r"(?i:global instability index|GII|bond[- ]valence(?: index)?|instability index)(?:\s*\(GII\))?"
        rf"(?:\s*(?:of|is|:))*\s*{most}({NUMBER})(?:\s*(?:valence units|v\.?u\.?))?", valence,
    )  # fmt: skip

    def equal(match: re.Match[str]) -> None:
        for name in re.findall("[abc]", match[1]):
            reading.cell[name] = number_range(match[2], match[3])

    reading.take(
        rf"(?<![\w/-])([abc](?:\s*=\s*[abc]){{1,2}})\s*=\s*({NUMBER}){UNIT}(?:{TO.replace('|,', '')}({NUMBER}))?{UNIT}",
        equal,
    )

    def cell(match: re.Match[str]) -> None:
        reading.cell[match[1].lower()] = number_range(match[2], match[3])

    reading.take(
        rf"(?<![\w/-])(a|b|c|alpha|beta|gamma)\s*(?:=|:|is|of|between|from|about|~)+\s*(?:about\s*)?({NUMBER}){UNIT}"
        rf"(?:{TO.replace('|,', '')}({NUMBER}))?{UNIT}(?:\s*(?:degrees|deg|°))?", cell,
    )  # fmt: skip


def take_charges(reading: Reading) -> None:
    """Charges: "Zr4+", "Zr+4", "Zr(IV)"."""

    def charge(match: re.Match[str]) -> Any:
        size = float(match["size"] or match.groupdict().get("apart") or 1)
        element, value = match["element"], -size if match["sign"] == "-" else size
        if abs(value) > 9 or reading.oxidation.get(element, value) != value:
            reading.refuse(match[0], "gives an element a second or an impossible charge", "state one each")
        reading.oxidation[element] = value
        return True

    end = r"(?![\w+-])"
    reading.take(rf"(?<![\w-])(?P<element>{ELEMENT})(?:(?P<size>\d?)|\s(?P<apart>\d))(?P<sign>[+-]){end}", charge)
    reading.take(
        rf"(?<![\w-])(?P<element>{ELEMENT})\s*\(?(?:(?i:is|has|oxidation state|charge|of)\s*)*"
        rf"(?P<sign>[+-])(?P<size>\d)\)?{end}",
        charge,
    )
    roman = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6, "VII": 7, "VIII": 8}

    def written(match: re.Match[str]) -> Any:
        if reading.oxidation.setdefault(match[1], float(roman[match[2]])) != roman[match[2]]:
            reading.refuse(match[0], "gives an element a second charge", "state one each")

    reading.take(rf"(?<!\w)({ELEMENT})\s?\((VIII|VII|VI|IV|V|III|II|I)\)", written)
