"""Which numbers of a sentence are values of which property."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sozai.assistant.extraction.clauses import cost
from sozai.assistant.extraction.mentions import Mention
from sozai.assistant.extraction.quantities import Found
from sozai.assistant.extraction.schema import Property
from sozai.assistant.extraction.units import CELSIUS
from sozai.assistant.extraction.unnamed import CHANGE_AFTER, Value, in_unit, is_no_value, with_unnamed

FAR = {"bare": 9.0, "plain": 4.2, "tight": 2.6}
"""How many words may stand between a property's name and its value: with a telling unit, with another, with a number alone or a share."""  # noqa: E501
_IF = re.compile(
    r"\b(?:when|if|once|until|as long as)\s(?:the\s)?[^,;]{0,60}\b(?:is|was|were|are|becomes?|exceeds?|exceeded)\s?(?:(?:higher|lower|greater|larger|smaller|more|less|larger) than|above|below|over|under)?\s?$|"  # noqa: E501
    r"\b(?:for|when|at)\s\S{1,8}(?:\s\S{1,4})?\s?[<>≤≥]\s?$",
    re.IGNORECASE,
)
"""A number that says when something holds is no measured value: "when the crystallinity was lower than 63%"."""
_OFFSET = re.compile(r"[A-Za-z}_]\s?[+]\s?$")
_PREDICATE = re.compile(
    r"(?:\s?\([^()]{1,30}\))?(?P<whose>\s(?:of|for|in|by|from|through|on|at|with|measured|obtained|determined|estimated|towards?)\s[^.;:]{1,140}?)\s"
    r"(?:is|was|are|were|reach\w*|attain\w*|rang\w+|var(?:y|ies|ied)|increas\w+|decreas\w+|drop\w*|rose|fell|exceed\w*|amount\w*|became|remain\w*|(?:can|could) be \w+|equals?|of)\s"  # noqa: E501
    r"(?:found\s|measured\s|determined\s|calculated\s|estimated\s|reduced\s|raised\s|increased\s|decreased\s|improved\s|observed\s)?"
    r"(?:to\sbe\s|to\s|from\s|between\s|at\s|as\s(?:high|low)\sas\s|in\sthe\sranges?\s(?:of\s|from\s)?|up\s|about\s|around\s|approximately\s|only\s|as\s|ca\.\s|~|above\s|below\s|over\s|within\s|[<>]\s?|\()*",
    re.IGNORECASE,
)
_OTHER_VERB = re.compile(
    r"\b(?:which|while|whereas|but|when|is|was|are|were|has|had|show\w*|exhibit\w*|and (?:the|its|an?)|increas\w+|decreas\w+|respectively)\b",  # noqa: E501
    re.IGNORECASE,
)
_OTHER_CLAUSE = re.compile(r"[;:(]|\b(?:while|whereas|which)\b")
_ADJECTIVE = re.compile(
    r"\s?(?:\([^()]{1,25}\)\s?)?(?:of\s|for\s|in\s)?(?:the\s|its\s|their\s|an?\s)?(?:(?:high|total|average|mean|maximum|initial|peak|water|corresponding|room temperature|lithium|overall)\s)*$",  # noqa: E501
    re.IGNORECASE,
)


