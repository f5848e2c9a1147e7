"""What earlier sentences leave for later ones: who was spoken of, in which role, lists, variables, conditions."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sozai.assistant.extraction.formula import resolve, unknowns
from sozai.assistant.extraction.mentions import Mention
from sozai.assistant.extraction.quantities import Found
from sozai.assistant.extraction.ranking import Spoken, is_reagent, key_of, noun_of
from sozai.assistant.extraction.record import Quantity
from sozai.assistant.extraction.schema import Property
from sozai.assistant.extraction.subjects import Choice, asides, is_compared, is_helper, is_product, lists_of
from sozai.assistant.extraction.unnamed import Value

_NOUN = re.compile(
    r"\)?(?:-based)?\s(?:[a-z-]+\s)?(membranes?|films?|polymers?|copolymers?|composites?|nanocomposites?|blends?|ceramics?|electrolytes?|pellets?|samples?|glass|glasses|hydrogels?|cells?|cathodes?|anodes?|fibers?|fibres?|specimens?|alloys?|crystals?|coatings?|resins?|networks?|powders?|oxide|phase|foams?|gels?|elastomers?|adhesives?|ionomers?)\b"
)
_THINGS = re.compile(r"\)?\s(?:(?:nano)?particles?|complex|solutions?|suspensions?|dispersions?)")
"""Helpers that papers measure too: "CoFe2O4 nanoparticles"."""
_BUILT = (
    (
        frozenset(["copolymer", "terpolymer", "ionomer"]),
        re.compile(r"-(?:b|co|g|block|ran|alt|ter|stat|graft)-|copol|terpol"),
    ),
    (
        frozenset(["composite", "nanocomposite", "blend", "hybrid"]),
        re.compile(r"/|\bwith\b|-filled|-reinforced|composite|blend"),
    ),
)
"""Words for what is built of several, and how the names of such materials look."""
_BACK = 3
"""Sentences that a pronoun may reach back."""
_FADE = 0.6
"""How much of a material's weight is left a sentence later."""
_CELL = 6.0
"""How much more a cell weighs than a material where a cell's value is looked for."""
CLEAR = 0.3
"""The second most spoken of must have less than this part of the first's weight where nothing in the sentence refers back."""  # noqa: E501


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
        heats: temperatures of earlier values, for "at this temperature", with sentence and place in a list.
        tested: the temperature that a sentence without values says all is measured at, and its number.
        property: of the last value of the sentence before.
        roles: of the last mention, by meaning.
        subjects: how often each was the first of a sentence, not in passing.
        nouns: what each was called.
        sample: the sample without a name that a value was given to last, and the number of its sentence.
        helped: how often each was named as a catalyst, a template and the like; if always, no value is its own.
        sample_instead: the material that this value would have been given to.
    """

    weights: dict[str, float] = field(default_factory=dict)
    last: dict[str, tuple[Mention, int]] = field(default_factory=dict)
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    runs: list[tuple[int, list[Mention]]] = field(default_factory=list)
    variable: Mention | None = None
    values: dict[str, float] = field(default_factory=dict)
    heats: list[tuple[int, tuple[int, int] | None, Quantity]] = field(default_factory=list)
    tested: tuple[Quantity, int] | None = None
    property: Property | None = None
    roles: dict[str, str] = field(default_factory=dict)
    subjects: dict[str, int] = field(default_factory=dict)
    nouns: dict[str, set[str]] = field(default_factory=dict)
    sample: tuple[Mention, int] | None = None
    sample_instead: str = ""
    helped: dict[str, int] = field(default_factory=dict)

    def materials(self) -> list[Spoken]:
        """Everything that was said of materials before."""
        return [
            Spoken(
                *self.last[key],
                self.counts[key][1],
                self.counts[key][0],
                weight,
                self.roles[key],
                self.subjects.get(key, 0),
                frozenset(self.nouns.get(key, ())),
            )
            for key, weight in self.weights.items()
            if self.helped.get(key, 0) < self.counts[key][0]
        ]

    def heats_of(self, number: int, rank: tuple[int, int] | None) -> Quantity | None:
        """The temperature of the values before, where they had one, or one each in a list of the same length."""
        last = [heat for heat in self.heats if number - heat[0] <= 1]
        alike = [quantity for _, place, quantity in last if rank is not None and place == rank]
        if alike:
            return alike[-1]
        return last[-1][2] if last and (rank is None or len({quantity.value for *_, quantity in last}) == 1) else None

    def sample_meant(self, number: int, mentions: Sequence[Mention], place: int) -> Mention | None:
        """The described sample spoken of before, where a sentence goes on about it: "the membranes", "its"."""
        if self.sample is None or not 0 <= number - self.sample[1] <= _BACK - 1:
            return None
        if any(mention.kind not in ("generic", "gas") for mention in mentions):
            return None
        nouns = nouns_of(mentions, place) - {"it", "its", "they", "their"}
        return self.sample[0] if nouns <= {noun_of(self.sample[0].text.split()[-1])} else None

    def spoken_of(
        self, number: int, clear: float = 0.6, device: bool = False, nouns: Collection[str] = ()
    ) -> tuple[Mention | None, str]:
        """The material most spoken of lately, for a sentence that names none, and why that may be wrong.

        Args:
            number: of the sentence.
            clear: the second may have no more than this part of the first's weight.
            device: whether devices count.
            nouns: what the sentence calls it, as "membrane".
        """
        near = {
            key: weight * self._standing(key, nouns)
            for key, weight in self.weights.items()
            if number - self.last[key][1] <= _BACK
            and (device or self.last[key][0].kind != "device")
            and self.helped.get(key, 0) < self.counts[key][0]
        }
        if device:  # a cell's value is the cell's, whatever it was made of
            near = {k: w * (_CELL if self.last[k][0].kind == "device" else 1.0) for k, w in near.items()}
        if not near:
            return None, ""
        ranked = sorted(near, key=lambda key: -near[key])
        mention, _ = self.last[ranked[0]]
        unproven = not self.subjects.get(ranked[0], 0)  # no sentence was ever about it
        if len(ranked) > 1 and (unproven or near[ranked[1]] > clear * near[ranked[0]]):
            return mention, "the sentence names no material; the text before names several"
        return mention, ""

    def _standing(self, key: str, nouns: Collection[str]) -> float:
        """How much a material is a thing that papers give values of, rather than one it was made from or with."""
        mention = self.last[key][0]
        standing = 1.5 if self.subjects.get(key, 0) else 1.0
        if is_reagent(mention) or re.fullmatch(r"[A-Z][a-z]?", mention.text):
            standing *= 0.4
        standing *= 2.5 if any(is_built_as(mention, noun) for noun in nouns) else 1.0
        owners = [other for other in self.weights if set(nouns) & self.nouns.get(other, set())]
        if owners:
            standing *= 2.0 if key in owners else 0.7
        return standing


def is_built_as(mention: Mention, noun: str) -> bool:
    """Whether a name looks like that of a copolymer, a blend, a composite, where the noun says one: PEO-b-PS."""
    return any(
        noun in nouns and (written.search(mention.text) or written.search(mention.meaning)) for nouns, written in _BUILT
    )


def listed_before(value: Value, number: int, context: Context) -> Mention | None:
    """The member of a list of an earlier sentence that has as many members as the value's list."""
    if value.rank is None:
        return None
    fitting = [run for at, run in context.runs if len(run) == value.rank[1] and number - at <= 2]
    return fitting[-1][value.rank[0]] if fitting else None


