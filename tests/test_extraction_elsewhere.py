"""Temperatures that a paper tells in other sentences than its values."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sozai.assistant.documents.document import Document, Sentence
from sozai.assistant.documents.sentences import split_sentences
from sozai.assistant.extraction import extract, verified
from sozai.assistant.extraction.carried import LONG, Carried, Elsewhere
from sozai.assistant.extraction.extract import elsewhere_of, readings_of
from sozai.assistant.extraction.materials import Names
from sozai.assistant.extraction.pairing import Reading
from sozai.assistant.extraction.ranking import weights
from sozai.assistant.extraction.reader import is_installed
from sozai.assistant.extraction.schema import read_schema
from sozai.cli.app import app

FILLER = "The microstructure of the electrode was observed by scanning electron microscopy. " * 12
METHODS = "Pellets of LSCF were sintered at 1100 °C for 2 h. All cells were tested with humidified hydrogen. "
CAPTION = "Figure 2. Current-voltage curves of the cells with LSCF cathode, measured at 725 °C. "
BEFORE = "The single cell with LSCF cathode was then operated at 650 °C in humidified hydrogen. "


def document_of(text: str) -> Document:
    return Document("paper", "", text, tuple(Sentence(a, b) for a, b in split_sentences(text)))


def told(text: str, written: str) -> tuple[Reading, Carried, Elsewhere]:
    """The reading of a value, and what the rest of its paper says of its temperature."""
    document = document_of(text)
    names = Names(text)
    readings, _ = readings_of(document, names, read_schema(), (), None)
    elsewhere = elsewhere_of(document, names, readings, read_schema())
    assert elsewhere is not None
    reading = next(one for one in readings if one.record.quantity.text == written)
    carried = elsewhere.carried(reading, weights()["elsewhere"])
    assert carried is not None
    return reading, carried, elsewhere


def best(carried: Carried) -> str | None:
    name, share = max(((offer.name, share) for offer, share in carried.offers), key=lambda one: one[1])
    return name if share > carried.none else None


def test_a_temperature_of_the_sentence_before_is_carried_on():
    text = FILLER * 3 + BEFORE + "It delivered a peak power density of 820 mW cm−2. " + FILLER
    assert best(told(text, "820 mW cm−2")[1]) == "650 °C"


def test_a_caption_tells_the_temperature_of_its_figure():
    value = "As shown in Fig. 2, the cell with LSCF cathode has a peak power density of 820 mW cm−2. "
    assert best(told(FILLER * 2 + METHODS + value + CAPTION + FILLER * 2, "820 mW cm−2")[1]) == "725 °C"


def test_lists_of_two_sentences_go_together():
    first = "The cell with LSCF cathode was tested at 800 and 850 °C. "
    text = FILLER * 3 + first + "The maximum power densities were 684 and 887 mW/cm2, respectively. " + FILLER
    for written, value in (("684 and 887 mW/cm2", 800), ("887 mW/cm2", 850)):
        offer = told(text, written)[1].offers[0][0]
        assert offer.quantity is not None and offer.quantity.value == value


def test_a_temperature_of_making_is_never_offered():
    text = FILLER * 2 + METHODS + "The cell with LSCF cathode has a peak power density of 820 mW cm−2. " + FILLER * 2
    _, carried, elsewhere = told(text, "820 mW cm−2")
    assert carried.offers == () and elsewhere.told.said == []
    assert math.isclose(carried.none, 0.0, abs_tol=1e-9)


def test_shares_of_all_temperatures_are_one_in_sum():
    rows = [
        f"The conductivity of LSCF is {n}.5 S cm−1. The cell was tested at {600 + 10 * n} °C. " for n in range(1, 20)
    ]
    text = "".join(rows)
    document, names = document_of(text), Names(text)
    readings, _ = readings_of(document, names, read_schema(), (), None)
    elsewhere = Elsewhere(document, names, readings, read_schema())
    asked = 0
    for reading in readings:
        options = elsewhere.options(reading)
        if options:
            asked += 1
            assert options[-1][0] is None
            here = reading.record.sentence
            for one, _ in options[:-1]:
                assert one is not None and not here.start <= one.quantity.span.start < here.end
            carried = elsewhere.carried(reading, weights()["elsewhere"])
            assert carried is not None
            total = sum(math.exp(share) for _, share in carried.offers) + math.exp(carried.none)
            assert 0.3 < total <= 1.02  # the likeliest few, and none
            order = [share for _, share in carried.offers]
            assert order == sorted(order, reverse=True)
    assert asked > 10


def test_a_short_document_is_not_looked_through():
    text = BEFORE + "It delivered a peak power density of 820 mW cm−2."
    document, names = document_of(text), Names(text)
    readings, _ = readings_of(document, names, read_schema(), (), None)
    assert len(document.sentences) < LONG and elsewhere_of(document, names, readings, read_schema()) is None


@pytest.mark.skipif(not is_installed(), reason="needs the extra small-models")
def test_the_record_says_where_its_temperature_stands(tmp_path: Path):
    value = "The cell with LSCF cathode delivered a peak power density of 820 mW cm−2 in this test. "
    text = FILLER * 3 + BEFORE + value + FILLER
    document = document_of(text)
    record = next(one for one in extract(document, ["power_density"]) if one.quantity.text == "820 mW cm−2")
    assert record.conditions["temperature"].value == 650 and verified(record, document)[0]
    assert record.conditions["temperature"].span.start < record.sentence.start
    paper = tmp_path / "paper.txt"
    paper.write_text(text, encoding="utf-8")
    said = CliRunner().invoke(
        app, ["extract", str(paper), "--property", "power_density", "--out", str(tmp_path / "run")]
    )
    assert said.exit_code == 0, said.output
    rows = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))["records"]
    assert any(row["temperature_said"] == BEFORE.strip() for row in rows)
    assert "Its temperature: " + BEFORE.strip() in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_the_number_of_a_reference_is_no_part_of_a_name():
    text = (
        "BZY is a proton conductor. " * 5
        + "The power density of the BZY3637 cell is 740 mW cm−2, and of BZY10 it is 200 mW cm−2. BZY10 is cheap."
    )
    found = [mention.text for mention in Names(text).find(text.index("The power"), len(text))]
    assert "BZY" in found and "BZY10" in found and "BZY3637" not in found


def test_the_papers_that_were_read_hold_places_and_numbers():
    lines = [json.loads(line) for line in (Path(__file__).parent / "data" / "extraction" / "fuel_cell_papers.jsonl").read_text(encoding="utf-8").splitlines()]  # fmt: skip  # noqa: E501
    properties = {one.name for one in read_schema()}
    assert {line["use"] for line in lines} == {"tune", "judge"} and len(lines) == 28 + 2
    for line in lines:
        for start, end, name, numbers, heat, materials in line["values"]:
            assert 0 <= start < end and name in properties and numbers and isinstance(heat, list)
            assert all(isinstance(one, str) and one for one in materials)
