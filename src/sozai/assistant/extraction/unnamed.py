"""Values whose property is not named again: "0.2 GPa, against 0.1 GPa for A", "whereas B gave 130 L/m2/h"."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sozai.assistant.extraction.quantities import Found
from sozai.assistant.extraction.schema import Property
from sozai.assistant.extraction.units import CELSIUS, convert

_NO_VALUE = re.compile(
    r"(?:\bby\s(?:up to\s|about\s|over\s|more than\s|around\s|almost\s|only\s|~\s?)?|\bwithin\s(?!\d[\d.]*\s?[-–]\s?\d)|±\s?|(?<!separation )\bfactor of\s|\bstep(?:s)? of\s|\b(?:difference|gap) of\s|\brate of\s|\berror of\s|\bonly\sa\s|\bmore than\s(?=\d+\s?times))$",  # noqa: E501
    re.IGNORECASE,
)
CHANGE_AFTER = re.compile(
    r"\s?(?:-?fold|times|orders? of|(?:relative\s)?(?:increase|decrease|improvement|enhancement|reduction|higher|lower|greater|larger|smaller|loss of|drop|of (?:that|the (?:initial|original|value|theoretical))|increment|strain\b|RH\b|relative humidity|weight loss\b|enhanced|more|less|faster))"  # noqa: E501
)
_AGAINST = re.compile(
    r"(?:[^;.]|\.\d){0,90}?(?:\bagainst|\bversus|\bvs\.?|\bcompared\s(?:with|to)|"
    r"\b(?:as opposed|in contrast|in comparison)\s(?:with|to)|"
    r"\b(?:than|times)\s(?:that|those)\s(?:of|for)|\b(?:down|up)\sfrom|\bthan\s(?:the|its|their)\b(?=\s(?:about\s|ca\.\s|~)?$)|"
    r"\b(?:while|whereas|but)\s(?:that|those)\s(?:of|for)|\bthe\slatter)\b(?:[^;.]|\.\d){0,60}"
    r"|\s?(?:\([^()]{1,20}\)\s)?(?:at|for|in|with)\s[^,;()]{1,40}?(?:,?\sand|,|,?\sto|,?\sbut)\s(?:only\s|about\s|ca\.\s|~)?",
    re.IGNORECASE,
)
"""Between two values of one property: "1 MPa, against 2 MPa for A"; "1 MPa at 25 degC and 2 MPa at 50 degC"."""
_PURE_AGAINST = re.compile(
    r"(?:[^;.,]|\.\d){0,60}?,?\s(?:(?:against|versus|vs\.?|compared\s(?:with|to))\s(?:only\s|about\s)?|"
    r"(?:compared\s(?:with|to)\s|while\s|whereas\s|but\s|and\s|than\s)(?:that|those)\s(?:of|for)\s[^,;]{1,60}?\s(?:was|is|were|reached)\s(?:only\s|about\s)?)",
    re.IGNORECASE,
)
"""The same between numbers without a unit, where less is trusted."""
_TURN = re.compile(
    r"(?:\s?\([^()]{1,30}\))?(?:\s(?:at|in)\s[^,;]{1,25})?(?:,\s(?:and|while|whereas|but)|;(?:\sand)?|\sand)\s"
    r"(?:that\s(?:of|for)\s|for\s)?(?:the\s)?(?:[\w().+/%-]+\s){0,3}(?P<last>[\w().+/-]*[\w)])\s|"
    r",\s(?P<code>[A-Z][\w().+/-]*)\s|"
    r"[^,;]{0,40},\s(?:falling|rising|dropping|decreasing|increasing|growing|changing)\sto\s|"
    r"\)\s?(?:[<>≈,;]|,?\sand|,\sbut)\s?(?:the\s)?[\w.+/-]+(?:\s[\w.+/-]+){0,2}\s?\(\s?"
)
"""The second value has its owner alone before it: "4 GPa, and the aged alloy 6 GPa", "A (4 GPa) < B (6 GPa)"."""
_NO_OWNER = frozenset(["of", "at", "by", "to", "is", "was", "were", "are", "from", "with", "than", "for", "in", "and", "or", "after", "about", "over", "under", "above", "below", "between", "within", "every", "up", "a", "an", "the", "only", "then", "also", "as", "on", "until", "per", "around", "near", "approximately", "ca", "via", "using"])  # fmt: skip  # noqa: E501
_AND_SO = re.compile(
    r"\b(?:whereas|while|but|against|versus|vs|compared|than|that|those|instead|without|before|after|for|neat|pure|bare|uncoated|undoped|pristine|only)\b|[;(]",
    re.IGNORECASE,
)
_SAID = re.compile(
    r"(?:\b(?:gave|gives|give|has|had|have|showed?|shows|reach\w*|exhibit\w*|deliver\w*|possess\w*|was|were|is|are|(?:fell|rose|increased|decreased|dropped|reduced|raised|improved|grew)\sto|only|with|(?:to|against|than|versus)|that of [^,;.]{1,40}|and|with|ones?\sof)\s(?:only\s|about\s|ca\.\s|~|even\s|around\s|up\sto\s|as\s(?:high|low)\sas\s)*|\(\s?)$",  # noqa: E501
    re.IGNORECASE,
)
_TELLING = frozenset(["S/cm", "mAh/g", "F/g", "m^2/g", "L/m^2/h", "L/m^2/h/bar", "kg/m^2/h", "barrer", "GPU", "GPa", "cm^2/V/s", "W/m/K", "emu/g", "mmol/g", "1e-6/K", "uV/K", "ohm*cm", "ohm*cm^2", "mW/cm^2", "MPa*m^0.5", "cm^2/s", "MJ/m^3", "Wh/kg", "dL/g", "g/mol"])  # fmt: skip  # noqa: E501
"""Units that are seldom those of a condition: a number with one is a value of what was spoken of."""


@dataclass(frozen=True)
class Value:
    """A number read as a property's value.

    Attributes:
        number: of the quantity in the sentence.
        property: it is a value of.
        value, low, high: in the property's unit.
        cue: place of the property's name, ``None`` when its unit alone tells it.
        rank: place in its list, and the list's length.
        doubt: why it may be another property's.
        told: logarithm of the odds that it is one, where the network of ``reader`` found it; ``None``: the rules did.
    """

    number: int
    property: Property
    value: float
    low: float | None
    high: float | None
    cue: tuple[int, int] | None
    rank: tuple[int, int] | None
    doubt: str = ""
    told: float | None = None


def is_no_value(plain: str, start: int, place: int, cues: Sequence[tuple[int, int, Property]]) -> bool:
    """Whether the words before a number make it a change or an error: "by 5", "a factor of 3", not "a band gap of"."""
    match = _NO_VALUE.search(plain, max(start, place - 40), place)
    return match is not None and not any(cue[0] < match.end() and match.start() < cue[1] for cue in cues)


def with_unnamed(plain: str, start: int, values: Sequence[Value], found: Sequence[Found], cues: Sequence[tuple[int, int, Property]],  # noqa: E501
                 earlier: Property | None, wanted: Collection[str]) -> list[Value]:  # fmt: skip
    """The values with those that take the property of one before them.

    Args:
        plain: text with unified signs; the sentence begins at ``start``.
        values: found by the names of properties.
        found: the sentence's quantities.
        cues: places of properties' names.
        earlier: property of the last value of the sentence before.
        wanted: names of wanted properties.
    """
    out = {value.number: value for value in values}
    named = set(out)
    for number, one in enumerate(found):
        if number in out and not _compared_again(number, out, found, plain):
            continue
        if one.unit is None and not any(n in out for n in range(number)):
            continue
        if is_no_value(plain, start, one.start, cues) or CHANGE_AFTER.match(plain[one.end : one.end + 40]):
            continue
        pairs = _in_turn(number, out, found, plain)
        if pairs:
            for place, before in pairs.items():
                converted = in_unit(found[place], before.property)
                if converted is not None:
                    out[place] = Value(place, before.property, *converted, before.cue, None, before.doubt)
            continue
        source = _source(number, out, found, plain, start, cues, earlier)
        if source is None and number - 1 in out and number - 1 not in named:
            source = _next_to(number, out, found, plain)
        if source is None or source.property.name not in wanted:
            continue
        converted = in_unit(one, source.property)
        if converted is not None:
            out[number] = Value(number, source.property, *converted, source.cue, None, source.doubt)
    return [out[number] for number in sorted(out)]


def _source(number: int, out: dict[int, Value], found: Sequence[Found], plain: str, start: int,
            cues: Sequence[tuple[int, int, Property]], earlier: Property | None) -> Value | None:  # fmt: skip
    """The value whose property this quantity has too."""
    one = found[number]
    lead = plain[max(start, one.start - 60) : one.start]
    if one.unit is None:
        pure = [n for n in range(number) if found[n].unit is None]
        last = out.get(pure[-1]) if pure else None
        if (
            last is None
            or last.property.unit != ""
            or not _PURE_AGAINST.fullmatch(plain[found[pure[-1]].end : one.start])
        ):
            return None
        return last if re.match(r"\s(?:for|of|in|at)\b|[,.;)]", plain[one.end : one.end + 5]) else None
    before = [out[n] for n in range(number) if n in out and in_unit(one, out[n].property) is not None]
    if not before:
        if earlier is None or out or not ((earlier.unit in _TELLING and _SAID.search(lead)) or _is_it(earlier, lead)):
            return None
        known = [cue for cue in cues if in_unit(one, cue[2]) is not None]
        return None if known else Value(-1, earlier, 0.0, None, None, None, None)
    last = before[-1]
    gap = plain[found[last.number].end : one.start]
    if any(found[last.number].end <= cue[0] < one.start and in_unit(one, cue[2]) is not None for cue in cues):
        return None
    between = [n for n in found if found[last.number].end <= n.start < one.start and n.unit == one.unit]
    if not between and _AGAINST.fullmatch(gap):
        return last
    turn = _TURN.fullmatch(gap)
    if turn and not between and (turn["last"] or "").lower() not in _NO_OWNER and found[last.number].unit == one.unit:
        return last
    if found[last.number].unit != one.unit and not re.search(r"\bones?\sof\s(?:about\s|~)?$", lead):
        return None
    if one.unit == "(percent)" or one.unit == CELSIUS or last.property.unit not in (*_TELLING, "MPa", "eV", "K"):
        telling = bool(re.search(r"\b(?:whereas|while|but|(?:by|in) contrast)\b", gap))
    else:
        telling = _AND_SO.search(gap) is not None
    return last if telling and len(gap) <= 140 and _SAID.search(lead) else None


def _is_it(earlier: Property, lead: str) -> bool:
    """Whether "it" or "this" is said to come to a number: "annealing raised it to 1.3 GPa", "it narrows to 1.7 eV"."""
    told = re.search(r"\b(?:it|this)\s(?:[a-z]+\s){0,2}(?:to|at)\s(?:about\s|only\s|~\s?)?$", lead, re.IGNORECASE)
    return told is not None and earlier.unit not in (CELSIUS, "K", "%", "")


def _next_to(number: int, out: dict[int, Value], found: Sequence[Found], plain: str) -> Value | None:
    """For "those of A (381 MPa, 3.5 mm)": the last value of the second's unit, where the first has no name either."""
    gap = plain[found[number - 1].end : found[number].start]
    if found[number].unit is None or not re.fullmatch(r",?\s(?:and\s)?", gap):
        return None
    before = [out[n] for n in range(number - 1) if n in out and found[n].unit == found[number].unit]
    return before[-1] if before else None


