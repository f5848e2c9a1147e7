"""A learned energy of genes, about a millisecond each: it orders what is worth relaxing.

The network of wyckoff-gpt, fitted to potential energies instead of likelihoods: it sees space group, elements
and Wyckoff positions, no coordinates, and predicts the formation energy after relaxation. Knowing only known
(hence stable) materials it would call everything stable, so it is also fitted on hypothetical ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sozai.errors import UserError
from sozai.generators.base import Progress
from sozai.generators.train import device_of, train
from sozai.generators.wyckoff_gpt import tokens
from sozai.generators.wyckoff_gpt.network import MAX_TOKENS, WyckoffNetwork
from sozai.materials.wyckoff import Gene
from sozai.screening.hull import Hull, mean_element_energy


class EnergyNetwork(nn.Module):
    """The gene network with a head for the energy: location and log scale of a Laplace distribution."""

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

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Laplace negative log likelihood; the part reported is the mean absolute error in eV/atom."""
        location, log_scale = self(batch)
        error = (location - batch["energy"]).abs()
        loss = (error * torch.exp(-log_scale) + log_scale).mean()
        return loss, {"mean absolute error": float(error.mean().detach())}


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
        encoded = [(_encode(gene), energy) for gene, energy in rows]
        check = [(_encode(gene), energy) for gene, energy in held_out]

        def epoch(source: torch.Generator) -> Iterable[dict[str, Tensor]]:
            rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=source)))
            lengths = np.array([len(item[0][1]) for item in encoded]) + rng.random(len(encoded)) * 2
            order = np.argsort(lengths)
            pieces = [order[at : at + 128] for at in range(0, len(order), 128)]
            for place in rng.permutation(len(pieces)):
                yield _batch([encoded[index] for index in pieces[place]])

        def validation() -> Iterable[dict[str, Tensor]]:
            for at in range(0, len(check), 512):
                yield _batch(check[at : at + 512])

        log = train(
            network, epoch, validation, folder, epochs=epochs, learning_rate=1e-3, seed=seed, on_progress=on_progress
        )
        parts = log["epochs"][log["best_epoch"] - 1]
        ranker = cls(
            network,
            {
                "rows": len(rows),
                "held_out_mae": round(parts["mean absolute error"], 4),
                "seed": seed,
                "epochs": len(log["epochs"]),
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
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        state = {
            name: value.detach().cpu().to(torch.float16 if value.is_floating_point() else value.dtype).contiguous()
            for name, value in self.network.state_dict().items()
            if value.dtype != torch.bool
        }
        save_file(state, target / "weights.safetensors")
        settings = {"network": self.network.gene.settings, **self.settings, "weights": _hash(target)}
        (target / "settings.json").write_text(json.dumps(settings, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path | str | None = None, device: str = "auto") -> Self:
        """Read a saved ranker; without a folder, the one that ships with sozai.

        Raises:
            UserError: files are missing or damaged.
        """
        source = Path(str(files("sozai.screening") / "ranker_weights")) if folder is None else Path(folder)
        try:
            settings = json.loads((source / "settings.json").read_text())
            network = EnergyNetwork(WyckoffNetwork(**settings.pop("network")))
            state = {name: value.float() for name, value in load_file(source / "weights.safetensors").items()}
            missing, unexpected = network.load_state_dict(state, strict=False)
            if unexpected or any(not name.endswith("_mask") for name in missing):
                raise ValueError("the weights do not fit the settings")
            if settings.get("weights", _hash(source)) != _hash(source):
                raise ValueError("the weights are not those that the settings name")
        except (OSError, SafetensorError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise UserError(
                f"the ranker's weights cannot be read ({type(error).__name__})", str(source), "reinstall sozai"
            ) from error
        settings["weights"] = _hash(source)
        return cls(network.eval().to(device_of(device)), settings)


def _hash(folder: Path) -> str:
    return hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()


def _readable(gene: Gene) -> bool:
    return len(gene.sites) <= MAX_TOKENS - 2 and all(element in tokens.INDEX for element, _ in gene.sites)


def _encode(gene: Gene) -> tuple[int, np.ndarray]:
    """Equivalent choices of origin are one crystal and must get one energy."""
    return gene.space_group - 1, tokens.encode(gene.canonical)


def _batch(rows: Sequence[tuple[tuple[int, np.ndarray], float]]) -> dict[str, Tensor]:
    longest = max(len(sites) for (_, sites), _ in rows)
    sites = np.zeros((len(rows), longest, 4), dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=bool)
    for place, ((_, of_row), _) in enumerate(rows):
        sites[place, : len(of_row)] = of_row
        mask[place, : len(of_row)] = True
    return {
        "group": torch.tensor([group for (group, _), _ in rows]),
        "sites": torch.as_tensor(sites),
        "mask": torch.as_tensor(mask),
        "energy": torch.tensor([energy for _, energy in rows], dtype=torch.float32),
    }
