"""Gold records of the polymer abstracts by the corpus's tags, for ``benchmarks/extraction.py``."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

from extraction_sets import Case, Gold

from sozai.assistant.documents.document import Document, Sentence
from sozai.assistant.documents.sentences import split_sentences
from sozai.assistant.extraction.quantities import find_quantities
from sozai.assistant.extraction.schema import built_in
from sozai.assistant.extraction.units import convert, factor


def polymers(path: Path, first: bool = False) -> list[Case]:
    """Polymer abstracts with BIO-like tags (Shetty et al., npj Comput. Mater. 9, 52, 2023).

    The tags name entities, not pairs. A record is a PROP_VALUE with the PROP_NAME nearest to it in its sentence among
    those that the schema knows and whose unit the value has (the one before wins a tie; with "respectively" in the
    sentence, any of them). A name is known when a property's name is its head: "H2/CO2 selectivity" is a selectivity,
    "IEC values" an ion exchange capacity. ``first``: as it was judged at first, by the nearest name of all, known or
    not, fitting or not; then "(E_b)" and the next value's name took a value's place, and it was left out. Its material is
    any polymer, polymer family or inorganic entity of its sentence; where there is none, any material entity of the
    abstract.
    """  # noqa: E501
    cases = []
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for number, line in enumerate(stream):
            entry = json.loads(line)
            cases.append(_abstract(entry["words"], entry["ner"], f"abstract {number}", first))
    return cases


def _abstract(words: list[str], tags: list[str], source: str, first: bool = False) -> Case:
    text, places = "", []
    for word in words:
        word = word.replace(" }", "}").replace(" )", ")")
        glue = not text or re.fullmatch(r"[,.;:)\]?!%]|'s", word) or text[-1] in "([" or _dash(text, word)
        if word == "C" and text.endswith("°"):
            glue = True
        text += ("" if glue else " ") + word
        places.append((len(text) - len(word), len(text)))
    entities: list[tuple[str, int, int]] = []
    for at, tag in enumerate(tags):
        if tag == "O":
            continue
        if at and tags[at - 1] == tag:
            entities[-1] = (tag, entities[-1][1], places[at][1])
        else:
            entities.append((tag, *places[at]))
    sentences = [Sentence(a, b) for a, b in split_sentences(text)]
    document = Document(source, "", text, tuple(sentences))
    gold = []
    materials = [
        entity for entity in entities if entity[0] in ("POLYMER", "POLYMER_FAMILY", "INORGANIC", "ORGANIC", "MONOMER")
    ]
    for tag, start, end in entities:
        if tag != "PROP_VALUE":
            continue
        home = next((s for s in sentences if s.start <= start < s.end), None)
        if home is None:
            continue
        near = [entity for entity in entities if entity[0] == "PROP_NAME" and home.start <= entity[1] < home.end]
        if not near:
            continue
        numbers = tuple(
            (value, one.unit or "")
            for one in find_quantities(text, home.start, home.end)
            if start <= one.start < end
            for value in ([one.value] if one.low is None or "±" in text[one.start : one.end] else [one.low, one.high])
        )
        fitting = _nearest(text, near, start, end, numbers, "respectively" in text[home.start : home.end], first)
        here = [
            text[a:b] for kind, a, b in materials if home.start <= a < home.end and kind not in ("ORGANIC", "MONOMER")
        ]
        here = here or [text[a:b] for _, a, b in materials]
        if fitting:
            gold.append(Gold(start, end, fitting, numbers, (), tuple(here), bool(here)))  # type: ignore[arg-type]
    return Case(
        document, gold, [(s.start, s.end) for s in sentences], names=[(a, b, text[a:b]) for _, a, b in materials]
    )


def _nearest(text: str, near: list[tuple[str, int, int]], start: int, end: int, numbers: tuple[tuple[float, str], ...],
             in_order: bool, first: bool) -> frozenset[str]:  # fmt: skip
    """The properties that a tagged value may be of, by the tagged names of its sentence."""

    def fitting(names: list[tuple[str, int, int]]) -> frozenset[str]:
        known = {key for _, a, b in names for key in (_known(text[a:b]) if first else _headed(text[a:b]))}
        return frozenset(
            key for key in known if numbers and _fits(numbers[0], built_in()[key].unit, built_in()[key].loose)
        )

    ordered = sorted(near, key=lambda entity: (min(abs(start - entity[2]), abs(entity[1] - end)), entity[1] > start))
    if in_order or first:
        return fitting(near if in_order else ordered[:1])
    return next((found for entity in ordered if (found := fitting([entity]))), frozenset())


def _dash(text: str, word: str) -> bool:
    """Tokens of a hyphened word are put together again; a range keeps no spaces either."""
    return (word in ("-", "/") and text[-1:].isalnum()) or (
        text[-1:] in "-/" and text[-2:-1].isalnum() and word[:1].isalnum()
    )


def _known(name: str) -> set[str]:
    from sozai.assistant.extraction.units import plain_signs

    name = re.sub(r"^(?:high|low|maximum|average|initial)\s", "", plain_signs(name).strip(" .,;"))
    return {
        key
        for key, item in built_in().items()
        if (match := item.cue.search(name)) and match.end() - match.start() >= 0.75 * len(name)
    }


def _headed(name: str) -> set[str]:
    """Properties whose name is the head of a tagged one: the longest that ends it, but for words that add nothing."""
    from sozai.assistant.extraction.units import plain_signs

    name = re.sub(r"[\s(),;:=]+$", "", plain_signs(name))
    found = [
        (match.end() - match.start(), key)
        for key, item in built_in().items()
        for match in item.cue.finditer(name)
        if re.fullmatch(
            r"\s?(?:(?:values?|rates?|degree|level|ratio)\b)?\s?(?:\([^()]*\)?|(?:of|at|for|in)\s.*)?",
            name[match.end() :],
        )
        and not (
            item.without and re.search(rf"\b(?:{'|'.join(map(re.escape, item.without))})[\s-]$", name[: match.start()])
        )
    ]
    longest = max((length for length, _ in found), default=0)
    return {key for length, key in found if length == longest}


def _fits(number: tuple[float, str], unit: str, loose: bool) -> bool:
    value, written = number
    if unit == "":
        return written == ""
    if written == "":
        return loose and value >= 500
    source = "kelvin" if written == "(kelvin)" else written
    return convert(value, source, unit) is not None or factor(source, unit) is not None
