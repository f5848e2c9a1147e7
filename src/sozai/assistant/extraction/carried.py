"""Temperatures that a paper tells elsewhere: some sentences before a value, in its figure's caption, in the methods.

A third of the values of a paper on fuel cells stand in a sentence without the temperature that they hold at. Every
temperature of measurement in the document is weighed for such a value by a conditional logistic model of readable
features (``elsewhere`` in ``weights.json``, fitted by ``benchmarks/extraction_elsewhere.py``).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sozai.assistant.documents.document import Document
from sozai.assistant.extraction.clauses import clauses
from sozai.assistant.extraction.conditions import ROOM, is_making, refers_back, temperatures
from sozai.assistant.extraction.materials import Names
from sozai.assistant.extraction.pairing import Reading
from sozai.assistant.extraction.quantities import find_quantities
from sozai.assistant.extraction.questions import Offer
from sozai.assistant.extraction.record import Quantity
from sozai.assistant.extraction.schema import Property

NEAR = 12
"""Sentences of a section within which a temperature is weighed by its distance; farther ones must be in a caption, in
the methods, or said of the same property."""
MOST = 6
"""Temperatures that are offered."""
LONG = 30
"""Sentences from which on a document is looked through: an abstract has nothing elsewhere."""
_CAPTION = re.compile(r"\s*(Fig(?:ure|\.)?|Table|Scheme)\s?S?(\d+)\b", re.IGNORECASE)
_LABEL = re.compile(r"(Fig(?:ure|\.)?|Table|Scheme)\s?S?(\d+)\s?[.:|]?\s*$", re.IGNORECASE)
"""A caption's label that was taken for a sentence of its own."""
_REFERRED = re.compile(r"\b(Fig(?:ure|\.)?s?|Tables?)\s?(\d+)", re.IGNORECASE)
_TESTS = re.compile(
    r"\b(?:measure|test|operat|perform|conduct|carried out|evaluat|record|characteri[sz])\w*\b", re.IGNORECASE
)
_THESE = re.compile(
    r"\b(?:th(?:is|ese|at|e same|e entire|e whole)|all)\s(?:[a-z]+\s){0,2}temperatures?\b", re.IGNORECASE
)
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "with from that this than which were have been also into between under after before their these those when "
        "while shown shows figure measur temper about respec value values using",
    )
)
LEAST = 1e-3
"""The smallest share that is told from none."""
Features = dict[str, float]


@dataclass(frozen=True)
class Said:
    """A temperature of measurement in the text.

    Attributes:
        number: of its sentence; ``place``: its place among the temperatures there, and their number.
        caption: of which figure or table the sentence is the caption, e.g. ``"f3"``; else empty.
        tests: whether the sentence tells how something was measured.
    """

    quantity: Quantity
    number: int
    place: tuple[int, int]
    caption: str
    tests: bool

    @property
    def key(self) -> tuple[float, float | None]:
        """What is the same for the same temperature."""
        return same_heat(self.quantity)


@dataclass(frozen=True)
class Carried:
    """What the rest of a document says of a value's temperature.

    Attributes:
        offers: temperatures of other sentences, the likeliest first, with the logarithms of their shares.
        none: logarithm of the share of none of them.
    """

    offers: tuple[tuple[Offer, float], ...]
    none: float


@dataclass
class Told:
    """All that a document says of temperatures, and of its values.

    Attributes:
        said: temperatures of measurement, in the order of the text.
        values: by sentence and property where its values begin, in order.
        attached: by property and temperature the sentences whose values have it, with their materials.
    """

    said: list[Said] = field(default_factory=list)
    values: dict[tuple[int, str], list[int]] = field(default_factory=dict)
    attached: dict[tuple[str, float], list[tuple[int, str]]] = field(default_factory=dict)


