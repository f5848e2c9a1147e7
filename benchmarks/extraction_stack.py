"""Fits how the rules and the network are weighed together (``reader`` in ``weights.json`` of ``sozai extract``).

python benchmarks/extraction_reader.py --data FOLDER --folds FOLDER --write
python benchmarks/extraction_stack.py --data FOLDER --folds FOLDER [--write]

What the network says of a passage comes from one that saw nothing of its writer (of a fuel-cell paper: of that paper);
the weights, about thirty, are fitted on that, judged on the writers left out. Whose a value is and at what temperature
is learned from papers too, but how sure that is from passages alone: a value of a paper may have its temperature far
away, and ``extraction_elsewhere.py`` fits chances of papers.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import common  # noqa: F401
import extraction_fit
import extraction_polymers
import extraction_reader
import extraction_relations
import extraction_score
import extraction_sets
from extraction_fit import Example
from extraction_sets import Case

from sozai.assistant.extraction import reader
from sozai.assistant.extraction.questions import Question
from sozai.assistant.extraction.reader import Answer, Reader
from sozai.assistant.extraction.record import Record
from sozai.assistant.extraction.reread import Features, chance_of, heat_features, owner_features, record_features

RIDGE = {"choice": 0.5, "record": 3.0}
THRESHOLD = 0.55
"""The chance, before its odds are scaled, from which on a record of a device's value counts as sure."""
AGREEMENT = 1.0
"""Added to the odds of a device's value where rules and network agree, taken away where they do not: on papers on fuel
cells the rules are right more often than the network, on natural passages less often, and the fit cannot weigh both."""
BOTH = frozenset(("temperature", "material"))


@dataclass
class Pair:
    """A value as the rules and the network read it, with what is right; ``whole``: of a paper."""

    example: Example
    question: Question
    answer: Answer
    owners: list[Features]
    heats: list[Features]
    right: list[bool] | None
    right_heats: list[bool] | None
    fold: int
    whole: bool


def pairs_of(cases: Sequence[Case], fold: int, read: Reader, whole: bool) -> list[Pair]:
    """Every value of some documents, as the rules and a network that saw none of them read it."""
    examples = extraction_fit.examples_of([(list(cases), BOTH)], lambda case: read)
    questions = [e.asker.ask(e.reading) for e in examples]
    out = []
    for e, question, answer in zip(examples, questions, read.answers(questions), strict=True):
        _, right, heats = extraction_reader.truth_of(e, question)
        out.append(
            Pair(
                e,
                question,
                answer,
                owner_features(e.reading, question, answer),
                heat_features(e.reading, question, answer),
                right,
                heats,
                fold,
                whole,
            )
        )
    return out


def fit(pairs: Sequence[Pair]) -> dict[str, dict[str, float]]:
    """Weights ``owner``, ``heat`` and ``record``."""
    tables = {
        "owner": extraction_fit.fit_choice(
            [(p.owners, p.right) for p in pairs if p.right is not None], RIDGE["choice"]
        ),
        "heat": extraction_fit.fit_choice(
            [(p.heats, p.right_heats) for p in pairs if p.right_heats is not None], RIDGE["choice"]
        ),
    }
    rows = [judged(p, tables) for p in pairs if p.example.judged and p.example.inside and not p.whole]
    tables["record"] = extraction_fit.fit_record([row for row in rows if row is not None], RIDGE["record"])
    return tables


def record_of(pair: Pair, tables: dict[str, dict[str, float]]) -> tuple[dict[str, float], Record] | None:
    """The record that rules and network make together, and the features of its chance."""
    reading = pair.example.reading
    features, best, at = record_features(reading, pair.answer, pair.owners, pair.heats, tables, pair.example.device)
    if best is None:
        return None
    conditions = {name: q for name, q in reading.record.conditions.items() if name != "temperature"}
    if at is not None and pair.question.heats is not None and at < len(pair.question.heats):
        conditions["temperature"] = pair.question.heats[at].quantity  # type: ignore[assignment]
    name = pair.question.materials[best].name
    return features, dataclasses.replace(reading.record, material=name, conditions=conditions)


def judged(pair: Pair, tables: dict[str, dict[str, float]]) -> tuple[dict[str, float], bool] | None:
    """Features of the record that rules and network make together, and whether it is right."""
    if (made := record_of(pair, tables)) is None:
        return None
    return made[0], bool(hit_by(made[1], pair.example.case))


