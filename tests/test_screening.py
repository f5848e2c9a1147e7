"""Screening: hull, identity, calibration, ranker, second opinion, and the funnel with the real potential."""

import json
import math
import time
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Lattice, Structure

from sozai.errors import UserError
from sozai.generators.wyckoff_gpt.model import WyckoffGPT
from sozai.generators.wyckoff_gpt.network import WyckoffNetwork
from sozai.knowledge.crystals.ruleset import CrystalRules
from sozai.knowledge.crystals.wish import CrystalWish
from sozai.knowledge.verdict import Verdict
from sozai.materials.crystal import Crystal
from sozai.materials.known import KnownMaterials, KnownPhase, known_materials, known_phases, reduced_formula
from sozai.materials.wyckoff import Gene, WyckoffCrystal
from sozai.screening import funnel as funnel_module
from sozai.screening.calibration import Calibration, bundled, reliability
from sozai.screening.funnel import Funnel, gene_of
from sozai.screening.hull import IMPLAUSIBLE, Hull, mean_element_energy
from sozai.screening.identity import Novelty, Seen, counts_of, formula_of
from sozai.screening.ranker import EnergyNetwork, Ranker
from sozai.screening.second_opinion import SecondOpinion

SYSTEMS = [("Na", "Cl"), ("Li", "P", "S"), ("Mg", "O"), ("Fe", "Li", "O", "P")]


def part(known, elements):
    """The rows of a library within a chemical system."""
    inside = [row for system, rows in known.by_system.items() if system <= set(elements) for row in rows]
    return KnownMaterials(known.table.iloc[sorted(inside)].reset_index(drop=True), known.source)


def invented(energies):
    """A library of (formula, eV/atom), the structures being of no matter."""
    rock_salt = WyckoffCrystal.from_structure(
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    )
    rows = [(f"x-{place}", rock_salt, {"energy": energy}) for place, (_, energy) in enumerate(energies)]
    library = KnownMaterials.from_crystals(rows, {})
    library.table["formula"] = [formula for formula, _ in energies]
    library.table["sites"] = [
        " ".join(f"{element}@a" for element in sorted(Composition(formula).get_el_amt_dict()))
        for formula, _ in energies
    ]
    return library


TOY = [
    ("Na", -1.0), ("Na", -1.3), ("Cl2", -1.8), ("NaCl", -3.5), ("NaCl", -3.4), ("NaCl3", -2.0), ("Na3Cl", -1.5),
]  # fmt: skip


@pytest.fixture(scope="module")
def toy():
    return Hull(invented(TOY))


# --- hull -----------------------------------------------------------------------------------------------------


def test_hull_by_hand(toy):
    assert toy.distance({"Na": 1, "Cl": 1}, -3.5).above == pytest.approx(0.0, abs=1e-9)
    assert toy.distance({"Na": 4, "Cl": 4}, -3.4).above == pytest.approx(0.1)
    assert toy.distance({"Na": 1, "Cl": 1}, -3.7).above == pytest.approx(-0.2)  # below what is known
    assert toy.hull_energy({"Na": 1, "Cl": 1}) == pytest.approx(-3.5)
    half = toy.distance({"Na": 3, "Cl": 1}, 0.0)  # 2 Na + NaCl: half of the atoms each
    assert half.above == pytest.approx(0.5 * (1.3 + 3.5))
    assert {p["formula"]: p["fraction"] for p in half.decomposition} == {"Na": 0.5, "NaCl": 0.5}
    assert {p["formula"]: p["id"] for p in half.decomposition} == {"Na": "x-1", "NaCl": "x-3"}
    assert half.references == 7
    three = toy.distance({"Na": 1, "Cl": 3}, -2.0)  # NaCl3 lies above NaCl + Cl2
    assert three.above == pytest.approx(0.5 * 3.5 + 0.5 * 1.8 - 2.0)


def test_left_out_materials_do_not_compete(toy):
    without = Hull(toy.known, without=frozenset({"x-3"}))
    assert without.distance({"Na": 1, "Cl": 1}, -3.5).above == pytest.approx(-0.1)
    assert toy.distance({"Na": 1, "Cl": 1}, -3.5).above == pytest.approx(0.0, abs=1e-9)


def test_unknown_hulls_say_why(toy):
    foreign = toy.distance({"Na": 1, "K": 1}, -1.0)
    assert foreign.above is None
    assert foreign.note == "unknown: the reference has no pure K"
    assert math.isnan(toy.hull_energy({"Na": 1, "K": 1}))
    no_chlorine = Hull(toy.known, without=frozenset({"x-2"}))
    assert "no pure Cl" in no_chlorine.distance({"Na": 1, "Cl": 1}, -3.5).note
    few = Hull(toy.known, without=frozenset({"x-5", "x-6"})).distance({"Na": 1, "Cl": 1}, -3.5)
    assert few.above is None
    assert few.note == "unknown: only 5 known materials in Cl-Na, fewer than 6"
    assert few.references == 5
    for energy in (math.nan, math.inf):
        assert toy.distance({"Na": 1, "Cl": 1}, energy).above is None
    assert "only 2 known materials in Na, fewer than 3" in toy.distance({"Na": 1}, -1.3).note
    gap = Hull(invented([*TOY, ("K", math.nan), ("KCl", -3.0)]))  # an energy that is not there
    assert "no pure K" in gap.distance({"K": 1, "Cl": 1}, -3.0).note


