"""Rules for crystals: chemistry, geometry, symmetry, supply, the rule file and the wish it becomes."""

import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pymatgen.core import Composition, Lattice, Structure

from sozai import UserError
from sozai.knowledge.crystals import chemistry, supply
from sozai.knowledge.crystals.contacts import component_dimensions, find_contacts
from sozai.knowledge.crystals.elements import atomic_numbers, element_table
from sozai.knowledge.crystals.rulefile import PARAMETERS
from sozai.knowledge.crystals.ruleset import COMPOSITION_RULES, CrystalRules
from sozai.knowledge.crystals.wish import SYMBOLS, CrystalWish, parse_formula
from sozai.materials.known import known_materials

RULES = CrystalRules.load()
ROCK_SALT = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
PEROVSKITE = Structure(
    Lattice.cubic(3.905), ["Sr", "Ti", "O", "O", "O"],
    [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
)  # fmt: skip
WURTZITE = Structure.from_spacegroup(
    "P6_3mc", Lattice.hexagonal(3.25, 5.21), ["Zn", "O"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.382]]
)
GRAPHITE = Structure.from_spacegroup(
    "P6_3/mmc", Lattice.hexagonal(2.46, 6.71), ["C", "C"], [[0, 0, 0.25], [1 / 3, 2 / 3, 0.25]]
)
EXAMPLES = {"rock salt": ROCK_SALT, "perovskite": PEROVSKITE, "wurtzite": WURTZITE, "graphite": GRAPHITE}


def verdicts(structure, wish=None, level="fast", rules=RULES):
    return {verdict.rule: verdict for verdict in rules.check(structure, wish, level)}


def write(tmp_path, text):
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    return path


# ---- chemistry


counts_of = st.dictionaries(st.sampled_from(SYMBOLS[:96]), st.integers(1, 12), min_size=1, max_size=5)


@settings(max_examples=150, deadline=None)
@given(counts_of, st.sampled_from([(1, "low"), (3, "medium"), (2, "high"), (1, 2.5)]), st.booleans())
def test_our_smact_is_smact(counts, setting, pauling):
    from smact.screening import ICSD24FilterConfig, smact_validity

    consensus, commonality = setting
    states = chemistry.oxidation_states(consensus, commonality)
    assume(np.prod([len(states.get(symbol, "1")) for symbol in counts]) < 20_000)
    theirs = smact_validity(
        Composition(counts),
        use_pauling_test=pauling,
        icsd_filter=ICSD24FilterConfig(consensus=consensus, commonality=commonality),
    )
    assert chemistry.smact_valid(counts, consensus, commonality, pauling) == theirs


def test_our_smact_is_smact_on_known_materials():
    from smact.screening import ICSD24FilterConfig, smact_validity

    strict = ICSD24FilterConfig(consensus=1, commonality="low")
    formulas = sorted(set(known_materials().table["formula"]))
    chosen = np.random.default_rng(0).choice(formulas, 2000, replace=False)
    different = [
        formula
        for formula in chosen
        if chemistry.smact_valid(parse_formula(formula)) != smact_validity(formula, icsd_filter=strict)
    ]
    assert different == []


@settings(max_examples=150, deadline=None)
@given(counts_of)
def test_the_two_verdicts_together_are_smact(counts):
    assume(all(element_table()[symbol].electronegativity for symbol in counts))
    neutral, order = chemistry.charge_neutral(counts), chemistry.electronegativity_order(counts)
    assert neutral.passed == chemistry.smact_valid(counts, pauling=False)
    assert bool(neutral.passed and order.passed) == chemistry.smact_valid(counts)
    assert (neutral.amount > 0) == (neutral.passed is False)
    assert (order.passed is None) == (neutral.passed is False and not chemistry.is_alloy(counts))


