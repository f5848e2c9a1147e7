"""Gold records for ``benchmarks/extraction.py``: own sentences, papers on fuel cells, abstracts on polymers."""

from __future__ import annotations

import gzip
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sozai.assistant.documents.document import Document, Sentence
from sozai.assistant.documents.sentences import split_sentences
from sozai.assistant.extraction.quantities import find_quantities
from sozai.assistant.extraction.schema import built_in
from sozai.assistant.extraction.units import convert, factor

SENTENCES = Path(__file__).parents[1] / "tests" / "data" / "extraction" / "conductivity_sentences.jsonl"


@dataclass(frozen=True)
class Gold:
    """A record as the annotators mean it.

    Attributes:
        start, end: place of the value in the text; ``None`` where only the value is known.
        properties: names in the schema that it may have.
        numbers: (value, unit) pairs that stand there; two of a range or a change.
        temperatures: in degrees Celsius; empty: no temperature belongs to it.
        materials: names that are right.
        judged: whether the annotation tells a material at all.
    """

    start: int | None
    end: int | None
    properties: frozenset[str]
    numbers: tuple[tuple[float, str], ...]
    temperatures: tuple[float, ...]
    materials: tuple[str, ...]
    judged: bool = True


@dataclass
class Case:
    """A document with its gold records; ``scope`` are the sentences that were annotated, ``open`` the places of values
    that are not judged."""

    document: Document
    gold: list[Gold]
    scope: list[tuple[int, int]] = field(default_factory=list)
    wanted: tuple[str, ...] = ()
    names: list[tuple[int, int, str]] = field(default_factory=list)
    open: list[tuple[int, int]] = field(default_factory=list)


def own(use: str) -> list[Case]:
    """The 30 sentences on conductivity that were tuned on, or the 30 held out."""
    cases = []
    for line in SENTENCES.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["use"] != use:
            continue
        text = entry["text"]
        document = Document(
            f"sentence {entry['id']}", "", text, tuple(Sentence(a, b) for a, b in split_sentences(text))
        )
        gold = []
        for record in entry["records"]:
            value, unit = re.fullmatch(r"(\S+) (\S+)", record["value"]).groups()  # type: ignore[union-attr]
            numbers = json.loads(value) if value.startswith("[") else [float(value)]
            temperature = record["conditions"].get("temperature")
            heat = ()
            if temperature:
                number, scale = temperature.split()
                heat = (float(number) - (273.15 if scale == "K" else 0),)
            gold.append(
                Gold(
                    None,
                    None,
                    frozenset([record["property"]]),
                    tuple((float(n), unit) for n in numbers),
                    heat,
                    (record["material"],),
                )
            )
        cases.append(
            Case(
                document, gold, [(0, len(text))], ("ionic_conductivity", "electronic_conductivity", "activation_energy")
            )
        )
    return cases


def passages(name: str) -> list[Case]:
    """Self-made ones: ``varied_sentences.jsonl`` and ``fresh_sentences.jsonl`` (held out), ``training_passages.jsonl``
    (fitted on)."""
    cases = []
    for line in SENTENCES.with_name(name).read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        text, gold = entry["text"], []
        for record in entry["records"]:
            number, unit = record["value"].rsplit(" ", 1)
            unit = "" if unit == "1" else unit
            numbers = json.loads(number) if number.startswith("[") else [float(number)]
            materials = record["material"] if isinstance(record["material"], list) else [record["material"]]
            gold.append(
                Gold(None, None, frozenset([record["property"]]), tuple((float(n), unit) for n in numbers),
                     tuple(record["temperature"]), tuple(materials))
            )  # fmt: skip
        sentences = tuple(Sentence(a, b) for a, b in split_sentences(text))
        cases.append(Case(Document(f"{name} {entry['id']}", "", text, sentences), gold, [(0, len(text))]))
    return cases


SLOTS = {
    "power_density": ("power_density",),
    "current_density": ("current_density",),
    "conductivity": ("ionic_conductivity", "electronic_conductivity"),
    "open_circuit_voltage": ("open_circuit_voltage",),
    "resistance": ("area_specific_resistance",),
}
"""Slots of the fuel-cell papers that are values of a property; the others are conditions and materials."""
_THINGS = (
    "device",
    "electrolyte_material",
    "anode_material",
    "cathode_material",
    "support_material",
    "interlayer_material",
)


def fuel_cells(archive: Path, use: str) -> list[Case]:
    """15 papers of SOFC-Exp (Friedrich et al., ACL 2020): every other one by name is for tuning.

    A record is one value slot of an experiment frame. Its temperatures and materials (devices among them) are the
    slots of that frame and of the frames linked to it as the same experiment; coreferent spans name the same thing.
    """
    with tarfile.open(archive) as tar:
        files = {
            item.name.split("sofc-exp-corpus/")[-1]: tar.extractfile(item).read().decode()
            for item in tar
            if item.name.endswith((".csv", ".txt")) and item.isfile() and "Metadata" not in item.name
        }  # type: ignore[union-attr]
    papers = sorted(Path(name).stem for name in files if name.startswith("annotations/frames/"))
    return [_paper(files, name) for name in papers[(0 if use == "tune" else 1) :: 2]]


