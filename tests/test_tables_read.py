"""Tables as people save them: read right, or one clear sentence; never a traceback, never a silent loss."""

import gzip
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sozai.errors import UserError
from sozai.materials.dataset import read_dataset
from sozai.materials.tables.cells import read_cell
from sozai.materials.tables.compositions import amounts_of
from sozai.materials.tables.descriptors import PROPERTIES, describe_formulas, with_descriptors
from sozai.materials.tables.read import description, guessed, read_frame, read_table, write_schema
from sozai.materials.tables.schema import read_schema, schema_of
from sozai.materials.tables.sources import decode
from sozai.materials.tables.table import Group, Table, described
from sozai.materials.tables.units import believed, convert, heading_of, unit_of

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FUZZ = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def write(tmp_path):
    def write(content, name="table.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


def workbook(path, sheets, merge=()):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    for block in merge:
        book.worksheets[0].merge_cells(block)
    book.save(path)
    return path


def kinds(table):
    return {name: column.kind for name, column in table.columns.items()}


def notes(table):
    return "\n".join(f"{note.row} {note.column} {note.what}" for note in table.notes)


# Bad input: one sentence that says where, what and how to mend it.


def _zip(name, content=b"a\n1\n"):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, content)
    return stream.getvalue()


BAD = {
    "empty": (b"", {}, "the file is empty"),
    "blank": (b"\n \n\t\n", {}, "the file is empty"),
    "commas only": (b",,\n,,\n", {}, "holds no table"),
    "header only": (b"a,b\n", {}, "has a heading but no rows"),
    "1e6 columns": (b",".join([b"c"] * 1_000_000) + b"\n", {}, "1,000,000 columns"),
    "binary": (bytes(range(256)) * 8, {}, "no text but a binary file"),
    "zeros": (b"\0" * 400, {}, "no text but a binary file"),
    "png": (b"\x89PNG\r\n\x1a\n" + b"\0\1" * 90, {}, "this is an image"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 90, {}, "save it as .xlsx or CSV"),
    "pdf": (b"%PDF-1.7\n1 0 obj", {}, "this is a PDF"),
    "html": (b"<!DOCTYPE html>\n<html><table><tr><td>1</td></tr></table></html>", {}, "this is a web page"),
    "json": (b'{"a": [1, 2]}', {}, "looks like JSON"),
    "zip": (_zip("a.csv"), {}, "a zip archive"),
    "ods": (_zip("mimetype"), {}, "an OpenDocument sheet"),
    "broken zip": (b"PK\x03\x04" + b"abc" * 50, {}, "cut off or damaged"),
    "broken workbook": (_zip("xl/workbook.xml", b"<no"), {}, "cut off or damaged"),
    "broken parquet": (b"PAR1" + b"\0abc" * 20 + b"PAR1", {}, "parquet file is cut off or damaged"),
    "broken gzip": (gzip.compress(b"a,b\n1,2\n" * 50)[:-12], {}, "gzip file is cut off"),
    "broken utf-8": (b"\xef\xbb\xbfa,b\n\xff\xfe,1\n", {}, "the text is damaged"),
    "open quote": (b'a,b\n1,"x\n2,y\n3,z\n', {}, "row 2: a quotation mark is opened"),
    "text after quote": (b'a,b\n1,"x"y\n', {}, "row 2: text follows a closing quotation mark"),
    "long row": (b"a,b\n1,2\n3,4\n5,6,7\n", {}, "row 4: it has 3 cells and the heading 2"),
    "sheet of a CSV": (b"a,b\n1,2\n", {"sheet": "one"}, "only Excel files have sheets"),
    "kind of no column": (b"a,b\n1,2\n", {"kinds": {"c": "text"}}, "there is no column 'c'; it has a, b"),
    "no such kind": (b"a,b\n1,2\n", {"kinds": {"a": "number"}}, "column 'a': there is no kind of column 'number'"),
    "text as number": (
        b"a,b\n1,x\n2,y\n",
        {"kinds": {"b": "continuous"}},
        "column 'b': none of its values is a number",
    ),
    "parted count": (b"a,b\n1.5,x\n2,y\n", {"kinds": {"a": "count"}}, "column 'a': 1 of its numbers are not whole"),
    "no formula": (b"a,b\nx,1\ny,2\n", {"kinds": {"a": "formula"}}, "column 'a': none of its values is a formula"),
    "no date": (b"a,b\nx,1\ny,2\n", {"kinds": {"a": "date"}}, "column 'a': none of its values is a date"),
    "no order": (b"a,b\nx,1\ny,2\n", {"kinds": {"a": "ordinal"}}, "column 'a': the order of its levels is not known"),
    "unknown unit": (b"a [ksi],b\n1,2\n", {"units": {"a": "blurbs"}}, "column 'a': 'blurbs' is no unit"),
    "wrong unit": (b"a [ksi],b\n1,2\n", {"units": {"a": "K"}}, "column 'a': its unit ksi cannot be converted to K"),
    "parts": (b"C [wt%],b\n1,2\n", {"units": {"C": "at%"}}, "column 'C': its unit wt% cannot be converted to at%"),
    "unit of text": (b"a,b\nx,2\ny,3\n", {"units": {"a": "K"}}, "column 'a': it holds no numbers"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_in_one_sentence(name, write):
    content, options, sentence = BAD[name]
    with pytest.raises(UserError) as told:
        read_table(write(content), **options)
    assert sentence in str(told.value)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 300


def test_bad_places_are_told_in_one_sentence(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(UserError, match="this is a folder"):
        read_table(tmp_path)
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UserError, match="no ordinary file"):
        read_table(tmp_path / "pipe.csv")
    book = workbook(tmp_path / "book.xlsx", {"one": [["a"], [1]], "two": [["b"], [2]]})
    with pytest.raises(UserError, match="there is no sheet 'three'; it has one, two"):
        read_table(book, sheet="three")
    content = book.read_bytes()
    (tmp_path / "cut.xlsx").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="cut off or damaged"):
        read_table(tmp_path / "cut.xlsx")
    with pytest.raises(UserError, match="is empty"):
        read_table(workbook(tmp_path / "none.xlsx", {"one": []}))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("columns: [a", "no valid YAML"), ("columns: {zz: text}", "there is no column 'zz'"), ("- 1",
        "must hold 'columns'"),
        ("columns: {a: {kind: nothing}}", "no kind of column 'nothing'"), ("columns: {a: {colour: red}}",
        "not understood"),
        ("columns: {a: {levels: 3}}", "must be a list"), ("groups: [{columns: [a]}]", "not understood"),
        ("groups: [{columns: [a, c], total: 1}]", "not a column of numbers"), ("columns: [a, b]", "must be a mapping"),
    ],
)  # fmt: skip
def test_bad_schemas_are_told_in_one_sentence(content, sentence, write):
    table = write("a,b,c\n1,2,x\n3,4,y\n")
    with pytest.raises(UserError, match=sentence):
        read_table(table, schema=write(content, "schema.yaml"))


