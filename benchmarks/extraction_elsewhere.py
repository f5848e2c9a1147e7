"""Fits what weighs the temperatures that a paper tells elsewhere (in ``weights.json`` of ``sozai extract``).

python benchmarks/extraction_elsewhere.py --data FOLDER --folds FOLDER [--write]

From the 15 fuel-cell papers for tuning as a reader read them whole: ``elsewhere``, and how that is weighed together with
what rules and network say of a value (``heat of a paper``, ``device of a paper``, ``material of a paper`` among those of
``reader``, which ``extraction_stack.py`` has fitted before and which stay as they are). What the network says of a paper
comes from one that has not seen it; judged paper by paper by a fit on the others. The chance from which on a paper's
record counts as sure is the highest that leaves the recall ``KEPT`` of ``extraction_fit.py`` in what annotators marked.
"""  # noqa: E501

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import common  # noqa: F401
import extraction_fit
import extraction_reader
import extraction_score
import extraction_sets
from extraction_fit import Example
from extraction_sets import Case
from extraction_stack import hit_by

from sozai.assistant.extraction import reader
from sozai.assistant.extraction.carried import Elsewhere, Said, dot, log_shares
from sozai.assistant.extraction.extract import readings_of
from sozai.assistant.extraction.materials import Names
from sozai.assistant.extraction.questions import Offer, Question
from sozai.assistant.extraction.ranking import logistic, weights
from sozai.assistant.extraction.reader import Answer, Reader
from sozai.assistant.extraction.record import Quantity, Record
from sozai.assistant.extraction.reread import (
    Features,
    chance_of,
    heat_features,
    heat_options,
    in_paper,
    owner_features,
    paper_features,
    record_features,
)
from sozai.assistant.extraction.schema import read_schema

RIDGE = 1.0
BOTH = frozenset(("temperature", "material"))


@dataclass
class Value:
    """A value with the temperatures that it may have, and which of them are right.

    Attributes:
        rules: whether the rules gave it a temperature, and whether what they say (none, too) is right.
        open: whether its sentence holds no temperature, or the rules gave it none.
    """

    source: str
    options: list[tuple[Said | None, Features]]
    right: list[bool]
    rules: tuple[bool, bool]
    open: bool


def values_of(cases: Sequence[Case]) -> list[Value]:
    """Every value that the rules find and a reader marked, of a property that takes a temperature."""
    out, schema = [], read_schema()
    heat = frozenset(("temperature",))
    for case in cases:
        names = Names(case.document.text)
        readings, _ = readings_of(case.document, names, schema, [], None)
        elsewhere = Elsewhere(case.document, names, readings, schema)
        for reading in readings:
            record, options = reading.record, elsewhere.options(reading)
            golds = [g for g in case.gold if extraction_score.agrees(record, g, case, frozenset())]
            if not golds or not options:
                continue

            def right(quantity: Quantity | None, record=record, golds=golds, case=case) -> bool:  # type: ignore[no-untyped-def]
                asked = dataclasses.replace(record, conditions={"temperature": quantity} if quantity else {})
                return any(extraction_score.agrees(asked, g, case, heat) for g in golds)

            told = record.conditions.get("temperature")
            good = [right(one.quantity if one else None) for one, _ in options]
            here = bool(options[-1][1]["none, one is here"])
            rules = told is not None, right(told)
            out.append(Value(case.document.source, options, good, rules, told is None or not here))
    return out


def fit(values: Sequence[Value]) -> dict[str, float]:
    """Weights of the features, from values whose own sentence tells no temperature."""
    told = [([features for _, features in one.options], one.right) for one in values if one.open]
    return extraction_fit.fit_choice(told, RIDGE)


@dataclass
class Pair:
    """A value as rules, network and the rest of its paper read it.

    Attributes:
        right_heats: which of the temperatures are right; ``None`` where the reader did not mark the value.
    """

    example: Example
    question: Question
    answer: Answer
    options: list[Offer | None]
    owners: list[Features]
    heats: list[Features]
    right_heats: list[bool] | None


def pairs_of(case: Case, read: Reader, table: Mapping[str, float]) -> list[Pair]:
    """Every value of a paper, as a table fitted on others weighs the temperatures elsewhere."""
    examples = extraction_fit.examples_of([([case], BOTH)], lambda case: read)
    readings = [e.reading for e in examples]
    elsewhere = Elsewhere(case.document, Names(case.document.text), readings, read_schema())
    questions = [e.asker.ask(e.reading) for e in examples]
    out = []
    for e, question, answer in zip(examples, questions, read.answers(questions), strict=True):
        carried = elsewhere.carried(e.reading, table)
        if carried is None:
            continue
        options = heat_options(question, carried)
        _, _, right = extraction_reader.truth_of(e, dataclasses.replace(question, heats=tuple(o for o in options if o)))
        owners = owner_features(e.reading, question, answer)
        out.append(
            Pair(e, question, answer, options, owners, heat_features(e.reading, question, answer, carried), right)
        )
    return out