def test_energies_beyond_belief_are_unknown(toy):
    fine = toy.distance({"Na": 1, "Cl": 1}, -3.5 + IMPLAUSIBLE + 0.01)
    assert fine.above == pytest.approx(IMPLAUSIBLE + 0.01)
    absurd = toy.distance({"Na": 1, "Cl": 1}, -3.5 + IMPLAUSIBLE - 0.01)
    assert absurd.above is None
    assert absurd.note.startswith("unknown: 0.26 eV/atom below every known phase")


def test_phases_without_a_structure_compete(toy):
    """Na2Cl, 1.5 eV/atom below Na and Cl2: on the scale of the potential (2 * -1.3 - 1.8) / 3 lower."""
    phase = KnownPhase("p-1", "Na2Cl", -1.5)
    more = Hull(toy.known, phases={frozenset({"Na", "Cl"}): [phase]})
    expected = -1.5 + (2 * -1.3 - 1.8) / 3
    assert more.hull_energy({"Na": 2, "Cl": 1}) == pytest.approx(expected)
    assert expected < toy.hull_energy({"Na": 2, "Cl": 1})
    found = more.distance({"Na": 4, "Cl": 2}, expected + 0.05)
    assert found.above == pytest.approx(0.05)
    assert found.decomposition == [{"formula": "Na2Cl", "fraction": 1.0, "id": "p-1"}]
    assert found.references == 8
    left_out = Hull(toy.known, phases={frozenset({"Na", "Cl"}): [phase]}, without=frozenset({"p-1"}))
    assert left_out.hull_energy({"Na": 2, "Cl": 1}) == pytest.approx(toy.hull_energy({"Na": 2, "Cl": 1}))
    # An element without an energy has no scale to be put on.
    unscaled = Hull(toy.known, phases={frozenset({"K", "Cl"}): [KnownPhase("p-2", "KCl", -2.0)]})
    assert "no pure K" in unscaled.distance({"K": 1, "Cl": 1}, -3.0).note


def test_bundled_phases_are_keyed_like_the_library():
    known, phases = known_materials(), known_phases()
    identifiers = [phase.id for group in phases.values() for phase in group]
    assert len(set(identifiers)) == len(identifiers) > 1000
    assert not set(identifiers) & set(known.table["id"])
    for system, group in phases.items():
        for phase in group:
            counts = {str(element): int(n) for element, n in Composition(phase.formula).items()}
            assert frozenset(counts) == system
            assert reduced_formula(counts) == phase.formula
            assert -6 < phase.formation_energy < 6


@pytest.mark.parametrize("elements", SYSTEMS, ids="-".join)
def test_hull_agrees_with_pymatgen(elements):
    known = known_materials()
    library = part(known, elements)
    table = library.table[library.table["energy"].notna()]
    entries = [
        PDEntry(Composition(formula), energy * Composition(formula).num_atoms, name=identifier)
        for formula, energy, identifier in zip(table["formula"], table["energy"], table["id"], strict=True)
    ]
    diagram = PhaseDiagram(entries)
    hull = Hull(known, phases={})
    rng = np.random.default_rng(0)
    for _ in range(25):
        present = rng.choice(len(elements), rng.integers(1, len(elements) + 1), replace=False)
        counts = {elements[k]: int(rng.integers(1, 9)) for k in present}
        energy = float(rng.normal(-4, 2))
        ours = hull.distance(counts, energy)
        theirs = diagram.get_e_above_hull(
            PDEntry(Composition(counts), energy * sum(counts.values())), allow_negative=True, check_stable=False
        )
        if ours.above is None:  # a part of the system may have too few references, or the energy is absurd
            assert "unknown: only" in ours.note or (theirs < IMPLAUSIBLE and "below every known phase" in ours.note)
            continue
        assert theirs >= IMPLAUSIBLE
        assert ours.above == pytest.approx(theirs, abs=1e-6)
        assert sum(phase["fraction"] for phase in ours.decomposition) == pytest.approx(1, abs=1e-3)
        by_id = dict(zip(table["id"], table["energy"], strict=True))
        mixed = sum(phase["fraction"] * by_id[phase["id"]] for phase in ours.decomposition)
        assert energy - mixed == pytest.approx(ours.above, abs=2e-3)


@pytest.mark.parametrize("elements", SYSTEMS, ids="-".join)
def test_known_materials_stand_on_or_above_their_hull(elements):
    known = known_materials()
    hull = Hull(known)
    library = part(known, elements)
    on_hull = 0
    for row in range(len(library)):
        energy = float(library.table["energy"].iat[row])
        found = hull.distance(library.gene(row).counts, energy)
        if found.above is None:
            continue
        assert found.above > -1e-6
        if found.above < 1e-6:
            on_hull += 1
            assert len(found.decomposition) == 1  # a stable material decomposes into itself
    assert on_hull