def find_values(plain: str, start: int, end: int, found: Sequence[Found], mentions: Sequence[Mention], schema: Sequence[Property],  # noqa: E501
                others: Sequence[Property], earlier: Property | None = None,
                told: Mapping[int, tuple[Property, float]] | None = None) -> list[Value]:  # fmt: skip
    """Values of the schema's properties in a sentence.

    Args:
        plain: text with unified signs.
        start, end: of the sentence.
        found: its quantities.
        mentions: its materials.
        schema: properties that are wanted.
        others: properties that are known too; a number nearer to the name of one of them is not taken.
        earlier: property of the last value of the sentence before.
        told: what the network took numbers for that the rules had left, by where they begin, with the odds of it.
    """
    cues = _cues(plain, start, end, [*schema, *others])
    wanted = {property_.name for property_ in schema}
    out: list[Value] = []
    in_order = _told_in_order(plain, found, cues)
    for number, one in enumerate(found):
        lead, tail = plain[max(start, one.start - 40) : one.start], plain[one.end : min(end, one.end + 40)]
        if (
            (one.change == "" and is_no_value(plain, start, one.start, cues))
            or CHANGE_AFTER.match(tail)
            or _OFFSET.search(lead)
        ):
            continue
        if _IF.search(plain[max(start, one.start - 90) : one.start]):
            continue
        best = (
            in_order.get(number)
            or _cell_edge(plain, one, [*schema, *others])
            or _best(plain, start, one, cues, mentions, found)
        )
        if best is None:
            best = _bare(plain, start, one, cues, [*schema, *others])
        if best is not None:
            best = (_plausible(one, best[0], plain, best[1], [*schema, *others]), *best[1:])
        if best is None or best[0].name not in wanted:
            continue
        converted = in_unit(one, best[0])
        if converted is None:
            continue
        out.append(Value(number, best[0], *converted, best[1], _rank(one, found), best[2]))
    values = _in_order(plain, start, end, with_unnamed(plain, start, out, found, cues, earlier, wanted), found, cues)
    if told:
        taken = {value.number for value in values}
        for number, one in enumerate(found):
            guess = None if number in taken else told.get(one.start)
            converted = in_unit(one, guess[0]) if guess is not None else None
            if guess is not None and converted is not None and guess[0].name in wanted:
                values.append(Value(number, guess[0], *converted, None, _rank(one, found), told=guess[1]))
        values.sort(key=lambda value: value.number)
    return values


def _cues(plain: str, start: int, end: int, properties: Sequence[Property]) -> list[tuple[int, int, Property]]:
    """Names of properties; the longest name at a place wins, and one that follows a word it must not follow is dropped."""  # noqa: E501
    all_of: list[tuple[int, int, Property]] = []
    for property_ in properties:
        for match in property_.cue.finditer(plain, start, end):
            before = re.search(r"([A-Za-z]+)[\s-]+$", plain[max(start, match.start() - 25) : match.start()])
            # "high density polyethylene" tells none, "a high bulk density" does
            degree = before is not None and before.group(1) in ("low", "high") and " " in match.group()
            if before and before.group(1) in property_.without and not degree:
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
        earlier = [other for other in found if other.change == "from" and other.number_end <= one.start]
        first = earlier[-1] if earlier else first
    for begin, stop, property_ in cues:
        if in_unit(one, property_) is None:
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
                if stop <= cue[0] < first.start and cue[2].name != property_.name and in_unit(one, cue[2]) is not None
            ]
            blockers = [other for other in between if other.unit == one.unit or one.unit is None]
            alike = [other for other in between if other.unit == one.unit]
            if not alike and not rivals and _is_predicate(plain[stop : first.start]):
                far = min(far, (0.8 if one.unit is not None else 0.6) * limit)
            elif (
                not blockers
                and not rivals
                and plain[first.start - 1 : first.start] == "("
                and first.start - stop < 160
                and not _OTHER_CLAUSE.search(plain[stop : first.start - 1])
            ):
                far = min(far, 0.9 * limit)
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
    fitting = [property_ for property_ in properties if property_.bare and in_unit(one, property_) is not None]
    if len(fitting) != 1:
        return None
    near = [cue for cue in cues if in_unit(one, cue[2]) is not None]
    if near:
        before = [cue for cue in near if cue[1] <= one.start] or near
        chosen = before[-1]
        return chosen[2], (chosen[0], chosen[1]), ""
    return fitting[0], None, ""


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
    runs = _runs(plain, cues)
    out = list(values)
    for at, value in enumerate(values):
        if value.rank is None:
            continue
        one = found[value.number]
        for run in runs:
            if (
                len(run) == value.rank[1]
                and all(in_unit(one, cue[2]) is not None for cue in run)
                and run[-1][1] <= one.end + 400
            ):
                begin, stop, property_ = run[value.rank[0]]
                converted = in_unit(one, property_)
                if converted is not None:
                    out[at] = Value(value.number, property_, *converted, (begin, stop), None, value.doubt)
    return out


