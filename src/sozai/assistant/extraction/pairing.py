"""Records of one sentence: value, property, material and conditions brought together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sozai.assistant.documents.document import Document, Span
from sozai.assistant.extraction.clauses import clause_of, clauses
from sozai.assistant.extraction.conditions import (
    Condition,
    attach,
    find_conditions,
    follows,
    refers_back,
    tested_at,
)
from sozai.assistant.extraction.conduction import of_electrons
from sozai.assistant.extraction.context import (
    CLEAR,
    Context,
    is_built_as,
    learn_variables,
    listed_before,
    meant,
    nouns_of,
    remember,
    resolved,
)
from sozai.assistant.extraction.materials import Names
from sozai.assistant.extraction.mentions import Mention
from sozai.assistant.extraction.owners import (
    before_treatment,
    compared_in_brackets,
    has_own_subject,
    is_of_the_unnamed,
    without_parts,
)
from sozai.assistant.extraction.quantities import Found, find_quantities
from sozai.assistant.extraction.ranking import Candidate, candidates_of, chances, key_of, noun_of, probability, weights
from sozai.assistant.extraction.record import Quantity, Record
from sozai.assistant.extraction.record_features import material_features, record_features, together
from sozai.assistant.extraction.samples import AS_DESCRIBED, DESCRIBED, is_mixture_of, sample_of
from sozai.assistant.extraction.schema import Property
from sozai.assistant.extraction.subjects import Choice, choose, is_added, is_of_another
from sozai.assistant.extraction.together import without_bound
from sozai.assistant.extraction.unnamed import Value
from sozai.assistant.extraction.values import find_values

_CITED = re.compile(
    r"\[\d{1,3}(?:\s?[-,–]\s?\d{1,3})*\]|\bet al\.?|\b[Rr]ef(?:s)?\.\s?\d+|\bpreviously reported\b|\breported by\b|\bin the literature\b|\bwas reported to\b"  # noqa: E501
)
_OWN = re.compile(r"\b(?:[Ww]e|[Oo]ur|[Tt]his (?:work|study)|[Tt]he present (?:work|study))\b")
_METHODS = re.compile(r"\b(?:electrochemical impedance spectroscopy|impedance spectroscopy|EIS|ac impedance|AC impedance|dc polari[sz]ation|DC polari[sz]ation|four[- ]probe|van der Pauw|DSC|differential scanning calorimetry|DMA|dynamic mechanical analysis|TGA|thermogravimetric analysis|GPC|size exclusion chromatography|nanoindentation|Hall effect|UV-vis|DFT|density functional theory|molecular dynamics|NMR|cyclic voltammetry)\b")  # fmt: skip  # noqa: E501
_TESTED_FOR = 2
"""Sentences that "the cells were tested at 700 degC" holds for."""
_PAIR = ("the former", "the latter")


@dataclass(frozen=True)
class Reading:
    """A record with what it was chosen from: candidates, their names, the features of the record, every doubt, and the
    odds of its being a value where the network found it (``Value.told``)."""

    record: Record
    candidates: Sequence[Candidate]
    names: Sequence[str]
    features: Mapping[str, float]
    doubts: Sequence[str] = ()
    told: float | None = None


Trace = list[Reading]


def records_of(
    document: Document,
    number: int,
    names: Names,
    schema: Sequence[Property],
    others: Sequence[Property],
    context: Context,
    trace: Trace | None = None,
    told: Mapping[int, tuple[Property, float]] | None = None,
) -> list[Record]:
    """Records of one sentence, and the context updated for the next one.

    Args:
        document: it stands in.
        number: of the sentence.
        names: of the document's materials.
        schema: wanted properties.
        others: properties known besides, which take the numbers that are theirs.
        context: of the sentences before.
        trace: told what each record was chosen from.
        told: numbers that are values as the network says, see ``find_values``.
    """
    sentence = document.sentences[number]
    start, end, plain = sentence.start, sentence.end, names.plain
    mentions = names.find(start, end)
    found = find_quantities(document.text, start, end, [(m.start, m.end) for m in mentions])
    pieces = clauses(plain, start, end)
    learn_variables(plain, start, found, mentions, context)
    values = find_values(plain, start, end, found, mentions, schema, others, context.property, told)
    values = of_electrons(values, plain, schema)
    context.property = values[-1].property if values else None
    records: list[Record] = []
    if values:
        conditions = find_conditions(
            document.text, plain, start, end, found, {value.number for value in values}, pieces
        )
        for value in values:
            records.append(
                _record(document, number, value, values, found, mentions, conditions, pieces, plain, context, trace)
            )
    if not values and (heat := tested_at(document.text, plain, start, end, found, pieces)) is not None:
        context.tested = heat, number
    remember(number, mentions, plain, start, context)
    return records


def _record(document: Document, number: int, value: Value, values: Sequence[Value], found: Sequence[Found], mentions: Sequence[Mention],  # noqa: E501
            conditions: Sequence[Condition], pieces: Sequence[tuple[int, int]], plain: str, context: Context,
            trace: Trace | None = None) -> Record:  # fmt: skip
    sentence = document.sentences[number]
    start, end = sentence.start, sentence.end
    one, wanted = found[value.number], value.property
    same = [found[other.number] for other in values if other.property.name == wanted.name]
    device = wanted.of == "device"
    listed = listed_before(value, number, context)
    every = {key_of(m.meaning) for m in mentions}
    mentions = before_treatment(mentions, plain, start, one.start)
    if value.rank is None:
        mentions = without_parts(mentions, plain, start, one.end, context.weights, device, len(same) == 1)
    choice = choose(one, value.cue, value.rank, mentions, plain, start, end, pieces, same, device)
    if (compared := compared_in_brackets(plain, start, one.start, mentions)) is not None:
        choice = Choice(compared, "brackets")
    doubts = [value.doubt] if value.doubt else []
    if choice is not None and not (listed is not None and choice.mention.kind == "generic"):
        by_rule, doubt = meant(choice, number, mentions, context, device)
        doubts += [reason for reason in (choice.doubt, doubt) if reason]
        how = (
            choice.how if choice.mention is by_rule else "former" if choice.mention.text.lower() in _PAIR else "before"
        )
    elif listed is not None:
        by_rule, how = listed, "list before"
    else:
        by_rule, doubt = context.spoken_of(number, CLEAR, device, nouns_of(mentions, one.start))
        how = "before"
        doubts += [doubt] if doubt else []
    candidates = candidates_of(
        one, value.cue, mentions, plain, start, end, pieces, number, context.materials(), (by_rule, how), device
    )
    dropped = every - {key_of(m.meaning) for m in mentions}  # nor is it theirs because they were named before
    candidates = [c for c in candidates if key_of(c.mention.meaning) not in dropped]
    if by_rule is not None and key_of(by_rule.meaning) in dropped:
        by_rule = None
        candidates = [c for c in candidates if not c.features.get("in passing before")]
    if compared is not None:
        candidates = [c for c in candidates if key_of(c.mention.meaning) == key_of(compared.meaning)]
    cues = [v.cue for v in values if v.cue is not None]
    clause = pieces[clause_of(pieces, one.start)][0]
    if (
        is_of_another(plain, start, one.start, mentions)
        or is_of_the_unnamed(plain, start, one.start)
        or has_own_subject(plain, clause, one.start, mentions, cues)
    ):
        candidates, by_rule = [], None
    only = by_rule if not device and value.rank is None and len(candidates) == 1 else None
    if only is not None and only.start >= start and is_added(plain, start, only):
        candidates, by_rule = [], None  # "its composite with 2% A": nothing else is named, and it is not A
    shares = chances(candidates)
    mention, text = by_rule, ""
    if candidates:
        best = max(range(len(shares)), key=shares.__getitem__)
        mention = candidates[best].mention
        if by_rule is not None and key_of(mention.meaning) != key_of(by_rule.meaning):
            doubts.append(f"it may be a value of {by_rule.text}")
    sample, described_here = sample_of(value, one, mentions, document.text, plain, start, end, pieces, same), True
    if sample is not None and any(is_built_as(c.mention, noun_of(sample.text.split()[-1])) for c in candidates):
        sample = None  # "the diblock copolymer" is PEO-b-PS
    if sample is None and (candidates or by_rule is None):
        sample, described_here = context.sample_meant(number, mentions, one.start), False
    if mention is not None:
        text = resolved(mention, value, values, found, plain, start, context)
    attached, unsure_of = _conditions_of(value, values, found, conditions, pieces, plain, start, end, number, context)
    doubts += [f"its {name.replace('_', ' ')} may belong to another value" for name in unsure_of]
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
    if cited and _OWN.search(plain, max(plain.rfind(mark, start, one.start) for mark in ",;") + 1 or start, one.start):
        cited = None
    seen = record_features(value, one, mentions, conditions, attached, unsure_of, plain, start, end, len(doubts))
    if candidates:
        seen = together(seen | material_features(candidates[best].features, shares[best], device))
    chance = probability(seen, device) if mention is not None else 0.0
    better = mention is None or chance < weights()["threshold"]["material"]
    if mention is not None and sample is not None and mention.end <= start:
        better = (
            better
            or (not described_here and key_of(mention.meaning) == context.sample_instead)
            or is_mixture_of(sample, mention, context.nouns.get(key_of(mention.meaning), ()))
        )
    if sample is not None and not device and better:
        instead = key_of(mention.meaning) if mention is not None else ""
        mention, text, span = sample, sample.text, Span(sample.start, sample.end)
        own = record_features(value, one, mentions, conditions, attached, unsure_of, plain, start, end, len(unsure_of))
        features = own | {"a sample of its own": 0.0} | material_features(AS_DESCRIBED, DESCRIBED, device)
        chance = probability(features, device)
        context.sample, context.sample_instead = (sample, number), instead
    kind = "device" if device else "material"
    record = Record(
        text, span, wanted.name, quantity, Span(start, end), attached, method.group() if method else "",
        reasons(chance, doubts, mention is not None, cited is not None, weights()["threshold"][kind]), cited=cited.group() if cited else "", probability=round(chance, 3),  # noqa: E501
    )  # fmt: skip
    if trace is not None:
        names = [resolved(c.mention, value, values, found, plain, start, context) for c in candidates]
        trace.append(Reading(record, candidates, names, seen, tuple(doubts), value.told))
    return record


def _conditions_of(value: Value, values: Sequence[Value], found: Sequence[Found], conditions: Sequence[Condition],
                   pieces: Sequence[tuple[int, int]], plain: str, start: int, end: int, number: int, context: Context,
                   ) -> tuple[dict[str, Quantity], list[str]]:  # fmt: skip
    """A value's conditions, said in its sentence or before, and the names of those that may be another value's."""
    one, wanted, device = found[value.number], value.property, value.property.of == "device"
    same = [found[other.number] for other in values if other.property.name == wanted.name]
    if not device:
        rest = [(found[v.number], v.property.name) for v in values if v.property.name != wanted.name]
        conditions = without_bound(conditions, one, wanted.name, rest, plain)
    attached: dict[str, Quantity] = {}
    unsure_of: list[str] = []
    for name in wanted.conditions:
        condition, unsure = attach(name, one, value.rank, same, conditions, plain, start, end, pieces)
        if condition is not None:
            attached[name] = condition.quantity
            unsure_of += [name] if unsure else []
    if "temperature" in wanted.conditions and "temperature" not in attached:
        none_here = not any(condition.name == "temperature" for condition in conditions)
        reach = 1 if device else _TESTED_FOR  # of cells, papers tell each value's own
        same_as = refers_back(plain, start, end)
        before = context.heats_of(number, value.rank) if same_as or (device and follows(plain, one.start)) else None
        if before is not None and (none_here or same_as):
            attached["temperature"] = before
        elif none_here and context.tested is not None and number - context.tested[1] <= reach:
            attached["temperature"] = context.tested[0]
    if "temperature" in attached and attached["temperature"].span.start >= start:
        context.heats.append((number, value.rank, attached["temperature"]))
    return attached, unsure_of


def reasons(chance: float, doubts: Sequence[str], named: bool, cited: bool, least: float) -> tuple[str, ...]:
    """Why a record is to be looked at; nothing where it is probable enough and the document's own.

    Args:
        chance: that it is right; ``least``: what is enough.
        doubts: of the rules.
        named: whether it has a material.
        cited: whether it is attributed to another work.
    """
    out: list[str] = []
    if not named:
        out.append("no material is named near it")
    elif chance < least:
        out += [f"{chance:.0%} probable", *doubts]
    if cited:
        out.append("attributed to another work")
    return tuple(dict.fromkeys(out))


def with_doubt(record: Record, doubt: str) -> Record:
    """The record with one more reason to look at it."""
    return record if doubt in record.doubts else replace(record, doubts=(*record.doubts, doubt))