def fit_pairs(pairs: Sequence[Pair]) -> dict[str, dict[str, float]]:
    """The tables ``... of a paper``."""
    tables = dict(weights()["reader"])
    told = [(in_paper(p.heats, tables["heat"]), p.right_heats) for p in pairs if p.right_heats is not None]
    tables["heat of a paper"] = extraction_fit.fit_choice(told, RIDGE)
    out = {"heat of a paper": tables["heat of a paper"]}
    for kind in ("device", "material"):
        mine = [p for p in pairs if p.example.device == (kind == "device") and p.example.judged]
        rows = [(row[0], bool(hit_by(row[1], p.example.case))) for p in mine if (row := read_by(p, tables)) is not None]
        out[f"{kind} of a paper"] = {"constant": 0.0, **extraction_fit.fit_record(rows, RIDGE)}
    return out


def read_by(pair: Pair, tables: Mapping[str, Mapping[str, float]]) -> tuple[Features, Record] | None:
    """Features of a record's chance, and the record."""
    e = pair.example
    features, best, at = record_features(e.reading, pair.answer, pair.owners, pair.heats, tables, e.device)
    if best is None or at is None:
        return None
    heat = pair.options[at]
    conditions = {} if heat is None else {"temperature": heat.quantity}
    record = dataclasses.replace(e.reading.record, material=pair.question.materials[best].name, conditions=conditions)  # type: ignore[arg-type]
    chance = chance_of(features, tables["record"], tables["device"] if e.device else None)
    return paper_features(chance, pair.heats[at], features["heat"]), record


Scored = list[tuple[float, bool, Example]]


def scored_apart(pairs: Mapping[str, Sequence[Pair]], frames: Mapping[str, Case]) -> tuple[Scored, Scored]:
    """Each record's chance by a fit on the other papers, and whether it is right: by the papers read whole, and, of
    those in the marked sentences of ``frames``, by these."""
    whole, marked = [], []
    for source, mine in pairs.items():
        tables = {**weights()["reader"], **fit_pairs([p for other, ps in pairs.items() if other != source for p in ps])}
        case = frames[source]
        for pair in mine:
            e = pair.example
            if (row := read_by(pair, tables)) is None:
                continue
            table = tables["device of a paper" if e.device else "material of a paper"]
            chance, start = logistic(dot(row[0], table) + table["constant"]), row[1].quantity.span.start
            if e.judged:
                whole.append((chance, bool(hit_by(row[1], e.case)), e))
            if row[1].property in case.wanted and any(a <= start < b for a, b in case.scope):
                marked.append((chance, bool(hit_by(row[1], case)), e))
    return whole, marked


def threshold_for(scored: Scored, gold: int) -> float:
    """The highest chance, in steps of 0.01, that leaves the recall wanted of values of devices, which most are."""
    kept = extraction_fit.KEPT[True] * gold
    return max(t / 100 for t in range(100) if sum(good for chance, good, _ in scored if chance >= t / 100) >= kept)


def main() -> None:
    """Judge paper by paper, and write with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folds", type=Path, required=True, help="folder of the networks of extraction_reader.py")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    archive = arguments.data / "text" / "sofc_exp_30_papers.tar.gz"
    cases = extraction_sets.papers_read(archive, "tune")
    marked = extraction_sets.completed_by(cases, extraction_sets.fuel_cells(archive, "tune"))
    values = values_of(cases)
    print(by_itself(values))
    pairs = {}
    for case in cases:
        fold = extraction_reader.fold_of("fuel cells", case.document.source)
        table = fit([one for one in values if one.source != case.document.source])
        pairs[case.document.source] = pairs_of(case, reader.load(arguments.folds / f"{fold}.safetensors"), table)
    scored, framed = scored_apart(pairs, {case.document.source: case for case in marked})
    print("calibration", *extraction_fit.calibration(scored), sep="\n  ")
    print("read whole", *extraction_fit.curve(scored, sum(len(case.gold) for case in cases)), sep="\n  ")
    print("marked", *extraction_fit.curve(framed, sum(len(case.gold) for case in marked)), sep="\n  ")
    threshold = threshold_for(framed, sum(len(case.gold) for case in marked))
    print("threshold", threshold)
    tables = fit_pairs([p for ps in pairs.values() for p in ps])
    print(json.dumps({"elsewhere": fit(values), **tables}, indent=1))
    if arguments.write:
        content = json.loads(extraction_fit.WEIGHTS.read_text(encoding="utf-8"))
        content["elsewhere"] = fit(values)
        content["reader"] |= tables
        content["reader"]["threshold"]["paper"] = threshold
        extraction_fit.WEIGHTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def by_itself(values: Sequence[Value]) -> dict[str, int]:
    """How often values that the rules know no temperature of get the right one, or rightly none, paper by paper."""
    count: Counter[str] = Counter()
    for source in sorted({one.source for one in values}):
        table = fit([one for one in values if one.source != source])
        for one in values:
            if one.source != source or one.rules[0]:
                continue
            shares: Counter[object] = Counter()
            good = set()
            logs = log_shares([features for _, features in one.options], table)
            for (said, _), log, right in zip(one.options, logs, one.right, strict=True):
                key = said.key if said else None
                shares[key] += math.exp(log)  # type: ignore[assignment]
                good |= {key} if right else set()
            count["without a temperature by the rules"] += 1
            count["rightly so"] += one.rules[1]
            count["right by this"] += max(shares, key=lambda key: shares[key]) in good
    return dict(count)


if __name__ == "__main__":
    main()
