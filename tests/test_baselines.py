"""From gene to crystal, and the two baselines: what they promise must hold in every crystal."""

from dataclasses import replace
from itertools import pairwise, permutations
from time import monotonic

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher

from sozai.errors import UserError
from sozai.generators.chemistry_distance import NUMBER, element_scale, expected_volume
from sozai.generators.random_symmetric import RandomSymmetric
from sozai.generators.realize import realize, realize_many
from sozai.generators.spacing import spacing
from sozai.generators.substitution import Substitution
from sozai.generators.templates import Templates, primitive_volume, scaled
from sozai.knowledge.crystals.wish import SYMBOLS, CrystalWish
from sozai.materials.known import KnownMaterials, known_materials, reduced_formula
from sozai.materials.wyckoff import Gene, WyckoffCrystal, space_group

MATCHER = StructureMatcher(ltol=0.2, stol=0.3, angle_tol=5)
ROCK_SALT = Gene(225, (("Cl", "b"), ("Na", "a")))


@pytest.fixture(scope="module")
def known():
    return known_materials()


@pytest.fixture(scope="module")
def templates(known):
    return Templates(known)


@pytest.fixture(scope="module")
def substitution():
    return Substitution()


def small_rows(known, count, seed, most=20):
    rows = np.flatnonzero(known.table["n_atoms"].to_numpy() <= most)
    return [int(row) for row in np.random.default_rng(seed).choice(rows, count, replace=False)]


def test_element_scale_orders_all_elements():
    scale = element_scale()[1:]
    assert sorted(np.rint(scale * 102).astype(int).tolist()) == list(range(103))
    gap = abs(scale[NUMBER["Cl"] - 1] - scale[NUMBER["Br"] - 1])
    assert gap < abs(scale[NUMBER["Cl"] - 1] - scale[NUMBER["Na"] - 1])


def test_template_distance_is_the_cheapest_assignment(known, templates):
    scale = element_scale()
    checked = 0
    for row in small_rows(known, 60, seed=5):
        gene = known.gene(row)
        group = space_group(gene.space_group)
        for template in list(templates.nearest(gene))[:3]:
            assert template.gene.canonical == gene.canonical
            by_letter: dict[str, list[str]] = {}
            for element, letter in template.gene.sites:
                by_letter.setdefault(letter, []).append(element)
            if max(map(len, by_letter.values())) > 5:
                continue
            theirs: dict[str, list[str]] = {}
            for element, letter in known.gene(template.row).sites:
                theirs.setdefault(letter, []).append(element)
            cost = 0.0
            for letter, ours in by_letter.items():
                ours_scale = [scale[NUMBER[e]] for e in ours]
                least = min(
                    sum(abs(a - scale[NUMBER[b]]) for a, b in zip(ours_scale, order, strict=True))
                    for order in permutations(theirs[letter])
                )
                cost += least * group.multiplicity(letter)
            assert template.distance == pytest.approx(cost / gene.n_atoms, abs=1e-9)
            checked += 1
    assert checked > 60


def test_templates_come_nearest_first_and_stable_first_among_equals(templates):
    found = list(templates.nearest(ROCK_SALT))
    distances = [template.distance for template in found]
    assert all(later >= earlier - 1e-6 for earlier, later in pairwise(distances))
    assert distances[0] == 0 and found[0].id == "mp-22862"  # halite itself
    by_distance: dict[float, list[float]] = {}
    for template in found:
        by_distance.setdefault(round(template.distance, 6), []).append(template.energy_above_hull)
    for energies in by_distance.values():
        filled = [np.inf if np.isnan(energy) else energy for energy in energies]
        assert filled == sorted(filled)


def test_novel_and_excluded_templates_do_not_serve(templates):
    assert min(template.distance for template in templates.nearest(ROCK_SALT, novel=True)) > 0
    first = next(templates.nearest(ROCK_SALT))
    assert first.id not in {template.id for template in templates.nearest(ROCK_SALT, exclude={first.id})}


