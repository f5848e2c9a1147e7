"""The Wyckoff form: tables, round trips, invariances, and the library of known materials."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import spglib
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from sozai.errors import UserError
from sozai.generators.spacing import spacing
from sozai.materials.known import KnownMaterials, known_materials, reduced_formula
from sozai.materials.wyckoff import Gene, WyckoffCrystal, WyckoffError, WyckoffSite, space_group

MATCHER = StructureMatcher(ltol=0.2, stol=0.3, angle_tol=5)
DATA = Path(__file__).resolve().parents[2] / "shared/data/crystals/materials_project.parquet"
# Free lengths and angles of the conventional cell: which of a, b, c equals which, and the fixed angles.
SHAPES = {
    "triclinic": ((0, 1, 2), (None, None, None)),
    "monoclinic": ((0, 1, 2), (90, None, 90)),
    "orthorhombic": ((0, 1, 2), (90, 90, 90)),
    "tetragonal": ((0, 0, 2), (90, 90, 90)),
    "trigonal": ((0, 0, 2), (90, 90, 120)),
    "hexagonal": ((0, 0, 2), (90, 90, 120)),
    "cubic": ((0, 0, 0), (90, 90, 90)),
}


def point_set(points):
    """Points as a set that wraps around and tolerates rounding."""
    return {tuple(row) for row in (np.rint(np.asarray(points) * 10_000).astype(int) % 10_000).tolist()}


@pytest.mark.parametrize("number", range(1, 231))
def test_positions_agree_with_spglib(number):
    group = space_group(number)
    operations = spglib.get_symmetry_from_database(group.hall_number)
    rng = np.random.default_rng(number)
    assert spglib.get_spacegroup_type(group.hall_number).number == number
    assert group.positions[-1].multiplicity == len(operations["rotations"])
    assert group.lattice_points == (operations["rotations"] == np.eye(3)).all(axis=(1, 2)).sum()
    for position in group.positions:
        first, shift = position.rotations[0], position.translations[0]
        assert np.array_equal(first @ first, first)  # a projector: what lies on the position stays
        assert np.allclose((first @ shift + 0.5) % 1.0, 0.5)
        assert np.linalg.matrix_rank(first) == position.degrees_of_freedom
        parameters = rng.integers(1, 9999, position.degrees_of_freedom) / 10_000
        orbit = position.orbit(parameters)
        ours = point_set(orbit)
        assert len(ours) == position.multiplicity
        assert ours == point_set(operations["rotations"] @ orbit[0] + operations["translations"])
        found, misfit = position.parameters_of(orbit)
        assert misfit < 1e-9
        assert point_set(position.orbit(found)) == ours


def test_site_symmetry_and_enumeration_name_a_position():
    for number in range(1, 231):
        positions = space_group(number).positions
        assert len({(p.site_symmetry, p.enumeration) for p in positions}) == len(positions)
        assert len({p.letter for p in positions}) == len(positions)


def random_crystal(number, seed):
    rng = np.random.default_rng(seed)
    group = space_group(number)
    lengths, angles = SHAPES[group.crystal_system]
    free = rng.uniform(4.0, 9.0, 3)
    lattice = [free[k] for k in lengths] + [rng.uniform(70, 110) if a is None else a for a in angles]
    sites = []
    for element in rng.permutation(["Li", "P", "S"])[: rng.integers(1, 4)]:
        position = group.positions[rng.integers(len(group.positions))]
        if position.degrees_of_freedom or all(s.letter != position.letter for s in sites):
            values = rng.random(position.degrees_of_freedom)
            sites.append(WyckoffSite(str(element), position.letter, tuple(values.tolist())))
    return WyckoffCrystal(number, tuple(sites), tuple(float(v) for v in lattice))


def operations_per_volume(crystal):
    """Symmetry operations in a cubic angstrom: a supergroup has a whole multiple of its subgroup's."""
    group = space_group(crystal.space_group)
    return group.positions[-1].multiplicity / Lattice.from_parameters(*crystal.lattice).volume


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(number=st.integers(1, 230), seed=st.integers(0, 10**6))
def test_random_crystal_comes_back(number, seed):
    crystal = random_crystal(number, seed)
    assume(crystal.gene.n_atoms <= 48 and spacing(crystal).distance > 0.7)
    structure = crystal.to_structure()
    assert len(structure) == crystal.gene.n_atoms
    found = WyckoffCrystal.from_structure(structure, symprec=1e-3)
    ratio = operations_per_volume(found) / operations_per_volume(crystal)
    assert ratio == pytest.approx(round(ratio), rel=1e-3)  # the same group or a supergroup
    assert round(ratio) >= 1
    again = found.to_structure()
    assert len(again) <= len(structure)
    assert MATCHER.fit(structure, again)
    assert again.density == pytest.approx(structure.density, rel=1e-6)


def library_rows(count, seed, most=24):
    known = known_materials()
    rows = np.flatnonzero(known.table["n_atoms"].to_numpy() <= most)
    return [int(row) for row in np.random.default_rng(seed).choice(rows, count, replace=False)]


@pytest.mark.parametrize("row", library_rows(25, seed=0))
def test_form_does_not_depend_on_the_description(row):
    crystal = known_materials().crystal(row)
    rng = np.random.default_rng(row)
    structure = crystal.to_structure()
    # A tight tolerance: near 0.1 angstrom a few crystals sit between two groups, whatever the cell.
    primitive = WyckoffCrystal.from_structure(structure, symprec=0.01)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    order = rng.permutation(len(structure))
    turned = Structure(
        structure.lattice.matrix @ rotation.T,
        [structure[int(k)].specie for k in order],
        structure.frac_coords[order] + rng.random(3) + rng.integers(-2, 3, (len(order), 3)),
    )
    doubled = structure.copy()
    doubled.make_supercell([[1, 1, 0], [0, 1, 0], [0, 0, 2]])
    for other in (turned, doubled, crystal.to_structure(primitive=False)):
        found = WyckoffCrystal.from_structure(other, symprec=0.01)
        assert found.space_group == primitive.space_group
        assert found.gene.counts == primitive.gene.counts
        # Letters may be exchanged by a shift of the origin; the site symmetries they stand for may not.
        assert occupied(found) == occupied(primitive)
        assert MATCHER.fit(found.to_structure(), structure)