# Odd but readable input: a table, and notes of what was changed.


def test_cells_that_cannot_be_read_are_missing_with_a_note(write):
    table = read_table(write("a,b\n1,x\n2,y\noops,x\n4,y\nn.d.,x\n6.5,x\n"))
    assert kinds(table) == {"a": "continuous", "b": "category"}
    assert table.frame["a"].isna().tolist() == [False, False, True, False, True, False]
    assert "4 a 'oops' cannot be read as a number: missing" in notes(table)
    assert "'n.d.' is taken as missing (1 cells)" in notes(table)
    assert table.frame.index.tolist() == [2, 3, 4, 5, 6, 7]


def test_half_numbers_are_text_and_nothing_is_lost(write):
    table = read_table(write("a,b\n1,x\nfew,y\n3,x\nmany,y\n"))
    assert table.frame["a"].tolist() == ["1", "few", "3", "many"]
    assert "2 cells are numbers and 2 are not" in notes(table)


def test_words_for_missing_in_text_and_numbers_that_are_names(write):
    table = read_table(write("g,Space group #,year,y\nslag,167.0,2014.0,1\n?,,,2\nnone,12.0,2015.0,3\nslag,167.0,,4\n"))
    assert table.frame["g"].tolist() == ["slag", None, "none", "slag"]
    assert "'?' is taken as missing (1 cells)" in notes(table)
    assert table.frame["Space group #"].tolist() == ["167", None, "12", "167"]
    assert table.columns["Space group #"].levels == ("12", "167")
    assert table.frame["year"].tolist() == ["2014", None, "2015", None]


def test_all_missing_one_column_and_duplicate_headings(write):
    assert kinds(read_table(write("a,b\n,1\nNA,2\n-,3\n"))) == {"a": "text", "b": "count"}
    assert read_table(write("x\n1\n2\n")).frame["x"].tolist() == [1, 2]
    again = read_table(write("a,a,b,a\n1,2,3,1\n4,5,6,4\n"))
    assert list(again.frame) == ["a", "a (2)", "b"]
    assert "comes again in column 2" in notes(again)
    assert "column 4 repeats 'a' cell by cell" in notes(again)