@settings(max_examples=200, deadline=None)
@given(counts_of)
def test_the_states_that_are_told_are_neutral_and_in_order(counts):
    states = chemistry.likely_states(counts)
    assert (states is not None) == (chemistry.smact_valid(counts) and not chemistry.is_alloy(counts))
    if states is None:
        return
    assert sum(states[symbol] * number for symbol, number in counts.items()) == 0
    scale = {symbol: element_table()[symbol].electronegativity for symbol in counts}
    cations = [scale[symbol] for symbol in counts if states[symbol] > 0]
    assert max(cations) < min(scale[symbol] for symbol in counts if states[symbol] < 0)
    known = chemistry.oxidation_states()
    assert all(states[symbol] in known[symbol] for symbol in counts)


def test_a_formula_that_explodes_is_judged_at_once():
    counts = dict.fromkeys(["Ru", "Os", "Re", "Mn", "Mo", "W", "N", "P", "Cl", "S", "Si", "Ge", "As", "Sb"], 7)
    combinations = np.prod([len(chemistry.oxidation_states()[symbol]) for symbol in counts], dtype=float)
    assert combinations > 1e11
    start = time.perf_counter()
    chemistry.charge_neutral(counts)
    chemistry.electronegativity_order({**counts, "Fe": 64})
    assert time.perf_counter() - start < 2


def test_charge_verdicts_in_words():
    assert "Li+1 P+5 S-2" in chemistry.charge_neutral({"Li": 3, "P": 1, "S": 4}).message
    assert "consensus=1" in chemistry.charge_neutral({"Li": 3, "P": 1, "S": 4}).message
    off = chemistry.charge_neutral({"Cs": 1, "F": 3})
    assert off.passed is False and off.fatal and off.unit == "e/atom" and off.amount == pytest.approx(0.5)
    assert "against the order" in chemistry.charge_neutral({"Na": 3, "Cl": 1}).message
    assert "Fe+4 and O-3 are rare" in chemistry.charge_neutral({"Fe": 3, "O": 4}).message
    assert "rare" not in chemistry.charge_neutral({"Fe": 2, "O": 3}).message
    assert chemistry.charge_neutral({"Cu": 3, "Au": 1}).message == "metallic alloy: exempt."
    assert chemistry.charge_neutral({"Li": 3, "Mg": 1}, exempt_alloys=False).passed is False
    assert "He" in chemistry.charge_neutral({"He": 1, "O": 1}).message
    reverse = chemistry.electronegativity_order({"Pd": 1, "Si": 1})
    assert reverse.passed is False and reverse.amount == pytest.approx(0.3)
    assert chemistry.electronegativity_order({"Pm": 2, "O": 3}).passed is None


# ---- invariance


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(EXAMPLES)), st.integers(0, 10**6))
def test_verdicts_do_not_depend_on_the_description(name, seed):
    rng = np.random.default_rng(seed)
    original = EXAMPLES[name]
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    order = rng.permutation(len(original))
    same = Structure(
        original.lattice.matrix @ rotation,
        [original.species[k] for k in order],
        (original.frac_coords + rng.random(3))[order],
    )
    same.make_supercell([int(n) for n in rng.integers(1, 3, size=3)])
    wish = CrystalWish.of(space_group=[int(n) for n in rng.choice(230, 5) + 1] + [221, 225], max_atoms=4)
    before, after = verdicts(original, wish), verdicts(same, wish)
    for rule in before:
        assert before[rule].passed == after[rule].passed, rule
        assert before[rule].amount == pytest.approx(after[rule].amount, abs=1e-6), rule


# ---- geometry


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(EXAMPLES)))
def test_a_shrinking_crystal_fails_and_keeps_failing(name):
    passed = []
    for scale in np.linspace(1.0, 0.4, 13):
        shrunk = EXAMPLES[name].copy()
        shrunk.lattice = Lattice(shrunk.lattice.matrix * scale)
        verdict = verdicts(shrunk)["interatomic_distances"]
        passed.append(verdict.passed)
        assert (verdict.amount > 0) == (verdict.passed is False)
    assert passed[0] is True and passed[-1] is False
    assert passed == sorted(passed, reverse=True)


