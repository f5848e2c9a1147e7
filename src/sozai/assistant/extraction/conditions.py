"""At what temperature, pressure, frequency and in what atmosphere a value was measured.

A temperature at which a sample was made is none of them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sozai.assistant.documents.document import Span
from sozai.assistant.extraction.clauses import clause_of, in_brackets
from sozai.assistant.extraction.quantities import Found
from sozai.assistant.extraction.record import Quantity
from sozai.assistant.extraction.schema import CONDITIONS
from sozai.assistant.extraction.units import CELSIUS, convert

ROOM = 25.0
"""Degrees Celsius that "room temperature" is taken for; the record's text tells what stands there."""
_ROOM = re.compile(r"\b(?:room|ambient)[\s-]temperature\b|\bRT\b(?!\w)", re.IGNORECASE)
_SAME = re.compile(
    r"\b(?:at|under)\s(?:this|that|the same|these)\s(?:[a-z]+\s(?:[a-z]+\s)?and\s)?(?:temperature|condition)s?\b|"
    r"\bthe\s(?:corresponding|respective)\s",
    re.IGNORECASE,
)
_FOLLOWS = re.compile(
    r"\b(?:recover|rose|ris|rais|fall|fell|drop|lower|reduc|decreas|increas|improv|enhanc|brought|bring|came|come|went|grew|grow|widen|narrow)\w*\b"
    r"[^.;,]{0,30}\bto\s(?:about\s|only\s|~\s?|as\s\w+\sas\s)?$",
    re.IGNORECASE,
)
_MAKING = (
    r"sinter|anneal|calcin|(?:melt-)?blend|mix(?:ed|ing)|compound(?:ed|ing)|fir(?:ed|ing)\b|heat|dried|dry(?:ing)?\b|bak|deposit|crystalli[sz]ed|hot[\s-]?press|prepared|synthesi|stor(?:ed|age)|quench|"
    r"cur(?:ed|ing)\b|grown|treat|melted|pre-?coarsen|reduc(?:ed|tion) at|polymeri[sz]|immers|aged|aging|ageing|cast|stirr|reflux|"  # noqa: E501
    r"sulfuri[sz]|seleni[sz]|nitrid|carburi[sz]|exfoliat|coprecipitat|solution-treat|age-harden|temper(?:ed|ing)|prepar|pyroly|carboni[sz]|spray|extrud|soak|reacted|hydrothermal|molten at|press(?:ed|ing)|obtained by|mill|phase transition|carried out|kept|held at|stretched|drawn|oxidation at|oxidi[sz]ing"  # noqa: E501
)
_WITHSTOOD = re.compile(
    r"\b(?:thermal(?:ly)?\sstab\w+|stable|stability|decompos\w+|degrad\w+|intact)\b[^.;,]{0,30}?"
    r"(?:\b(?:up to|until|above|over|below|beyond|exceeding)|[>(])\s?(?:about\s|~\s?|>\s?)?$",
    re.IGNORECASE,
)
"""What a sample withstands is no condition of its other values: "stable up to 400 degC"."""
_MADE = re.compile(rf"\b(?:{_MAKING})\w*[^.;]*$", re.IGNORECASE)
_MEASURED = re.compile(
    r"\b(?:shows?|showed|exhibit\w*|ha[sd]|have|display\w*|deliver\w*|reach\w*|attain\w*|measured|conductivit\w+|is|was|were|are|of\s\d|gave|gives|giving|conduct|provid\w*|presented|achiev\w*|yield\w*|tested|operat\w*|obtained|increas\w*|rose)\b",
    re.IGNORECASE,
)
_TESTED = re.compile(
    r"\b(?:(?:was|were|are|is|and)\s(?:then\s|all\s)?(?:tested|measured|operated|cycled|run|compared|characteri[sz]ed|evaluated|examined|studied|performed|investigated|fed)|measurements?\s(?:was|were)\s\w+|tests\swere\s\w+)\b[^.;]{0,90}?\s(?:at|@)\s",
    re.IGNORECASE,
)
_GAS = r"(?:air|argon|nitrogen|oxygen|hydrogen|helium|vacuum|Ar|N2|O2|H2|CO2|He|CH4|methane|steam|H2O)"
_ATMOSPHERE = re.compile(
    rf"\b(?:in|under)\s(?:an?\s|the\s)?((?:(?:wet|dry|humidified|humid|flowing|ambient|pure|static|synthetic|hydrogen|\d+(?:\.\d+)?\s?%)\s)*{_GAS}(?:\s?/\s?{_GAS}|-{_GAS})*)\b"
)
_AT = re.compile(
    r"(?:\bat|@|\bunder|\babove|\bbelow|\bnear|\baround|,|\band|\bto|\bbetween|\bof|\buntil|\bto about|~|\()\s?(?:about|ca\.|approximately|around|~|a|>|<|T\s?=|temperatures? (?:of|from|between|above|below)|low|high|as low as)?\s?(?:a\s)?(?:temperatures?\s(?:of|from)\s)?$",  # noqa: E501
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Condition:
    """A condition in a sentence, not yet attached to a value."""

    name: str
    start: int
    end: int
    quantity: Quantity
    group: int = -1
    change: str = ""


def find_conditions(
    text: str,
    plain: str,
    start: int,
    end: int,
    found: Sequence[Found],
    used: set[int],
    pieces: Sequence[tuple[int, int]],
) -> list[Condition]:
    """Conditions of measurement in a sentence.

    Args:
        text, plain: of the document, and with unified signs.
        start, end: of the sentence.
        found: its quantities.
        used: numbers of those that are values of a property.
        pieces: its clauses.
    """
    out: list[Condition] = []
    for number, one in enumerate(found):
        if number in used or one.unit is None:
            continue
        name = _name(one, plain, start, end)
        if name is None or (name == "temperature" and is_making(plain, start, one.start, pieces)):
            continue
        unit = CONDITIONS[name]
        values = [
            None if value is None else _convert(value, one.unit, unit) for value in (one.value, one.low, one.high)
        ]
        if values[0] is None:
            continue
        quantity = Quantity(
            Span(one.start, one.end), text[one.start : one.end], values[0], unit, values[1], values[2], one.relation
        )
        out.append(Condition(name, one.start, one.end, quantity, one.group, one.change))
    for match in _ROOM.finditer(plain, start, end):
        if not is_making(plain, start, match.start(), pieces):
            out.append(
                Condition(
                    "temperature",
                    match.start(),
                    match.end(),
                    Quantity(Span(*match.span()), text[match.start() : match.end()], ROOM, CELSIUS, relation="~"),
                )
            )
    for match in _ATMOSPHERE.finditer(plain, start, end):
        out.append(
            Condition(
                "atmosphere",
                match.start(1),
                match.end(1),
                Quantity(Span(*match.span(1)), text[match.start(1) : match.end(1)], math.nan, "text"),
            )
        )
    return sorted(out, key=lambda condition: condition.start)


def temperatures(text: str, plain: str, start: int, end: int, found: Sequence[Found]) -> list[Quantity]:
    """Every temperature that a sentence says, of measurement or not, in degrees Celsius."""
    out = []
    for one in found:
        if one.unit in (CELSIUS, "(kelvin)"):
            value, low, high = (
                None if x is None else _convert(x, one.unit, CELSIUS) for x in (one.value, one.low, one.high)
            )
            assert value is not None
            span = Span(one.start, one.end)
            out.append(Quantity(span, text[one.start : one.end], value, CELSIUS, low, high, one.relation))
    for match in _ROOM.finditer(plain, start, end):
        out.append(Quantity(Span(*match.span()), text[match.start() : match.end()], ROOM, CELSIUS, relation="~"))
    return sorted(out, key=lambda quantity: quantity.span.start)


def tested_at(
    text: str, plain: str, start: int, end: int, found: Sequence[Found], pieces: Sequence[tuple[int, int]]
) -> Quantity | None:
    """The one temperature that a sentence without values says of all: "the films were tested at 70 degC"."""
    if _TESTED.search(plain, start, end) is None:
        return None
    heats = [c for c in find_conditions(text, plain, start, end, found, set(), pieces) if c.name == "temperature"]
    behind = [c for c in heats if _TESTED.search(plain[start : c.start]) is not None]
    return behind[0].quantity if len(heats) == 1 and len(behind) == 1 and behind[0].quantity.low is None else None


def refers_back(plain: str, start: int, end: int) -> bool:
    """Whether the sentence says "at this temperature"."""
    return _SAME.search(plain, start, end) is not None


def follows(plain: str, value: int) -> bool:
    """Whether a value is what one before has come to: "the voltage recovered to 1.02 V"."""
    return _FOLLOWS.search(plain, max(0, value - 60), value) is not None


def attach(name: str, value: Found, rank: tuple[int, int] | None, same_property: Sequence[Found], conditions: Sequence[Condition],  # noqa: E501
           plain: str, start: int, end: int, pieces: Sequence[tuple[int, int]]) -> tuple[Condition | None, bool]:  # fmt: skip  # noqa: E501
    """The condition of this name that belongs to a value, and whether that is doubtful.

    Args:
        name: e.g. ``"temperature"``.
        value: in the sentence.
        rank: its place in its list and the list's length, when it is in one.
        same_property: all values of that property in the sentence, in order.
        conditions: of the sentence.
        plain, start, end, pieces: see ``find_conditions``.
    """
    mine = [
        condition
        for condition in conditions
        if condition.name == name and not _is_of_another(condition, value, same_property, plain)
    ]
    if not mine:
        return None, False
    if value.change:
        partner = [condition for condition in mine if condition.change == value.change]
        if len(partner) == 1:
            return partner[0], False
    if rank is not None:
        at, length = rank
        for group in sorted({condition.group for condition in mine if condition.group >= 0}):
            members = [condition for condition in mine if condition.group == group]
            if len(members) == length > 1:
                return members[at], False
    bracket = in_brackets(plain, start, value.start)
    if bracket is not None:
        closing = plain.find(")", value.end, end)
        inside = [condition for condition in mine if bracket < condition.start < closing]
        if inside:
            return min(inside, key=lambda condition: abs(condition.start - value.end)), False
    following = [other.start for other in same_property if other.start > value.start]
    limit = min(following, default=end)
    after = [
        condition
        for condition in mine
        if value.end <= condition.start < limit and ";" not in plain[value.end : condition.start]
    ]
    if after:
        gap = plain[value.end : after[0].start]
        near = clause_of(pieces, after[0].start) == clause_of(pieces, value.start) and len(gap) <= 110
        if near and not re.search(r"\b(?:after|before|than)\b", gap):
            return after[0], False
    previous = [other.end for other in same_property if other.end <= value.start]
    floor = max(previous, default=start)
    before = [condition for condition in mine if condition.end <= value.start and condition.start >= floor]
    if before:
        same = clause_of(pieces, before[-1].start) == clause_of(pieces, value.start)
        return before[-1], not same and len(mine) > 1
    home = clause_of(pieces, value.start)
    if (shared := _of_the_next(value, same_property, mine, plain, pieces)) is not None:
        return shared, False
    mine = [
        condition
        for condition in mine
        if condition.end <= value.start or len(same_property) > 1 or clause_of(pieces, condition.start) == home
    ]
    if not mine:
        return None, False
    # A condition said once, before the first or after the last value, holds for all of them.
    first, last = same_property[0], same_property[-1]
    outside = [condition for condition in mine if condition.end <= first.start or condition.start >= last.end]
    if outside and len({condition.quantity.value for condition in outside}) == 1:
        return outside[0], False
    if len({str(condition.quantity.value) for condition in mine}) == 1:
        return mine[0], False
    earlier = [condition for condition in mine if condition.end <= value.start]
    return (earlier[-1], True) if earlier else (mine[-1], True)


def _of_the_next(
    value: Found,
    same_property: Sequence[Found],
    mine: Sequence[Condition],
    plain: str,
    pieces: Sequence[tuple[int, int]],
) -> Condition | None:
    """The condition behind the next value, where "and" joins the two: "0.12 and a resistance of 0.21 at T"."""
    later = [other for other in same_property if other.start >= value.end]
    if not later or re.search(r"[;:]|\b(?:while|whereas|but)\b", plain[value.end : later[0].start]):
        return None
    if not re.match(r",?\sand\s", plain[value.end :][:6]):
        return None
    end = later[1].start if len(later) > 1 else pieces[clause_of(pieces, later[0].start)][1]
    behind = [c for c in mine if later[0].end <= c.start < end and c.start - later[0].end < 40]
    return behind[0] if behind else None


_NEW_SUBJECT = re.compile(
    r"[,;]\s(?:and|while|whereas|but)\s(?:the|its|their|an?)\s(?:[A-Za-z]+[\s-]){1,4}(?:at|@)\s|\bwe\s[a-z]+\b",
    re.IGNORECASE,
)


def _is_of_another(condition: Condition, value: Found, same_property: Sequence[Found], plain: str) -> bool:
    """Whether a condition stands in brackets right behind another value, or behind the subject of another clause."""
    for other in same_property:
        if other is value or (value.group >= 0 and other.group == value.group):
            continue
        if other.end <= condition.start and re.fullmatch(r"\s?\(\s?(?:at\s)?", plain[other.end : condition.start]):
            return True
    if condition.start < value.end:
        return False
    return _NEW_SUBJECT.search(plain, value.end, condition.end) is not None


def is_making(plain: str, start: int, place: int, pieces: Sequence[tuple[int, int]]) -> bool:
    """Whether a temperature is one at which the sample was made, treated or stored."""
    if re.match(r"[^,;]{0,8},?\s(?:above|below) which\b", plain[place + 2 : place + 30]):
        return False
    bracket = in_brackets(plain, start, place)
    withstood = _WITHSTOOD.search(plain, max(start, place - 60), place) is not None
    if withstood and not re.match(r"\d[\d.]*\s?\S{1,3}\swith\b", plain[place : place + 20]):
        return True
    lead = plain[(bracket if bracket is not None else start) : place]
    if re.search(
        r"\b(?:up)?on\s(?:heating|cooling)\s(?:[a-z]+\s){0,3}(?:from|to)\s(?:[\d.]+\s?(?:°C|K)?\sto\s)?$",
        lead,
        re.IGNORECASE,
    ):
        return False
    made = max(
        re.compile(rf"(?<![A-Za-z-])(?:{_MAKING})\w*", re.IGNORECASE).finditer(lead),
        key=lambda match: match.end(),
        default=None,
    )
    if made is None:
        tail = plain[place : place + 40]
        if re.search(r"\b(?:test|operat|cell|measur|perform)\w*\b", lead):
            return False
        return (
            re.match(
                r"(?![^,.;()]{0,14}\s(?:after|before)\b)"
                r"[^,.;()]{0,14}\s(?:for\s\d+(?:\.\d+)?\s?(?:h|min|s|d)|anneal|sinter|calcin|heat treatment)",
                tail,
            )
            is not None
        )
    between = lead[made.end() :]
    if ";" in between:
        return False
    if re.search(r"\d[^,]*,\s(?:the|its|their)\s[a-z]", between):  # "annealed at 300 degC, the films at 20 degC had"
        return False
    if re.match(r"[\s,]*(?:conductivity|cell|cells|sample|LLZO)?\s*$", between):
        return True
    return _MEASURED.search(between) is None


def _name(one: Found, plain: str, start: int, end: int) -> str | None:
    lead = plain[max(start, one.start - 40) : one.start]
    if one.unit in (CELSIUS, "(kelvin)"):
        return "temperature"
    if one.unit == "(percent)":
        tail = plain[one.end : min(end, one.end + 25)]
        return (
            "humidity"
            if re.match(r"\s?(?:relative humidity|RH|humidity)", tail)
            or re.search(r"(?:humidity|RH)\s(?:of\s)?$", lead)
            else None
        )
    if not _AT.search(lead):
        return None
    for name in (
        "voltage",
        "current_density",
        "pressure",
        "frequency",
        "wavelength",
        "magnetic_field",
        "heating_rate",
        "strain_rate",
        "load",
        "time",
    ):
        if _convert(one.value, one.unit or "", CONDITIONS[name]) is not None:
            return name
    return None


def _convert(value: float, source: str, target: str) -> float | None:
    source = "kelvin" if source == "(kelvin)" else source
    return value if source == target else convert(value, source, target)
