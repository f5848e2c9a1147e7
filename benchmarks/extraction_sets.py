"""Gold records for ``benchmarks/extraction.py``: own sentences, papers on fuel cells, abstracts on polymers."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sozai.assistant.documents.document import Document, Sentence
from sozai.assistant.documents.sentences import split_sentences
from sozai.assistant.extraction.quantities import find_quantities

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
        worded: whether the annotator marked temperatures said in words, as room temperature, too.
    """

    start: int | None
    end: int | None
    properties: frozenset[str]
    numbers: tuple[tuple[float, str], ...]
    temperatures: tuple[float, ...]
    materials: tuple[str, ...]
    judged: bool = True
    worded: bool = True


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
    """Self-made ones: ``fresh_sentences.jsonl``, ``unseen_passages.jsonl`` and ``natural_passages.jsonl`` (held out),
    ``varied_sentences.jsonl`` (tuned on), ``training_passages.jsonl`` (fitted on)."""
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


CONDUCTIVITY = frozenset(("ionic_conductivity", "electronic_conductivity"))
"""Where a paper says "conductivity", either is right."""


def papers_read(archive: Path, use: str, wanted: Sequence[str] = ()) -> list[Case]:
    """The 15 papers of ``fuel_cells`` as a reader read them whole: every value, with what a sentence elsewhere says of
    it too. ``fuel_cell_papers.jsonl`` holds of each paper ``[start, end, property, numbers with units, temperatures in
    degrees Celsius, names of the material]``. ``wanted``: the properties that are asked for; by default all."""
    texts = {case.document.source: case for case in fuel_cells(archive, use)}
    cases = []
    for line in SENTENCES.with_name("fuel_cell_papers.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["use"] != use:
            continue
        document = texts[entry["paper"]].document
        gold = [
            Gold(start, end, CONDUCTIVITY if name in CONDUCTIVITY else frozenset([name]),
                 tuple((n, unit) for n, unit in numbers), tuple(heat), tuple(materials), bool(materials))
            for start, end, name, numbers, heat, materials in entry["values"]
            if not wanted or name in wanted
        ]  # fmt: skip
        cases.append(Case(document, gold, [(0, len(document.text))], tuple(wanted)))
    return cases


def temperatures_read() -> dict[tuple[str, int | None, int | None], tuple[list[float], list[float]]]:
    """By paper and place of a value its temperatures as two readers found them (``fuel_cell_temperatures.jsonl``)."""
    found: dict[tuple[str, int | None, int | None], tuple[list[float], list[float]]] = {}
    for line in SENTENCES.with_name("fuel_cell_temperatures.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        found |= {(entry["paper"], start, end): (one, other) for start, end, one, other in entry["values"]}
    return found


def completed(cases: Sequence[Case]) -> list[Case]:
    """The papers of ``fuel_cells`` to judge by, with the temperatures that frames lack.

    Two readers, blind to each other, to the frames and to any tool, said of each marked value what
    temperature the text gives for it. Where a frame has none and both found the same, it is taken; where they differ,
    the value is open.
    """
    found = temperatures_read()
    out = []
    for case in cases:
        gold, left = [], list(case.open)
        for one in case.gold:
            first, second = found[case.document.source, one.start, one.end]
            if one.temperatures or (not first and not second):
                gold.append(one)
            elif len(first) == len(second) and all(abs(a - b) < 1 for a, b in zip(first, second, strict=True)):
                gold.append(replace(one, temperatures=tuple(first)))
            else:
                left.append((one.start, one.end))
        out.append(replace(case, gold=gold, open=left))
    return out


def completed_by(readings: Sequence[Case], cases: Sequence[Case]) -> list[Case]:
    """Likewise the papers for tuning, by the one reader of ``papers_read``."""
    read = {case.document.source: case.gold for case in readings}
    out = []
    for case in cases:
        gold = []
        for one in case.gold:
            same = [r for r in read[case.document.source] if r.start < one.end and one.start < r.end]  # type: ignore[operator]
            heat = one.temperatures or (same[0].temperatures if same else ())
            gold.append(replace(one, temperatures=heat))
        out.append(replace(case, gold=gold))
    return out


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
    return Case(document, gold, scope, tuple(dict.fromkeys(name for names in SLOTS.values() for name in names)))


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
    return replace(one, value=value, low=None, high=None)


def _celsius(text: str, start: int, end: int, sentences: dict[int, tuple[int, int]]) -> list[float]:
    around = next((s for s in sentences.values() if s[0] <= start < s[1]), (start, end))
    out = []
    for one in find_quantities(text, *around):
        if start <= one.start < end and one.unit in ("degC", "(kelvin)"):
            shift = 273.15 if one.unit == "(kelvin)" else 0.0
            out += [v - shift for v in ([one.value] if one.low is None else [one.low, one.high])]  # type: ignore[operator]
    return out