def test_volumes_are_as_asked(known, templates):
    for row in small_rows(known, 20, seed=6):
        gene = known.gene(row)
        template = next(templates.nearest(gene))
        crystal = templates.transplant(template, volume_per_atom=17.5)
        assert crystal.gene == template.gene
        assert primitive_volume(crystal) == pytest.approx(17.5 * gene.n_atoms)
        assert crystal.to_structure().volume == pytest.approx(17.5 * gene.n_atoms, rel=1e-4)
        # On its own template a material keeps its own volume.
        own = templates.transplant(replace(template, gene=known.gene(template.row)))
        assert primitive_volume(own) == pytest.approx(primitive_volume(known.crystal(template.row)), rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(pick=st.integers(0, 10**6), factor=st.floats(0.05, 2.0))
def test_spacing_agrees_with_pymatgen(pick, factor):
    known = known_materials()
    crystal = scaled(known.crystal(pick % len(known)), factor)
    found = spacing(crystal)
    structure = crystal.to_structure()
    if len(structure) > 40 or not np.isfinite(found.distance):
        return
    nearest = min(n.nn_distance for row in structure.get_all_neighbors(found.distance + 0.2) for n in row)
    assert found.distance == pytest.approx(nearest, abs=1e-4)


def test_known_crystals_are_roomy_and_crushed_ones_are_not(known):
    for row in small_rows(known, 100, seed=7):
        crystal = known.crystal(row)
        assert spacing(crystal).roomy
        crushed = spacing(scaled(crystal, 0.02))
        assert not crushed.roomy


def test_templates_recover_left_out_materials(known):
    """Each material is taken out with its duplicates, and rebuilt from its gene."""
    recovered, errors = 0, []
    for row in small_rows(known, 60, seed=8):
        gene, truth = known.gene(row), known.structure(row)
        same = known.by_formula[known.table["formula"].iat[row]]
        hidden = {known.table["id"].iat[r] for r in same if r == row or MATCHER.fit(known.structure(r), truth)}
        built = realize(gene, np.random.default_rng(0), exclude=hidden, deadline=monotonic())
        if built.crystal is None:
            continue
        assert built.provenance["template"] not in hidden
        assert built.crystal.gene.canonical == gene.canonical
        errors.append(abs(np.log(built.crystal.to_structure().volume / truth.volume)))
        recovered += MATCHER.fit(built.crystal.to_structure(), truth)
    assert len(errors) >= 45
    assert recovered / len(errors) > 0.7
    assert np.median(errors) < 0.06


def test_realize_says_where_it_comes_from_and_why_not():
    rng = np.random.default_rng(0)
    halite = realize(ROCK_SALT, rng)
    assert halite.provenance == {
        "method": "template", "template": "mp-22862", "template_formula": "NaCl", "distance": 0.0,
    }  # fmt: skip
    other = realize(ROCK_SALT, rng, novel=True)
    assert other.provenance["template_formula"] != "NaCl"
    assert other.crystal.gene == ROCK_SALT
    wrong = realize(Gene(225, (("Na", "z"),)), rng)
    assert wrong.crystal is None and "no Wyckoff position z" in wrong.reason
    alone = Gene(2, tuple(("Xe", "abcdefgh"[k]) for k in range(8)))
    late = realize(alone, rng, deadline=monotonic() - 1)
    assert late.crystal is None and "no time" in late.reason


@pytest.fixture(scope="module")
def tiny(known):
    """A library too small to hold templates."""
    return KnownMaterials.from_crystals([("one", known.crystal(0), {"energy_above_hull": 0.0})], {})


def test_random_starts_keep_gene_volume_and_distance(tiny):
    genes = [ROCK_SALT, Gene(62, (("Li", "c"), ("O", "d"), ("P", "c"))), Gene(2, (("Li", "i"), ("S", "i")))]
    for built in realize_many(genes, seed=3, volumes=[20.0, None, 16.0], known=tiny):
        assert built.provenance == {"method": "random"}
        assert built.crystal.gene == built.gene
        assert spacing(built.crystal).roomy
        wanted = {0: 20.0 * 2, 2: 16.0 * 4}.get(genes.index(built.gene), expected_volume(built.gene.counts))
        assert wanted * 0.999 < primitive_volume(built.crystal) < wanted * 1.36  # more room when it is crowded


def test_random_start_keeps_the_shape_it_is_given(tiny):
    shape = (3.0, 4.0, 5.0, 90.0, 90.0, 90.0)
    gene = Gene(47, (("Li", "a"), ("O", "h")))
    (built,) = realize_many([gene], shapes=[shape], volumes=[15.0], known=tiny)
    assert np.array(built.crystal.lattice[:3]) / built.crystal.lattice[0] == pytest.approx(np.array(shape[:3]) / 3.0)
    assert primitive_volume(built.crystal) == pytest.approx(30.0)


def test_realize_many_depends_on_the_seed_alone(known, tiny, monkeypatch):
    monkeypatch.setattr("sozai.generators.realize._POOL_FROM", 2)
    genes = [known.gene(row) for row in small_rows(known, 30, seed=9, most=3)]
    once = realize_many(genes, seed=1, known=tiny)
    in_workers = realize_many(genes, seed=1, known=tiny, processes=2)
    other = realize_many(genes, seed=2, known=tiny)
    assert [r.crystal for r in once] == [r.crystal for r in in_workers]
    assert [r.crystal for r in once] != [r.crystal for r in other]
    assert [r.gene for r in once] == genes


def test_realize_many_counts_progress(known):
    calls = []
    genes = [known.gene(row) for row in small_rows(known, 60, seed=10)]
    realize_many(genes, on_progress=lambda done, total, note: calls.append((done, total)))
    assert calls and all(0 < done <= total == 60 for done, total in calls)


WISHES = [
    {"elements": "Li,P,S"},
    {"formula": "Li3PS4"},
    {"elements": "Mg,O", "space_group": [62, 225, 14]},
    {"required": "Li", "forbidden": "F,O", "max_atoms": 8},
    {"allowed": "Li,Na,Cl,O", "required": "Cl"},
    {"at_least": {"Li": 0.5}, "min_atoms": 4, "max_atoms": 12},
    {"elements": "Ba,Ti,O", "at_least": {"O": 0.6}, "max_atoms": 10},
    {"space_group": 221, "min_atoms": 5},
]


def counts_of(structure):
    return {str(element): int(count) for element, count in structure.composition.items()}


def assert_fulfilled(crystals, wish):
    assert len({crystal.id for crystal in crystals}) == len(crystals)
    for crystal in crystals:
        assert wish.composition_fault(counts_of(crystal.structure)) is None
        assert wish.min_atoms <= len(crystal.structure) <= wish.max_atoms
        found = WyckoffCrystal.from_structure(crystal.structure)
        assert not wish.space_groups or found.space_group in wish.space_groups
        assert str(found.space_group) == crystal.provenance["gene"].split()[0]
        assert spacing(found).roomy


@pytest.mark.parametrize("conditions", WISHES, ids=str)
def test_substitution_fulfils_wishes(substitution, known, conditions):
    wish = CrystalWish.of(**conditions)
    crystals = substitution.sample(20, wish, seed=4)
    assert len(crystals) == 20
    assert_fulfilled(crystals, wish)
    assert len({crystal.provenance["gene"] for crystal in crystals}) == 20
    for crystal in crystals:
        swap = crystal.provenance["map"]
        parent = int(np.flatnonzero(known.table["id"].to_numpy() == crystal.provenance["template"])[0])
        gene = known.gene(parent)
        sites = sorted((swap.get(element, element), letter) for element, letter in gene.sites)
        child = Gene(gene.space_group, tuple(sites))
        assert str(child) == crystal.provenance["gene"]
        twins = set(known.by_formula.get(reduced_formula(child.counts), [])) & set(known.by_anonymous[child.anonymous])
        assert not twins  # new: no known material has this formula on these positions


@pytest.mark.parametrize("conditions", WISHES, ids=str)
def test_random_fulfils_wishes(conditions):
    wish = CrystalWish.of(**conditions)
    crystals = RandomSymmetric().sample(12, wish, seed=4)
    assert len(crystals) == 12
    assert_fulfilled(crystals, wish)


@pytest.mark.parametrize("make", [Substitution, RandomSymmetric])
def test_baselines_are_deterministic(make):
    wish = CrystalWish.of(elements="Li,P,S", max_atoms=8)
    calls = []
    first = make().sample(4, wish, seed=1, on_progress=lambda *args: calls.append(args))
    again = make().sample(4, wish, seed=1)
    other = make().sample(4, wish, seed=2)
    assert [c.structure for c in first] == [c.structure for c in again]
    assert [c.provenance for c in first] == [c.provenance for c in again]
    assert [c.structure for c in first] != [c.structure for c in other]
    assert [call[:2] for call in calls] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert first[0].id == f"{make.name}-0001"
    assert all(c.provenance["generator"] == make.name and c.provenance["seed"] == 1 for c in first)


def test_substitution_prefers_neutral_and_likely(substitution):
    crystals = substitution.sample(60, CrystalWish.of(elements="Li,P,S"), seed=0)
    assert all(crystal.provenance["charge_neutral"] for crystal in crystals)
    swaps = substitution.library.swaps
    assert np.allclose(swaps, swaps.T) and np.allclose(np.diag(swaps), 1)
    assert (swaps[1:, 1:] > 0).all()  # every element can be replaced by every other
    sodium = {SYMBOLS[z - 1] for z in np.argsort(-swaps[11])[:6]}
    assert "K" in sodium and "Li" in sodium
    assert swaps[NUMBER["Cl"], NUMBER["Br"]] > 10 * swaps[NUMBER["Cl"], NUMBER["Na"]]


def test_known_materials_come_back_when_novelty_is_not_asked():
    crystals = Substitution(novel=False).sample(30, CrystalWish.of(formula="NaCl", space_group=225), seed=0)
    assert any(crystal.provenance["gene"] == str(ROCK_SALT) for crystal in crystals)


@pytest.mark.parametrize(
    ("make", "conditions", "what", "mend"),
    [
        (Substitution, {"elements": "Li,P,S", "space_group": 230}, "no known prototype", "space group 2"),
        (Substitution, {"formula": "Li3PS4", "max_atoms": 7}, "no known prototype", "8 atoms"),
        (Substitution, {"elements": "Li,Na,K,P,S,O,F,Cl"}, "at most 7 elements", "random"),
        (Substitution, {"formula": "NaCl", "space_group": 225}, "known already", "relax"),
        (RandomSymmetric, {"elements": "Li,P,S", "space_group": 230}, "230", "space group"),
        (RandomSymmetric, {"formula": "Li3PS4", "max_atoms": 7}, "cannot be built", "8 atoms"),
        (RandomSymmetric, {"formula": "Fe", "space_group": 16, "max_atoms": 1}, "higher symmetry", "space groups"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused(make, conditions, what, mend):
    with pytest.raises(UserError) as caught:
        make().sample(2, CrystalWish.of(**conditions))
    assert what in caught.value.sentence()
    assert mend in caught.value.mend


def test_cards_name_what_was_used():
    assert Substitution(novel=False).card()["novel"] is False
    assert RandomSymmetric().card()["cells"] == "pyxtal"
