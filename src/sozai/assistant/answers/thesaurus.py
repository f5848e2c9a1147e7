"""The words of ``everyday.yaml``, compiled: what people at the bench call the things that papers name otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any, Literal

from sozai.assistant.documents.words import stem
from sozai.assistant.extraction.schema import built_in

_ENDINGS = r"(?:e?s|e?d|ing|er|est|ly)?"


class Says:
    """Words that a text holds, where they are no part of others: density, but not power density.

    Args:
        words: what is looked for.
        without: what it must be no part of.
    """

    def __init__(self, words: re.Pattern[str], without: re.Pattern[str] | None = None):
        self.words, self.without = words, without

    def search(self, text: str) -> re.Match[str] | None:
        """The first place of the words."""
        if self.without is None:
            return self.words.search(text)
        return next(self.finditer(text), None)

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        """All places of the words."""
        barred = [match.span() for match in self.without.finditer(text)] if self.without is not None else []
        for one in self.words.finditer(text):
            if not any(a <= one.start() and one.end() <= b for a, b in barred):
                yield one

    def often(self, text: str, times: int) -> bool:
        """Whether the words stand in a text so many times."""
        return next(islice(self.finditer(text), times - 1, None), None) is not None


@dataclass(frozen=True)
class Concept:
    """Something that has one name at the bench and others in papers.

    Attributes:
        name: of the concept.
        asks: what questions call it; no part of the words that it must be no part of.
        says: what passages call it.
        hints: what makes a passage likely to speak of it, such as its unit.
        more, less: words of questions that mean more or less of it; ``None`` where it has no direction.
        measure: nouns that papers measure it by, the first is its name.
        heads: the single words of these by which a sentence on a change of it is known.
        schema: its property in the schema of ``sozai extract``; empty where it is none of these.
        good: +1 where more of it is better, -1 where less is.
        subject: it names a kind of material or device rather than a property or a process.
        loose: it colours a question (too much, worse) and is no subject of it by itself.
        literals: the plain words of ``asks``, to correct a misspelt one by.
    """

    name: str
    asks: Says
    says: Says
    hints: re.Pattern[str] | None
    more: re.Pattern[str] | None
    less: re.Pattern[str] | None
    measure: tuple[str, ...]
    heads: tuple[str, ...]
    schema: str
    good: Literal[1, -1]
    subject: bool
    loose: bool
    literals: frozenset[str]

    def polarity(self, words: str) -> int:
        """+1 where words mean more of it, -1 where they mean less ("porous" of density), 0 where neither."""
        if self.less is not None and self.less.search(words):
            return -1
        return 1 if self.more is not None and self.more.search(words) else 0


@dataclass(frozen=True)
class Named:
    """A concept that a question names, its words there, and all places where it does.

    Attributes:
        concept: it.
        words: the first that name it.
        places: of all words that name it.
    """

    concept: Concept
    words: str
    places: tuple[tuple[int, int], ...]


@cache
def _content() -> dict[str, Any]:
    import yaml

    return yaml.safe_load(files("sozai.assistant.answers").joinpath("everyday.yaml").read_text(encoding="utf-8"))


@cache
def concepts() -> tuple[Concept, ...]:
    """All concepts of the file, and the properties of ``sozai extract`` that it has no words for."""
    made = tuple(_concept(name, told) for name, told in _content()["concepts"].items())
    taken = {one.schema for one in made} | {one.name.replace(" ", "_") for one in made}
    new = [key for key, known in built_in().items() if key not in taken and not _covered(known.names[0], made)]
    return (*made, *(_concept(key.replace("_", " "), {"asks": built_in()[key].names[0], "schema": key}) for key in new))


def _covered(name: str, known: Sequence[Concept]) -> bool:
    """Whether a concept knows all words of a name: a compressive strength is a strength."""
    for one in known:
        left = one.asks.words.sub("", name)
        if not re.search(r"[A-Za-z]", left):
            return True
    return False


def _concept(name: str, told: dict[str, Any]) -> Concept:
    property_names = () if told.get("measure") or not told.get("schema") else built_in()[told["schema"]].names
    if property_names:
        symbols = [one for one in built_in()[told["schema"]].symbols if one.isalpha() and len(one) > 2]
        told = {
            **told, "asks": ", ".join([told["asks"], *property_names, *symbols]), "measure": property_names[0],
            "heads": property_names[0].split()[0],
        }  # fmt: skip
    asks = _words(told["asks"]) + [words for words in _words(told.get("measure", "")) if " " in words]
    only = told.get("only says", False)
    says = _words(told.get("says", "")) + ([] if only else asks) + _words(told.get("measure", ""))
    literals = frozenset(word.rstrip("*") for word in asks if " " not in word and len(word) >= 5)
    measure = tuple(_words(told.get("measure", "")))
    heads = tuple(_words(told.get("heads", ""))) or tuple(dict.fromkeys(words.split()[-1] for words in measure))
    without = _direction(told.get("but not"))
    return Concept(
        name, Says(_pattern(asks), without), Says(_pattern(says), without),
        _direction(told.get("hints")), _direction(told.get("more")), _direction(told.get("less")), measure, heads,
        told.get("schema", ""), -1 if told.get("good") == "less" else 1, bool(told.get("subject")), only, literals,
    )  # fmt: skip


def _direction(text: str | None) -> re.Pattern[str] | None:
    return _pattern(_words(text)) if text else None


def _words(text: str) -> list[str]:
    return [" ".join(word.split()) for word in text.split(",") if word.strip()]


def _pattern(words: list[str]) -> re.Pattern[str]:
    return re.compile(
        rf"(?<![A-Za-z])(?:{'|'.join(map(_one, sorted(words, key=len, reverse=True)))})(?![A-Za-z])", re.I
    )


def _one(word: str) -> str:
    written = re.escape(word).replace(r"\ ", r"[\s-]+")
    written = written.replace(r"\~", r"\d[\d.,]*").replace("~", r"\d[\d.,]*")
    if "*" in word:
        return written.replace(r"\*", r"[\w.]*")
    return written if not word[-1:].isalpha() or word.isupper() else written + _ENDINGS


def concepts_in(text: str) -> list[Named]:
    """The concepts that a question names; of names that overlap, the longest."""
    found = [(match.start(), match.end(), one) for one in concepts() for match in one.asks.finditer(text)]
    kept: dict[str, list[tuple[int, int]]] = {}
    for start, end, concept in found:
        longer = any(a <= start and end <= b and b - a > end - start for a, b, _ in found)
        if not longer:
            kept.setdefault(concept.name, []).append((start, end))
    by_name = {concept.name: concept for concept in concepts()}
    made = [Named(by_name[name], text[slice(*places[0])], tuple(places)) for name, places in kept.items()]
    return sorted(made, key=lambda one: (one.places[0], one.concept.name))


@cache
def rivals(concept: Concept) -> tuple[Concept, ...]:
    """Other properties that are measured in the same unit: a value in GPa by a hardness is no modulus."""
    from sozai.assistant.answers.values import same_unit

    if not concept.schema:
        return ()
    unit = built_in()[concept.schema].unit
    others = (one for one in concepts() if one.schema and one is not concept)
    return tuple(one for one in others if same_unit(built_in()[one.schema].unit, unit))


@cache
def sample_words() -> frozenset[str]:
    """Stems of words for a sample, which say nothing of its material."""
    return frozenset(stem(word) for word in _words(_content()["sample"]))


@cache
def generic_words() -> frozenset[str]:
    """Stems of words that say nothing more where the question names a material or a kind of device."""
    return frozenset(stem(word) for word in _words(_content()["generic"]))


@cache
def filler_words() -> frozenset[str]:
    """Words, and stems of them, that ask nothing by themselves."""
    words = _content()["filler"].split()
    return frozenset(words) | frozenset(stem(word) for word in words)


@cache
def _asked_quantities() -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    return tuple(
        (name, unit, re.compile(rf"\b(?:{'|'.join(map(re.escape, _words(words)))})\b", re.I))
        for name, (unit, words) in _content()["quantities"].items()
    )


def asked_quantity(text: str) -> tuple[str, str, tuple[int, int]] | None:
    """Kind and unit (pint) of the quantity that a question asks for, and where its first two words stand."""
    for name, unit, words in _asked_quantities():
        if found := words.search(text):
            head = re.match(r"\w+\s+\w+", found.group())
            return name, unit, (found.start(), found.start() + (head.end() if head else len(found.group())))
    return None


@cache
def known_words() -> frozenset[str]:
    """Words that questions may use, for the correction of misspelt ones."""
    return frozenset(word for word in _literals()) | frozenset(word for word in filler_words() if len(word) >= 5)


def _literals() -> Iterator[str]:
    for concept in concepts():
        yield from concept.literals