def test_distance_limits_by_pair():
    def apart(one, other, distance):
        cell = Structure(Lattice.cubic(8), [one, other], [[0, 0, 0], [distance / 8, 0, 0]])
        return verdicts(cell)["interatomic_distances"]

    assert apart("O", "O", 1.21).passed and apart("O", "O", 1.10).passed is False
    assert apart("N", "N", 1.10).passed and apart("C", "C", 1.10).passed is False
    assert apart("U", "O", 1.80).passed is False and apart("U", "O", 1.85).passed
    close = apart("Na", "Cl", 1.50)
    assert close.amount == pytest.approx(0.7 * (1.66 + 1.02) - 1.50) and "1.50 angstrom apart" in close.message
    assert apart("Na", "Cl", 0.0).passed is False


def test_a_pair_limit_beyond_the_bonds_is_seen(tmp_path):
    rules = CrystalRules.load(write(tmp_path, "rules: {interatomic_distances: {pairs: {Na-Na: 7.5}}}"))
    cell = Structure(Lattice.cubic(7.4), ["Na"], [[0, 0, 0]])
    assert verdicts(cell, rules=rules)["interatomic_distances"].amount == pytest.approx(0.1)
    assert rules.settings["interatomic_distances"]["pairs"]["O-O"] == 1.15


def test_volume_fails_on_both_sides():
    for scale, word in ((0.8, "small"), (1.4, "large")):
        changed = ROCK_SALT.copy()
        changed.lattice = Lattice.cubic(5.64 * scale)
        verdict = verdicts(changed)["volume_per_atom"]
        assert verdict.passed is False and word in verdict.message and verdict.amount > 0


@pytest.mark.parametrize(("name", "dimension"), [("rock salt", 3), ("wurtzite", 3), ("graphite", 2)])
def test_dimension_of_known_structures(name, dimension, tmp_path):
    assert f"(dimension {dimension})" in verdicts(EXAMPLES[name])["dimensionality"].message
    only = CrystalRules.load(write(tmp_path, "rules: {dimensionality: {allowed: [0], severity: hard}}"))
    verdict = verdicts(EXAMPLES[name], rules=only)["dimensionality"]
    assert verdict.fatal and verdict.amount == dimension


def test_molecules_and_chains_are_told():
    molecules = Structure(Lattice.cubic(5), ["N", "N"], [[0, 0, 0], [0.22, 0, 0]])
    assert verdicts(molecules)["dimensionality"].passed is False
    chain = Structure(Lattice.orthorhombic(1.3, 6, 6), ["C"], [[0, 0, 0]])
    assert "(dimension 1)" in verdicts(chain)["dimensionality"].message


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.floats(3.0, 7.0))
def test_dimension_agrees_with_pymatgen(seed, atoms, length):
    from pymatgen.analysis.dimensionality import get_dimensionality_larsen
    from pymatgen.analysis.graphs import StructureGraph

    rng = np.random.default_rng(seed)
    structure = Structure(Lattice(np.diag(rng.uniform(2, length, 3))), ["C"] * atoms, rng.random((atoms, 3)))
    contacts = find_contacts(structure, atomic_numbers(structure))
    bonds = contacts.bonded()
    graph = StructureGraph.from_empty_graph(structure)
    for i, j, image in zip(contacts.first[bonds], contacts.second[bonds], contacts.images[bonds], strict=True):
        graph.add_edge(int(i), int(j), to_jimage=tuple(int(n) for n in image), warn_duplicates=False)
    assert max(component_dimensions(contacts, bonds)) == get_dimensionality_larsen(graph)


def test_contacts_agree_with_pymatgen():
    for structure in EXAMPLES.values():
        contacts = find_contacts(structure, atomic_numbers(structure))
        theirs = structure.get_neighbor_list(contacts.cutoff)
        assert np.allclose(np.sort(contacts.distances), np.sort(theirs[3])) and contacts.complete


