"""Training data of wyckoff-gpt: encoded genes with lattices and properties, in padded batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sozai.generators.wyckoff_gpt import tokens
from sozai.generators.wyckoff_gpt.network import TARGETS, scale
from sozai.materials.wyckoff import WyckoffCrystal, space_group

DROP_TARGET, DROP_ALL, GIVE_ELEMENTS, GIVE_COMPOSITION, GIVE_ATOMS = 0.2, 0.2, 0.35, 0.15, 0.3
"""Shares of training rows in which a condition is hidden (targets) or shown (exact conditions)."""


@dataclass
class WyckoffDataset:
    """Encoded crystals.

    Attributes:
        groups: (n,) space group - 1.
        sites: one (sites, 4) array a crystal.
        lattices: (n, 6).
        properties: scaled targets by name, (n,), NaN where unknown.
    """

    groups: np.ndarray
    sites: list[np.ndarray]
    lattices: np.ndarray
    properties: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.groups)

    @classmethod
    def from_crystals(cls, rows: Iterable[tuple[WyckoffCrystal, dict[str, Any]]]) -> WyckoffDataset:
        """Encode Wyckoff forms with their properties (missing ones may be absent or NaN)."""
        groups, sites, lattices = [], [], []
        values: dict[str, list[float]] = {name: [] for name in TARGETS}
        for crystal, properties in rows:
            group = space_group(crystal.space_group)
            groups.append(crystal.space_group - 1)
            # Equivalent choices of origin are one crystal: the network need not learn them all.
            sites.append(tokens.encode(crystal.gene.canonical))
            lattices.append(tokens.encode_lattice(crystal.lattice, crystal.gene.n_atoms * group.lattice_points))
            for name in TARGETS:
                value = properties.get(name)
                values[name].append(np.nan if value is None else float(scale(name, value)))
        scaled = {name: np.array(column, dtype=np.float32) for name, column in values.items()}
        return cls(np.array(groups), sites, np.array(lattices), scaled)

    def subset(self, rows: np.ndarray) -> WyckoffDataset:
        """The given rows."""
        properties = {name: values[rows] for name, values in self.properties.items()}
        return WyckoffDataset(self.groups[rows], [self.sites[row] for row in rows], self.lattices[rows], properties)

    def batch(self, rows: np.ndarray, rng: np.random.Generator | None) -> dict[str, Tensor]:
        """Rows as padded tensors; with ``rng`` conditions are dropped at random, without they are all hidden."""
        sites, mask = tokens.padded([self.sites[row] for row in rows])
        composition = np.zeros((len(rows), tokens.N_ELEMENTS), dtype=np.float32)
        for place, row in enumerate(rows):
            of_row = self.sites[row]
            np.add.at(composition[place], of_row[:, 0], of_row[:, 3])
        n_atoms = composition.sum(1)
        values = {name: self.properties[name][rows].copy() for name in TARGETS}
        values["n_atoms"] = scale("n_atoms", n_atoms).astype(np.float32)
        values["elements"] = (composition > 0).astype(np.float32)
        values["composition"] = (composition / n_atoms[:, None] * 4).astype(np.float32)
        if rng is None:
            for value in values.values():
                value[...] = np.nan
        else:
            hide_all = rng.random(len(rows)) < DROP_ALL
            for name in TARGETS:
                values[name][hide_all | (rng.random(len(rows)) < DROP_TARGET)] = np.nan
            for name, share in (
                ("elements", GIVE_ELEMENTS),
                ("composition", GIVE_COMPOSITION),
                ("n_atoms", GIVE_ATOMS),
            ):
                values[name][rng.random(len(rows)) >= share] = np.nan
        groups = self.groups[rows]
        return {
            "group": torch.as_tensor(groups),
            "sites": torch.as_tensor(sites),
            "mask": torch.as_tensor(mask),
            "lattice": torch.as_tensor(self.lattices[rows]),
            "lattice_mask": torch.tensor([tokens.lattice_mask(int(group) + 1) for group in groups]).float(),
            **{name: torch.as_tensor(value) for name, value in values.items()},
        }

    def epoch(self, source: torch.Generator, batch_size: int) -> Iterator[dict[str, Tensor]]:
        """All rows once, in random order, crystals of like length together."""
        rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=source)))
        lengths = np.array([len(sites) for sites in self.sites]) + rng.random(len(self)) * 2
        order = np.argsort(lengths, kind="stable")
        pieces = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        for place in rng.permutation(len(pieces)):
            yield self.batch(pieces[place], rng)

    def in_order(self, batch_size: int = 512) -> Iterator[dict[str, Tensor]]:
        """All rows in order, without conditions (for held-out loss)."""
        for start in range(0, len(self), batch_size):
            yield self.batch(np.arange(start, min(start + batch_size, len(self))), None)

    def whole(self) -> dict[str, Tensor]:
        """All rows at once, without conditions."""
        return self.batch(np.arange(len(self)), None)
