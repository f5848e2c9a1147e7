"""Bad input: each kind gives one clear sentence, exit code 2, and no traceback.

The table CASES holds one row a kind of mistake: a name, a function that makes the bad input in a folder and
returns the command's arguments, and words that the sentence must hold (what is wrong, or how to mend it).
To add a row for another command, write ``@bad("words", ...)`` over such a function.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter
from typer.testing import CliRunner

from sozai.cli.app import app

Make = Callable[[Path], list[str]]
CASES: list[tuple[str, Make, tuple[str, ...]]] = []


def bad(*words: str) -> Callable[[Make], Make]:
    """Register a kind of bad input; ``words`` must be in the sentence, whatever their case."""

    def register(make: Make) -> Make:
        CASES.append((make.__name__, make, words))
        return make

    return register


def file(folder: Path, name: str, content: str | bytes) -> list[str]:
    """Write a file and return the arguments that check it."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return ["check", str(path)]


SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
CIF = str(CifWriter(SALT))
POSCAR = "salt\n1.0\n5 0 0\n0 5 0\n0 0 5\nNa Cl\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"


# --- files ------------------------------------------------------------------------------------------------


@bad("no such file")
def missing_path(folder):
    return ["check", str(folder / "nothing.cif")]


@bad("holds no crystal")
def empty_folder(folder):
    (folder / "empty").mkdir()
    return ["check", str(folder / "empty")]


@bad("in no crystal format")
def folder_of_other_files(folder):
    (folder / "notes.txt").write_text("dear diary")
    return ["check", str(folder)]


@bad("neither a file nor a folder")
def device_file(folder):
    os.mkfifo(folder / "pipe.cif")
    return ["check", str(folder / "pipe.cif")]


@bad("in no format sozai reads")
def picture(folder):
    return file(folder, "photo.png", b"\x89PNG\r\n\x1a\n" + bytes(100))


@bad("it is empty")
def empty_file(folder):
    return file(folder, "empty.cif", "")


@bad("binary")
def binary_as_cif(folder):
    return file(folder, "x.cif", b"data_x\0\0\0" + bytes(range(256)))


# --- CIF --------------------------------------------------------------------------------------------------


@bad("cut off")
def cif_cut_before_the_atoms(folder):
    return file(folder, "x.cif", CIF[: CIF.index("_atom_site")])


@bad("cut off", "middle of a row")
def cif_cut_in_a_row(folder):
    return file(folder, "x.cif", CIF.rstrip()[:-12])


@bad("cut off", "formula")
def cif_cut_after_a_row(folder):
    return file(folder, "x.cif", "\n".join(CIF.rstrip().splitlines()[:-2]) + "\n")


@bad("'Xq' is not an element")
def unknown_element(folder):
    return file(folder, "x.cif", CIF.replace("  Na  Na0", "  Xq  Na0", 1))


@bad("'Nx' is not an element")
def element_that_a_lenient_reader_takes_for_another(folder):
    return file(folder, "x.cif", CIF.replace("  Na  Na0", "  Nx  Na0", 1))  # pymatgen reads nitrogen


@bad("disordered", "ordered model")
def partly_occupied_site(folder):
    mixed = SALT.copy()
    mixed[0] = {"Na": 0.5, "K": 0.5}
    return file(folder, "x.cif", str(CifWriter(mixed)))


@bad("disordered", "more than full")
def occupancy_above_one(folder):
    return file(folder, "x.cif", CIF.rstrip()[:-1] + "1.4\n")


@bad("overlap", "0.28 A")
def overlapping_atoms(folder):
    close = SALT.copy()
    close.append("Na", [0.05, 0, 0])
    return file(folder, "x.cif", str(CifWriter(close)))


@bad("share one place")
def the_same_atom_twice(folder):
    lines = CIF.rstrip().splitlines()
    return file(folder, "x.cif", "\n".join([*lines, lines[-1]]).replace("Na4 Cl4", "Na4 Cl5") + "\n")


@bad("no volume")
def flat_cell(folder):
    return file(folder, "x.cif", CIF.replace("_cell_length_c   5.64000000", "_cell_length_c   0.00000000"))


@bad("no x coordinate")
def missing_coordinate(folder):
    lines = CIF.rstrip().splitlines()
    row = lines[-1].split()
    row[3] = "?"
    return file(folder, "x.cif", "\n".join([*lines[:-1], " ".join(row)]))


