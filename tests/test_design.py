"""From a wish to verified candidates through the real command: what is handed over is read back and judged anew."""

from __future__ import annotations

import csv
import hashlib
import json
import shlex
import shutil
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import ase.io
import chromium
import numpy as np
import pandas as pd
import pytest
import spglib
from pymatgen.core import Composition, Structure
from pymatgen.io.ase import AseAtomsAdaptor
from typer.testing import CliRunner

from sozai.cli.app import app
from sozai.generators.wyckoff_gpt.model import WyckoffGPT
from sozai.materials.crystal import Crystal
from sozai.materials.crystal_writers import write_crystals
from sozai.materials.known import known_materials
from sozai.screening import funnel
from sozai.screening.second_opinion import SecondOpinion

SMALL = ("--count", "24", "--relax", "6", "--processes", "1", "--minutes", "3")
WISHES = {
    "elements": "--elements Li,P,S --no-second-opinion",
    "formula": "--formula LiAlSe2 --no-second-opinion",
    "space group": "--space-group 216 --space-group 225 --max-atoms 4 --no-second-opinion",
    "number of atoms": "--min-atoms 5 --max-atoms 6",
    "parts": "--require Mg,F --at-least F=0.5 --max-atoms 10 --rules {rules} --no-second-opinion",
}
RULES = "wish:\n  forbidden: [K, Rb, Cs]\nrules:\n  radioactivity: {severity: hard}\n"
ALL = pytest.mark.parametrize("name", WISHES)


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def strict(text: str):
    """JSON, with neither NaN nor infinity."""

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def done(*arguments: object) -> dict:
    """Run with --json: one JSON object on standard output, nothing on standard error."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == "" and len(result.stdout.splitlines()) == 1
    return strict(result.stdout)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """A finished run folder for each wish."""
    root = tmp_path_factory.mktemp("design")
    (root / "rules.yaml").write_text(RULES)
    folders = {}
    for name, wish in WISHES.items():
        folders[name] = root / name.replace(" ", "-")
        words = shlex.split(wish.format(rules=shlex.quote(str(root / "rules.yaml"))))
        printed = done("design", "crystals", *words, *SMALL, "--out", folders[name])
        assert printed == result_of(folders[name])
    return folders


def result_of(folder: Path) -> dict:
    return strict((folder / "result.json").read_text())


def generated_in(folder: Path) -> dict[str, Structure]:
    lines = [json.loads(line) for line in (folder / "state" / "generated.jsonl").read_text().splitlines()]
    return {line["id"]: Structure.from_dict(line["structure"]) for line in lines if "structure" in line}


def from_cifs(path: Path) -> dict[str, Structure]:
    with zipfile.ZipFile(path) as archive:
        return {
            name.removesuffix(".cif"): Structure.from_str(archive.read(name).decode(), fmt="cif")
            for name in archive.namelist()
        }


def from_extxyz(path: Path) -> dict[str, Structure]:
    frames = ase.io.read(path, ":", format="extxyz")
    return {atoms.info["material_id"]: AseAtomsAdaptor.get_structure(atoms) for atoms in frames}


# --- the exact wishes hold ---------------------------------------------------------------------------------


def composition_is_as_wished(name: str, structure: Structure) -> bool:
    """What the wish of that name says about elements, put again in pymatgen's words."""
    formula = Composition(structure.composition.reduced_formula)
    elements = {element.symbol for element in formula}
    if name == "elements":
        return elements == {"Li", "P", "S"}
    if name == "formula":
        return formula == Composition("LiAlSe2")
    if name == "parts":
        unwanted = {"K", "Rb", "Cs"} | {element.symbol for element in formula if element.is_radioactive}
        return {"Mg", "F"} <= elements and not elements & unwanted and formula.get_atomic_fraction("F") >= 0.5
    return True


