"""Fits ``weights.json`` of ``sozai extract``: whose a value is, and how probable a record is right.

python benchmarks/extraction_fit.py --data FOLDER [--write]

Trained on the 15 fuel-cell papers for tuning (SOFC-Exp, CC BY 4.0), the 30 own sentences for tuning and the self-made
passages (their values of devices left out: few, and written to be hard); everything is deterministic. The polymer
abstracts ("not for sale") are not in the weights: those that were read for tuning only help to choose the threshold;
with ``--polymers`` they are added to the fit for comparison, and nothing is written. Cross-validation is grouped by
document. How probable a record is said to be is scaled to how often it is right in the natural passages of the first
three writers, whose texts nothing was tuned on; those of the others tell whether that holds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import common  # noqa: F401
import extraction_polymers
import extraction_relations
import extraction_score
import extraction_sets
import numpy as np
from extraction_sets import Case, Gold
from scipy.optimize import minimize

from sozai.assistant.extraction import ranking
from sozai.assistant.extraction.extract import Reads, readings_of
from sozai.assistant.extraction.materials import Names
from sozai.assistant.extraction.pairing import Reading
from sozai.assistant.extraction.questions import Asker
from sozai.assistant.extraction.record_features import material_features, together
from sozai.assistant.extraction.schema import built_in, read_schema

WEIGHTS = Path(ranking.__file__).with_name("weights.json")
FOLDS = 10
"""Of the cross-validation."""
KEPT = {True: 0.61, False: 0.67}
"""The recall that the threshold leaves, of values of devices and of materials."""
CHECKED = 4000
"""Natural passages of this number and above judge the scale of the chances."""
RIDGE = {"material": 3.0, "record": 2.0, "device record": 1.0}
"""L2 penalties; features are not scaled, most are 0 or 1."""


@dataclass
class Example:
    """A value of a training document: its reading, which candidates are right, its document's group and gold.

    ``judged``: whether the annotation tells its material; the chance of a material's record is not fitted on others.
    """

    reading: Reading
    right: list[bool]
    case: Case
    parts: frozenset[str]
    group: int
    inside: bool
    judged: bool
    device: bool
    asker: Asker


def examples_of(
    sets: Sequence[tuple[list[Case], frozenset[str]]], reader_of: Callable[[Case], Reads | None] = lambda case: None
) -> list[Example]:
    """Every value that the rules find, or a document's reader besides, with what the annotation says of it."""
    out, group, schema = [], 0, read_schema()
    for cases, parts in sets:
        for case in cases:
            group += 1
            wanted = read_schema(case.wanted)
            others = [one for one in schema if one not in wanted]
            readings, asker = readings_of(case.document, Names(case.document.text), wanted, others, reader_of(case))
            for reading in readings:
                record = reading.record
                golds = [g for g in case.gold if g.judged and extraction_score.agrees(record, g, case, frozenset())]
                right = [
                    any(extraction_score.names_agree(name, m) for g in golds for m in g.materials)
                    for name in reading.names
                ]
                inside = any(a <= record.quantity.span.start < b for a, b in case.scope)
                told = [g for g in case.gold if extraction_score.agrees(record, g, case, frozenset())]
                device = built_in()[record.property].of == "device"
                judged = device or not told or any(g.judged for g in told)
                out.append(Example(reading, right, case, parts, group, inside, judged, device, asker))
    return out


def fit_choice(cases: Sequence[tuple[Sequence[Mapping[str, float]], Sequence[bool]]], ridge: float) -> dict[str, float]:
    """Conditional logistic regression: the share of the right ones among all, by features of each."""
    used = [(features, right) for features, right in cases if any(right) and not all(right)]
    names = sorted({name for features, _ in used for one in features for name in one})
    place = {name: n for n, name in enumerate(names)}
    x = np.zeros((sum(len(features) for features, _ in used), len(names)))
    for row, one in enumerate(one for features, _ in used for one in features):
        for name, value in one.items():
            x[row, place[name]] = value
    group = np.repeat(np.arange(len(used)), [len(features) for features, _ in used])
    good = np.array([r for _, right in used for r in right])
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])

    def loss(w):  # type: ignore[no-untyped-def]
        z = x @ w
        z = z - np.maximum.reduceat(z, starts)[group]
        share = np.exp(z)
        every = np.bincount(group, share)
        ours = np.bincount(group, share * good)
        slope = x.T @ (share / every[group] - share * good / ours[group])
        return float(np.log(every / ours).sum() + ridge * w @ w), slope + 2 * ridge * w

    w = minimize(loss, np.zeros(len(names)), jac=True, method="L-BFGS-B").x
    return {name: round(float(v), 3) for name, v in zip(names, w, strict=True) if abs(v) >= 5e-4}


