"""From any event to a feature map and back: what families with latents on a grid work on.

An image becomes a map of fewer, wider places by strided convolutions. A vector becomes a sequence of ``tokens``
places by a residual perceptron, so that the same convolutions (then in one dimension) serve both.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, prod
from typing import Any

from torch import Tensor, nn

from sozai.errors import UserError
from sozai.generators.networks.mlp import ResidualMLP

MOST_PLACES = 512
"""On the finest latent grid, where nothing else is asked for."""

_CONV: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def grids(event: Sequence[int], levels: int, tokens: int, halvings: int | None = None) -> list[tuple[int, ...]]:
    """Latent grids, finest first, each half as long on every axis as the one before.

    Args:
        event: of x: an image's (channels, *sides), or (columns,).
        levels: number of grids.
        tokens: places of the finest grid of a vector.
        halvings: of an image down to the finest grid; by default as many (at least one) as leave ``MOST_PLACES``.

    Raises:
        UserError: a side cannot be halved so often.
    """
    if len(event) == 1:
        finest: tuple[int, ...] = (tokens,)
    else:
        if halvings is None:
            halvings = 1
            while prod(side >> halvings for side in event[1:]) > MOST_PLACES:
                halvings += 1
        if any(side % 2**halvings for side in event[1:]):
            raise UserError(
                f"images of {tuple(event[1:])} cannot be halved {halvings} times", "data", "crop or pad the images"
            )
        finest = tuple(side >> halvings for side in event[1:])
    if any(side % 2 ** (levels - 1) or side < 2 ** (levels - 1) for side in finest):
        raise UserError(f"a latent grid of {finest} does not carry {levels} levels", "setting", "use fewer levels")
    return [tuple(side >> level for side in finest) for level in range(levels)]


def convolution(dimensions: int, before: int, after: int, size: int = 3, groups: int = 1, stride: int = 1) -> nn.Module:
    """A convolution that keeps the sides, or halves them (``size`` 4, ``stride`` 2)."""
    return _CONV[dimensions](before, after, size, stride, (size - 1) // 2, groups=groups)


def halve(dimensions: int, before: int, after: int) -> nn.Module:
    """Half as many places on each axis."""
    return convolution(dimensions, before, after, 4, stride=2)


def double(dimensions: int, before: int, after: int) -> nn.Module:
    """Twice as many places: each is repeated, then a convolution, which leaves no checkerboard."""
    return nn.Sequential(nn.Upsample(scale_factor=2), convolution(dimensions, before, after))


class ResidualBlock(nn.Module):
    """x + convolution of size 1 after one of size 3, each behind an activation; the VQ-VAE's block."""

    def __init__(self, dimensions: int, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(gcd(8, width), width),
            nn.SiLU(),
            convolution(dimensions, width, width),
            nn.SiLU(),
            convolution(dimensions, width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, width, *grid) to the same."""
        return x + self.layers(x)


class Stem(nn.Module):
    """(batch, *event) to (batch, width, *grid)."""

    def __init__(self, event: Sequence[int], grid: Sequence[int], width: int, layers: int = 2, hidden: int = 128):
        super().__init__()
        self.shape = (width, *grid)
        if len(event) == 1:
            self.net: nn.Module = ResidualMLP(event[0], prod(self.shape), hidden, layers)
            return
        dimensions, parts, before = len(grid), [], event[0]
        for _ in range((event[1] // grid[0]).bit_length() - 1):
            parts += [halve(dimensions, before, width), nn.SiLU()]
            before = width
        self.net = nn.Sequential(*parts, convolution(dimensions, before, width))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.net(x).reshape(len(x), *self.shape)


class Head(nn.Module):
    """(batch, width, *grid) to (batch, *event); the mirror image of ``Stem``."""

    def __init__(self, width: int, grid: Sequence[int], event: Sequence[int], layers: int = 2, hidden: int = 128):
        super().__init__()
        self.flat = len(event) == 1
        if self.flat:
            self.net: nn.Module = ResidualMLP(width * prod(grid), event[0], hidden, layers)
            return
        dimensions = len(grid)
        parts: list[nn.Module] = []
        for _ in range((event[1] // grid[0]).bit_length() - 1):
            parts += [double(dimensions, width, width), nn.SiLU()]
        self.net = nn.Sequential(*parts, convolution(dimensions, width, event[0]))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.net(x.flatten(1) if self.flat else x)