def symmetry_is_as_wished(name: str, structure: Structure) -> bool:
    """What it says about space group and number of atoms, in spglib's words."""
    cell = (structure.lattice.matrix, structure.frac_coords, list(structure.atomic_numbers))
    atoms = len(spglib.find_primitive(cell, symprec=0.1)[2])
    if name == "space group":
        return spglib.get_symmetry_dataset(cell, symprec=0.1).number in (216, 225) and atoms <= 4
    least, most = {"number of atoms": (5, 6), "parts": (1, 10)}.get(name, (1, 20))
    return least <= atoms <= most


@ALL
def test_exact_wishes_hold_in_every_candidate_after_relaxation(runs, name):
    ids = [candidate["id"] for candidate in result_of(runs[name])["candidates"]]
    assert ids, "no candidate: nothing would be tested"
    cifs = from_cifs(runs[name] / "candidates.cif.zip")
    frames = from_extxyz(runs[name] / "candidates.extxyz")
    assert list(cifs) == list(frames) == ids
    for identifier in ids:
        for structure in (cifs[identifier], frames[identifier]):
            assert composition_is_as_wished(name, structure), structure
            assert symmetry_is_as_wished(name, structure), structure


@ALL
def test_exact_wishes_hold_in_what_is_generated(runs, name):
    """They hold by construction; the few crystals that come out more symmetric than drawn are not handed over."""
    generated = generated_in(runs[name])
    assert len(generated) >= 18
    assert all(composition_is_as_wished(name, structure) for structure in generated.values())
    assert all(symmetry_is_as_wished(name, structure) for structure in generated.values())


# --- the run folder ----------------------------------------------------------------------------------------

CANDIDATE = {
    "id": str, "rank": int, "formula": str, "space_group": dict, "n_sites": int, "energy_per_atom": float,
    "energy_above_hull": float | None, "hull_note": str, "hull_references": int, "stability": str,
    "decomposition": list, "probability_metastable": float | None, "second_opinion": dict | None,
    "relaxation": dict, "verdicts": list, "nearest_known": dict | None, "properties": dict,
    "provenance": dict, "structure": dict,
}  # fmt: skip
RESULT = {
    "sozai": str, "kind": str, "command": str, "wish": dict, "generator": dict, "settings": dict, "seconds": float,
    "energy_wh": float | None, "funnel": list, "candidates": list, "rejected": list, "problems": list,
    "calibration": dict | None,
}  # fmt: skip
STAGES = ["generated", "valid", "unique", "novel", "ranked", "relaxed", "stable"]


def has_shape(record: dict, shape: dict) -> None:
    assert record.keys() == shape.keys()
    for key, kind in shape.items():
        assert isinstance(record[key], kind), (key, record[key])


@ALL
def test_result_has_its_shape(runs, name):
    result = result_of(runs[name])
    has_shape(result, RESULT)
    assert result["kind"] == "crystals" and result["generator"]["name"] == "wyckoff-gpt"
    for rank, candidate in enumerate(result["candidates"], start=1):
        has_shape(candidate, CANDIDATE)
        assert candidate["rank"] == rank
        above = candidate["energy_above_hull"]
        if above is None:
            assert candidate["stability"] == "unknown" and candidate["hull_note"]
            assert candidate["probability_metastable"] is None
        else:
            assert above <= 0.1 and 0 <= candidate["probability_metastable"] <= 1
            assert candidate["stability"] == ("stable" if above <= 0 else "metastable")
            assert sum(phase["fraction"] for phase in candidate["decomposition"]) == pytest.approx(1, abs=2e-3)
        structure = Structure.from_dict(candidate["structure"])
        assert structure.composition.reduced_composition == Composition(candidate["formula"])
        assert len(structure) == candidate["n_sites"]
        cell = (structure.lattice.matrix, structure.frac_coords, list(structure.atomic_numbers))
        assert spglib.get_symmetry_dataset(cell, symprec=0.1).number == candidate["space_group"]["number"]
        relaxation = candidate["relaxation"]
        assert relaxation["converged"] and relaxation["max_force"] <= 0.05
        assert not any(v["passed"] is False and v["severity"] == "hard" for v in candidate["verdicts"])
        assert {v["rule"] for v in candidate["verdicts"]} >= {"charge_neutrality", "bond_valence", "coordination"}