def _runs(plain: str, cues: Sequence[tuple[int, int, Property]]) -> list[list[tuple[int, int, Property]]]:
    """Names of properties joined by commas and "and"."""
    runs: list[list[tuple[int, int, Property]]] = []
    for cue in sorted(cues, key=lambda cue: cue[0]):
        gap = plain[runs[-1][-1][1] : cue[0]] if runs else ""
        if runs and re.fullmatch(r"\s?(?:\([^()]{1,25}\)\s?)?(?:,\s?and|,|and)\s(?:the\s|an?\s)?(?:[a-z]+\s)?", gap):
            if runs[-1][-1][2].name != cue[2].name:
                runs[-1].append(cue)
        else:
            runs.append([cue])
    return runs


def _told_in_order(
    plain: str, found: Sequence[Found], cues: Sequence[tuple[int, int, Property]]
) -> dict[int, tuple[Property, tuple[int, int], str]]:
    """ "The strength, modulus and elongation were 88 MPa, 1.7 GPa and 42%": as many values as names, in their order."""
    rows: list[list[int]] = []
    for number, one in enumerate(found):
        gap = plain[found[number - 1].end : one.start] if number else "."
        if rows and re.fullmatch(r"\s?(?:,\s?and|,|and)\s(?:about\s|~|ca\.\s)?", gap):
            rows[-1].append(number)
        else:
            rows.append([number])
    out: dict[int, tuple[Property, tuple[int, int], str]] = {}
    for run in _runs(plain, cues):
        for row in rows:
            if len(row) != len(run) or len(run) < 2 or not 0 <= found[row[0]].start - run[-1][1] <= 160:
                continue
            if len({found[n].unit for n in row}) > 1 and all(
                in_unit(found[n], cue[2]) is not None for n, cue in zip(row, run, strict=True)
            ):
                out |= {n: (cue[2], (cue[0], cue[1]), "") for n, cue in zip(row, run, strict=True)}
    return out


def _cell_edge(
    plain: str, one: Found, properties: Sequence[Property]
) -> tuple[Property, tuple[int, int] | None, str] | None:
    """ "a = 5.43 angstrom" is a lattice parameter, if the schema has one."""
    edge = next((property_ for property_ in properties if property_.name == "lattice_parameter"), None)
    named = re.search(r"(?<![A-Za-z])[abc]\s?=\s?$", plain[max(0, one.start - 6) : one.start])
    if edge is None or named is None or one.unit is None or in_unit(one, edge) is None:
        return None
    return edge, (one.start - len(named.group()), one.start - len(named.group()) + 1), ""


def _is_predicate(gap: str) -> bool:
    """Whether between a property's name and a number stand only whose it is and one verb: "of the films was"."""
    match = _PREDICATE.fullmatch(gap)
    return match is not None and _OTHER_VERB.search(match["whose"]) is None


def _plausible(
    one: Found, property_: Property, plain: str, cue: tuple[int, int] | None, every: Sequence[Property]
) -> Property:
    """The property, or the one of the same unit and a longer name that such a value is of: a conductivity of 300 S/cm
    that nobody calls ionic is electronic, and so is one that is called by its symbol or its unit alone."""
    converted = in_unit(one, property_)
    if converted is None or property_.range is None or converted[0] <= property_.range[1]:
        return property_
    word = plain[cue[0] : cue[1]].lower() if cue is not None else ""
    nameless = cue is None or plain[cue[0] : cue[1]] in property_.symbols
    for other in every:
        if other.unit == property_.unit and other.name != property_.name and other.range is not None:
            longer = nameless or any(name.lower().endswith(" " + word) for name in other.names)
            if longer and other.range[0] <= converted[0] <= other.range[1]:
                return other
    return property_
