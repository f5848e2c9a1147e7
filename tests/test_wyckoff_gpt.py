"""wyckoff-gpt: tokens, the exact planner against enumeration, the network, draws, saving and loading."""

import itertools
import json
import math
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from scipy.stats import chisquare

from sozai.errors import UserError
from sozai.generators.realize import realize
from sozai.generators.wyckoff_gpt import tokens
from sozai.generators.wyckoff_gpt.dataset import WyckoffDataset
from sozai.generators.wyckoff_gpt.model import WyckoffGPT
from sozai.generators.wyckoff_gpt.network import MAX_TOKENS, SCALARS, TARGETS, WyckoffNetwork, scale
from sozai.generators.wyckoff_gpt.planner import Planner, WishPlanner
from sozai.generators.wyckoff_gpt.sampling import draw
from sozai.knowledge.crystals.elements import element_table
from sozai.knowledge.crystals.wish import SYMBOLS, CrystalWish
from sozai.materials.known import known_materials
from sozai.materials.wyckoff import Gene, WyckoffCrystal, space_group

ALL = frozenset(SYMBOLS)
PROPERTY = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def genes(draw, elements=("Li", "Na", "Fe", "P", "O", "S"), most_sites=6):
    """A formally possible gene of any space group."""
    number = draw(st.integers(1, 230))
    positions = space_group(number).positions
    sites = []
    for _ in range(draw(st.integers(1, most_sites))):
        position = positions[draw(st.integers(0, len(positions) - 1))]
        if position.degrees_of_freedom or all(letter != position.letter for _, letter in sites):
            sites.append((draw(st.sampled_from(elements)), position.letter))
    return Gene(number, tuple(sorted(sites)))


def library_genes(count, seed):
    known = known_materials()
    return [known.gene(int(row)) for row in np.random.default_rng(seed).choice(len(known), count, replace=False)]


# --- tokens ---------------------------------------------------------------------------------------------------


@PROPERTY
@given(gene=genes())
def test_genes_come_back_from_tokens(gene):
    assert gene.fault() is None
    encoded = tokens.encode(gene)
    assert encoded.shape == (len(gene.sites), 4)
    assert tokens.decode(gene.space_group, encoded) == gene
    assert encoded[:, 3].sum() == gene.n_atoms


def test_library_genes_come_back_from_tokens():
    for gene in library_genes(1500, seed=0):
        assert tokens.decode(gene.space_group, tokens.encode(gene)) == gene


@PROPERTY
@given(gene=genes(), seed=st.integers(0, 10**6))
def test_order_of_sites_does_not_matter(gene, seed):
    shuffled = [gene.sites[k] for k in np.random.default_rng(seed).permutation(len(gene.sites))]
    encoded = tokens.encode(gene)
    assert np.array_equal(tokens.encode(Gene(gene.space_group, tuple(shuffled))), encoded)
    rows = encoded[np.random.default_rng(seed).permutation(len(encoded))]
    assert tokens.decode(gene.space_group, rows) == gene
    # The order that is promised: electropositive elements first, then letters as in the Tables.
    letters = [position.letter for position in space_group(gene.space_group).positions]
    decoded = [tokens.decode(gene.space_group, [row]).sites[0] for row in encoded]
    keys = [(element_table()[element].electronegativity, letters.index(letter)) for element, letter in decoded]
    assert keys == sorted(keys)


def test_every_element_has_its_place_in_the_order():
    order = tokens.element_order()
    assert sorted(order) == list(range(tokens.N_ELEMENTS)) == [tokens.INDEX[symbol] for symbol in SYMBOLS]
    assert order[tokens.INDEX["Cs"]] < order[tokens.INDEX["Li"]] < order[tokens.INDEX["O"]] < order[tokens.INDEX["F"]]
    assert np.isfinite(tokens.element_features()).all()
    assert len(np.unique(tokens.element_features(), axis=0)) == tokens.N_ELEMENTS


def test_masks_hold_exactly_the_positions_of_each_group():
    of_group, within = tokens.symmetry_masks()
    symbols = {index: symbol for symbol, index in tokens.site_symmetries().items()}
    for number in range(1, 231):
        positions = {(p.site_symmetry, p.enumeration) for p in space_group(number).positions}
        marked = {(symbols[int(s)], int(e)) for s, e in np.argwhere(within[number - 1])}
        assert marked == positions
        assert {symbols[int(s)] for s in np.flatnonzero(of_group[number - 1])} == {s for s, _ in positions}


