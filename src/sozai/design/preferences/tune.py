"""Tuning wyckoff-gpt by choices, or by a reward that code verifies, within guards against reward hacking.

A model that learns from a reward finds what the reward overlooks: one arrangement for everything, the one composition
that the potential likes, an unphysical cell. Hence the guards: rewards are compared within a formula only, formulas of
a single element are not among them, what breaks a hard rule is worst, and a round after which the model repeats
itself or has drifted too far is taken back.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sozai.design.preferences.choices import Choice
from sozai.design.preferences.energies import Drawn, draw, genes_for, with_energies
from sozai.errors import UserError
from sozai.generators.objectives.preference import group_advantages
from sozai.generators.train import train
from sozai.generators.wyckoff_gpt.model import WyckoffGPT
from sozai.generators.wyckoff_gpt.network import WyckoffNetwork
from sozai.generators.wyckoff_gpt.preference import (
    DirectPreference,
    GroupReward,
    Pair,
    PreferenceRows,
    Scored,
    Tuned,
    drift_of,
)
from sozai.materials.known import known_materials

Method = Literal["dpo", "grpo"]
SURE = 0.05
"""eV/atom by which one arrangement must lie below another to be preferred: less is within the potential's error."""
FAILED = 0.3
"""eV/atom above the worst of its group at which a crystal counts that breaks a hard rule or does not relax."""
LEAST_UNIQUE = 0.8
"""Share of distinct draws, of what it was before, below which a round is taken back."""
MOST_DRIFT = 20.0
"""Nats a gene from where it started, above which a round is taken back. Measured without the planner's masks: most of
it is probability moved among genes that the masks forbid (12 where distinct draws are 90% of before)."""
BATCH, EPOCHS = 32, 6
HELD_OUT = 0.2
"""Share of the formulas that early stopping watches: who knows the pairs by heart has learned nothing."""
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Round:
    """What one round of tuning did.

    Attributes:
        number: from 1.
        crystals: drawn and judged by the reward.
        failed: of them without energy.
        learned: pairs, or scored genes.
        ordered: share of the pairs of held-out formulas that the tuned model orders right; ``None`` where there are
            none (GRPO, few choices).
        unique: share of distinct draws after the round, as a multiple of the share before tuning.
        drift: nats a gene.
        kept: whether it passed the guards.
        note: why not.
    """

    number: int
    crystals: int
    failed: int
    learned: int
    ordered: float | None
    unique: float
    drift: float
    kept: bool
    note: str = ""


def formulas_for(count: int, held_out: int, max_atoms: int, seed: int) -> tuple[list[str], list[str]]:
    """Formulas to learn from and formulas to be judged on, of two to four elements, no chemical system in both.

    They are drawn from the library of known materials: its compositions are known to hold crystals.
    """
    table = known_materials().table
    small = table[(table["n_atoms"] <= max_atoms) & (table["n_atoms"] >= 4)]
    rng = np.random.default_rng(seed)
    by_system: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for formula, sites in zip(small["formula"], small["sites"], strict=True):
        elements = tuple(sorted({site.split("@")[0] for site in sites.split(" ")}))
        if 2 <= len(elements) <= 4:
            by_system[elements].append(formula)
    systems = sorted(by_system)
    order = rng.permutation(len(systems))
    names = [by_system[systems[place]][int(rng.integers(len(by_system[systems[place]])))] for place in order]
    return names[:count], names[count : count + held_out]