def test_a_skewed_or_collapsed_cell_neither_hangs_nor_passes():
    skewed = ROCK_SALT.copy()
    skewed.make_supercell([[1, 0, 0], [40, 1, 0], [300, 70, 1]])
    start = time.perf_counter()
    assert verdicts(skewed)["interatomic_distances"].passed is True
    collapsed = Structure(Lattice.cubic(0.05), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert verdicts(collapsed)["interatomic_distances"].fatal and verdicts(collapsed)["volume_per_atom"].fatal
    flat = Structure(Lattice(np.diag([5, 5, 1e-9])), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert verdicts(flat)["volume_per_atom"].fatal
    assert time.perf_counter() - start < 5


# ---- bonds


def test_bond_valence_sums():
    told = verdicts(PEROVSKITE)["bond_valence"]
    assert told.passed and "Bond-valence" in told.message
    stretched = PEROVSKITE.copy()
    stretched.lattice = Lattice.cubic(5.2)
    verdict = verdicts(stretched)["bond_valence"]
    assert verdict.passed is False and verdict.severity == "soft" and not verdict.fatal and verdict.amount > 0
    assert verdicts(GRAPHITE)["bond_valence"].passed is None


def test_coordination_only_at_the_full_level():
    assert "coordination" not in verdicts(ROCK_SALT)
    assert "Na+1 6-fold" in verdicts(ROCK_SALT, level="full")["coordination"].message
    dense = Structure(Lattice.cubic(2.9), ["Ti", "O", "O"], [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5]])
    crowded = Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.2), ["Mg", "O"], [[0, 0, 0], [0.25, 0.25, 0.25]])
    for structure in (dense, crowded):  # whatever the verdict, it is a sentence and not a traceback
        assert verdicts(structure, level="full")["coordination"].message
    lonely = Structure(Lattice.cubic(9), ["Si", "O", "O"], [[0, 0, 0], [0.18, 0, 0], [0.5, 0.5, 0.5]])
    assert verdicts(lonely, level="full")["coordination"].passed is not True


# ---- the wish


def test_space_group_and_its_tolerance(tmp_path):
    wish = CrystalWish.of(space_group=225)
    assert verdicts(ROCK_SALT, wish)["space_group"].passed
    assert "0.1 angstrom" in verdicts(ROCK_SALT, wish)["space_group"].message
    lower = verdicts(ROCK_SALT, CrystalWish.of(space_group=62))["space_group"]
    assert lower.fatal and "225 (Fm-3m)" in lower.message and "62" in lower.message
    moved = ROCK_SALT.copy()
    moved.translate_sites([0], [0.002, 0.001, 0.001])
    assert verdicts(moved, wish)["space_group"].passed
    tight = CrystalRules.load(write(tmp_path, "rules: {space_group: {tolerance: 0.001}}"))
    assert verdicts(moved, wish, rules=tight)["space_group"].fatal
    overlapping = Structure(Lattice.cubic(4), ["Na", "Na"], [[0, 0, 0], [0, 0, 0]])
    assert verdicts(overlapping, wish)["space_group"].fatal


def test_atoms_are_counted_in_the_primitive_cell():
    assert verdicts(ROCK_SALT, CrystalWish.of(max_atoms=2))["number_of_atoms"].passed
    assert verdicts(ROCK_SALT, CrystalWish.of(min_atoms=3))["number_of_atoms"].amount == 1
    many = verdicts(PEROVSKITE, CrystalWish.of(max_atoms=4))["number_of_atoms"]
    assert many.fatal and "more than 4" in many.message
    assert verdicts(ROCK_SALT)["number_of_atoms"].passed is None


@pytest.mark.parametrize(
    ("conditions", "passed"),
    [
        ({"elements": "Na,Cl"}, True),
        ({"elements": "Na,Cl,O"}, False),
        ({"elements": "Na"}, False),
        ({"allowed": "Na,K,Cl"}, True),
        ({"allowed": "K,Cl"}, False),
        ({"required": "Na"}, True),
        ({"required": "K"}, False),
        ({"forbidden": "Pb"}, True),
        ({"forbidden": "Cl"}, False),
        ({"formula": "Na2Cl2"}, True),
        ({"formula": "Na2Cl"}, False),
        ({"at_least": {"Na": 0.5}}, True),
        ({"at_least": {"Na": 0.6}}, False),
    ],
)
def test_composition_wishes(conditions, passed):
    verdict = verdicts(ROCK_SALT, CrystalWish.of(**conditions))["composition"]
    assert verdict.passed is passed and (verdict.amount > 0) == (not passed)


