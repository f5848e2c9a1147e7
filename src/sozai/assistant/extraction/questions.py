"""What the reading network is asked: of a value whose it is, of a number that the rules left whether it is a value."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sozai.assistant.documents.document import Document, Span
from sozai.assistant.extraction.conditions import temperatures
from sozai.assistant.extraction.materials import Names
from sozai.assistant.extraction.mentions import Mention
from sozai.assistant.extraction.pairing import Reading
from sozai.assistant.extraction.quantities import Found, find_quantities
from sozai.assistant.extraction.ranking import key_of
from sozai.assistant.extraction.record import Quantity
from sozai.assistant.extraction.samples import described
from sozai.assistant.extraction.schema import Property
from sozai.assistant.extraction.unnamed import in_unit

BEFORE = 3
"""Sentences before a value's own that are read with it."""
BEFORE_A_NUMBER = 1
"""Sentences that are read with a number whose property is asked for."""
MOST = 14
"""Materials that are offered, the nearest ones."""
ASKED = "property"
"""What stands in the place of the property where it is asked for."""


@dataclass(frozen=True)
class Offer:
    """A material or a temperature that a value may belong to, or a property that a number may be a value of.

    Attributes:
        name: of the material or property, or the temperature's text.
        places: where it stands in the question's text; none where it was named before that, and of properties.
        span: the nearest of them in the document.
        candidate: its number among the reading's candidates; ``None`` where the rules did not offer it.
        quantity: the temperature.
    """

    name: str
    places: tuple[tuple[int, int], ...]
    span: Span
    candidate: int | None = None
    quantity: Quantity | None = None


@dataclass(frozen=True)
class Question:
    """A value with what it may belong to.

    Attributes:
        text: some sentences that end with the value's; ``value`` is its place there.
        property: in words; ``ASKED`` where it is what is asked for.
        materials: in the order of the text; the properties that fit the unit where these are asked for.
        heats: temperatures that it may have been measured at; ``None`` where the property takes none.
        span: the value's place in the document.
    """

    text: str
    value: tuple[int, int]
    property: str
    materials: tuple[Offer, ...]
    heats: tuple[Offer, ...] | None
    span: Span


@dataclass(frozen=True)
class Left:
    """A number with a unit that the rules took for no value.

    Attributes:
        start: its place in the document.
        properties: those that have such a unit.
        question: which of them it is a value of.
    """

    start: int
    properties: tuple[Property, ...]
    question: Question


class Asker:
    """Makes the questions of one document.

    Args:
        document: that the readings are of.
        names: of its materials.
        schema: the properties wanted.
    """

    def __init__(self, document: Document, names: Names, schema: Sequence[Property]):
        self.document, self.names = document, names
        self._properties = {one.name: one for one in schema}
        self._starts = {sentence.start: n for n, sentence in enumerate(document.sentences)}
        self._seen: dict[int, tuple[list[Mention], list[Found]]] = {}

    def ask(self, reading: Reading) -> Question:
        """The question of one value."""
        record = reading.record
        number = self._starts[record.sentence.start]
        first = self._first(number, BEFORE)
        low, high = self.document.sentences[first].start, record.sentence.end
        wanted = self._properties[record.property]
        one = record.quantity.span
        last = self._alone(number, one)
        heats: list[Offer] = []
        for at in range(first, number + 1):
            sentence = self.document.sentences[at]
            found = self._of(at)[1]
            for heat in temperatures(self.document.text, self.names.plain, sentence.start, sentence.end, found):
                span, end = heat.span, self._alone(at, heat.span)
                if end <= one.start or span.start >= last:
                    heats.append(Offer(heat.text, ((span.start - low, end - low),), span, None, heat))
        return Question(
            self.document.text[low:high],
            (one.start - low, last - low),
            record.property.replace("_", " "),
            self._materials(reading, first, number, low, wanted.of == "device"),
            tuple(heats) if "temperature" in wanted.conditions else None,
            one,
        )

    def left(self, numbers: Sequence[int], taken: Collection[int], wanted: Collection[str]) -> list[Left]:
        """What the rules left in some sentences and may be a value that is wanted.

        Args:
            numbers: of the sentences.
            taken: where the values begin that the rules found.
            wanted: names of properties.
        """
        out = []
        for number in numbers:
            sentences, first = self.document.sentences, self._first(number, BEFORE_A_NUMBER)
            low, high = sentences[first].start, sentences[number].end
            for one in self._of(number)[1]:
                if one.start in taken or one.unit is None:
                    continue
                fitting = tuple(p for p in self._properties.values() if in_unit(one, p) is not None)
                if any(p.name in wanted for p in fitting):
                    place = one.start - low, self._alone(number, Span(one.start, one.end)) - low
                    offers = tuple(Offer(p.names[0], (), Span(one.start, one.start)) for p in fitting)
                    span = Span(one.start, one.end)
                    question = Question(self.document.text[low:high], place, ASKED, offers, None, span)
                    out.append(Left(one.start, fitting, question))
        return out

    def _first(self, number: int, before: int) -> int:
        """The first of some sentences before one that stand in its paragraph."""
        sentences, text = self.document.sentences, self.document.text
        first = number
        while first > max(0, number - before):
            here, last = sentences[first], sentences[first - 1]
            if last.section != here.section or text[last.end : here.start].count("\n") > 1:
                break
            first -= 1
        return first

    def _alone(self, number: int, span: Span) -> int:
        """Where a number ends; a member of a list that shares a unit reaches to that unit, over the others."""
        return min([f.start for f in self._of(number)[1] if span.start < f.start < span.end], default=span.end)

    def _of(self, number: int) -> tuple[list[Mention], list[Found]]:
        """Materials and quantities of a sentence."""
        if number not in self._seen:
            start, end = self.document.sentences[number].start, self.document.sentences[number].end
            mentions = self.names.find(start, end)
            found = find_quantities(self.document.text, start, end, [(m.start, m.end) for m in mentions])
            left_out = ("generic", "gas")
            named = [m for m in mentions if m.kind not in left_out]
            self._seen[number] = [*named, *described(self.names.plain, self.document.text, start, end, mentions)], found
        return self._seen[number]

    def _materials(self, reading: Reading, first: int, number: int, low: int, device: bool) -> tuple[Offer, ...]:
        one = reading.record.quantity.span
        groups: dict[str, list[Mention]] = {}
        for at in range(first, number + 1):
            for mention in self._of(at)[0]:
                if (device or mention.kind != "device") and (mention.end <= one.start or mention.start >= one.end):
                    groups.setdefault(key_of(mention.meaning), []).append(mention)
        known = {key_of(c.mention.meaning): n for n, c in enumerate(reading.candidates)}
        out = []
        for key, group in groups.items():
            near = min(group, key=lambda m: min(abs(m.start - one.end), abs(one.start - m.end)))
            place = known.get(key)
            name = near.text if place is None else reading.names[place]
            out.append(
                Offer(name, tuple((m.start - low, m.end - low) for m in group), Span(near.start, near.end), place)
            )
        for key, place in known.items():
            if key not in groups:  # named earlier than what is read
                mention = reading.candidates[place].mention
                out.append(Offer(reading.names[place], (), Span(mention.start, mention.end), place))
        out.sort(key=lambda o: min(abs(o.span.start - one.end), abs(one.start - o.span.end)))
        return tuple(sorted(out[:MOST], key=lambda o: o.span.start))