def test_index_columns_titles_comments_blank_rows_and_repeated_headings(write):
    table = read_table(
        write("# by hand\nJune,,\n\n,T (K),y,,\n0,300,1.5,,\n,,,,\n1,310,2.5,,\n,T (K),y,,\n2,320,3.5,,\n,,,,\n")
    )
    assert list(table.frame) == ["T", "y"]
    assert table.frame.index.tolist() == [5, 7, 9]
    assert table.columns["T"].heading == "T (K)"
    assert "'# by hand'" in notes(table)
    assert "8  this row repeats the heading" in notes(table)
    bare = read_table(write("1,2\n3,4.5\n5,6\n"))
    assert bare.frame.to_numpy().tolist() == [[1, 2], [3, 4.5], [5, 6]]
    assert bare.frame.index.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,5", 1.5), ("1.5", 1.5), ("1.234,5", 1234.5), ("1,234.5", 1234.5), ("1'234.5", 1234.5), ("1 234,5", 1234.5),
        ("1\u202f234\u202f567", 1234567), ("1,234,567", 1234567), ("−4", -4), ("–4.5", -4.5), ("1.5e-10", 1.5e-10),
        ("1,5E-3", 1.5e-3), ("1.5D3", 1500), ("1.5×10^-3", 1.5e-3), ("1.5 x 10-3", 1.5e-3), ("1.5·10⁻³", 1.5e-3),
        ("10^-5", 1e-5), ("10⁻⁵", 1e-5), (".5", 0.5), ("5.", 5), ("+7", 7), ("0,123", 0.123), ("5±0.2", 5),
        ("5.12(3)", 5.12),
        ("2-4", 3), ("1.5–2.5", 2), ("~7", 7), ("'12", 12), ("12 34", None), ("1_000", None), ("1e999", None),
        ("4-2", None),
        ("1.2.3", None), ("0x10", None), ("", None), ("e5", None), ("5e", None), ("1,23,4", None), ("2024-03-01", None),
    ],
)  # fmt: skip
def test_numbers_as_people_write_them(text, value):
    reading = read_cell(text)
    if value is None:
        assert reading is None or (reading.unit and not believed(reading.unit))
    else:
        assert reading.value == pytest.approx(value, rel=1e-12)
        assert not reading.unit


def test_decimal_marks_are_found_out_by_column_then_by_file(write):
    german = read_table(write("a;b;c\n1,5;1.234;1.234,5\n2,25;2.500;999,9\n"))
    assert german.frame.to_numpy().tolist() == [[1.5, 1234, 1234.5], [2.25, 2500, 999.9]]
    assert read_table(write("a;b\n1,500;2\n2,250;3\n")).frame["a"].tolist() == [1.5, 2.25]
    english = read_table(write('a,b\n"1,234",0.5\n"12,000",1.234\n'))
    assert english.frame.to_numpy().tolist() == [[1234, 0.5], [12000, 1.234]]
    assert read_table(write("a\n1.234\n2.345\n")).frame["a"].tolist() == [1.234, 2.345]
    assert read_table(write("a\tb\n0,123\t1\n1,234\t2\n", "t.tsv")).frame["a"].tolist() == [0.123, 1.234]


def test_inequalities_keep_their_sense(write):
    table = read_table(write("s (S cm-1),y\n<1e-10,1\n≤ 2e-9,2\n>0.5,3\n0.1,4\n3e-4 ,5\n"), units={"s": "S/m"})
    assert table.limits["s"].tolist() == [-1, -1, 1, 0, 0]
    np.testing.assert_allclose(table.frame["s"], [1e-8, 2e-7, 50, 10, 0.03])
    assert table.limits["s"].index.equals(table.frame.index)
    assert set(table.limits) == {"s"}
    assert description(table)[0]["limits"] == 3


def test_units_in_cells_and_codes_that_look_like_them(write):
    table = read_table(write("a,b,c\n25 MPa,5h,12%\n30 MPa,6h,13.5%\n0.04 GPa,7h,14%\n3 apples,8h,15%\n"))
    assert [column.unit for column in table.columns.values()] == ["MPa", "h", "%"]
    assert table.frame["a"].tolist()[:3] == [25, 30, 40]
    assert np.isnan(table.frame["a"].iloc[3])
    assert "3 apples" in notes(table)
    assert "'0.04 GPa' is converted to MPa" in notes(table)
    steels = read_table(write("grade,y\n304L,1\n316L,2\n12A,3\n3C,4\n304L,1\n316L,2\n12A,3\n3C,4\n"))
    assert steels.columns["grade"].kind == "category"