def test_lattice_numbers():
    cubic = tokens.encode_lattice((4.0, 4.0, 4.0, 90, 90, 90), 8)
    assert tokens.decode_volume(cubic[0]) == pytest.approx(8.0)
    assert np.allclose(cubic[1:], 0, atol=1e-6)
    known = known_materials()
    for row in np.random.default_rng(1).choice(len(known), 200, replace=False):
        crystal = known.crystal(int(row))
        structure = crystal.to_structure()
        atoms = crystal.gene.n_atoms * space_group(crystal.space_group).lattice_points
        numbers = tokens.encode_lattice(crystal.lattice, atoms)
        assert tokens.decode_volume(numbers[0]) == pytest.approx(structure.volume / len(structure), rel=1e-4)
        # What the mask calls fixed says nothing: the same number in every crystal of the system.
        system = space_group(crystal.space_group).crystal_system
        fixed = ~np.array(tokens.lattice_mask(crystal.space_group))
        angle = 2 * math.cos(math.radians(120)) if system in ("trigonal", "hexagonal") else 0.0
        same = np.array([0, 0, 0, 0, 0, angle])
        assert np.allclose(numbers[fixed], same[fixed], atol=2e-2)


# --- equivalent genes -----------------------------------------------------------------------------------------


@PROPERTY
@given(gene=genes())
def test_equivalent_genes_are_a_closed_set_with_one_canonical_gene(gene):
    everyone = set(gene.equivalents)
    assert gene.equivalents[0] == gene
    assert len(everyone) == len(gene.equivalents)
    for other in everyone:
        assert set(other.equivalents) == everyone
        assert other.canonical == gene.canonical
        assert other.counts == gene.counts
        assert other.degrees_of_freedom == gene.degrees_of_freedom
        assert other.fault() is None
    assert gene.canonical in everyone


def test_relabellings_form_a_group_and_keep_the_kind_of_position():
    for number in range(1, 231):
        group = space_group(number)
        letters = "".join(position.letter for position in group.positions)
        everyone = set(group.relabellings)
        assert letters in everyone
        for one, two in itertools.product(group.relabellings, repeat=2):
            assert one.translate(str.maketrans(letters, two)) in everyone, number
        for relabelled in group.relabellings:
            for old, new in zip(letters, relabelled, strict=True):
                assert group.by_letter[old].multiplicity == group.by_letter[new].multiplicity
                assert group.by_letter[old].degrees_of_freedom == group.by_letter[new].degrees_of_freedom


def test_rock_salt_on_either_origin_is_one_gene():
    one, two = Gene(225, (("Cl", "b"), ("Na", "a"))), Gene(225, (("Cl", "a"), ("Na", "b")))
    assert one.canonical == two.canonical
    assert one.canonical != Gene(225, (("Cl", "a"), ("Na", "c"))).canonical


def template_genes(count):
    """Small library genes with equivalents, without free coordinates: each gene is one crystal."""
    known = known_materials()
    rows = np.random.default_rng(5).permutation(len(known))
    found = []
    for row in rows:
        gene = known.gene(int(row))
        if gene.n_atoms <= 6 and gene.degrees_of_freedom == 0 and len(gene.equivalents) > 1:
            found.append(gene)
        if len(found) == count:
            return found
    raise AssertionError("the library has too few such genes")


@pytest.mark.parametrize("gene", template_genes(8), ids=str)
def test_equivalent_genes_are_the_same_crystal(gene):
    """With nothing free but the cell, the equivalents in one cubic or rescaled cell are one crystal."""
    built = realize(gene, np.random.default_rng(0)).crystal
    matcher = StructureMatcher(ltol=0.2, stol=0.3, angle_tol=5)
    assert built.gene == gene
    structure = built.to_structure()
    assert any(matcher.fit(structure, with_gene(built, other)) for other in gene.equivalents if other != gene)
    if gene.space_group >= 195:  # cubic: axes exchange nothing in the cell, so all of them
        assert all(matcher.fit(structure, with_gene(built, other)) for other in gene.equivalents)
        assert matcher.fit(structure, with_gene(built, gene.canonical))


def with_gene(crystal, gene):
    """The crystal's cell with the sites of another gene (no free coordinates)."""
    from sozai.materials.wyckoff import WyckoffSite

    sites = tuple(WyckoffSite(element, letter, ()) for element, letter in gene.sites)
    return WyckoffCrystal(gene.space_group, sites, crystal.lattice).to_structure()


# --- planner against enumeration ------------------------------------------------------------------------------


class TooMany(Exception):
    pass