class Elsewhere:
    """Weighs the temperatures of a document.

    Args:
        document: that the readings are of; ``names``: of its materials.
        readings: all of them.
        schema: the properties wanted.
    """

    def __init__(self, document: Document, names: Names, readings: Sequence[Reading], schema: Sequence[Property]):
        self.document, self.names = document, names
        self._starts = {sentence.start: n for n, sentence in enumerate(document.sentences)}
        self._properties = {one.name: one for one in schema}
        self.told = self._told(readings)
        self._shares = Counter(one.key for one in self.told.said)
        self._telling: dict[int, frozenset[str]] = {}

    def options(self, reading: Reading) -> list[tuple[Said | None, Features]]:
        """Every temperature of another sentence that a value may have, and last none of them, with their features;
        nothing where the property takes no temperature."""
        record = reading.record
        wanted = self._properties[record.property]
        if "temperature" not in wanted.conditions:
            return []
        number = self._starts[record.sentence.start]
        plain, start, end = self.names.plain, record.sentence.start, record.sentence.end
        referred = _figures(plain[start:end])
        nearby = set().union(*(self._figures(n) for n in range(max(0, number - 2), number)))
        back = refers_back(plain, start, end) or _THESE.search(plain, start, end) is not None
        section = self.document.sentences[number].section
        before = [
            one.number
            for one in self.told.said
            if one.number < number and not one.caption and self.document.sentences[one.number].section == section
        ]
        latest = max(before, default=-1)
        here = any(one.number == number for one in self.told.said)
        values = self.told.values.get((number, record.property), [])
        rank = (
            (values.index(record.quantity.span.start), len(values)) if record.quantity.span.start in values else (0, 1)
        )
        out: list[tuple[Said | None, Features]] = []
        for one in self.told.said:
            gap = number - one.number
            if gap == 0:
                continue
            same = self.told.attached.get((record.property, one.quantity.value), [])
            # What prevails in one section says nothing of the next.
            far = abs(gap) > NEAR or self.document.sentences[one.number].section != section
            if far and not (one.caption or one.tests or same):
                continue
            seen: Features = {
                "far": float(far and not one.caption),
                "share": math.log(self._shares[one.key] / len(self.told.said)),
                "a range": float(one.quantity.low is not None),
                "room temperature": float(one.quantity.value == ROOM and one.quantity.relation == "~"),
                "tests": float(one.tests),
                "its property": float(self._names(one.number, wanted)),
                "words in common": math.log1p(len(self._words(one.number) & self._words(number))),
                "of the same property": float(any(n == one.number for n, _ in same)),
                "of the same property and material": float(
                    any(m == record.material for n, m in same if n == one.number)
                ),
                "it has been so before": float(any(n < number and number - n <= NEAR for n, _ in same)),
            }
            if one.caption:
                seen["caption of its figure"] = float(one.caption in referred)
                seen["caption of a figure before"] = float(one.caption in nearby and not referred)
                seen["caption"], seen["caption near"] = 1.0, float(not far)
            elif not far:
                side = "before" if gap > 0 else "after"
                seen[side] = 1.0
                seen[f"distance {side}"] = math.log(abs(gap))
                seen["the latest"] = float(one.number == latest)
                seen["referred back to"] = float(back and 0 < gap <= 3)
                if gap > 0 and one.place[1] == rank[1] > 1:
                    seen["its place in the list"] = 1.0 if one.place[0] == rank[0] else -1.0
            if here:
                seen["though one is here"] = 1.0
            out.append((one, seen))
        none: Features = {
            "none": 1.0,
            "none, one is here": float(here),
            "none, of a device": float(wanted.of == "device"),
            "none, cited": float(bool(record.cited)),
            "none, temperatures": math.log(1 + len(self._shares)),
            "none, referred back": float(back),
        }
        return [*out, (None, none)]

    def carried(self, reading: Reading, table: Mapping[str, float]) -> Carried | None:
        """The likeliest temperatures elsewhere; ``None`` where the property takes no temperature.

        Args:
            reading: of a value; ``table``: fitted weights.
        """
        options = self.options(reading)
        if not options:
            return None
        logs = log_shares([features for _, features in options], table)
        groups: dict[tuple[float, float | None], list[tuple[float, Said]]] = {}
        for (one, _), log in zip(options, logs, strict=True):
            if one is not None:
                groups.setdefault(one.key, []).append((log, one))
        found = []
        for group in groups.values():
            heat = max(group, key=lambda each: each[0])[1].quantity
            share = sum(math.exp(log) for log, _ in group)
            found.append((Offer(heat.text, (), heat.span, None, heat), math.log(max(share, LEAST))))
        found.sort(key=lambda each: -each[1])
        return Carried(tuple(found[:MOST]), max(logs[-1], math.log(LEAST)))

    def _names(self, number: int, wanted: Property) -> bool:
        """Whether a sentence names the property."""
        sentence = self.document.sentences[number]
        text = self.names.plain[sentence.start : sentence.end].lower()
        return any(name.lower() in text for name in wanted.names)

    def _words(self, number: int) -> frozenset[str]:
        """The telling words of a sentence, their first letters."""
        if number not in self._telling:
            sentence = self.document.sentences[number]
            words = re.findall(r"[A-Za-z][A-Za-z\d-]{3,}", self.names.plain[sentence.start : sentence.end])
            self._telling[number] = frozenset(word.lower()[:6] for word in words) - _COMMON
        return self._telling[number]

    def _figures(self, number: int) -> set[str]:
        sentence = self.document.sentences[number]
        return _figures(self.names.plain[sentence.start : sentence.end])

    def _told(self, readings: Sequence[Reading]) -> Told:
        out = Told()
        plain, text = self.names.plain, self.document.text
        for reading in readings:
            record = reading.record
            number = self._starts[record.sentence.start]
            out.values.setdefault((number, record.property), []).append(record.quantity.span.start)
            heat = record.conditions.get("temperature")
            if heat is not None:
                key = record.property, heat.value
                out.attached.setdefault(key, []).append((number, record.material))
        values = {start for starts in out.values.values() for start in starts}
        for number, sentence in enumerate(self.document.sentences):
            start, end = sentence.start, sentence.end
            if not re.search(r"[°℃K]|temperature|\bRT\b", plain[start:end]):
                continue
            mentions = self.names.find(start, end)
            found = find_quantities(text, start, end, [(m.start, m.end) for m in mentions])
            pieces = clauses(plain, start, end)
            heats = [
                one
                for one in temperatures(text, plain, start, end, found)
                if one.span.start not in values and not is_making(plain, start, one.span.start, pieces)
            ]
            caption = _CAPTION.match(plain, start, end) or _LABEL.search(plain, max(0, start - 14), start)
            tests = _TESTS.search(plain, start, end) is not None
            which = _figure(caption.group(1), caption.group(2)) if caption else ""
            for place, one in enumerate(heats):
                out.said.append(Said(one, number, (place, len(heats)), which, tests))
        return out


def same_heat(heat: Quantity) -> tuple[float, float | None]:
    """What is the same for the same temperature, or the same range, however it is written."""
    return round(heat.value), None if heat.low is None else round(heat.low)


def dot(features: Mapping[str, float], table: Mapping[str, float]) -> float:
    """Sum of the features by their weights."""
    return sum(table.get(name, 0.0) * x for name, x in features.items())


def log_shares(features: Sequence[Mapping[str, float]], table: Mapping[str, float]) -> list[float]:
    """Logarithm of the share of each option."""
    scores = [dot(one, table) for one in features]
    top = max(scores)
    total = top + math.log(sum(math.exp(score - top) for score in scores))
    return [score - total for score in scores]


def _figures(text: str) -> set[str]:
    return {_figure(*match.groups()) for match in _REFERRED.finditer(text)}


def _figure(kind: str, number: str) -> str:
    return kind[0].lower() + number
