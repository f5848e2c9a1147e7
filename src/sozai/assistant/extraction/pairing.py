"""Records of one sentence: value, property, material and conditions brought together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sozai.assistant.documents.document import Document, Span
from sozai.assistant.extraction.clauses import clauses
from sozai.assistant.extraction.conditions import Condition, attach, find_conditions, refers_back
from sozai.assistant.extraction.formula import resolve, unknowns
from sozai.assistant.extraction.materials import Mention, Names
from sozai.assistant.extraction.quantities import Found, find_quantities
from sozai.assistant.extraction.ranking import Candidate, Spoken, candidates_of, chances, probability, weights
from sozai.assistant.extraction.record import Quantity, Record
from sozai.assistant.extraction.record_features import record_features
from sozai.assistant.extraction.schema import Property
from sozai.assistant.extraction.subjects import Choice, choose, is_aside, lists_of
from sozai.assistant.extraction.values import Value, find_values

_CITED = re.compile(
    r"\[\d{1,3}(?:\s?[-,–]\s?\d{1,3})*\]|\bet al\.?|\b[Rr]ef(?:s)?\.\s?\d+|\bpreviously reported\b|\breported by\b|\bin the literature\b|\bwas reported to\b"  # noqa: E501
)
_METHODS = re.compile(r"\b(?:electrochemical impedance spectroscopy|impedance spectroscopy|EIS|ac impedance|AC impedance|dc polari[sz]ation|DC polari[sz]ation|four[- ]probe|van der Pauw|DSC|differential scanning calorimetry|DMA|dynamic mechanical analysis|TGA|thermogravimetric analysis|GPC|size exclusion chromatography|nanoindentation|Hall effect|UV-vis|DFT|density functional theory|molecular dynamics|NMR|cyclic voltammetry)\b")  # fmt: skip  # noqa: E501
_LIKELY = 0.65
"""A material that the rules doubt must have this chance among the candidates."""
_PAIR = ("the former", "the latter")
_BACK = 3
"""Sentences that a pronoun may reach back."""
_FADE = 0.6
"""How much of a material's weight is left a sentence later."""
_CLEAR = 0.3
"""The second most spoken of must have less than this part of the first's weight where nothing in the sentence refers back."""  # noqa: E501


@dataclass(frozen=True)
class Reading:
    """A record with what it was chosen from: candidates, their names, and the features of the record."""

    record: Record
    candidates: Sequence[Candidate]
    names: Sequence[str]
    features: Mapping[str, float]


Trace = list[Reading]


@dataclass
class Context:
    """What earlier sentences leave for later ones.

    Attributes:
        weights: how much each material has been spoken of, lately more than long ago; by meaning.
        last: mention and sentence that named a material last, by meaning.
        counts: how often, and the sentence that named it first.
        runs: lists of materials ("A, B and C") of the last sentences, with the number of their sentence.
        variable: formula with open variables seen last.
        values: last stated values of variables.
        conditions: of the last value, for "at this temperature".
    """

    weights: dict[str, float] = field(default_factory=dict)
    last: dict[str, tuple[Mention, int]] = field(default_factory=dict)
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    runs: list[tuple[int, list[Mention]]] = field(default_factory=list)
    variable: Mention | None = None
    values: dict[str, float] = field(default_factory=dict)
    conditions: dict[str, Quantity] = field(default_factory=dict)

    def materials(self) -> list[Spoken]:
        """Everything that was said of materials before."""
        return [
            Spoken(*self.last[key], self.counts[key][1], self.counts[key][0], weight)
            for key, weight in self.weights.items()
        ]

    def spoken_of(self, number: int, clear: float = 0.6) -> tuple[Mention | None, str]:
        """The material most spoken of lately, for a sentence that names none, and why that may be wrong."""
        near = {key: weight for key, weight in self.weights.items() if number - self.last[key][1] <= _BACK}
        if not near:
            return None, ""
        ranked = sorted(near, key=lambda key: -near[key])
        mention, _ = self.last[ranked[0]]
        if len(ranked) > 1 and near[ranked[1]] > clear * near[ranked[0]]:
            return mention, "the sentence names no material; the text before names several"
        return mention, ""


