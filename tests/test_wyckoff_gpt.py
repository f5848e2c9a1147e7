"""wyckoff-gpt: tokens, the exact planner against enumeration, the network, draws, saving and loading."""

import itertools
import json
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from safetensors.torch import load_file, save_file
from scipy.stats import chisquare

from sozai.errors import UserError
from sozai.generators.realize import realize
from sozai.generators.wyckoff_gpt import tokens
from sozai.generators.wyckoff_gpt.dataset import WyckoffDataset
from sozai.generators.wyckoff_gpt.model import MAX_ATOMS, WyckoffGPT
from sozai.generators.wyckoff_gpt.network import SCALARS, WyckoffNetwork, scale
from sozai.generators.wyckoff_gpt.planner import Planner, WishPlanner
from sozai.generators.wyckoff_gpt.sampling import draw
from sozai.knowledge.crystals.elements import element_table
from sozai.knowledge.crystals.wish import SYMBOLS, CrystalWish
from sozai.materials.known import known_materials
from sozai.materials.wyckoff import Gene, WyckoffCrystal, WyckoffSite, space_group

ALL = frozenset(SYMBOLS)
PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def genes(pick, elements=("Li", "Na", "Fe", "P", "O", "S"), most_sites=6):
    """A formally possible gene of any space group."""
    number = pick(st.integers(1, 230))
    positions = space_group(number).positions
    sites = []
    for _ in range(pick(st.integers(1, most_sites))):
        position = positions[pick(st.integers(0, len(positions) - 1))]
        if position.degrees_of_freedom or all(letter != position.letter for _, letter in sites):
            sites.append((pick(st.sampled_from(elements)), position.letter))
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
def wishes(pick, most_atoms=6):
    """Wishes over Li, P and S that do not contradict themselves (but may be impossible)."""
    pool = ["Li", "P", "S"]
    some = st.sets(st.sampled_from(pool), min_size=1)
    kind = pick(st.sampled_from(["any", "elements", "formula", "required", "forbidden", "both"]))
    max_atoms = pick(st.integers(1, most_atoms))
    options = {"allowed": pool, "max_atoms": max_atoms, "min_atoms": pick(st.integers(1, max_atoms))}
    if kind == "elements":
        options["elements"] = pick(some)
    elif kind == "formula":
        options["formula"] = {symbol: pick(st.integers(1, 3)) for symbol in sorted(pick(some))}
    elif kind == "required":
        options["required"] = pick(some)
    elif kind == "forbidden":
        options["forbidden"] = pick(st.sets(st.sampled_from(pool), min_size=1, max_size=2))
    elif kind == "both":
        options["forbidden"], options["required"] = ["S"], pick(st.sets(st.sampled_from(["Li", "P"]), min_size=1))
    return CrystalWish.of(**options)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
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


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
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
    with pytest.raises(UserError, match="never seen Lr"):
        WishPlanner(CrystalWish.of(elements="Li,Lr"), ALL - {"Lr"})
    with pytest.raises(UserError):
        WishPlanner(CrystalWish.of(allowed="Lr"), ALL - {"Lr"})


# --- the network ----------------------------------------------------------------------------------------------


def tiny(seed=0, width=32, **settings):
    """A small network with random weights everywhere, so that conditions and positions matter."""
    torch.manual_seed(seed)
    network = WyckoffNetwork(width=width, layers=1, heads=2, dropout=0.0, mixtures=2, **settings).eval()
    with torch.no_grad():
        for name, values in network.named_parameters():
            if "modulation" in name or "null" in name or name.startswith(("to_group", "to_element")):
                values.add_(0.3 * torch.randn_like(values))
    return network


@pytest.fixture(scope="module")
def network():
    return tiny()


@pytest.fixture(scope="module")
def dataset():
    known = known_materials()
    rows = [int(row) for row in np.random.default_rng(3).choice(len(known), 96, replace=False)]
    properties = [{"band_gap": 0.1 * k, "formation_energy": None if k % 3 else -1.0} for k in range(len(rows))]
    return WyckoffDataset.from_crystals(zip((known.crystal(row) for row in rows), properties, strict=True))


def test_loss_falls_on_a_tiny_data_set(dataset):
    network = tiny(1).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    losses = []
    for step in range(40):
        batch = dataset.batch(np.arange(32), np.random.default_rng(step))
        parts = network.loss(batch)
        loss = parts["loss"]
        assert set(parts) == {"loss", "space group", "element", "site symmetry", "enumeration", "lattice"}
        optimizer.zero_grad()
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.6 * losses[0]


