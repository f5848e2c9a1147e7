"""Reading documents, the library and its search."""

from __future__ import annotations

import json
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from library_files import ALUMINIUM, make_library, make_pdf

from sozai.assistant.documents import library as library_module
from sozai.assistant.documents import read_document
from sozai.assistant.documents import search as search_module
from sozai.assistant.documents.assemble import Assembler, Cell
from sozai.assistant.documents.document import Document
from sozai.assistant.documents.library import Library
from sozai.assistant.documents.pieces import pieces
from sozai.assistant.documents.raised import raised
from sozai.assistant.documents.search import Index, search
from sozai.assistant.documents.sentences import split_sentences
from sozai.assistant.documents.words import tokens
from sozai.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_library(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def kept(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Library:
    made = Library(tmp_path_factory.mktemp("kept") / "library")
    made.add([folder])
    return made


def whole(document: Document) -> None:
    """What must hold for every document."""
    last = 0
    for sentence in document.sentences:
        assert last <= sentence.start < sentence.end <= len(document.text)
        assert document.quote(sentence) == document.quote(sentence).strip() != ""
        last = sentence.end
    for table in document.tables:
        assert len({len(row) for row in table.cells}) == 1
        for row in table.cells:
            for cell in row:
                assert cell is None or 0 <= cell.start <= cell.end <= len(document.text)
    assert list(document.pages) == sorted(document.pages)


def test_every_kind_is_read_with_places(folder: Path):
    for path in sorted(folder.iterdir()):
        if path.suffix == ".csv":
            continue
        document = read_document(path)
        whole(document)
        assert len(document.sentences) > 5 and len(document.hash) == 64 and document.title


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See Fig. 3 and Eq. 2. It rose.", ["See Fig. 3 and Eq. 2.", "It rose."]),
        (
            "Inaguma et al. found 10^-3 S cm-1. The value is high.",
            ["Inaguma et al. found 10^-3 S cm-1.", "The value is high."],
        ),
        (
            "It was ca. 5 wt. % of LLZO, e.g. 0.5 g. We dried it.",
            ["It was ca. 5 wt. % of LLZO, e.g. 0.5 g.", "We dried it."],
        ),
        ("Measured at 300 K. The cell was new.", ["Measured at 300 K.", "The cell was new."]),
        (
            "J. B. Goodenough and A. Manthiram wrote this. It is old.",
            ["J. B. Goodenough and A. Manthiram wrote this.", "It is old."],
        ),
        ("Space group P2.1 was used. t-LLZO was not seen.", ["Space group P2.1 was used.", "t-LLZO was not seen."]),
        ("It was fast. [12] The rest was slow.", ["It was fast. [12]", "The rest was slow."]),
        ("We used TiO2 (see Ref. 3. and others). Next.", ["We used TiO2 (see Ref. 3. and others).", "Next."]),
        ("Dried at 80 °C. 10^-5 S was seen.", ["Dried at 80 °C.", "10^-5 S was seen."]),
    ],
)
def test_sentences(text: str, expected: list[str]):
    assert [text[start:end] for start, end in split_sentences(text)] == expected


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="aB. 1)([]!?°é\n,e.gSFi", max_size=80))
def test_sentences_lose_nothing(text: str):
    places = split_sentences(text)
    joined = "".join(text[start:end] for start, end in places)
    assert "".join(joined.split()) == "".join(text.split())
    assert all(a[1] <= b[0] for a, b in pairwise(places))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(st.text(max_size=8), min_size=1, max_size=5), min_size=1, max_size=5), st.text(max_size=30))
def test_cells_stand_in_the_text(rows: list[list[str]], paragraph: str):
    made = Assembler()
    made.paragraph(paragraph)
    made.table("Table 1", [[Cell(cell) for cell in row] for row in rows])
    document = made.finish("x", "x", "")
    whole(document)
    for row, spans in zip(rows, document.tables[0].cells, strict=True):
        for cell, span in zip(row, spans, strict=False):
            assert (
                span is not None
                and document.quote(span).split()
                == cell.translate(
                    {0xAD: None, 0x200B: None, 0x200C: None, 0x200D: None, 0xFEFF: None, 0x2060: None, 0: None}
                    | {0xFB00 + n: t for n, t in enumerate(("ff", "fi", "fl", "ffi", "ffl", "st", "st"))}
                ).split()
            )


@pytest.mark.parametrize(
    ("before", "text", "linked", "expected"),
    [
        ("1.0 × 10", "−3", False, "^-3"),
        ("S cm", "−1", False, "^-1"),
        ("Ti", "4+", False, "4+"),
        ("Li", "+", False, "+"),
        ("reported", "12,13", False, " [12,13]"),
        ("0.5 cm", "2", False, "^2"),
        ("known", "1", True, " [1]"),
        ("25 ", "o", False, "°"),
    ],
)
def test_raised_text(before: str, text: str, linked: bool, expected: str):
    assert raised(before, text, linked) == expected