# ---- supply


@pytest.mark.parametrize("formula", ["LiFePO4", "NdFe14B", "Pt3Co"])
def test_supply_numbers_are_those_of_pymatgen(formula):
    from pymatgen.analysis.cost import CostAnalyzer, CostDBElements
    from pymatgen.analysis.hhi import HHIModel

    counts = parse_formula(formula)
    production, reserve = HHIModel().get_hhi(formula)
    verdict = supply.scarcity(counts, limit_production=production - 10, limit_reserve=1e9)
    assert verdict.amount == pytest.approx(10, abs=1)
    assert supply.scarcity(counts, limit_production=1e9, limit_reserve=reserve - 10).amount == pytest.approx(10, abs=1)
    price = CostAnalyzer(CostDBElements()).get_cost_per_kg(formula)
    assert supply.element_cost(counts, limit=0).amount == pytest.approx(price, rel=1e-3)
    assert supply.element_cost(counts, limit=price * 1.01).passed


def test_radioactivity_and_noble_gases_can_forbid(tmp_path):
    counts = {"U": 1, "O": 2}
    soft = {v.rule: v for v in RULES.check_composition(counts)}["radioactivity"]
    assert soft.passed is False and not soft.fatal and soft.amount == pytest.approx(1 / 3)
    assert "U" not in RULES.wish().forbidden and {"He", "Ne", "Ar"} <= RULES.wish().forbidden
    rules = CrystalRules.load(write(tmp_path, "rules: {radioactivity: hard, noble_gases: off}"))
    assert {"U", "Tc", "Pm"} <= rules.wish().forbidden and "He" not in rules.wish().forbidden
    assert "Bi" not in rules.wish().forbidden
    assert "noble_gases" not in {v.rule for v in rules.check_composition(counts)}
    with pytest.raises(UserError, match=r"needs U, which the rule 'radioactivity' forbids.*soft"):
        rules.merge({"formula": "UO2"})


# ---- the rule file


def test_one_file_for_wish_and_check(tmp_path):
    text = """
    wish: {elements: [Sr, Ti, O], space_group: 221, max_atoms: 5, min_atoms: 5, targets: {band_gap: 2}}
    rules:
      charge_neutrality: {severity: soft, consensus: 3}
      volume_per_atom: off
    """
    rules = CrystalRules.load(write(tmp_path, text))
    wish = rules.wish()
    assert wish.elements == {"Sr", "Ti", "O"} and wish.space_groups == (221,) and wish.targets == {"band_gap": 2}
    assert all(verdicts(PEROVSKITE, rules=rules)[name].passed for name in ("composition", "space_group"))
    assert {v.rule for v in rules.check(ROCK_SALT) if v.fatal} == {"composition", "number_of_atoms", "space_group"}
    assert "volume_per_atom" not in verdicts(PEROVSKITE, rules=rules)
    assert "consensus=3" in verdicts(PEROVSKITE, rules=rules)["charge_neutrality"].message
    assert rules.settings["interatomic_distances"] == RULES.settings["interatomic_distances"]
    assert rules.hash != RULES.hash == CrystalRules.load().hash
    assert rules.to_dict()["wish"]["max_atoms"] == 5


def test_a_file_without_a_number_of_atoms_sets_no_limit(tmp_path):
    rules = CrystalRules.load(write(tmp_path, "wish: {required: Na}"))
    big = ROCK_SALT.copy()
    big.replace(0, "K")
    big.make_supercell([2, 2, 2])
    assert verdicts(big, rules=rules)["number_of_atoms"].passed
    assert rules.wish().max_atoms == 20


def test_words_that_yaml_takes_for_booleans(tmp_path):
    rules = CrystalRules.load(write(tmp_path, "wish: {allowed: [N, O, No, Y]}\nrules: {scarcity: {severity: off}}"))
    assert rules.wish().allowed == {"N", "O", "No", "Y"} and rules.settings["scarcity"]["severity"] == "off"