def test_later_sites_do_not_change_earlier_states(network, dataset):
    batch = dataset.batch(np.arange(32), None)
    sites, mask = batch["sites"].clone(), batch["mask"]
    condition = network.conditions(batch)
    with torch.no_grad():
        before = network.states(batch["group"], sites, mask, condition)
        at = sites.shape[1] // 2
        sites[:, at:] = sites[:, at:].flip(0)
        changed = network.states(batch["group"], sites, mask, condition)
        start = network.states(None, sites[:, :0], mask[:, :0], condition)
    assert torch.allclose(before[:, : 2 + at], changed[:, : 2 + at], atol=1e-5)
    assert not torch.allclose(before[:, 2 + at :], changed[:, 2 + at :], atol=1e-3)
    assert torch.allclose(before[:, :1], start, atol=1e-5)  # the group is not seen before it is chosen


def test_loss_of_a_batch_is_the_mean_of_its_crystals(network, dataset):
    """Padding changes nothing."""
    rows = np.arange(24)
    with torch.no_grad():
        together = network.loss(dataset.batch(rows, None))
        alone = [network.loss(dataset.batch(rows[k : k + 1], None)) for k in range(len(rows))]
    for name, value in together.items():
        assert float(value) == pytest.approx(np.mean([float(p[name]) for p in alone]), rel=1e-4, abs=1e-5)


def test_what_is_not_given_has_a_null_vector_of_its_own(network):
    nan = torch.full((3,), math.nan)
    table = torch.full((3, tokens.N_ELEMENTS), math.nan)
    nothing = {name: nan for name in SCALARS} | {"elements": table, "composition": table}
    with torch.no_grad():
        null = network.conditions(nothing)
        assert torch.allclose(null, network.conditions.null.sum(0).expand(3, -1), atol=1e-6)
        for place, name in enumerate(SCALARS):
            mixed = network.conditions({**nothing, name: torch.tensor([math.nan, 0.0, 1.0])})
            assert torch.allclose(mixed[0], null[0], atol=1e-6)
            embedded = network.conditions.scalars[name](torch.tensor([[0.0], [1.0]]))
            expected = null[1:] - network.conditions.null[place] + embedded
            assert torch.allclose(mixed[1:], expected, atol=1e-5)


def test_batches_show_and_hide_conditions(dataset):
    hidden = dataset.batch(np.arange(96), None)
    for name in (*SCALARS, "elements", "composition"):
        assert torch.isnan(hidden[name]).all()
    counts = {name: 0 for name in (*SCALARS, "elements", "composition")}
    for seed in range(20):
        batch = dataset.batch(np.arange(96), np.random.default_rng(seed))
        for name in counts:
            values = batch[name].view(96, -1)
            given = ~torch.isnan(values[:, 0])
            assert (torch.isnan(values).any(1) == ~given).all()  # all of a vector or nothing
            counts[name] += int(given.sum())
        known = torch.isnan(torch.tensor(dataset.properties["formation_energy"]))
        assert torch.isnan(batch["formation_energy"])[known].all()
    rows = 20 * 96
    assert 0.55 < counts["band_gap"] / rows < 0.73  # 0.8 * 0.8
    assert counts["energy_above_hull"] == counts["bulk_modulus"] == 0  # unknown in this data
    assert 0.25 < counts["n_atoms"] / rows < 0.35
    assert 0.3 < counts["elements"] / rows < 0.4


def test_epochs_hold_every_crystal_once(dataset):
    batches = list(dataset.epoch(torch.Generator().manual_seed(0), 10))
    assert sum(len(batch["group"]) for batch in batches) == len(dataset)

    def rows(batches):
        return sorted(
            (int(g), tuple(map(tuple, s[m].tolist())))
            for batch in batches
            for g, s, m in zip(batch["group"], batch["sites"], batch["mask"], strict=True)
        )

    assert rows(batches) == rows(dataset.in_order(7))
    assert rows(batches) == rows(dataset.epoch(torch.Generator().manual_seed(9), 33))


# --- draws ----------------------------------------------------------------------------------------------------


