"""How right ``sozai extract`` is: own sentences, fuel-cell papers, polymer abstracts; beside it a first version and a small model.  # noqa: E501

python benchmarks/extraction.py --data FOLDER
"""  # noqa: E501

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import common
import extraction_polymers
import extraction_relations
import extraction_score
import extraction_sets
from extraction_first import first_version
from extraction_sets import Case

from sozai.assistant.extraction import extract, verified
from sozai.assistant.extraction.pairing import Trace
from sozai.assistant.extraction.record import Record

BOTH = frozenset(("temperature", "material"))
JUDGE = "own sentences, held out", "fuel-cell papers, judge", "polymer abstracts, dev, both readers"
FILLED = "fuel-cell papers, judge, temperatures completed"
WHOLE = "fuel-cell papers, judge, read whole"
SIX = tuple(dict.fromkeys(name for names in extraction_sets.SLOTS.values() for name in names))
"""Properties of the fuel-cell papers that are judged."""
MODEL_SENTENCES = 8
RULES = "its rules alone"
METHODS = "sozai extract", RULES, "first version"


def parts_of(name: str) -> frozenset[str]:
    """What must be right besides property, value and unit: the tags of the abstracts tell no temperature."""
    return BOTH - {"temperature"} if name.endswith("nearest name") else BOTH


def rules(case: Case) -> list[Record]:
    """``sozai extract --rules-only``."""
    return extract(case.document, list(case.wanted) or None, read=False)


def model_alone(model, case: Case) -> list[Record]:  # type: ignore[no-untyped-def]
    """A language model alone: its answers located in the text, without the rules' records."""
    from dataclasses import replace

    from sozai.assistant.extraction.ask_model import propose_records
    from sozai.assistant.extraction.schema import read_schema

    records, _ = propose_records(case.document, [], read_schema(case.wanted), model)
    return [replace(record, doubts=()) for record in records]