@pytest.mark.parametrize(
    ("heading", "name", "unit"),
    [
        ("strength [MPa]", "strength", "MPa"), ("Age (days)", "Age", "d"), ("T / K", "T", "K"), ("T/°C", "T", "°C"),
        ("size ($\\mu$m)", "size", "µm"), ("QAgNO3(%)", "QAgNO3", "%"), ("x (S cm-1)", "x", "S/cm"),
        ("Load, kN", "Load", "kN"),
        ("rho (g/cm$^3$)", "rho", "g/cm³"), ("temp ($^\\circ$C)", "temp", "°C"), ("Temperature (C)",
        "Temperature", "°C"),
        ("strength_MPa", "strength", "MPa"), ("Ni (wt.%)", "Ni", "wt%"), ("k (W/mK)", "k", "W/K/m"),
        ("p (Mpa)", "p", "MPa"),
        ("rate (°C/min)", "rate", "°C/min"), ("K1c (MPa√m)", "K1c", "MPa*m^0.5"), ("n (-)", "n", ""),
        ("w/c", "w/c", ""), ("w / c", "w / c", ""), ("IC (Total)", "IC (Total)", ""), ("Carbon (C)", "Carbon (C)", ""),
        ("Magnesium (Mg)", "Magnesium (Mg)", ""), ("Rate (C)", "Rate (C)", ""), ("E_a", "E_a", ""), ("x_m", "x_m", ""),
        ("Hardness (HV)", "Hardness (HV)", ""), ("Al2O3/SiO2", "Al2O3/SiO2", ""), ("BCC/FCC/other",
        "BCC/FCC/other", ""),
        ("Cement (component 1)(kg in a m^3 mixture)", "Cement (component 1)(kg in a m^3 mixture)", ""),
    ],
)  # fmt: skip
def test_units_in_headings(heading, name, unit):
    assert tuple(heading_of(heading)) == (name, unit)


@pytest.mark.parametrize(
    "unit", ["MPa", "S/cm", "°C/min", "g/cm^3", "wt%", "mAh/g", "ohm cm", "W/(m K)", "MPa m^0.5", "deg"]
)
def test_a_unit_as_written_down_is_read_again(unit):
    spelled = unit_of(unit, "x")
    assert unit_of(spelled, "x") == spelled
    assert convert(np.array([2.0]), spelled, unit_of(unit, "x"), "x") == 2


def test_conversion_with_offset_and_notes(write):
    table = read_table(write("s [ksi],T (C),n\n1,25,3\n2,30,4\n"), units={"s [ksi]": "MPa", "t": "K", "n": "kg"})
    np.testing.assert_allclose(table.frame["s"], [6.894757, 13.789514], rtol=1e-6)
    assert table.frame["T"].tolist() == [298.15, 303.15]
    assert table.columns["n"].unit == "kg"
    assert "s converted from ksi to MPa" in notes(table)


def test_a_unit_is_no_unit_over_text_and_same_names_stay_apart(write):
    table = read_table(write("Additive (s),f (MPa),f (ksi)\nsilica,1,2\nash,3,4\nsilica,5,6\nash,7,8\n"))
    assert list(table.frame) == ["Additive (s)", "f (MPa)", "f (ksi)"]
    assert [column.unit for column in table.columns.values()] == ["", "MPa", "ksi"]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Größe (µm),T (°C)\n1,2\n", "cp1252"), ("Größe (µm),T (°C)\n1,2\n", "utf-16"), ("Größe,T\n1,2\n", "utf-8-sig"),
        ("温度,強度,材料\n25,3,鉄鋼\n30,4,銅合金\n", "cp932"), ("温度,强度,材料\n25,3,钢铁\n30,4,铜合金\n", "gb18030"),
        ("온도,강도,재료\n25,3,강철\n30,4,구리\n", "euc_kr"), ("Температура,прочность\n20,3\n", "cp1251"),
        ("a,b\n1,2\n", "utf-16-le"), ("a,b\n1,2\n", "utf-32"),
    ],
)  # fmt: skip
def test_encodings(text, encoding):
    assert decode(text.encode(encoding))[0].lstrip("\ufeff") == text


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_line_ends_and_gzip(delimiter, write):
    rows = [["name", "x, y; z", "v"], ["a b", "1.5", "2"], ["c", "2.5", "3"]]
    for end in ("\n", "\r\n", "\r"):
        text = end.join(delimiter.join(f'"{cell}"' for cell in row) for row in rows) + end
        table = read_table(write(gzip.compress(text.encode()), "t.csv.gz"))
        assert list(table.frame) == rows[0]
        assert table.frame["v"].tolist() == [2, 3]
    spaces = read_table(write("x   y  z\n1 2.5 3\n 4 5 6\n", "t.dat"))
    assert spaces.frame.to_numpy().tolist() == [[1, 2.5, 3], [4, 5, 6]]
    assert list(read_table(write("sep=;\na;b\n1;2\n")).frame) == ["a", "b"]