def records_of(
    document: Document,
    number: int,
    names: Names,
    schema: Sequence[Property],
    others: Sequence[Property],
    context: Context,
    trace: Trace | None = None,
) -> list[Record]:
    """Records of one sentence, and the context updated for the next one.

    Args:
        document: it stands in.
        number: of the sentence.
        names: of the document's materials.
        schema: wanted properties.
        others: properties known besides, which take the numbers that are theirs.
        context: of the sentences before.
        trace: told what each record was chosen from, for fitting.
    """
    sentence = document.sentences[number]
    start, end, plain = sentence.start, sentence.end, names.plain
    mentions = names.find(start, end)
    found = find_quantities(document.text, start, end, [(m.start, m.end) for m in mentions])
    pieces = clauses(plain, start, end)
    _learn_variables(plain, start, found, mentions, context)
    values = find_values(plain, start, end, found, mentions, schema, others)
    records: list[Record] = []
    if values:
        conditions = find_conditions(
            document.text, plain, start, end, found, {value.number for value in values}, pieces
        )
        for value in values:
            records.append(
                _record(document, number, value, values, found, mentions, conditions, pieces, plain, context, trace)
            )
    _remember(number, mentions, plain, start, context)
    return records


def _record(document: Document, number: int, value: Value, values: Sequence[Value], found: Sequence[Found], mentions: Sequence[Mention],  # noqa: E501
            conditions: Sequence[Condition], pieces: Sequence[tuple[int, int]], plain: str, context: Context,
            trace: Trace | None = None) -> Record:  # fmt: skip
    sentence = document.sentences[number]
    start, end = sentence.start, sentence.end
    one, wanted = found[value.number], value.property
    same = [found[other.number] for other in values if other.property.name == wanted.name]
    device = wanted.of == "device"
    choice = choose(one, value.cue, value.rank, mentions, plain, start, end, pieces, same, device)
    doubts = [value.doubt] if value.doubt else []
    if choice is not None:
        by_rule, doubt = _meant(choice, number, mentions, context)
        doubts += [reason for reason in (choice.doubt, doubt) if reason]
        how = (
            choice.how if choice.mention is by_rule else "former" if choice.mention.text.lower() in _PAIR else "before"
        )
    elif (listed := _listed_before(value, number, context)) is not None:
        by_rule, how = listed, "list before"
    else:
        by_rule, doubt = context.spoken_of(number, _CLEAR)
        how = "before"
        doubts += [doubt] if doubt else []
    candidates = candidates_of(
        one, value.cue, mentions, plain, start, end, pieces, number, context.materials(), (by_rule, how), device
    )
    shares = chances(candidates)
    mention, text = by_rule, ""
    if candidates:
        best = max(range(len(shares)), key=shares.__getitem__)
        mention = candidates[best].mention
        if by_rule is not None and _key(mention.meaning) != _key(by_rule.meaning):
            doubts.append(f"it may be a value of {by_rule.text}")
    if mention is not None:
        text = _resolved(mention, value, values, found, plain, start, context)
    unsure_of: list[str] = []
    attached: dict[str, Quantity] = {}
    for name in wanted.conditions:
        condition, unsure = attach(name, one, value.rank, same, conditions, plain, start, end, pieces)
        if condition is not None:
            attached[name] = condition.quantity
            if unsure:
                unsure_of.append(name)
                doubts.append(f"its {name.replace('_', ' ')} may belong to another value")
    if (
        "temperature" in wanted.conditions
        and "temperature" not in attached
        and refers_back(plain, start, end)
        and "temperature" in context.conditions
    ):
        attached["temperature"] = context.conditions["temperature"]
    if attached:
        context.conditions = dict(attached)
    method = _METHODS.search(document.text, start, end)
    quantity = Quantity(
        Span(one.start, one.end),
        document.text[one.start : one.end],
        value.value,
        wanted.unit,
        value.low,
        value.high,
        one.relation,
    )
    span = Span(mention.start, mention.end) if mention is not None else Span(start, start)
    cited = _CITED.search(document.text, start, end)
    agreed = by_rule is not None and mention is not None and _key(mention.meaning) == _key(by_rule.meaning)
    seen = record_features(
        value, one, mentions, conditions, attached, unsure_of, plain, start, end, sorted(shares, reverse=True), agreed,
        len(doubts), mention,
    )  # fmt: skip
    chance = probability(seen) if mention is not None else 0.0
    record = Record(
        text, span, wanted.name, quantity, Span(start, end), attached, method.group() if method else "",
        _reasons(chance, max(shares, default=0.0), doubts, mention, cited is not None), cited=cited.group() if cited else "", probability=round(chance, 3),  # noqa: E501
    )  # fmt: skip
    if trace is not None:
        names = [_resolved(c.mention, value, values, found, plain, start, context) for c in candidates]
        trace.append(Reading(record, candidates, names, seen))
    return record


def _reasons(
    chance: float, share: float, doubts: Sequence[str], mention: Mention | None, cited: bool
) -> tuple[str, ...]:
    """Why a record is to be looked at; nothing where it is probable enough and the document's own."""
    out: list[str] = []
    if mention is None:
        out.append("no material is named near it")
    elif chance < weights()["threshold"] or (doubts and share < _LIKELY):
        out += [f"{chance:.0%} probable", *doubts]
    if cited:
        out.append("attributed to another work")
    return tuple(dict.fromkeys(out))