def all_genes(number, elements, max_atoms, limit=4000):
    """Every possible gene of a group with these elements, by brute force over multisets of occupied positions."""
    group = space_group(number)
    positions = [(p.letter, group.multiplicity(p.letter), p.degrees_of_freedom == 0) for p in group.positions]
    found = []

    def extend(place, room, sites):
        if place == len(positions):
            if sites:
                if len(found) >= limit:
                    raise TooMany
                found.append(Gene(number, tuple(sorted(sites))))
            return
        letter, multiplicity, fixed = positions[place]
        most = min(room // multiplicity, 1 if fixed else room)
        for times in range(most + 1):
            for chosen in itertools.combinations_with_replacement(elements, times):
                extend(place + 1, room - times * multiplicity, [*sites, *((e, letter) for e in chosen)])

    extend(0, max_atoms, [])
    return found


def planned_genes(planner, number):
    """Every gene that the planner can spell; asserts that no state it hands out is a dead end."""
    found = []

    def walk(state, sites):
        options = planner.next_elements(state)
        stops = planner.may_stop(state)
        assert stops or options, f"dead end after {sites}"
        if stops:
            found.append(tokens.decode(number, sites))
        for element, letters in options.items():
            assert letters
            for letter in letters:
                _, symmetry, enumeration, _, _ = planner.table[letter]
                walk(planner.step(state, planner.place[element], letter), [*sites, (element, symmetry, enumeration)])

    if planner.feasible:
        walk(planner.start, [])
    return found


def fulfils(gene, wish):
    in_size = wish.min_atoms <= gene.n_atoms <= wish.max_atoms
    in_group = not wish.space_groups or gene.space_group in wish.space_groups
    return in_size and in_group and wish.composition_fault(gene.counts) is None


@st.composite
def wishes(draw, most_atoms=6):
    """Wishes over Li, P and S that do not contradict themselves (but may be impossible)."""
    pool = ["Li", "P", "S"]
    some = st.sets(st.sampled_from(pool), min_size=1)
    kind = draw(st.sampled_from(["any", "elements", "formula", "required", "forbidden", "both"]))
    max_atoms = draw(st.integers(1, most_atoms))
    options = {"allowed": pool, "max_atoms": max_atoms, "min_atoms": draw(st.integers(1, max_atoms))}
    if kind == "elements":
        options["elements"] = draw(some)
    elif kind == "formula":
        options["formula"] = {symbol: draw(st.integers(1, 3)) for symbol in sorted(draw(some))}
    elif kind == "required":
        options["required"] = draw(some)
    elif kind == "forbidden":
        options["forbidden"] = draw(st.sets(st.sampled_from(pool), min_size=1, max_size=2))
    elif kind == "both":
        options["forbidden"], options["required"] = ["S"], draw(st.sets(st.sampled_from(["Li", "P"]), min_size=1))
    return CrystalWish.of(**options)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(number=st.integers(1, 230), wish=wishes())
def test_planner_spells_exactly_the_genes_that_fulfil_the_wish(number, wish):
    elements = sorted(wish.possible_elements())
    try:
        expected = {gene for gene in all_genes(number, elements, wish.max_atoms) if fulfils(gene, wish)}
    except TooMany:
        assume(False)
    wish = CrystalWish(**{**wish.__dict__, "space_groups": (number,)})
    if not expected:
        with pytest.raises(UserError, match="cannot be built"):
            WishPlanner(wish, ALL)
        return
    planners = WishPlanner(wish, ALL).planners
    assert set(planners) == {number}
    spelled = [gene for planner in planners[number] for gene in planned_genes(planner, number)]
    assert len(spelled) == len(set(spelled))  # one sequence a gene
    assert set(spelled) == expected


@pytest.mark.parametrize("number", [1, 2, 12, 47, 99, 123, 129, 166, 194, 216, 221, 225, 227, 230])
@pytest.mark.parametrize("options", [{}, {"required": "P"}, {"elements": "P,S"}, {"formula": "PS2"}])
def test_planner_agrees_with_enumeration_in_common_groups(number, options):
    wish = CrystalWish.of(allowed="P,S", max_atoms=4 if number == 47 else 6, space_group=number, **options)
    expected = {g for g in all_genes(number, ["P", "S"], wish.max_atoms, limit=30_000) if fulfils(g, wish)}
    if not expected:
        with pytest.raises(UserError):
            WishPlanner(wish, ALL)
        return
    spelled = [g for planner in WishPlanner(wish, ALL).planners[number] for g in planned_genes(planner, number)]
    assert len(spelled) == len(set(spelled))
    assert set(spelled) == expected


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(number=st.integers(1, 230), seed=st.integers(0, 10**6), formula=st.sampled_from([None, "Li3PS4", "NaCl"]))
def test_random_walks_end_in_a_wanted_gene(number, seed, formula):
    """Cells too large to enumerate."""
    rng = np.random.default_rng(seed)
    options = {"formula": formula} if formula else {"required": "O", "forbidden": "F", "min_atoms": 11}
    wish = CrystalWish.of(max_atoms=24, space_group=number, **options)
    try:
        planners = WishPlanner(wish, ALL).planners[number]
    except UserError:
        assume(False)
    for planner in planners:
        state, sites = planner.start, []
        while True:
            options = planner.next_elements(state)
            stops = planner.may_stop(state)
            assert stops or options
            if stops and (not options or rng.random() < 0.3):
                break
            element = list(options)[rng.integers(len(options))]
            letter = options[element][rng.integers(len(options[element]))]
            sites.append((element, *planner.table[letter][1:3]))
            state = planner.step(state, planner.place[element], letter)
        gene = tokens.decode(number, sites)
        assert gene.fault() is None
        assert fulfils(gene, wish)


def test_known_materials_are_within_reach():
    """Every small material of the library can be spelled under the wish for its own formula and group."""
    for gene in library_genes(400, seed=2):
        if gene.n_atoms > 20:
            continue
        counts = {tokens.INDEX[symbol]: count for symbol, count in gene.counts.items()}
        planner = Planner(gene.space_group, frozenset(counts), frozenset(counts), 1, 20, counts)
        state = planner.start
        letters = {row[1:3]: place for place, row in enumerate(planner.table)}
        for element, symmetry, enumeration, _ in tokens.encode(gene).tolist():
            letter = letters[symmetry, enumeration]
            assert letter in planner.next_elements(state).get(element, [])
            state = planner.step(state, planner.place[element], letter)
        assert planner.may_stop(state)


IMPOSSIBLE = [
    {"formula": "NaCl", "space_group": 225, "max_atoms": 1},
    {"formula": "Li3PS4", "space_group": 221, "max_atoms": 7},
    {"elements": "Li,P,S", "space_group": 230, "max_atoms": 4},
    {"elements": "Na,Cl", "space_group": 230, "min_atoms": 17, "max_atoms": 19},
    {"space_group": 228, "max_atoms": 3},
    {"space_group": [228, 230], "max_atoms": 3},
    {"elements": "Li,P,S,O,Cl", "max_atoms": 4},
    {"required": "Li,P,S", "max_atoms": 2},
    {"formula": "Li3PS4", "max_atoms": 7},
    {"formula": "Li3PS4", "min_atoms": 9, "max_atoms": 15},
    {"formula": "NaCl", "space_group": 230, "min_atoms": 3, "max_atoms": 3},
]


@pytest.mark.parametrize("options", IMPOSSIBLE, ids=str)
def test_refusals_name_what_can_be_had(options):
    import re

    with pytest.raises(UserError, match="cannot be built") as caught:
        WishPlanner(CrystalWish.of(**options), ALL)
    mend = caught.value.mend
    atoms = [int(number) for number in re.findall(r"(\d+) atoms", mend)]
    groups = [int(number) for number in re.findall(r"(\d+) \(", mend)]
    assert atoms or groups, mend
    for number in atoms:  # each hint alone makes the wish possible
        fewest = min(options.get("min_atoms", 1), number)
        assert WishPlanner(CrystalWish.of(**{**options, "min_atoms": fewest, "max_atoms": number}), ALL).planners
        if number > options["max_atoms"]:  # and nothing smaller does
            with pytest.raises(UserError):
                WishPlanner(CrystalWish.of(**{**options, "max_atoms": number - 1}), ALL)
    for number in groups:
        assert WishPlanner(CrystalWish.of(**{**options, "space_group": number}), ALL).planners


def test_refusals_stay_one_short_sentence():
    with pytest.raises(UserError) as caught:
        WishPlanner(CrystalWish.of(elements="Li,P,S", max_atoms=2, space_group=range(1, 231)), ALL)
    assert len(str(caught.value)) < 400


def test_unknown_elements_are_refused():
    with pytest.raises(UserError, match="never seen Og|never seen Lr"):
        WishPlanner(CrystalWish.of(elements="Li,Lr"), ALL - {"Lr"})
    with pytest.raises(UserError):
        WishPlanner(CrystalWish.of(allowed="Lr"), ALL - {"Lr"})
