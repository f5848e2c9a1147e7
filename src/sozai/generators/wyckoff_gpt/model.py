"""wyckoff-gpt: the generator around the network (fit, sample, save, load)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from sozai.errors import UserError
from sozai.generators import saved
from sozai.generators.base import Generator, Progress
from sozai.generators.realize import realize_many
from sozai.generators.symmetry_check import keeps_symmetry
from sozai.generators.train import device_of, train
from sozai.generators.wyckoff_gpt.dataset import WyckoffDataset
from sozai.generators.wyckoff_gpt.network import MAX_TOKENS, WyckoffNetwork
from sozai.generators.wyckoff_gpt.planner import WishPlanner
from sozai.generators.wyckoff_gpt.sampling import DrawnGene, draw
from sozai.knowledge.crystals.wish import CrystalWish
from sozai.materials.crystal import Crystal
from sozai.materials.known import reduced_formula
from sozai.materials.wyckoff import WyckoffCrystal

BATCH = 256
HEADS = 4
MAX_ATOMS = MAX_TOKENS - 2
"""Largest cell the network has places for: each atom may be a site of its own."""
BOLDEST = 1.2
"""Temperature up to which a narrow wish is drawn."""
PATIENCE = 6
"""Batches without a new gene after which a narrow wish counts as exhausted."""


class WyckoffGPT(Generator):
    """Autoregressive transformer over Wyckoff sites.

    It draws a gene (space group, elements on Wyckoff positions) token by token under hard masks, then gives
    it coordinates and a cell from the nearest known material on the same positions, or random ones.
    After WyFormer (N. Kazeev et al., ICML 2025, arXiv 2503.02407) and CrystalFormer (Z. Cao et al.,
    arXiv 2403.15734).

    Args:
        network: a fitted network, or ``None`` to be fitted.
        settings: what ``save`` keeps beside the weights: known elements, largest cell, card of the data.
        temperature: 1 keeps the learned distribution; below it, crystals are more typical and more often stable.
        guidance: weight of classifier-free guidance for targets.
    """

    name = "wyckoff-gpt"

    def __init__(
        self,
        network: WyckoffNetwork | None = None,
        settings: Mapping[str, Any] | None = None,
        temperature: float = 0.7,
        guidance: float = 2.0,
    ):
        if not temperature > 0:
            raise UserError(f"the temperature is {temperature}", "temperature", "give a number above 0, such as 1")
        self.network = network
        self.settings = dict(settings or {})
        self.temperature = temperature
        self.guidance = guidance

    def fit(
        self,
        data: Iterable[tuple[WyckoffCrystal, dict[str, Any]]],
        on_progress: Progress | None = None,
        *,
        folder: Path | str = "run/wyckoff-gpt",
        max_atoms: int = 20,
        epochs: int = 60,
        batch_size: int = 128,
        width: int = 128,
        layers: int = 3,
        dropout: float = 0.15,
        learning_rate: float = 2e-3,
        held_out: float = 0.05,
        seed: int = 0,
        device: str = "auto",
        max_time: float | str = float("inf"),
        card: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> Self:
        """Train on Wyckoff forms with their properties; goes on from the checkpoint in ``folder``.

        Args:
            data: ``(crystal, properties)``; properties are keys of ``knowledge.crystals.wish.TARGETS``.
            held_out: share of the rows kept for early stopping.

        Raises:
            UserError: too few crystals to learn from, a width that does not fit, or a loss that is not finite.
            KeyboardInterrupt: stopped before the first epoch ended, so that nothing was learned.
        """
        if width < HEADS or width % HEADS:
            raise UserError(f"the width {width} is not a multiple of {HEADS}", "width", "use one such as 128")
        rows = [(crystal, properties) for crystal, properties in data if crystal.gene.n_atoms <= max_atoms]
        if len(rows) < 50:
            raise UserError(
                f"only {len(rows)} crystals of up to {max_atoms} atoms to learn from",
                "training data",
                "give at least 50, or use --generator substitution, which needs no training",
            )
        dataset = WyckoffDataset.from_crystals(rows)
        order = np.random.default_rng(seed).permutation(len(dataset))
        cut = max(10, int(held_out * len(dataset)))
        validation, training = dataset.subset(order[:cut]), dataset.subset(order[cut:])
        torch.manual_seed(seed)
        self.network = WyckoffNetwork(width=width, layers=layers, heads=HEADS, dropout=dropout)
        self.network.players = (replace(self.network.players[0], rate=learning_rate),)
        epoch = -(-len(training) // batch_size)
        log = train(
            self.network,
            training,
            validation,
            folder,
            steps=epochs * epoch,
            batch_size=batch_size,
            every=epoch,
            ema=0.995,
            patience=12,
            warmup=200,
            seed=seed,
            device=device,
            max_time=max_time,
            on_progress=on_progress,
        )
        if not log["rounds"]:
            raise KeyboardInterrupt
        elements = sorted({site.element for crystal, _ in rows for site in crystal.sites})
        units: dict[int, float] = {}
        for crystal, _ in rows:
            divisor = int(np.gcd.reduce(list(crystal.gene.counts.values())))
            units[divisor] = units.get(divisor, 0) + 1 / len(rows)
        self.settings = {
            "elements": elements,
            "max_atoms": max_atoms,
            "units": {str(key): round(value, 5) for key, value in sorted(units.items())},
            "crystals": len(rows),
            "seed": seed,
            "epochs": len(log["rounds"]),
            "best_epoch": log["best_step"] // epoch,
            "held_out_nats": log["best_held_out"],
            "seconds": round(log["seconds"]),
            "interrupted": log["interrupted"],
            **(card or {}),
        }
        self.save(folder)
        return self

    def sample_genes(
        self,
        count: int,
        given: CrystalWish | None = None,
        seed: int = 0,
        distinct: bool = True,
        on_progress: Progress | None = None,
    ) -> list[DrawnGene]:
        """Draw genes; with ``distinct`` no crystal twice (nor under another origin), and fewer when a wish runs out.

        A narrow wish soon repeats itself: a batch of mostly repetitions makes the next one bolder (its
        temperature rises by 15%, up to 1.2).

        Raises:
            UserError: the wish cannot be met, or asks for larger cells than the network can write.
        """
        network = self.fitted()
        wish = given or CrystalWish.of(max_atoms=self.settings["max_atoms"])
        if wish.max_atoms > MAX_ATOMS:
            raise UserError(
                f"wyckoff-gpt writes cells of up to {MAX_ATOMS} atoms, not {wish.max_atoms}",
                "number of atoms",
                f"allow {MAX_ATOMS} at most (it has learned from cells of up to {self.settings['max_atoms']})",
            )
        plan = WishPlanner(wish, frozenset(self.settings["elements"]))
        rng = torch.Generator().manual_seed(seed)
        prior = {int(units): weight for units, weight in self.settings.get("units", {}).items()}
        drawn: list[DrawnGene] = []
        seen: set = set()
        idle, temperature = 0, self.temperature
        while len(drawn) < count and idle < PATIENCE:
            batch = draw(network, plan, min(BATCH, max(32, count)), rng, temperature, self.guidance, prior)
            before = len(drawn)
            for gene in batch:
                if not distinct or gene.gene.canonical not in seen:
                    seen.add(gene.gene.canonical)
                    drawn.append(gene)
            new = len(drawn) - before
            idle = 0 if new else idle + 1
            if distinct and 2 * new < len(batch):
                temperature = max(self.temperature, min(1.15 * temperature, BOLDEST))
            if on_progress:
                on_progress(min(len(drawn), count), count, "genes")
        if count > 0 and not drawn:  # only least fractions are left to luck
            raise UserError(
                "no crystal drawn holds "
                + " and ".join(f"{share:.0%} {symbol}" for symbol, share in wish.at_least.items()),
                "at_least",
                "ask for less, allow more atoms, or name a formula",
            )
        return drawn[:count]

    def sample(
        self,
        count: int,
        given: CrystalWish | None = None,
        seed: int = 0,
        on_progress: Progress | None = None,
        distinct: bool = True,
        processes: int = 1,
    ) -> list[Crystal]:
        """Draw crystals (see the base class); genes for which no crystal can be built are in ``unbuilt``."""
        drawn = self.sample_genes(count, given, seed, distinct, on_progress)
        exact = given is not None and bool(given.space_groups or given.min_atoms > 1)
        return self.build(drawn, seed, on_progress, processes, keep_symmetry=exact)

    def build(
        self,
        drawn: list[DrawnGene],
        seed: int = 0,
        on_progress: Progress | None = None,
        processes: int = 1,
        keep_symmetry: bool = False,
    ) -> list[Crystal]:
        """Give genes coordinates and cells; those that cannot be built go to ``unbuilt``.

        Args:
            keep_symmetry: leave out also what came out more symmetric than its gene, by accident of coordinates.
        """
        built = realize_many(
            [each.gene for each in drawn], seed=seed, novel=True, processes=processes, on_progress=on_progress
        )
        crystals: list[Crystal] = []
        unbuilt: list[tuple[str, str]] = []
        for number, (each, result) in enumerate(zip(drawn, built, strict=True)):
            structure = None if result.crystal is None else result.crystal.to_structure()
            reason = result.reason
            if structure is not None and keep_symmetry and not keeps_symmetry(structure, each.gene):
                structure, reason = None, "its atoms came out with another symmetry than asked for"
            if structure is None:
                unbuilt.append((reduced_formula(each.gene.counts), f"{reason} (gene {each.gene})"))
                continue
            provenance = {
                "generator": self.name,
                "seed": seed,
                "gene": str(each.gene),
                "log_probability": round(each.log_probability, 3),
                **result.provenance,
            }
            crystals.append(Crystal(id=f"wyckoff-gpt-{number:04d}", structure=structure, provenance=provenance))
        self.unbuilt = unbuilt
        return crystals

    def save(self, folder: Path | str) -> None:
        """Write ``weights.safetensors`` (half precision) and ``settings.json``."""
        network = self.fitted()
        saved.save(network, folder, {"network": network.settings, **self.settings}, half=True)

    @classmethod
    def load(cls, folder: Path | str | None = None, device: str = "auto", **options: Any) -> Self:
        """Read a saved generator; without a folder, the one that ships with sozai.

        Raises:
            UserError: files are missing, damaged, or of another generator.
        """
        source = Path(str(files("sozai.generators.wyckoff_gpt") / "weights")) if folder is None else Path(folder)

        def build(settings: dict[str, Any]) -> WyckoffNetwork:
            if not {"elements", "max_atoms"} <= settings.keys():
                raise KeyError("elements, max_atoms")
            return WyckoffNetwork(**settings.pop("network"))

        network, settings = saved.load(source, build, "wyckoff-gpt", "train some with 'sozai train wyckoff-gpt'")
        network.to(device_of(device))
        return cls(network, settings, **options)

    def card(self) -> dict[str, Any]:
        """Name, sampling settings and what the weights were trained on."""
        kept = {key: value for key, value in self.settings.items() if key not in ("elements", "units")}
        return {"name": self.name, "temperature": self.temperature, "guidance": self.guidance, **kept}

    def fitted(self) -> WyckoffNetwork:
        """Its network.

        Raises:
            UserError: there is none yet.
        """
        if self.network is None:
            raise UserError("this wyckoff-gpt has not been fitted", mend="call fit, or WyckoffGPT.load()")
        return self.network
