"""Tuning wyckoff-gpt by preferences between genes (DPO) or by rewards of genes it has drawn (GRPO).

The unit is a gene: space group, elements, Wyckoff positions. Two genes are compared under the conditions they share,
as a rule their formula, so that what is learned is how to arrange atoms and not which elements to avoid. Losses and
their fixed points are in ``objectives.preference``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sozai.generators.core import Learner, Player
from sozai.generators.objectives import preference
from sozai.generators.wyckoff_gpt import tokens
from sozai.generators.wyckoff_gpt.network import SCALARS, WyckoffNetwork
from sozai.materials.wyckoff import Gene

Shared = Literal["formula", "elements", "nothing"]
Pair = tuple[Gene, Gene]
"""The better and the worse."""
Scored = tuple[Gene, float]
"""A gene and its advantage over the others of its group."""


def shared(first: Gene, second: Gene) -> Shared:
    """What two genes have in common: the condition under which they are compared."""
    if set(first.counts) != set(second.counts):
        return "nothing"
    shares = [{name: n / gene.n_atoms for name, n in gene.counts.items()} for gene in (first, second)]
    same = all(math.isclose(share, shares[1][name]) for name, share in shares[0].items())
    return "formula" if same else "elements"


def gene_batch(genes: Sequence[Gene], known: Sequence[Shared]) -> dict[str, Tensor]:
    """Genes as the network reads them, each under its elements, its composition too, or neither."""
    sites = [tokens.encode(gene.canonical) for gene in genes]
    padded, mask = tokens.padded(sites)
    elements = np.full((len(genes), tokens.N_ELEMENTS), np.nan, dtype=np.float32)
    composition = elements.copy()
    for row, (of_row, what) in enumerate(zip(sites, known, strict=True)):
        amounts = np.zeros(tokens.N_ELEMENTS, dtype=np.float32)
        np.add.at(amounts, of_row[:, 0], of_row[:, 3])
        if what != "nothing":
            elements[row] = amounts > 0
        if what == "formula":
            composition[row] = 4 * amounts / amounts.sum()
    return {
        "group": torch.tensor([gene.space_group - 1 for gene in genes]),
        "sites": torch.as_tensor(padded),
        "mask": torch.as_tensor(mask),
        "elements": torch.as_tensor(elements),
        "composition": torch.as_tensor(composition),
        **{name: torch.full((len(genes),), math.nan) for name in SCALARS},
    }


class PreferenceRows:
    """Pairs, or scored genes, as the training loop wants them."""

    def __init__(self, rows: Sequence[Pair] | Sequence[Scored]):
        self.rows = list(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def _batch(self, places: Iterable[int]) -> dict[str, Tensor]:
        rows = [self.rows[place] for place in places]
        first = [row[0] for row in rows]
        if isinstance(rows[0][1], Gene):
            second = [row[1] for row in rows]
            known = [shared(*pair) for pair in zip(first, second, strict=True)]  # type: ignore[arg-type]
            sides = {"better": gene_batch(first, known), "worse": gene_batch(second, known)}  # type: ignore[arg-type]
            return {f"{side}:{name}": value for side, batch in sides.items() for name, value in batch.items()}
        return {
            **gene_batch(first, ["formula"] * len(rows)),
            "advantage": torch.tensor([row[1] for row in rows], dtype=torch.float32),
        }

    def epoch(self, source: torch.Generator, batch_size: int) -> Iterable[dict[str, Tensor]]:
        """Shuffled."""
        order = torch.randperm(len(self), generator=source).tolist()
        for at in range(0, len(self), batch_size):
            yield self._batch(order[at : at + batch_size])

    def in_order(self) -> Iterable[dict[str, Tensor]]:
        """512 at a time."""
        for at in range(0, len(self), 512):
            yield self._batch(range(at, min(at + 512, len(self))))

    def whole(self) -> dict[str, Tensor]:
        """All of them."""
        return self._batch(range(len(self)))


class Tuned(Learner):
    """A network that learns from preferences, and the frozen one that it started from.

    Args:
        network: fitted.
        beta: how closely it is held to where it started; smaller is further away.
        rate: peak learning rate.
    """

    def __init__(self, network: WyckoffNetwork, beta: float, rate: float):
        super().__init__()
        self.policy = copy.deepcopy(network).requires_grad_(True)
        self.reference = copy.deepcopy(network).requires_grad_(False)
        self.beta = beta
        self.players = (Player("policy", rate=rate),)

    def parameters_of(self, player: str) -> Iterable[torch.nn.Parameter]:
        """Of the policy alone."""
        return self.policy.parameters()

    def train(self, mode: bool = True) -> Tuned:
        """Dropout stays off: ratios of probabilities compare the same network before and after."""
        super().train(mode)
        self.policy.eval()
        self.reference.eval()
        return self

    def _log_ratio(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Log-probabilities now and before."""
        genes = dict(batch)
        with torch.no_grad():
            before = self.reference.log_prob(genes)
        return self.policy.log_prob(genes), before


class DirectPreference(Tuned):
    """DPO on pairs of genes (R. Rafailov et al. 2023, arXiv 2305.18290)."""

    def loss(self, batch: dict[str, Tensor], player: str = "policy") -> dict[str, Tensor]:
        """And the share of pairs that the implicit reward orders right."""
        sides = []
        for side in ("better", "worse"):
            rows = {name.removeprefix(f"{side}:"): value for name, value in batch.items() if name.startswith(side)}
            sides.append(self._log_ratio(rows))
        (better, better_before), (worse, worse_before) = sides
        loss = preference.dpo(better, worse, better_before, worse_before, self.beta).mean()
        ordered = ((better - better_before) > (worse - worse_before)).float().mean()
        return {"loss": loss, "ordered": ordered}


class GroupReward(Tuned):
    """GRPO on genes drawn once from the reference (Z. Shao et al. 2024, arXiv 2402.03300).

    Several updates on the same draws are what the clipping is for; fresh draws come with the next round.
    """

    def loss(self, batch: dict[str, Tensor], player: str = "policy") -> dict[str, Tensor]:
        """And the drift from the reference in nats (an estimate of the KL divergence)."""
        now, before = self._log_ratio(batch)
        gained = preference.clipped(now - before, batch["advantage"])
        drift = preference.drift(now, before)
        return {"loss": (gained + self.beta * drift).mean(), "drift": drift.mean()}


def drift_of(policy: WyckoffNetwork, reference: WyckoffNetwork, genes: Sequence[Gene]) -> float:
    """Mean absolute log-ratio of two networks (nats a gene) on genes for their formula.

    Genes are drawn colder than the network and under masks, so that the usual estimates of the KL divergence, which
    need fair draws, may come out below 0 or explode.
    """
    batch: dict[str, Any] = gene_batch(genes, ["formula"] * len(genes))
    with torch.no_grad():
        return float((policy.log_prob(batch) - reference.log_prob(batch)).abs().mean())