def test_a_written_out_rule_set_reads_back(tmp_path):
    import yaml

    again = CrystalRules.load(write(tmp_path, yaml.safe_dump(RULES.to_dict())))
    assert again.hash == RULES.hash


MISTAKES = {
    "rules: {charge_neutralty: {severity: hard}}": r"no rule 'charge_neutralty'; did you mean 'charge_neutrality'",
    "rules: {volume_per_atom: {lo: 1}}": r"rule 'volume_per_atom': it has no parameter 'lo'; did you mean 'low'",
    "rules: {volume_per_atom: {severity: hrad}}": r"'hrad' is no severity; did you mean 'hard'",
    "rules: {volume_per_atom: {low: much}}": r"'low: much' is not allowed; low takes a number from 0 to 10",
    "rules: {volume_per_atom: {low: 3}}": r"low \(3\) is not below high",
    "rules: {volume_per_atom: {low: true}}": r"low takes a number",
    "rules: {volume_per_atom: {low: .nan}}": r"low takes a number",
    "rules: {charge_neutrality: {commonality: lots}}": r"low, medium, high, or a number",
    "rules: {charge_neutrality: {consensus: -1}}": r"whole number from 1",
    "rules: {charge_neutrality: {exempt_alloys: 1}}": r"true or false",
    "rules: {interatomic_distances: {pairs: {O-Xx: 1}}}": r"by pair, such as",
    "rules: {interatomic_distances: {pairs: 3}}": r"by pair, such as",
    "rules: {dimensionality: {allowed: [5]}}": r"dimensions out of 0, 1, 2, 3",
    "rules: {noble_gases: {elements: [Hx]}}": r"element symbols",
    "rules: {noble_gases: 3}": r"no severity or parameters",
    "rules: [a]": r"'rules' is not",
    "rule: {}": r"'rule' is no part of a rule file; did you mean 'rules'",
    "wish: {element: Li}": r"no condition 'element'; did you mean 'elements'",
    "wish: {elements: [Li, Qq]}": r"'Qq' is not an element",
    "wish: {elements: 3}": r"elements takes a list",
    "wish: {max_atoms: many}": r"max_atoms takes a whole number",
    "wish: {min_atoms: -4}": r"least number of 1",
    "wish: {space_group: 231}": r"space group 231 does not exist",
    "wish: {space_group: Pnma}": r"numbers from 1 to 230",
    "wish: {at_least: {Li: 2}}": r"least atomic fractions",
    "wish: {at_least: Li}": r"numbers by name",
    "wish: {formula: [Li]}": r"a formula such as",
    "wish: {targets: {gap: 1}}": r"'gap' is not a property",
    "wish: {required: Li, forbidden: Li}": r"forbids it",
    "wish: {required: He}": r"rule 'noble_gases' forbids",
    "wish: [1]": r"not a list of conditions",
    "rules:\n  a: 1\n  a: 2": r"line 3: the rule file cannot be read: 'a' stands twice",
    "rules: {a: [1": r"line \d+: the rule file cannot be read",
    "just words": r"no 'wish' or 'rules' part",
    "- 1": r"no 'wish' or 'rules' part",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_in_a_rule_file_are_told(text, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=MISTAKES[text]) as caught:
        CrystalRules.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="no such rule file"):
        CrystalRules.load(tmp_path / "missing.yaml")
    with pytest.raises(UserError, match="cannot be read"):
        CrystalRules.load(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(UserError, match="cannot be read"):
        CrystalRules.load(tmp_path / "binary.yaml")
    (tmp_path / "empty.yaml").write_text("")
    assert CrystalRules.load(tmp_path / "empty.yaml").settings == RULES.settings


def test_merging_wishes(tmp_path):
    rules = CrystalRules.load(
        write(tmp_path, "wish: {allowed: [Li, P, S, O], forbidden: [Pb], max_atoms: 40, at_least: {Li: 0.2}}")
    )
    merged = rules.merge(CrystalWish.of(allowed="Li,S,Na", at_least={"Li": 0.3}, space_group=[1, 2]))
    assert merged.allowed == {"Li", "S"} and merged.at_least == {"Li": 0.3} and merged.space_groups == (1, 2)
    assert merged.max_atoms == 40 and {"Pb", "He"} <= merged.forbidden
    assert rules.merge({"max_atoms": 20}).max_atoms == 20
    assert rules.merge({"max_atoms": 50, "min_atoms": 3}).max_atoms == 40
    with pytest.raises(UserError, match="forbids it at the same time"):
        rules.merge({"required": "Na"})
    with pytest.raises(UserError, match="did you mean 'elements'"):
        rules.merge({"element": "Li"})
    grouped = CrystalRules.load(write(tmp_path, "wish: {space_group: [62, 225], elements: Li-S}"))
    assert grouped.merge({"space_group": [225, 2]}).space_groups == (225,)
    with pytest.raises(UserError, match="no space group in common"):
        grouped.merge({"space_group": 2})
    with pytest.raises(UserError, match="different elements"):
        grouped.merge({"elements": "Na-S"})


# ---- what cannot be judged


def test_bad_structures_are_told(tmp_path):
    disordered = Structure(Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]])
    with pytest.raises(UserError, match=r"site 1 is disordered"):
        RULES.check(disordered)
    with pytest.raises(UserError, match=r"site 1 is disordered"):
        RULES.check(Structure(Lattice.cubic(4), [{"Na": 0.9}], [[0, 0, 0]]))
    with pytest.raises(UserError, match=r"no atoms"):
        RULES.check(Structure(Lattice.cubic(4), [], []))
    with pytest.raises(UserError, match=r"no level 'ful'.*did you mean 'full'"):
        RULES.check(ROCK_SALT, level="ful")
    broken = Structure(Lattice.cubic(4), ["Na"], [[np.nan, 0, 0]])
    assert verdicts(broken)["interatomic_distances"].fatal
    assert Structure(Lattice.cubic(4), ["D"], [[0, 0, 0]])[0].specie.Z == 1
    assert verdicts(Structure(Lattice.cubic(2), ["D"], [[0, 0, 0]]))["noble_gases"].passed


