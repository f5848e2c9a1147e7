"""Gold relations of the polymer abstracts: which material a value is of, read by two annotators without any tool's output.

The abstracts may not be given on, so ``tests/data/extraction/polymer_relations.jsonl`` holds no text: each line is one
annotator's reading of one abstract, ``{"use", "by", "doc", "values"}``, a value being ``[start, end, property, numbers
with units, places of the names that its material has, temperatures in degrees Celsius]``, with places in the text that
``extraction_polymers.polymers`` makes of the corpus.
"""  # noqa: E501

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import extraction_score
from extraction_sets import SENTENCES, Case, Gold

from sozai.assistant.documents.document import Span
from sozai.assistant.extraction.record import Quantity, Record

READ = SENTENCES.with_name("polymer_relations.jsonl")


def read_by(abstracts: Sequence[Case], use: str, by: str, path: Path = READ) -> list[Case]:
    """The abstracts that an annotator read, with what the annotator found.

    Args:
        abstracts: of the corpus, from ``extraction_polymers.polymers``, in its order.
        use: ``"train"`` or ``"dev"``.
        by: ``"A"``, ``"B"`` or, other abstracts of ``"train"``, ``"C"`` or ``"D"``.
        path: of the annotations.
    """
    cases = []
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if (entry["use"], entry["by"]) != (use, by):
            continue
        case = abstracts[entry["doc"]]
        text = case.document.text
        gold = [
            Gold(start, end, frozenset([name]), tuple((n, unit) for n, unit in numbers), tuple(heat),
                 tuple(text[a:b] for a, b in places), worded=False)
            for start, end, name, numbers, places, heat in entry["values"]
        ]  # fmt: skip
        cases.append(Case(case.document, _ends_joined(gold, text), case.scope))
    return cases


def agreed(one: Sequence[Case], other: Sequence[Case]) -> list[Case]:
    """What both annotators found: same value, property and temperature, and a name of the material in common.

    A value that only one of them marked, or that they read differently, is left open: it is neither gold nor wrong.
    Names of either are right.
    """
    cases = []
    for a, b in zip(one, other, strict=True):
        assert a.document.source == b.document.source
        gold, open_places, matched = [], [], set()
        for mine in a.gold:
            twins = [n for n, theirs in enumerate(b.gold) if _alike(mine, theirs)]
            matched |= set(twins)
            if twins:
                gold.append(replace(mine, materials=(*mine.materials, *b.gold[twins[0]].materials)))
            else:
                open_places.append((mine.start, mine.end))
        open_places += [(theirs.start, theirs.end) for n, theirs in enumerate(b.gold) if n not in matched]
        cases.append(Case(a.document, gold, a.scope, open=open_places))  # type: ignore[arg-type]
    return cases


def as_records(case: Case) -> list[Record]:
    """An annotator's reading as a method's records, to judge it by the other's: the ceiling of any method."""
    out = []
    for gold in case.gold:
        assert gold.start is not None and gold.end is not None
        unit = gold.numbers[0][1] if gold.numbers else ""
        numbers = sorted(n for n, _ in gold.numbers) or [0.0]
        span = Span(gold.start, gold.end)
        low, high = (numbers[0], numbers[-1]) if len(numbers) > 1 else (None, None)
        quantity = Quantity(span, "", sum(numbers) / len(numbers), unit, low, high)
        heat = {"temperature": Quantity(span, "", gold.temperatures[0], "degC")} if gold.temperatures else {}
        out.append(Record(gold.materials[0], span, next(iter(gold.properties)), quantity, span, heat))
    return out


def _alike(one: Gold, other: Gold) -> bool:
    overlap = max(one.start or 0, other.start or 0) < min(one.end or 0, other.end or 0)
    first, second = sorted(n for n, _ in one.numbers), sorted(n for n, _ in other.numbers)
    return (
        overlap
        and bool(one.properties & other.properties)
        and len(first) == len(second)
        and all(abs(x - y) <= 2e-3 * max(abs(x), abs(y)) for x, y in zip(first, second, strict=True))
        and sorted(round(t) for t in one.temperatures) == sorted(round(t) for t in other.temperatures)
        and any(extraction_score.names_agree(x, y) for x in one.materials for y in other.materials)
    )


def _ends_joined(gold: Sequence[Gold], text: str) -> list[Gold]:
    """ "ranging from 0.88 to 1.12 dL/g" is one value, though its ends may be marked one by one."""
    out: list[Gold] = []
    for one in gold:
        if out and out[-1].end is not None and one.start is not None and out[-1].start is not None:
            gap, lead = text[out[-1].end : one.start], text[max(0, out[-1].start - 40) : out[-1].start]
            same = out[-1].properties == one.properties and len(out[-1].numbers) == len(one.numbers) == 1
            if (
                same
                and re.fullmatch(r"\s?(?:to|and|-|–)\s?", gap)
                and re.search(r"\b(?:rang|between|from)\w*[^.;,]*$", lead)
            ):
                out[-1] = replace(out[-1], end=one.end, numbers=(*out[-1].numbers, *one.numbers))
                continue
        out.append(one)
    return out
