"""The network of wyckoff-gpt: what it sees, what it predicts, its loss."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sozai.generators.core import Learner, Player
from sozai.generators.networks.transformer import Transformer
from sozai.generators.wyckoff_gpt import tokens

SCALARS = {
    # name: (centre, width) that bring a target to order one; energies above hull count on a log scale
    "energy_above_hull": (0.0, 1.0),
    "formation_energy": (-1.4, 1.1),
    "band_gap": (0.8, 1.5),
    "bulk_modulus": (100.0, 75.0),
    "n_atoms": (9.0, 5.0),
}
TARGETS = ("energy_above_hull", "formation_energy", "band_gap", "bulk_modulus")
MAX_TOKENS = 66


def scale(name: str, value: Any) -> Any:
    """A condition's value as the network sees it."""
    if name == "energy_above_hull":
        return (np.log10(np.maximum(value, 0.0) + 0.005) + 1.6) / 0.6
    centre, width = SCALARS[name]
    return (value - centre) / width


class Conditions(nn.Module):
    """One vector from any subset of conditions; what is not given has its own learned null vector.

    The null indicator makes classifier-free guidance possible (J. Ho and T. Salimans, arXiv 2207.12598).
    """

    def __init__(self, width: int):
        super().__init__()
        self.scalars = nn.ModuleDict(
            {name: nn.Sequential(nn.Linear(1, width), nn.SiLU(), nn.Linear(width, width)) for name in SCALARS}
        )
        self.elements = nn.Linear(tokens.N_ELEMENTS, width)
        self.composition = nn.Linear(tokens.N_ELEMENTS, width)
        self.null = nn.Parameter(torch.zeros(len(SCALARS) + 2, width))

    def forward(self, values: dict[str, Tensor]) -> Tensor:
        """values: scaled scalars (batch,), ``elements`` and ``composition`` (batch, 103); NaN means not given."""
        total = torch.zeros((), device=self.null.device)
        for place, name in enumerate((*SCALARS, "elements", "composition")):
            value = values[name]
            value = value[:, None] if value.dim() == 1 else value
            given = ~torch.isnan(value[:, :1])
            embedded = (self.scalars[name] if name in SCALARS else getattr(self, name))(torch.nan_to_num(value))
            total = total + torch.where(given, embedded, self.null[place])
        return total