def exact_log_probabilities(network, genes, targets, guidance, temperature):
    """Log probability of each gene when exactly these may be drawn, from one pass over each whole gene.

    Independent of planner and sampler: the choices left at each step are those of the genes with that beginning.
    """
    spelled = {gene: tuple(map(tuple, tokens.encode(gene)[:, :3].tolist())) for gene in genes}
    nan = torch.full((1,), math.nan)
    table = torch.full((1, tokens.N_ELEMENTS), math.nan)
    nothing = {name: nan for name in SCALARS} | {"elements": table, "composition": table}
    given = {**nothing, **{name: torch.tensor([scale(name, value)]).float() for name, value in targets.items()}}
    branches = [network.conditions(given), network.conditions(nothing)]

    def log_p(logits, allowed, chosen):
        with_target, without = (branch.double() for branch in logits)
        with_target, without = with_target.log_softmax(-1), without.log_softmax(-1)
        scores = {c: ((1 + guidance) * with_target[c] - guidance * without[c]).item() / temperature for c in allowed}
        return scores[chosen] - math.log(sum(math.exp(value) for value in scores.values()))

    result = {}
    for gene in genes:
        group, sites = torch.tensor([gene.space_group - 1]), torch.tensor(tokens.encode(gene))[None]
        states = [network.states(group, sites, torch.ones(sites.shape[:2], dtype=bool), b)[0] for b in branches]
        total = log_p([network.to_group(s[0]) for s in states], {g.space_group - 1 for g in genes}, int(group))
        own = spelled[gene]
        peers = [other for g, other in spelled.items() if g.space_group == gene.space_group]
        for step in range(len(own) + 1):
            nexts = [other[step] if len(other) > step else None for other in peers if other[:step] == own[:step]]
            here = [s[1 + step][None] for s in states]
            elements = {tokens.STOP if site is None else site[0] for site in nexts}
            chosen = tokens.STOP if step == len(own) else own[step][0]
            total += log_p([network.to_element(s)[0] for s in here], elements, chosen)
            if step == len(own):
                break
            element, symmetry = (torch.tensor([value]) for value in own[step][:2])
            possible = {site[1] for site in nexts if site and site[0] == own[step][0]}
            logits = [network.symmetry_logits(s, element, group)[0] for s in here]
            total += log_p(logits, possible, own[step][1])
            possible = {site[2] for site in nexts if site and site[:2] == own[step][:2]}
            logits = [network.enumeration_logits(s, element, symmetry, group)[0] for s in here]
            total += log_p(logits, possible, own[step][2])
        result[gene] = total
    return result


@pytest.mark.parametrize(("guidance", "temperature"), [(0.0, 1.0), (2.0, 1.0), (0.0, 0.6), (1.5, 1.4)])
def test_draws_follow_the_exact_distribution(network, guidance, temperature):
    targets = {"band_gap": 2.0}
    wish = CrystalWish.of(allowed="Na,Cl", space_group=[160, 221, 225], max_atoms=3, targets=targets)
    genes = [g for n in wish.space_groups for g in all_genes(n, ["Na", "Cl"], wish.max_atoms) if fulfils(g, wish)]
    with torch.no_grad():
        expected = exact_log_probabilities(network, genes, targets, guidance, temperature)
    assert len(genes) > 30
    assert sum(math.exp(value) for value in expected.values()) == pytest.approx(1.0, abs=1e-6)
    count = 3000
    rng = torch.Generator().manual_seed(7)
    drawn = draw(network, WishPlanner(wish, ALL), count, rng, temperature, guidance)
    assert len(drawn) == count
    for each in drawn[:300]:
        assert each.log_probability == pytest.approx(expected[each.gene], abs=1e-3)
        assert 1 < each.volume_per_atom < 200
    observed = {gene: 0 for gene in genes}
    for each in drawn:
        observed[each.gene] += 1
    often = [gene for gene in genes if math.exp(expected[gene]) * count >= 5]
    rare = [gene for gene in genes if gene not in often]
    seen = [observed[gene] for gene in often] + [sum(observed[gene] for gene in rare)]
    due = [math.exp(expected[gene]) * count for gene in often] + [sum(math.exp(expected[g]) for g in rare) * count]
    if due[-1] < 5:
        seen, due = [*seen[:-2], seen[-2] + seen[-1]], [*due[:-2], due[-2] + due[-1]]
    assert chisquare(seen, np.array(due) * sum(seen) / sum(due)).pvalue > 1e-3


