"""A learned energy of genes, about a millisecond each: it orders what is worth relaxing.

The network of wyckoff-gpt, fitted to potential energies instead of likelihoods: it sees space group, elements
and Wyckoff positions, no coordinates, and predicts the formation energy after relaxation. Knowing only known
(hence stable) materials it would call everything stable, so it is also fitted on hypothetical ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from sozai.generators import saved
from sozai.generators.base import Progress
from sozai.generators.core import Learner, Player
from sozai.generators.train import device_of, train
from sozai.generators.wyckoff_gpt import tokens
from sozai.generators.wyckoff_gpt.network import MAX_TOKENS, WyckoffNetwork
from sozai.materials.wyckoff import Gene
from sozai.screening.hull import Hull, mean_element_energy


class EnergyNetwork(Learner):
    """The gene network with a head for the energy: location and log scale of a Laplace distribution."""

    players = (Player(rate=1e-3, betas=(0.9, 0.98), weight_decay=0.05),)

    def __init__(self, gene: WyckoffNetwork):
        super().__init__()
        self.gene = gene
        width = int(gene.settings["width"])
        self.head = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, 2))

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Location (eV/atom) and log scale, each (batch,)."""
        mask = batch["mask"]
        states = self.gene.states(
            batch["group"], batch["sites"], mask, self.gene.conditions.null.sum(0).expand(len(mask), -1)
        )
        sites = states[:, 2:] * mask[..., None]
        weight = (batch["sites"][..., 3] * mask)[..., None]  # each site counts as often as it has atoms
        pooled = (sites * weight).sum(1) / weight.sum(1).clamp(min=1)
        last = states[torch.arange(len(mask), device=mask.device), 1 + mask.sum(1)]
        location, log_scale = self.head(torch.cat([pooled, last], dim=-1)).unbind(-1)
        return location, log_scale.clamp(-5, 2)

    def loss(self, batch: dict[str, Tensor], player: str = "model") -> dict[str, Tensor]:
        """Laplace negative log likelihood; the part reported is the mean absolute error in eV/atom."""
        location, log_scale = self(batch)
        error = (location - batch["energy"]).abs()
        loss = (error * torch.exp(-log_scale) + log_scale).mean()
        return {"loss": loss, "mean absolute error": error.mean()}