@bad("space group is not understood")
def space_group_without_operations(folder):
    number = "_symmetry_Int_Tables_number   "
    text = CIF.replace("'P 1'", "'Q 9 9 9'").replace(f"{number}1", f"{number}999")
    start, end = text.index("loop_\n _symmetry_equiv"), text.index("loop_\n _atom_site")
    return file(folder, "x.cif", text[:start] + text[end:])


@bad("no data_ block")
def text_that_is_no_cif(folder):
    return file(folder, "x.cif", "Quartz is a mineral.\n" * 9)


# --- other formats ----------------------------------------------------------------------------------------


@bad("cut off")
def poscar_with_too_few_atoms(folder):
    return file(folder, "POSCAR", POSCAR.replace("1 1\n", "1 3\n"))


@bad("does not name its elements")
def poscar_without_elements(folder):
    return file(folder, "POSCAR", POSCAR.replace("Na Cl\n", ""))


@bad("not a finite number")
def coordinate_that_is_no_number(folder):
    return file(folder, "POSCAR", POSCAR.replace("0.5 0.5 0.5", "nan 0.5 0.5"))


@bad("no Lattice")
def molecule_as_crystal(folder):
    return file(folder, "water.xyz", "3\nwater\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n")


@bad("not periodic")
def slab(folder):
    comment = 'Lattice="3 0 0 0 3 0 0 0 20" Properties=species:S:1:pos:R:3 pbc="T T F"'
    return file(folder, "slab.xyz", f"1\n{comment}\nCu 0 0 0\n")


@bad("frame 1", "cut off")
def xyz_cut_off(folder):
    return file(folder, "x.extxyz", '5\nLattice="3 0 0 0 3 0 0 0 3"\nCu 0 0 0\n')


@bad("no whole JSON", "cut off")
def json_cut_off(folder):
    return file(folder, "x.json", json.dumps(SALT.as_dict())[:500])


@bad("holds no pymatgen structure")
def json_of_something_else(folder):
    return file(folder, "x.json", '{"hello": "world"}')


@bad("parquet")
def parquet_cut_off(folder):
    return file(folder, "x.parquet", b"PAR1" + bytes(200))


@bad("no column 'lattice'")
def parquet_without_structures(folder):
    import pandas as pd

    pd.DataFrame({"a": [1]}).to_parquet(folder / "x.parquet")
    return ["screen", str(folder / "x.parquet"), "--out", str(folder / "run")]


@bad("row 1", "7 lattice numbers")
def parquet_with_a_short_lattice(folder):
    import pandas as pd

    rows = {"lattice": [[1.0] * 7], "numbers": [[11]], "frac_coords": [[0.0] * 3]}
    pd.DataFrame(rows).to_parquet(folder / "x.parquet")
    return ["check", str(folder / "x.parquet")]


# --- archives ---------------------------------------------------------------------------------------------