def test_excel_merged_cells_sheets_dates_and_two_headings(tmp_path):
    rows = [
        ["mix", None, "day", "done"],
        ["cement", "water", None, None],
        [300, 150.5, pd.Timestamp("2024-03-01"), True],
    ]
    rows += [[None, 160, pd.Timestamp("2024-03-02"), False], [310, 170, None, True]]
    path = workbook(tmp_path / "book.xlsx", {"data": rows, "other": [["q"], [1]]}, ["A1:B1", "A3:A4"])
    table = read_table(path)
    assert list(table.frame) == ["mix cement", "mix water", "day", "done"]
    assert table.frame["mix cement"].tolist() == [300, 300, 310]
    assert table.frame["day"].tolist() == ["2024-03-01", "2024-03-02", None]
    assert kinds(table)["day"] == "date"
    assert "merged cells A3:A4" in notes(table)
    assert "there are also other" in notes(table)
    assert read_table(path, sheet="other").frame["q"].tolist() == [1]
    renamed = tmp_path / "book.csv"
    renamed.write_bytes(path.read_bytes())
    assert list(read_table(renamed).frame) == list(table.frame)


def test_formulas_of_excel_without_results_are_told(tmp_path):
    table = read_table(workbook(tmp_path / "book.xlsx", {"a": [["x", "y"], [1, "=A2*2"], [2, 5]]}))
    assert table.frame["y"].isna().tolist() == [True, False]
    assert "1 formulas have no stored result" in notes(table)


# Kinds.


def test_numbers_stay_numbers_and_identifiers_do_not(write):
    text = "Sl. No.,ICSD ID,year,Space group #,Age (days),T (°C),dose,flag,word\n"
    text += "".join(
        f"{n},{n * 7 + 100},{2000 + n % 5},{n % 3 + 1},28,{20 * n},{n}.0,{n % 2},w{n}\n" for n in range(1, 31)
    )
    assert kinds(read_table(write(text))) == {
        "Sl. No.": "text", "ICSD ID": "text", "year": "date", "Space group #": "category", "Age": "count",
        "T": "continuous", "dose": "continuous", "flag": "count", "word": "text",
    }  # fmt: skip


def test_categories_scales_dates_and_long_texts(write):
    text = "grade,binder,made,remark\n" + "".join(
        f"{['low', 'Medium', 'HIGH'][n % 3]},{['none', 'slag'][n % 2]},{n + 1:02}/03/2024,{'long words ' * 9}{n % 2}\n"
        for n in range(20)
    )
    table = read_table(write(text))
    assert kinds(table) == {"grade": "ordinal", "binder": "category", "made": "date", "remark": "text"}
    assert table.columns["grade"].levels == ("low", "Medium", "HIGH")
    assert table.columns["binder"].levels == ("none", "slag")
    assert table.frame["made"].iloc[19] == "2024-03-20"


@pytest.mark.parametrize(
    ("formula", "amounts"),
    [
        ("Al0.25 Co1 Fe1 Ni1", {"Al": 0.25, "Co": 1, "Fe": 1, "Ni": 1}), ("Li7BiO6", {"Li": 7, "Bi": 1, "O": 6}),
        ("LiV(PO4)F", {"Li": 1, "V": 1, "P": 1, "O": 4, "F": 1}), ("Ag(W3Br7)2", {"Ag": 1, "W": 6, "Br": 14}),
        ("CuSO4·5H2O", {"Cu": 1, "S": 1, "O": 9, "H": 10}), ("H₂O", {"H": 2, "O": 1}), ("[Fe(CN)6]", {"Fe": 1,
        "C": 6, "N": 6}),
        ("CAST", None), ("AlxCoFe", None), ("Li7-xO", None), ("(CO", None), ("CO)", None), ("", None), ("2",
        None), ("Xx2", None),
        ("FCC+BCC", None), ("P -1", None), ("*CC", None),
    ],
)  # fmt: skip
def test_formulas_are_read_strictly(formula, amounts):
    assert amounts_of(formula) == amounts


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["No", "Co", "FCC", "Yes"], "category"), (["FCC", "BCC", "HCP", "B2"], "category"), (["PVC", "PP",
        "POM"], "category"),
        (["BaTiO3", "SrTiO3", "Li7BiO6"], "formula"), (["C", "T"], "category"), (["CAST", "WROUGHT"], "category"),
        (["NaCl", "KBr", "CsI", "MgO"], "formula"),
    ],
)  # fmt: skip
def test_words_are_not_taken_for_formulas(texts, kind, write):
    rows = (texts * 12)[:24]
    table = read_table(write("x,y\n" + "".join(f"{text},{place}.5\n" for place, text in enumerate(rows))))
    assert table.columns["x"].kind == kind


