"""The network that reads along with the rules of extraction: its questions, its answers, and what is made of them."""

from __future__ import annotations

import importlib
import json
import random
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sozai.assistant.documents.document import Document, Sentence
from sozai.assistant.documents.sentences import split_sentences
from sozai.assistant.extraction import extract, reader, verified
from sozai.assistant.extraction.extract import readings_of
from sozai.assistant.extraction.materials import Names
from sozai.assistant.extraction.questions import ASKED, Question
from sozai.assistant.extraction.reader import Answer, is_installed
from sozai.assistant.extraction.schema import read_schema
from sozai.cli.app import app

DATA = Path(__file__).parent / "data" / "extraction"
PEBAX = "All permeation tests of Pebax were done at 35 °C and 2 bar. Its CO2 permeability is 82 barrer."

pytestmark = pytest.mark.skipif(not is_installed(), reason="needs the extra small-models")


def document_of(text: str) -> Document:
    return Document("text", "", text, tuple(Sentence(a, b) for a, b in split_sentences(text)))


def passages(count: int) -> list[str]:
    lines = (DATA / "natural_passages.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["text"] for line in random.Random(0).sample(lines, count)]


def questions_of(text: str) -> list[Question]:
    document = document_of(text)
    readings, asker = readings_of(document, Names(text), read_schema(), (), None)
    taken = {one.record.quantity.span.start for one in readings}
    return [asker.ask(one) for one in readings] + [
        one.question for one in asker.left(range(len(document.sentences)), taken, {p.name for p in read_schema()})
    ]


def test_the_tokens_of_a_place_are_those_of_its_text():
    from sozai.assistant.extraction.reader_network import encode

    words = reader.tokenizer()

    def said(tokens: list[int], ids: list[int]) -> str:
        return re.sub(r"\s", "", words.decode([ids[n] for n in tokens]).replace("##", ""))

    def plain(text: str) -> str:
        return re.sub(r"\s", "", words.decode(words.encode(text, add_special_tokens=False).ids).replace("##", ""))

    checked = 0
    for text in passages(60):
        for question in questions_of(text):
            encoded = encode(question, words)
            assert said(encoded.value, encoded.ids) == plain(question.text[slice(*question.value)])
            for offer, name, place in zip(question.materials, encoded.names, encoded.places, strict=True):
                assert said(name, encoded.ids) == plain(offer.name[:60])
                if len(offer.places) == 1:
                    assert plain(question.text[slice(*offer.places[0])]) in said(place, encoded.ids)
                    checked += 1
            for offer, tokens in zip(question.heats or (), encoded.heats or (), strict=True):
                assert plain(question.text[slice(*offer.places[0])]) in said(tokens, encoded.ids)
    assert checked > 300


def test_a_long_question_loses_its_beginning_and_keeps_its_value():
    from sozai.assistant.extraction.reader_network import LONGEST, encode

    text = "The matter was discussed by many authors at great length, " * 60 + "and LLZO had 0.3 mS/cm at 25 °C."
    (question,) = [q for q in questions_of(text) if q.property != ASKED]
    encoded = encode(question, reader.tokenizer())
    assert len(encoded.ids) == LONGEST
    assert reader.tokenizer().decode([encoded.ids[n] for n in encoded.value]) == "0. 3 ms / cm"


def test_a_question_stays_in_its_paragraph():
    other = "The membranes were immersed in water at 80 °C. SPEEK-40 has a proton conductivity of 0.11 S/cm."
    own = "Cells with an LSCF cathode on YSZ were run at 750 °C. Their peak power density was 0.82 W/cm2."
    for gap, apart in (("\n\n", True), (" ", False)):
        asked = questions_of(other + gap + own)
        (question,) = [one for one in asked if one.property == "power density"]
        assert ("SPEEK" not in question.text) is apart
        assert ("80 °C" not in [heat.name for heat in question.heats]) is apart


def test_what_else_is_in_the_batch_does_not_matter():
    questions = [question for text in passages(12) for question in questions_of(text)]
    read = reader.load()
    together = read.answers(questions)
    for n in random.Random(1).sample(range(len(questions)), 10):
        (alone,) = read.answers([questions[n]])
        for one, other in zip(
            (*alone.materials, *alone.heats, alone.valid),
            (*together[n].materials, *together[n].heats, together[n].valid),
            strict=True,
        ):
            assert one == pytest.approx(other, abs=1e-3)


def test_a_temperature_of_the_sentence_before_is_found():
    (before,) = extract(document_of(PEBAX), ["gas_permeability"], read=False)
    assert "temperature" not in before.conditions
    (record,) = extract(document_of(PEBAX), ["gas_permeability"])
    assert record.conditions["temperature"].text == "35 °C"
    assert record.by == "rules and network"
    assert verified(record, document_of(PEBAX))[0]


def test_a_number_that_the_rules_left_is_taken_where_the_network_says_so_and_for_what_it_says():
    text = "The 3Y-TZP ceramics fail at 1150 MPa in bending."
    assert extract(document_of(text), read=False) == []

    class Says(reader.Reader):
        def __init__(self, name: str):
            self.name = name

        def answers(self, questions):
            return [
                Answer(
                    tuple(0.0 if offer.name == self.name else -9.0 for offer in q.materials)
                    + ((-9.0,) if any(offer.name == self.name for offer in q.materials) else (0.0,)),
                    (-0.1,) * (len(q.heats) + 1) if q.heats is not None else (),
                    3.0,
                )
                for q in questions
            ]

    (record,) = extract(document_of(text), read=Says("flexural strength"))
    assert (record.property, record.quantity.value, record.by) == ("flexural_strength", 1150.0, "network")
    assert extract(document_of(text), read=Says("nothing")) == []
    assert extract(document_of(text), ["hardness"], read=Says("flexural strength")) == []


def test_every_record_stands_in_the_text():
    count = 0
    for text in passages(25):
        document = document_of(text)
        for record in extract(document):
            assert verified(record, document)[0]
            assert 0.0 <= (record.probability or 0.0) <= 1.0
            count += 1
    assert count > 40


def test_the_same_text_gives_the_same_records():
    text = " ".join(passages(3))
    assert extract(document_of(text)) == extract(document_of(text))


def test_the_weights_are_small_and_tell_their_command():
    from safetensors import safe_open

    assert reader.WEIGHTS.stat().st_size < 30e6
    with safe_open(reader.WEIGHTS, "pt") as file:
        assert "benchmarks/extraction_reader.py" in json.loads(file.metadata()["about"])["command"]


def test_the_command_reads_along_unless_told_not_to(tmp_path):
    paper = tmp_path / "paper.txt"
    paper.write_text(PEBAX, encoding="utf-8")
    for option, network in (([], True), (["--rules-only"], False)):
        out = tmp_path / ("rules" if option else "both")
        ran = CliRunner().invoke(app, ["extract", str(paper), "--out", str(out), *option])
        assert ran.exit_code == 0, ran.output
        settings = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["settings"]
        assert settings["network"] is network
        (row,) = json.loads((out / "result.json").read_text(encoding="utf-8"))["records"]
        assert row["by"] == ("rules and network" if network else "rules")
        assert row.get("temperature (degC)") == (35.0 if network else None)


def test_without_the_extra_the_rules_read_alone(monkeypatch):
    module = importlib.import_module("sozai.assistant.extraction.extract")  # the package has a function of that name
    monkeypatch.setattr(module, "is_installed", lambda: False)
    assert {record.by for record in extract(document_of(PEBAX))} == {"rules"}