def main() -> None:
    """Run everything and write docs/benchmarks/extraction.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with text/")
    parser.add_argument("--model", help="also ask this model (e.g. small) for the own sentences")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks/extraction.md"))
    arguments = parser.parse_args()
    text = arguments.data / "text"
    train = extraction_polymers.polymers(text / "polymer_abstracts_train.json.gz")
    dev = extraction_polymers.polymers(text / "polymer_abstracts_dev.json.gz")
    readers = {by: extraction_relations.read_by(dev, "dev", by) for by in "AB"}
    sets = {
        "own sentences, tuned on": extraction_sets.own("tune"),
        JUDGE[0]: extraction_sets.own("held out"),
        "fuel-cell papers, tuned on": extraction_sets.fuel_cells(text / "sofc_exp_30_papers.tar.gz", "tune"),
        JUDGE[1]: extraction_sets.fuel_cells(text / "sofc_exp_30_papers.tar.gz", "judge"),
        FILLED: [],
        WHOLE: extraction_sets.papers_read(text / "sofc_exp_30_papers.tar.gz", "judge", SIX),
        "polymer abstracts, 120 of train read (tuned on)": extraction_relations.read_by(train, "train", "A"),
        "polymer abstracts, 80 more of train read (tuned on)": extraction_relations.read_by(train, "train", "C"),
        "polymer abstracts, 91 of train, at first sight": extraction_relations.read_by(train, "train", "D"),
        JUDGE[2]: extraction_relations.agreed(readers["A"], readers["B"]),
        "polymer abstracts, dev, as A read them": readers["A"],
        "polymer abstracts, dev, as B read them": readers["B"],
        "polymer abstracts, dev, nearest name": dev,
        "varied sentences (tuned on since)": extraction_sets.passages("varied_sentences.jsonl"),
        "fresh passages, held out": extraction_sets.passages("fresh_sentences.jsonl"),
        "unseen passages, held out": extraction_sets.passages("unseen_passages.jsonl"),
        "last passages, at first sight": extraction_sets.passages("last_passages.jsonl"),
    }
    sets[FILLED] = extraction_sets.completed(sets[JUDGE[1]])
    traces: dict[int, Trace] = {}

    def both(case: Case) -> list[Record]:
        """``sozai extract`` without a language model: rules and network."""
        traces[id(case)] = []
        return extract(case.document, list(case.wanted) or None, traces[id(case)], read=True)

    methods: dict[str, Callable[[Case], list[Record]]] = {
        "sozai extract": both,
        RULES: rules,
        "first version": first_version,
    }
    kept: dict[tuple[str, int], list[Record]] = {}
    seconds: dict[tuple[str, str], float] = {}
    for method, function in methods.items():
        for name, cases in sets.items():
            began = time.process_time()
            for case in cases:
                kept[method, id(case)] = function(case)
            seconds[method, name] = time.process_time() - began
    parts = [_words(sets), _table(sets, kept, seconds), _ceiling(readers), _partial(sets, kept), _stated(sets, kept)]
    parts += [_curves(sets, kept), _not_in_text(sets, kept, traces)]
    parts.append(_model(arguments.model, sets))
    common.write_fragment(arguments.out, "Extraction from papers", parts)


def _ceiling(readers: dict[str, list[Case]]) -> str:
    """The two readers of the polymer abstracts, each judged by the other."""
    rows = []
    for one, other in ("AB", "BA"):
        given = {id(b): extraction_relations.as_records(a) for a, b in zip(readers[one], readers[other], strict=True)}
        for label, judged in (("value", frozenset[str]()), ("value, material", BOTH - {"temperature"}), ("all", BOTH)):
            score = extraction_score.score(readers[other], lambda case, g=given: g[id(case)], judged)
            rows.append([f"{one} judged by {other}: {label}", *_row(score)[:4]])
    both = extraction_relations.agreed(readers["A"], readers["B"])
    values, left = sum(len(case.gold) for case in both), sum(len(case.open) for case in both)
    return (
        "**What two readers agree on** (polymer abstracts, dev; each read all of them alone, without seeing what any tool "  # noqa: E501
        f"gives). They agree in every part on {values} values; {left} marks of one or the other are left open.\n\n"
        + common.table(["reader", *HEAD[:4]], rows)
    )


def _curves(sets, kept) -> str:  # type: ignore[no-untyped-def]
    """Precision and recall, strict, when only records of at least some probability are taken."""
    rows = []
    for name, cases in sets.items():
        parts = parts_of(name)
        gold = sum(len(case.gold) for case in cases)
        cells = []
        for least in (0.0, 0.5, 0.6, 0.7, 0.8, 0.85):
            right, given, found = 0, 0, 0
            for case in cases:
                hit = set()
                for record in kept["sozai extract", id(case)]:
                    place = record.quantity.span.start
                    if (
                        (record.probability or 0.0) >= least
                        and record.material
                        and any(a <= place < b for a, b in case.scope)
                    ):
                        matches = {
                            n for n, g in enumerate(case.gold) if extraction_score.agrees(record, g, case, parts)
                        }
                        given, right, hit = given + 1, right + bool(matches), hit | matches
                found += len(hit)
            cells.append(f"{right / given:.2f} / {found / gold:.2f}" if given else "-")
        rows.append([name, *cells])
    return (
        "**Precision / recall by the least probability taken** (strict, every record that names a material, "
        "whatever its flags):\n\n" + common.table(["set", "all", "0.50", "0.60", "0.70", "0.80", "0.85"], rows)
    )


def _not_in_text(sets, kept, traces) -> str:  # type: ignore[no-untyped-def]
    """How many records of whom do not stand in the text: a check that must find some."""
    from dataclasses import replace

    from sozai.assistant.extraction.schema import read_schema

    every = {id(case): case for cases in sets.values() for case in cases}.values()
    raw, first, product, lies = [], [], [], []
    for case in every:
        known = read_schema()
        raw += [verified(reading.record, case.document, known)[0] for reading in traces[id(case)]]
        first += [verified(record, case.document, known)[0] for record in kept["first version", id(case)]]
        product += [verified(record, case.document, known)[0] for record in kept["sozai extract", id(case)]]
        for n, record in enumerate(kept["sozai extract", id(case)]):  # a liar: another number, unit, material or heat
            quantity = record.quantity
            told = (
                replace(record, quantity=replace(quantity, value=quantity.value * 1.1 + 0.01)),
                replace(record, quantity=replace(quantity, unit="parrot")),
                replace(record, material=(record.material or "x") + " with unobtainium"),
                replace(
                    record, conditions={**record.conditions, "temperature": replace(quantity, unit="degC", value=451.0)}
                ),
            )[n % 4]
            lies.append(verified(told, case.document, known)[0])
    rows = [
        [name, str(len(checked)), str(checked.count(False)), passed]
        for name, checked, passed in (
            ("candidates of the rules, before the check", raw, "0: the product leaves them out"),
            ("first version (it has no check)", first, str(first.count(False))),
            ("a liar: records with one part changed", lies, f"{lies.count(True)} lies are taken for true"),
            ("sozai extract", product, str(product.count(False))),
        )
    ]
    return (
        "**Values not in the text**: records that `verified` does not find again where they say they stand.\n\n"
        + common.table(["records of", "checked", "not in the text", "let through"], rows)
    )


def _row(score: extraction_score.Score) -> list[str]:
    return [
        f"{score.right}/{score.given}",
        f"{score.precision:.2f}",
        f"{score.found}/{score.gold}",
        f"{score.recall:.2f}",
        f"{score.flagged} ({score.flagged_right})",
    ]


HEAD = ["right/given", "precision", "found/gold", "recall", "flagged (right)"]


def _table(sets, kept, seconds) -> str:  # type: ignore[no-untyped-def]
    rows = []
    for name, cases in sets.items():
        for method in METHODS:
            parts = parts_of(name)
            score = extraction_score.score(cases, lambda case, m=method: kept[m, id(case)], parts)
            rows.append(
                [
                    f"{name}: {method}",
                    *_row(score),
                    f"{seconds[method, name] / max(1, sum(len(c.document.sentences) for c in cases)) * 1000:.1f}",
                ]
            )
    return (
        "**Strict**: property, value, unit, temperature and material all right; whatever the annotators did not mark is wrong.\n\n"  # noqa: E501
        + common.table(["set: method", *HEAD, "ms/sentence"], rows)
    )


def _partial(sets, kept) -> str:  # type: ignore[no-untyped-def]
    rows = []
    for name, cases in sets.items():
        for label, parts in (
            ("value", frozenset()),
            ("value, temperature", frozenset(["temperature"])),
            ("value, material", frozenset(["material"])),
        ):
            if "temperature" in parts and "temperature" not in parts_of(name):
                continue
            rows.append(
                [
                    f"{name}: {label}",
                    *_row(extraction_score.score(cases, lambda case: kept["sozai extract", id(case)], parts)),
                ]
            )
    return "**Where it goes wrong** (sozai extract, strict, fewer parts judged):\n\n" + common.table(
        ["set: judged", *HEAD], rows
    )


def _stated(sets, kept) -> str:  # type: ignore[no-untyped-def]
    rows = []
    for name, cases in sets.items():
        if not name.startswith("fuel") and not name.endswith("nearest name"):
            continue
        for method in METHODS:
            parts = parts_of(name)
            score = extraction_score.score(
                cases, lambda case, m=method: kept[m, id(case)], parts, lenient=True, marked=True
            )
            rows.append([f"{name}: {method}", *_row(score), str(score.outside)])
    return (
        "**As stated**: only values that the annotators marked are judged (the last column counts the others, which are "  # noqa: E501
        "neither right nor wrong), and a temperature is let pass where the annotation gives none.\n\n"
        + common.table(["set: method", *HEAD, "not marked"], rows)
    )


def _model(spec: str | None, sets) -> str:  # type: ignore[no-untyped-def]
    if spec is None:
        return "A language model alone: not run."
    from sozai.assistant.models import connect

    model = connect(spec)
    cases = sets[JUDGE[0]][:MODEL_SENTENCES]
    began = time.process_time()
    score = extraction_score.score(cases, lambda case: model_alone(model, case), BOTH)
    spent = (time.process_time() - began) / len(cases)
    return (
        f"The model {model.name} alone on {len(cases)} held-out sentences (its answers located in the text):\n\n"
        + common.table(["model", *HEAD, "CPU s/sentence"], [[model.name, *_row(score), f"{spent:.1f}"]])
    )


def _filled(sets) -> str:  # type: ignore[no-untyped-def]
    pairs = [
        (a, b)
        for case, done in zip(sets[JUDGE[1]], sets[FILLED], strict=True)
        for a in case.gold
        for b in done.gold
        if (a.start, a.end, a.properties) == (b.start, b.end, b.properties)
    ]
    without = [(a, b) for a, b in pairs if not a.temperatures]
    found = sum(bool(b.temperatures) for _, b in without)
    read = extraction_sets.temperatures_read()
    alike = 0
    for case in sets[JUDGE[1]]:
        for a in case.gold:
            heat = read[case.document.source, a.start, a.end][0]
            alike += any(abs(x - y) < 1 for x in a.temperatures for y in heat) or not (heat or a.temperatures)
    open_ = sum(len(case.gold) for case in sets[JUDGE[1]]) - sum(len(case.gold) for case in sets[FILLED])
    return (
        "two readers (large language models, blind to each other, to the frames and to any tool) said of each marked value "  # noqa: E501
        f"at which temperature the paper says it holds. Of {len(without) + open_} values without one in the frames both found the same "  # noqa: E501
        f"one for {found} ({open_} differed): there it is the right one. What the frames say is what a reader says, "
        f"or one of it, for {alike} of {len(pairs)} values."
    )


def _words(sets) -> str:  # type: ignore[no-untyped-def]
    judged = sum(gold.judged for name in sets if name.startswith("fuel") for case in sets[name] for gold in case.gold)
    every = sum(len(case.gold) for name in sets if name.startswith("fuel") for case in sets[name])
    return (
        "Precision counts records without a flag (one flagged only as another work's is judged like unflagged ones); flagged ones (with a reason to look at them) stand in their own column "  # noqa: E501
        "with how many of them are right. Recall counts unflagged records only.\n\n"
        "The held-out own sentences, fuel-cell papers and polymer tags were measured nine to eleven times, the "
        "readings of the polymer abstracts and the fresh passages six to eight, the unseen passages four to six, the "
        "last passages three to five times, each time with no change made because of their items; one number was set once the counts "  # noqa: E501
        "of the fuel-cell papers were known (`AGREEMENT` of `benchmarks/extraction_stack.py`). The papers read whole and "  # noqa: E501
        "those with completed temperatures were measured by two versions before, which had not been trained on papers "
        "read whole (0.74 / 0.49 and 0.82 / 0.58, then 0.86 / 0.48 and 0.92 / 0.59), and by this one; that many values "
        "lacked a temperature said elsewhere was learned from these counts, what to do about it "
        "from the 15 papers for tuning. At first this version had 0.95 / 0.57 on the polymer abstracts, dev: its "
        "chances are lower there. The threshold for materials, 0.55 set by hand until then, was then set as the others "
        "are: the highest that leaves a fixed recall in the abstracts for tuning (0.48). Sets that were held out once and then looked at and mended for: the "  # noqa: E501
        "varied sentences (0.80 / 0.62, then 0.71 / 0.60), 45 passages that are among the training ones now "
        "(0.88 / 0.64 at first sight), and 80 more polymer abstracts of a third reader (0.65 / 0.41 at first sight: "
        "this reader marked more).\n\n"
        "- Own sentences: 60 on conductivity, written before tuning; odd ones tuned on, even ones held out "
        "(the same person wrote both, and the rules).\n"
        "- Fuel-cell papers: SOFC-Exp, 30 papers, every other one tuned on. A record is a value slot (power density, "
        "current density, conductivity, open circuit voltage, resistance) of an experiment frame; temperatures and materials "  # noqa: E501
        "(devices too) are the frame's and those of frames linked as the same experiment. Only sentences with a frame are "  # noqa: E501
        f"judged. {every - judged} of {every} frames name no material: there it is not judged.\n"
        f"- Temperatures completed: {_filled(sets)}\n"
        "- Read whole: the same 15 papers, all their sentences, tables and captions, as one reader (a large language model, "  # noqa: E501
        "blind to frames and tools) marked every value of those six properties, with temperatures and materials wherever "  # noqa: E501
        "the paper tells them (`tests/data/extraction/fuel_cell_papers.jsonl`; the papers for tuning likewise).\n"
        "- Polymer abstracts: two readers (a large language model each, reading like a person) wrote down which material, property, value and temperature belong together, blind "  # noqa: E501
        "to each other and to any tool (of the 652 for training, one read 120 and a third 80 others, on which names and threshold were tuned, a fourth 91 more that nobody looked at). What both "  # noqa: E501
        "read alike is gold; what they read differently, or only one of them marked, is neither right nor wrong. As A or B "  # noqa: E501
        "read them: everything the reader did not mark is wrong. The abstracts may not be given on, so the annotations are "  # noqa: E501
        "places in the text (`tests/data/extraction/polymer_relations.jsonl`). The readers marked temperatures given as numbers "  # noqa: E501
        "only: one in words (room temperature) is not judged there.\n"
        "- Nearest name, the older judgement of the same abstracts by the corpus's tags alone: a record is a tagged value with "  # noqa: E501
        "the nearest tagged property name of its sentence that the schema knows as a head noun and whose unit it has (any of "  # noqa: E501
        "them with 'respectively'); its material is any polymer, family or inorganic of the sentence, else any material of the "  # noqa: E501
        "abstract; temperatures are not judged.\n"
        "- Varied sentences: 20 of ours on many properties; fresh passages: 43 by a writer who did not know the rules; "
        "unseen passages: 45 by another, one half of 90 by a rule fixed before; last passages: 120 by one more, asked for "  # noqa: E501
        "what stands in papers at its natural frequency (many of several sentences); the network was trained on such ones of twelve others. "  # noqa: E501
        "The text of the fresh ones was not seen before, but a count of their units was, and the reading of %/kh (2 values) was mended "  # noqa: E501
        "after it."
    )


if __name__ == "__main__":
    main()
