"""Which numbers of a sentence are values of which property."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sozai.assistant.extraction.clauses import cost
from sozai.assistant.extraction.materials import Mention
from sozai.assistant.extraction.quantities import Found
from sozai.assistant.extraction.schema import Property
from sozai.assistant.extraction.units import CELSIUS, convert

FAR = {"bare": 9.0, "plain": 4.2, "tight": 2.6}
"""How many words may stand between a property's name and its value: with a telling unit, with another, with a number alone or a share."""  # noqa: E501
_NO_VALUE = re.compile(
    r"(?:\bby\s(?:up to\s|about\s|over\s|more than\s|around\s|almost\s|only\s|~\s?)?|\bwithin\s|±\s?|\bfactor of\s|\bstep(?:s)? of\s|\bdifference of\s|\brate of\s|\berror of\s|\bonly\sa\s|\bmore than\s(?=\d+\s?times))$",  # noqa: E501
    re.IGNORECASE,
)
_IF = re.compile(
    r"\b(?:when|if|once|until|as long as)\s(?:the\s)?[^,;]{0,60}\b(?:is|was|were|are|becomes?|exceeds?|exceeded)\s?(?:(?:higher|lower|greater|larger|smaller|more|less|larger) than|above|below|over|under)?\s?$|"  # noqa: E501
    r"\b(?:for|when|at)\s\S{1,8}(?:\s\S{1,4})?\s?[<>≤≥]\s?$",
    re.IGNORECASE,
)
"""A number that says when something holds is no measured value: "when the crystallinity was lower than 63%"."""
_OFFSET = re.compile(r"[A-Za-z}_]\s?[+]\s?$")
_CHANGE_AFTER = re.compile(
    r"\s?(?:-?fold|times|orders? of|(?:relative\s)?(?:increase|decrease|improvement|enhancement|reduction|higher|lower|greater|larger|smaller|loss of|drop|of (?:that|the (?:initial|original|value|theoretical))|increment|strain\b|RH\b|relative humidity|weight loss\b|enhanced|more|less|faster))"  # noqa: E501
)
_AGAINST = re.compile(
    r"(?:[^;.]|\.\d){0,90}?(?:\bagainst|\bversus|\bvs\.?|\bcompared\s(?:with|to)|\bthan\s(?:that|those)\s(?:of|for)|"
    r"\b(?:while|whereas|but)\s(?:that|those)\s(?:of|for)|\bthe\slatter)\b(?:[^;.]|\.\d){0,60}"
    r"|\s?(?:\([^()]{1,20}\)\s)?(?:at|for|in|with)\s[^,;()]{1,40}?(?:,?\sand|,|,?\sto|,?\sbut)\s(?:only\s|about\s|ca\.\s|~)?",
    re.IGNORECASE,
)
"""Between two values of one property: "1 MPa, against 2 MPa for A"; "1 MPa at 25 degC and 2 MPa at 50 degC"."""
_ADJECTIVE = re.compile(
    r"\s?(?:\([^()]{1,25}\)\s?)?(?:of\s|for\s|in\s)?(?:the\s|its\s|their\s|an?\s)?(?:(?:high|total|average|mean|maximum|initial|peak|water|corresponding|room temperature|lithium|overall)\s)*$",  # noqa: E501
    re.IGNORECASE,
)


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
    """

    number: int
    property: Property
    value: float
    low: float | None
    high: float | None
    cue: tuple[int, int] | None
    rank: tuple[int, int] | None
    doubt: str = ""


def find_values(plain: str, start: int, end: int, found: Sequence[Found], mentions: Sequence[Mention], schema: Sequence[Property],  # noqa: E501
                others: Sequence[Property]) -> list[Value]:  # fmt: skip
    """Values of the schema's properties in a sentence.

    Args:
        plain: text with unified signs.
        start, end: of the sentence.
        found: its quantities.
        mentions: its materials.
        schema: properties that are wanted.
        others: properties that are known too; a number nearer to the name of one of them is not taken.
    """
    cues = _cues(plain, start, end, [*schema, *others])
    wanted = {property_.name for property_ in schema}
    out: list[Value] = []
    for number, one in enumerate(found):
        lead, tail = plain[max(start, one.start - 40) : one.start], plain[one.end : min(end, one.end + 40)]
        if (_NO_VALUE.search(lead) and one.change == "") or _CHANGE_AFTER.match(tail) or _OFFSET.search(lead):
            continue
        if _IF.search(plain[max(start, one.start - 90) : one.start]):
            continue
        best = _best(plain, start, one, cues, mentions, found)
        if best is None:
            best = _bare(plain, start, one, cues, [*schema, *others])
        if best is None or best[0].name not in wanted:
            continue
        converted = _in_unit(one, best[0])
        if converted is None:
            continue
        out.append(Value(number, best[0], *converted, best[1], _rank(one, found), best[2]))
    return _in_order(plain, start, end, _with_compared(plain, start, out, found, cues), found, cues)


def _with_compared(
    plain: str,
    start: int,
    values: Sequence[Value],
    found: Sequence[Found],
    cues: Sequence[tuple[int, int, Property]],
) -> list[Value]:
    """The values with those that are only compared with one of them and take its property."""
    out = {value.number: value for value in values}
    for number, one in enumerate(found):
        before = [out[n] for n in range(number) if n in out]
        if (
            number in out
            or one.unit is None
            or not before
            or _NO_VALUE.search(plain[max(start, one.start - 40) : one.start])
        ):
            continue
        last = before[-1]
        gap_start = found[last.number].end
        if found[last.number].unit != one.unit or any(
            gap_start <= n.start < one.start and n.unit == one.unit for n in found
        ):
            continue
        if any(gap_start <= cue[0] < one.start for cue in cues) or _CHANGE_AFTER.match(plain[one.end : one.end + 40]):
            continue
        converted = _in_unit(one, last.property)
        if converted is not None and _AGAINST.fullmatch(plain[gap_start : one.start]):
            out[number] = Value(number, last.property, *converted, last.cue, None, last.doubt)
    return [out[number] for number in sorted(out)]


def _cues(plain: str, start: int, end: int, properties: Sequence[Property]) -> list[tuple[int, int, Property]]:
    """Names of properties; the longest name at a place wins, and one that follows a word it must not follow is dropped."""  # noqa: E501
    all_of: list[tuple[int, int, Property]] = []
    for property_ in properties:
        for match in property_.cue.finditer(plain, start, end):
            before = re.search(r"([A-Za-z]+)[\s-]+$", plain[max(start, match.start() - 25) : match.start()])
            if before and before.group(1) in property_.without:
                continue
            all_of.append((match.start(), match.end(), property_))
    return [
        one for one in all_of
        if not any(other[0] <= one[0] and one[1] <= other[1] and other[1] - other[0] > one[1] - one[0] for other in all_of)  # noqa: E501
    ]  # fmt: skip


def _best(
    plain: str,
    start: int,
    one: Found,
    cues: Sequence[tuple[int, int, Property]],
    mentions: Sequence[Mention],
    found: Sequence[Found],
) -> tuple[Property, tuple[int, int] | None, str] | None:
    skip = [(mention.start, mention.end) for mention in mentions if mention.kind != "generic"]
    candidates: list[tuple[float, Property, tuple[int, int]]] = []
    members = [other for other in found if other.group == one.group and other.unit == one.unit]
    first = members[0] if members else one
    if one.change == "to":
        earlier = [other for other in found if other.change == "from" and other.end <= one.start]
        first = earlier[-1] if earlier else first
    for begin, stop, property_ in cues:
        if _in_unit(one, property_) is None:
            continue
        limit = FAR["bare"] if property_.bare else FAR["plain"]
        if one.unit is None or one.unit == "(percent)" or property_.unit == CELSIUS or one.unit == "share":
            limit = FAR["tight"]
        if stop <= first.start:
            far = cost(plain, stop, first.start, skip)
            between = [other for other in found if stop <= other.start < first.start and other.group != first.group]
            rivals = [
                cue
                for cue in cues
                if stop <= cue[0] < first.start and cue[2].name != property_.name and _in_unit(one, cue[2]) is not None
            ]
            blockers = [other for other in between if other.unit == one.unit or one.unit is None]
            far += 0.3 * len(between) + 6.0 * len(rivals)
            if blockers and (limit == FAR["tight"] or property_.unit == CELSIUS):
                far += 0.5 * len(blockers)
            if blockers and not property_.bare and limit != FAR["tight"]:
                far += 0.4
        elif begin >= one.end and begin - one.end < 45 and _ADJECTIVE.fullmatch(plain[one.end : begin]):
            far = 1.2 + cost(plain, one.end, begin, skip)
            owned = [
                c
                for c in cues
                if c[1] <= one.start and c[2].name == property_.name and cost(plain, c[1], one.start, skip) < 2
            ]
            if owned:
                continue
        else:
            continue
        if far <= limit:
            candidates.append((far, property_, (begin, stop)))
    if not candidates:
        return None
    candidates.sort(key=lambda candidate: candidate[0])
    names = {candidate[1].name for candidate in candidates if candidate[0] == candidates[0][0]}
    doubt = "" if len(names) == 1 else f"may be {' or '.join(sorted(names))}"
    if len(names) > 1:  # one name, two properties: the unit has decided already where it could
        doubt = ""
    return candidates[0][1], candidates[0][2], doubt


def _bare(
    plain: str, start: int, one: Found, cues: Sequence[tuple[int, int, Property]], properties: Sequence[Property]
) -> tuple[Property, tuple[int, int] | None, str] | None:
    """A unit that only one property has, as S/cm, tells the property without its name."""
    if one.unit is None:
        return None
    fitting = [property_ for property_ in properties if property_.bare and _in_unit(one, property_) is not None]
    if len(fitting) != 1:
        return None
    near = [cue for cue in cues if _in_unit(one, cue[2]) is not None]
    if near:
        before = [cue for cue in near if cue[1] <= one.start] or near
        chosen = before[-1]
        return chosen[2], (chosen[0], chosen[1]), ""
    return fitting[0], None, ""


def _in_unit(one: Found, property_: Property) -> tuple[float, float | None, float | None] | None:
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


def _rank(one: Found, found: Sequence[Found]) -> tuple[int, int] | None:
    members = [other for other in found if other.group == one.group and other.unit == one.unit]
    return (members.index(one), len(members)) if len(members) > 1 else None


def _in_order(
    plain: str,
    start: int,
    end: int,
    values: list[Value],
    found: Sequence[Found],
    cues: Sequence[tuple[int, int, Property]],
) -> list[Value]:
    """ "Tg and Tm were 50 and 170 degC, respectively": names and values in the same order belong together."""
    if not re.search(r"\brespectively\b|\band\b", plain[start:end]):
        return values
    runs: list[list[tuple[int, int, Property]]] = []
    for cue in sorted(cues, key=lambda cue: cue[0]):
        gap = plain[runs[-1][-1][1] : cue[0]] if runs else ""
        if runs and re.fullmatch(r"\s?(?:\([^()]{1,25}\)\s?)?(?:,\s?and|,|and)\s(?:the\s)?", gap):
            if runs[-1][-1][2].name != cue[2].name:
                runs[-1].append(cue)
        else:
            runs.append([cue])
    out = list(values)
    for at, value in enumerate(values):
        if value.rank is None:
            continue
        one = found[value.number]
        for run in runs:
            if (
                len(run) == value.rank[1]
                and all(_in_unit(one, cue[2]) is not None for cue in run)
                and run[-1][1] <= one.end + 400
            ):
                begin, stop, property_ = run[value.rank[0]]
                converted = _in_unit(one, property_)
                if converted is not None:
                    out[at] = Value(value.number, property_, *converted, (begin, stop), None, value.doubt)
    return out