def test_groups_that_sum_to_a_whole(write):
    rng = np.random.default_rng(0)
    parts = rng.dirichlet([5, 3, 2, 0.1], 60)
    frame = pd.DataFrame(np.round(parts * 100, 2), columns=["SiO2", "Na2O", "CaO", "Fe2O3"])
    frame["T"], frame["y"], frame["none"] = rng.integers(20, 90, 60), rng.normal(3, 1, 60).round(3), 0.0
    frame.loc[7, "CaO"] += 9
    table = guessed(frame)
    [group] = table.groups
    assert group.columns == ("SiO2", "Na2O", "CaO", "Fe2O3")
    assert group.total == 100
    assert 0 < group.tolerance <= 0.05
    assert "sum to 109" in notes(table)
    fractions = guessed(pd.DataFrame({"a": parts[:, 0], "b": 1 - parts[:, 0], "c": parts[:, 1]}))
    assert [group.columns for group in fractions.groups] == [("a", "b")]
    assert guessed(pd.DataFrame(rng.uniform(0, 50, (60, 5)), columns=list("abcde"))).groups == ()
    units = pd.DataFrame(parts[:, :3] / parts[:, :3].sum(1, keepdims=True), columns=["a (wt%)", "b (wt%)", "c (MPa)"])
    assert guessed(units).groups == ()


# Corrections.


def test_a_schema_corrects_and_is_written_and_read_again(write, tmp_path):
    source = write("name,Z,grade,f [ksi],a,b\nx1,1,B,1.5,0.2,0.8\ny2,2,A,2.5,0.3,0.7\nz3,1,C,3.5,0.5,0.5\n")
    part = write(
        "columns: {Z: category, f: {unit: MPa}, grade: {kind: ordinal, levels: [C, B, A]}}\n"
        "groups: [{columns: [a, b], total: 1}]",
        "part.yaml",
    )
    table = read_table(source, schema=part)
    assert kinds(table) == {"name": "text", "Z": "category", "grade": "ordinal", "f": "continuous",
    "a": "continuous", "b": "continuous"}  # fmt: skip
    assert table.columns["Z"].levels == ("1", "2")
    assert table.columns["grade"].levels == ("C", "B", "A")
    assert table.columns["f"].unit == "MPa"
    assert table.groups == (Group(("a", "b"), 1.0),)
    write_schema(table, tmp_path / "whole.yaml")
    again = read_table(source, schema=tmp_path / "whole.yaml")
    assert again.columns == table.columns
    assert again.groups == table.groups
    pd.testing.assert_frame_equal(again.frame, table.frame)
    assert read_table(source, schema=part, kinds={"z": "count"}).columns["Z"].kind == "count"
    assert schema_of(table.to_dict()).units["f"] == read_schema(tmp_path / "whole.yaml").units["f"] == "MPa"
    assert described(table.frame, table.to_dict()).columns == table.columns


def test_levels_that_are_not_among_those_said_are_missing_with_a_note(write):
    source = write("g,y\nA,1\nB,2\nQ,3\n")
    table = read_table(source, schema=write("columns: {g: {levels: [A, B]}}", "s.yaml"))
    assert table.frame["g"].tolist() == ["A", "B", None]
    assert "4 g 'Q' cannot be read as one of A, B: missing" in notes(table)


def test_the_guess_is_shown(write):
    rows = {row["column"]: row for row in description(read_table(write("a [MPa],g\n1.5,x\n,y\n4,x\n2,y\n7,x\n")))}
    assert rows["a"] | {"why": ""} == {
        "column": "a", "kind": "continuous", "unit": "MPa", "range": [1.5, 7.0], "levels": [], "missing": 1,
        "limits": 0,
        "group": None, "why": "",
    }  # fmt: skip
    assert rows["g"]["levels"] == ["x", "y"]
    assert all(row["why"] for row in rows.values())