def fit_material(examples: Sequence[Example]) -> dict[str, float]:
    """Weights of the features that the rules see of a material."""
    return fit_choice([([c.features for c in e.reading.candidates], e.right) for e in examples], RIDGE["material"])


def chosen(example: Example, material: dict[str, float]) -> tuple[dict[str, float], bool] | None:
    """Features of the record with the best candidate by these weights, and whether it is right; none without one."""
    from dataclasses import replace

    reading = example.reading
    if not reading.candidates:
        return None
    shares = ranking.chances(reading.candidates, material)
    best = int(np.argmax(shares))
    features = {
        name: x
        for name, x in reading.features.items()
        if not name.startswith("material ") and name != "chance of the material"
    }
    features |= material_features(reading.candidates[best].features, float(max(shares)), example.device)
    record = replace(reading.record, material=reading.names[best])
    good = any(extraction_score.agrees(record, g, example.case, example.parts) for g in example.case.gold)
    return together(features), good


Rows = list[tuple[dict[str, float], bool, bool]]
"""Features of a record, whether it is right, whether it is a device's value."""


def fit_records(rows: Rows) -> dict[str, dict[str, float]]:
    """Weights of ``record`` and of ``device record``."""
    return {
        "record": fit_record([row[:2] for row in rows if not row[2]], RIDGE["record"]),
        "device record": fit_record([row[:2] for row in rows if row[2]], RIDGE["device record"]),
    }


def fit_record(rows: Sequence[tuple[dict[str, float], bool]], ridge: float) -> dict[str, float]:
    """Logistic regression on whether a record is right."""
    names = sorted({name for features, _ in rows for name in features})
    x = np.array([[features.get(name, 0.0) for name in names] + [1.0] for features, _ in rows])
    y = np.array([good for _, good in rows], float)
    penalty = np.r_[np.full(len(names), ridge), 0.0]

    def loss(w):  # type: ignore[no-untyped-def]
        z = x @ w
        p = 1.0 / (1.0 + np.exp(-z))
        return float((np.logaddexp(0, z) - y * z).sum() + penalty @ (w * w)), x.T @ (p - y) + 2 * penalty * w

    w = minimize(loss, np.zeros(len(names) + 1), jac=True, method="L-BFGS-B").x
    return {name: round(float(v), 3) for name, v in zip([*names, "constant"], w, strict=True) if abs(v) >= 5e-4}


def cross_validated(examples: Sequence[Example]) -> tuple[list[tuple[float, bool, Example]], dict[str, float]]:
    """Each record's chance by weights fitted without its document, and how often the best candidate is right."""
    fold = {
        group: n % FOLDS
        for n, group in enumerate(np.random.default_rng(0).permutation(sorted({e.group for e in examples})))
    }
    out: list[tuple[float, bool, Example]] = []
    picks, rules, total = 0, 0, 0
    for turn in range(FOLDS):
        rest = [e for e in examples if fold[e.group] != turn]
        inner: Rows = []
        for half in range(4):  # the chance of the material must be one that its own fit has not seen
            seen = fit_material([e for e in rest if fold[e.group] % 4 != half])
            inner += rows_of([e for e in rest if fold[e.group] % 4 == half], seen)
        material, records = fit_material(rest), fit_records(inner)
        for e in (e for e in examples if fold[e.group] == turn):
            row = chosen(e, material)
            if any(e.right) and not all(e.right):
                total += 1
                picks += e.right[int(np.argmax(ranking.chances(e.reading.candidates, material)))]
                rules += any(
                    r for r, c in zip(e.right, e.reading.candidates, strict=True) if c.features["the rules' choice"]
                )
            if row and e.inside:
                weights = records["device record" if e.device else "record"]
                out.append((ranking.probability(row[0], e.device, weights), row[1], e))
    return out, {"judged": total, "learned": picks / total, "rules": rules / total}