@bad("broken or cut off")
def zip_cut_off(folder):
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.writestr("x.cif", CIF)
    data = (folder / "x.zip").read_bytes()
    return file(folder, "x.zip", data[: len(data) // 2])


@bad("encrypted", "password")
def zip_with_a_password(folder):
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.writestr("x.cif", CIF)
    data = bytearray((folder / "x.zip").read_bytes())
    data[6] |= 1  # the flag that says encrypted, in the file's header ...
    data[data.index(b"PK\x01\x02") + 8] |= 1  # ... and in the directory
    return file(folder, "x.zip", bytes(data))


@bad("outside the archive")
def zip_that_reaches_outside(folder):
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.writestr("../../x.cif", CIF)
    return ["check", str(folder / "x.zip")]


@bad("zip bomb")
def zip_bomb(folder):
    with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.cif", bytes(64 << 20))
    return ["check", str(folder / "x.zip")]


@bad("gzip file is broken")
def gzip_cut_off(folder):
    return file(folder, "x.cif.gz", b"\x1f\x8b\x08\x00garbage")


# --- commands and options ---------------------------------------------------------------------------------


@bad("missing argument")
def no_path(folder):
    return ["check"]


@bad("no such command", "did you mean 'check'")
def misspelt_command(folder):
    return ["chek", "x.cif"]


@bad("no such option", "--limit")
def misspelt_option(folder):
    return ["check", "--limt", "3", "x.cif"]


@bad("--limit", "greater than or equal to 1")
def negative_count(folder):
    return ["check", "--limit", "-3", "x.cif"]


@bad("--limit", "integer")
def count_that_is_no_number(folder):
    return ["check", "--limit", "many", "x.cif"]


@bad("--level")
def unknown_level(folder):
    return ["check", "--level", "extreme", "x.cif"]


@bad("rules.yaml")
def missing_rule_file(folder):
    return [*file(folder, "x.cif", CIF), "--rules", str(folder / "rules.yaml")]


@bad("rules.yaml")
def rule_file_that_is_no_yaml(folder):
    (folder / "rules.yaml").write_text("rules: [unclosed\n  - {")
    return [*file(folder, "x.cif", CIF), "--rules", str(folder / "rules.yaml")]


@bad("gravity")
def unknown_rule(folder):
    (folder / "rules.yaml").write_text("rules:\n  gravity: {severity: hard}\n")
    return [*file(folder, "x.cif", CIF), "--rules", str(folder / "rules.yaml")]


# --- sozai design ------------------------------------------------------------------------------------------


def design(folder: Path, *options: str) -> list[str]:
    """The arguments of a small design."""
    return ["design", "crystals", *options, "--out", str(folder / "run")]


def begun(folder: Path, settings: str) -> list[str]:
    """The arguments that resume a run with these settings."""
    (folder / "run" / "state").mkdir(parents=True, exist_ok=True)
    (folder / "run" / "state" / "settings.json").write_text(settings)
    return ["design", "crystals", "--resume", str(folder / "run")]


def weights(folder: Path) -> Path:
    """A copy of the bundled weights, to be spoilt."""
    source = Path(str(resources.files("sozai.generators.wyckoff_gpt") / "weights"))
    target = folder / "weights"
    target.mkdir(exist_ok=True)
    for name in ("settings.json", "weights.safetensors"):
        (target / name).write_bytes((source / name).read_bytes())
    return target


@bad("-5 crystals", "1 or more")
def design_of_a_negative_count(folder):
    return design(folder, "--count", "-5")


@bad("0 crystals", "1 or more")
def design_of_nothing(folder):
    return design(folder, "--count", "0")


@bad("0 minutes", "above 0")
def design_in_no_time(folder):
    return design(folder, "--minutes", "0")


@bad("inf minutes")
def design_for_ever(folder):
    return design(folder, "--minutes", "inf")


@bad("-1 relaxations")
def design_with_negative_relaxations(folder):
    return design(folder, "--relax", "-1")


@bad("cannot write in this folder", "run")
def design_into_a_file(folder):
    (folder / "run").write_text("")
    return design(folder, "--elements", "Na,Cl")


@bad("--out", "say where to write")
def design_without_a_folder(folder):
    return ["design", "crystals", "--elements", "Na,Cl"]


@bad("space group 231 does not exist", "1 to 230")
def design_in_an_impossible_space_group(folder):
    return design(folder, "--space-group", "231")


@bad("SrTiO3", "229 (Im-3m)", "take space group 22")
def formula_that_the_space_group_cannot_hold(folder):
    return design(folder, "--formula", "SrTiO3", "--space-group", "229", "--max-atoms", "5")


@bad("P3LiS4", "1 to 6 atoms", "allow 8 atoms")
def formula_larger_than_the_cell(folder):
    return design(folder, "--formula", "P3LiS4", "--max-atoms", "6")


@bad("charge_neutrality", "at best -1", "another formula", "soft")
def formula_that_cannot_be_neutral(folder):
    return design(folder, "--formula", "NaCl2")


@bad("'Xq' in the formula 'XqO2' is not an element")
def formula_with_an_unknown_element(folder):
    return design(folder, "--formula", "XqO2")


@bad("not a chemical formula")
def formula_that_is_none(folder):
    return design(folder, "--formula", "li3ps4")


@bad("'Xx' is not an element")
def design_with_an_unknown_element(folder):
    return design(folder, "--elements", "Li,Xx")


@bad("needs Li and forbids it")
def contradictory_elements(folder):
    return design(folder, "--require", "Li", "--exclude", "Li,Na")


@bad("the formula has Cl, Na but the elements are Br, K")
def formula_of_other_elements(folder):
    return design(folder, "--formula", "NaCl", "--elements", "K,Br")


@bad("needs Ar", "noble_gases")
def noble_gas(folder):
    return design(folder, "--elements", "Ar,O")


@bad("never seen Fr")
def element_the_generator_never_saw(folder):
    return design(folder, "--elements", "Fr,O")


@bad("between 9 and 4 atoms")
def more_atoms_than_allowed(folder):
    return design(folder, "--min-atoms", "9", "--max-atoms", "4")


@bad("writes cells of up to", "500")
def more_atoms_than_the_generator_writes(folder):
    return design(folder, "--max-atoms", "500")


@bad("'Li' is no least share", "Li=0.2")
def malformed_share(folder):
    return design(folder, "--at-least", "Li")


@bad("must lie in 0 to 1")
def share_above_one(folder):
    return design(folder, "--at-least", "Li=1.5")


@bad("Li", "less than the 60% asked for")
def share_that_the_formula_misses(folder):
    return design(folder, "--formula", "LiCl", "--at-least", "Li=0.6")


@bad("no generator 'gan'", "wyckoff-gpt, substitution, random")
def unknown_generator(folder):
    return design(folder, "--generator", "gan")


@bad("'substitution' has no guidance")
def guidance_of_a_generator_without(folder):
    return design(folder, "--generator", "substitution", "--guidance", "3")


@bad("a guidance of -1")
def negative_guidance(folder):
    return design(folder, "--guidance", "-1")


@bad("temperature", "above 0")
def temperature_of_zero(folder):
    return design(folder, "--temperature", "0")


@bad("'random' has no weights")
def weights_of_a_generator_without(folder):
    return design(folder, "--generator", "random", "--weights", str(folder))


@bad("no weights of wyckoff-gpt here", "sozai train")
def missing_weights(folder):
    return design(folder, "--weights", str(folder / "none"))


@bad("weights cannot be read", "damaged")
def weights_cut_off(folder):
    path = weights(folder) / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    return design(folder, "--weights", str(folder / "weights"))


@bad("not those that the settings beside them name")
def weights_with_a_flipped_bit(folder):
    path = weights(folder) / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-9] ^= 4
    path.write_bytes(content)
    return design(folder, "--weights", str(folder / "weights"))


@bad("weights cannot be read")
def weights_with_settings_of_something_else(folder):
    (weights(folder) / "settings.json").write_text('{"colour": "blue"}')
    return design(folder, "--weights", str(folder / "weights"))


@bad("rules.yaml", "gravity")
def design_with_an_unknown_rule(folder):
    (folder / "rules.yaml").write_text("rules:\n  gravity: {severity: hard}\n")
    return design(folder, "--rules", str(folder / "rules.yaml"))


@bad("rules.yaml")
def design_with_rules_that_are_no_yaml(folder):
    (folder / "rules.yaml").write_text("rules: [unclosed\n  - {")
    return design(folder, "--rules", str(folder / "rules.yaml"))


@bad("a run is in this folder already", "--resume")
def design_over_another_run(folder):
    begun(folder, "{}")
    (folder / "run" / "state" / "generated.jsonl").write_text("")
    return design(folder)


@bad("no run to go on with", "--out before")
def resume_of_nothing(folder):
    return ["design", "crystals", "--resume", str(folder)]


@bad("settings of the run are damaged")
def resume_with_damaged_settings(folder):
    return begun(folder, '{"count": 20, "min')


@bad("settings of the run are damaged")
def resume_with_settings_of_something_else(folder):
    return begun(folder, '{"colour": "blue"}')


@bad("--count", "keeps the settings")
def resume_with_other_settings(folder):
    return [*begun(folder, "{}"), "--count", "7"]


@bad("generated.jsonl", "delete it")
def resume_with_damaged_crystals(folder):
    settings = {
        "conditions": {"elements": "Na,Cl"}, "count": 3, "minutes": 1.0, "relax": 1, "generator": "substitution",
        "weights": None, "guidance": None, "temperature": None, "rules": None, "seed": 0, "second_opinion": False,
        "processes": None,
    }  # fmt: skip
    arguments = begun(folder, json.dumps(settings))
    (folder / "run" / "state" / "generated.jsonl").write_text('{"id": "a", "structure": {"la')
    return arguments


# --- sozai demo, screen, generate, train -------------------------------------------------------------------


@bad("0 minutes")
def demo_in_no_time(folder):
    return ["demo", "--minutes", "0", "--out", str(folder / "demo")]


@bad("cannot write in this folder")
def demo_into_a_file(folder):
    (folder / "demo").write_text("")
    return ["demo", "--out", str(folder / "demo")]


def screen(folder: Path, *options: str) -> list[str]:
    """The arguments that screen one sound crystal."""
    (folder / "good.cif").write_text(CIF)
    return ["screen", str(folder / "good.cif"), "--out", str(folder / "run"), *options]


@bad("holds no crystal")
def screen_of_an_empty_folder(folder):
    (folder / "empty").mkdir(exist_ok=True)
    return ["screen", str(folder / "empty"), "--out", str(folder / "run")]


@bad("no such file")
def screen_of_nothing(folder):
    return ["screen", str(folder / "nothing"), "--out", str(folder / "run")]


@bad("bad.cif", "no data_ block")
def screen_of_bad_files_only(folder):
    (folder / "bad.cif").write_text("Quartz is a mineral.")
    return ["screen", str(folder / "bad.cif"), "--out", str(folder / "run")]


@bad("missing option '--out'")
def screen_without_a_folder(folder):
    return screen(folder)[:2]


@bad("0 relaxations")
def screen_with_no_relaxation(folder):
    return screen(folder, "--relax", "0")


@bad("'Xx' is not an element")
def screen_for_an_unknown_element(folder):
    return screen(folder, "--elements", "Na,Xx")


@bad("sozai design is in this folder", "another --out")
def screen_into_a_design(folder):
    begun(folder, "{}")
    return screen(folder)


@bad("-3 samples")
def generate_a_negative_count(folder):
    return ["generate", "random", "--count", "-3", "--out", str(folder / "run")]


@bad("--seed", "greater than or equal to 0")
def generate_with_a_negative_seed(folder):
    return ["generate", "random", "--seed", "-1", "--out", str(folder / "run")]


@bad("band_gap", "nan is no aim", "eV")
def aim_that_is_no_number(folder):
    return design(folder, "--band-gap", "nan")


@bad("no generator 'gan'")
def generate_by_an_unknown_generator(folder):
    return ["generate", "gan", "--out", str(folder / "run")]


@bad("no known prototype fits")
def generate_what_no_prototype_is_like(folder):
    wish = ("--formula", "Li7P3S11Cl2", "--space-group", "230", "--max-atoms", "60")
    return ["generate", "substitution", *wish, "--out", str(folder / "run")]


@bad("'substitution' cannot be trained", "wyckoff-gpt")
def train_what_learns_nothing(folder):
    return ["train", "substitution", "--data", str(folder), "--out", str(folder / "w")]


@bad("only 1 crystals", "at least 50")
def train_on_too_few(folder):
    (folder / "good.cif").write_text(CIF)
    return ["train", "wyckoff-gpt", "--data", str(folder / "good.cif"), "--out", str(folder / "w")]


@bad("no time to train in", "0m")
def train_in_no_time(folder):
    return ["train", "wyckoff-gpt", "--data", str(folder), "--out", str(folder / "w"), "--max-time", "0m"]


@bad("in no crystal format")
def train_on_no_crystals(folder):
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "notes.txt").write_text("dear diary")
    return ["train", "wyckoff-gpt", "--data", str(folder / "data"), "--out", str(folder / "w")]