# --- identity -------------------------------------------------------------------------------------------------


def rotated(structure, seed):
    """The same crystal, otherwise described: turned, shifted, sites in another order, another cell."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    order = rng.permutation(len(structure))
    return Structure(
        structure.lattice.matrix @ rotation.T,
        [structure[int(k)].specie for k in order],
        structure.frac_coords[order] + rng.random(3) + rng.integers(-2, 3, (len(order), 3)),
    )


@pytest.fixture(scope="module")
def library_structures():
    known = known_materials()
    rows = np.flatnonzero(known.table["n_atoms"].to_numpy() <= 12)
    return [known.structure(int(row)) for row in np.random.default_rng(2).choice(rows, 12, replace=False)]


def test_twins_are_found_however_they_are_written(library_structures):
    for number, structure in enumerate(library_structures):
        supercell = structure.copy()
        supercell.make_supercell([[1, 1, 0], [0, 1, 0], [0, 0, 2]])
        larger = structure.copy()
        larger.scale_lattice(1.1 * structure.volume)
        noisy = structure.copy()
        noisy.perturb(0.01)
        for twin in (rotated(structure, number), rotated(supercell, number), larger, noisy):
            seen = Seen()
            assert seen.twin("first", structure) is None
            assert seen.twin("second", twin) == "first"


def test_oxidation_states_do_not_make_another_crystal(rock_salt):
    decorated = rock_salt.copy()
    decorated.add_oxidation_state_by_element({"Na": 1, "Cl": -1})
    seen = Seen()
    assert seen.twin("bare", rock_salt) is None
    assert seen.twin("decorated", decorated) == "bare"
    assert counts_of(decorated) == {"Na": 4, "Cl": 4}


def test_different_crystals_are_no_twins(rock_salt, rutile, quartz):
    caesium_chloride = Structure(Lattice.cubic(3.4), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    blende = Structure.from_spacegroup("F-43m", Lattice.cubic(6), ["Na", "Cl"], [[0, 0, 0], [0.25, 0.25, 0.25]])
    seen = Seen()
    for number, structure in enumerate((rock_salt, caesium_chloride, blende, rutile, quartz)):
        assert seen.twin(str(number), structure) is None
    swapped = rock_salt.copy()
    swapped.replace_species({"Na": "K"})
    assert seen.twin("other elements", swapped) is None


def test_count_of_unique_crystals_does_not_depend_on_the_order(library_structures):
    pool = [rotated(structure, seed) for seed in range(3) for structure in library_structures[:6]]
    counts = set()
    for seed in range(5):
        seen = Seen()
        order = np.random.default_rng(seed).permutation(len(pool))
        counts.add(sum(seen.twin(str(k), pool[k]) is None for k in order))
    assert counts == {6}


def test_novelty_names_the_known_material(library_structures):
    known = known_materials()
    novelty = Novelty(known)
    rows = np.random.default_rng(2).choice(np.flatnonzero(known.table["n_atoms"].to_numpy() <= 12), 12, replace=False)
    for row, structure in zip(rows, library_structures, strict=True):
        nearest = novelty.nearest(rotated(structure, int(row)))
        assert nearest.same
        assert nearest.formula == known.table["formula"].iat[row] == formula_of(structure)
        same = known.table.set_index("id").loc[nearest.id]
        assert same["formula"] == nearest.formula
        assert same["space_group"] == nearest.space_group
    silly = Structure(Lattice.cubic(9), ["Na", "Cl"], [[0, 0, 0], [0.3, 0.2, 0.1]])
    nearest = novelty.nearest(silly)
    assert (nearest.same, nearest.formula) == (False, "NaCl")
    assert "another structure" in nearest.note
    assert novelty.nearest(Structure(Lattice.cubic(9), ["Xe", "Fr"], [[0, 0, 0], [0.5, 0.5, 0.5]])) is None


def test_nearest_of_several_is_the_most_stable():
    known = part(known_materials(), ("Ti", "O"))
    novelty = Novelty(known)
    odd = Structure(Lattice.orthorhombic(3, 7, 11), ["Ti", "O", "O"], [[0, 0, 0], [0.5, 0.3, 0.1], [0.1, 0.7, 0.4]])
    nearest = novelty.nearest(odd)
    rows = known.table[known.table["formula"] == "TiO2"]
    assert nearest.formula == "TiO2"
    assert rows.set_index("id").loc[nearest.id, "energy_above_hull"] == np.nanmin(rows["energy_above_hull"])


# --- calibration ----------------------------------------------------------------------------------------------


def sigmoid(above):
    """A made-up truth: the chance of being metastable falls with the energy above hull."""
    return 1 / (1 + np.exp((above - 0.1) / 0.05))


@pytest.fixture(scope="module")
def calibration():
    rng = np.random.default_rng(0)
    above = rng.uniform(-0.1, 0.5, 20_000)
    return Calibration.fit(above, rng.random(len(above)) < sigmoid(above), {"data": "made up"})


def test_calibration_recovers_the_curve(calibration):
    grid = np.linspace(-0.05, 0.45, 60)
    found = np.array([calibration.probability(value) for value in grid])
    assert np.abs(found - sigmoid(grid)).max() < 0.08
    assert np.abs(found - sigmoid(grid)).mean() < 0.02


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.floats(-2, 2, allow_subnormal=False), st.booleans()), min_size=1, max_size=60),
    values=st.lists(st.floats(-5, 5), min_size=2, max_size=20),
)
def test_probabilities_fall_and_are_probabilities(rows, values):
    above, outcomes = np.array([a for a, _ in rows]), np.array([o for _, o in rows])
    calibration = Calibration.fit(above, outcomes)
    found = [calibration.probability(value) for value in sorted(values)]
    assert all(0 < p < 1 for p in found)  # no finite sample makes certain
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(found))
    assert calibration.probability(None) is None
    plain = json.loads(calibration.to_json())
    assert plain["knots"] == sorted(plain["knots"])
    again = Calibration(np.array(plain["knots"]), np.array(plain["probabilities"]), plain["report"])
    for value in values:
        if len(set(plain["knots"])) == len(calibration.knots) and np.diff(calibration.knots).min(initial=1) > 0.01:
            assert again.probability(value) == pytest.approx(calibration.probability(value), abs=2e-2)


def test_reliability_of_honest_and_dishonest_forecasts():
    rng = np.random.default_rng(1)
    forecasts = rng.random(50_000)
    table, error = reliability(forecasts, rng.random(50_000) < forecasts)
    assert error < 0.01
    assert len(table) == 10
    assert sum(row["count"] for row in table) == 50_000
    for row in table:
        assert row["observed"] == pytest.approx(row["predicted"], abs=0.03)
    outcomes = np.arange(1000) < 300
    _, error = reliability(np.full(1000, 0.8), outcomes)
    assert error == pytest.approx(0.5)
    _, error = reliability(np.where(outcomes, 0.0, 1.0), outcomes)  # always the wrong way round
    assert error == pytest.approx(1.0)
    table, error = reliability(np.where(outcomes, 1.0, 0.0), outcomes)
    assert error == 0
    assert [(row["predicted"], row["observed"], row["count"]) for row in table] == [(0, 0, 700), (1, 1, 300)]


# --- ranker ---------------------------------------------------------------------------------------------------


def small_network(seed=0):
    torch.manual_seed(seed)
    return WyckoffNetwork(width=32, layers=1, heads=2, dropout=0.0, mixtures=2)


@pytest.fixture(scope="module")
def ranker():
    return Ranker(EnergyNetwork(small_network()).eval(), {"rows": 0})


@pytest.fixture(scope="module")
def gene_rows():
    """Genes with the formation energies of the library."""
    known = known_materials()
    elements = Hull(known).element_energies
    energies = known.table["energy"].to_numpy()
    small = np.flatnonzero((known.table["n_atoms"].to_numpy() <= 12) & np.isfinite(energies))
    rows = np.random.default_rng(0).choice(small, 300, replace=False)
    genes = [known.gene(int(row)).canonical for row in rows]
    formation = [energies[r] - mean_element_energy(g.counts, elements) for g, r in zip(genes, rows, strict=True)]
    return [(gene, float(value)) for gene, value in zip(genes, formation, strict=True) if np.isfinite(value)]


def test_ranker_learns(tmp_path, gene_rows):
    """What it has seen it must tell far better than the best constant."""
    rows = gene_rows[:60]
    genes, energies = [gene for gene, _ in rows], np.array([energy for _, energy in rows])
    fitted = Ranker.fit(rows, small_network(), tmp_path, held_out=rows, epochs=160)
    found = fitted.formation_energies(genes)
    assert np.abs(found - energies).mean() < 0.75 * np.abs(energies - np.median(energies)).mean()
    again = Ranker.load(tmp_path, device="cpu")
    assert np.allclose(again.formation_energies(genes), found, atol=0.02)  # half precision on disk
    assert again.settings["rows"] == 60
    assert again.settings["held_out_mae"] == pytest.approx(np.abs(found - energies).mean(), abs=2e-3)


def test_ranker_keeps_a_20th_to_check(tmp_path, gene_rows):
    assert Ranker.fit(gene_rows[:12], small_network(), tmp_path / "few", epochs=1).settings["rows"] == 11
    assert Ranker.fit(gene_rows[:200], small_network(), tmp_path / "more", epochs=1).settings["rows"] == 190


def test_predictions_depend_on_the_crystal_alone(ranker, gene_rows):
    genes = [gene for gene, _ in gene_rows[:60]]
    together = ranker.formation_energies(genes)
    assert np.isfinite(together).all()
    alone = np.concatenate([ranker.formation_energies([gene]) for gene in genes])
    assert np.allclose(together, alone, atol=1e-4)  # neither padding nor the neighbours count
    assert np.allclose(ranker.formation_energies(genes[::-1]), together[::-1], atol=1e-4)
    for gene, energy in zip(genes, together, strict=True):
        if len(gene.equivalents) > 1:
            assert ranker.formation_energies([gene.equivalents[-1]])[0] == pytest.approx(energy, abs=1e-4)
    assert len(ranker.formation_energies([])) == 0


def test_ranker_says_nothing_about_what_it_cannot_read(ranker):
    crowded = Gene(1, tuple(("Na", "a") for _ in range(70)))
    superheavy = Gene(225, (("Cl", "b"), ("Rf", "a")))
    fine = Gene(225, (("Cl", "b"), ("Na", "a")))
    found = ranker.formation_energies([crowded, fine, superheavy])
    assert np.isfinite(found).tolist() == [False, True, False]


def test_energy_above_hull_of_the_ranker(ranker, toy):
    gene = Gene(225, (("Cl", "b"), ("Na", "a")))
    energy = ranker.formation_energies([gene])[0]
    # Formation energy from the lowest Na and Cl2, then against the hull at NaCl.
    expected = energy + 0.5 * (-1.3 - 1.8) + 3.5
    assert ranker.above_hull([gene], toy)[0] == pytest.approx(expected, abs=1e-5)
    assert np.isnan(ranker.above_hull([Gene(225, (("Cl", "b"), ("K", "a")))], toy)[0])


@pytest.mark.parametrize("how", ["none", "cut", "foreign", "changed", "null"])
def test_damaged_rankers_are_refused(ranker, tmp_path, how):
    ranker.save(tmp_path)
    weights = tmp_path / "weights.safetensors"
    if how == "none":
        weights.unlink()
    elif how == "cut":
        weights.write_bytes(weights.read_bytes()[:-10])
    elif how == "changed":
        raw = bytearray(weights.read_bytes())
        raw[-500] ^= 0x40
        weights.write_bytes(raw)
    elif how == "null":
        (tmp_path / "settings.json").write_text("null")
    else:
        WyckoffGPT(small_network(), {"elements": ["H"], "max_atoms": 4}).save(tmp_path)
    with pytest.raises(UserError, match=r"weights (of|cannot be read|do not fit|are not those)") as caught:
        Ranker.load(tmp_path)
    assert str(tmp_path) in str(caught.value)


# --- second opinion -------------------------------------------------------------------------------------------


def test_second_opinion_measures_against_the_same_phases():
    pytest.importorskip("sevenn")
    known = part(known_materials(), ("Na", "Cl"))
    opinion = SecondOpinion(known)
    row = next(r for r in known.by_formula["NaCl"] if known.table["space_group"].iat[r] == 225)
    phase = {"formula": "NaCl", "fraction": 1.0, "id": str(known.table["id"].iat[row])}
    structures = [known.structure(row), SALTS["b2"], SALTS["b2"]]
    itself, other, alone = opinion.judge(structures, [[phase], [phase], []], processes=1)
    assert itself["potential"] == "sevennet-l3i5"
    assert itself["energy_above_hull"] == pytest.approx(0, abs=1e-4)
    assert 0.05 < other["energy_above_hull"] < 0.3
    assert other["energy_above_hull"] == pytest.approx(other["energy_per_atom"] - itself["energy_per_atom"], abs=2e-4)
    assert alone["energy_above_hull"] is None
    assert alone["energy_per_atom"] == pytest.approx(other["energy_per_atom"], abs=1e-3)
    late = opinion.judge(structures, [[phase], [phase], []], deadline=time.monotonic() - 1, processes=1)
    assert late == [None] * 3


# --- funnel ---------------------------------------------------------------------------------------------------


def from_group(symbol, lattice, places):
    return Structure.from_spacegroup(symbol, lattice, ["Na", "Cl"], places).get_primitive_structure()


def blende(stretch):
    """Zinc blende, drawn out along c."""
    a = 6.2
    lattice = Lattice.tetragonal(a / math.sqrt(2 * stretch), a * stretch)
    return Structure(
        lattice, ["Na", "Na", "Cl", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5], [0, 0.5, 0.25], [0.5, 0, 0.75]]
    )  # fmt: skip


HEXAGONAL = {
    "nias": (4.0, 6.5, [[0, 0, 0], [0, 0, 0.5], [1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]]),
    "bn": (4.9, 5.3, [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75], [1 / 3, 2 / 3, 0.75], [2 / 3, 1 / 3, 0.25]]),
    "wurtzite": (4.4, 7.0, [[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, 0.375], [2 / 3, 1 / 3, 0.875]]),
}
SALTS = {
    # By CHGNet above the hull (eV/atom): nias 0.018, bn 0.040, wurtzite 0.075, blende 0.078, b2 0.112.
    "rock salt": from_group("Fm-3m", Lattice.cubic(5.64), [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "b2": Structure(Lattice.cubic(3.4), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
    "blende": blende(1.0).get_primitive_structure(),
    "stretched blende": blende(1.4),
    "stretched rock salt": Structure(
        Lattice.tetragonal(3.75, 6.4), ["Na", "Cl"] * 2, [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0.5, 0.5], [0, 0, 0.5]]
    ),
    **{name: Structure(Lattice.hexagonal(a, c), ["Na", "Na", "Cl", "Cl"], x) for name, (a, c, x) in HEXAGONAL.items()},
}
SALTS["nias again"] = rotated(SALTS["nias"] * (1, 1, 2), 0)
SALTS["squeezed"] = Structure(Lattice.cubic(3.4), ["Na", "Cl"], [[0, 0, 0], [0.1, 0.1, 0.1]])
SALTS["potash"] = Structure(Lattice.hexagonal(4.5, 7.0), ["K", "K", "Cl", "Cl"], HEXAGONAL["nias"][2])
SALTS["superheavy"] = Structure(Lattice.cubic(3.6), ["Rf", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


class Guess:
    """Stands for the ranker: a number by the number of the space group."""

    def __init__(self, by_group):
        self.by_group = by_group

    def above_hull(self, genes, hull):
        return np.array([self.by_group.get(gene.space_group, math.nan) for gene in genes])


GUESS = Guess({186: 0.9, 194: 0.1, 216: 0.2, 221: 0.3})


def crystals(*names):
    return [Crystal(name, SALTS[name].copy(), provenance={"file": f"{name}.cif"}) for name in names]


@pytest.fixture(scope="module")
def salts():
    return part(known_materials(), ("Na", "Cl", "K"))


@pytest.fixture
def relaxed_ids(monkeypatch):
    """The structures that go into relaxation, by formula and number of sites."""
    started = []
    real = funnel_module.relax_stream

    def watched(structures, *arguments, **options):
        started.extend(structures)
        yield from real(structures, *arguments, **options)

    monkeypatch.setattr(funnel_module, "relax_stream", watched)
    return started


def make(salts, **options):
    settings = {"known": salts, "ranker": GUESS, "second_opinion": False, "processes": 1, "relax": None, **options}
    return Funnel(**settings)


def check_counts(result, given):
    """Every crystal ends in one place, and the stages add up."""
    handed, fallen = [c["id"] for c in result.candidates], [r["id"] for r in result.rejected]
    assert sorted(handed + fallen) == sorted(crystal.id for crystal in given)
    assert [stage.stage for stage in result.stages] == ["valid", "unique", "novel", "ranked", "relaxed", "stable"]
    before = len(given)
    for stage in result.stages:
        assert stage.count + sum(stage.dropped.values()) == before
        assert sum(entry["stage"] == stage.stage for entry in result.rejected) == sum(stage.dropped.values())
        assert stage.seconds >= 0
        before = stage.count
    assert before == len(result.candidates)
    assert [c["rank"] for c in result.candidates] == list(range(1, len(handed) + 1))
    assert all(entry["reason"] and entry["formula"] for entry in result.rejected)
    json.dumps([result.candidates, result.rejected, [stage.to_dict() for stage in result.stages]], allow_nan=False)


def fate(result):
    return {entry["id"]: (entry["stage"], entry["reason"]) for entry in result.rejected}


@pytest.fixture(scope="module")
def all_salts():
    return crystals(*SALTS)


@pytest.fixture(scope="module")
def screened(salts, all_salts):
    """One whole run: every way out of the funnel is taken. The budget of 6 leaves wurtzite out."""
    return make(salts, wish=CrystalWish.of(elements="Na,Cl"), relax=6).screen(all_salts)


def test_funnel_counts_everything(screened, all_salts):
    check_counts(screened, all_salts)
    found = fate(screened)
    assert {name: stage for name, (stage, _) in found.items()} == {
        "squeezed": "valid", "potash": "valid", "superheavy": "valid", "nias again": "unique", "rock salt": "novel",
        "wurtzite": "ranked", "stretched rock salt": "relaxed", "stretched blende": "relaxed", "b2": "stable",
    }  # fmt: skip
    assert found["nias again"][1] == "the same structure as nias"
    assert "mp-22862" in found["rock salt"][1]
    assert "mp-22862" in found["stretched rock salt"][1]
    assert "same structure as blende" in found["stretched blende"][1]
    assert "K" in found["potash"][1]
    assert "Rf" in found["superheavy"][1]
    assert "place 7" in found["wurtzite"][1]
    assert "eV/atom above the hull" in found["b2"][1]
    assert [candidate["id"] for candidate in screened.candidates] == ["nias", "bn", "blende"]


def test_candidates_carry_what_reports_need(screened, salts):
    hull = Hull(salts)
    for candidate, expected in zip(screened.candidates, (0.018, 0.040, 0.078), strict=True):
        assert candidate["formula"] == "NaCl"
        assert candidate["energy_above_hull"] == pytest.approx(expected, abs=0.005)
        assert candidate["stability"] == "metastable"
        structure = Structure.from_dict(candidate["structure"])
        assert candidate["n_sites"] == len(structure)
        again = hull.distance(counts_of(structure), candidate["energy_per_atom"])
        assert candidate["energy_above_hull"] == pytest.approx(again.above, abs=1e-4)
        assert candidate["decomposition"] == [{"formula": "NaCl", "fraction": 1.0, "id": "mp-22862"}]
        assert 0 < candidate["probability_metastable"] < 1
        assert candidate["relaxation"]["converged"]
        assert candidate["relaxation"]["max_force"] <= 0.05
        assert candidate["relaxation"]["symmetry_kept"]
        assert candidate["relaxation"]["space_group_after"] == candidate["space_group"]["number"]
        assert candidate["nearest_known"]["id"] == "mp-22862"
        assert candidate["nearest_known"]["note"].startswith("same formula, another structure")
        assert candidate["provenance"] == {"file": f"{candidate['id']}.cif"}
        assert candidate["verdicts"]
        assert all(verdict["passed"] is not False or verdict["severity"] == "soft" for verdict in candidate["verdicts"])
        assert "coordination" in {verdict["rule"] for verdict in candidate["verdicts"]}
        assert candidate["properties"]["density"] == pytest.approx(structure.density, abs=1e-3)
    probabilities = [candidate["probability_metastable"] for candidate in screened.candidates]
    assert probabilities == sorted(probabilities, reverse=True)


def test_ranking_decides_what_is_relaxed(salts, relaxed_ids):
    given = crystals("b2", "nias", "wurtzite", "blende")
    past = time.monotonic() - 1
    for ranking, expected in (
        ({221: 0.1, 194: 0.2, 186: 0.3, 216: 0.4}, ["b2", "nias"]),
        ({221: 0.4, 194: 0.3, 186: 0.2, 216: 0.1}, ["blende", "wurtzite"]),
        ({221: 0.4, 194: 0.1}, ["nias", "wurtzite"]),  # no prediction stands in the middle, first come
        ({}, ["b2", "nias"]),
    ):
        relaxed_ids.clear()
        result = make(salts, ranker=Guess(ranking), relax=2, deadline=past).screen(given)
        check_counts(result, given)
        chosen = [crystal.id for crystal in given if fate(result)[crystal.id][0] != "ranked"]
        assert sorted(chosen) == sorted(expected)
        lattices = [SALTS[name].volume for name in expected]
        assert [structure.volume for structure in relaxed_ids] == pytest.approx(lattices)  # and in which order
    assert make(salts, relax=0).screen(given).candidates == []


def test_deadline_in_the_past_relaxes_nothing(salts, tmp_path):
    given = crystals("nias", "blende")
    journal = tmp_path / "journal.jsonl"
    result = make(salts, deadline=time.monotonic() - 1, journal=journal).screen(given)
    check_counts(result, given)
    assert result.candidates == []
    assert result.stages[4].dropped == {"time limit": 2}
    again = make(salts, journal=journal).screen(given)  # more time: nothing is lost
    assert [candidate["id"] for candidate in again.candidates] == ["nias", "blende"]


def plain(result):
    """Candidates without the times."""
    return [{**c, "relaxation": {**c["relaxation"], "seconds": 0}} for c in result.candidates]


def test_journal_spares_finished_relaxations(salts, tmp_path, relaxed_ids):
    names = ("b2", "nias", "blende", "bn")
    journal = tmp_path / "journal.jsonl"
    whole = make(salts).screen(crystals(*names))
    relaxed_ids.clear()

    def interrupt(done, total, note):
        if note.startswith("relaxing") and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(salts, journal=journal, on_progress=interrupt).screen(crystals(*names))
    relaxed_ids.clear()
    resumed = make(salts, journal=journal).screen(crystals(*names))
    assert len(relaxed_ids) == 2
    assert [c["id"] for c in resumed.candidates] == [c["id"] for c in whole.candidates] == ["nias", "bn", "blende"]
    for one, two in zip(resumed.candidates, whole.candidates, strict=True):
        assert one["energy_per_atom"] == pytest.approx(two["energy_per_atom"], abs=1e-3)
    assert fate(resumed).keys() == fate(whole).keys()
    relaxed_ids.clear()
    again = make(salts, journal=journal).screen(crystals(*names))
    assert relaxed_ids == []
    assert plain(again) == plain(resumed)
    # A line cut off in the middle, and rubbish: only that crystal is relaxed once more, and then for good.
    journal.write_text(journal.read_text()[:-60])
    for expected in (1, 0):
        relaxed_ids.clear()
        repaired = make(salts, journal=journal).screen(crystals(*names))
        assert len(relaxed_ids) == expected
        assert [c["id"] for c in repaired.candidates] == ["nias", "bn", "blende"]
    journal.write_bytes(journal.read_bytes() + b'\n{}\n[1]\n{"key": 1}\n\xff\xfe\n')
    relaxed_ids.clear()
    assert plain(make(salts, journal=journal).screen(crystals(*names))) == plain(repaired)
    assert relaxed_ids == []
    # Another force limit or another start under the same name is another relaxation.
    make(salts, journal=journal, fmax=0.2, deadline=time.monotonic() - 1).screen(crystals("nias"))
    moved = Crystal("nias", SALTS["bn"])
    make(salts, journal=journal, deadline=time.monotonic() - 1).screen([moved])
    assert len(relaxed_ids) == 2


def test_known_materials_may_be_kept(salts):
    given = crystals("rock salt", "b2")
    result = make(salts, novel=False, keep_above=0.2).screen(given)
    check_counts(result, given)
    rock_salt, b2 = result.candidates
    assert rock_salt["nearest_known"] == {
        "id": "mp-22862", "formula": "NaCl", "space_group": 225, "note": "the same structure",
    }  # fmt: skip
    assert rock_salt["energy_above_hull"] == pytest.approx(0, abs=1e-3)
    assert b2["stability"] == "unstable"
    assert b2["energy_above_hull"] == pytest.approx(0.112, abs=0.005)


def test_unknown_hull_is_no_number(salts):
    few = part(known_materials(), ("Na",))
    result = make(few).screen(crystals("nias"))
    (candidate,) = result.candidates
    assert candidate["energy_above_hull"] is None
    assert candidate["probability_metastable"] is None
    assert candidate["stability"] == "unknown"
    assert candidate["hull_note"] == "unknown: the reference has no pure Cl"
    assert candidate["decomposition"] == []
    assert candidate["nearest_known"] is None
    assert "1 with unknown hull are kept" in result.stages[-1].note


def test_wishes_hold_through_the_funnel(salts):
    given = crystals("nias", "blende", "bn")
    wish = CrystalWish.of(elements="Na,Cl", space_group=216)
    result = make(salts, wish=wish, deadline=time.monotonic() - 1).screen(given)
    check_counts(result, given)
    assert {name: stage for name, (stage, _) in fate(result).items()} == {
        "nias": "valid", "bn": "valid", "blende": "relaxed",
    }  # fmt: skip


def test_rules_of_the_full_level_are_obeyed_too(salts, monkeypatch):
    """A hard rule that is too slow for the fast level must still keep a crystal from being handed over."""
    check = CrystalRules.check

    def strict(self, structure, wish=None, level="fast"):
        wrong = level == "full" and structure.get_space_group_info()[0] == "F-43m"
        return [*check(self, structure, wish, level), Verdict("my_rule", not wrong, "Zinc blende is out of fashion.")]

    monkeypatch.setattr(CrystalRules, "check", strict)
    given = crystals("nias", "blende")
    result = make(salts).screen(given)
    check_counts(result, given)
    assert [candidate["id"] for candidate in result.candidates] == ["nias"]
    assert fate(result) == {"blende": ("stable", "Zinc blende is out of fashion.")}


def test_empty_funnel(salts):
    result = make(salts).screen([])
    check_counts(result, [])
    assert [stage.count for stage in result.stages] == [0] * 6


def test_a_large_crystal_passes_the_real_ranker(salts, ranker):
    """More sites than the network can read: it has no prediction and stands in the middle."""
    rng = np.random.default_rng(0)
    large = SALTS["nias"] * (3, 3, 2)
    large.translate_sites(range(len(large)), [0, 0, 0.1])
    large = Structure(large.lattice, large.species, large.frac_coords + rng.normal(0, 0.02, (len(large), 3)))
    given = [Crystal("large", large), *crystals("blende")]
    assert len(gene_of(given[0]).sites) == 72
    result = make(salts, ranker=ranker, deadline=time.monotonic() - 1).screen(given)
    check_counts(result, given)
    assert "predicted_above_hull" in given[1].properties
    assert "predicted_above_hull" not in given[0].properties


# --- what ships -----------------------------------------------------------------------------------------------


def test_bundled_calibration_is_sound():
    calibration = bundled()
    assert (np.diff(calibration.knots) > 0).all()
    assert (np.diff(calibration.probabilities) <= 0).all()
    assert 0.5 < calibration.probability(0.0) <= 1
    assert 0 <= calibration.probability(0.5) < 0.3
    assert {"table", "expected_calibration_error"} <= calibration.report.keys()
    assert 0 <= calibration.report["expected_calibration_error"] < 0.1


def test_bundled_ranker_knows_formation_energies():
    """Of known materials, most of which it has seen: a ranker that cannot tell these orders nothing."""
    known = known_materials()
    ranker = Ranker.load(device="cpu")
    energies = known.table["energy"].to_numpy()
    small = np.flatnonzero((known.table["n_atoms"].to_numpy() <= 12) & np.isfinite(energies))
    rows = np.random.default_rng(1).choice(small, 300, replace=False)
    hull = Hull(known)
    rows = [int(row) for row in rows if known.gene(int(row)).counts.keys() <= hull.element_energies.keys()]
    genes = [known.gene(row) for row in rows]
    unmixed = [mean_element_energy(gene.counts, hull.element_energies) for gene in genes]
    truth = energies[rows] - np.array(unmixed)
    started = time.monotonic()
    found = ranker.formation_energies(genes)
    assert (time.monotonic() - started) / len(genes) < 0.01  # about a millisecond a gene
    assert np.median(np.abs(found - truth)) < 0.15
    assert np.corrcoef(found, truth)[0, 1] > 0.85
    assert len(ranker.settings["weights"]) == 64


def test_bundled_files_are_small():
    package = files("sozai")
    weights = [package / "generators/wyckoff_gpt/weights", package / "screening/ranker_weights"]
    assert sum(path.stat().st_size for folder in weights for path in Path(str(folder)).iterdir()) < 20e6