class Ranker:
    """Predicts energies above the hull of genes.

    Args:
        network: a fitted network.
        settings: what is kept beside the weights.
    """

    def __init__(self, network: EnergyNetwork, settings: Mapping[str, Any]):
        self.network = network
        self.settings = dict(settings)

    @classmethod
    def fit(
        cls,
        rows: Sequence[tuple[Gene, float]],
        start: WyckoffNetwork,
        folder: Path,
        held_out: Sequence[tuple[Gene, float]] = (),
        epochs: int = 30,
        seed: int = 0,
        on_progress: Progress | None = None,
        **settings: Any,
    ) -> Self:
        """Fit on (gene, formation energy by the potential in eV/atom), starting from a generator's network."""
        torch.manual_seed(seed)
        network = EnergyNetwork(start)
        if not held_out:
            order = np.random.default_rng(seed).permutation(len(rows))
            cut = max(1, len(rows) // 20)
            held_out = [rows[index] for index in order[:cut]]
            rows = [rows[index] for index in order[cut:]]
        training, check = GeneRows(rows), GeneRows(held_out)
        epoch = -(-len(rows) // 128)
        log = train(
            network, training, check, folder, steps=epochs * epoch, batch_size=128, every=epoch, ema=0.995,
            patience=12, warmup=200, seed=seed, on_progress=on_progress,
        )  # fmt: skip
        parts = log["rounds"][log["best_step"] // epoch - 1]["held_out"]
        ranker = cls(
            network,
            {
                "rows": len(rows),
                "held_out_mae": round(parts["mean absolute error"], 4),
                "seed": seed,
                "epochs": len(log["rounds"]),
                **settings,
            },
        )
        ranker.save(folder)
        return ranker

    def formation_energies(self, genes: Sequence[Gene]) -> np.ndarray:
        """Predicted formation energies after relaxation, eV/atom.

        NaN for what the network cannot read: genes of too many sites, or of elements beyond its table.
        """
        device = next(self.network.parameters()).device
        readable = [index for index, gene in enumerate(genes) if _readable(gene)]
        order = sorted(readable, key=lambda index: len(genes[index].sites))
        values = np.full(len(genes), np.nan)
        with torch.no_grad():
            for at in range(0, len(order), 256):
                rows = order[at : at + 256]
                batch = _batch([(_encode(genes[index]), 0.0) for index in rows])
                values[rows] = self.network({k: v.to(device) for k, v in batch.items()})[0].cpu().numpy()
        return values

    def above_hull(self, genes: Sequence[Gene], hull: Hull) -> np.ndarray:
        """Predicted energies above hull, eV/atom; NaN where the hull is unknown."""
        energies = self.formation_energies(genes)
        return np.array(
            [
                energy + mean_element_energy(gene.counts, hull.element_energies) - hull.hull_energy(gene.counts)
                for gene, energy in zip(genes, energies, strict=True)
            ]
        )

    def save(self, folder: Path | str) -> None:
        """Write ``weights.safetensors`` (half precision) and ``settings.json``."""
        saved.save(self.network, folder, {"network": self.network.gene.settings, **self.settings}, half=True)

    @classmethod
    def load(cls, folder: Path | str | None = None, device: str = "auto") -> Self:
        """Read a saved ranker; without a folder, the one that ships with sozai.

        Raises:
            UserError: files are missing or damaged.
        """
        source = Path(str(files("sozai.screening") / "ranker_weights")) if folder is None else Path(folder)
        network, settings = saved.load(
            source,
            lambda settings: EnergyNetwork(WyckoffNetwork(**settings.pop("network"))),
            "the ranker",
            "reinstall sozai",
        )
        return cls(network.to(device_of(device)), settings)


class GeneRows:
    """Genes with their energies, as the training loop wants them."""

    def __init__(self, rows: Sequence[tuple[Gene, float]]):
        self.rows = [(_encode(gene), energy) for gene, energy in rows]

    def epoch(self, source: torch.Generator, batch_size: int) -> Iterable[dict[str, Tensor]]:
        """All rows once, genes of like length together."""
        rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=source)))
        lengths = np.array([len(sites) for (_, sites), _ in self.rows]) + rng.random(len(self.rows)) * 2
        order = np.argsort(lengths)
        pieces = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
        for place in rng.permutation(len(pieces)):
            yield _batch([self.rows[index] for index in pieces[place]])

    def in_order(self) -> Iterable[dict[str, Tensor]]:
        """512 at a time."""
        for at in range(0, len(self.rows), 512):
            yield _batch(self.rows[at : at + 512])

    def whole(self) -> dict[str, Tensor]:
        """All rows at once."""
        return _batch(self.rows)


def _readable(gene: Gene) -> bool:
    return len(gene.sites) <= MAX_TOKENS - 2 and all(element in tokens.INDEX for element, _ in gene.sites)


def _encode(gene: Gene) -> tuple[int, np.ndarray]:
    """Equivalent choices of origin are one crystal and must get one energy."""
    return gene.space_group - 1, tokens.encode(gene.canonical)


def _batch(rows: Sequence[tuple[tuple[int, np.ndarray], float]]) -> dict[str, Tensor]:
    sites, mask = tokens.padded([of_row for (_, of_row), _ in rows])
    return {
        "group": torch.tensor([group for (group, _), _ in rows]),
        "sites": torch.as_tensor(sites),
        "mask": torch.as_tensor(mask),
        "energy": torch.tensor([energy for _, energy in rows], dtype=torch.float32),
    }
