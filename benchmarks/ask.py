"""Measure `sozai ask`: questions over the tests' library, in terms of the field and in everyday words, and over papers.

    python benchmarks/ask.py --papers texts/ --polymers polymer_abstracts_train.json.gz --out docs/benchmarks/ask.md

``--papers`` is the folder ``texts/`` of the SOFC-Exp corpus (30 papers), ``--polymers`` the polymer abstracts for
training (their first 200 become text files); without them those rows are left out. An answer is right when it quotes
one of the expected passages; "first" asks that its first statement or strategy does.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import common
import yaml

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
LIBRARY = TESTS / "library"
SETS = {
    "terms of the field, first": (LIBRARY / "questions.yaml", "first"),
    "terms of the field, second": (LIBRARY / "held_out" / "questions.yaml", "second"),
    "everyday words, eight": (LIBRARY / "held_out" / "questions_unseen.yaml", "second"),
    "everyday words, for tuning": (LIBRARY / "everyday" / "tune.yaml", "all"),
    "everyday words, to judge": (LIBRARY / "everyday" / "judge.yaml", "all"),
    "everyday words, later": (LIBRARY / "everyday" / "later.yaml", "all"),
    "everyday words, third": (LIBRARY / "everyday" / "third.yaml", "all"),
    "everyday words, last": (LIBRARY / "everyday" / "held.yaml", "all"),
    "30 papers, for tuning": (ROOT / "benchmarks" / "ask_papers.yaml", "papers"),
    "30 papers, later": (ROOT / "benchmarks" / "ask_papers_later.yaml", "papers"),
    **{
        f"{name}, {which}": (ROOT / "benchmarks" / "ask_sets" / f"{stem}_{which}.yaml", shelf)
        for which in ("open", "sealed", "more", "third")
        for name, stem, shelf in (
            ("30 papers", "papers", "papers"),
            ("200 polymer abstracts", "polymers", "polymers"),
            ("tests' library", "own", "all"),
        )
        if (stem, which) != ("polymers", "third")
    },
}
ABSTRACTS = 200
"""Polymer abstracts that make a library."""


_LEAD = """Questions over the documents of the tests, the 30 papers of the SOFC-Exp corpus and 200 polymer abstracts,
with and without an answer there, by `sozai ask` without a language model. An answer is right when it quotes one of the
expected passages; "first" asks that its first statement or strategy does. Only the sets "sealed" were never shown while
the code was mended; docs/ask.md tells what each set gave when it was first run.
"""


@dataclass
class Score:
    """What was counted over one set of questions."""

    answerable: int = 0
    right: int = 0
    first: int = 0
    refused_wrongly: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unanswerable: int = 0
    refused: int = 0
    answered_wrongly: list[str] = field(default_factory=list)
    quotes: int = 0
    verbatim: int = 0
    seconds: float = 0.0


def _is_right(told: dict[str, str], asked: dict[str, Any]) -> bool:
    """Whether what was quoted by document holds an expected passage."""
    if "right" in asked:  # all of these words, and this document among those quoted
        return asked["from"] in told and all(word.lower() in " ".join(told.values()) for word in asked["right"])
    return any(words.lower() in told.get(document, "") for document, words in asked["any"])


def quotes_by_document(made: Any, first: bool) -> dict[str, str]:
    """Quoted words by document, with the values and names that the answer tells of them; of its first part or all."""
    told: dict[str, str] = {}
    parts = []
    if made.strategies:
        for way in made.strategies[:1] if first else made.strategies:
            said = [*way.mechanism, *way.conditions, *way.pros, *way.cons, *way.cost, *way.risk, *way.contradicted_by]
            parts += [(way.name, quote) for effect in way.effects for quote in effect.citations]
            parts += [(f"{way.name} {one.text}", quote) for one in said for quote in one.citations]
    if not (first and made.strategies):
        statements = made.statements[:1] if first else made.statements
        parts += [(one.text, quote) for one in statements for quote in one.citations]
    for text, quote in parts:
        told[quote.name] = f"{told.get(quote.name, '')} {text} {quote.quote}".lower()
    return told


def judge(made: Any, asked: dict[str, Any], texts: dict[str, str], score: Score) -> None:
    """Count one answer."""
    for quote in made.citations():
        score.quotes += 1
        score.verbatim += texts[quote.hash][quote.start : quote.end] == quote.quote != ""
    if "right" not in asked and "any" not in asked:
        score.unanswerable += 1
        score.refused += not made.found
        if made.found:
            score.answered_wrongly.append(asked["ask"])
        return
    score.answerable += 1
    right = [made.found and _is_right(quotes_by_document(made, first), asked) for first in (False, True)]
    score.right += right[0]
    score.first += right[1]
    if not right[0]:
        (score.wrong if made.found else score.refused_wrongly).append(asked["ask"])


def ask_all(path: Path, shelf: Any) -> Score:
    """Ask the questions of a file."""
    from sozai.assistant.answers import answer

    texts = {document.hash: document.text for document in shelf.index.documents}
    score, start = Score(), time.process_time()
    for asked in yaml.safe_load(path.read_text(encoding="utf-8")):
        judge(answer(asked["ask"], shelf), asked, texts, score)
    score.seconds = time.process_time() - start
    return score


def _abstracts(path: Path, folder: Path) -> Path:
    """The polymer abstracts as files of text in a folder."""
    from extraction_polymers import polymers

    folder.mkdir()
    for number, case in enumerate(polymers(path)[:ABSTRACTS]):
        (folder / f"abstract_{number:03d}.txt").write_text(case.document.text, encoding="utf-8")
    return folder


def shelves(papers: Path | None, abstracts: Path | None, folder: Path, by: str = "words") -> dict[str, Any]:
    """The libraries of the tests, each larger than the one before, and the papers and abstracts that are named."""
    sys.path.insert(0, str(TESTS))
    from library_files import make_library

    from sozai.assistant.answers import Shelf
    from sozai.assistant.documents.library import Library

    sources = [make_library(folder / "files"), LIBRARY / "held_out", LIBRARY / "everyday"]
    found = {}
    for count, name in enumerate(("first", "second", "all"), 1):
        made = Library(folder / name)
        made.add(sources[:count])
        found[name] = Shelf(made, by)
    texts = _abstracts(abstracts, folder / "abstracts") if abstracts is not None else None
    for name, source in (("papers", papers), ("polymers", texts)):
        if source is not None:
            kept = Library(folder / name)
            kept.add([source])
            found[name] = Shelf(kept, by)
    return found


def rows_of(scores: dict[str, Score]) -> list[Sequence[Any]]:
    """The table's rows."""
    return [
        (
            name, f"{one.answerable} + {one.unanswerable}", f"{one.right} of {one.answerable}",
            f"{one.first} of {one.answerable}", len(one.refused_wrongly), len(one.wrong),
            f"{one.refused} of {one.unanswerable}", f"{one.verbatim} of {one.quotes}",
            f"{one.seconds / (one.answerable + one.unanswerable):.2f}",
        )
        for name, one in scores.items()
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--papers", type=Path, help="folder texts/ of the SOFC-Exp corpus")
    parser.add_argument("--polymers", type=Path, help="polymer_abstracts_train.json.gz")
    parser.add_argument("--by", choices=("words", "both"), default="words", help="how to search")
    parser.add_argument("--sets", default="", help="only the sets whose names hold this")
    parser.add_argument("--show", action="store_true", help="print the questions that failed")
    parser.add_argument("--out", type=Path, help="write the section there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ready = shelves(options.papers, options.polymers, Path(folder), options.by)
        scores = {
            name: ask_all(path, ready[shelf])
            for name, (path, shelf) in SETS.items()
            if shelf in ready and options.sets in name
        }
    head = ("questions", "answerable + not", "right", "right, first", "refused, though answerable", "wrong passages",
            "refused, rightly", "quotes verbatim", "CPU s each")  # fmt: skip
    text = common.table(head, rows_of(scores))
    if options.show or options.out is None:
        print(text)
        for name, one in scores.items():
            for kind in ("refused_wrongly", "wrong", "answered_wrongly"):
                for asked in getattr(one, kind):
                    print(f"{name}: {kind}: {asked}")
    if options.out is not None:
        common.write_fragment(options.out, "Questions to a library", [_LEAD, text])


if __name__ == "__main__":
    main()
