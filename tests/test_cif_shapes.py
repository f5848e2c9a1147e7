"""Shapes of coordination polyhedra: measured, stated, presumed, built."""

from __future__ import annotations

from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("pymatgen")
pytest.importorskip("scipy")

from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure

from sozai.assistant.structures.build import build, finish
from sozai.assistant.structures.build.journal import Journal
from sozai.assistant.structures.build.targets import presumed_shapes, targets_of
from sozai.errors import UserError
from sozai.knowledge.crystals.structure.check import check_structure, unusual_shapes
from sozai.knowledge.crystals.structure.possible import impossible
from sozai.knowledge.crystals.structure.read import rules_from, to_yaml
from sozai.knowledge.crystals.structure.rulefile import rules_of_text
from sozai.knowledge.crystals.structure.rules import Polyhedron
from sozai.knowledge.crystals.structure.shapes import SHAPES, deviation, shape_named, shapes_of, usual_shape
from sozai.knowledge.crystals.structure.words import rules_of_words

PDO = """formula: PdO
space_group: P4_2/mmc
polyhedra: [{Pd-O: 4, range: [1.9, 2.15]SHAPE}]
connect: [{Pd-Pd: edge, count: 2}, {Pd-Pd: corner, count: 8}]
density: [7.5, 9.1]
"""


@pytest.fixture(scope="module")
def palladium_oxide() -> Structure:
    return Structure(
        Lattice.tetragonal(3.043, 5.337),
        ["Pd", "Pd", "O", "O"],
        [[0, 0.5, 0], [0.5, 0, 0.5], [0, 0, 0.25], [0, 0, 0.75]],
    )


@pytest.mark.parametrize(
    ("one", "other", "value"),
    [  # Pinsky and Avnir 1998; Alvarez et al., Coord. Chem. Rev. 2005, 249, 1693
        ("square planar", "tetrahedron", 33.33),
        ("trigonal prism", "octahedron", 16.74),
        ("square antiprism", "dodecahedron", 2.85),
        ("cube", "dodecahedron", 7.95),
    ],
)
def test_deviation_is_the_published_measure(one: str, other: str, value: float) -> None:
    assert deviation(SHAPES[one].points, SHAPES[other]) == pytest.approx(value, abs=0.05)
    assert deviation(SHAPES[other].points, SHAPES[one]) == pytest.approx(value, abs=0.05)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(SHAPES)), st.integers(0, 10_000))
