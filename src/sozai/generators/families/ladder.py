"""The variational ladder autoencoder: flat latents, each behind its own depth of network.

S. Zhao, J. Song, S. Ermon, arXiv 1702.08396, section 5: no hierarchy of distributions, p(z) = prod_l N(z_l; 0, 1), and
the plain bound. What a latent can be about is set by how much network lies between it and x::

    h_l = g_l(h_{l-1}), h_0 = x     q(z_l | x) = N(mu_l(h_l), sigma_l(h_l))
    t_L = f_L(z_L)                  t_l = f_l(t_{l+1}, z_l)                      p(x | z) = r(x; f_0(t_1))

z_1, behind one layer, takes what is simple (on images: fine and local); z_L what needs depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sozai.fields import Fields
from sozai.generators.families.variational import Variational, require
from sozai.generators.networks import maps

MOST_PLACES = 256
"""Of the finest map."""


class Dense(nn.Module):
    """x + a two-layer perceptron: what stands for a residual block of maps on vectors."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, width) to the same."""
        return x + self.layers(x)


def shapes(event: Sequence[int], levels: int, width: int) -> list[tuple[int, ...]]:
    """Of h_1 .. h_L: maps that halve from level to level, or vectors."""
    if len(event) == 1:
        return [(width,)] * levels
    halvings = 0
    while prod(side >> halvings for side in event[1:]) > MOST_PLACES:
        halvings += 1
    return [(width, *grid) for grid in maps.grids(event, levels, 0, halvings)]


class LadderEncoder(nn.Module):
    """x (batch, *event) to the means of all levels, then their log scales: (batch, 2 * levels * latent)."""

    def __init__(self, event: Sequence[int], levels: int, latent: int, width: int, condition: int):
        super().__init__()
        sizes, dimensions = shapes(event, levels, width), len(event) - 1
        flat = not dimensions
        self.enter = nn.Linear(event[0], width) if flat else maps.Stem(event, sizes[0][1:], width)
        self.stages, self.heads = nn.ModuleList(), nn.ModuleList()
        for level, size in enumerate(sizes):
            block: nn.Module = Dense(width) if flat else maps.ResidualBlock(dimensions, width)
            down = nn.Identity() if flat or level == 0 else maps.halve(dimensions, width, width)
            self.stages.append(nn.Sequential(down, block))
            self.heads.append(nn.Linear(prod(size) + condition, 2 * latent))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """See the class; condition (batch, condition)."""
        hidden, out = self.enter(x), []
        for stage, head in zip(self.stages, self.heads, strict=True):
            hidden = stage(hidden)
            seen = F.silu(hidden.flatten(1))
            out.append(head(seen if condition is None else torch.cat([seen, condition], 1)))
        means, scales = zip(*(each.chunk(2, 1) for each in out), strict=True)
        return torch.cat([*means, *scales], 1)


class LadderDecoder(nn.Module):
    """z_1 .. z_L side by side, (batch, levels * latent), to (batch, *event)."""

    def __init__(
        self, latent: int, event: Sequence[int], outputs: Sequence[int], levels: int, width: int, condition: int
    ):
        super().__init__()
        self.sizes, self.latent, dimensions = shapes(event, levels, width), latent, len(event) - 1
        flat = not dimensions
        self.stages, self.inject = nn.ModuleList(), nn.ModuleList()
        for level, size in enumerate(self.sizes):
            block: nn.Module = Dense(width) if flat else maps.ResidualBlock(dimensions, width)
            up = nn.Identity() if flat or level == 0 else maps.double(dimensions, width, width)
            self.stages.append(nn.Sequential(block, up))
            self.inject.append(nn.Linear(latent + condition, prod(size)))
        self.leave = nn.Linear(width, outputs[0]) if flat else maps.Head(width, self.sizes[0][1:], outputs)

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """See the class; condition (batch, condition)."""
        return self.leave(self.path(z, condition)[0])

    def path(self, z: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        """t_1 .. t_L; t_l knows of z_l .. z_L only."""
        pieces, hidden, out = z.split(self.latent, 1), None, []
        for level in reversed(range(len(self.sizes))):
            piece = pieces[level] if condition is None else torch.cat([pieces[level], condition], 1)
            injected = self.inject[level](piece).reshape(-1, *self.sizes[level])
            hidden = self.stages[level](injected if hidden is None else hidden + injected)
            out.append(hidden)
        return out[::-1]


class LadderVAE(Variational):
    """The variational ladder autoencoder.

    Args:
        fields: what it generates.
        conditions: what it is given, at all levels.
        levels: number of depths.
        latent: dimensions of each z_l; z is z_1 (shallow) .. z_L (deep) side by side.
        width: of hidden layers, or channels of all maps.
        settings: of ``Variational``.
    """

    def __init__(
        self,
        fields: Fields,
        conditions: Fields | None = None,
        *,
        levels: int = 3,
        latent: int = 4,
        width: int | None = None,
        **settings: Any,
    ):
        require(levels >= 1, "levels", levels, "1 or more")
        self.levels, self.each = levels, latent
        super().__init__(fields, conditions, latent=levels * latent, width=width, **settings)

    def make_encoder(self) -> nn.Module:
        """A latent of each depth."""
        return LadderEncoder(self.codec.event, self.levels, self.each, self.width, self.condition_width)

    def make_decoder(self) -> nn.Module:
        """Each latent enters at its depth."""
        event, outputs = self.codec.event, self.observation.event
        return LadderDecoder(self.each, event, outputs, self.levels, self.width, self.condition_width)

    def level(self, number: int) -> slice:
        """The columns of z_l, ``number`` from 1 (shallow) to ``levels`` (deep)."""
        return slice((number - 1) * self.each, number * self.each)