def test_every_rule_has_a_default_a_source_and_an_order():
    assert list(RULES.settings) == list(PARAMETERS)
    for name, setting in RULES.settings.items():
        assert setting["severity"] in ("hard", "soft") and setting["source"]
        assert set(setting) == {"severity", "source", *PARAMETERS[name]}
    assert [v.rule for v in RULES.check(ROCK_SALT, level="full")] == list(PARAMETERS)
    assert set(COMPOSITION_RULES) <= set(PARAMETERS)
    assert {v.severity for v in RULES.check(ROCK_SALT)} == {"hard", "soft"}


# ---- known materials


@pytest.fixture(scope="module")
def known():
    library = known_materials()
    rows = np.random.default_rng(1).permutation(len(library))[:600]
    return [library.structure(int(row)) for row in rows]


def test_few_known_materials_break_a_law_of_geometry(known):
    judged = [verdicts(structure) for structure in known]
    for rule, most in {
        "interatomic_distances": 0.02, "volume_per_atom": 0.02, "charge_neutrality": 0.08, "bond_valence": 0.08,
    }.items():  # fmt: skip
        share = np.mean([verdict[rule].passed is False for verdict in judged])
        assert share < most, rule


def test_atoms_at_random_places_are_caught(known):
    rng = np.random.default_rng(0)
    crowded = [structure for structure in known if len(structure) >= 6][:100]
    caught = [
        verdicts(Structure(s.lattice, s.species, rng.random((len(s), 3))))["interatomic_distances"].fatal
        for s in crowded
    ]
    assert np.mean(caught) > 0.9


def test_rules_are_fast(known):
    RULES.check(known[0])
    start = time.process_time()
    for structure in known:
        RULES.check(structure)
    assert (time.process_time() - start) / len(known) < 0.01
    formulas = [structure.composition.get_el_amt_dict() for structure in known]
    counts = [{symbol: int(number) for symbol, number in amounts.items()} for amounts in formulas]
    start = time.process_time()
    for item in counts:
        chemistry.smact_valid(item)
    assert (time.process_time() - start) / len(counts) < 0.001
