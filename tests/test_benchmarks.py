"""The arithmetic behind the benchmark tables: labels, corrections, caches."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pymatgen")
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import common
import generation
import stability
import stability_scores


@pytest.fixture
def hull():
    rows = [("Li", 0.0), ("S", 0.02), ("Li2S", -1.5), ("Li2S", -1.2), ("LiS", -0.9), ("NaS", -1.0)]
    return stability.DftHull(pd.DataFrame(rows, columns=["formula", "formation_energy_per_atom"]))


def test_distance_to_the_dft_hull(hull):
    assert hull.above("Li2S", -1.5) == pytest.approx(0)
    assert hull.above("Li2S", -1.4) == pytest.approx(0.1)
    # The line from Li2S (-1.5 at 1/3 S) to S (0, its ground state by definition) passes LiS at -1.125.
    assert hull.above("LiS", -0.9) == pytest.approx(0.225)
    assert hull.above("LiS", -1.2) == pytest.approx(-0.075)
    assert np.isnan(hull.above("NaS", -1.0))  # no pure Na in the files


def test_missing_anion_corrections():
    assert stability.anion_correction("NaBr") == pytest.approx(-0.534 / 2)
    assert stability.anion_correction("CaSeO4") == 0  # Se is not the anion here
    assert stability.anion_correction("NaCl") == 0
    assert stability.kind_of("CaSeO4") == "oxides"
    assert stability.kind_of("Ni3Al") == "intermetallics and others"


def test_offsets_find_what_was_put_in():
    rng = np.random.default_rng(0)
    formulas = [f"Na{a}Cl{b}O{c}" for a, b, c in rng.integers(1, 9, size=(60, 3))]
    put_in = {"Na": -1.3, "Cl": -1.8, "O": -4.9}
    values = np.array([sum(put_in[e] * x for e, x in stability.fractions(f).items()) for f in formulas])
    assert stability.offsets(formulas, values) == pytest.approx(put_in)


def test_classification_counts():
    scores = stability_scores.classification(np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool))
    assert (scores["precision"], scores["recall"], scores["F1"], scores["accuracy"]) == (0.5, 0.5, 0.5, 0.5)


def test_a_cut_off_line_of_the_cache_is_done_again(tmp_path):
    path = tmp_path / "cache.jsonl"
    cache = common.Cache(path)
    cache.add("a", {"energy": -1.0})
    with path.open("a") as handle:
        handle.write('{"key": "b", "ener')
    again = common.Cache(path)
    assert again["a"] == {"energy": -1.0}
    assert "b" not in again
    again.add("b", {"energy": -2.0})
    assert common.Cache(path)["b"] == {"energy": -2.0}


def test_space_group_distance():
    genes = [generation.parse_gene(text) for text in ("225 Cl@b Na@a", "221 O@c Sr@a Ti@b")]
    shares = generation.group_shares(genes)
    assert generation.distance(genes, shares) == 0
    assert generation.distance(genes[:1], shares) == pytest.approx(0.5)
    assert str(genes[0]) == "225 Cl@b Na@a"


def test_displacement_leaves_out_drift_and_cell():
    from pymatgen.core import Lattice, Structure

    start = Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    moved = Structure(Lattice.cubic(5), ["Na", "Cl"], [[0.9, 0, 0], [0.4, 0.5, 0.5]])
    assert generation.displacement(start, moved) == pytest.approx(0, abs=1e-9)
    apart = Structure(Lattice.cubic(4), ["Na", "Cl"], [[0.05, 0, 0], [0.45, 0.5, 0.5]])
    assert generation.displacement(start, apart) == pytest.approx(0.2)


def test_a_stored_calibration_reads_back(tmp_path):
    from sozai.screening.calibration import Calibration

    above = np.linspace(-0.2, 0.4, 200)
    content = json.loads(Calibration.fit(above, above < 0.1, {"data": "made up"}).to_json())
    assert content["report"] == {"data": "made up"}
    assert np.all(np.diff(content["knots"]) > 0)
    assert np.all(np.diff(content["probabilities"]) <= 0)