# Descriptors.


def test_descriptors_of_alloys_and_oxides():
    table = guessed(pd.DataFrame({"alloy": ["CoCrFeMnNi", "Al0.5CoCrFeNi", "CoCrFeNi"], "y": [1.5, 2.5, 3.5]}))
    full = with_descriptors(table, "alloy")
    frame = full.frame
    assert frame["mixing entropy"].iloc[0] == pytest.approx(8.31446 * np.log(5))
    assert frame["mean valence electrons"].iloc[0] == pytest.approx(8.0)
    assert frame["mean valence electrons"].iloc[1] == pytest.approx((0.5 * 3 + 9 + 6 + 8 + 10) / 4.5)
    group = full.groups[-1]
    np.testing.assert_allclose(frame[list(group.columns)].sum(1), 1, atol=1e-12)
    assert set(full.columns) == set(frame.columns)
    assert full.columns["mean melting temperature"].unit == "K"
    fluorite = describe_formulas(["CaF2"]).iloc[0]
    assert fluorite["mean electronegativity"] == pytest.approx((1.00 + 2 * 3.98) / 3)
    assert fluorite["range atomic number"] == 11
    assert fluorite["deviation atomic number"] == pytest.approx(
        (9.3333333 + 2 * 3.6666667 - 2 * 0.3333333 * 0) / 3 - 0.1111, abs=1.2
    )
    with pytest.raises(UserError, match="not formula"):
        with_descriptors(table, "y")


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["Fe", "Ni", "O", "Ti", "La", "H", "Cl"]), st.integers(1, 9), min_size=1, max_size=5
        ),
        min_size=1,
        max_size=6,
    ),
    st.integers(2, 5),
)
@FUZZ
def test_descriptors_do_not_depend_on_order_or_size(compositions, times):
    once = ["".join(f"{element}{count}" for element, count in each.items()) for each in compositions]
    turned = [
        "".join(f"{element}{count * times}" for element, count in reversed(each.items())) for each in compositions
    ]
    one, two = describe_formulas(once), describe_formulas(turned)
    pd.testing.assert_frame_equal(one, two, rtol=1e-9, atol=1e-9)
    for name in PROPERTIES:
        assert (one[f"min {name}"] <= one[f"mean {name}"] + 1e-9).all()
        assert (one[f"mean {name}"] <= one[f"max {name}"] + 1e-9).all()
        assert (one[f"deviation {name}"] <= one[f"range {name}"] / 2 + 1e-9).all()


# Fuzzing.


def read_bytes(content, folder, name="fuzz.csv"):
    path = folder / name
    path.write_bytes(content)
    try:
        table = read_table(path)
    except UserError as error:
        assert "\n" not in error.sentence()
        return None
    assert isinstance(table, Table)
    assert len(table)
    assert list(table.frame) == list(table.columns)
    assert table.frame.index.is_unique
    for column_name, column in table.columns.items():
        values = table.frame[column_name]
        if column.numeric:
            assert values.dtype == np.float64
            assert not np.isinf(values).any()
        else:
            assert values.dtype == object
            assert all(cell is None or isinstance(cell, str) for cell in values)
    assert description(table)
    return table


SCRAPS = st.lists(
    st.sampled_from(
        [",", ";", "\t", "|", "\n", "\r\n", '"', "1", "2,5", "1.5", "<", "-", "NA", "a", "b [MPa]", "°", "e5",
        "%", "#", " ", "Fe2O3", "Li",
        "2024-01-02", "low", "high", "±", "(", ")", "[", "]", "10^", "x", "µm", "nan", "inf", "1e400", "'",
        "=", "\x00", "９", "²"]
    ),
    max_size=60,
).map("".join)  # fmt: skip


@given(st.binary(max_size=300) | SCRAPS.map(str.encode) | SCRAPS.map(lambda text: text.encode("utf-16")))
@example(b"\xff\xfe")
@example(b"\x1f\x8b\x08")
@example(b"PAR1PAR1")
@example(b'a\n"')
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_bytes_are_a_table_or_one_sentence(tmp_path_factory, content):
    read_bytes(content, tmp_path_factory.getbasetemp())