def occupied(crystal):
    by_letter = space_group(crystal.space_group).by_letter
    return sorted((s.element, by_letter[s.letter].multiplicity) for s in crystal.sites)


def test_primitive_and_conventional_cells_are_one_crystal():
    rock_salt = WyckoffCrystal(225, (WyckoffSite("Cl", "b", ()), WyckoffSite("Na", "a", ())), (5.6,) * 3 + (90.0,) * 3)
    primitive, conventional = rock_salt.to_structure(), rock_salt.to_structure(primitive=False)
    assert (len(primitive), len(conventional)) == (2, 8)
    assert conventional.volume == pytest.approx(4 * primitive.volume)
    assert MATCHER.fit(primitive, conventional)
    nearest = min(neighbour.nn_distance for neighbour in primitive.get_neighbors(primitive[0], 4.0))
    assert nearest == pytest.approx(2.8)
    assert rock_salt.gene == Gene(225, (("Cl", "b"), ("Na", "a")))
    assert str(rock_salt.gene) == "225 Cl@b Na@a"
    assert rock_salt.gene.counts == {"Cl": 1, "Na": 1}
    assert rock_salt.gene.anonymous == "225:ab"
    assert rock_salt.gene.degrees_of_freedom == 0


@pytest.mark.parametrize(
    ("gene", "part"),
    [
        (Gene(225, ()), "no sites"),
        (Gene(225, (("Na", "z"),)), "no Wyckoff position z"),
        (Gene(225, (("Cl", "a"), ("Na", "a"))), "occupied 2 times"),
    ],
)
def test_impossible_genes_say_why(gene, part):
    assert part in gene.fault()


def test_possible_genes_have_no_fault():
    assert Gene(225, (("Cl", "b"), ("Na", "a"))).fault() is None
    assert Gene(225, (("Cl", "e"), ("Na", "e"))).fault() is None  # free coordinates: occupied twice


def test_errors_name_the_reason():
    with pytest.raises(WyckoffError, match="no space group 231"):
        space_group(231)
    cubic = Lattice.cubic(4)
    with pytest.raises(WyckoffError, match="disordered"):
        WyckoffCrystal.from_structure(Structure(cubic, [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]]))
    with pytest.raises(WyckoffError, match="no symmetry"):
        WyckoffCrystal.from_structure(Structure(cubic, ["Na", "Na"], [[0, 0, 0], [0, 0, 0.001]]))


@pytest.mark.skipif(not DATA.exists(), reason="the Materials Project file is not part of the repository")
def test_real_structures_come_back():
    frame = pd.read_parquet(DATA, columns=["material_id", "lattice", "numbers", "frac_coords"])
    frame = frame[frame["numbers"].map(len) <= 20].sample(80, random_state=3)
    failed = []
    for row in frame.itertuples():
        points = np.reshape(row.frac_coords, (-1, 3)).astype(float)
        structure = Structure(np.reshape(row.lattice, (3, 3)), row.numbers, points)
        if not MATCHER.fit(structure, WyckoffCrystal.from_structure(structure).to_structure()):
            failed.append(row.material_id)
    assert failed == []


@pytest.fixture
def small():
    known = known_materials()
    rows = [(str(known.table["id"].iat[r]), known.crystal(r), {"energy": -1.5 * r}) for r in library_rows(30, seed=1)]
    return KnownMaterials.from_crystals(rows, {"materials": "a few"}), rows


def test_library_round_trip(small, tmp_path):
    library, rows = small
    path = tmp_path / "few.parquet"
    library.write(path)
    again = KnownMaterials.read(path)
    assert again.source == {"materials": "a few"}
    assert len(again) == len(rows)
    for place, (identifier, crystal, properties) in enumerate(rows):
        read = again.crystal(place)
        assert again.table["id"].iat[place] == identifier
        assert again.table["energy"].iat[place] == properties["energy"]
        assert again.table["formula"].iat[place] == reduced_formula(crystal.gene.counts)
        assert read.gene == crystal.gene == again.gene(place)
        assert np.allclose(read.lattice, crystal.lattice, rtol=1e-6)
        for ours, theirs in zip(read.sites, crystal.sites, strict=True):
            gap = (np.array(ours.parameters) - np.array(theirs.parameters) + 0.5) % 1.0 - 0.5
            assert np.abs(gap).max(initial=0) < 1e-4


def test_library_keys_find_their_rows(small):
    library, rows = small
    for place, (_, crystal, _) in enumerate(rows):
        assert place in library.by_anonymous[crystal.gene.anonymous]
        assert place in library.by_formula[reduced_formula(crystal.gene.counts)]
        assert place in library.by_system[frozenset(crystal.gene.counts)]


@pytest.mark.parametrize("damage", ["missing", "cut", "text", "other"])
def test_damaged_library_is_refused(small, tmp_path, damage):
    path = tmp_path / "library.parquet"
    small[0].write(path)
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "text":
        path.write_text("not parquet at all")
    else:
        pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(UserError, match="not a library of known materials") as caught:
        KnownMaterials.read(path)
    assert str(path) in str(caught.value)