def test_guidance_changes_draws_only_with_targets(network):
    def sequence(wish, guidance):
        return [
            d.gene for d in draw(network, WishPlanner(wish, ALL), 40, torch.Generator().manual_seed(1), 1, guidance)
        ]

    plain, aimed = CrystalWish.of(elements="Li,O"), CrystalWish.of(elements="Li,O", targets={"band_gap": 6.0})
    assert sequence(plain, 0.0) == sequence(plain, 5.0)
    assert sequence(aimed, 0.0) != sequence(aimed, 5.0)
    assert sequence(aimed, 0.0) != sequence(plain, 0.0)


def test_formula_units_follow_their_prior(network):
    """Also where the smallest cell of the group holds several units: 230 has no position of one atom."""
    wish = CrystalWish.of(formula="NaCl", space_group=230, max_atoms=24)
    plan = WishPlanner(wish, ALL)
    units = [sum(planner.start.left) // 2 for planner in plan.planners[230]]
    assert units == [8, 12]
    drawn = draw(network, plan, 1500, torch.Generator().manual_seed(0), units_prior={1: 0.9, 8: 0.2, 12: 0.6})
    share = np.mean([each.gene.n_atoms == 24 for each in drawn])
    assert share == pytest.approx(0.75, abs=0.05)
    of_size = {n: {d.gene: math.exp(d.log_probability) for d in drawn if d.gene.n_atoms == n} for n in (16, 24)}
    assert sum(of_size[16].values()) == pytest.approx(0.25, abs=0.01)  # the units count in the probability


@pytest.fixture(scope="module")
def generator(network):
    return WyckoffGPT(network, {"elements": sorted(ALL - {"Lr", "Og"}), "max_atoms": 20})


EXACT = [
    {},
    {"elements": "Li,P,S"},
    {"elements": "Li,P,S", "space_group": 62},
    {"elements": ["Fe"]},
    {"allowed": "Na,K,Cl,Br", "max_atoms": 8},
    {"required": "O,Ti", "max_atoms": 12},
    {"forbidden": "O,F,Cl", "required": "S"},
    {"formula": "Li3PS4"},
    {"formula": "Li3PS4", "space_group": [31, 36]},
    {"formula": "NaCl", "min_atoms": 4, "max_atoms": 4},
    {"formula": "SrTiO3", "space_group": 221},
    {"min_atoms": 7, "max_atoms": 7},
    {"min_atoms": 13, "max_atoms": 14, "space_group": [225, 227, 230]},
    {"space_group": 194, "max_atoms": 10, "elements": "Mg,B"},
    {"at_least": {"Li": 0.5}, "elements": "Li,O"},
    {"elements": "Li,O", "targets": {"band_gap": 3.0, "energy_above_hull": 0.0}},
    {"required": "Cu", "targets": {"bulk_modulus": 200.0, "formation_energy": -1.0}},
]


@pytest.mark.parametrize("options", EXACT, ids=str)
def test_every_gene_drawn_fulfils_the_exact_wish(generator, options):
    wish = CrystalWish.of(**options)
    drawn = generator.sample_genes(48, wish, seed=3)
    assert drawn
    for each in drawn:
        assert each.gene.fault() is None
        assert fulfils(each.gene, wish)
        assert math.isfinite(each.log_probability)
        assert each.log_probability <= 1e-6
        assert each.volume_per_atom > 0
        assert not {"Lr", "Og"} & set(each.gene.counts)
    canonical = [each.gene.canonical for each in drawn]
    assert len(set(canonical)) == len(canonical)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(wish=wishes(most_atoms=12), number=st.integers(1, 230), seed=st.integers(0, 99))
def test_random_wishes_hold_in_every_gene(generator, wish, number, seed):
    wish = CrystalWish(**{**wish.__dict__, "space_groups": (number, 1)})
    try:
        drawn = generator.sample_genes(8, wish, seed=seed)
    except UserError:
        assume(False)
    assert drawn
    assert all(fulfils(each.gene, wish) for each in drawn)


def test_same_seed_same_genes(generator):
    wish = CrystalWish.of(elements="Li,P,S")
    one, two, other = (generator.sample_genes(40, wish, seed=seed) for seed in (5, 5, 6))
    assert one == two
    assert [each.gene for each in one] != [each.gene for each in other]


def test_narrow_wishes_run_out(generator):
    wish = CrystalWish.of(formula="NaCl", space_group=225, max_atoms=2)
    drawn = generator.sample_genes(50, wish, seed=0)
    assert len(drawn) == 1  # Na and Cl may swap a and b, but that is the same crystal
    assert len(generator.sample_genes(50, wish, seed=0, distinct=False)) == 50
    wish = CrystalWish.of(allowed="Na,Cl", space_group=225, max_atoms=3)
    possible = {gene.canonical for gene in all_genes(225, ["Na", "Cl"], 3)}
    flat = WyckoffGPT(generator.network, generator.settings, temperature=4)
    assert {each.gene.canonical for each in flat.sample_genes(200, wish, seed=0)} == possible


def test_largest_cells_and_beyond(generator):
    wish = CrystalWish.of(allowed="Li,O", space_group=1, min_atoms=MAX_ATOMS, max_atoms=MAX_ATOMS)
    drawn = generator.sample_genes(2, wish, seed=0)
    assert [len(each.gene.sites) for each in drawn] == [MAX_ATOMS] * 2
    with pytest.raises(UserError, match=f"up to {MAX_ATOMS} atoms"):
        generator.sample_genes(2, CrystalWish.of(max_atoms=MAX_ATOMS + 1))


def test_fractions_out_of_reach_are_refused(generator):
    with pytest.raises(UserError, match="90% Li") as caught:
        generator.sample_genes(4, CrystalWish.of(elements="Li,O", at_least={"Li": 0.9}, max_atoms=4))
    assert caught.value.where == "at_least"
    with pytest.raises(UserError, match="holds 50% Li"):
        generator.sample_genes(4, CrystalWish.of(formula="LiF", at_least={"Li": 0.9}))


def test_users_mistakes_are_told(generator):
    with pytest.raises(UserError, match="has not been fitted"):
        WyckoffGPT().sample_genes(3)
    with pytest.raises(UserError, match="never seen Lr"):
        generator.sample_genes(3, CrystalWish.of(elements="Lr,O"))
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(UserError, match="temperature"):
            WyckoffGPT(temperature=temperature)
    with pytest.raises(UserError, match="only 0 crystals"):
        WyckoffGPT().fit([])


# --- saving and loading ---------------------------------------------------------------------------------------


def test_saved_generator_comes_back(generator, tmp_path, dataset):
    generator.save(tmp_path)
    again = WyckoffGPT.load(tmp_path)
    assert again.settings["elements"] == generator.settings["elements"]
    assert again.network.settings == generator.network.settings
    assert not again.network.training
    assert again.card()["name"] == "wyckoff-gpt"
    assert len(again.settings["weights"]) == 64
    with torch.no_grad():  # half precision on disk
        batch = dataset.batch(np.arange(48), None)
        before, after = (each.network.loss(batch)["loss"].item() for each in (generator, again))
    assert after == pytest.approx(before, abs=0.01)
    assert after != before
    again.save(tmp_path / "twice")  # what is half precision already stays as it is
    assert WyckoffGPT.load(tmp_path / "twice").settings == again.settings
    wish = CrystalWish.of(elements="Li,P,S")
    same = WyckoffGPT.load(tmp_path / "twice").sample_genes(30, wish, seed=1)
    assert same == again.sample_genes(30, wish, seed=1)


def damage(folder, how):
    weights, settings_file = folder / "weights.safetensors", folder / "settings.json"
    content = json.loads(settings_file.read_text())
    if how == "no folder":
        weights.unlink()
        settings_file.unlink()
        folder.rmdir()
    elif how == "no weights":
        weights.unlink()
    elif how == "no settings":
        settings_file.unlink()
    elif how == "weights cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "weights of zeros":
        weights.write_bytes(b"\0" * 1000)
    elif how == "one byte changed":
        raw = bytearray(weights.read_bytes())
        raw[-1000] ^= 0x40
        weights.write_bytes(raw)
    elif how == "empty weights":
        weights.write_bytes(b"")
    elif how == "weights are a folder":
        weights.unlink()
        weights.mkdir()
    elif how == "settings cut":
        settings_file.write_text(settings_file.read_text()[:40])
    elif how == "settings in another encoding":
        settings_file.write_bytes(b"\xff\xfe\x00")
    elif how == "settings are a list":
        settings_file.write_text("[]")
    elif how == "settings are null":
        settings_file.write_text("null")
    elif how == "foreign settings":
        settings_file.write_text(json.dumps({"model_type": "llama"}))
    elif how == "unknown setting":
        settings_file.write_text(json.dumps({**content, "network": {**content["network"], "experts": 8}}))
    elif how == "another width":
        settings_file.write_text(json.dumps({**content, "network": {**content["network"], "width": 64}}))
    elif how == "heads that do not divide":
        settings_file.write_text(json.dumps({**content, "network": {**content["network"], "heads": 0}}))
    elif how == "no elements":
        del content["elements"]
        settings_file.write_text(json.dumps(content))
    elif how == "foreign weights":
        save_file({"embedding.weight": torch.zeros(4, 4)}, weights)
    elif how == "a weight too many":
        save_file({**load_file(weights), "extra": torch.zeros(2)}, weights)
        settings_file.write_text(json.dumps({k: v for k, v in content.items() if k != "weights"}))
    elif how == "a weight missing":
        save_file({k: v for k, v in load_file(weights).items() if k != "start"}, weights)
        settings_file.write_text(json.dumps({k: v for k, v in content.items() if k != "weights"}))


@pytest.mark.parametrize(
    "how",
    [
        "no folder", "no weights", "no settings", "weights cut", "weights of zeros", "one byte changed",
        "empty weights", "weights are a folder", "settings cut", "settings in another encoding", "settings are a list",
        "settings are null", "foreign settings", "unknown setting", "another width", "heads that do not divide",
        "no elements", "foreign weights", "a weight too many", "a weight missing",
    ],
)  # fmt: skip
def test_damaged_weights_are_refused(generator, tmp_path, how):
    folder = tmp_path / "weights"
    generator.save(folder)
    damage(folder, how)
    with pytest.raises(UserError) as caught:
        WyckoffGPT.load(folder)
    assert str(folder) in str(caught.value)
    assert caught.value.mend


# --- the weights that ship ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundled():
    return WyckoffGPT.load(device="cpu")


@pytest.fixture(scope="module")
def unconditional(bundled):
    return bundled.sample_genes(256, seed=0)


def test_bundled_generator_says_what_it_is(bundled):
    card = bundled.card()
    assert card["name"] == "wyckoff-gpt"
    assert len(card["weights"]) == 64
    assert card["max_atoms"] == 20
    assert card["crystals"] > 10_000
    assert {"seed"} <= card.keys()
    assert {"Li", "O", "Fe", "U"} <= set(bundled.settings["elements"])


def test_bundled_generator_draws_sound_genes(unconditional):
    assert len(unconditional) == 256
    assert len({each.gene.canonical for each in unconditional}) == 256
    assert all(each.gene.fault() is None and each.gene.n_atoms <= 20 for each in unconditional)
    assert np.mean([each.gene.space_group == 1 for each in unconditional]) <= 0.06  # data: 2%
    volumes = [each.volume_per_atom for each in unconditional]
    assert 12 < np.median(volumes) < 26  # data: 18 cubic angstrom
    most_symmetric = np.mean([each.gene.space_group >= 195 for each in unconditional])
    assert 0.1 < most_symmetric < 0.5  # cubic; data: about a quarter


def test_bundled_network_prefers_known_crystals(bundled):
    """A known crystal must be far likelier than the same one with its elements exchanged at random."""
    known = known_materials()
    rng = np.random.default_rng(0)
    small = np.flatnonzero(known.table["n_atoms"].to_numpy() <= 12)
    crystals = [known.crystal(int(row)) for row in rng.choice(small, 150, replace=False)]
    elements = sorted(bundled.settings["elements"])
    swapped = []
    for crystal in crystals:
        present = sorted({site.element for site in crystal.sites})
        table = dict(zip(present, rng.choice(elements, len(present), replace=False).tolist(), strict=True))
        sites = tuple(WyckoffSite(table[site.element], site.letter, site.parameters) for site in crystal.sites)
        swapped.append(WyckoffCrystal(crystal.space_group, sites, crystal.lattice))
    losses = []
    with torch.no_grad():
        for group in (crystals, swapped):
            data = WyckoffDataset.from_crystals((crystal, {}) for crystal in group)
            parts = bundled.network.loss(data.batch(np.arange(len(data)), None))
            losses.append(sum(float(value) for name, value in parts.items() if name not in ("lattice", "loss")))
    assert losses[0] < 25
    assert losses[0] < losses[1] - 3


def test_bundled_network_obeys_targets(bundled):
    """Wide gaps ask for anions, narrow ones for metals."""

    def share_of_anions(gap):
        wish = CrystalWish.of(max_atoms=20, targets={"band_gap": gap})
        drawn = bundled.sample_genes(96, wish, seed=1)
        return np.mean([bool({"O", "F", "Cl", "S", "Br"} & set(each.gene.counts)) for each in drawn])

    assert share_of_anions(5.0) > share_of_anions(0.0) + 0.4