def _paper(files: dict[str, str], name: str) -> Case:
    text = files[f"texts/{name}.txt"]
    sentences = {}
    for line in files[f"annotations/sentences/{name}.csv"].splitlines():
        cells = line.split("\t")
        sentences[int(cells[0])] = (int(cells[-2]), int(cells[-1]))
    spans: dict[int, tuple[str, int, int]] = {}
    frames: dict[int, list[tuple[str, int]]] = {}
    evoked: dict[int, int] = {}
    links: list[tuple[str, int, int]] = []
    current = 0
    for line in files[f"annotations/frames/{name}.csv"].splitlines():
        cells = line.split("\t")
        if cells[0] == "SPAN":
            start = sentences[int(cells[3])][0]
            spans[int(cells[1])] = (cells[2], start + int(cells[4]), start + int(cells[5]))
        elif cells[0] == "EXPERIMENT":
            current = int(cells[1])
            frames[current], evoked[current] = [], int(cells[2])
        elif cells[0] == "":
            frames[current].append((cells[1], int(cells[2])))
        elif cells[0] == "LINK":
            links.append((cells[1], int(cells[2]), int(cells[3])))
        elif cells[0].startswith("LINK:"):
            links.append((cells[0][5:], int(cells[1]), int(cells[2])))
    merged = _linked(frames, [(a, b) for kind, a, b in links if kind == "same_experiment"])
    alike = [(a, b) for kind, a, b in links if kind == "coreference"]
    gold = []
    for slots in frames.values():
        number = next(key for key, value in frames.items() if value is slots)
        family = [slot for other in merged[number] for slot in frames[other]]
        things = {span for slot, span in family if slot in _THINGS}
        for one, other in alike:
            things |= {other} if one in things else {one} if other in things else set()
        heat = [spans[span] for slot, span in family if slot == "working_temperature"]
        for slot, span in slots:
            if slot in SLOTS:
                _, start, end = spans[span]
                numbers = tuple((one.value, one.unit or "") for one in _numbers(text, start, end, sentences))
                temperatures = tuple(t for _, a, b in heat for t in _celsius(text, a, b, sentences))
                materials = tuple(text[spans[thing][1] : spans[thing][2]] for thing in things)
                gold.append(Gold(start, end, frozenset(SLOTS[slot]), numbers, temperatures, materials, bool(materials)))
    scope = sorted({next(s for s in sentences.values() if s[0] <= spans[span][1] < s[1]) for span in evoked.values()})
    document = Document(name, name, text, tuple(Sentence(a, b) for a, b in sorted(sentences.values())))
    wanted = (
        "power_density",
        "current_density",
        "ionic_conductivity",
        "electronic_conductivity",
        "open_circuit_voltage",
        "area_specific_resistance",
    )
    return Case(document, gold, scope, wanted)


def _linked(frames: dict[int, list[tuple[str, int]]], pairs: list[tuple[int, int]]) -> dict[int, set[int]]:
    groups = {frame: {frame} for frame in frames}
    for one, other in pairs:
        if one in groups and other in groups:
            union = groups[one] | groups[other]
            for member in union:
                groups[member] = union
    return groups


def _numbers(text: str, start: int, end: int, sentences: dict[int, tuple[int, int]]):  # type: ignore[no-untyped-def]
    around = next((s for s in sentences.values() if s[0] <= start < s[1]), (start, end))
    out = []
    for one in find_quantities(text, *around):
        if start <= one.start < end:
            out += (
                [one]
                if one.low is None or "±" in text[one.start : one.end]
                else [_at(one, one.low), _at(one, one.high)]
            )
    return out


def _at(one, value):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(one, value=value, low=None, high=None)


def _celsius(text: str, start: int, end: int, sentences: dict[int, tuple[int, int]]) -> list[float]:
    around = next((s for s in sentences.values() if s[0] <= start < s[1]), (start, end))
    out = []
    for one in find_quantities(text, *around):
        if start <= one.start < end and one.unit in ("degC", "(kelvin)"):
            shift = 273.15 if one.unit == "(kelvin)" else 0.0
            out += [v - shift for v in ([one.value] if one.low is None else [one.low, one.high])]  # type: ignore[operator]
    return out


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


def iterate(cases: list[Case]) -> Iterator[tuple[Case, Gold]]:
    """Cases with each of their gold records."""
    for case in cases:
        for gold in case.gold:
            yield case, gold
