"""Numbers with units as papers write them: powers, ranges, lists with one unit, inequalities, errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sozai.assistant.extraction.units import plain_signs, read_unit

Relation = Literal["=", "<", ">", "~"]
_POWER = r"\s?[x×·⋅∙•*]\s?10\s?\^?\s?\{?\s?([-+]?\s?\d{1,2})(?:\s?\})?|[eE]([-+]?\d{1,2})(?![\w.])"
_MASS = r"(?:\s?(?:,|and|to|or|-)\s?\d{1,3}\s\d{3})*\s?(?:g[\s/·⋅]?\s?mol|Da\b)"
"""Before it a number of thousands may have spaces: "48 000 g/mol"."""
_NUMBER = re.compile(
    r"(?<![\w.{_^\]/])(?P<sign>[-+]\s?)?(?:"
    r"(?P<ten>10(?:\s?\^\s?\{?\s?(?P<tenth>[-+]?\s?\d{1,2})(?:\s?\})?|(?P<ten_minus>-\d{1,2})(?![\w.]*\d)))"
    rf"|(?P<number>\d{{1,3}}(?:\s\d{{3}})+(?={_MASS})|"
    r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:\((?P<esd>\d{1,3})\))?(?P<bracket>\))?"
    rf"(?:\s?(?:±|\+/-|\+-)\s?(?P<error>\d+(?:\.\d+)?)\)?)?(?:{_POWER})?)"
)
_BEFORE: tuple[tuple[str, Relation], ...] = (
    (r"(?:<|≤|⩽|less than|lower than|below|smaller than|under|up to|at most|no more than|not exceeding)", "<"),
    (
        r"(?:>|≥|⩾|more than|higher than|greater than|above|over|larger than|exceed(?:s|ing|ed)?|at least|beyond|as much as over|in excess of)",  # noqa: E501
        ">",
    ),
    (
        r"(?:~|about|ca\.?|approximately|around|roughly|nearly|close to|approx\.?|almost|near|circa|some|c\.|in the order of|on the order of|order of)",  # noqa: E501
        "~",
    ),
)
_RELATIONS = [(re.compile(rf"{words}\s*(?:a |an )?$", re.IGNORECASE), relation) for words, relation in _BEFORE]
_LOGARITHM = re.compile(r"\blog(?:_?\{?10\}?)?\s?\(?\s?(?:σ|sigma|conductivity)\s?[/,(\[]\s?\(?(?:(?:σ\s)?in\s)?")
_TO = re.compile(r"\s?(?:-|~|to|up to|→|through|down to)\s?(?:about|ca\.|approximately|around|~)?\s?", re.IGNORECASE)
_LIST = re.compile(r"\s?(?:,\s?and|,\s?or|,|and|or|&|/|;|,\s?and finally)\s?(?:about|~|ca\.)?\s?", re.IGNORECASE)
_CHANGE = re.compile(
    r"\b(?:increas|decreas|rose|rais|ris|drop|reduc|enhanc|improv|grew|grow|degrad|jump|fall|fell|declin|lower|going|boost|chang|shift|diminish|elevat|upgrad|climb|went|extend|promot|accompan|by|started)\w*\b[^.;]{0,90}$",
    re.IGNORECASE,
)
_FROM = re.compile(
    r"\b(?:increas|decreas|rose|rais|drop|reduc|enhanc|improv|grew|fell|lower|chang)\w*[^.;]{0,60}\bfrom\s(?:about\s|ca\.\s|~)?$",
    re.I,
)
_SPREAD = re.compile(r"\b(?:rang|vari|vary|between|span|lies|lay|interval)\w*\b[^.;,]{0,40}$", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """A quantity in a text.

    Attributes:
        start, end: of the number and its unit; of a list's member up to the unit it shares with the others.
        number_end: behind the number itself.
        value, low, high, relation: see ``Quantity``, in ``unit``.
        unit: pint's expression, ``"degC"``, ``"share"``; ``None`` when no unit stands there.
        group: number of the list it belongs to; members of a list share it.
        change: it is one end of "from ... to ...": ``"from"`` or ``"to"``.
    """

    start: int
    end: int
    number_end: int
    value: float
    unit: str | None
    low: float | None = None
    high: float | None = None
    relation: Relation = "="
    group: int = 0
    change: str = ""


def find_quantities(
    text: str, start: int = 0, end: int | None = None, taken: Iterable[tuple[int, int]] = ()
) -> list[Found]:
    """The quantities between two places of a text, in order.

    Args:
        text: of the document; signs are unified inside.
        start, end: where to look.
        taken: places of names, whose digits are no quantities.
    """
    stop = len(text) if end is None else end
    # Two letters before it let the first number see whether it is part of a word.
    begin = max(0, start - 2)
    plain = " " * begin + plain_signs(text[begin:stop])
    occupied = sorted(taken)
    atoms: list[Found] = []
    place = start
    while match := _NUMBER.search(plain, place):
        place = max(match.end(), match.start() + 1)
        inside = [span for span in occupied if span[0] <= match.start("number" if match["number"] else "ten") < span[1]]
        if inside:
            place = max(place if match.end() <= inside[0][1] else inside[0][1], inside[0][1])
            continue
        atom = _atom(text, plain, match)
        if atom is not None:
            atoms.append(atom)
            place = max(atom.end, match.start() + 1)
    atoms += _logarithms(plain, start, atoms)
    return _joined(plain, sorted(atoms, key=lambda atom: atom.start))


def _atom(text: str, plain: str, match: re.Match[str]) -> Found | None:
    first, last = match.start(), match.end()
    sign = match["sign"] or ""
    before = plain[:first].rstrip()[-1:] if sign else ""
    glued = plain[max(0, first - 1) : first]
    if sign and (glued.isalnum() or before.isdigit() or (glued and glued in ")%]}") or (before and sign.endswith(" "))):
        first = match.start("number") if match["number"] else match.start("ten")
        sign = ""
    esd = None
    if match["ten"]:
        exponent = match["tenth"] or match["ten_minus"]
        if match["ten_minus"] and not _is_ten_power(text, match):
            last, value = match.start("ten") + 2, 10.0
        else:
            value = 10.0 ** int(exponent.replace(" ", ""))
    else:
        value = float(re.sub(r"[,\s]", "", match["number"]))
        power = int((match.group(9) or match.group(10) or "0").replace(" ", "").replace("+", "") or 0)
        if match["bracket"] and not (match["error"] or match.group(9)):
            last = match.end("esd") + 1 if match["esd"] else match.end("number")
        digits = len(match["number"].partition(".")[2])
        if match["esd"]:
            esd = float(f"{int(match['esd']) * 10.0 ** (power - digits):.10g}")
        if match["error"]:
            esd = float(f"{float(match['error']) * 10.0**power:.10g}")
        value = float(f"{value * 10.0**power:.10g}")
    if "-" in sign:
        value = -value
    unit = read_unit(plain, last)
    if unit is not None and plain[last : unit.end].strip() == "C" and abs(value) <= 15:
        unit = None  # a charging rate or a charge rather than a temperature
    elif unit is None:
        following = plain[last : last + 1]
        if following.isalpha() or (following in "_^{'" and following) or plain[last : last + 2] == "-(":
            return None  # a part of a word such as 3D
        if following == "-" and plain[last + 1 : last + 2].isalpha():
            return None
        if following in ",:" and plain[last + 1 : last + 2].isdigit():
            return None  # a ratio, or a name such as 2,4-
    lead = plain[max(0, first - 30) : first]
    relation: Relation = next((kind for words, kind in _RELATIONS if words.search(lead)), "=")
    return Found(
        first, unit.end if unit else last, last, value, unit.name if unit else None,
        None if esd is None else float(f"{value - esd:.10g}"), None if esd is None else float(f"{value + esd:.10g}"), relation,  # noqa: E501
    )  # fmt: skip


def _is_ten_power(text: str, match: re.Match[str]) -> bool:
    """Whether ``10-6`` means a power: a true minus or superscript, or a range that would go down."""
    sign = text[match.start("ten") + 2]
    return sign in "−⁻" or abs(int(match["ten_minus"])) < 10


def _logarithms(plain: str, start: int, atoms: list[Found]) -> list[Found]:
    """``log10(sigma / S cm-1) = -3.2``: the number is a power of ten, its unit stands in the brackets."""
    found = []
    for match in _LOGARITHM.finditer(plain, start):
        unit = read_unit(plain, match.end())
        if unit is None:
            continue
        tail = re.compile(r"[)\]]*\s?(?:=|of|is|was|being|~)?\s?").match(plain, unit.end)
        number = tail and _NUMBER.match(plain, tail.end())
        if number and number["number"]:
            value = float((number["sign"] or "").strip() + number["number"])
            atoms[:] = [atom for atom in atoms if not match.start() <= atom.start < number.end()]
            found.append(Found(match.start(), number.end(), number.end(), float(f"{10.0**value:.6g}"), unit.name))
    return found


def _joined(plain: str, atoms: Sequence[Found]) -> list[Found]:
    """Ranges become one, members of lists get the unit they share and the number of their list."""
    merged: list[Found] = []
    place = 0
    while place < len(atoms):
        atom = atoms[place]
        if place + 1 < len(atoms):
            other = atoms[place + 1]
            gap = plain[atom.end : other.start]
            lead = plain[max(0, atom.start - 120) : atom.start]
            between = re.search(r"\bbetween\s?(?:about|~)?\s?$", lead, re.I) and re.fullmatch(r"\s?and\s?", gap)
            same = atom.unit is None or atom.unit == other.unit
            if atom.unit is None and other.unit is None and gap == " to " and _FROM.search(lead):
                merged += [replace(atom, change="from"), replace(other, change="to")]
                place += 2
                continue
            if same and other.unit is not None and (between or _TO.fullmatch(gap) or (gap == "" and other.value < 0)):
                unit = other.unit
                left = replace(atom, unit=unit)
                if (
                    re.search(r"\bfrom\s?(?:about|~|an initial value of|an initial|initial)?\s?$|\bby\s?$", lead, re.I)
                    and _CHANGE.search(lead)
                    and not _SPREAD.search(lead)
                ):
                    merged += [
                        replace(left, end=max(atom.end, other.end) if atom.unit is None else atom.end, change="from"),
                        replace(other, change="to"),
                    ]
                else:
                    high = (
                        abs(other.value) if gap.strip() in ("-", "") and other.value < 0 < left.value else other.value
                    )
                    low, high = sorted((left.value, high))
                    middle = float(f"{(low + high) / 2:.10g}")
                    merged.append(Found(atom.start, other.end, other.number_end, middle, unit, low, high))
                place += 2
                continue
        merged.append(atom)
        place += 1
    grouped: list[Found] = []
    group = 0
    for at, found in enumerate(merged):
        gap = (
            plain[merged[at - 1].end if merged[at - 1].unit else merged[at - 1].number_end : found.start] if at else ""
        )
        linked = at > 0 and _LIST.fullmatch(gap) is not None and (merged[at - 1].unit in (None, found.unit))
        group += not linked
        grouped.append(replace(found, group=group))
    for at in range(len(grouped) - 2, -1, -1):  # the unit stands behind the last member
        here, after = grouped[at], grouped[at + 1]
        if here.unit is None and here.group == after.group and after.unit is not None:
            grouped[at] = replace(here, unit=after.unit, end=after.end)
    return grouped