@bad("no such file", "nothing.parquet")
def train_on_a_missing_file(folder):
    return ["train", "wyckoff-gpt", "--data", str(folder / "nothing.parquet"), "--out", str(folder / "w")]


# --- the checks themselves --------------------------------------------------------------------------------

ALL = pytest.mark.parametrize(("make", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])


@ALL
def test_one_sentence_and_exit_code_2(tmp_path, make, words):
    result = CliRunner().invoke(app, make(tmp_path))
    sentence = result.stderr.strip()
    assert result.exit_code == 2, result.output
    assert result.stdout.strip() == ""
    assert sentence and "\n" not in sentence, "one line"
    assert sentence.endswith("."), sentence
    assert "Traceback" not in sentence and "Error(" not in sentence
    for word in words:
        assert word.lower() in sentence.lower(), sentence


@ALL
def test_as_json(tmp_path, make, words):
    result = CliRunner().invoke(app, [*make(tmp_path), "--json"])
    assert result.exit_code == 2
    assert result.stderr == ""
    error = json.loads(result.stdout)["error"]
    assert set(error) == {"what", "where", "mend"} and error["what"]


def test_there_are_at_least_twenty_kinds():
    assert len(CASES) >= 20 and len({name for name, _, _ in CASES}) == len(CASES)


@pytest.mark.parametrize("make", [missing_path, cif_cut_in_a_row, misspelt_option], ids=lambda make: make.__name__)
def test_the_same_as_a_process(tmp_path, make):
    """What a shell sees: the code of the process, nothing on standard output, one line on standard error."""
    command = [sys.executable, "-m", "sozai", *make(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_rest_goes_on(tmp_path):
    """One bad file among good ones is named with its reason, and the others are checked."""
    file(tmp_path, "good.cif", CIF)
    cif_cut_in_a_row(tmp_path)
    result = CliRunner().invoke(app, ["check", str(tmp_path), "--json"])
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert [crystal["id"] for crystal in answer["crystals"]] == ["good"]
    assert [problem["where"] for problem in answer["problems"]] == ["x.cif"]