class WyckoffNetwork(Learner):
    """Decoder-only transformer over [start, space group, site, site, ...] with cascaded heads.

    The state after the start token predicts the space group; after the space group and after each site it
    predicts the next element or STOP, then (given the element) its site symmetry, then its enumeration. The
    state after the last site also predicts the lattice as a mixture of Gaussians.
    """

    players = (Player(rate=2e-3, betas=(0.9, 0.98), weight_decay=0.05),)
    _group_table: Tensor
    _element_table: Tensor
    _symmetry_mask: Tensor
    _enumeration_mask: Tensor

    def __init__(self, width: int = 128, layers: int = 4, heads: int = 4, dropout: float = 0.1, mixtures: int = 4):
        super().__init__()
        self.settings = {"width": width, "layers": layers, "heads": heads, "dropout": dropout, "mixtures": mixtures}
        n_symmetries, n_enumerations = len(tokens.site_symmetries()), tokens.n_enumerations()
        self.mixtures = mixtures
        self.start = nn.Parameter(torch.randn(width) * 0.02)
        self.place = nn.Embedding(MAX_TOKENS, width)
        self.group = nn.Embedding(230, width)
        self.group_features = nn.Linear(tokens.space_group_features().shape[1], width)
        self.element = nn.Embedding(tokens.N_ELEMENTS, width)
        self.element_features = nn.Linear(tokens.element_features().shape[1], width)
        self.symmetry = nn.Embedding(n_symmetries, width)
        self.enumeration = nn.Embedding(n_enumerations, width)
        self.counts = nn.Linear(4, width)
        self.conditions = Conditions(width)
        self.transformer = Transformer(width, layers, heads, dropout)
        self.to_group = nn.Linear(width, 230)
        self.to_element = nn.Linear(width, tokens.N_ELEMENTS + 1)
        self.to_symmetry = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, n_symmetries))
        self.to_enumeration = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, n_enumerations))
        self.to_lattice = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, mixtures * (1 + 2 * tokens.LATTICE_SIZE))
        )
        for embedding in (self.place, self.group, self.element, self.symmetry, self.enumeration):
            nn.init.normal_(embedding.weight, std=0.05)
        allowed, within = tokens.symmetry_masks()
        # Kept with the weights: what the network learned on must not change with a library's version.
        self.register_buffer("_group_table", torch.tensor(tokens.space_group_features()))
        self.register_buffer("_element_table", torch.tensor(tokens.element_features()))
        self.register_buffer("_symmetry_mask", torch.tensor(allowed), persistent=False)
        self.register_buffer("_enumeration_mask", torch.tensor(within), persistent=False)

    def embed_element(self, element: Tensor) -> Tensor:
        """Learned embedding plus known chemistry of the element."""
        return self.element(element) + self.element_features(self._element_table[element])

    def states(self, group: Tensor | None, sites: Tensor, mask: Tensor, condition: Tensor) -> Tensor:
        """Hidden states.

        Args:
            group: (batch,) space group - 1, or None for the start token alone.
            sites: (batch, n, 4) encoded sites, padded with zeros.
            mask: (batch, n) true for real sites.
            condition: (batch, width) from ``conditions``.

        Returns:
            (batch, 2 + n, width), or (batch, 1, width) without a group.
        """
        batch = condition.shape[0]
        x = self.start.expand(batch, 1, -1)
        real = torch.ones(batch, 1, dtype=torch.bool, device=condition.device)
        if group is not None:
            of_group = (self.group(group) + self.group_features(self._group_table[group]))[:, None]
            element, symmetry, enumeration, multiplicity = sites.unbind(-1)
            cumulative = (multiplicity * mask).cumsum(1)
            numbers = torch.stack(
                [
                    multiplicity / 8,
                    multiplicity.clamp(min=1).log2() / 4,
                    cumulative / 20,
                    cumulative.clamp(min=1).log2() / 5,
                ],
                dim=-1,
            )
            of_sites = (
                self.embed_element(element) + self.symmetry(symmetry) + self.enumeration(enumeration)
            ) + self.counts(numbers)
            x = torch.cat([x, of_group, of_sites + of_group], dim=1)
            real = torch.cat([real, real, mask], dim=1)
        x = x + self.place.weight[: x.shape[1]]
        return self.transformer(x, condition, real)

    def symmetry_logits(self, state: Tensor, element: Tensor, group: Tensor) -> Tensor:
        """Logits over site symmetries given the chosen element; impossible ones are -inf."""
        logits = self.to_symmetry(state + self.embed_element(element))
        return logits.masked_fill(~self._symmetry_mask[group], -math.inf)

    def enumeration_logits(self, state: Tensor, element: Tensor, symmetry: Tensor, group: Tensor) -> Tensor:
        """Logits over enumerations given element and site symmetry; impossible ones are -inf."""
        logits = self.to_enumeration(state + self.embed_element(element) + self.symmetry(symmetry))
        return logits.masked_fill(~self._enumeration_mask[group, symmetry], -math.inf)

    def lattice_mixture(self, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log weights (batch, k), means and log widths (batch, k, 6) of the lattice numbers."""
        raw = self.to_lattice(state).view(*state.shape[:-1], self.mixtures, 1 + 2 * tokens.LATTICE_SIZE)
        weight, mean, log_width = raw.split([1, tokens.LATTICE_SIZE, tokens.LATTICE_SIZE], dim=-1)
        return weight.squeeze(-1).log_softmax(-1), mean, log_width.clamp(-4.5, 2.0)

    def gene_surprise(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """Surprise (nats) at each gene of a batch, by part, each ``(batch,)``; and the state after the last site.

        The batch is that of ``loss``; its lattices are not looked at.
        """
        group, sites, mask = batch["group"], batch["sites"], batch["mask"]
        states = self.states(group, sites, mask, self.conditions(batch))
        size = group.shape[0]

        lengths = mask.sum(1)
        targets = torch.where(mask, sites[..., 0], 0)
        targets = torch.cat([targets, torch.zeros_like(targets[:, :1])], dim=1)
        targets = targets.scatter(1, lengths[:, None], tokens.STOP)
        steps = torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1)  # n sites and the stop

        def by_row(logits: Tensor, target: Tensor, places: Tensor) -> Tensor:
            surprise = F.cross_entropy(logits, target, reduction="none")
            rows = torch.arange(size, device=group.device)[:, None].expand_as(places)[places]
            return torch.zeros(size, device=group.device, dtype=surprise.dtype).index_add(0, rows, surprise)

        before, chosen = states[:, 1:-1][mask], sites[mask]
        groups = group[:, None].expand_as(mask)[mask]
        symmetry_logits = self.symmetry_logits(before, chosen[:, 0], groups)
        enumeration_logits = self.enumeration_logits(before, chosen[:, 0], chosen[:, 1], groups)
        parts = {
            "space group": F.cross_entropy(self.to_group(states[:, 0]), group, reduction="none"),
            "element": by_row(self.to_element(states[:, 1:])[steps], targets[steps], steps),
            "site symmetry": by_row(symmetry_logits, chosen[:, 1], mask),
            "enumeration": by_row(enumeration_logits, chosen[:, 2], mask),
        }
        return parts, states[torch.arange(size, device=group.device), 1 + lengths]

    def log_prob(self, batch: dict[str, Tensor]) -> Tensor:
        """Log-probability (nats) of each gene of a batch under its conditions, ``(batch,)``; without masks."""
        parts, _ = self.gene_surprise(batch)
        return -torch.stack(list(parts.values())).sum(0)

    def loss(self, batch: dict[str, Tensor], player: str = "model") -> dict[str, Tensor]:
        """Negative log likelihood in nats a crystal, and its parts.

        The batch holds ``group`` (b,), ``sites`` (b, n, 4), ``mask`` (b, n), ``lattice`` and ``lattice_mask``
        (b, 6), and the conditions (already dropped out: NaN).
        """
        of_genes, last = self.gene_surprise(batch)
        parts = {name: surprise.mean() for name, surprise in of_genes.items()}
        weight, mean, log_width = self.lattice_mixture(last)
        error = (batch["lattice"][:, None] - mean) / log_width.exp()
        density = -0.5 * error**2 - log_width - 0.5 * math.log(2 * math.pi)
        density = (density * batch["lattice_mask"][:, None]).sum(-1)
        parts["lattice"] = -torch.logsumexp(weight + density, dim=1).mean()
        weights = {"lattice": 0.3}
        total = torch.stack([weights.get(name, 1.0) * part for name, part in parts.items()]).sum()
        return {"loss": total, **parts}
