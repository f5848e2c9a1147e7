"""The small library of the tests: files of tests/library, and a PDF and a DOCX made here."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

HERE = Path(__file__).parent / "library"
KINDS = {".txt", ".md", ".html", ".xml", ".csv"}

ALUMINIUM = [
    ("title", "Aluminium and atmosphere in the sintering of Li7La3Zr2O12"),
    ("heading", "1. Introduction"),
    (
        "text",
        "The garnet Li7La3Zr2O12 (LLZO) needs a dopant to be cubic at room temperature. Aluminium often comes from the "
        "alumina crucible, cf. Fig. 1, and its amount is seldom controlled. Here it was added on purpose.",
    ),
    ("heading", "2. Experimental"),
    (
        "text",
        "Li2CO3 (10 % excess), La2O3, ZrO2 and Al2O3 were calcined at 950 °C for 10 h. Pellets were "
        "sintered at 1200 °C "
        "for 24 h in air, in dry oxygen or in argon. One series was hot-pressed at 1050 °C and 40 MPa "
        "for 1 h in argon.",
    ),
    ("heading", "3. Results"),
    (
        "text",
        "With 0.24 Al per formula unit the total conductivity of LLZO rose from 2.1 x 10^-6 to 4.0 x "
        "10^-4 S cm^-1 at 25 "
        "°C, because Al on lithium sites creates two vacancies and stabilises the cubic phase. Sintering in dry oxygen "
        "instead of air raised the relative density from 90 to 96 % and the total conductivity of LLZO "
        "from 4.0 x 10^-4 "
        "to 5.4 x 10^-4 S cm^-1. Hot pressing gave a relative density of 98 % and 5.7 x 10^-4 S cm^-1, but the "
        "equipment is expensive and only one pellet is made at a time. Aluminium above 0.3 per formula unit segregated "
        "as LaAlO3 at the grain boundaries and lowered the conductivity to 1.2 x 10^-4 S cm^-1.",
    ),
    (
        "text",
        "Unlike tantalum, aluminium sits in the path of the lithium ions and blocks part of it. Lithium dendrites grew "
        "through the pellets at a critical current density of 0.3 mA cm^-2.",
    ),
    ("heading", "References"),
    ("text", "[1] Z. Nobody, Hot pressing of LATP at 2000 °C, J. Nowhere 2 (2001) 7."),
]
LATP = [
    ("title", "Sintering and grain boundaries of the NASICON-type electrolyte LATP"),
    ("heading", "Experimental"),
    (
        "text",
        "Li1.3Al0.3Ti1.7(PO4)3 (LATP) was made by a sol-gel route, calcined at 700 °C for 4 h and "
        "sintered at 900 °C for "
        "6 h in air. The related germanium phosphate Li1.5Al0.5Ge1.5(PO4)3 (LAGP) was sintered at 850 °C for 12 h.",
    ),
    ("heading", "Results"),
    (
        "text",
        "The total conductivity of LATP at 25 °C was 3.4 × 10^-4 S cm^-1, that of LAGP was 2.6 × 10^-4 S cm^-1. "
        "Sintering LATP at 1000 °C coarsened the grains, caused microcracks and lowered the total "
        "conductivity to 1.1 × "
        "10^-4 S cm^-1. Addition of 2 wt.% LiBO2 as a sintering aid allowed sintering at 800 °C and "
        "raised the relative "
        "density of LATP from 93 to 97 %. Germanium is scarce and makes LAGP expensive.",
    ),
    ("table", "Table 1. Total conductivity of LATP at 25 °C"),
    ("row", "Sintering temperature (°C)|Relative density (%)|Total conductivity (S cm^-1)"),
    ("row", "850|89|1.9 × 10^-4"),
    ("row", "900|93|3.4 × 10^-4"),
    ("row", "1000|95|1.1 × 10^-4"),
]


def make_library(folder: Path) -> Path:
    """Write the whole library into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(HERE.iterdir()):
        if path.suffix in KINDS and path.name != "README.md":
            shutil.copy(path, folder / path.name)
    make_pdf(folder / "llzo_aluminium.pdf", ALUMINIUM)
    make_docx(folder / "latp_sintering.docx", LATP)
    return folder


def make_pdf(path: Path, parts: list[tuple[str, str]]) -> Path:
    """Two columns, raised powers, a header and a page number."""
    from reportlab.lib.pagesizes import A5
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate, Paragraph

    styles = getSampleStyleSheet()
    kinds = {"title": "Title", "heading": "Heading2", "text": "BodyText"}

    def margins(canvas: object, document: object) -> None:
        canvas.drawString(30, 575, "Journal of Imagined Ceramics 12 (2019)")  # type: ignore[attr-defined]
        canvas.drawString(200, 15, str(document.page))  # type: ignore[attr-defined]

    def rich(text: str) -> str:
        return re.sub(r"\^(-?\d+)", r"<super>\1</super>", text)

    document = BaseDocTemplate(str(path), pagesize=A5, title=parts[0][1], author="A. Nobody")
    frames = [Frame(25, 40, 180, 520), Frame(215, 40, 180, 520)]
    document.addPageTemplates(PageTemplate(frames=frames, onPage=margins))
    document.build([Paragraph(rich(text), styles[kinds[kind]]) for kind, text in parts])
    return path


def make_docx(path: Path, parts: list[tuple[str, str]]) -> Path:
    """Headings, raised powers and a table."""
    import docx

    document = docx.Document()
    table = None
    for kind, text in parts:
        if kind == "title":
            document.add_heading(text, 0)
        elif kind == "heading":
            document.add_heading(text, 1)
        elif kind in ("text", "table"):
            paragraph, table = document.add_paragraph(), None
            for place, piece in enumerate(re.split(r"\^(-?\d+)", text)):
                run = paragraph.add_run(piece)
                run.font.superscript = place % 2 == 1 or None
        else:
            cells = text.split("|")
            table = table or document.add_table(0, len(cells))
            for cell, words in zip(table.add_row().cells, cells, strict=True):
                cell.text = words
    document.save(str(path))
    return path