def test_pdf_columns_powers_headers_pages_and_hyphens(tmp_path: Path):
    long = [*ALUMINIUM[:-2], *[part for part in ALUMINIUM if part[0] == "text"][:4] * 3]
    document = read_document(make_pdf(tmp_path / "long.pdf", long))
    whole(document)
    assert len(document.pages) >= 2
    assert "2.1 x 10^-6 to 4.0 x 10^-4 S cm^-1 at 25 °C" in document.text
    assert "Imagined Ceramics" not in document.text and any("Imagined" in note for note in document.notes)
    assert document.title == ALUMINIUM[0][1]
    assert {s.section for s in document.sentences} >= {"1. Introduction", "2. Experimental", "3. Results"}
    assert document.page_of(document.sentences[0].start) == 1 and document.page_of(len(document.text) - 1) == len(
        document.pages
    )


def test_pdf_table_by_places(tmp_path: Path):
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Table

    styles = getSampleStyleSheet()
    rows = [["x", "Sintering (C)", "sigma (S/cm)"], ["0", "", "2e-5"], ["0.2", "1150", "4.3e-4"]]
    parts = [
        Paragraph("Some words stand here first.", styles["BodyText"]),
        Paragraph("Table 1. Values", styles["BodyText"]),
        Table(rows),
        Paragraph("And some words behind.", styles["BodyText"]),
    ]
    SimpleDocTemplate(str(tmp_path / "t.pdf")).build(parts)
    document = read_document(tmp_path / "t.pdf")
    (table,) = document.tables
    assert [[document.quote(cell) if cell else None for cell in row] for row in table.cells] == rows
    assert [document.quote(s) for s in document.sentences][-1] == "And some words behind."


def test_html_drops_what_is_not_the_document(folder: Path):
    document = read_document(folder / "llto_sintering.html")
    assert (
        "cookies" not in document.text and "everything is 1 S/cm" not in document.text and "Share" not in document.text
    )
    assert "1.1 × 10^-5 to 5.2 × 10^-5 S cm^-1 at 25 °C" in document.text
    assert "[1,2]" in document.text and "La0.56TiO3" in document.text
    assert document.facts["authors"] == ["M. Example"]


def test_merged_cells(tmp_path: Path):
    (tmp_path / "m.html").write_text(
        "<table><tr><th rowspan=2>x</th><th colspan=2>sigma</th></tr><tr><th>bulk</th><th>gb</th></tr>"
        "<tr><td>0.1</td><td>1</td><td>2</td></tr></table>"
    )
    document = read_document(tmp_path / "m.html")
    cells = [[document.quote(cell) if cell else None for cell in row] for row in document.tables[0].cells]
    assert (
        cells == [["x", "sigma", None], [None, "bulk", "gb"], ["0.1", "1", "2"]] and document.tables[0].header_rows == 2
    )
    assert "sigma gb" in pieces(document)[0].around


def test_xml_follows_no_entities(tmp_path: Path):
    (tmp_path / "secret.txt").write_text("SECRET")
    (tmp_path / "x.xml").write_text(
        f'<!DOCTYPE article [<!ENTITY x SYSTEM "file://{tmp_path}/secret.txt">]>'
        "<article><body><p>Here &x; it is.</p></body></article>"
    )
    assert "SECRET" not in read_document(tmp_path / "x.xml").text


def test_files_that_cannot_be_read(tmp_path: Path):
    import pypdf

    pdf = make_pdf(tmp_path / "good.pdf", ALUMINIUM)
    locked = pypdf.PdfWriter(clone_from=str(pdf))
    locked.encrypt("secret", algorithm="RC4-128")
    locked.write(str(tmp_path / "locked.pdf"))
    blank = pypdf.PdfWriter()
    blank.add_blank_page(200, 200)
    blank.write(str(tmp_path / "scan.pdf"))
    (tmp_path / "cut.pdf").write_bytes(pdf.read_bytes()[:400])
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "fake.docx").write_bytes(b"no zip at all")
    (tmp_path / "cut.docx").write_bytes(b"PK\x03\x04word/ and then nothing")
    (tmp_path / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    reasons = {
        "locked.pdf": "password",
        "scan.pdf": "pictures",
        "cut.pdf": "broken",
        "empty.txt": "empty",
        "fake.docx": "broken",
        "cut.docx": "broken",
        "picture.txt": "no document",
        "missing.pdf": "no such file",
        ".": "folder",
    }
    for name, reason in reasons.items():
        with pytest.raises(UserError, match=reason):
            read_document(tmp_path / name)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([".txt", ".md", ".html", ".xml", ".pdf", ".docx"]))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str):
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(data)
    try:
        whole(read_document(path))
    except UserError as error:
        assert error.what


def test_old_encodings_are_told(tmp_path: Path):
    (tmp_path / "old.txt").write_bytes("Annealed at 500 °C. Good.".encode("cp1252"))
    document = read_document(tmp_path / "old.txt")
    assert "500 °C" in document.text and document.notes


def test_tokens_tell_names_apart():
    assert set(tokens("LATP")) & set(tokens("LAGP")) == set()
    assert "Li7La3Zr2O12" in tokens("of Li₇La₃Zr₂O₁₂ (LLZO)") and "Co" not in tokens("CO")
    assert set(tokens("conductivity")) == set(tokens("conducts"))


