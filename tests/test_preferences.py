"""Preferences: choices are kept, tuning does what it says, guards hold, and the judge can say no."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from sozai.cli.app import app
from sozai.design.preferences import choices as kept
from sozai.design.preferences.compare import Change
from sozai.design.preferences.energies import Drawn, draw
from sozai.design.preferences.run import tune
from sozai.design.preferences.tune import (
    LEAST_UNIQUE,
    advantages_of,
    formulas_for,
    pairs_of,
    tune_by_choices,
    tune_by_stability,
)
from sozai.errors import UserError
from sozai.generators.wyckoff_gpt.model import WyckoffGPT
from sozai.generators.wyckoff_gpt.preference import gene_batch, shared
from sozai.knowledge.crystals.wish import CrystalWish
from sozai.materials.wyckoff import Gene

SALT = Gene(225, (("Cl", "a"), ("Na", "b")))
CESIUM = Gene(221, (("Cl", "a"), ("Na", "b")))
BLENDE = Gene(216, (("Cl", "a"), ("Na", "c")))


@pytest.fixture(scope="module")
def generator():
    return WyckoffGPT.load(device="cpu")


def test_log_probabilities_of_single_genes_add_up_to_the_loss(generator):
    genes = [row.gene for row in generator.sample_genes(12, CrystalWish.of(max_atoms=10), seed=1)]
    batch = gene_batch(genes, ["nothing"] * len(genes))
    network = generator.network
    with torch.no_grad():
        each = network.log_prob(batch)
        parts = network.loss({**batch, "lattice": torch.zeros(12, 6), "lattice_mask": torch.zeros(12, 6)})
        alone = torch.stack([network.log_prob(gene_batch([gene], ["nothing"]))[0] for gene in genes])
    expected = -sum(parts[name] for name in ("space group", "element", "site symmetry", "enumeration"))
    assert float(each.mean()) == pytest.approx(float(expected), abs=1e-4)
    assert torch.allclose(each, alone, atol=1e-4)  # padding changes nothing


def test_what_two_genes_share():
    assert shared(SALT, BLENDE) == "formula"
    assert shared(SALT, Gene(225, (("Cl", "c"), ("Na", "a")))) == "elements"  # Na Cl2
    assert shared(SALT, Gene(225, (("F", "a"), ("Na", "b")))) == "nothing"


def test_choices_turn_the_order_of_what_was_chosen(generator):
    made = [kept.Choice(str(BLENDE), str(SALT), ("NaCl", "NaCl"))] * 20
    tuned, told = tune_by_choices(generator, made)
    batch = gene_batch([SALT, BLENDE], ["formula"] * 2)
    with torch.no_grad():
        before, after = generator.network.log_prob(batch), tuned.network.log_prob(batch)
    assert told.ordered == 1.0
    assert float((after - before)[1]) > float((after - before)[0]) + 0.05
    again, _ = tune_by_choices(generator, made)
    with torch.no_grad():
        assert torch.equal(again.network.log_prob(batch), after)  # same seed, same weights
        assert torch.equal(generator.network.log_prob(batch), before)  # the one it started from is not changed
    with pytest.raises(UserError, match="too few"):
        tune_by_choices(generator, made[:7])


def rows(*energies, formula="NaCl"):
    genes = [SALT, CESIUM, BLENDE]
    return [Drawn(formula, gene, None, energy) for gene, energy in zip(genes, energies, strict=True)]


def test_pairs_are_of_one_formula_and_surely_apart():
    found = pairs_of([*rows(-3.0, -2.98, -2.5), *rows(-9.0, math.nan, math.nan, formula="KCl")])
    assert found == [(SALT, BLENDE), (SALT, CESIUM), (SALT, BLENDE)]
    assert pairs_of(rows(math.nan, math.nan, math.nan)) == []
    advantage = dict(advantages_of(rows(-3.0, -2.5, math.nan)))
    assert advantage[SALT] > advantage[CESIUM] > advantage[BLENDE]  # what failed is worst
    assert sum(advantage.values()) == pytest.approx(0, abs=1e-6)


def test_formulas_to_judge_on_share_no_chemical_system_with_those_learned_from():
    from pymatgen.core import Composition

    learn, rest = formulas_for(40, 20, 12, 0)
    systems = [{frozenset(Composition(name).get_el_amt_dict()) for name in part} for part in (learn, rest)]
    assert len(learn) == 40 and len(rest) == 20
    assert not systems[0] & systems[1]
    assert all(2 <= len(system) <= 4 for part in systems for system in part)


def test_a_model_that_repeats_itself_is_taken_back(generator, monkeypatch):
    from sozai.design.preferences import tune as module

    def scored(drawn, *_, **__):  # the simplest cell is always best
        return [replace(row, energy=float(len(row.gene.sites))) for row in drawn]

    monkeypatch.setattr(module, "with_energies", scored)
    formulas = ["LiCoO2", "MgTiO3", "Li2ZnGe", "BaTiO3"]
    held, told = tune_by_stability(generator, formulas, rate=5e-2, max_atoms=10, rounds=2)
    assert not told[-1].kept and ("repeats" in told[-1].note or "drifted" in told[-1].note)
    assert held is generator and len(told) == 1
    gentle, told = tune_by_stability(generator, formulas, rate=2e-5, max_atoms=10, rounds=1, method="grpo")
    assert told[0].kept and told[0].unique >= LEAST_UNIQUE and gentle is not generator


def test_draws_say_why_they_have_no_crystal(generator):
    drawn = draw(generator, ["NaCl", "XeHe"], 4, 10, 0, distinct=True)
    assert {row.formula for row in drawn} == {"NaCl", "XeHe"}
    assert all((row.structure is None) == bool(row.reason) for row in drawn)
    assert all("oxidation state" in row.reason for row in drawn if row.formula == "XeHe")
    assert any(row.structure is not None for row in drawn)


def test_the_interval_of_a_change():
    clear = Change.of(np.full(20, -0.1) + np.linspace(-0.01, 0.01, 20))
    assert clear.high < 0
    unclear = Change.of(np.linspace(-0.1, 0.11, 20))
    assert unclear.low < 0 < unclear.high


def test_a_run_by_choices_from_the_command_line(tmp_path, generator):
    from pymatgen.core import Lattice, Structure

    salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    cesium = Structure(Lattice.cubic(3.4), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    records = [
        {"id": "c-1", "formula": "NaCl", "provenance": {"gene": str(SALT)}, "structure": salt.as_dict()},
        {"id": "c-2", "formula": "NaCl", "provenance": {}, "structure": cesium.as_dict()},
        {"id": "c-3", "formula": "NaCl", "provenance": {}, "structure": salt.as_dict()},
    ]
    (tmp_path / "result.json").write_text(json.dumps({"candidates": records}))
    runner = CliRunner()

    def run(*words):
        return runner.invoke(app, ["prefer", *map(str, words)], standalone_mode=False)

    assert run("choose", tmp_path, "--order", "c-2,c-1", "--why", "I like it").exception is None
    (choice,) = kept.recall(tmp_path / "choices.jsonl")
    assert choice.pair[0].canonical == CESIUM.canonical and choice.why == "I like it"
    for words, said in (
        (("choose", tmp_path, "--order", "c-1"), "no choice"),
        (("choose", tmp_path, "--order", "c-1,c-9"), "no candidate 'c-9'"),
        (("choose", tmp_path, "--order", "c-1,c-1"), "twice"),
        (("choose", tmp_path, "--order", "c-1,c-3"), "same arrangement"),
        (("choose", tmp_path / "none", "--order", "c-1,c-2"), "no candidates"),
        (("tune", "--out", tmp_path / "t"), "what to learn from"),
        (("tune", "--out", tmp_path / "t", "--choices", tmp_path / "choices.jsonl"), "too few"),
        (("tune", "--out", tmp_path / "t", "--stability", "--judge", "chgnet"), "rewarded itself"),
        (("tune", "--out", tmp_path / "t", "--stability", "--method", "ppo"), "no method"),
    ):
        fault = run(*words).exception
        assert isinstance(fault, UserError) and said in fault.sentence(), (words, fault)
    (tmp_path / "bad.jsonl").write_text('{"better": 1}\n')
    with pytest.raises(UserError, match="line 1"):
        kept.recall(tmp_path / "bad.jsonl")

    kept.remember(tmp_path / "choices.jsonl", [choice] * 7)
    result = tune(
        tmp_path / "tuned", choices=[tmp_path / "choices.jsonl"], each=2, held_out=2, max_atoms=4, processes=1
    )
    assert result["by"] == "choices" and result["comparison"]["judge"] == "sevennet-l3i5"
    assert "had no part in" in (tmp_path / "tuned" / "report.html").read_text()
    again = WyckoffGPT.load(tmp_path / "tuned" / "weights", device="cpu")
    assert again.settings["tuned_by"] == "choices"
