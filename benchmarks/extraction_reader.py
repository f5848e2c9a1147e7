"""Trains the network that reads whose a value is (``reader.safetensors`` of ``sozai extract``).

python benchmarks/extraction_reader.py --data FOLDER --folds FOLDER --write

Trained on the 15 fuel-cell papers for tuning (SOFC-Exp, CC BY 4.0) as a reader read them whole, the 30 own sentences
for tuning, and self-made and natural passages; no polymer abstract of the corpus "not for sale" is in it. Four
networks each leave a quarter of the writers and papers out, which ``extraction_stack.py`` needs; the one that ships
is the mean of their weights (M. Wortsman et al., Model soups, ICML 2022), which has seen all and reads better than
each. About 28 minutes on one processor for each.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import random
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import common  # noqa: F401
import extraction_fit
import extraction_score
import extraction_sets
import torch
from extraction_fit import Example
from extraction_sets import Case
from safetensors.torch import load_file
from torch.nn import functional

from sozai.assistant.documents.document import Span
from sozai.assistant.extraction import reader
from sozai.assistant.extraction.materials import Names
from sozai.assistant.extraction.quantities import find_quantities
from sozai.assistant.extraction.questions import ASKED, Asker, Question
from sozai.assistant.extraction.reader import Answer
from sozai.assistant.extraction.reader_network import Encoded, ReaderNetwork, encode
from sozai.assistant.extraction.record import Quantity, Record
from sozai.assistant.extraction.schema import read_schema
from sozai.assistant.extraction.unnamed import in_unit

EPOCHS = 4
ASKED_SHARE = 0.5
"""Of the questions for a property that an epoch takes: there are many, and most are easy."""
BATCH = 16
RATE = {"upper": 2e-4, "heads": 1e-3}
WARM_UP = 30
FOLDS = (("1", "4", "11"), ("5", "6", "13"), ("3", "7", "10"), ("2", "8", "12"))
"""Writers of the natural passages; in each fold some of every field."""


@dataclass
class Lesson:
    """A question with what the annotation says.

    Attributes:
        materials: for each one offered whether it is right, and last whether none is; ``None`` where not told.
        heats: likewise of temperatures.
        valid: whether the value is one of that property at all; ``None`` where not told.
    """

    question: Question
    encoded: Encoded
    materials: list[bool] | None
    heats: list[bool] | None
    valid: bool | None
    writer: str
    source: str
    vectors: torch.Tensor | None = None


@dataclass(frozen=True)
class Gold:
    """Answers as the annotation does which property a number is a value of."""

    case: Case

    def answers(self, questions: Sequence[Question]) -> list[Answer]:
        """Certain ones."""
        return [Answer(tuple(0.0 if r else -20.0 for r in right_of(q, self.case)), (), 0.0) for q in questions]


def right_of(question: Question, case: Case) -> list[bool]:
    """For each property offered for a number whether the annotation says it is a value of it; last, whether of none."""
    start, end = question.span.start, question.span.end
    found = find_quantities(case.document.text, start, end, [])
    properties = {one.names[0]: one for one in read_schema()}
    right = []
    for offer in question.materials:
        property_ = properties[offer.name]
        value = in_unit(found[0], property_) if found else None
        if value is None:
            right.append(False)
            continue
        one, written = found[0], case.document.text[found[0].start : found[0].end]
        quantity = Quantity(Span(one.start, one.end), written, value[0], property_.unit, *value[1:], one.relation)
        record = Record("", Span(0, 0), property_.name, quantity, Span(0, len(case.document.text)))
        right.append(any(extraction_score.agrees(record, g, case, frozenset()) for g in case.gold))
    return [*right, not any(right)]


def truth_of(e: Example, question: Question) -> tuple[bool, list[bool] | None, list[bool] | None]:
    """Whether a reading's value is one, which of the materials offered are right (last: none of them), and which of the
    temperatures (last: none); ``None`` where the annotation does not tell, or tells a temperature not offered."""
    record = e.reading.record
    golds = [g for g in e.case.gold if extraction_score.agrees(record, g, e.case, frozenset())]
    if not golds:
        return False, None, None
    names = [m for g in golds if g.judged for m in g.materials]
    right = [any(extraction_score.names_agree(o.name, m) for m in names) for o in question.materials]
    heats = []
    for offer in (*question.heats, None) if question.heats is not None else ():
        conditions = {"temperature": offer.quantity} if offer and offer.quantity else {}
        asked = dataclasses.replace(record, conditions=conditions)
        heats.append(any(extraction_score.agrees(asked, g, e.case, frozenset(("temperature",))) for g in golds))
    return True, [*right, not any(right)] if e.judged else None, heats if any(heats) else None


def lessons_of(cases: Sequence[Case], writer: str, complete: bool) -> list[Lesson]:
    """Every value that the rules find; where the annotation is complete, every other number with a unit too."""
    out = []
    everything = frozenset(("temperature", "material"))
    examples = extraction_fit.examples_of([(list(cases), everything)], lambda case: Gold(case) if complete else None)
    for e in examples:
        question = e.asker.ask(e.reading)
        told, right, heats = truth_of(e, question)
        out.append(
            Lesson(
                question,
                encode(question, reader.tokenizer()),
                right,
                heats,
                told if e.inside and (told or e.judged) else None,
                writer,
                e.case.document.source,
            )
        )
    if complete:
        every = {one.name for one in read_schema()}
        for case in cases:
            mine = [e for e in examples if e.case is case and e.reading.told is None]
            asker = mine[0].asker if mine else Asker(case.document, Names(case.document.text), read_schema())
            taken = {e.reading.record.quantity.span.start for e in mine}
            for one in asker.left(range(len(case.document.sentences)), taken, every):
                right = right_of(one.question, case)
                encoded = encode(one.question, reader.tokenizer())
                out.append(Lesson(one.question, encoded, right, None, None, writer, case.document.source))
    return out


def every_lesson(data: Path) -> list[Lesson]:
    """Of all that may be trained on."""
    archive = data / "text" / "sofc_exp_30_papers.tar.gz"
    out = lessons_of(extraction_sets.papers_read(archive, "tune"), "fuel cells", True)
    out += lessons_of(extraction_sets.own("tune"), "own", False)
    for name in ("training_passages.jsonl", "varied_sentences.jsonl"):
        out += lessons_of(extraction_sets.passages(name), "own", True)
    natural = extraction_sets.passages("natural_passages.jsonl")
    for writer in sorted({writer_of(case.document.source) for case in natural}):
        out += lessons_of([case for case in natural if writer_of(case.document.source) == writer], writer, True)
    return out


def fold_of(writer: str, source: str) -> int:
    """The fold that leaves a document out: of natural passages by writer, of others by the document."""
    if writer in ("own", "fuel cells"):
        return zlib.crc32(source.encode()) % len(FOLDS)
    return next(n for n, fold in enumerate(FOLDS) if writer in fold)


def writer_of(source: str) -> str:
    """The thousands of a natural passage's number tell who wrote it."""
    return str(int(source.split()[-1]) // 1000)


def train(lessons: Sequence[Lesson], seed: int = 0) -> ReaderNetwork:
    """A network; the same for the same lessons, seed and machine."""
    random.seed(seed)
    torch.manual_seed(seed)
    lessons = [one for one in lessons if one.materials or one.heats or one.valid is not None]
    network = ReaderNetwork(reader.encoder())
    prepare(network, lessons)
    heads = [p for name, p in network.named_parameters() if not name.startswith("upper.")]
    optimizer = torch.optim.AdamW(
        [{"params": network.upper.parameters(), "lr": 0.0}, {"params": heads, "lr": 0.0}], weight_decay=0.01
    )
    asked = [one for one in lessons if one.question.property == ASKED]
    others = [one for one in lessons if one.question.property != ASKED]
    steps = EPOCHS * math.ceil((len(others) + int(ASKED_SHARE * len(asked))) / BATCH)
    step, start = 0, time.monotonic()
    for epoch in range(EPOCHS):
        network.train()
        network.freeze()
        taken = others + random.sample(asked, int(ASKED_SHARE * len(asked)))
        order = sorted(taken, key=lambda one: len(one.encoded.ids) + random.random() * 20)
        batches = [order[n : n + BATCH] for n in range(0, len(order), BATCH)]
        random.shuffle(batches)
        total = 0.0
        for batch in batches:
            share = min(1.0, (step + 1) / WARM_UP) * max(0.02, 1 - step / steps)
            for group, rate in zip(optimizer.param_groups, RATE.values(), strict=True):
                group["lr"] = rate * share
            loss = loss_of(network, batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            total += float(loss.detach())
            step += 1
        left = (time.monotonic() - start) / (epoch + 1) * (EPOCHS - epoch - 1)
        print(f"epoch {epoch + 1}: loss {total / len(batches):.3f}, {left:.0f} s left", flush=True)
    return network.eval()


def prepare(network: ReaderNetwork, lessons: Sequence[Lesson]) -> None:
    """Keep what the part that is not trained makes of each question."""
    for batch in in_batches([one for one in lessons if one.vectors is None]):
        vectors, _ = network.lower([one.encoded for one in batch])
        for one, row in zip(batch, vectors, strict=True):
            one.vectors = row[: len(one.encoded.ids)].to(torch.bfloat16)


def in_batches(lessons: Sequence[Lesson]) -> list[list[Lesson]]:
    """Batches of questions of about one length."""
    order = sorted(lessons, key=lambda one: len(one.encoded.ids))
    return [order[n : n + BATCH] for n in range(0, len(order), BATCH)]


def read(
    network: ReaderNetwork, batch: Sequence[Lesson]
) -> list[tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]]:
    """Scores of a batch, in bfloat16 where that is quicker."""
    rows = [one.vectors for one in batch]
    longest = max(len(row) for row in rows)
    vectors = torch.zeros(len(rows), longest, rows[0].shape[1])
    there = torch.zeros(len(rows), longest, dtype=torch.bool)
    for n, row in enumerate(rows):
        vectors[n, : len(row)] = row
        there[n, : len(row)] = True
    with torch.autocast("cpu", torch.bfloat16):
        return network([one.encoded for one in batch], vectors, there)


def loss_of(network: ReaderNetwork, batch: Sequence[Lesson]) -> torch.Tensor:
    """Mean over the batch: the right materials' share, the right temperatures', and half of the value's being one."""
    total = torch.zeros(())
    for one, (owners, heats, valid) in zip(batch, read(network, batch), strict=True):
        for scores, right in ((owners, one.materials), (heats, one.heats)):
            if scores is not None and right is not None:
                total = total + torch.logsumexp(scores, 0) - torch.logsumexp(scores[torch.tensor(right)], 0)
        if one.valid is not None:
            total = total + 0.5 * functional.binary_cross_entropy_with_logits(valid, torch.tensor(float(one.valid)))
    return total / len(batch)


def mean_of(paths: Sequence[Path]) -> ReaderNetwork:
    """A network with the mean of the weights of several that were begun alike."""
    weights = [load_file(path) for path in paths]
    network = ReaderNetwork(reader.encoder())
    network.load_state_dict({name: sum(one[name].float() for one in weights) / len(weights) for name in weights[0]})
    return network.eval()


def main() -> None:
    """Train the folds that are not there yet, and write their mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--folds", type=Path, required=True, help="folder of the four networks, those not there are made"
    )
    parser.add_argument("--write", action="store_true", help="write reader.safetensors")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.folds.mkdir(parents=True, exist_ok=True)
    paths = [arguments.folds / f"{turn}.safetensors" for turn in range(len(FOLDS))]
    command = "python benchmarks/extraction_reader.py --data FOLDER --folds FOLDER --write"
    lessons = [] if all(path.exists() for path in paths) else every_lesson(arguments.data)
    for turn, path in enumerate(paths):
        if not path.exists():
            mine = [one for one in lessons if fold_of(one.writer, one.source) != turn]
            print(f"network {turn + 1} of {len(paths)}: {len(mine)} questions", flush=True)
            reader.save(train(mine, arguments.seed), command, path)
    if arguments.write:
        reader.save(mean_of(paths), command)


if __name__ == "__main__":
    main()