def test_deviation_knows_no_orientation_size_or_order(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = SHAPES[name]
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    bent = shape.points + 0.05 * rng.normal(size=shape.points.shape)
    assert deviation(2.1 * rng.permutation(shape.points) @ turn, shape) < 1e-6
    assert deviation(bent, shape) == pytest.approx(deviation(3.0 * rng.permutation(bent) @ turn, shape), abs=1e-6)
    assert 0 < deviation(bent, shape) < 3


@pytest.mark.parametrize("name", ["octahedron", "cube", "cuboctahedron"])
def test_absurd_polyhedra_are_no_fault(name: str) -> None:
    shape = SHAPES[name]
    line = np.outer(np.linspace(-1, 1, shape.coordination), [0, 0, 1])
    for ligands in (line, np.zeros_like(line), np.ones_like(line), np.vstack([line[:1], shape.points[1:]])):
        assert 0 <= deviation(ligands, shape) <= 100
    with pytest.raises(ValueError, match="ligands"):
        deviation(line[1:], shape)


def test_rotations_of_the_shapes() -> None:
    """The table of rotations against all that map the corners onto themselves."""
    for shape in SHAPES.values():
        if shape.name == "linear":  # any rotation about its axis
            continue
        kinds = {1}
        flat = np.linalg.matrix_rank(shape.points, tol=1e-6) < 3
        basis = next(c for c in permutations(range(shape.coordination), 2 if flat else 3)
                     if np.linalg.matrix_rank(shape.points[list(c)], tol=1e-6) == len(c))  # fmt: skip
        for images in permutations(range(shape.coordination), len(basis)):
            old, new = shape.points[list(basis)], shape.points[list(images)]
            if not np.allclose(old @ old.T, new @ new.T, atol=1e-6):
                continue
            for sign in (1, -1) if flat else (1,):
                if flat:
                    pairs = [np.vstack([p, s * np.cross(*p)]) for p, s in ((old, 1), (new, sign))]
                else:
                    pairs = [old, new]
                turn = np.linalg.solve(*pairs)
                moved = shape.points @ turn
                if all(np.abs(moved - point).sum(axis=1).min() < 1e-5 for point in shape.points):
                    det = round(np.linalg.det(turn))
                    order = {3: 1, 2: 6, 1: 4, 0: 3, -1: 2}.get(round(det * np.trace(turn), 6))
                    if order is not None:  # five-fold and eight-fold ones are in no crystal
                        kinds.add(det * order)
        assert kinds == shape.rotations, shape.name


def test_names_and_usual_shapes() -> None:
    assert shape_named("Trigonal  prismatic") is shape_named("trigonal prisms") is SHAPES["trigonal prism"]
    assert shape_named("banana") is None
    usual = {
        "square planar": [("Pd", 2, 4, "O"), ("Cu", 2, 4, "O"), ("Pt", 2, 4, "Cl")],
        "trigonal prism": [("Mo", 4, 6, "S"), ("Nb", 4, 6, "Se")],
        "octahedron": [("Mo", 4, 6, "O"), ("Ti", 4, 6, "S")],
        "tetrahedron": [("P", 5, 4, "O"), ("Ni", 2, 4, "O")],
        "trigonal pyramid": [("As", 3, 3, "O")],
    }
    for name, ions in usual.items():
        for centre, charge, number, ligand in ions:
            assert usual_shape(centre, charge, number, (ligand,)) is SHAPES[name]
    assert usual_shape("Pb", 2, 4, ("O",)) is None and usual_shape("Ca", 2, 8, ("O",)) is None
    assert all(shape.coordination == 6 for shape in shapes_of(6))


@pytest.mark.parametrize(
    ("words", "shape"),
    [
        ("PdO4 squares", "square planar"),
        ("square planar PdO4", "square planar"),
        ("square-planar PdO4 units share edges with each other", "square planar"),
        ("Pd is square-planar coordinated by O", "square planar"),
        ("Pd is surrounded by 4 O in a square", "square planar"),
        ("Pd in squares of O", "square planar"),
        ("edge-sharing trigonal prismatic MoS6", "trigonal prism"),
        ("MoS6 trigonal prisms share edges with each other", "trigonal prism"),
        ("Cu is linearly coordinated by O", "linear"),
        ("CO3 triangles", "trigonal planar"),
        ("VO5 square pyramids", "square pyramid"),
        ("SrO12 cuboctahedra", "cuboctahedron"),
        ("corner-sharing TiO6 octahedra", "octahedron"),
    ],
)
def test_words_state_shapes(words: str, shape: str) -> None:
    rules = rules_of_words(words)
    assert [rule.shape for rule in rules.polyhedra] == [shape]
    assert rules_of_text(to_yaml(rules)).polyhedra == rules.polyhedra


@pytest.mark.parametrize(
    "words", ["PdO4 squares, PdO4 tetrahedra", "square planar PdO4 tetrahedra", "PdO6 squares", "4 PdO4 bananas"]
)
def test_words_that_contradict_themselves(words: str) -> None:
    with pytest.raises(UserError):
        rules_of_words(words)


@pytest.mark.parametrize(
    ("shape", "says"),
    [("octahedron", "is of 6"), ("square planer", "square planar"), ("[1]", "is no shape")],
)
def test_rule_file_mistakes(shape: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        rules_of_text(PDO.replace("SHAPE", f", shape: {shape}"))
    assert rules_of_text("polyhedra: [{Pd-O: null, shape: square}]").polyhedra[0].coordination == 4


def test_verdict_on_a_shape(palladium_oxide: Structure) -> None:
    def verdict(shape: str, structure: Structure) -> tuple[bool | None, str]:
        rules = rules_of_text(PDO.replace("SHAPE", f", shape: {shape}"))
        found = {one.rule: one for one in check_structure(structure, rules)}
        return found[f"shape Pd-O {shape}"].passed, found[f"shape Pd-O {shape}"].message

    assert verdict("square planar", palladium_oxide)[0] is True
    passed, message = verdict("tetrahedron", palladium_oxide)
    assert passed is False and "nearer to square planar" in message and "Pd1 (" in message
    moved = palladium_oxide.copy()
    moved.translate_sites(range(4), [2.999999999, -1e-17, 0.7])  # described elsewhere in the cell, and skewed
    assert verdict("square planar", moved)[0] is True
    skewed = moved * [[1, 0, 0], [7, 1, 0], [0, -9, 1]]
    assert verdict("square planar", skewed)[0] is True
    (open_,) = unusual_shapes(palladium_oxide, [Polyhedron("Pd", ("O",), 4, 1.9, 2.15, shape="tetrahedron")])
    assert open_.passed is None and not open_.fatal and "square planar" in open_.message
    assert unusual_shapes(palladium_oxide, [Polyhedron("Pd", ("O",), 4, 1.9, 2.15, shape="square planar")]) == []
    larger = palladium_oxide.copy()
    larger.scale_lattice(2 * larger.volume)
    assert verdict("square planar", larger)[0] is None  # there are no bonds in the range


def test_site_symmetry_forbids_shapes() -> None:
    molybdenite = "formula: MoS2\nspace_group: 194\nsites: [Mo 2c, S 4f]\npolyhedra: [{Mo-S: 6, shape: SHAPE}]"
    assert impossible(rules_of_text(molybdenite.replace("SHAPE", "trigonal prism"))) == []
    (reason,) = impossible(rules_of_text(molybdenite.replace("SHAPE", "octahedron")))
    assert "polyhedron of Mo on 2c" in reason and "only trigonal prism" in reason
    # Nothing stated: titanium would be in octahedra, but the site allows prisms only.
    stated = rules_of_text(molybdenite.replace(", shape: SHAPE", "").replace("Mo", "Ti"))
    assert [rule.shape for rule in presumed_shapes(stated, targets_of(stated))] == ["trigonal prism"]


def test_squares_are_built_where_no_shape_is_stated(palladium_oxide: Structure) -> None:
    from pymatgen.analysis.structure_matcher import StructureMatcher

    rules = rules_of_text(PDO.replace("SHAPE", ""))
    best = build(rules, starts=10, relax=False)[0]
    assert best.passed and best.provenance["presumed_shapes"] == "Pd(O)4 square planar"
    assert StructureMatcher().fit(best.structure, palladium_oxide)
    assert "shape: square planar" in next(v.message for v in best.verdicts if v.rule == "polyhedron Pd-O 4")


def test_a_killed_build_goes_on(tmp_path) -> None:
    rules = rules_from("TiO2, P4_2/mnm, Ti 2a, O 4f; TiO6 octahedra; density 3.8 to 4.7")
    whole = build(rules, starts=24, relax=False)
    calls: list[int] = []

    def stop(done: int, total: int, note: str) -> None:
        calls.append(done)
        if done == 10:
            raise RuntimeError("killed")

    journal = tmp_path / "unfinished.jsonl"
    with pytest.raises(RuntimeError):
        build(rules, starts=24, relax=False, journal=journal, on_progress=stop)
    kept = journal.read_text()
    journal.write_text(kept[:-20])  # the last line was being written
    assert len(kept.splitlines()) == 11
    build(rules, starts=2, relax=False, journal=tmp_path / "other")
    assert not (tmp_path / "other").exists()  # finished: nothing is left to go on from
    again = build(rules, starts=24, relax=False, journal=journal)
    assert not journal.exists()
    assert [one.assignment for one in again] == [one.assignment for one in whole]
    for one, other in zip(again, whole, strict=True):
        assert np.array_equal(one.structure.frac_coords, other.structure.frac_coords)
        assert np.array_equal(one.structure.lattice.matrix, other.structure.lattice.matrix)
    # Another seed is another build: what is there is not taken for it.
    journal.write_text(kept)
    build(rules, starts=3, seed=1, relax=False, journal=journal)
    assert not journal.exists()


def test_a_line_that_was_cut_off_does_not_spoil_the_next(tmp_path) -> None:
    path = tmp_path / "unfinished.jsonl"
    first = Journal(path, [1])
    first.put("a", 1)
    first.put("b", [2.5])
    first.close(finished=False)
    path.write_text(path.read_text()[:-4])
    second = Journal(path, [1])
    assert (second.found, second.get("b")) == (1, None)
    second.put("c", 3)
    second.close(finished=False)
    third = Journal(path, [1])
    assert (third.get("a"), third.get("b"), third.get("c")) == (1, None, 3)


def test_a_relaxation_that_breaks_rules_is_taken_back(monkeypatch) -> None:
    """Without dispersion forces the layers drift apart: the fit, which has the density asked for, is kept."""

    def drift(structure, potential, fmax, max_steps, deadline):
        lattice = structure.lattice.matrix * np.array([[1], [1], [1.4]])
        return {"lattice": lattice.tolist(), "places": structure.frac_coords.tolist(), "energy": -7.5, "force": 0.01,
                "converged": True, "steps": 3, "message": ""}  # fmt: skip

    monkeypatch.setattr(finish, "_relaxation", drift)
    rules = rules_from("MoS2, P6_3/mmc, Mo 2c, S 4f; edge-sharing MoS6 trigonal prisms; density 4.5 to 5.5")
    fits = build(rules, starts=2, relax=False)
    assert fits[0].passed
    cell = fits[0].structure.lattice.abc
    results, cut = finish.relax_best(fits, rules, potential=SimpleNamespace(name="drift"))
    best = results[0]
    assert not cut and len({id(item) for item in results}) == len(results)
    assert best.passed and not best.relaxed and np.isnan(best.energy_per_atom) and best.structure.lattice.abc == cell
    assert best.provenance["relaxation"].startswith("taken back") and "density" in best.provenance["relaxation"]