def meant(
    choice: Choice, number: int, mentions: Sequence[Mention], context: Context, device: bool = False
) -> tuple[Mention | None, str]:
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
    return context.spoken_of(number, device=device, nouns=nouns_of(mentions, mention.end))


def nouns_of(mentions: Sequence[Mention], place: int) -> set[str]:
    """What the words before a place call their sample: "the films" are films."""
    return {noun_of(mention.text) for mention in mentions if mention.kind == "generic" and mention.start < place}


def learn_variables(
    plain: str, start: int, found: Sequence[Found], mentions: Sequence[Mention], context: Context
) -> None:
    """Note the formula with open variables and the values that the sentence gives them."""
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


def resolved(
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
                earlier = [one for one in near if one.start < place]
                first = min(found[other.number].start for other in values)
                told = (
                    earlier[-1]
                    if earlier and near[0].start < first
                    else min(near, key=lambda one: abs(one.start - place))
                )
                if len(near) == 2 and found[value.number].change:  # "from x = 0 to x = 0.8 it grew from 1 to 5 GPa"
                    told = near[found[value.number].change == "to"]
                numbers[variable] = told.value
    return resolve(formula, numbers) or mention.text


def _variable_of(one: Found, found: Sequence[Found], plain: str, start: int) -> str:
    for member in [other for other in found if other.group == one.group and other.start <= one.start]:
        name = re.search(r"\b([xyz])\s?(?:=|of|~)\s?$", plain[max(start, member.start - 8) : member.start])
        if name:
            return name.group(1)
    return ""


def remember(number: int, mentions: Sequence[Mention], plain: str, start: int, context: Context) -> None:
    """Take up what a sentence says of materials; ``plain`` has unified signs, the sentence begins at ``start``."""
    named = [mention for mention in mentions if mention.kind not in ("generic", "gas")]
    for key in context.weights:
        context.weights[key] *= _FADE
    context.runs = [(at, run) for at, run in context.runs if number - at < _BACK]
    labels = list({m.meaning: m for m in named if m.kind == "label"}.values())
    context.runs += [(number, labels)] if len(labels) > 1 else []  # "sample A was dried, sample B was not"
    context.runs += [
        (number, run) for run in lists_of([m for m in mentions if m.kind != "device"], plain) if len(run) > 1
    ]
    first_main = True
    passing = asides(named, plain, start)
    for place, mention in enumerate(named):
        key = key_of(mention.meaning)
        compared, aside = is_compared(plain, start, mention), mention in passing
        helper = is_helper(plain, mention)
        context.helped[key] = context.helped.get(key, 0) + (helper and not _THINGS.match(plain, mention.end))
        aside = aside or helper
        made = is_product(plain, start, mention)
        main = (first_main and not aside and mention.kind != "device") or made
        context.roles[key] = "compared" if compared else "aside" if aside else "subject" if main else ""
        context.subjects[key] = context.subjects.get(key, 0) + main
        first_main = first_main and not main
        if noun := _NOUN.match(plain, mention.end):
            context.nouns.setdefault(key, set()).add(noun_of(noun.group(1)))
        weight = 2.0 if made else 0.3 if aside or mention.kind == "device" else 2.0 if place == 0 else 1.0
        context.weights[key] = context.weights.get(key, 0.0) + weight
        context.last[key] = (mention, number)
        count, first = context.counts.get(key, (0, number))
        context.counts[key] = (count + 1, first)