def _listed_before(value: Value, number: int, context: Context) -> Mention | None:
    """The member of a list of an earlier sentence that has as many members as the value's list."""
    if value.rank is None:
        return None
    fitting = [run for at, run in context.runs if len(run) == value.rank[1] and number - at <= 2]
    return fitting[-1][value.rank[0]] if fitting else None


def _meant(choice: Choice, number: int, mentions: Sequence[Mention], context: Context) -> tuple[Mention | None, str]:
    """The material that "it" or "the membrane" stands for."""
    mention = choice.mention
    if mention.kind not in ("generic",):
        return mention, ""
    word = mention.text.lower()
    before = [
        other for other in mentions if other.end <= mention.start and other.kind not in ("generic", "gas", "device")
    ]
    pairs = [run for at, run in context.runs if len(run) == 2 and number - at <= 2]
    if word == "the former" and (before or pairs):
        return before[0] if before else pairs[-1][0], ""
    if word == "the latter" and (len(before) >= 2 or pairs):
        return before[-1] if len(before) >= 2 else pairs[-1][1], ""
    if before:
        distinct = {other.meaning for other in before}
        return before[0] if len(distinct) > 1 else before[-1], "" if len(
            distinct
        ) == 1 else f"'{mention.text}' may mean one of several materials"
    return context.spoken_of(number)


def _learn_variables(
    plain: str, start: int, found: Sequence[Found], mentions: Sequence[Mention], context: Context
) -> None:
    for mention in mentions:
        if mention.kind == "formula" and unknowns(mention.text):
            context.variable, context.values = mention, {}
    stated: dict[str, list[float]] = {}
    last: dict[int, str] = {}
    for one in found:
        if one.unit is None:
            name = re.search(r"\b([xyz])\s?(?:=|of|~)\s?$", plain[max(start, one.start - 8) : one.start])
            variable = name.group(1) if name else last.get(one.group)
            if variable:
                stated.setdefault(variable, []).append(one.value)
                last[one.group] = variable
    for variable, numbers in stated.items():
        if len(numbers) == 1:
            context.values[variable] = numbers[0]


def _resolved(
    mention: Mention,
    value: Value,
    values: Sequence[Value],
    found: Sequence[Found],
    plain: str,
    start: int,
    context: Context,
) -> str:
    """The material's name with its variables replaced by what the sentence says they are."""
    formula = mention.meaning if mention.kind == "abbreviation" and unknowns(mention.meaning) else mention.text
    open_ones = unknowns(formula) if mention.kind in ("formula", "abbreviation") else ()
    if not open_ones:
        return mention.text
    numbers = dict(context.values)
    if value.rank is not None:
        for variable in open_ones:
            members = [one for one in found if one.unit is None and _variable_of(one, found, plain, start) == variable]
            if len(members) == value.rank[1]:
                numbers[variable] = members[value.rank[0]].value
    else:
        for variable in open_ones:
            near = [one for one in found if one.unit is None and _variable_of(one, found, plain, start) == variable]
            if len(near) > 1:
                place = found[value.number].start
                numbers[variable] = min(near, key=lambda one: abs(one.start - place)).value
    return resolve(formula, numbers) or mention.text


def _variable_of(one: Found, found: Sequence[Found], plain: str, start: int) -> str:
    for member in [other for other in found if other.group == one.group and other.start <= one.start]:
        name = re.search(r"\b([xyz])\s?(?:=|of|~)\s?$", plain[max(start, member.start - 8) : member.start])
        if name:
            return name.group(1)
    return ""


def _remember(number: int, mentions: Sequence[Mention], plain: str, start: int, context: Context) -> None:
    named = [mention for mention in mentions if mention.kind in ("formula", "name", "abbreviation", "label")]
    for key in context.weights:
        context.weights[key] *= _FADE
    context.runs = [(at, run) for at, run in context.runs if number - at < _BACK]
    context.runs += [
        (number, run) for run in lists_of([m for m in mentions if m.kind != "device"], plain) if len(run) > 1
    ]
    for place, mention in enumerate(named):
        key = _key(mention.meaning)
        weight = 0.3 if is_aside(plain, start, mention) else 2.0 if place == 0 else 1.0
        context.weights[key] = context.weights.get(key, 0.0) + weight
        context.last[key] = (mention, number)
        count, first = context.counts.get(key, (0, number))
        context.counts[key] = (count + 1, first)


def _key(name: str) -> str:
    return re.sub(r"[\s_{}-]", "", name).lower().removesuffix("s")


def with_doubt(record: Record, doubt: str) -> Record:
    """The record with one more reason to look at it."""
    return record if doubt in record.doubts else replace(record, doubts=(*record.doubts, doubt))