def test_library_is_incremental_and_searched(folder: Path, tmp_path: Path):
    kept = Library(tmp_path / "library")
    first = kept.add([folder])
    assert len(first.new) == 13 and not first.refused
    again = Library(tmp_path / "library")
    assert len(again.add([folder]).same) == 13
    copy = tmp_path / "note.txt"
    copy.write_text("Quenching of LLTO was repeated here.")
    assert again.add([copy]).new == [str(copy)]
    copy.write_text("Quenching of LLTO was repeated here twice.")
    assert again.add([copy]).changed == [str(copy)] and len(again.entries) == 14
    assert len(list((tmp_path / "library" / "documents").iterdir())) == 14
    assert search(again, "LAGP germanium", 1)[0].entry.name == "latp_sintering.docx"
    assert search(again, "1350 lithium_excess", 1)[0].entry.name == "llto_experiments.csv"
    gone = again.remove(["note.txt"])
    assert [entry.name for entry in gone] == ["note.txt"] and copy.exists()
    assert not any(hit.entry.name == "note.txt" for hit in search(again, "LLTO quenching", 20))
    with pytest.raises(UserError, match="no document"):
        again.remove(["note.txt"])


def test_refused_files_are_told_and_others_go_on(folder: Path, tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.pdf").write_bytes(b"%PDF-1.4 nothing")
    (tmp_path / "in" / "good.txt").write_text("A good sentence on LLZO.")
    done = Library(tmp_path / "library").add([tmp_path / "in"])
    assert (
        [Path(path).name for path in done.new] == ["good.txt"]
        and "bad.pdf" in done.refused[0][0]
        and done.refused[0][1]
    )


def test_damage_is_told_and_search_indexes_are_made_again(folder: Path, tmp_path: Path):
    kept = Library(tmp_path / "library")
    kept.add([folder / "li3ps4_glass.md", folder / "argyrodite_chloride.txt"])
    assert search(kept, "glass transition", 1)
    (index,) = (tmp_path / "library" / "search").glob("words-*")
    for file in index.iterdir():
        file.write_bytes(b"broken")
    assert search(Library(tmp_path / "library"), "glass transition", 1)[0].entry.name == "li3ps4_glass.md"
    stored = next((tmp_path / "library" / "documents").iterdir())
    stored.write_text(stored.read_text()[:50])
    with pytest.raises(UserError, match="damaged"):
        search(Library(tmp_path / "library"), "glass", 1)
    (tmp_path / "library" / library_module._LIST).write_text("{")
    with pytest.raises(UserError, match="damaged"):
        Library(tmp_path / "library")


def test_an_interrupted_addition_keeps_what_was_read(folder: Path, tmp_path: Path):
    def stop(done: int, total: int, note: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Library(tmp_path / "library").add([folder], stop)
    kept = Library(tmp_path / "library")
    assert len(kept.entries) == 2 and all(kept.document(entry).text for entry in kept.entries)


def test_orders_are_fused_by_rank(kept: Library, monkeypatch: pytest.MonkeyPatch):
    class Words:
        """Embeds by a hash of each word: near enough to a model to see that both orders count."""

        def encode(self, texts: list[str], **_: object) -> np.ndarray:
            made = np.full((len(texts), 384), 1e-3)
            for row, text in enumerate(texts):
                for word in tokens(text):
                    made[row, zlib.crc32(word.encode()) % 384] += 1
            return made / np.linalg.norm(made, axis=1, keepdims=True)

    monkeypatch.setattr(search_module, "_model", lambda: Words())
    index = Index(kept)
    hits = index.search("critical current density dendrites", 5, "both")
    assert "llzo_aluminium.pdf" in {hit.entry.name for hit in hits}
    assert {hit.quote for hit in index.search("zzz qqq", 3, "meaning")}
    assert len(list((kept.folder / "search").glob("minilm-*.npy"))) == len(kept.entries)


def test_documents_survive_being_stored(folder: Path, tmp_path: Path):
    for path in sorted(folder.iterdir()):
        if path.suffix != ".csv":
            document = read_document(path)
            stored = json.loads(json.dumps(library_module._to_dict(document)))
            assert library_module._from_dict(stored) == document


@pytest.mark.parametrize(
    ("sentence", "kept"),
    [
        ("The case of ethylene oxidation on Pt Journal of Catalysis 1989 118 1 125 146 2-s2.0-0000190724 6", False),
        ("Modeling and experimental validation of solid oxide fuel cell materials and stacks J. Eur.", False),
        ("Pellets that were sintered in 2012 conducted 5 mS cm-1.", True),
    ],
)
def test_entries_of_a_list_of_references_are_no_evidence(tmp_path: Path, sentence: str, kept: bool):
    path = tmp_path / "paper.txt"
    path.write_text(f"Results\n\nThe pellets were dense. {sentence}\n")
    document = read_document(path)
    assert any(document.quote(piece) == sentence for piece in pieces(document)) == kept
