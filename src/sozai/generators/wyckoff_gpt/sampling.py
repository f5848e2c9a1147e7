"""Drawing genes: the network's probabilities under the planner's masks, steered by guidance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sozai.generators.wyckoff_gpt import tokens
from sozai.generators.wyckoff_gpt.network import SCALARS, WyckoffNetwork, scale
from sozai.generators.wyckoff_gpt.planner import Planner, State, WishPlanner
from sozai.knowledge.crystals.wish import CrystalWish
from sozai.materials.wyckoff import Gene


@dataclass(frozen=True)
class DrawnGene:
    """A gene with what the network says about it.

    Attributes:
        log_probability: natural logarithm of its probability under the masked, tempered distribution.
        volume_per_atom: predicted, cubic angstrom.
    """

    gene: Gene
    log_probability: float
    volume_per_atom: float


def draw(
    network: WyckoffNetwork,
    plan: WishPlanner,
    count: int,
    rng: torch.Generator,
    temperature: float = 1.0,
    guidance: float = 2.0,
    units_prior: Mapping[int, float] | None = None,
) -> list[DrawnGene]:
    """One batch of genes that fulfil the plan's wish (crystals that miss a least fraction are left out).

    Args:
        temperature: 1 keeps the learned distribution; lower is more typical.
        guidance: weight w of classifier-free guidance for targets, ``(1 + w) log p(x|target) - w log p(x)``
            (arXiv 2207.12598); no effect without targets.
        units_prior: weight of each number of formula units, for formula wishes.
    """
    device = next(network.parameters()).device
    wish = plan.wish
    exact = _exact_conditions(wish, count, device)
    conditions = dict(exact)
    for name, value in wish.targets.items():
        conditions[name] = torch.full((count,), float(scale(name, value)), device=device)
    guided = bool(wish.targets) and guidance > 0
    with torch.no_grad():
        given = network.conditions(conditions)
        null = network.conditions(exact) if guided else None

        def blend(of_branches: list[Tensor]) -> Tensor:
            """Log probabilities under guidance and temperature, from the logits of each branch."""
            logits = of_branches[0].log_softmax(-1)
            if guided:
                logits = (1 + guidance) * logits - guidance * of_branches[1].log_softmax(-1)
                logits = torch.nan_to_num(logits, nan=-math.inf)  # impossible in both: -inf minus -inf
            return (logits / temperature).log_softmax(-1)

        branches = (given, null)

        def states(group: Tensor | None, sites: Tensor, mask: Tensor, rows: Tensor) -> list[Tensor]:
            return [network.states(group, sites, mask, branch[rows]) for branch in branches if branch is not None]

        everyone = torch.arange(count, device=device)
        empty = torch.zeros(count, 0, 4, dtype=torch.long, device=device)
        no_mask = torch.zeros(count, 0, dtype=torch.bool, device=device)
        first = states(None, empty, no_mask, everyone)
        logits = blend([network.to_group(h[:, 0]) for h in first])
        allowed = torch.zeros(230, dtype=torch.bool, device=device)
        allowed[[number - 1 for number in plan.planners]] = True
        group, log_probability = _choose(logits.masked_fill(~allowed, -math.inf), rng)
        picked = [_pick_planner(plan.planners[int(g) + 1], rng, units_prior) for g in group]
        planners = [planner for planner, _ in picked]
        log_probability += torch.tensor([log_p for _, log_p in picked], device=device)
        progress: list[State] = [planner.start for planner in planners]
        sites = torch.zeros(count, 0, 4, dtype=torch.long, device=device)
        mask = torch.zeros(count, 0, dtype=torch.bool, device=device)
        active = everyone
        volume = torch.zeros(count, device=device)
        while len(active):
            rows = active
            hidden = [h[:, -1] for h in states(group[rows], sites[rows], mask[rows], rows)]
            options = [planners[row].next_elements(progress[row]) for row in rows.tolist()]
            allowed = torch.zeros(len(rows), tokens.N_ELEMENTS + 1, dtype=torch.bool)
            for place, (row, option) in enumerate(zip(rows.tolist(), options, strict=True)):
                allowed[place, list(option)] = True
                allowed[place, tokens.STOP] = planners[row].may_stop(progress[row])
            logits = blend([network.to_element(h) for h in hidden])
            element, log_p = _choose(logits.masked_fill(~allowed.to(device), -math.inf), rng)
            log_probability[rows] += log_p
            ended = element == tokens.STOP
            if ended.any():
                weight, mean, _ = network.lattice_mixture(hidden[0][ended])
                volume[rows[ended]] = (weight.exp() * mean[..., 0]).sum(-1)
            go_on = (~ended).nonzero()[:, 0]
            active = rows[go_on]
            if not len(active):
                break
            hidden, element = [h[go_on] for h in hidden], element[go_on]
            kept = [options[place] for place in go_on.tolist()]
            letters = [option[int(e)] for option, e in zip(kept, element, strict=True)]
            of_group = group[active]
            symmetry_mask, enumeration_mask = _position_masks(letters, of_group)
            logits = blend([network.symmetry_logits(h, element, of_group) for h in hidden])
            symmetry, log_p = _choose(logits.masked_fill(~symmetry_mask.to(device), -math.inf), rng)
            log_probability[active] += log_p
            logits = blend([network.enumeration_logits(h, element, symmetry, of_group) for h in hidden])
            within = enumeration_mask[torch.arange(len(active)), symmetry.cpu()].to(device)
            enumeration, log_p = _choose(logits.masked_fill(~within, -math.inf), rng)
            log_probability[active] += log_p
            new = torch.zeros(count, 1, 4, dtype=torch.long, device=device)
            taken = torch.zeros(count, 1, dtype=torch.bool, device=device)
            for place, row in enumerate(active.tolist()):
                planner = planners[row]
                key = (int(symmetry[place]), int(enumeration[place]))
                letter = next(index for index in letters[place] if planner.table[index][1:3] == key)
                progress[row] = planner.step(progress[row], planner.place[int(element[place])], letter)
                new[row, 0] = torch.tensor([int(element[place]), *key, planner.table[letter][3]])
                taken[row, 0] = True
            sites, mask = torch.cat([sites, new], dim=1), torch.cat([mask, taken], dim=1)
    drawn = []
    for row in range(count):
        of_row = sites[row][mask[row]].tolist()
        gene = tokens.decode(int(group[row]) + 1, of_row)
        if wish.composition_fault(gene.counts) is None:
            volume_per_atom = float(tokens.decode_volume(volume[row].cpu().numpy()))
            drawn.append(DrawnGene(gene, float(log_probability[row]), volume_per_atom))
    return drawn


def _exact_conditions(wish: CrystalWish, count: int, device: torch.device) -> dict[str, Tensor]:
    """Conditions that the network was trained to know and the wish fixes; the others NaN."""
    nan = torch.full((count,), math.nan, device=device)
    values = {name: nan for name in SCALARS}
    values["elements"] = torch.full((count, tokens.N_ELEMENTS), math.nan, device=device)
    values["composition"] = values["elements"]
    if wish.min_atoms == wish.max_atoms:
        values["n_atoms"] = torch.full((count,), float(scale("n_atoms", wish.max_atoms)), device=device)
    present = wish.formula or wish.elements
    if present:
        vector = np.zeros(tokens.N_ELEMENTS, dtype=np.float32)
        vector[[tokens.INDEX[symbol] for symbol in present]] = 1
        values["elements"] = torch.tensor(vector, device=device).expand(count, -1)
    if wish.formula:
        vector = np.zeros(tokens.N_ELEMENTS, dtype=np.float32)
        total = sum(wish.formula.values())
        for symbol, number in wish.formula.items():
            vector[tokens.INDEX[symbol]] = 4 * number / total
        values["composition"] = torch.tensor(vector, device=device).expand(count, -1)
    return values


def _choose(log_weights: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """One index a row by its weight, and its log probability."""
    log_p = log_weights.log_softmax(-1)
    # All mass on masked entries cannot happen by the planner's word; numerically flat rows still must work.
    log_p = torch.where(torch.isnan(log_p), torch.where(torch.isinf(log_weights), -math.inf, 0.0), log_p)
    chosen = torch.multinomial(log_p.exp().cpu(), 1, generator=rng)[:, 0].to(log_p.device)
    return chosen, log_p.gather(1, chosen[:, None])[:, 0]


def _pick_planner(
    planners: list[Planner], rng: torch.Generator, prior: Mapping[int, float] | None
) -> tuple[Planner, float]:
    """One of the numbers of formula units that fit the space group, and its log probability."""
    if len(planners) == 1:
        return planners[0], 0.0
    weights = torch.tensor([(prior or {}).get(math.gcd(*planner.start.left), 0.05) for planner in planners])
    chosen = int(torch.multinomial(weights, 1, generator=rng))
    return planners[chosen], math.log(weights[chosen] / weights.sum())


def _position_masks(letters: list[list[int]], group: Tensor) -> tuple[Tensor, Tensor]:
    """Allowed site symmetries (rows, S) and enumerations (rows, S, E)."""
    within = torch.zeros(len(letters), len(tokens.site_symmetries()), tokens.n_enumerations(), dtype=torch.bool)
    for place, (options, number) in enumerate(zip(letters, group.tolist(), strict=True)):
        table = tokens.letter_table(number + 1)
        for index in options:
            within[place, table[index][1], table[index][2]] = True
    return within.any(-1), within