def _compared_again(number: int, out: dict[int, Value], found: Sequence[Found], plain: str) -> bool:
    """Whether a value begins a second list that repeats the properties of a first: "1 GPa and 2 MPa, versus 3 GPa"."""
    before = [n for n in sorted(out) if n < number]
    return (
        bool(before)
        and out[number].rank is None
        and re.search(
            r"\b(?:versus|vs\.?|against|compared (?:with|to)|than)\s(?:only\s)?$", plain[: found[number].start]
        )
        is not None
        and _in_turn(number, out, found, plain) != {}
    )


def _in_turn(number: int, out: dict[int, Value], found: Sequence[Found], plain: str) -> dict[int, Value]:
    """For "1 GPa and 2 MPa, versus 3 GPa and 4 MPa": the value before that each of the second list stands against."""
    if (
        re.search(
            r"\b(?:versus|vs\.?|against|(?:compared|comparison) (?:with|to)|than)\s(?:only\s)?$",
            plain[: found[number].start],
        )
        is None
    ):
        return {}
    second = [number]
    while second[-1] + 1 < len(found) and re.fullmatch(
        r"\s?(?:,\sand|,|and)\s", plain[found[second[-1]].end : found[second[-1] + 1].start]
    ):
        second.append(second[-1] + 1)
    first = [out[n] for n in range(number) if n in out][-len(second) :]
    if len(second) < 2 or len(first) < len(second) or len({value.property.name for value in first}) < 2:
        return {}
    if all(found[a].unit == found[b.number].unit for a, b in zip(second, first, strict=True)):
        return dict(zip(second, first, strict=True))
    return {}


def in_unit(one: Found, property_: Property) -> tuple[float, float | None, float | None] | None:
    """Value and limits in the property's unit; ``None`` when the dimensions differ."""
    if property_.unit == "":
        return (one.value, one.low, one.high) if one.unit is None else None
    if one.unit is None:
        return (one.value, one.low, one.high) if property_.loose and one.value >= 500 else None
    source = "kelvin" if one.unit == "(kelvin)" else one.unit
    if source == "share" and property_.unit != "%":
        return None
    value = convert(one.value, source, property_.unit)
    if value is None:
        return None
    low, high = (None if limit is None else convert(limit, source, property_.unit) for limit in (one.low, one.high))
    return value, low, high
