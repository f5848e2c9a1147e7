"""CHGNet 0.3.0, computed for relaxation rather than for training.

The network and its weights are those of the ``chgnet`` package (Deng et al., Nature Machine Intelligence 5,
1031 (2023), https://doi.org/10.1038/s42256-023-00716-3); only the arithmetic is arranged differently:

* one gradient, with respect to the edge vectors, gives forces and stress together; the stock model makes two
  and keeps the graph of both, as training needs;
* the first layer of a gated perceptron acts on a concatenation of atoms, bonds and angles. A linear map of a
  concatenation is the sum of linear maps of its parts, so the parts are mapped once an atom, a bond or an angle
  and gathered afterwards, instead of being gathered into every message and mapped there;
* what cannot reach the energy is left out (magnetic moments, the last angle update, gradients of weights);
* the neighbour graph is built with array operations, and each symmetry-equivalent part of it once
  (see ``neighbors``).

Energies, forces and stresses agree with ``CHGNet.predict_structure`` to the rounding of 32-bit floats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import layer_norm, linear, silu

from sozai.screening.neighbors import ATOM_CUTOFF, BOND_CUTOFF, Graph


class FastCHGNet:
    """Energies, and their gradient with respect to edge vectors, of a batch of graphs.

    Args:
        model: a ``chgnet.model.CHGNet`` 0.3.0 (it is read, not changed).
        device: where to compute.
    """

    def __init__(self, model: Any, device: str = "cpu"):
        self.device = torch.device(device)
        state = {name: value.detach().to(self.device) for name, value in model.state_dict().items()}
        self.state = state
        self.reference = state["composition_model.fc.weight"].view(-1).double().cpu().numpy()
        self.atom_layers = [self._gated(f"atom_conv_layers.{k}.twoBody_atom", 3) for k in range(4)]
        self.bond_layers = [self._gated(f"bond_conv_layers.{k}.twoBody_bond", 4) for k in range(3)]
        # The third angle update changes nothing that the energy reads.
        self.angle_layers = [self._gated(f"angle_layers.{k}.twoBody_bond", 4) for k in range(2)]

    def _gated(self, name: str, parts: int) -> dict[str, Any]:
        """Weights of one gated perceptron: the first layer of core and gate side by side, cut by input."""
        first = 0 if f"{name}.mlp_core.layers.0.weight" in self.state else 1
        both = [f"{name}.mlp_{half}.layers" for half in ("core", "gate")]
        weight = torch.cat([self.state[f"{layers}.{first}.weight"] for layers in both])
        return {
            "parts": [part.contiguous() for part in weight.chunk(parts, dim=1)],
            "bias": torch.cat([self.state[f"{layers}.{first}.bias"] for layers in both]),
            "second": [
                (self.state[f"{layers}.3.weight"], self.state[f"{layers}.3.bias"]) for layers in both if first == 0
            ],
            "norm": [(self.state[f"{name}.bn{i}.weight"], self.state[f"{name}.bn{i}.bias"]) for i in (1, 2)],
        }

    @staticmethod
    def _gate(layer: dict[str, Any], hidden: torch.Tensor) -> torch.Tensor:
        """The rest of a gated perceptron after its first linear map, ``(n, 128) -> (n, 64)``."""
        if layer["second"]:
            hidden = silu(hidden)
        core, gate = hidden[:, :64], hidden[:, 64:]
        if layer["second"]:
            core, gate = (linear(x, *wb) for x, wb in zip((core, gate), layer["second"], strict=True))
        core = silu(layer_norm(core, (64,), *layer["norm"][0]))
        return core * torch.sigmoid(layer_norm(gate, (64,), *layer["norm"][1]))

    def _radial(self, lengths: torch.Tensor, kind: str, cutoff: float) -> torch.Tensor:
        """Spherical Bessel basis with its polynomial envelope, ``(u,) -> (u, 31)``."""
        frequencies = self.state[f"bond_basis_expansion.rbf_expansion_{kind}.frequencies"]
        x = (lengths / cutoff)[:, None]
        p = 8
        x8 = x**p
        envelope = 1 - (p + 1) * (p + 2) / 2 * x8 + p * (p + 2) * x8 * x - p * (p + 1) / 2 * x8 * x * x
        envelope = torch.where(x < 1, envelope, torch.zeros_like(x))
        return (2 / cutoff) ** 0.5 * torch.sin(frequencies * x) * (envelope / lengths[:, None])

    def _angular(self, cosine: torch.Tensor) -> torch.Tensor:
        """Fourier basis of the angle, mapped to features, ``(a,) -> (a, 64)``."""
        angle = torch.acos(cosine * (1 - 1e-6))  # as the stock model, so that a straight angle has a gradient
        phase = torch.outer(angle, self.state["angle_basis_expansion.fourier_expansion.frequencies"])
        weight = self.state["angle_embedding.weight"] / np.pi**0.5
        waves = torch.cat([torch.sin(phase), torch.cos(phase)], dim=1)
        return linear(waves, weight[:, 1:], weight[:, 0] / 2**0.5)

    def _site_energies(self, batch: dict[str, torch.Tensor], vectors: torch.Tensor) -> torch.Tensor:
        """Energy of each inequivalent atom in eV, without the elements' reference energies, ``(k,)``."""
        state = self.state
        center, neighbor, bond = batch["center"], batch["neighbor"], batch["bond"]
        count, bent = batch["count"][:, None], len(batch["left"]) > 0
        lengths = vectors.norm(dim=1)
        basis = self._radial(lengths[batch["first"]], "ag", ATOM_CUTOFF)
        bonds = linear(basis, state["bond_embedding.weight"])
        weight_atom = linear(basis, state["bond_weights_ag.weight"])
        atoms = state["atom_embedding.embedding.weight"][batch["numbers"] - 1]
        weight_message = weight_atom.index_select(0, bond) * count
        if bent:
            units = vectors / lengths[:, None]
            left, right = units.index_select(0, batch["left"]), units.index_select(0, batch["right"])
            angles = self._angular((left * right).sum(dim=1))
            bond_i, bond_j, apex = batch["left_bond"], batch["right_bond"], batch["apex"]
            short = self._radial(lengths[batch["first"]], "bg", BOND_CUTOFF)
            weight_bond = linear(short, state["bond_weights_bg.weight"])
            weight_angle = weight_bond.index_select(0, bond_i) * weight_bond.index_select(0, bond_j)
            weight_angle = weight_angle * batch["weight"][:, None]

        def spread(layer: dict[str, Any]) -> torch.Tensor:
            """First layer of a perceptron over (bond i, bond j, angle, centre), mapped before the gather."""
            w_i, w_j, w_angle, w_atom = layer["parts"]
            hidden = linear(angles, w_angle, layer["bias"]) + linear(atoms, w_atom).index_select(0, apex)
            hidden = hidden + linear(bonds, w_i).index_select(0, bond_i)
            return hidden + linear(bonds, w_j).index_select(0, bond_j)

        for k, layer in enumerate(self.atom_layers):
            w_center, w_bond, w_neighbor = layer["parts"]
            hidden = linear(atoms, w_center, layer["bias"]).index_select(0, center)
            hidden = hidden + linear(atoms, w_neighbor).index_select(0, neighbor)
            hidden = hidden + linear(bonds, w_bond).index_select(0, bond)
            messages = self._gate(layer, hidden) * weight_message
            total = torch.zeros_like(atoms).index_add_(0, center, messages)
            atoms = atoms + linear(total, state[f"atom_conv_layers.{k}.mlp_out.layers.1.weight"])
            if k < 3 and bent:
                update = self._gate(self.bond_layers[k], spread(self.bond_layers[k])) * weight_angle
                total = torch.zeros_like(bonds).index_add_(0, bond_i, update)
                bonds = bonds + linear(total, state[f"bond_conv_layers.{k}.mlp_out.layers.1.weight"])
                if k < 2:
                    angles = angles + self._gate(self.angle_layers[k], spread(self.angle_layers[k]))
        hidden = layer_norm(atoms, (64,), state["readout_norm.weight"], state["readout_norm.bias"])
        for k in (0, 2, 4):
            hidden = silu(linear(hidden, state[f"mlp.layers.{k}.weight"], state[f"mlp.layers.{k}.bias"]))
        return linear(hidden, state["mlp.layers.7.weight"], state["mlp.layers.7.bias"]).view(-1)

    def __call__(self, graphs: Sequence[Graph], gradient: bool = True) -> tuple[np.ndarray, list[np.ndarray]]:
        """Compute a batch.

        Returns:
            Total energies in eV, ``(len(graphs),)``, and for each graph the derivative of its energy by its
            edge vectors in eV/angstrom, ``(e, 3)`` (an empty list without ``gradient``).
        """
        batch = self._collate(graphs)
        vectors = torch.as_tensor(np.concatenate([g.vectors for g in graphs]), dtype=torch.float32, device=self.device)
        edges = np.cumsum([len(g.vectors) for g in graphs])[:-1]
        with torch.set_grad_enabled(gradient):
            vectors.requires_grad_(gradient)
            sites = self._site_energies(batch, vectors)
            slopes: list[np.ndarray] = []
            if gradient:
                (slope,) = torch.autograd.grad((sites * batch["multiplicity"]).sum(), vectors)
                slopes = np.split(slope.double().cpu().numpy(), edges)
        per_site = sites.detach().cpu().double().numpy()
        per_site += self.reference[np.concatenate([g.numbers for g in graphs]) - 1]
        cuts = np.cumsum([len(g.numbers) for g in graphs])[:-1]
        energies = [part @ g.multiplicity for part, g in zip(np.split(per_site, cuts), graphs, strict=True)]
        return np.array(energies), slopes

    def _collate(self, graphs: Sequence[Graph]) -> dict[str, torch.Tensor]:
        """One graph of many: indices shifted by the atoms, edges and bonds that come before."""
        starts = {
            "atom": np.cumsum([0] + [len(g.numbers) for g in graphs]),
            "edge": np.cumsum([0] + [len(g.vectors) for g in graphs]),
            "bond": np.cumsum([0] + [len(g.first) for g in graphs]),
        }
        points_to = {
            "center": "atom", "neighbor": "atom", "apex": "atom",
            "first": "edge", "left": "edge", "right": "edge",
            "bond": "bond", "left_bond": "bond", "right_bond": "bond",
        }  # fmt: skip
        batch = {}
        for name in ("numbers", "multiplicity", "count", "weight", *points_to):
            parts = [getattr(g, name) for g in graphs]
            if name in points_to:
                parts = [part + s for part, s in zip(parts, starts[points_to[name]], strict=False)]
            kind = torch.float32 if name in ("multiplicity", "count", "weight") else torch.int64
            batch[name] = torch.as_tensor(np.concatenate(parts), dtype=kind, device=self.device)
        return batch