def final(examples: Sequence[Example]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Weights fitted on everything; the record's on chances of materials that were cross-validated."""
    rows: Rows = []
    for turn in range(4):
        seen = fit_material([e for e in examples if e.group % 4 != turn])
        rows += rows_of([e for e in examples if e.group % 4 == turn], seen)
    return fit_material(examples), fit_records(rows)


def scored_by(
    examples: Sequence[Example], material: dict[str, float], records: dict[str, dict[str, float]]
) -> list[tuple[float, bool, Example]]:
    """Each record's chance by given weights, and whether it is right."""
    return [
        (ranking.probability(row[0], e.device, records["device record" if e.device else "record"]), row[1], e)
        for e in examples
        if e.inside and (row := chosen(e, material))
    ]


def rows_of(examples: Sequence[Example], material: dict[str, float]) -> Rows:
    """What the chance of a record is fitted on."""
    return [(*row, e.device) for e in examples if e.inside and e.judged and (row := chosen(e, material))]


def curve(scored: Sequence[tuple[float, bool, Example]], gold: int) -> list[dict[str, float]]:
    """Precision and recall at thresholds."""
    out = []
    for threshold in np.arange(0.0, 0.96, 0.05):
        kept = [good for chance, good, _ in scored if chance >= threshold]
        if kept:
            out.append(
                {
                    "threshold": round(float(threshold), 2),
                    "given": len(kept),
                    "precision": round(sum(kept) / len(kept), 3),
                    "recall": round(sum(kept) / gold, 3),
                }
            )
    return out


def threshold_for(sets: Sequence[tuple[Sequence[tuple[float, bool, Example]], list[Case]]], device: bool) -> float:
    """The highest chance that still leaves a recall of ``KEPT`` of such values in every set, in steps of 0.01."""

    def recall(rows: Sequence[tuple[float, bool, Example]], cases: list[Case], t: float) -> float:
        gold = sum(is_device(g) == device for case in cases for g in case.gold)
        return sum(good for chance, good, e in rows if e.device == device and chance >= t) / gold if gold else 1.0

    fitting = [t for t in np.arange(0.3, 0.99, 0.01) if all(recall(*one, t) >= KEPT[device] for one in sets)]
    return round(float(max(fitting, default=0.5)), 2)


def scale_for(scored: Sequence[tuple[float, bool, Example]]) -> dict[str, dict[str, float]]:
    """Slope and constant for the logarithm of the odds, by kind of value, after which chances are what was seen."""
    found = {}
    for kind in ("device", "material"):
        rows = [({"odds": odds(p)}, good) for p, good, e in scored if e.device == (kind == "device")]
        table = fit_record(rows, 0.01)
        found[kind] = {"slope": table.get("odds", 0.0), "constant": table.get("constant", 0.0)}
    return found


def odds(chance: float) -> float:
    """Logarithm of the odds of a chance."""
    return float(np.log(chance / (1 - chance)))


def rescaled(chance: float, scale: dict[str, float]) -> float:
    """A chance on the scale of ``scale_for``."""
    return ranking.logistic(ranking.scaled(odds(chance), scale))


def is_device(gold: Gold) -> bool:
    """Whether a value is one of devices, as the schema says of its property."""
    return built_in()[next(iter(gold.properties))].of == "device"


def calibration(scored: Sequence[tuple[float, bool, Example]]) -> list[tuple[str, int, float, float]]:
    """Stated and true share of right records by chance."""
    out = []
    for low, high in ((0, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.01)):
        rows = [(chance, good) for chance, good, _ in scored if low <= chance < high]
        if rows:
            out.append(
                (
                    f"{low:.1f}-{min(high, 1):.1f}",
                    len(rows),
                    float(np.mean([r[0] for r in rows])),
                    float(np.mean([r[1] for r in rows])),
                )
            )
    return out


def in_words(bins: Sequence[tuple[str, int, float, float]]) -> list[dict[str, float | str]]:
    """A ``calibration`` as ``weights.json`` holds it."""
    return [{"bin": name, "records": n, "stated": round(s, 3), "right": round(r, 3)} for name, n, s, r in bins]


def main() -> None:
    """Fit, report, and write with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--polymers", action="store_true", help="add the polymer abstracts for training; writes nothing"
    )
    parser.add_argument("--write", action="store_true", help="write weights.json")
    arguments = parser.parse_args()
    both = frozenset(("temperature", "material"))
    text = arguments.data / "text"
    passages = extraction_sets.passages("training_passages.jsonl")
    sets = {
        "fuel cells": extraction_sets.fuel_cells(text / "sofc_exp_30_papers.tar.gz", "tune"),
        "own sentences": extraction_sets.own("tune"),
        "own passages": passages,
    }
    abstracts = extraction_polymers.polymers(text / "polymer_abstracts_train.json.gz")
    read = extraction_relations.read_by(abstracts, "train", "A")
    if arguments.polymers:
        sets["polymers"] = read
    own = {id(case) for case in passages}
    examples = examples_of([(cases, both) for cases in sets.values()])
    examples = [e for e in examples if not (e.device and id(e.case) in own)]
    scored, picks = cross_validated(examples)
    material_weights, record_weights = final(examples)
    print("material chosen right (cross-validated, where candidates differ):", picks)
    parts = {}
    for name, cases in sets.items():
        mine = {id(case) for case in cases}
        parts[name] = [row for row in scored if id(row[2].case) in mine], cases
    if not arguments.polymers:  # never fitted on, so the final weights are tried on them
        parts["polymers, read"] = scored_by(examples_of([(read, both)]), material_weights, record_weights), read
    threshold = {
        "device": threshold_for([parts["fuel cells"]], True),
        "material": threshold_for([part for name, part in parts.items() if name != "fuel cells"], False),
    }
    natural = scored_by(
        examples_of([(extraction_sets.passages("natural_passages.jsonl"), both)]), material_weights, record_weights
    )
    numbers = [int(e.case.document.source.split()[-1]) for *_, e in natural]
    judge = [row for row, number in zip(natural, numbers, strict=True) if number >= CHECKED]
    scale = scale_for([row for row, number in zip(natural, numbers, strict=True) if number < CHECKED])
    honest = [(rescaled(chance, scale["device" if e.device else "material"]), good, e) for chance, good, e in judge]
    print("calibration of the natural passages of the other writers, before and after scaling")
    print(*calibration(judge), "after", *calibration(honest), sep="\n  ")
    threshold = {kind: round(rescaled(least, scale[kind]), 3) for kind, least in threshold.items()}
    print("scale", scale, "threshold", threshold)
    for name, (rows, cases) in parts.items():
        gold = sum(len(c.gold) for c in cases)
        print(name, "gold", gold)
        for row in curve(rows, gold):
            print("  ", row)
    print("calibration", *calibration(scored), sep="\n  ")
    if arguments.write and not arguments.polymers:
        content = json.loads(WEIGHTS.read_text(encoding="utf-8"))
        content = {
            "source": "SOFC-Exp tuning papers (Friedrich et al., ACL 2020, CC BY 4.0), own sentences and passages; "
            "scale: natural passages",
            "command": "python " + " ".join(["benchmarks/extraction_fit.py", "--data data", "--write"]),
            "threshold": threshold,
            "scale": scale,
            "calibration": in_words(calibration(honest)),
            "material": material_weights,
            **record_weights,
            # Of extraction_stack.py and of extraction_elsewhere.py.
            **{name: content[name] for name in ("reader", "elsewhere")},
        }
        WEIGHTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    else:
        print(json.dumps({"material": material_weights, **record_weights}, indent=1), file=sys.stderr)


if __name__ == "__main__":
    main()