@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_workbook_or_parquet_with_a_flaw_is_a_table_or_one_sentence(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    source = folder / "sound.xlsx"
    if not source.exists():
        workbook(source, {"one": [["a [MPa]", "b"], [1.5, "x"], [2, "<3"], [None, 4]]})
        pd.DataFrame({"a": [1.5, 2], "b": ["x", None]}).to_parquet(folder / "sound.parquet")
    content = bytearray((source if data.draw(st.booleans()) else folder / "sound.parquet").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    read_bytes(
        bytes(content[: data.draw(st.integers(1, len(content)))] if data.draw(st.booleans()) else content), folder
    )


WORDS = st.text(st.sampled_from("abcdefgh XYZ,;é\"'µ%/-"), min_size=1, max_size=8).map(lambda text: "w" + text.strip())
FLOATS = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 4)) | st.integers(-9999, 9999).map(float)


@given(
    st.integers(2, 8).flatmap(
        lambda rows: st.tuples(
            st.lists(st.lists(FLOATS | st.none(), min_size=rows, max_size=rows), min_size=1, max_size=4),
            st.lists(st.lists(WORDS | st.none(), min_size=rows, max_size=rows), max_size=2),
        )
    ),
    st.sampled_from([(",", "."), (";", ","), ("\t", "."), ("\t", ","), ("|", ".")]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_written_frame_reads_back_the_same(tmp_path_factory, columns, marks, encoding):
    numbers, texts = columns
    # 1,234 alone could be either; one number that is surely decimal tells how the file writes them.
    frame = pd.DataFrame({"key": [f"r{row}" for row in range(len(numbers[0]))], "proof": 0.25})
    for place, values in enumerate(numbers):
        frame[f"n{place}"] = np.array(values, float)
    for place, values in enumerate(texts):
        frame[f"t{place}"] = np.array(values, dtype=object)
    path = tmp_path_factory.getbasetemp() / "round.csv"
    frame.to_csv(path, sep=marks[0], decimal=marks[1], index=False, encoding=encoding, lineterminator="\n")
    back = read_frame(path)
    assert list(back) == list(frame)
    for name in frame:
        if name.startswith("n") and frame[name].notna().any():
            np.testing.assert_allclose(back[name].to_numpy(), frame[name].to_numpy(), rtol=1e-12)
        elif name.startswith("t"):
            expected = [" ".join(text.split()) if isinstance(text, str) else None for text in frame[name]]
            assert back[name].tolist() == expected


# Where the reader is used, and real files.


def test_fields_are_read_by_the_same_reader(write):
    dataset = read_dataset(write("f [MPa];kind\n1,5;x\n2,5;y\n3,0;x\n", "t.csv", "cp1252"))
    assert dataset.values["f [MPa]"].tolist() == [1.5, 2.5, 3.0]
    assert dataset.values["f [MPa]"].dtype == np.float32
    assert dataset.values["kind"].tolist() == [0, 1, 0]


REAL = {
    "electrolytes/obelix_train.csv": {
        "ID": "text", "Reduced Composition": "formula", "Ionic conductivity": "continuous",
        "Family": "category", "DOI": "text",
        "note": "text", "Space group": "category", "a": "continuous", "ICSD ID": "text", "Z": "count",
    },
    "tables/mpea.csv": {
        "FORMULA": "formula", "PROPERTY: YS": "continuous", "PROPERTY: HV": "continuous", "REFERENCE: title": "text",
        "PROPERTY: Processing method": "category", "PROPERTY: Type of test": "category", "REFERENCE: year": "date",
        "PROPERTY: Test temperature": "continuous", "IDENTIFIER: Reference ID": "text",
    },
    "tables/concrete.csv": {"Cement": "continuous", "Age": "count", "Strength": "continuous"},
    "tables/uhpc.csv": {"C": "continuous", "Age": "count", "CS": "continuous"},
    "tables/steel_fatigue.csv": {"Sl. No.": "text", "C": "continuous", "Fatigue": "count"},
    "tables/perovskite_stability.csv": {"Material Composition": "formula", "Paper citation": "text"},
    "tables/matbench/steels_yield.csv": {"formula": "formula", "target": "continuous"},
    "tables/polymer_tg.csv": {"SMILES": "text", "tg": "continuous"},
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_real_tables_are_what_an_engineer_expects(name):
    path = DATA / name
    if not path.exists():
        pytest.skip("the data of development are not here")
    table = read_table(path)
    assert {column: table.columns[column].kind for column in REAL[name]} == REAL[name]
    if "obelix" in name:
        assert table.columns["Ionic conductivity"].unit == "S/cm"
        assert (table.limits["Ionic conductivity"] == -1).sum() == 29
        assert table.column("Ionic conductivity (S cm-1)").name == "Ionic conductivity"
    if "mpea" in name:
        assert table.columns["PROPERTY: Test temperature"].unit == "°C"
        assert table.columns["PROPERTY: grain size"].unit == "µm"
    assert table.groups == ()