@ALL
def test_the_funnel_adds_up(runs, name):
    result = result_of(runs[name])
    assert [stage["stage"] for stage in result["funnel"]] == STAGES
    counts = [stage["count"] for stage in result["funnel"]]
    for before, stage in zip(counts, result["funnel"][1:], strict=False):
        named = [entry for entry in result["rejected"] if entry["stage"] == stage["stage"]]
        assert before - stage["count"] == sum(stage["dropped"].values()) == len(named)
        assert all(entry["reason"] for entry in named)
    assert counts[-1] == len(result["candidates"])
    assert counts[STAGES.index("ranked")] <= 6
    screened = [entry for entry in result["rejected"] if entry["stage"] != "generated"]
    told = [entry["id"] for entry in screened + result["candidates"]]
    assert sorted(told) == sorted(generated_in(runs[name]))  # each is told of once, and nothing else is


@ALL
def test_every_file_has_the_same_crystals_in_the_same_order(runs, name):
    folder = runs[name]
    result = result_of(folder)
    with (folder / "candidates.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    table = pd.read_parquet(folder / "candidates.parquet")
    ids = [candidate["id"] for candidate in result["candidates"]]
    assert [row["material_id"] for row in rows] == list(table["material_id"]) == ids
    frames = from_extxyz(folder / "candidates.extxyz")
    cifs = from_cifs(folder / "candidates.cif.zip")
    for row, stored, candidate in zip(rows, table.itertuples(), result["candidates"], strict=True):
        assert int(row["rank"]) == candidate["rank"]
        assert float(row["energy_per_atom"]) == candidate["energy_per_atom"]
        above = candidate["energy_above_hull"]
        assert row["energy_above_hull"] == ("" if above is None else str(above))
        structure = Structure.from_dict(candidate["structure"])
        assert np.allclose(np.reshape(stored.lattice, (3, 3)), structure.lattice.matrix)
        assert list(stored.numbers) == list(structure.atomic_numbers)
        per_atom = structure.volume / len(structure)
        for other in (frames[candidate["id"]], cifs[candidate["id"]]):
            assert other.volume / len(other) == pytest.approx(per_atom, rel=1e-4)
            assert other.composition.reduced_composition == structure.composition.reduced_composition


@ALL
def test_the_manifest_tells_how_it_was_made(runs, name):
    manifest = strict((runs[name] / "manifest.json").read_text())
    assert manifest["status"] == "finished" and manifest["seeds"] == {"generator": 0}
    assert manifest["seconds"] > 0 and manifest["energy_wh"] > 0 and manifest["start"] <= manifest["end"]
    assert manifest["versions"]["chgnet"] and manifest["versions"]["torch"]
    assert manifest["settings"]["count"] == 24 and len(manifest["settings"]["rules_hash"]) == 16
    weights = files("sozai.generators.wyckoff_gpt") / "weights" / "weights.safetensors"
    assert manifest["generator"]["weights"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert manifest["weights"]["wyckoff-gpt"] == manifest["generator"]["weights"] and manifest["weights"]["ranker"]
    library = files("sozai.materials") / "known_materials.parquet"
    assert manifest["bundled"]["known_materials.parquet"] == hashlib.sha256(library.read_bytes()).hexdigest()
    named = {Path(path).name: digest for path, digest in manifest["data"].items()}
    assert named == ({"rules.yaml": hashlib.sha256(RULES.encode()).hexdigest()} if name == "parts" else {})


def test_the_second_opinion_judges_every_candidate(runs):
    if not SecondOpinion.available():
        pytest.skip("the package of the second potential is not installed")
    opinions = [candidate["second_opinion"] for candidate in result_of(runs["number of atoms"])["candidates"]]
    assert opinions and all(opinion["potential"] == "sevennet-l3i5" for opinion in opinions)
    assert all(-15 < opinion["energy_per_atom"] < 0 for opinion in opinions)
    assert any(opinion["energy_above_hull"] is not None for opinion in opinions)


@pytest.mark.skipif(chromium.COMMAND is None, reason="no chromium on this machine")
def test_the_report_of_a_real_run_in_a_browser(runs, tmp_path):
    result = result_of(runs["number of atoms"])
    with chromium.Browser() as browser:
        browser.open(runs["number of atoms"] / "report.html")
        browser.run("document.getElementById('c1').scrollIntoView({behavior: 'instant'})")
        browser.wait("document.querySelector('#c1 .view.live canvas') !== null")
        assert browser.run("document.querySelectorAll('#table tbody tr').length") == len(result["candidates"])
        assert browser.run("document.querySelectorAll('article.card').length") == len(result["candidates"])
        assert result["candidates"][0]["id"] in browser.run("document.body.textContent")
        assert browser.picture(tmp_path / "page.png").stat().st_size > 10_000
        outside = [url for url in browser.requests if not url.startswith(("file:", "data:", "blob:"))]
        pages = [url for url in browser.requests if url.startswith("file:")]
        assert outside == [] and len(pages) == 1  # the report itself and nothing else
        assert [text for text in browser.complaints if "Canvas2D" not in text] == []


# --- again, interrupted, resumed ---------------------------------------------------------------------------


def outcome(folder: Path) -> list[tuple]:
    return [(c["id"], c["formula"], c["space_group"]["number"]) for c in result_of(folder)["candidates"]]


def energies(folder: Path) -> list[float]:
    return [candidate["energy_per_atom"] for candidate in result_of(folder)["candidates"]]


def test_the_same_seed_gives_the_same_candidates_also_as_a_process(runs, tmp_path):
    words = [*shlex.split(WISHES["elements"]), *SMALL, "--out", str(tmp_path), "--json"]
    command = [sys.executable, "-m", "sozai", "design", "crystals", *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0 and ended.stderr == ""
    assert strict(ended.stdout) == result_of(tmp_path)
    assert outcome(tmp_path) == outcome(runs["elements"])
    assert energies(tmp_path) == pytest.approx(energies(runs["elements"]), abs=1e-4)
    assert result_of(tmp_path)["rejected"] == result_of(runs["elements"])["rejected"]


def test_another_seed_gives_others(runs, tmp_path):
    arguments = ["generate", "wyckoff-gpt", "--elements", "Li,P,S", "--count", 24, "--out", tmp_path]
    done(*arguments, "--seed", 1)
    others = {structure.formula for structure in from_cifs(tmp_path / "samples.cif.zip").values()}
    assert others != {structure.formula for structure in generated_in(runs["elements"]).values()}


def test_interrupted_work_goes_on(runs, tmp_path, monkeypatch):
    relax_stream = funnel.relax_stream
    todo = []

    def two_then_ctrl_c(structures, **options):
        stream = relax_stream(structures, **options)
        yield next(stream)
        yield next(stream)
        raise KeyboardInterrupt

    def counted(structures, **options):
        todo.append(len(structures))
        return relax_stream(structures, **options)

    folder = tmp_path / "my run"
    monkeypatch.setattr(funnel, "relax_stream", two_then_ctrl_c)
    stopped = run("design", "crystals", *shlex.split(WISHES["elements"]), *SMALL, "--out", folder)
    assert stopped.exit_code == 130 and stopped.stdout == ""
    assert stopped.stderr.splitlines()[-1] == f"Stopped. Go on with: sozai design crystals --resume '{folder}'"
    assert "Traceback" not in stopped.stderr
    assert json.loads((folder / "manifest.json").read_text())["status"] == "interrupted"
    assert not (folder / "result.json").exists()

    def never(*_, **__):
        raise AssertionError("generated again")

    monkeypatch.setattr(WyckoffGPT, "sample", never)
    monkeypatch.setattr(funnel, "relax_stream", counted)
    resumed = done("design", "crystals", "--resume", folder)
    assert todo == [4]  # six in all, two were finished
    assert "kept from before" in resumed["funnel"][0]["note"]
    assert outcome(folder) == outcome(runs["elements"])
    assert energies(folder) == pytest.approx(energies(runs["elements"]), abs=1e-3)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert [attempt["status"] for attempt in manifest["earlier"]] == ["interrupted"]
    assert manifest["total"]["seconds"] > manifest["seconds"]


def test_a_second_run_in_the_same_folder_is_refused(runs):
    folder = runs["elements"]
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for arguments in (["design", "crystals"], ["screen", folder / "candidates.cif.zip"]):
        refused = run(*arguments, "--out", folder)
        assert refused.exit_code == 2 and "choose another --out" in refused.stderr
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_refused_wish_does_not_block_its_folder(tmp_path):
    wish = ("--formula", "SrTiO3", "--max-atoms", 5, "--relax", 1, "--count", 2, "--no-second-opinion")
    assert run("design", "crystals", *wish, "--space-group", 229, "--out", tmp_path).exit_code == 2
    assert done("design", "crystals", *wish, "--space-group", 221, "--out", tmp_path)["funnel"][0]["count"] >= 1


def test_a_demo_that_was_begun_goes_on(runs, tmp_path, monkeypatch):
    shutil.copytree(runs["elements"], tmp_path / "demo")
    monkeypatch.setattr(funnel, "relax_stream", lambda structures, **_: iter([()] * len(structures)))
    printed = run("demo", "--out", tmp_path / "demo")
    assert printed.exit_code == 0 and "report.html" in printed.stdout
    assert outcome(tmp_path / "demo") == outcome(runs["elements"])


# --- sozai screen ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strangers(runs, tmp_path_factory, rock_salt_cif) -> Path:
    """A folder with the candidates of a run, a known crystal, one with atoms too close, and a file cut off."""
    folder = tmp_path_factory.mktemp("strangers")
    with zipfile.ZipFile(runs["formula"] / "candidates.cif.zip") as archive:
        archive.extractall(folder)
    (folder / "known.cif").write_text(rock_salt_cif)
    (folder / "cut.cif").write_text(rock_salt_cif.rstrip()[:-12])
    (folder / "tight.cif").write_text(rock_salt_cif.replace("5.64000000", "2.40000000"))
    return folder


@pytest.fixture(scope="module")
def rock_salt_cif() -> str:
    salt = Structure.from_spacegroup("Fm-3m", [[5.64, 0, 0], [0, 5.64, 0], [0, 0, 5.64]], ["Na", "Cl"],
                                     [[0, 0, 0], [0.5, 0.5, 0.5]])  # fmt: skip
    return salt.to(fmt="cif")


def test_screening_of_anybodys_crystals(runs, strangers, tmp_path):
    result = done("screen", strangers, "--no-second-opinion", "--processes", 1, "--out", tmp_path)
    designed = {c["id"]: c for c in result_of(runs["formula"])["candidates"]}
    counts = {stage["stage"]: stage["count"] for stage in result["funnel"]}
    assert counts["read"] == len(designed) + 2 and counts["valid"] == len(designed) + 1
    assert [problem["where"] for problem in result["problems"]] == ["cut.cif"]
    fell = {entry["id"]: entry for entry in result["rejected"]}
    assert fell["known"]["stage"] == "novel" and "NaCl" in fell["known"]["reason"]
    assert fell["tight"]["stage"] == "valid"
    # The candidates of the design come through unchanged: they were at rest, and are judged alike.
    assert {c["id"] for c in result["candidates"]} == set(designed)
    for candidate in result["candidates"]:
        before = designed[candidate["id"]]
        assert candidate["energy_above_hull"] == pytest.approx(before["energy_above_hull"], abs=2e-3)
        assert candidate["space_group"] == before["space_group"]
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["status"] == "finished" and len(manifest["data"]) == 1
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert list(from_cifs(tmp_path / "candidates.cif.zip")) == [c["id"] for c in result["candidates"]]


def test_known_crystals_are_kept_on_request(strangers, tmp_path):
    arguments = ["screen", strangers / "known.cif", "--keep-known", "--no-second-opinion", "--out", tmp_path]
    (salt,) = done(*arguments)["candidates"]
    assert salt["id"] == "known" and salt["nearest_known"]["formula"] == "NaCl"
    assert salt["energy_above_hull"] == pytest.approx(0, abs=0.01)  # the ground state of sodium chloride
    wrong = tmp_path / "wrong"
    result = done("screen", strangers / "known.cif", "--keep-known", "--elements", "K,Cl", "--out", wrong)
    assert result["candidates"] == [] and result["rejected"][0]["stage"] == "valid"
    assert (wrong / "report.html").exists()


# --- sozai generate and train ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["wyckoff-gpt", "substitution", "random"])
def test_every_generator_by_its_command(name, tmp_path):
    arguments = ["generate", name, "--elements", "Mg,F", "--max-atoms", 8, "--count", 4, "--out", tmp_path]
    told = done(*arguments)
    cifs = from_cifs(tmp_path / "samples.cif.zip")
    assert 1 <= told["written"] == len(cifs) <= told["asked"] == 4
    assert told["generator"]["name"] == name and [Path(p).exists() for p in told["files"]] == [True] * 4
    assert {e.symbol for s in cifs.values() for e in s.elements} == {"Mg", "F"}
    assert list(cifs) == list(from_extxyz(tmp_path / "samples.extxyz"))
    with (tmp_path / "samples.csv").open() as stream:
        assert [row["material_id"] for row in csv.DictReader(stream)] == list(cifs)
    assert json.loads((tmp_path / "manifest.json").read_text())["status"] == "finished"


def test_own_weights_from_training_to_design(tmp_path):
    known = known_materials()
    rows = np.flatnonzero((known.table["n_atoms"] <= 6).to_numpy())[::40][:80]
    crystals = [Crystal(known.table["id"].iloc[row], known.crystal(row).to_structure()) for row in rows]
    (data,) = write_crystals(crystals, tmp_path, formats=["parquet"])
    mine = tmp_path / "weights"
    card = done(
        "train", "wyckoff-gpt", "--data", data, "--out", mine, "--epochs", 1, "--set", "width=32", "--set", "layers=1"
    )
    assert card["crystals"] + card["left_out"] == 80 and card["crystals"] >= 75 and card["epochs"] == 1
    manifest = json.loads((mine / "manifest.json").read_text())
    assert manifest["status"] == "finished" and manifest["data"] == {
        str(data): hashlib.sha256(data.read_bytes()).hexdigest()
    }
    result = done(
        "design", "crystals", "--weights", mine, "--max-atoms", 6, "--count", 20, "--relax", 2, "--processes", 1,
        "--no-second-opinion", "--out", tmp_path / "run",
    )  # fmt: skip
    digest = hashlib.sha256((mine / "weights.safetensors").read_bytes()).hexdigest()
    assert result["generator"]["weights"] == digest and result["generator"]["crystals"] == card["crystals"]
    seen = {element.symbol for crystal in crystals for element in crystal.structure.elements}
    drawn = generated_in(tmp_path / "run").values()
    assert drawn and {element.symbol for structure in drawn for element in structure.elements} <= seen
    stages = {stage["stage"]: stage["count"] for stage in result["funnel"]}
    fell = [entry for entry in result["rejected"] if entry["stage"] != "generated"]  # those could not be built
    assert stages["generated"] == len(drawn) == len(fell) + len(result["candidates"])
