"""What is evidence in a long paper: not a word by the way, not a reference, not another property's value."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from library_files import HERE, make_library

from sozai.assistant.answers import Answer, Shelf, answer
from sozai.assistant.answers.kinds import tests_of as kind_tests
from sozai.assistant.answers.names import names_in, related
from sozai.assistant.answers.needs import plain_question
from sozai.assistant.answers.thesaurus import concepts, rivals
from sozai.assistant.documents.library import Library
from sozai.assistant.documents.pieces import pieces
from sozai.assistant.documents.read import read_document

BODY = [
    f"Sample {number} of the LSCF cathode was fired at {900 + number} °C and its surface was smooth."
    for number in range(70)
]
REFERENCES = [
    f"{number}. MüllerA.B.SmithC.D. Ammonia and silver in LSCF J. Power Sources 20{number:02d} 1{number} 22 31."
    for number in range(1, 21)
]
PAPER = "\n\n".join([
    "A cathode of LSCF for solid oxide fuel cells",
    "The LSCF cathode reached a power density of 610 mW cm-2 at 700 °C in hydrogen.",
    " ".join(BODY[:40]),
    "The furnace was once rinsed with ammonia.",
    "The cell went through twelve thermal cycles and its hardness was 5.2 GPa.",
    " ".join(BODY[40:]),
    "Author Contributions A.B. wrote the paper.",
    " ".join(REFERENCES),
])  # fmt: skip


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    folder = tmp_path_factory.mktemp("long")
    (folder / "paper.txt").write_text(PAPER, encoding="utf-8")
    made = Library(folder / "library")
    made.add([folder / "paper.txt"])
    return Shelf(made)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    made = Library(tmp_path_factory.mktemp("own") / "library")
    made.add([make_library(tmp_path_factory.mktemp("files")), HERE / "held_out", HERE / "everyday"])
    return Shelf(made)


def told(made: Answer) -> str:
    return " ".join(quote.quote for statement in made.statements for quote in statement.citations)


def test_lists_of_references_without_heading_are_no_evidence(tmp_path: Path) -> None:
    path = tmp_path / "paper.txt"
    path.write_text(PAPER, encoding="utf-8")
    document = read_document(path)
    kept = [document.quote(piece) for piece in pieces(document)]
    assert not any("Smith" in text or "Author Contributions" in text for text in kept)
    assert any("twelve thermal cycles" in text for text in kept)
    path.write_text("We follow SmithC.D., who did so.\n\nIts density was 95 %.\n", encoding="utf-8")
    assert len(pieces(read_document(path))) == 2  # one name makes no list


@pytest.mark.parametrize(
    "question",
    [
        "how long does the LSCF cathode last on ammonia?",  # a word by the way
        "how does silver doping change the power density of LSCF?",  # a word of the references
        "what is the Young's modulus of the LSCF cathode?",  # the value is a hardness
        "what power density does LSCF reach at 450 °C?",  # other conditions
        "how many layers has the LSCF cathode?",  # no number of these
        "in which year was the LSCF cathode invented?",
        "how much does the LSCF cathode cost?",
        "does the LSCF cathode dissolve in sulfuric acid?",
    ],
)
def test_near_misses_in_a_long_paper_are_refused(paper: Shelf, question: str) -> None:
    assert not answer(question, paper).found


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("what power density does LSCF reach at 700 °C?", "610 mW"),
        ("how many thermal cycles did the cell go through?", "twelve"),
        ("what is the hardness of the cell?", "5.2 GPa"),
        ("how hot was sample 3 of LSCF fired?", "903 °C"),
    ],
)
def test_what_the_long_paper_says_is_found(paper: Shelf, question: str, words: str) -> None:
    made = answer(question, paper)
    assert made.found and words in told(made)


@pytest.mark.parametrize(
    ("question", "kind"),
    [("how many cycles?", "12 cycles"), ("how many hours was it milled?", "for 20 h"),
     ("what price of it?", "it costs $5"), ("how many times more power?", "11 times more")],
)  # fmt: skip
def test_kinds_of_answers(paper: Shelf, question: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"The powder did well and {kind} in all.\n\nNothing was seen.\n", encoding="utf-8")
    made = Library(tmp_path / "library")
    made.add([tmp_path / "a.txt"])
    views = Shelf(made).readings[0].views
    assert [all(test(view) for test in kind_tests(question)) for view in views] == [True, False]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["Bi,Sr", "La,Sr", "Ba,Sr", "Sr,Ca"]), st.sampled_from(["FeO3", "CoO3", "MnO3"]))
def test_shared_sites_belong_to_the_name(site: str, rest: str) -> None:
    assert [one.text for one in names_in(f"Films of ({site}){rest} were grown.")] == [f"({site}){rest}"]


def test_names_of_series_and_plurals() -> None:
    assert related("SrMoO3", "SrMo1-xMgxO3") and not related("SrFeO3", "SrMo1-xMgxO3")
    assert [one.text for one in names_in("AAOs and the LSCF")] == ["AAO", "LSCF"]


def test_properties_of_the_extraction_are_known_to_questions() -> None:
    known = {one.name: one for one in concepts()}
    assert len(known) == len(concepts())
    assert known["seebeck coefficient"].schema == "seebeck_coefficient"
    assert known["hardness"] in rivals(known["stiffness"])


def test_abbreviations_of_quantities_are_no_materials(own: Shelf) -> None:
    assert plain_question("what is the PCE of FAPbI3", own).of("material")[0].words == "FAPbI3"


@pytest.mark.parametrize("name", ["open", "sealed", "more", "third"])
def test_new_questions_over_the_small_library(own: Shelf, name: str) -> None:
    path = Path(__file__).parents[1] / "benchmarks" / "ask_sets" / f"own_{name}.yaml"
    texts = {document.hash: document.text for document in own.index.documents}
    right = refused = asked_of = unanswerable = 0
    for asked in yaml.safe_load(path.read_text(encoding="utf-8")):
        made = answer(asked["ask"], own)
        assert all(texts[one.hash][one.start : one.end] == one.quote for one in made.citations())
        if "any" not in asked:
            unanswerable += 1
            refused += not made.found
            continue
        asked_of += 1
        quoted = [(one.name, one.quote.lower()) for one in made.citations()] if made.found else []
        right += any(
            file == wanted and words.lower() in text for wanted, words in asked["any"] for file, text in quoted
        )
    assert refused >= 0.9 * unanswerable
    assert right >= 0.7 * asked_of