def tune_by_choices(
    generator: WyckoffGPT,
    choices: Sequence[Choice],
    *,
    beta: float = 0.1,
    rate: float = 1e-4,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> tuple[WyckoffGPT, Round]:
    """DPO on a person's choices.

    Args:
        generator: fitted; it is not changed.
        choices: see ``choices.recall``.

    Raises:
        UserError: fewer than 8: nothing can be learned from so few.
    """
    if len(choices) < 8:
        raise UserError(
            f"{len(choices)} choices are too few to learn from", "choices", "make 8 or more with 'sozai prefer choose'"
        )
    pairs: list[Pair] = [choice.pair for choice in choices]
    core = DirectPreference(generator.fitted(), beta, rate)
    cut = int(HELD_OUT * len(pairs)) if len(pairs) >= 20 else 0
    ordered = _learn(core, pairs[cut:], pairs[:cut], seed, on_progress)
    tuned = _with(generator, core.policy, {"tuned_by": "choices", "choices": len(choices), "beta": beta})
    probe = sorted({choice.formulas[0] for choice in choices})[:16]
    unique, drift = _guards(generator, tuned, probe, generator.settings["max_atoms"], seed)
    return tuned, Round(1, 0, 0, len(pairs), ordered, unique, drift, True)


def tune_by_stability(
    generator: WyckoffGPT,
    formulas: Sequence[str],
    *,
    method: Method = "dpo",
    rounds: int = 2,
    each: int = 8,
    potential: str = "chgnet",
    beta: float = 0.1,
    rate: float = 1e-4,
    max_atoms: int = 20,
    seed: int = 0,
    minutes: float = math.inf,
    folder: Path | None = None,
    processes: int | None = None,
    on_progress: Progress | None = None,
) -> tuple[WyckoffGPT, list[Round]]:
    """Draw arrangements for formulas, relax them by a potential, and prefer those of lower energy.

    After PLaID++ (arXiv 2509.07150), smaller: pairs are of one formula, the policy is held to a frozen copy.

    Args:
        generator: fitted; it is not changed.
        formulas: to draw for.
        method: ``"dpo"`` (the best of a formula against the others) or ``"grpo"`` (advantages within a formula).
        rounds: draws are made anew with the tuned model in each.
        each: genes a formula.
        potential: that rewards; judge by another one.
        beta: how closely the model is held to where the round started.
        minutes: no round is begun after so many; a round cut short learns from what was relaxed.
        folder: keeps finished relaxations, so that an interrupted run can go on.

    Returns:
        The tuned generator (the last round that passed the guards), and what each round did.
    """
    deadline = time.monotonic() + 60 * minutes
    start, best, told = generator, generator, []
    for number in range(1, rounds + 1):
        if time.monotonic() > deadline:
            break
        drawn = draw(best, formulas, each, max_atoms, seed + 10_000 * number, distinct=True)
        journal = None if folder is None else folder / f"energies_{potential}.jsonl"
        scored = with_energies(drawn, potential, journal, deadline, processes, on_progress)
        cut = max(1, int(HELD_OUT * len(formulas)))
        core, (rows, watched) = _learner(best.fitted(), method, scored, set(formulas[:cut]), beta, rate)
        if not rows:
            raise UserError(
                "no two arrangements of a formula differ in energy enough to learn from", "formulas", "draw for more"
            )
        ordered = _learn(core, rows, watched, seed, on_progress)
        card = {"tuned_by": "stability", "potential": potential, "method": method, "rounds": number, "beta": beta}
        tuned = _with(generator, core.policy, card)
        unique, drift = _guards(start, tuned, formulas[:16], max_atoms, seed)
        note = ""
        if unique < LEAST_UNIQUE:
            note = f"it repeats itself: {unique:.0%} as many distinct draws as before"
        elif drift > MOST_DRIFT:
            note = f"it has drifted {drift:.1f} nats a gene from where it started"
        failed = sum(not math.isfinite(row.energy) for row in scored)
        told.append(Round(number, len(scored), failed, len(rows), ordered, unique, drift, not note, note))
        if note:
            break
        best = tuned
    return best, told


def pairs_of(scored: Sequence[Drawn]) -> list[Pair]:
    """The best arrangement of each formula against each that lies surely above it, or failed."""
    pairs: list[Pair] = []
    for rows in _by_formula(scored):
        best = min(rows, key=lambda row: row.energy if math.isfinite(row.energy) else math.inf)
        if math.isfinite(best.energy):
            pairs += [(best.gene, row.gene) for row in rows if not row.energy <= best.energy + SURE]
    return pairs


def advantages_of(scored: Sequence[Drawn]) -> list[Scored]:
    """Each gene with its advantage within its formula (see ``objectives.preference.group_advantages``)."""
    import torch

    found: list[Scored] = []
    for rows in _by_formula(scored):
        energies = np.array([row.energy for row in rows])
        finite = np.isfinite(energies)
        if finite.sum() < 2 or np.ptp(energies[finite]) < SURE:
            continue
        rewards = -np.where(finite, energies, energies[finite].max() + FAILED)
        advantage = group_advantages(torch.tensor(rewards)[None])[0].tolist()
        found += [(row.gene, value) for row, value in zip(rows, advantage, strict=True)]
    return found


def _by_formula(scored: Sequence[Drawn]) -> list[list[Drawn]]:
    groups: dict[str, list[Drawn]] = defaultdict(list)
    for row in scored:
        groups[row.formula].append(row)
    return [rows for rows in groups.values() if len(rows) > 1]


def _learner(
    network: WyckoffNetwork, method: Method, scored: Sequence[Drawn], watched: Set[str], beta: float, rate: float
) -> tuple[Tuned, list[Any]]:
    """What learns, and the rows to learn from and to watch, which are of other formulas."""
    core = (DirectPreference if method == "dpo" else GroupReward)(network, beta, rate)
    rows_of = pairs_of if method == "dpo" else advantages_of
    return core, [rows_of([row for row in scored if (row.formula in watched) is side]) for side in (False, True)]


def _learn(
    core: Tuned,
    rows: Sequence[Pair] | Sequence[Scored],
    watched: Sequence[Pair] | Sequence[Scored],
    seed: int,
    on_progress: Progress | None = None,
) -> float | None:
    """Train until the watched rows are served best, and the share of watched pairs that are then ordered right."""
    data, held_out = PreferenceRows(rows), PreferenceRows(watched) if watched else None
    epoch = -(-len(data) // BATCH)
    every = max(1, epoch // 4)
    train(
        core, data, held_out, steps=EPOCHS * epoch, batch_size=BATCH, every=every, patience=6, ema=0.0, warmup=epoch,
        seed=seed, device=str(core.device), on_progress=on_progress,
    )  # fmt: skip
    found = {} if held_out is None else core.held_out_loss(held_out.whole())
    return float(found["ordered"]) if "ordered" in found else None


def _with(generator: WyckoffGPT, network: WyckoffNetwork, card: dict[str, Any]) -> WyckoffGPT:
    settings = {**generator.settings, **card}
    return WyckoffGPT(network.eval(), settings, generator.temperature, generator.guidance)


def _guards(
    before: WyckoffGPT, after: WyckoffGPT, formulas: Sequence[str], max_atoms: int, seed: int
) -> tuple[float, float]:
    """Share of distinct draws, as a multiple of before, and the drift, on these formulas."""
    genes = {
        name: [each.gene for _, each in genes_for(model, formulas, 16, max_atoms, seed, distinct=False)]
        for name, model in (("before", before), ("after", after))
    }
    shares = {name: len({gene.canonical for gene in found}) / max(1, len(found)) for name, found in genes.items()}
    drift = drift_of(after.fitted(), before.fitted(), genes["after"]) if genes["after"] else 0.0
    return shares["after"] / max(shares["before"], 1e-9), drift