def hit_by(record: Record, case: Case) -> list[int]:
    """Numbers of the gold records that a record is."""
    return [n for n, g in enumerate(case.gold) if extraction_score.agrees(record, g, case, BOTH)]


def chances_of(
    pairs: Sequence[Pair], tables: dict[str, dict[str, float]], device: dict[str, float]
) -> list[tuple[float, bool, Example]]:
    """Each record's chance and whether it is right."""
    out = []
    for pair in pairs:
        row = judged(pair, tables) if pair.example.inside else None
        if row is not None:
            kind = device if pair.example.device else None
            out.append((chance_of(row[0], tables["record"], kind), row[1], pair.example))
    return out


def threshold_of_materials(abstracts: Sequence[Case], tables: dict[str, dict[str, float]]) -> float:
    """The chance from which on a record of a material's value counts as sure: the highest, in steps of 0.01, to leave
    the recall ``KEPT`` of ``extraction_fit.py`` in the polymer abstracts for tuning, which no network has seen."""
    found: dict[tuple[int, int], float] = {}
    for pair in pairs_of(abstracts, 0, reader.load(), whole=False):
        made = record_of(pair, tables)
        for number in hit_by(made[1], pair.example.case) if made and pair.example.inside else ():
            place = id(pair.example.case), number
            found[place] = max(found.get(place, 0.0), chance_of(made[0], tables["record"]))  # type: ignore[index]
    kept = extraction_fit.KEPT[False] * sum(len(case.gold) for case in abstracts)
    return max(t / 100 for t in range(100) if sum(chance >= t / 100 for chance in found.values()) >= kept)


def main() -> None:
    """Fit, judge on writers left out, and write with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folds", type=Path, required=True)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    natural = extraction_sets.passages("natural_passages.jsonl")
    papers = extraction_sets.papers_read(arguments.data / "text" / "sofc_exp_30_papers.tar.gz", "tune")
    fold_of, writer_of = extraction_reader.fold_of, extraction_reader.writer_of
    pairs: list[Pair] = []
    for fold in range(len(extraction_reader.FOLDS)):
        read = reader.load(arguments.folds / f"{fold}.safetensors")
        mine = [c for c in natural if fold_of(writer_of(c.document.source), c.document.source) == fold]
        pairs += pairs_of(mine, fold, read, whole=False)
        mine = [c for c in papers if fold_of("fuel cells", c.document.source) == fold]
        pairs += pairs_of(mine, fold, read, whole=True)
    gold = sum(len(case.gold) for case in natural)
    print(sum(not p.whole for p in pairs), "values of", gold, "gold ones", flush=True)
    device = {"agreement": AGREEMENT, "slope": 1.0, "constant": 0.0}
    passages = [p for p in pairs if not p.whole]
    fitted = {fold: fit([p for p in pairs if p.fold != fold]) for fold in sorted({p.fold for p in pairs})}

    def of_left_out() -> list[tuple[float, bool, Example]]:
        return [r for fold, t in fitted.items() for r in chances_of([p for p in passages if p.fold == fold], t, device)]

    scale = extraction_fit.scale_for(of_left_out())["device"]
    device |= scale
    left_out = of_left_out()
    tables = fit(pairs)
    abstracts = extraction_polymers.polymers(arguments.data / "text" / "polymer_abstracts_train.json.gz")
    threshold = {
        "device": round(extraction_fit.rescaled(THRESHOLD, scale), 3),
        "material": threshold_of_materials(extraction_relations.read_by(abstracts, "train", "A"), tables),
    }
    print("threshold", threshold)
    print(json.dumps(tables, indent=1))
    print("calibration", *extraction_fit.calibration(left_out), sep="\n  ")
    by_rules = [
        (
            e.reading.record.probability or 0.0,
            any(extraction_score.agrees(e.reading.record, g, e.case, BOTH) for g in e.case.gold),
            e,
        )
        for e in (pair.example for pair in passages)
        if e.inside
    ]
    print("rules alone", *extraction_fit.curve(by_rules, gold), sep="\n  ")
    print("together", *extraction_fit.curve(left_out, gold), sep="\n  ")
    if arguments.write:
        content = json.loads(extraction_fit.WEIGHTS.read_text(encoding="utf-8"))
        content["reader"] |= {  # the tables of papers stay until extraction_elsewhere.py is run again
            "threshold": content["reader"]["threshold"] | threshold,
            "device": device,
            "calibration": extraction_fit.in_words(extraction_fit.calibration(left_out)),
            **tables,
        }
        extraction_fit.WEIGHTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
